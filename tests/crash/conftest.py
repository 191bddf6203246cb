"""A process that is killed or starved is started as in ``tests/e2e``."""

from __future__ import annotations

from tests.e2e.conftest import groupd, launcher

__all__ = ["groupd", "launcher"]
