"""Targets that take what the server gave out and a client hands back: codes of links, cursors."""

from __future__ import annotations

import atexit
import shutil
import tempfile
from functools import cache
from pathlib import Path
from random import Random
from types import SimpleNamespace
from typing import Any, Final

from groupd.config import Config, Limits
from groupd.domain.base import GROUP, Context, Fetched, Identity, Query, StreamKey
from groupd.domain.group.entry import find_link
from groupd.domain.group.links import LinkMade, OpenLink
from groupd.domain.group.state import Group
from groupd.domain.links import LinkKeys
from groupd.domain.projection import PutCard
from groupd.domain.queries import Nearby, Search
from groupd.engine.hub import rules_of
from groupd.engine.reads import Reader, finding
from groupd.errors import Rejected
from groupd.storage.memory import MemoryStore
from groupd.storage.port import Store
from groupd.storage.sqlite import SqliteStore
from groupd.testing.log_samples import append, do
from groupd.wire import codec, rpc
from tests.fuzz.corpus import CODE, NOW_MS, PLACE, VALUES
from tests.fuzz.mutate import malform
from tests.fuzz.target import Target, check_refusal

ANN: Final = Identity("ann", name="Ann", plan="ordinary")
_LIMITS: Final = rpc.FrameLimits.for_server(Limits())


# --- codes of links: only the code of a link finds it

KEYS: Final = LinkKeys({"k": b"x" * 32}, "k")
HALL: Final = StreamKey(GROUP, "", "G" * 16)


@cache
def _linked() -> tuple[Group, Context, frozenset[str]]:
    group = Group()
    writer, chain = codec.RecordWriter(HALL), codec.GENESIS
    for number in (1, 2, 3):
        event = LinkMade(link=number, key_id="k")
        record = writer.write(event, number, NOW_MS, "ann", "", 0, 0, b"", b"", chain)
        group.apply(record, event)
    context = Context(
        stream=HALL,
        caller=ANN,
        now_ms=NOW_MS,
        rules=rules_of(Config()),
        links=KEYS,
        new_group=lambda: "",
        fetched=Fetched(),
    )
    codes = (KEYS.code("", HALL.key, number, "k") for number in (1, 2, 3))
    return group, context, frozenset(code for code in codes if code is not None)


def make_code(random: Random) -> bytes:
    code = random.choice((*sorted(_linked()[2]), CODE))
    return malform(random, {"code": code}, VALUES)


def run_code(data: bytes) -> None:
    group, context, codes = _linked()
    unframer = rpc.Unframer(_LIMITS)
    for message in unframer.feed(rpc.response_prefix(1) + data):
        params = message.result if isinstance(message, rpc.Response) else None
        try:
            request = OpenLink.parse(params or {})
            assert type(request.address(None, ANN).key) is str
            find_link(group, request.code, context)
        except Rejected as refusal:
            check_refusal(refusal)
        else:
            assert request.code in codes, "a wrong code has found a link"


# --- cursors: whatever a client says to go on after, both stores say the same


@cache
def _stores() -> tuple[Store, Store]:
    folder = Path(tempfile.mkdtemp(prefix="groupd-fuzz-"))
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    both = (MemoryStore("one"), SqliteStore.open(folder, new_id=lambda: "one"))
    for store in both:
        for number, name in enumerate(("Tea", "Tea", "tea house", "茶", "Green tea 绿茶", "x y z")):
            card = {"name": name, "discoverable": True, "category": "tea" if number % 2 else ""}
            where = {"lat": 30.25 + number / 1_000, "lon": 120.0}
            do(
                store,
                append(
                    StreamKey(GROUP, "", f"{number}"),
                    1,
                    changes=[PutCard({**card, "location": where})],
                ),
            )
    return both


def make_cursor(random: Random) -> bytes:
    distance = random.choice(("", "0", "12.5", "1e-9", "999999999", "1e-999", "5.0e-300", "111.19"))
    number = random.choice((0, 1, 3, 2**53 - 1, 10**16 - 1))
    name = random.choice(("Tea", "", ":", "茶", "\u202e", "a:b:c", "x" * 128))
    cursor = f"{number}:{distance}:{name}"
    params: dict[str, Any] = random.choice(
        (
            {"query": "tea", "cursor": cursor},
            {"category": "tea", "cursor": cursor},
            {"near": {**PLACE, "radius_m": 5_000}, "cursor": cursor, "query": "茶"},
            {**PLACE, "radius_m": 100_000, "cursor": cursor},
        )
    )
    return malform(random, params, VALUES)


def run_cursor(data: bytes) -> None:
    unframer = rpc.Unframer(_LIMITS)
    for message in unframer.feed(rpc.response_prefix(1) + data):
        params = message.result if isinstance(message, rpc.Response) else None
        reads: tuple[tuple[type[Query], Reader], ...]
        reads = ((Search, finding.search), (Nearby, finding.nearby))
        for cls, read in reads:
            try:
                query = cls.parse(params or {})
            except Rejected as refusal:
                check_refusal(refusal)
                continue
            answers = [_asked(read, query, store) for store in _stores()]
            assert answers[0] == answers[1], "the stores differ"


def _asked(read: Reader, query: Query, store: Store) -> Any:
    """Give an answer, or the refusal as text, of a read that waits for nothing but the store."""

    async def ask(question: Any) -> Any:
        return question(store)

    shared: Any = SimpleNamespace(log=SimpleNamespace(read=ask), rules=rules_of(Config()))
    directory: Any = SimpleNamespace(shared=shared)
    waiting: Any = read(directory, ANN, ANN.account, query, None)
    try:
        waiting.send(None)
    except StopIteration as end:
        codec.pack(end.value)
        return end.value
    except Rejected as refusal:
        check_refusal(refusal)
        return str(refusal)
    raise AssertionError("it waits for something else")


TARGETS: Final = (
    Target("codes", "the codes of links", make_code, run_code, in_ci=5_000),
    Target("cursors", "where a search goes on", make_cursor, run_cursor, in_ci=4_000),
)
