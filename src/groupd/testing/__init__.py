"""What embedders and authors of backends need for tests of their own."""

from groupd.testing.check_log import check_log
from groupd.testing.fakes import FakeClock, SeededRandomness, SlowLog, fake_ports

__all__ = ["FakeClock", "SeededRandomness", "SlowLog", "check_log", "fake_ports"]
