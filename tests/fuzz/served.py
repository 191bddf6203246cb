"""A target that is a whole server in memory: what comes after a request was understood, too.

Slower by far than the others, and the only one that decides, stores, publishes and answers. What a
request does depends on those before it, so an input is several of them.
"""

from __future__ import annotations

from random import Random
from typing import Any, Final

import trio
import trio.testing
from structlog.testing import capture_logs

from groupd.errors import CODES
from groupd.testing.fakes import START_MS
from groupd.wire import rpc
from tests.fuzz.corpus import METHODS, VALUES, Scene, message_of
from tests.fuzz.mutate import change, encode
from tests.fuzz.target import Target
from tests.server.bench import Bench, open_bench, settled

REQUESTS_MAX: Final = 12
"""Requests of one input."""
_PLACEHOLDER: Final = "<the group of ann, bob and eve>"


def make_requests(random: Random) -> bytes:
    """Make some requests of a member; the group stands in them as a placeholder."""
    scene = Scene(groups=(_PLACEHOLDER,), token="none", now_ms=START_MS)
    parts = []
    for _ in range(random.randint(1, REQUESTS_MAX)):
        message = message_of(random, random.choice(METHODS), scene)
        if random.random() < 0.7:
            message[3][0] = change(random, message[3][0], VALUES)
        parts.append(encode(message))
    return b"".join(parts)


def run_requests(data: bytes) -> None:
    with capture_logs() as entries:
        trio.run(_converse, data, clock=trio.testing.MockClock(autojump_threshold=0))
    failed = [entry for entry in entries if entry["log_level"] in ("error", "critical")]
    assert not failed, _shown(failed[0])


def _shown(entry: Any) -> str:
    error = entry.get("exc_info")
    where = error.__traceback__ if isinstance(error, BaseException) else None
    while where is not None and where.tb_next is not None:
        where = where.tb_next
    name = where.tb_frame.f_code.co_qualname if where is not None else "?"
    return f"{entry['event']} {entry.get('method', '')}: {type(error).__name__} in {name}"


async def _converse(data: bytes) -> None:
    async with open_bench(rate_limits=False) as bench:
        ann, bob = await bench.enter("ann"), await bench.enter("bob")
        eve = await bench.enter("eve")
        group = await bench.found(ann, bob, eve)
        for client in (ann, bob, eve):
            await client.ask("post", group=group, text="hello")
        await ann.ask("update", group=group, join_policy="approval")
        await ann.ask("set_role", group=group, user="eve", role="admin")
        await _send(bench, data.replace(*_patch(group)))
        # Whatever was said: the others go on.
        await bob.ask("ping")
        await bob.ask("groups")


def _patch(group: str) -> tuple[bytes, bytes]:
    """Give what puts the group in the place of its placeholder, with the head of its length."""
    return encode(_PLACEHOLDER), encode(group)


async def _send(bench: Bench, data: bytes) -> None:
    link = bench.link()
    token = bench.token("eve")
    await link.send_all(rpc.encode_request(1, "hello", {"token": token}) + data)
    link.send_eof()
    unframer = rpc.Unframer(rpc.FrameLimits.for_client(bench.server.services.limits))
    while received := await link.receive_some(65_536):
        for message in unframer.feed(received):
            if isinstance(message, rpc.Response) and message.error is not None:
                assert message.error["code"] in CODES
    assert unframer.error is None
    await link.aclose()
    await settled()


TARGETS: Final = (
    Target("requests", "a whole server in memory", make_requests, run_requests, in_ci=80),
)
