"""What was compiled from other sources is not used."""

from __future__ import annotations

from hashlib import sha256
from pathlib import Path
from typing import Final

import pytest

from groupd import native

HERE: Final = Path(native.__file__).parent
SOURCES: Final = {4: "ad352e42769eb666c826112740f473cdf85e05da144fb6fe16991bd27b745617"}
"""Version -> the hash of the sources that it stands for."""


def test_a_change_of_the_sources_has_a_version_of_its_own() -> None:
    files = sorted([*HERE.glob("*.pyx"), *HERE.glob("*.pxd")])
    assert len(files) == 5
    digest = sha256(b"".join(file.read_bytes() for file in files)).hexdigest()
    assert SOURCES[native.VERSION] == digest, (
        "raise VERSION in native/__init__.py and in each of its .pyx, then add a line to SOURCES"
    )


@pytest.mark.skipif(not native.IS_COMPILED, reason="nothing is compiled here")
def test_modules_of_another_version_are_left_out(monkeypatch: pytest.MonkeyPatch) -> None:
    assert native._load()
    monkeypatch.setattr(native.frames, "VERSION", native.VERSION - 1)
    assert native._load() == {}
    monkeypatch.delattr(native.frames, "VERSION")
    assert native._load() == {}


@pytest.mark.skipif(not native.IS_COMPILED, reason="nothing is compiled here")
def test_it_can_be_left_out(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GROUPD_PURE", "1")
    assert native._load() == {}
