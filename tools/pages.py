"""The documentation site: ``make docs`` lays its pages out for zensical, and looks at the outcome.

    python -m tools.pages lay-out build/pages
    python -m tools.pages finish build/site

The pages are those of ``docs/``, the contract in ``proto/``, and what they name beside these.

Placement rules:
- What is in the site, and where, is said here; in which order, in ``zensical.toml``.
- A page reads the same in a checkout as in the site: links and anchors are those of the checkout,
  and are made into the site's own while it is laid out.
"""

from __future__ import annotations

import re
import shutil
import sys
from collections.abc import Callable, Iterator
from os.path import relpath
from pathlib import Path, PurePosixPath
from typing import Final

ROOT: Final = Path(__file__).parent.parent
BESIDE: Final = {
    "CHANGELOG.md": "changelog.md",
    "CONTRIBUTING.md": "contributing.md",
    "proto/README.md": "proto/index.md",
}
"""Pages from elsewhere that are in the site under another name."""
STANDS_FOR: Final = {"README.md": "index.md", "README.zh-CN.md": "index.zh-CN.md"}
"""Pages that are not in the site, and the ones that a link to them leads to instead."""
FOLDERS: Final = {"docs": "", "proto": "proto", "examples": "examples"}
"""Where the files below a folder of the repository are in the site."""
INDENT: Final = 4
"""Columns of a list within a list, as the generator wants them."""
LEFT_OUT: Final = frozenset({".jsonl", ".pyc"})
CHINESE: Final = ".zh-CN"
OUTSIDE: Final = re.compile(
    r"<(?:script|img|iframe|source|video|audio|embed|object)\b[^>]*?\b(?:src|data)=[\"']?((?:https?:)?//[^\"'\s>]+)"
    r"|<link\b(?=[^>]*\brel=[\"']?(?:stylesheet|preconnect|preload|icon|dns-prefetch|modulepreload))"
    r"[^>]*?\bhref=[\"']?((?:https?:)?//[^\"'\s>]+)"
    r"|(?:@import\s+(?:url\()?|url\()[\"']?((?:https?:)?//[^\"')\s]+)",
    re.IGNORECASE,
)
"""What a browser would fetch from elsewhere by itself when it shows a page. A link is not that."""

SERVED: Final = """\
The site is in {site}. Its search needs a server:
    python3 -m http.server --bind 127.0.0.1 --directory {site}
and then open http://127.0.0.1:8000 in a browser."""
"""What is said of a site that is whole."""

_FENCE: Final = re.compile(r"^ {0,3}(```+|~~~+)")
_HEADING: Final = re.compile(r"^(#{1,6}) (.+)$")
_LINK: Final = re.compile(r"(!?)\[((?:[^\[\]]|\[[^\]]*\])*)\]\(([^)\s]+)\)")
_ITEM: Final = re.compile(r"^( +)(?:[-*] |\d+\. )")
_CODE: Final = re.compile(r"(`+[^`]+`+)")


def layout(root: Path = ROOT) -> dict[str, str]:
    """Give the files of the site: where each is in it, and where it is in the repository."""
    found = {site: source for source, site in BESIDE.items()}
    for folder, below in FOLDERS.items():
        for path in sorted((root / folder).rglob("*")):
            source = path.relative_to(root).as_posix()
            hidden = any(part.startswith((".", "__")) for part in path.relative_to(root).parts)
            is_shown = path.is_file() and not hidden and path.suffix not in LEFT_OUT
            if is_shown and source not in BESIDE:
                found[str(PurePosixPath(below, path.relative_to(root / folder)))] = source
    return found


def anchors(text: str) -> list[str]:
    """Give the anchors of a page's headings, in order, as forges that show the page name them."""
    found: list[str] = []
    times: dict[str, int] = {}
    for title in _headings(text):
        words = re.sub(r"\[([^\]]*)\]\([^)]*\)", r"\1", title)
        name = re.sub(r"[^\w\- ]", "", words.strip().lower()).replace(" ", "-")
        again = times.get(name, 0)
        times[name] = again + 1
        found.append(f"{name}-{again}" if again else name)
    return found


def links(text: str) -> Iterator[str]:
    """Give the targets of a page's links, without those in code."""
    for line, is_code in _lines(text):
        if not is_code:
            yield from (match[3] for match in _LINK.finditer(_CODE.sub("", line)))


def page(source: str, text: str, where: dict[str, str]) -> str:
    """Give a page as the site has it.

    ``source`` is its path in the repository; ``where`` says for each path there what it is in the
    site. A link to what the site lacks becomes its words alone.
    """
    here = where[source]
    names = iter(anchors(text))

    def linked(match: re.Match[str]) -> str:
        picture, words, target = match.groups()
        path, mark, anchor = target.partition("#")
        if not path or "://" in target:
            return match[0]
        named = relpath(PurePosixPath(source).parent / path, ".")
        site = where.get(named) or STANDS_FOR.get(named)
        if site is None:
            return words
        way = relpath(site, PurePosixPath(here).parent)
        return f"{picture}[{words}]({way}{mark}{anchor})"

    lines: list[str] = []
    for line, is_code in _lines(text):
        if is_code:
            lines.append(line)
        elif heading := _HEADING.match(line):
            # Named as in the checkout, whatever the generator would make of the words.
            lines.append(f"{heading[0].rstrip()} {{ #{next(names)} }}")
        else:
            # A list within a list is four columns in here, where two are enough elsewhere.
            item = _ITEM.match(line)
            deeper = item[1] if item and len(item[1]) < INDENT else ""
            lines.append(deeper + _outside_code(line, lambda part: _LINK.sub(linked, part)))
    return "\n".join(lines) + "\n"


def lay_out(target: Path, root: Path = ROOT) -> None:
    """Write all files of the site to ``target``, anew."""
    shutil.rmtree(target, ignore_errors=True)
    files = layout(root)
    where = {source: site for site, source in files.items()}
    for site, source in files.items():
        (target / site).parent.mkdir(parents=True, exist_ok=True)
        if site.endswith(".md"):
            text = (root / source).read_text("utf-8")
            (target / site).write_text(page(source, text, where), "utf-8")
        else:
            shutil.copyfile(root / source, target / site)


def finish(site: Path) -> list[str]:
    """Mark the Chinese pages of a built site as such; give what it would fetch from elsewhere."""
    problems: list[str] = []
    for path in sorted(site.rglob("*")):
        if path.suffix not in {".html", ".css"}:
            continue
        text = path.read_text("utf-8")
        if path.name.endswith(f"{CHINESE}.html"):
            # A browser chooses the shapes of characters by it, a reader's voice too.
            text = re.sub(r'(<html\b[^>]*\blang=)"?en"?', r'\1"zh-CN"', text, count=1)
            path.write_text(text, "utf-8")
        name = path.relative_to(site).as_posix()
        fetched = (next(filter(None, found)) for found in OUTSIDE.findall(text))
        problems += [f"{name} fetches {address}" for address in fetched]
    return problems


def _lines(text: str) -> Iterator[tuple[str, bool]]:
    """Give each line, and whether it is code of its own; the fences are."""
    fence = ""
    for line in text.splitlines():
        found = _FENCE.match(line)
        if fence:
            yield line, True
            if found and found[1].startswith(fence):
                fence = ""
        elif found:
            fence = found[1]
            yield line, True
        else:
            yield line, False


def _headings(text: str) -> Iterator[str]:
    for line, is_code in _lines(text):
        if not is_code and (match := _HEADING.match(line)):
            yield match[2]


def _outside_code(line: str, change: Callable[[str], str]) -> str:
    """Change a line with its pieces of code hidden; they may stand within the words of a link."""
    pieces: list[str] = []

    def hide(match: re.Match[str]) -> str:
        pieces.append(match[0])
        return f"\0{len(pieces) - 1}\0"

    changed = change(_CODE.sub(hide, line))
    return re.sub("\0(\\d+)\0", lambda match: pieces[int(match[1])], changed)


def main(arguments: list[str]) -> int:
    """Lay out the pages, or finish the site; give the exit code."""
    match arguments:
        case ["lay-out", target]:
            lay_out(Path(target))
            return 0
        case ["finish", site]:
            problems = finish(Path(site))
            print("\n".join(problems) or SERVED.format(site=site))
            return 1 if problems else 0
    print(__doc__, file=sys.stderr)
    return 2


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
