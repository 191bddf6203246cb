"""Lines for other programs: one JSON object each, for as long as somebody reads."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterable, Mapping
from typing import Any

import orjson


def print_lines(items: Iterable[Mapping[str, Any]]) -> None:
    """Write each as a line of JSON to standard output, and flush.

    Where nobody reads any more, as behind ``| head -1``, the command ends with 1 and says nothing,
    as rich does for what goes through a console.
    """
    try:
        for item in items:
            sys.stdout.buffer.write(orjson.dumps(item) + b"\n")
        sys.stdout.flush()
    except BrokenPipeError:
        # What is left in the buffer is flushed at the end of the process, and must go somewhere.
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, sys.stdout.fileno())
        os.close(nowhere)
        raise SystemExit(1) from None
