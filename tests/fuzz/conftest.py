"""What the tests of a real server need: its launcher, and a directory."""

from __future__ import annotations

from tests.e2e.conftest import groupd, launcher

__all__ = ["groupd", "launcher"]
