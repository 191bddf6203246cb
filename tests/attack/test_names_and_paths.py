"""Words that somebody chooses: they write no log entry, turn no text around, and name no file."""

from __future__ import annotations

import json
import unicodedata
from collections.abc import Iterator, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any, Final

import attrs
import pytest
from trio.testing import MockClock

from groupd.app import auth_secret, link_keys
from groupd.config import Config
from groupd.domain import fields
from groupd.domain.base import Request
from groupd.domain.catalog import REQUESTS
from groupd.errors import Rejected
from tests.attack.rig import operator_of
from tests.e2e.process import Groupd
from tests.e2e.raw import RawClient
from tests.server.bench import open_bench

TURNED: Final = tuple("\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069")
"""Characters that turn the direction of what follows."""
BREAKS: Final = tuple("\n\r\v\f\x85\u2028\u2029\t")
CONTROLS: Final = tuple("\0\x07\x08\x1b\x7f\x9b")
MARKS: Final = "\u0301" * 31
HOSTILE: Final = (*TURNED, *BREAKS, *CONTROLS)

PATHS: Final = (
    "../../../../etc/passwd",
    "/etc/passwd",
    "..",
    ".",
    "../groupd.sqlite",
    "..%2f..%2fsecret",
    "....//....//secret",
    "secret",
    "link-keys.json",
    "C:\\secret",
    "~/secret",
    "file:///etc/passwd",
    "a/../../b",
    "$(touch pwned)",
    "pwned; touch pwned",
)


def string_parameters() -> Iterator[tuple[type[Request], attrs.Attribute[Any]]]:
    """Give every parameter of the users' methods that takes a string of one's own choice."""
    for cls in REQUESTS.values():
        if cls.operator:
            continue
        for field in attrs.fields(cls):  # type: ignore[arg-type]
            if field.metadata.get("type") in ("string", "text", "user", "group"):
                yield cls, field


def name_of(field: attrs.Attribute[Any]) -> str:
    return field.alias or field.name


PARAMETERS: Final = [
    pytest.param(field, id=f"{cls.method}.{name_of(field)}") for cls, field in string_parameters()
]


def taken(field: attrs.Attribute[Any], value: str) -> str | None:
    """Give what a parameter makes of a value, or None where it is refused."""
    try:
        made = field.metadata[fields.CHECK](value, name_of(field))
    except Rejected:
        return None
    assert isinstance(made, str)
    return made


@pytest.mark.parametrize("field", PARAMETERS)
def test_no_parameter_takes_what_reaches_over_its_own_place(field: attrs.Attribute[Any]) -> None:
    for bad in HOSTILE:
        made = taken(field, f"a{bad}b")
        if made is None:
            continue
        # Texts of several lines have these; they stand alone, and not in a list of names.
        assert field.metadata["type"] == "text", f"{bad!a} is taken"
        assert bad not in CONTROLS, f"{bad!a} is taken"
    assert taken(field, "a\ud800b") is None


@pytest.mark.parametrize("field", PARAMETERS)
def test_every_parameter_is_bounded_before_it_is_composed(field: attrs.Attribute[Any]) -> None:
    assert taken(field, "x" * 60_000) is None
    # The id of a user, or of a group, is compared as it is, and not composed.
    if field.metadata["type"] in ("string", "text"):
        assert taken(field, f"e{MARKS}") is None


def test_names_that_look_alike_in_two_forms_are_one() -> None:
    for one, other in (("\u00e9", "e\u0301"), ("\uac00", "\u1100\u1161"), ("\u212b", "\u00c5")):
        assert unicodedata.normalize("NFC", one) == unicodedata.normalize("NFC", other)
        for clean in (fields.clean_name, fields.clean_text):
            assert clean(one, "name", max_chars=60) == clean(other, "name", max_chars=60)


@pytest.mark.parametrize("claim", ["name", "picture", "region", "gender", "sub", "tenant"])
@pytest.mark.parametrize("bad", HOSTILE)
async def test_a_token_brings_no_such_name_either(
    autojump_clock: MockClock, claim: str, bad: str
) -> None:
    """The host has signed it, but its users chose their names there."""
    async with open_bench() as bench:
        client = bench.connect()
        claims = {"user" if claim == "sub" else claim: f"a{bad}b"}
        token = bench.token(**{"user": "ann", **claims})
        refusal = await client.refusal("hello", token=token)
        assert refusal.code == "unauthenticated"
        assert bad not in refusal.message


# --- the log


async def provoke(client: RawClient, bad: str) -> None:
    """Say something in every place of which the log might tell."""
    for method, params in (
        (bad, {}),
        ("hello", {"token": bad, "client": bad}),
        ("info", {"group": bad}),
        ("post", {"group": bad, "text": bad, "id": bad}),
        ("profile", {"user": bad}),
    ):
        await client.outcome(await send(client, method, params))


async def send(client: RawClient, method: str, params: Mapping[str, Any]) -> int:
    msgid, frame = client.frame(method, dict(params))
    await client.send_bytes(frame)
    return msgid


async def test_nothing_that_is_said_writes_an_entry_of_its_own(groupd: Groupd) -> None:
    forged = '\n{"event": "forged", "level": "error", "user": "root"}\n'
    bad = ("\x1b[2J\x1b]0;owned\x07", "\r\x08\x7f", "\u202etxet", "\u2028x\u2029")
    # What names may hold, a log line must bear: quotes, and braces, and what looks like an entry.
    users = ('{"event": "forged"}', "a [info     ] forged", '"', "\\n", "%s %(x)s {0}", "\u05d0")
    async with groupd.serving() as server:
        for user in users:
            async with server.enter(user, client=f"{user} client") as client:
                for text in (forged, *bad):
                    with suppress(EOFError):
                        await provoke(client, text)
        lines = server._log.read_text().splitlines()
        begun = next(n for n, line in enumerate(lines) if line.startswith("{"))
        entries = [json.loads(line) for line in lines[begun:]]
        assert all(line.isprintable() for line in lines[begun:])
        assert {entry["event"] for entry in entries} <= {"serving", "hello", "goodbye"}
        hellos = [entry for entry in entries if entry["event"] == "hello"]
        assert {entry["user"] for entry in hellos} == set(users)
        assert not server.complaints()


# --- files


def tree(directory: Path) -> set[str]:
    """Give all files below a directory."""
    return {str(path.relative_to(directory)) for path in directory.rglob("*")}


async def test_no_word_becomes_a_path(groupd: Groupd) -> None:
    """Whatever is sent, the server writes the files that it has, where it has them."""
    async with groupd.serving() as server:
        async with server.enter("warm up") as client:
            await client.ask("create", name="x")
        before = tree(groupd.directory)
        for word in PATHS:
            async with server.enter(word, client=word) as client:
                made = await client.ask("create", name=word, ref=word, description=word)
                group = made["group"]
                for method, params in (
                    ("update", {"time_zone": word}),
                    ("update", {"picture": word, "category": word}),
                    ("post", {"text": word, "card": {"type": word, "url": "https://x.example"}}),
                    ("share_link", {"channel": word}),
                    ("react", {"seq": 1, "reaction": word[:16]}),
                    ("info", {"group": word}),
                    ("history", {"group": word}),
                    ("join", {"code": word}),
                    ("search", {"query": word}),
                    ("profile", {"user": word}),
                    ("explain", {"method": word}),
                ):
                    outcome = await client.outcome(
                        await send(client, method, {"group": group, **params})
                    )
                    if isinstance(outcome, Rejected):
                        assert outcome.code in ("bad_request", "not_found"), (method, word)
                        assert "root:" not in str(outcome)
            async with operator_of(server) as operator:
                for params in ({"group": word}, {"group": "x", "tenant": word}):
                    assert (await operator.refusal("operator_log", **params)).code == "not_found"
                page = await operator.ask("operator_log", group=word, account=True)
                assert page["head"] >= 1
                check = await operator.refusal("operator_check", after=[word])
                assert check.code == "bad_request"
        assert tree(groupd.directory) == before
        assert not server.complaints()


@pytest.mark.parametrize(
    "word",
    [*PATHS, "", "Asia", "Asia/", "tzdata.zi", "__init__.py", "a\0b", "\u00e9" * 128, "x" * 128],
)
async def test_a_time_zone_is_one_of_the_known_ones_and_no_other_file(
    autojump_clock: MockClock, word: str
) -> None:
    """The one parameter whose word names a file: the module of time zones looks there alone."""
    async with open_bench() as bench:
        ann = await bench.enter("ann")
        group = await bench.found(ann)
        for _ in range(2):
            refusal = await ann.refusal("update", group=group, time_zone=word)
            assert (refusal.code, refusal.details.get("field")) == ("bad_request", "time_zone")
        await ann.ask("update", group=group, time_zone="Asia/Shanghai")


def test_secrets_lie_in_files_for_their_owner_alone(tmp_path: Path) -> None:
    data = tmp_path / "data"
    auth_secret(Config(data=str(data)), make=True)
    link_keys(data)
    assert {path.name for path in data.iterdir()} == {"secret", "link-keys.json"}
    assert data.stat().st_mode & 0o777 == 0o700
    for path in data.iterdir():
        assert path.stat().st_mode & 0o777 == 0o600
