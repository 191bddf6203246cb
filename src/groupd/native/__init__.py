"""The hot path of a post, compiled, where a C compiler was there: the same a second time, faster.

Placement rules:
- Each module here does what Python does elsewhere, and not otherwise. Python is the reference: it
  is always there, says why, and runs where nothing was compiled. ``tests/native`` holds the two
  together.
- Nothing is decided here that is not decided there. What is worth a second truth takes a fifth
  off what a post costs, or half of the memory; ``docs/design/fanout.md`` has the figures.

``GROUPD_PURE=1`` in the environment leaves it out.
"""

from __future__ import annotations

import os
from contextlib import suppress
from importlib import import_module
from types import ModuleType
from typing import Final

VERSION: Final = 4
"""Of what the modules take and give. What was compiled before a change here is left out, until
``make`` has compiled it again."""

_NAMES: Final = ("fanout", "frames", "receipts", "records")


def _load() -> dict[str, ModuleType]:
    """Give the compiled modules, all or none."""
    if os.environ.get("GROUPD_PURE"):
        return {}
    try:
        loaded = {name: import_module(f"{__name__}.{name}") for name in _NAMES}
    except ImportError:
        return {}
    # The first builds had none.
    if any(getattr(module, "VERSION", 0) != VERSION for module in loaded.values()):
        return {}
    with suppress(ImportError):  # A Python without OpenSSL: then ``hashlib`` hashes.
        loaded["records"].find_sha256(getattr(import_module("_hashlib"), "__file__", ""))
    return loaded


_loaded: Final = _load()
fanout, frames, receipts, records = map(_loaded.get, _NAMES)

IS_COMPILED: Final = records is not None
"""Whether this process runs with it."""
