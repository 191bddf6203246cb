"""The house rules that a machine can check. Each check is also shown a sample that breaks it.

A check takes the name of a module and its source, and gives what is wrong, one line each. Names
are written without ``groupd.``: ``engine.actor``; the package's own ``__init__`` is ``""``.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Final

import pytest

SRC: Final = Path(__file__).parent.parent / "src" / "groupd"

LINES_MAX: Final = 450

_BASE: Final = ("errors", "config")
_RULES: Final = (*_BASE, "native", "domain", "wire")
_ENGINE: Final = (*_RULES, "features", "storage.port", "storage.audit_port", "storage.log")
_SERVER: Final = (*(*_ENGINE, "storage.backup", "storage.verify", "engine", "auth", "version"),)
_FOR_CLIENTS: Final = (
    *("engine.calls", "engine.nursery", "engine.ports", "engine.results", "server.link"),
)
_EVERYTHING: Final = (*_SERVER, "storage", "server", "web", "client", "testing")

MAY_IMPORT: Final[dict[str, tuple[str, ...]]] = {
    "errors": (),
    "version": (),
    "config": (
        *("errors", "config_auth", "config_web", "config_webhooks", "config_words"),
        "config_checks",
    ),
    "config_auth": ("errors", "config_checks"),
    "config_web": ("errors", "config_checks"),
    "config_webhooks": ("errors", "config_checks"),
    "config_words": ("errors", "config_checks"),
    "config_checks": ("errors",),
    "config_file": _BASE,
    "telemetry": ("errors",),
    "garbage": (),
    "native": (),
    "domain": (*_BASE, "native"),
    "wire": (*_BASE, "native", "domain"),
    "features": _RULES,
    "auth": (*_BASE, "domain"),
    "storage": _RULES,
    "engine": _ENGINE,
    "server": _SERVER,
    "web": (*_SERVER, "server", "config_web", "testing.schema"),
    "client": (
        *_RULES,
        "engine.calls",
        "engine.nursery",
        "engine.ports",
        "engine.results",
        "server.certificates",
        "server.link",
        "server.tls",
        "system",
    ),
    "loadtest": (*_RULES, "engine.nursery", "client"),
    "testing": _EVERYTHING,
    "data_files": (*_RULES, "web.keys"),
    "system": ("engine.ports",),
    "doors": (*_EVERYTHING, "config_web", "data_files", "system"),
    "app": (*_EVERYTHING, "doors", "config_file", "telemetry", "garbage", "data_files", "system"),
    "cli": (
        *(*_EVERYTHING, "config_web", "loadtest", "config_file", "telemetry", "garbage"),
        *("app", "data_files", "system"),
    ),
    "": (*_EVERYTHING, "app"),
}
"""Imports point down: what each part of the package may import beside itself."""

PURE: Final = ("domain", "features", "wire")
IMPURE: Final = (
    "trio", "asyncio", "structlog", "logging", "apsw", "sqlite3", "os", "time", "random", "uuid",
    "uuid_utils", "secrets", "socket", "threading",
)  # fmt: skip
"""What a pure part never imports: time and randomness enter through ``Context``."""

SOURCES_OF_CHANCE: Final = (
    "time", "random", "uuid", "uuid_utils", "secrets", "socket", "threading", "os.urandom",
    "datetime.now", "datetime.utcnow", "datetime.today", "date.today", "trio.to_thread",
)  # fmt: skip
"""What makes two runs differ. Only the edges of the program touch it, so that a simulation can
stand in for each of them."""
EDGES: Final = (
    *("storage", "server.addresses", "server.link", "system", "app", "data_files"),
    *("client.thread", "testing.simulation"),
)
"""A simulation draws everything from a seed, with generators of its own."""

ONLY_HOME: Final = {
    "ahocorasick_rs": ("domain.word_list",),
    "apsw": ("storage",),
    "joserfc": ("auth",),
    "cattrs": ("config_file",),
    "h11": ("server.http",),
    "websockets": ("server.websocket",),
    "httpx": ("auth.http_keys", "web.posting"),
    "prompt_toolkit": ("cli.chat",),
    "segno": ("cli.chat.qr", "web.share"),
}
"""Libraries that one part alone knows, so that they can be replaced there. Of httpx, two adapters:
one fetches, one posts."""

_MUTABLE: Final = (ast.List, ast.Dict, ast.Set, ast.ListComp, ast.DictComp, ast.SetComp)
_MAKERS: Final = ("list", "dict", "set", "bytearray", "deque", "defaultdict", "Counter")
_MARK: Final = re.compile(r"#.*\b(TO" + r"DO|FIX" + r"ME|XX" + r"X)\b")

Check = Callable[[str, str], Iterator[str]]


# --- the checks


def imports_point_down(module: str, source: str) -> Iterator[str]:
    part = module.partition(".")[0]
    if part not in MAY_IMPORT:
        yield f"{module}: its part of the package has no row in MAY_IMPORT"
        return
    for name in imported(source):
        if name.startswith("."):
            yield f"{module}: relative import"
        elif is_in(name, ("groupd",)):
            target = name.removeprefix("groupd").removeprefix(".")
            # One feature does not know of another.
            own = module if part == "features" else part
            if not target or not (is_in(target, (own,)) or is_in(target, MAY_IMPORT[part])):
                yield f"{module} imports {name}"


def rules_are_pure(module: str, source: str) -> Iterator[str]:
    if is_in(module, PURE):
        yield from (f"{module} imports {n}" for n in imported(source) if is_in(n, IMPURE))
        if any(isinstance(node, ast.Await | ast.AsyncFunctionDef) for node in nodes(source)):
            yield f"{module} is async"


def chance_enters_at_the_edges(module: str, source: str) -> Iterator[str]:
    if not is_in(module, EDGES):
        used = [*imported(source), *dotted(source)]
        yield from (f"{module} uses {name}" for name in used if is_in(name, SOURCES_OF_CHANCE))


def libraries_have_one_home(module: str, source: str) -> Iterator[str]:
    for name in imported(source):
        home = ONLY_HOME.get(name.partition(".")[0])
        if home is not None and not is_in(module, (*home, "testing")):
            yield f"{module} imports {name}, which only {home} does"


def modules_keep_no_state(module: str, source: str) -> Iterator[str]:
    for statement in top_level(ast.parse(source).body):
        if isinstance(statement, ast.Assign):
            targets, final = statement.targets, False
        elif isinstance(statement, ast.AnnAssign):
            targets, final = [statement.target], "Final" in ast.unparse(statement.annotation)
        else:
            continue
        for target in targets:
            name = ast.unparse(target)
            constant = final or name.isupper() or name.startswith("__")
            if not constant and makes_mutable(statement.value):
                yield f"{module}: module-level {name} can change"
    yield from (f"{module}: global" for node in nodes(source) if isinstance(node, ast.Global))


def files_are_short(module: str, source: str) -> Iterator[str]:
    count = source.count("\n")
    if count > LINES_MAX:
        yield f"{module} has {count} lines; it is asking to be two"


def nothing_is_left_undone(module: str, source: str) -> Iterator[str]:
    for number, line in enumerate(source.splitlines(), 1):
        if _MARK.search(line):
            yield f"{module}, line {number}: {line.strip()}"


def the_error_tree_is_drawn(module: str, source: str) -> Iterator[str]:
    if module == "errors":
        drawn, real = drawn_tree(source), real_tree(source)
        for name in drawn.keys() | real.keys():
            if drawn.get(name) != real.get(name):
                yield f"{name}: drawn below {drawn.get(name)}, but is below {real.get(name)}"


CHECKS: Final[tuple[Check, ...]] = (
    imports_point_down,
    rules_are_pure,
    chance_enters_at_the_edges,
    libraries_have_one_home,
    modules_keep_no_state,
    files_are_short,
    nothing_is_left_undone,
    the_error_tree_is_drawn,
)

# --- what they look at


def is_in(name: str, parts: tuple[str, ...]) -> bool:
    """Tell whether a dotted name is one of these, or inside one."""
    return any(name == part or name.startswith(f"{part}.") for part in parts)


def nodes(source: str) -> Iterator[ast.AST]:
    yield from ast.walk(ast.parse(source))


def imported(source: str) -> Iterator[str]:
    """Give the dotted names that a source imports, in functions and for type checking too."""
    for node in nodes(source):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            start = "." * node.level + (node.module or "")
            yield from (f"{start}.{alias.name}" for alias in node.names)


def dotted(source: str) -> Iterator[str]:
    """Give the last two parts of every dotted expression: ``datetime.datetime.now`` as well."""
    for node in nodes(source):
        if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name | ast.Attribute):
            inner = node.value
            yield f"{inner.id if isinstance(inner, ast.Name) else inner.attr}.{node.attr}"


def top_level(body: list[ast.stmt]) -> Iterator[ast.stmt]:
    """Give the statements that run at import."""
    for statement in body:
        yield statement
        if isinstance(statement, ast.If | ast.Try | ast.With | ast.For | ast.While):
            for inner in ("body", "orelse", "finalbody"):
                yield from top_level(getattr(statement, inner, []))


def makes_mutable(value: ast.expr | None) -> bool:
    if isinstance(value, ast.Call):
        return ast.unparse(value.func).rpartition(".")[2] in _MAKERS
    return isinstance(value, _MUTABLE)


def drawn_tree(source: str) -> dict[str, str]:
    """Give class -> base as the docstring draws them."""
    tree: dict[str, str] = {}
    above: list[tuple[int, str]] = []
    for line in (ast.get_docstring(ast.parse(source), clean=False) or "").splitlines():
        found = re.match(r"([│ ]*[├└]── |    )([A-Z]\w+)", line)
        if found is None:
            continue
        indent, name = len(found[1]), found[2]
        above = [(column, base) for column, base in above if column < indent]
        tree[name] = above[-1][1] if above else "Exception"
        above.append((indent, name))
    return tree


def real_tree(source: str) -> dict[str, str]:
    """Give class -> base as they are."""
    classes = [node for node in nodes(source) if isinstance(node, ast.ClassDef)]
    return {node.name: ", ".join(map(ast.unparse, node.bases)) for node in classes}


def name_of(file: Path) -> str:
    parts = file.relative_to(SRC).with_suffix("").parts
    return ".".join(part for part in parts if part != "__init__")


# --- the tests


@pytest.mark.parametrize("check", CHECKS)
def test_the_package_is_tidy(check: Check) -> None:
    files = sorted(SRC.rglob("*.py"))
    assert files
    problems = [line for file in files for line in check(name_of(file), file.read_text("utf-8"))]
    assert not problems, "\n".join(problems)


TREE = '"""Errors.\n\n    RootError\n    ├── One\n    │   └── Inner\n    └── Two\n"""\n'
CLASSES = "class RootError(Exception): ...\nclass One(RootError): ...\nclass Inner(One): ...\n"

SAMPLES: Final[list[tuple[Check, str, str]]] = [
    (imports_point_down, "domain.group.state", "from groupd.wire import codec"),
    (imports_point_down, "domain.group.state", "from groupd.wire.codec import encode"),
    (imports_point_down, "domain.base", "def f():\n    import groupd.engine.actor"),
    (imports_point_down, "wire.rpc", "if TYPE_CHECKING:\n    from groupd.server.link import Link"),
    (imports_point_down, "errors", "from groupd.config import Config"),
    (imports_point_down, "native", "from groupd.domain.base import Record"),
    (imports_point_down, "config", "from groupd import telemetry"),
    (imports_point_down, "domain.base", "from groupd.config_file import load_config"),
    (imports_point_down, "storage.sqlite", "from groupd.engine.actor import Actor"),
    (imports_point_down, "engine.hub", "from groupd.storage.sqlite import SqliteStore"),
    (imports_point_down, "engine.hub", "from groupd.storage import sqlite"),
    (imports_point_down, "auth.tokens", "from groupd.storage.port import Store"),
    (imports_point_down, "engine.actor", "from groupd.auth import TokenVerifier"),
    (imports_point_down, "client.client", "from groupd.server.session import Session"),
    (imports_point_down, "server.session", "from groupd.client import connect"),
    (imports_point_down, "loadtest.run", "from groupd.server.link import Link"),
    (imports_point_down, "server.session", "import groupd"),
    (imports_point_down, "server.session", "from groupd import connect"),
    (imports_point_down, "testing.simulation", "from groupd.app import serve"),
    (imports_point_down, "app", "from groupd.cli import main"),
    (imports_point_down, "features.poll", "from groupd.features.lottery import Draw"),
    (imports_point_down, "engine.actor", "from . import outlet"),
    (imports_point_down, "extras.thing", ""),
    (rules_are_pure, "domain.base", "import trio"),
    (rules_are_pure, "wire.rpc", "from time import monotonic"),
    (rules_are_pure, "features.poll", "def f():\n    import random"),
    (rules_are_pure, "domain.group.state", "async def f(): ..."),
    (chance_enters_at_the_edges, "engine.timers", "import time"),
    (chance_enters_at_the_edges, "cli", "from secrets import token_hex"),
    (chance_enters_at_the_edges, "auth.tokens", "import os\nkey = os.urandom(32)"),
    (chance_enters_at_the_edges, "auth.tokens", "from os import urandom"),
    (chance_enters_at_the_edges, "cli", "import datetime\nx = datetime.datetime.now(tz)"),
    (chance_enters_at_the_edges, "cli", "from datetime import date\nx = date.today()"),
    (chance_enters_at_the_edges, "server.session", "await trio.to_thread.run_sync(f)"),
    (chance_enters_at_the_edges, "server.session", "from trio import to_thread"),
    (chance_enters_at_the_edges, "server.links", "import socket"),
    (libraries_have_one_home, "engine.actor", "import apsw"),
    (libraries_have_one_home, "server.session", "from joserfc.errors import JoseError"),
    (libraries_have_one_home, "domain.base", "import cattrs"),
    (modules_keep_no_state, "engine.actor", "cache = {}"),
    (modules_keep_no_state, "engine.actor", "cache: dict[str, int] = dict()"),
    (modules_keep_no_state, "engine.actor", "if True:\n    waiting = collections.deque()"),
    (modules_keep_no_state, "engine.actor", "def f():\n    global count\n    count = 1"),
    (files_are_short, "engine.actor", "x = 1\n" * (LINES_MAX + 1)),
    (nothing_is_left_undone, "engine.actor", "x = 1  # TO" + "DO: more"),
    (the_error_tree_is_drawn, "errors", TREE + CLASSES),
    (the_error_tree_is_drawn, "errors", TREE + CLASSES + "class Two(One): ..."),
    (the_error_tree_is_drawn, "errors", CLASSES),
    (
        the_error_tree_is_drawn,
        "errors",
        TREE + CLASSES + "class Two(RootError): ...\nclass Three(Two): ...",
    ),
]


@pytest.mark.parametrize(("check", "module", "source"), SAMPLES)
def test_a_check_finds_what_it_is_for(check: Check, module: str, source: str) -> None:
    assert list(check(module, source))


def test_every_check_has_been_shown_to_fail() -> None:
    assert {check for check, _, _ in SAMPLES} == set(CHECKS)


@pytest.mark.parametrize(
    ("module", "source"),
    [
        ("engine.actor", "from groupd.storage.port import Store\nimport trio"),
        ("engine.actor", "from groupd.storage import log\nfrom groupd.domain import base"),
        ("client.client", "from groupd.server.link import Link\nfrom groupd.server import link"),
        ("storage.log", "import threading\nimport apsw\nfrom groupd.wire.codec import decode"),
        ("server.link", "import socket"),
        ("app", "import time\nfrom groupd.config_file import load_config"),
        ("domain.base", "LIMIT = {}\n_names: Final = {}\n__all__ = ['a']\nx = ()\n# done"),
        ("", "from groupd.app import open_hub"),
        ("errors", TREE + CLASSES + "class Two(RootError): ..."),
    ],
)
def test_what_is_in_order_passes(module: str, source: str) -> None:
    assert [line for check in CHECKS for line in check(module, source)] == []
