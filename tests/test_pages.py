"""The documentation site has every page, its links lead somewhere, and translations are whole."""

from __future__ import annotations

import re
import tomllib
from collections import Counter
from collections.abc import Iterator
from pathlib import Path, PurePosixPath
from typing import Any

import pytest

from groupd.cli.main import app
from tools.pages import BESIDE, CHINESE, ROOT, anchors, finish, lay_out, layout, links, main, page

SITE = tomllib.loads((ROOT / "zensical.toml").read_text("utf-8"))["project"]
FILES = layout()
PAGES = sorted(source for source in FILES.values() if source.endswith(".md"))
TRANSLATED = sorted(
    path.relative_to(ROOT).as_posix()
    for path in [*ROOT.glob(f"*{CHINESE}.md"), *(ROOT / "docs").rglob(f"*{CHINESE}.md")]
)
FRONT = ("README.md", "docs/guide/running.md", "docs/index.md", "CONTRIBUTING.md")


def text_of(source: str) -> str:
    return (ROOT / source).read_text("utf-8")


def in_nav(entries: list[dict[str, Any]]) -> Iterator[str]:
    for entry in entries:
        for value in entry.values():
            if isinstance(value, str):
                yield value
            else:
                yield from in_nav(value)


# --- the site


def test_every_page_is_in_the_nav_once_and_the_nav_names_no_other() -> None:
    named = list(in_nav(SITE["nav"]))
    assert sorted(named) == sorted(site for site in FILES if site.endswith(".md"))
    docs = {path.relative_to(ROOT).as_posix() for path in (ROOT / "docs").rglob("*.md")}
    assert docs <= {FILES[name] for name in named}
    assert {"proto/groupd.md", "proto/access.md", *BESIDE} <= {FILES[name] for name in named}


def test_the_site_is_made_of_what_is_laid_out_and_fetches_no_font() -> None:
    makefile = text_of("Makefile")
    assert f"tools.pages lay-out {SITE['docs_dir']}\n" in makefile
    assert f"tools.pages finish {SITE['site_dir']}\n" in makefile
    assert SITE["theme"]["font"] is False
    assert "build/\n" in text_of(".gitignore")


@pytest.mark.parametrize("source", [*PAGES, "README.md", f"README{CHINESE}.md"])
def test_links_lead_to_headings_that_exist(source: str) -> None:
    for target in links(text_of(source)):
        path, _, anchor = target.partition("#")
        named = (ROOT / source).parent / path if path else ROOT / source
        if "://" not in target and anchor:
            assert anchor in anchors(named.read_text("utf-8")), f"{source} links to {target}"


def test_pages_that_are_laid_out_link_to_one_another_only(tmp_path: Path) -> None:
    lay_out(tmp_path)
    there = {path.relative_to(tmp_path).as_posix() for path in tmp_path.rglob("*.*")}
    assert set(FILES) <= there
    for site in FILES:
        if not site.endswith(".md"):
            continue
        for target in links((tmp_path / site).read_text("utf-8")):
            path = target.partition("#")[0]
            if path and "://" not in path:
                assert (tmp_path / site).parent.joinpath(path).exists(), f"{site}: {target}"


WHERE = {
    "docs/guide/a.md": "guide/a.md",
    "docs/b.md": "b.md",
    "proto/README.md": "proto/index.md",
    "docs/c.svg": "c.svg",
}


@pytest.mark.parametrize(
    ("line", "laid_out"),
    [
        ("[b](../b.md#x)", "[b](../b.md#x)"),
        ("[p](../../proto/README.md), [q](../b.md)", "[p](../proto/index.md), [q](../b.md)"),
        ("[front](../../README.md#try-it)", "[front](../index.md#try-it)"),
        ("![c](../c.svg)", "![c](../c.svg)"),
        ("[`[auth]`](../b.md)", "[`[auth]`](../b.md)"),
        ("[`x`](../../Dockerfile) stays", "`x` stays"),
        (
            "[here](#x), [there](https://example.com/a.md)",
            "[here](#x), [there](https://example.com/a.md)",
        ),
        ("`[no](../../Dockerfile)`", "`[no](../../Dockerfile)`"),
        ("  - inner", "    - inner"),
        ("    - code", "    - code"),
        ("## `[[a.b]]`, c", "## `[[a.b]]`, c { #ab-c }"),
    ],
)
def test_a_line_is_laid_out_for_the_site(line: str, laid_out: str) -> None:
    assert page("docs/guide/a.md", line, WHERE) == f"{laid_out}\n"


def test_code_is_laid_out_as_it_is() -> None:
    code = "```sh\n# no heading\n  - [no](../../Dockerfile)\n```"
    assert page("docs/guide/a.md", code, WHERE) == f"{code}\n"
    assert anchors(code) == []
    assert not list(links(code))


def test_anchors_are_those_of_a_checkout() -> None:
    text = "# A b\n## profile\n## `profile`\n## a_b-c!\n## 安装\n## [x](y.md) z\n"
    assert anchors(text) == ["a-b", "profile", "profile-1", "a_b-c", "安装", "x-z"]


@pytest.mark.parametrize(
    "html",
    [
        '<script src="https://cdn.example.com/a.js"></script>',
        "<script defer src=//cdn.example.com/a.js></script>",
        '<link rel="stylesheet" href="https://cdn.example.com/a.css">',
        '<link href="https://cdn.example.com" rel="preconnect">',
        '<img alt="" src="http://cdn.example.com/a.png">',
        '<style>@import "https://cdn.example.com/a.css";</style>',
        "<style>@import url(https://cdn.example.com/a.css);</style>",
        "<style>a { background: url('//cdn.example.com/a.png') }</style>",
    ],
)
def test_what_would_be_fetched_from_elsewhere_is_found(html: str, tmp_path: Path) -> None:
    (tmp_path / "a.html").write_text(html)
    (problem,) = finish(tmp_path)
    assert problem.startswith("a.html fetches ")
    assert "cdn.example.com" in problem


def test_a_site_that_is_built_is_to_be_served_as_its_search_needs_that(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    served = "python3 -m http.server --bind 127.0.0.1 --directory"
    assert main(["finish", str(tmp_path)]) == 0
    said = capsys.readouterr().out
    assert f"{served} {tmp_path}" in said
    assert "http://127.0.0.1:8000" in said
    for source in ("README.md", f"README{CHINESE}.md", "CONTRIBUTING.md"):
        assert f"{served} {SITE['site_dir']}" in text_of(source)


def test_a_link_is_not_fetched_and_chinese_pages_say_that_they_are(tmp_path: Path) -> None:
    text = '<html lang="en" class="a"><link rel="next" href="b.html"><a href="https://example.com">'
    for name in ("a.html", "a.zh-CN.html"):
        (tmp_path / name).write_text(text)
    assert finish(tmp_path) == []
    assert (tmp_path / "a.html").read_text() == text
    assert (tmp_path / "a.zh-CN.html").read_text() == text.replace('"en"', '"zh-CN"')


# --- translations, and what the front pages say


def code_of(text: str) -> list[str]:
    return re.findall(r"^```[\s\S]*?^```$|(?:^ {4}\S.*\n)+", text, re.MULTILINE)


def targets_of(source: str) -> Counter[str]:
    """Count where a page leads to; a page and its translation are one, whatever the heading."""
    found: Counter[str] = Counter()
    for target in links(text_of(source)):
        path = re.sub(r"#[^/]*$", "", target).replace(f"{CHINESE}.md", ".md")
        if path not in {"", PurePosixPath(source.replace(CHINESE, "")).name}:
            found[path] += 1
    return found


@pytest.mark.parametrize("translated", TRANSLATED)
def test_a_translation_has_the_code_links_and_parts_of_its_original(translated: str) -> None:
    original = translated.replace(CHINESE, "")
    ours, theirs = text_of(translated), text_of(original)
    assert code_of(ours) == code_of(theirs)
    assert set(targets_of(translated)) == set(targets_of(original))
    for part in (r"^#+ ", r"^\|", r"^[-*] ", r"^!\["):
        assert len(re.findall(part, ours, re.M)) == len(re.findall(part, theirs, re.M)), part
    here, there = (PurePosixPath(name).name for name in (translated, original))
    assert f"[English]({there})" in ours
    assert f"]({here})" in theirs


@pytest.mark.parametrize("source", ["README.md", f"README{CHINESE}.md"])
def test_the_figures_of_the_front_page_are_the_measured_ones(source: str) -> None:
    measured = {
        cells[1].strip(): [cell.strip(" *") for cell in cells[2:-1]]
        for line in text_of("docs/design/fanout.md").splitlines()
        if len(cells := line.split("|")) == 9
    }
    assert measured[""] == ["a", "a1", "b", "c", "d", "e"]
    names = {
        "groupd, in memory": "groupd, memory",
        "groupd，只在内存": "groupd, memory",
        "groupd, on disk before it answers": "groupd, durable",
        "groupd，落盘后才应答": "groupd, durable",
        "Mosquitto": "Mosquitto, QoS 0",
        "ejabberd": "ejabberd MUC",
        "Prosody": "Prosody MUC",
    }
    rows = re.findall(r"^\| ([^|]+?) \|((?: [*\d.]+ \|){4})$", text_of(source), re.MULTILINE)
    assert len(rows) == 8
    for name, cells in rows:
        bare = name.strip("*")
        short = re.split(r" ?[(（]", bare)[0]
        a, _, b, _, d, e = measured[names.get(short, short)]
        assert [cell.strip(" *") for cell in cells.split("|")[:-1]] == [a, b, d, e], name
    (date,) = re.findall(r"\d{4}-\d\d-\d\d", text_of(source))
    assert f"`make bench-peers` ({date}" in text_of("docs/design/fanout.md").replace("\n", " ")


@pytest.mark.parametrize("source", [*FRONT, f"README{CHINESE}.md"])
def test_front_pages_name_only_targets_and_commands_that_exist(source: str) -> None:
    text = "\n".join(re.findall(r"`[^`\n]+`|^ {4}.+$|^make .+$", text_of(source), re.MULTILINE))
    targets = set(re.findall(r"^([a-z-]+):", text_of("Makefile"), re.MULTILINE))
    named = set(re.findall(r"\bmake ([a-z-]+)\b", text)) - {"my-backend"}
    assert named
    assert named <= targets
    for command in re.findall(r"(?:^ {4}|/|`|\()groupd ([a-z]+)\b", text, re.MULTILINE):
        assert command in app, command


def test_the_front_page_is_read_in_two_minutes() -> None:
    words = re.sub(r"```.*?```|\]\([^)]*\)", "", text_of("README.md"), flags=re.DOTALL).split()
    assert len(words) <= 900
