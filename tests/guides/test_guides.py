"""What the guides say to write and type is written and typed, and what one sees is seen."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from groupd.errors import CODES
from tests.guides.page import (
    GUIDES,
    LANGUAGES,
    ROOT,
    Block,
    Player,
    blocks_of,
    files_never_used,
    lacking,
    misses,
)

PLAYED = ("app-developers.md", "embedding.md")
TRANSLATED = {"app-developers.zh-CN.md": "app-developers.md"}


def text_of(name: str) -> str:
    return (GUIDES / name).read_text("utf-8")


@pytest.fixture
def player(tmp_path: Path) -> Iterator[Player]:
    player = Player(tmp_path)
    try:
        yield player
    finally:
        player.close()


@pytest.mark.parametrize("name", PLAYED)
def test_a_guide_comes_out_as_it_says(name: str, player: Player) -> None:
    blocks = blocks_of(text_of(name))
    program = lacking(blocks)
    if program:
        pytest.skip(f"there is no {program} here, and the guide types it")
    for block in blocks:
        player.play(block)


@pytest.mark.parametrize("name", PLAYED)
def test_a_guide_has_no_code_that_is_not_run(name: str) -> None:
    blocks = blocks_of(text_of(name))
    assert blocks
    assert {block.language for block in blocks} <= set(LANGUAGES)
    assert not list(files_never_used(blocks))
    # Indented code would be passed over.
    assert not re.search(
        r"^(?: {4}|\t)\S", re.sub(r"```.*?```", "", text_of(name), flags=re.S), re.M
    )


@pytest.mark.parametrize(("name", "original"), TRANSLATED.items())
def test_a_translation_has_the_code_of_its_original(name: str, original: str) -> None:
    assert blocks_of(text_of(name)) == blocks_of(text_of(original))
    assert len(re.findall("^#", text_of(name), re.M)) == len(
        re.findall("^#", text_of(original), re.M)
    )


@pytest.mark.parametrize("name", ["app-developers.md", *TRANSLATED])
def test_the_guide_says_what_to_do_about_every_code(name: str) -> None:
    rows = re.findall(r"^\| `(\w+)` \|", text_of(name), re.MULTILINE)
    assert [row for row in rows if row in CODES] == list(CODES)


def test_every_guide_is_played_translated_or_tested_elsewhere() -> None:
    # What there is to try at a terminal is for people; tests/test_pages.py looks at it.
    terminal = {"running.md", "running.zh-CN.md"}
    elsewhere = {"client-authors.md", "javascript.md", "load-testing.md", *terminal}
    there = {path.name for path in GUIDES.glob("*.md")}
    assert there <= {*PLAYED, *TRANSLATED, *elsewhere}
    readme = (ROOT / "README.md").read_text("utf-8")
    assert all(f"docs/guide/{name}" in readme for name in (*PLAYED, *TRANSLATED))


# --- the player itself


def shell(text: str, mark: str = "") -> Block:
    return Block("shell", mark, text)


def test_blocks_have_a_language_a_mark_and_a_name() -> None:
    page = "a\n```python\n# a.py\nprint(1)\n```\n```shell background\nb\n```\n```text\n1\n```\n"
    blocks = blocks_of(page)
    assert [(block.language, block.mark, block.file) for block in blocks] == [
        ("python", "", "a.py"),
        ("shell", "background", ""),
        ("text", "", ""),
    ]
    assert list(files_never_used(blocks)) == ["a.py"]
    assert not list(files_never_used([*blocks, shell("python a.py")]))
    with pytest.raises(AssertionError, match="no end"):
        blocks_of("```python\n# a.py\n")
    with pytest.raises(AssertionError, match="name a file"):
        _ = Block("python", "", "print(1)\n").file


def test_lines_are_seen_in_order_and_dots_stand_for_anything() -> None:
    assert misses("b ... d\n\nf\n", "a\nb c d\ne\nf  \n") is None
    assert misses("f\nb ...\n", "b c\nf\n") == "b ..."
    assert misses("b c\n", "b cd\n") == "b c"


def test_a_command_that_fails_or_says_something_else_is_found(player: Player) -> None:
    with pytest.raises(AssertionError):
        player.play(shell("false | cat"))
    player.play(shell("echo one"))
    with pytest.raises(AssertionError, match="'two'"):
        player.play(Block("text", "", "two\n"))


def test_what_is_exported_stays_and_ports_are_others(player: Player) -> None:
    player.play(shell('export WHERE=127.0.0.1:7400 LATER="a b"'))
    player.play(Block("python", "", '# where.py\nprint("127.0.0.1:7400", "127.0.0.1:7401")\n'))
    player.play(shell('echo "$WHERE $LATER"; python where.py'))
    assert "7400" not in player._seen
    first, second = player._seen.splitlines()
    assert first.split()[1:] == ["a", "b"]
    assert second.split()[0] == first.split()[0] != second.split()[1]


def test_what_runs_in_the_background_is_waited_for_and_ended(player: Player) -> None:
    player.play(Block("python", "", "# say.py\nimport time\nprint('ready')\ntime.sleep(600)\n"))
    player.play(shell("python say.py", "background"))
    player.play(Block("text", "", "ready\n"))
    player.close()
    assert player._running[0].process.poll() is not None
    player.play(shell("echo no", "background"))
    with pytest.raises(AssertionError, match="'yes'"):
        player.play(Block("text", "", "yes\n"))
