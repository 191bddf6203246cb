"""A real server is started by the fixtures of ``tests/e2e``."""

from tests.e2e.conftest import groupd, launcher

__all__ = ["groupd", "launcher"]
