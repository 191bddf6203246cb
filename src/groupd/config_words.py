"""The settings of word lists. A part of ``config.py``."""

from __future__ import annotations

import attrs

from groupd.config_checks import positive


@attrs.frozen
class WordsConfig:
    """Words that nobody may say, in files of their own."""

    files: tuple[str, ...] = ()
    """Paths of UTF-8 files with a word or phrase in each line."""
    bytes_max: int = attrs.field(default=4_194_304, validator=positive)
    """Of all files together."""
    entries_max: int = attrs.field(default=100_000, validator=positive)
    """Words and phrases of all files together, each counted once."""
