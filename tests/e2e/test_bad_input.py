"""Nothing that is sent ends the process, makes it grow, or disturbs the others."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Any

import msgpack
import pytest
import trio

from groupd.errors import CODES
from groupd.server.link import LinkBroken
from tests.e2e.process import Groupd, Process, until
from tests.e2e.raw import RawClient, dial, request

VECTORS = Path(__file__).parent.parent.parent / "proto" / "vectors" / "bad.json"
ATTACKERS = 50
MIB = 2**20


def vectors() -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = json.loads(VECTORS.read_text())
    return found


async def farewell(client: RawClient, data: bytes) -> str:
    """Send something bad; give the code of the goodbye."""
    with suppress(LinkBroken):  # It may have seen enough before the end.
        await client.send_bytes(data)
    goodbye = await client.drain()
    assert goodbye is not None, "closed without a word"
    assert goodbye["code"] in CODES
    assert goodbye["message"]
    return str(goodbye["code"])


@asynccontextmanager
async def undisturbed(server: Process) -> AsyncIterator[None]:
    """Let five healthy clients chat for as long as the block runs."""
    async with server.enter_all([f"healthy{n}" for n in range(5)]) as clients:
        group = (await clients[0].ask("create", name="Calm"))["group"]
        for client in clients[1:]:
            await client.ask("join", group=group)
        over = trio.Event()
        counts = dict.fromkeys(range(5), 0)

        async def chat(number: int) -> None:
            while not over.is_set() or counts[number] < 3:
                await clients[number].ask("post", group=group, text=f"{number}")
                counts[number] += 1
                await trio.sleep(0.02)

        async with trio.open_nursery() as nursery:
            for number in range(5):
                nursery.start_soon(chat, number)
            yield
            over.set()
        posted = 0
        head = (await clients[0].ask("history", group=group))["head"]
        for client in clients:
            while not (events := client.events(group)) or events[-1]["seq"] < head:
                await client.receive()
            seqs = [event["seq"] for event in events]
            assert seqs == list(range(seqs[0], head + 1))
            assert client.goodbye is None
            posted = max(posted, len(events))
        assert sum(counts.values()) <= posted


async def test_every_bad_vector_gets_its_goodbye(groupd: Groupd) -> None:
    async with groupd.serving(None, *hasty(groupd)) as server, undisturbed(server):

        async def attack(vector: dict[str, Any]) -> None:
            parts = vector.get("repeat") or [[vector["hex"], 1]]
            data = b"".join(bytes.fromhex(text) * count for text, count in parts)
            if not vector.get("before_hello"):
                async with server.enter(f"eve {vector['name'][:50]}") as eve:
                    assert await farewell(eve, data) == vector["code"], vector["name"]
                    assert len(eve.answers) == vector.get("messages", 0)
            async with dial(server.url) as stranger:
                # Before hello the frames are smaller, so some end for this reason instead.
                assert await farewell(stranger, data) in (vector["code"], "too_large")

        async with trio.open_nursery() as nursery:
            for vector in vectors():
                nursery.start_soon(attack, vector)
        async with server.enter("eve") as eve:
            assert await eve.ask("ping")
        assert not server.complaints()


def hasty(groupd: Groupd) -> tuple[str, str]:
    """Configure short deadlines, for what would have to be waited for."""
    path = groupd.directory / "hasty.toml"
    path.write_text("[limits]\nhello_deadline_ms = 3000\nhalf_frame_deadline_ms = 1000\n")
    return "--config", str(path)


async def test_streams_that_break_off_leave_nothing_behind(groupd: Groupd) -> None:
    async with groupd.serving() as server:
        token = server.token("eve")
        script = b"".join(
            request(*item)
            for item in (
                (1, "hello", {"token": token}),
                (2, "create", {"name": "x"}),
                (3, "groups", {}),
            )
        )
        async with undisturbed(server):
            before = server.descriptors()
            for end in range(0, len(script), 9):
                async with dial(server.url) as client:
                    await client.send_bytes(script[:end])
                    if end % 2:
                        client.link.send_eof()
                        await client.drain()
            await until(lambda: server.descriptors() <= before)
        assert not server.complaints()


def nested(depth: int) -> bytes:
    return b"\x94\x00\x01\xa4ping\x91\x81\xa1a" + b"\x91" * depth + b"\xc0"


BOMBS = {
    "half a frame": b"\x94\x00\x01\xa4ping\x91\x81\xa1a\xda\xff\x00" + b"x" * 60_000,
    "nested heads": b"\x94\x00\x01\xa4ping\x91\x81\xa1a" + b"\xdd\x00\x0f\xff\xff" * 12_000,
    "deep nest": nested(60_000),
    "empty maps": b"\x94\x00\x01\xa4ping\x91\x81\xa1a\xdc\x04\x00"
    + (b"\xdc\x00\x3b" + b"\x80" * 59) * 1_024,
    "an array of 4 billion": b"\xdd\xff\xff\xff\xff" + b"\x80" * 60_000,
    "a map of 4 billion": b"\xdf\xff\xff\xff\xff" + b"\xa1a\x80" * 20_000,
    "a string of 4 GB": b"\xdb\xff\xff\xff\xff" + b"x" * 60_000,
    "ext of 4 GB": b"\xc9\xff\xff\xff\xff\x01" + b"x" * 60_000,
}


@pytest.mark.parametrize("bomb", BOMBS)
async def test_a_bomb_costs_less_than_a_megabyte_a_connection(groupd: Groupd, bomb: str) -> None:
    options = ("--no-rate-limits", *hasty(groupd))
    async with groupd.serving(None, *options) as server, undisturbed(server):
        # Once before, so that what is loaded and cached for the first time is not counted.
        for _ in range(3):
            async with server.enter("eve") as eve:
                await eve.send_bytes(BOMBS[bomb][:-1])
        async with server.enter_all(["eve"] * ATTACKERS) as attackers:
            before = server.status_bytes("VmRSS")

            async def attack(client: RawClient) -> None:
                with suppress(LinkBroken):
                    await client.send_bytes(BOMBS[bomb])
                    await client.send_bytes(b"\xc1" * 100)

            async with trio.open_nursery() as nursery:
                for attacker in attackers:
                    nursery.start_soon(attack, attacker)
            async with server.enter("ann") as ann:
                await ann.ask("ping")
            grown = server.status_bytes("VmHWM") - before
            assert grown < ATTACKERS * MIB, f"{grown / ATTACKERS / MIB:.2f} MiB for each"
            for attacker in attackers:
                if bomb != "empty maps":
                    assert await attacker.drain() is not None
        assert not server.complaints()


async def test_stalled_readers_that_ask_for_pages_cost_a_bounded_amount(groupd: Groupd) -> None:
    """Each asks for a thousand pages of 200 kB and reads none of them."""
    async with groupd.serving(None, "--no-rate-limits") as server:
        async with server.enter("ann", events=False) as ann:
            group = (await ann.ask("create", name="Tea"))["group"]
            for _ in range(50):
                await ann.ask("post", group=group, text="x" * 4_000)
            async with server.enter_all(["ann"] * 20, events=False) as attackers:
                before = server.status_bytes("VmRSS")
                flood = b"".join(request(n, "history", {"group": group}) for n in range(1_000))
                for attacker in attackers:
                    await attacker.send_bytes(flood)
                await server.memory_at_rest()
                grown = server.status_bytes("VmHWM") - before
                assert grown < len(attackers) * MIB, f"{grown / len(attackers) / MIB:.2f} MiB each"
        assert not server.complaints()


async def test_what_waits_behind_a_stalled_reader_is_not_kept_decoded(groupd: Groupd) -> None:
    """A read full of pages to make and then of a bomb: decoded, it would be 70 times as large."""
    async with (
        groupd.serving(None, "--no-rate-limits") as server,
        server.enter("ann", events=False) as ann,
    ):
        group = (await ann.ask("create", name="Tea"))["group"]
        for _ in range(60):
            await ann.ask("post", group=group, text="x" * 4_000)
        async with server.enter_all(["ann"] * 20, events=False) as attackers:
            flood = b"".join(request(n, "history", {"group": group}) for n in range(1, 10))
            for n in range(10, 25):
                flood += request(n, "ping", {"a": [[{}] * 1_000] * 4})
            before = server.status_bytes("VmRSS")
            for attacker in attackers:
                await attacker.send_bytes(flood)
            grown = await server.memory_at_rest() - before
            assert grown < len(attackers) * MIB, f"{grown / len(attackers) / MIB:.2f} MiB each"


async def test_what_an_idle_client_has_sent_is_not_kept(groupd: Groupd) -> None:
    async with (
        groupd.serving(None, "--no-rate-limits") as server,
        server.enter_all(["eve"] * ATTACKERS) as attackers,
    ):
        await attackers[0].send("ping", a=[[{}] * 1_000] * 60)
        before = server.status_bytes("VmRSS")
        for attacker in attackers:
            await attacker.ask("ping", a=[[{}] * 1_000] * 60)
        grown = server.status_bytes("VmRSS") - before
        assert grown < ATTACKERS * MIB / 4, f"{grown / ATTACKERS / MIB:.2f} MiB for each"


async def test_garbage_of_every_kind_is_survived(groupd: Groupd) -> None:
    pieces = [
        msgpack.packb(value)
        for value in (
            [0, 5, "post", [{"group": "x", "text": "\N{NULL}"}]],
            [0, 6, "history", [{"group": {"a": 1}}]],
            [0, 7, "create", [{"name": ["x"], "data": {"a": {"b": [1, 2, None]}}}]],
            [0, 8, "sync", [{"cursors": {"x": -1}}]],
            [0, 9, "read", [{"group": "x", "seq": 2**63}]],
            [0, 10, "join", [{"code": "x" * 128}]],
            [0, 11, "hello", [{"token": 5}]],
            [2, "nothing", [{}]],
        )
    ]
    async with groupd.serving() as server, undisturbed(server):
        for start in range(len(pieces)):
            async with server.enter("eve") as eve:
                stream = b"".join(pieces[start:] + pieces[:start])
                for cut in range(1, len(stream), 17):
                    stream = stream[:cut] + bytes([stream[cut] ^ (1 << start)]) + stream[cut + 1 :]
                with suppress(LinkBroken):
                    await eve.send_bytes(stream)
                eve.link.send_eof()
                await eve.drain()
        assert not server.complaints()


async def test_after_a_leave_a_stalled_session_gets_nothing_later(groupd: Groupd) -> None:
    """With real sockets: what was kept for a full one holds nothing from after the leave."""
    async with (
        groupd.serving(None, "--no-rate-limits") as server,
        server.enter_all(["ann", "eve", "eve"]) as (ann, phone, stalled),
    ):
        group = (await ann.ask("create", name="Tea", members=["eve"]))["group"]
        # More than the kernel takes for one reader, and then more than a backlog.
        for _ in range(300):
            await ann.exchange([("post", {"group": group, "text": "x" * 5_000})] * 5)
            ann.pushes.clear()
        first = await ann.send("post", group=group, text="before")
        left = await phone.send("leave", group=group)
        last = [await ann.send("post", group=group, text="after") for _ in range(50)]
        gone = (await phone.answer(left))["seq"]
        await ann.answer(first)
        assert (await ann.answer(last[-1]))["seq"] > gone
        for client in (phone, stalled):
            await client.ask("ping")
            seqs = [event["seq"] for event in client.events(group)]
            assert seqs == sorted(set(seqs))
            assert all(seq <= gone for seq in seqs)
            for method, params in client.pushes:
                assert method != "lagged" or params["head"] <= gone
        assert len(stalled.events(group)) < 1_500, "it was never stalled"
