"""Word lists, as they stand in files: a word or phrase in each line, comments behind ``#``.

Here the files are read, and what is wrong with one is said by its name and line. What a word
matches stands in ``domain/word_list.py``.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Final

from groupd.config import WordsConfig
from groupd.domain.word_list import WordList, fault_of
from groupd.errors import ConfigError

SHOWN_MAX: Final = 20
"""Lines at fault that are named at once."""


def read_words(config: WordsConfig) -> WordList | None:
    """Give the list that a configuration names; None where it names no file. Reads the files.

    Raises ConfigError with a line for each thing that is wrong, up to ``SHOWN_MAX``.
    """
    if not config.files:
        return None
    problems: list[str] = []
    entries: dict[str, None] = {}
    left_bytes = config.bytes_max
    for name in config.files:
        data = _bytes_of(name, left_bytes, config.bytes_max)
        left_bytes -= len(data)
        for number, line in enumerate(data.split(b"\n"), 1):
            try:
                entry = line.decode("utf-8-sig" if number == 1 else "utf-8")
            except UnicodeDecodeError:
                problems.append(f"words.files: {name}, line {number}: expected UTF-8")
                continue
            entry = entry.partition("#")[0].strip()
            if not entry:
                continue
            fault = fault_of(entry)
            if fault is None:
                entries[entry] = None
            else:
                problems.append(f"words.files: {name}, line {number}: {fault}")
    if problems:
        raise ConfigError("\n".join(_shown(problems)))
    if len(entries) > config.entries_max:
        raise ConfigError(
            f"words.files: expected at most {config.entries_max} entries (words.entries_max), "
            f"got {len(entries)}"
        )
    return WordList.of(entries) if entries else None


def _bytes_of(name: str, left_bytes: int, bytes_max: int) -> bytes:
    try:
        with Path(name).open("rb") as file:
            data = file.read(left_bytes + 1)
    except OSError as error:
        raise ConfigError(f"words.files: {name}: {error.strerror}") from error
    if len(data) > left_bytes:
        raise ConfigError(
            f"words.files: {name}: expected at most {bytes_max} bytes in all (words.bytes_max)"
        )
    return data


def _shown(problems: list[str]) -> Iterator[str]:
    yield from problems[:SHOWN_MAX]
    if len(problems) > SHOWN_MAX:
        yield f"words.files: and {len(problems) - SHOWN_MAX} more"
