"""The texts of posts: each says its number, when it was due and when it was sent.

Pure. Times are microseconds since the run began, on the one clock of the process that sends and
reads them. All texts of a run are equally long and ASCII, so bytes are code points.
"""

from __future__ import annotations

from typing import Final, NamedTuple

from groupd.config import CONTENT

SIZE_MIN_BYTES: Final = 64
"""Room for what a text says, however long the run."""
SIZE_MAX_BYTES: Final = CONTENT.text_max

_FILLING: Final = "the quick brown fox jumps over the lazy dog, "


class Stamp(NamedTuple):
    """What a text says."""

    number: int
    due_us: int
    sent_us: int
    """When it left; at another try after a lost connection, when it left first."""
    is_alone: bool
    """Whether its sender was waiting for no other answer when it left."""


class Texts:
    """Writes and reads the texts of one run."""

    def __init__(self, run: str, size_bytes: int) -> None:
        """Begin a run; ``run`` tells its texts from those of others and has no spaces."""
        assert SIZE_MIN_BYTES <= size_bytes <= SIZE_MAX_BYTES
        self._prefix = f"{run} "
        self._filling = (_FILLING * (size_bytes // len(_FILLING) + 1))[: size_bytes - 1] + "."

    def write(self, stamp: Stamp) -> str:
        """Write the text of a post."""
        number, due_us, sent_us, is_alone = stamp
        head = f"{self._prefix}{number} {due_us} {sent_us} {int(is_alone)} "
        text = head + self._filling[len(head) :]
        assert len(text) == len(self._filling), text
        return text

    def read(self, text: object) -> Stamp | None:
        """Give what a text says; None where it is of another run, or of nobody's."""
        if not isinstance(text, str) or not text.startswith(self._prefix):
            return None
        try:
            _run, number, due_us, sent_us, is_alone, _filling = text.split(" ", 5)
            return Stamp(int(number), int(due_us), int(sent_us), is_alone == "1")
        except ValueError:
            return None
