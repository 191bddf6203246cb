"""Word lists as files: what is read of them, and how a line that is wrong is named."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from groupd.config import WordsConfig
from groupd.domain.word_list import WordList
from groupd.errors import ConfigError
from groupd.server.word_files import SHOWN_MAX, read_words


def written(directory: Path, content: str | bytes, name: str = "words.txt") -> str:
    file = directory / name
    file.write_bytes(content if isinstance(content, bytes) else content.encode())
    return str(file)


def read(*files: str, **bounds: Any) -> WordList | None:
    return read_words(WordsConfig(files=files, **bounds))


def fault(*files: str, **bounds: Any) -> str:
    with pytest.raises(ConfigError) as caught:
        read(*files, **bounds)
    return str(caught.value)


def test_a_line_is_a_word_or_phrase_and_comments_are_none(tmp_path: Path) -> None:
    text = "\ufeff# not here\r\ncasino\r\n\n  free money   # a phrase\n赌博"
    assert read(written(tmp_path, text)) == WordList.of(["casino", "free money", "赌博"])


def test_files_are_one_list(tmp_path: Path) -> None:
    files = [written(tmp_path, word, name) for name, word in (("one", "tea"), ("two", "茶\ntea"))]
    assert read(*files) == WordList.of(["tea", "茶"])


def test_no_file_and_no_word_are_no_list(tmp_path: Path) -> None:
    assert read() is None
    assert read(written(tmp_path, "# nothing yet\n")) is None


def test_what_is_wrong_is_named_with_its_file_and_line(tmp_path: Path) -> None:
    file = written(tmp_path, b"tea\nf*ck\n\xff\xfe\n" + b"x" * 101 + b"\nok\n")
    lines = fault(file).splitlines()
    assert [line.rpartition(": ")[0].partition(": ")[2] for line in lines][1:] == [
        f"{file}, line 3",
        f"{file}, line 4",
    ]
    assert lines[0].startswith(f"words.files: {file}, line 2: '*' is never looked for")


def test_not_more_lines_are_named_than_somebody_reads(tmp_path: Path) -> None:
    lines = fault(written(tmp_path, "$\n" * 1_000)).splitlines()
    assert len(lines) == SHOWN_MAX + 1
    assert lines[-1] == f"words.files: and {1_000 - SHOWN_MAX} more"


def test_a_file_that_is_not_there_is_named(tmp_path: Path) -> None:
    assert fault(str(tmp_path / "gone")) == (
        f"words.files: {tmp_path / 'gone'}: No such file or directory"
    )
    assert "Is a directory" in fault(str(tmp_path))


def test_bytes_and_entries_are_bounded_over_all_files(tmp_path: Path) -> None:
    files = [written(tmp_path, f"{name}\n", name) for name in ("one", "two")]
    assert read(*files, bytes_max=8, entries_max=2) is not None
    assert "at most 7 bytes in all (words.bytes_max)" in fault(*files, bytes_max=7)
    assert "at most 1 entries (words.entries_max), got 2" in fault(*files, entries_max=1)


def test_no_more_is_read_than_is_allowed() -> None:
    assert "words.bytes_max" in fault("/dev/zero", bytes_max=1_000)
