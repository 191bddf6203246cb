"""Links drawn for cameras."""

from __future__ import annotations

from itertools import zip_longest
from typing import Final

import segno
from rich.text import Text

QUIET_MODULES: Final = 2
"""The margin. The standard wants four; cameras that read screens do with two."""

_HALVES: Final = {(0, 0): " ", (1, 0): "▀", (0, 1): "▄", (1, 1): "█"}


def drawn(text: str) -> Text:
    """Draw a QR code in half blocks, black on white: two rows of it in each line."""
    code = segno.make(text, error="l", micro=False)
    rows = [list(row) for row in code.matrix_iter(border=QUIET_MODULES)]
    empty = [0] * len(rows[0])
    lines = (
        "".join(
            _HALVES[bool(upper), bool(lower)] for upper, lower in zip(above, below, strict=True)
        )
        for above, below in zip_longest(rows[::2], rows[1::2], fillvalue=empty)
    )
    return Text("\n".join(lines), style="black on white", no_wrap=True)
