"""Attacks on a real server use the same fixtures as ``tests/e2e``."""

from tests.e2e.conftest import groupd, launcher

__all__ = ["groupd", "launcher"]
