"""The command, as the tests of a real process have it."""

from __future__ import annotations

from tests.e2e.conftest import groupd, launcher

__all__ = ["groupd", "launcher"]
