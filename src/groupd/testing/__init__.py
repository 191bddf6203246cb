"""What embedders and authors of backends need for tests of their own."""

from groupd.testing.check_log import check_log

__all__ = ["check_log"]
