"""The client in JavaScript: its own tests, and what the schema says of it."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest

from tests.js.node import (
    CLIENT,
    DEADLINE_S,
    NODE,
    ROOT,
    STATIC,
    install_package,
    needs_node,
    needs_npm,
    run,
    run_node,
)

SCHEMA: dict[str, Any] = json.loads((ROOT / "proto" / "schema.json").read_text())
MODULES = sorted(path for path in STATIC.rglob("*.js") if path.parent.name != "vendor")
TSC = ROOT / "build" / "web" / "node_modules" / "typescript" / "bin" / "tsc"
LINES_MAX = 450
MARKUP = re.compile(
    r"\b(innerHTML|outerHTML|insertAdjacentHTML|document\.write|DOMParser|createContextualFragment"
    r"|srcdoc|eval|setHTML\w*)\b|new Function|javascript:"
)
"""What makes markup or code out of text."""


def words_of(module: str, name: str) -> set[str]:
    """Give the strings of a ``Set`` in a module."""
    text = (STATIC / "client" / module).read_text()
    found = re.search(rf"const {name} = new Set\(\[(.*?)\]\)", text, re.DOTALL)
    assert found is not None
    return set(re.findall(r'"(\w+)"', found[1]))


@needs_node
@pytest.mark.parametrize(
    "folder", [CLIENT / "tests", ROOT / "tests" / "js"], ids=["client", "page"]
)
def test_its_own_tests_pass(folder: str) -> None:
    said = run_node("--test", *sorted((ROOT / folder).glob("*.test.js")))
    assert re.search(r"^# pass [1-9]", said, re.MULTILINE)


@needs_node
@pytest.mark.skipif(not TSC.exists(), reason="TypeScript is not installed: make test-web")
def test_its_types_hold() -> None:
    assert NODE is not None
    done = subprocess.run(
        [NODE, str(TSC), "--project", str(ROOT / "tests" / "js" / "tsconfig.json")],
        capture_output=True,
        text=True,
        timeout=DEADLINE_S,
        check=False,
    )
    # The library that is kept beside it is JavaScript without its types.
    wrong = [line for line in done.stdout.splitlines() if "client/vendor/" not in line]
    assert [line for line in wrong if not line.startswith(" ")] == []


def test_it_knows_the_methods_that_take_an_id() -> None:
    takes_id = {name for name, method in SCHEMA["methods"].items() if method["takes_id"]}
    assert words_of("methods.js", "COMMANDS") == takes_id


def test_it_knows_the_codes() -> None:
    assert words_of("errors.js", "CODES") == set(SCHEMA["codes"])


def test_its_sizes_are_those_of_the_contract() -> None:
    text = (STATIC / "client" / "stream.js").read_text()
    content = SCHEMA["content"]
    assert f"SYNC_GROUPS_MAX = {content['sync_groups_max']};" in text
    assert f"PAGE_MAX = {content['history_page_max']};" in text


@pytest.mark.parametrize("module", MODULES, ids=lambda path: path.relative_to(STATIC).as_posix())
def test_nothing_makes_markup_of_text_and_no_module_is_long(module: Path) -> None:
    text = module.read_text()
    assert MARKUP.search(text) is None
    assert text.count("\n") <= LINES_MAX


def test_pages_have_no_script_and_no_style_in_them() -> None:
    pages = sorted(STATIC.glob("*.html"))
    assert pages
    for page in pages:
        text = page.read_text()
        assert not re.search(r"<script(?![^>]*\bsrc=)", text)
        assert not re.search(r"<style|\sstyle=|\son\w+=", text)


@needs_node
@needs_npm
def test_the_package_that_make_packs_is_installed_and_has_all_that_it_needs(tmp_path: Path) -> None:
    app = install_package(tmp_path)
    program = app / "program.mjs"
    program.write_text(
        'import { connect } from "groupd-client";\n'
        'import { dial } from "groupd-client/tcp";\n'
        "console.log(typeof connect, typeof dial);\n"
    )
    assert run_node(program) == "function function\n"
    package = app / "node_modules" / "groupd-client"
    licences = [path.name for path in package.rglob("*LICENSE*")]
    assert sorted(licences) == ["LICENSE", "msgpack.LICENSE.txt"]
    assert not list(package.rglob("*.test.js"))


@needs_node
@needs_npm
@pytest.mark.skipif(not TSC.exists(), reason="TypeScript is not installed: make test-web")
def test_the_package_has_types_for_a_strict_program(tmp_path: Path) -> None:
    assert NODE is not None
    app = install_package(tmp_path)
    shutil.copy(ROOT / "tests" / "js" / "typed.ts", app)
    # Neither a browser's types nor Node's: the declarations, which are checked too, need none.
    options = "--noEmit --strict --target es2023 --lib es2023"
    for module in ("--module nodenext", "--module esnext --moduleResolution bundler"):
        command = [NODE, str(TSC), *options.split(), *module.split(), "typed.ts"]
        done = run(command, tmp_path, cwd=app)
        assert (done.returncode, done.stdout) == (0, "")


@needs_node
@needs_npm
def test_npm_does_not_pack_the_folder_whose_lib_is_a_link(tmp_path: Path) -> None:
    said = run(["npm", "pack", str(CLIENT), "--pack-destination", str(tmp_path)], tmp_path)
    assert said.returncode != 0
    assert "make js-client" in said.stderr
    assert not list(tmp_path.glob("*.tgz"))


@pytest.mark.parametrize("page", ["clients/js/README.md", "docs/guide/javascript.md"])
def test_pages_say_how_to_install_it(page: str) -> None:
    text = (ROOT / page).read_text()
    version = json.loads((CLIENT / "package.json").read_text())["version"]
    assert "make js-client" in text
    assert re.search(rf"npm install \S*build/groupd-client-{version}\.tgz", text)
