"""The files of the console: what they may do, what they ask for, and in which languages.

What it looks like, and how it behaves in a browser, is for ``tests/browser``.
"""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path
from typing import Final

import pytest

import groupd
from groupd.domain.catalog import REQUESTS
from groupd.domain.operating import BY_TOKEN
from groupd.errors import CODES, REASONS
from groupd.web.assets import Assets, package_files

STATIC: Final = Path(groupd.__file__).parent / "web" / "static"
MODULES: Final = sorted((STATIC / "console").glob("*.js"))
SOURCE: Final = "\n".join(path.read_text("utf-8") for path in MODULES)
JS_TESTS: Final = Path(__file__).parent / "console.test.mjs"
DEADLINE_S: Final = 60


def words(language: str) -> dict[str, str]:
    text = (STATIC / "console" / "words.js").read_text("utf-8")
    (block,) = re.findall(rf"^  {language}: {{\n(.*?)^  }},\n", text, re.MULTILINE | re.DOTALL)
    pairs = re.findall(r'^    (\w+): "(.*)",$', block, re.MULTILINE)
    assert len(pairs) == len(dict(pairs)) == block.count("\n"), "one word a line, each once"
    return dict(pairs)


def test_the_page_is_served_with_all_that_it_loads() -> None:
    assets = Assets(package_files(), {})
    page = assets.find("/console", "")
    assert page is not None
    loaded = re.findall(r'(?:src|href)="([^"]+)"', page.body.decode())
    assert loaded == ["data:,", "/console/console.css", "/console/main.js"]
    for path in MODULES:
        for name in re.findall(r'from "([^"]+)"', path.read_text("utf-8")):
            assert (path.parent / name).resolve().is_file(), f"{path.name} imports {name}"
    for path in [*loaded[1:], "/client/vendor/msgpack.js"]:
        assert assets.find(path, "") is not None, path


def test_what_others_have_written_is_never_taken_for_html() -> None:
    assert MODULES
    for way in ("innerHTML", "outerHTML", "insertAdjacentHTML", "document.write", "DOMParser"):
        assert way not in SOURCE
    assert not re.search(r"\beval\(|new Function|setAttribute\(\"(style|on\w+)\"", SOURCE)
    html = (STATIC / "console.html").read_text("utf-8")
    assert not re.search(r"<style|style=|<script(?![^>]*src=)| on\w+=", html)


def test_it_asks_only_for_what_a_token_is_enough_for() -> None:
    asked = set(re.findall(r'"(operator_\w+)"', SOURCE))
    assert asked == BY_TOKEN <= REQUESTS.keys()


def test_everything_is_said_in_both_languages() -> None:
    english, chinese = words("en"), words("zh")
    assert english.keys() == chinese.keys()
    for name, text in english.items():
        assert sorted(re.findall(r"{\w+}", text)) == sorted(re.findall(r"{\w+}", chinese[name])), (
            name
        )


def test_every_word_is_said_and_every_word_that_is_said_is_known() -> None:
    known = {name for name in words("en") if not name.startswith("error_")}
    said = set(re.findall(r'\bsay\(\s*"(\w+)"', SOURCE))
    assert said <= known
    # Others are chosen while the page runs: their names stand there as they are.
    assert {name for name in known if f'"{name}"' not in SOURCE} == set()


def test_errors_are_said_of_codes_and_reasons_that_there_are() -> None:
    named = {name.removeprefix("error_") for name in words("en") if name.startswith("error_")}
    assert named <= CODES.keys() | REASONS.keys()


def test_a_token_is_kept_for_the_tab_alone_and_never_put_into_a_cookie() -> None:
    assert "document.cookie" not in SOURCE
    kept = re.findall(r"localStorage\.setItem\((\w+)", SOURCE)
    assert kept == ["KEPT"], "only the language is kept for longer"
    assert 'KEPT = "groupd-console-language"' in (STATIC / "console" / "words.js").read_text()


@pytest.mark.skipif(shutil.which("node") is None, reason="there is no node to run them")
def test_the_modules_do_what_they_say() -> None:
    done = subprocess.run(
        ["node", "--test", str(JS_TESTS)],
        capture_output=True,
        text=True,
        timeout=DEADLINE_S,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
