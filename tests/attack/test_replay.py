"""What was heard on one connection is said again on another: what it is good for, and what not."""

from __future__ import annotations

from typing import Any

import pytest
from trio.testing import MockClock

from groupd.config import Limits
from groupd.errors import Rejected
from tests.e2e.raw import RawClient, request
from tests.server.bench import Bench, open_bench, settled

LIMITS = Limits()
DAY_MS = LIMITS.ids_window_ms


def head_of(bench: Bench, group: str) -> int:
    """Give how many events a group has."""
    (stream,) = (s for s in bench.store.streams(None, 100) if s.key == group)
    head = bench.store.head(stream)
    assert head is not None
    return head.seq


async def test_a_recorded_hello_is_worth_what_its_token_is_and_ends_with_it(
    autojump_clock: MockClock,
) -> None:
    """A token is a bearer token: whoever has it is the user. So it must end, and TLS hide it."""
    async with open_bench() as bench:
        token = bench.token("ann", expires_in_ms=60_000)
        hello = request(1, "hello", {"token": token})
        ann, eve = bench.connect(), bench.connect(address="10.0.0.2")
        for client in (ann, eve):
            await client.send_bytes(hello)
            assert (await client.answer(1))["user"] == "ann"
        # Each connection is a session of its own, and counts as one of the user's.
        assert len(bench.server.sessions) == 2
        bench.ports.clock.jump(60_000 + 11_000)  # type: ignore[attr-defined]
        late = bench.connect()
        await late.send_bytes(hello)
        with pytest.raises(Rejected, match="unauthenticated"):
            await late.answer(1)
        bench.ports.clock.jump(bench.server.services.limits.expiry_grace_ms)  # type: ignore[attr-defined]
        for client in (ann, eve):
            goodbye = await client.drain()
            assert goodbye is not None
            assert goodbye["code"] == "unauthenticated"


async def test_a_hello_is_recorded_in_no_log_line(
    autojump_clock: MockClock, capsys: pytest.CaptureFixture[str]
) -> None:
    async with open_bench() as bench:
        ann = bench.connect()
        token = bench.token("ann")
        await ann.hello(token, client="x")
        await ann.refusal("hello", token=token[:-4] + "AAAA")
    said = capsys.readouterr()
    for part in token.split("."):
        assert part not in said.out + said.err


async def test_a_recorded_request_of_another_user_has_no_effect_on_the_first_one(
    autojump_clock: MockClock,
) -> None:
    """The id is remembered for its user: nobody takes an answer, or a message, from another."""
    async with open_bench() as bench:
        ann, eve = await bench.enter("ann"), await bench.enter("eve")
        group = await bench.found(ann, eve)
        frame = request(70, "post", {"group": group, "text": "mine", "id": bench.id()})
        await ann.send_bytes(frame)
        first = await ann.answer(70)
        # Eve says the same bytes: that is a post of hers, and not one of Ann's again.
        await eve.send_bytes(frame)
        second = await eve.answer(70)
        assert second["seq"] == first["seq"] + 1
        page = await ann.ask("history", group=group, after=first["seq"] - 1)
        assert [event["user"] for event in page["events"]] == ["ann", "eve"]
        # And Ann's own retry still gets what it got.
        await ann.send_bytes(frame)
        assert await ann.answer(70) == first
        assert head_of(bench, group) == second["seq"]


async def test_an_id_that_another_one_has_used_first_stands_in_nobodys_way(
    autojump_clock: MockClock,
) -> None:
    """Eve has guessed, or overheard, an id before its request came."""
    async with open_bench() as bench:
        ann, eve = await bench.enter("ann"), await bench.enter("eve")
        group = await bench.found(ann, eve)
        taken = bench.id()
        await eve.ask("post", group=group, text="first!", id=taken)
        posted = await ann.ask("post", group=group, text="mine", id=taken)
        event = await ann.event("posted", seq=posted["seq"])
        assert (event["user"], event["text"]) == ("ann", "mine")


async def test_a_recorded_request_of_a_stranger_is_refused_as_his_own(
    autojump_clock: MockClock,
) -> None:
    async with open_bench() as bench:
        ann, eve = await bench.enter("ann"), await bench.enter("eve")
        group = await bench.found(ann)
        recorded: list[tuple[str, dict[str, Any]]] = [
            ("post", {"group": group, "text": "mine"}),
            ("update", {"group": group, "name": "Coffee"}),
            ("share_link", {"group": group}),
            ("dissolve", {"group": group}),
        ]
        for method, params in recorded[:-1]:
            frame = request(71, method, {**params, "id": bench.id()})
            await ann.send_bytes(frame)
            await ann.answer(71)
            await eve.send_bytes(frame)
            with pytest.raises(Rejected, match="not_member"):
                await eve.answer(71)
        head = head_of(bench, group)
        method, params = recorded[-1]
        refusal = await eve.refusal(method, **params, id=bench.id())
        assert refusal.details["reason"] == "not_member"
        assert head_of(bench, group) == head


async def replayed(client: RawClient, frame: bytes) -> Any:
    """Say a recorded request again; give the result or the refusal."""
    await client.send_bytes(frame)
    return await client.outcome(72)


async def test_an_old_frame_gets_its_first_answer_and_after_its_window_is_stale(
    autojump_clock: MockClock,
) -> None:
    async with open_bench() as bench:
        ann = await bench.enter("ann", expires_in_ms=10 * DAY_MS)
        group = await bench.found(ann)
        frame = request(72, "post", {"group": group, "text": "once", "id": bench.id()})
        first = await replayed(ann, frame)
        clock = bench.ports.clock
        clock.jump(DAY_MS - 60_000)  # type: ignore[attr-defined]
        assert await replayed(ann, frame) == first
        clock.jump(120_000)  # type: ignore[attr-defined]
        never_sent = request(
            72, "post", {"group": group, "text": "x", "id": bench.id(age_ms=DAY_MS)}
        )
        for number in range(1, 4):
            # With each thing that happens the server forgets what is too old, and only then.
            await ann.ask("post", group=group, text="another", id=bench.id())
            for old in (frame, never_sent):
                refusal = await replayed(ann, old)
                assert isinstance(refusal, Rejected)
                assert refusal.code == "stale_id"
            assert head_of(bench, group) == first["seq"] + number


async def test_a_request_that_was_recorded_before_a_leave_lets_nobody_back_in(
    autojump_clock: MockClock,
) -> None:
    """A join that is said again after a kick is answered as before, and joins nobody."""
    async with open_bench() as bench:
        ann, eve = await bench.enter("ann"), await bench.enter("eve")
        group = await bench.found(ann)
        frame = request(72, "join", {"group": group, "id": bench.id()})
        joined = await replayed(eve, frame)
        await ann.ask("ban", group=group, user="eve")
        assert await replayed(eve, frame) == joined
        assert (await eve.refusal("history", group=group)).details["reason"] == "not_member"
        assert (await eve.refusal("join", group=group)).details["reason"] == "banned"
        members = await ann.ask("members", group=group)
        assert [member["user"] for member in members["members"]] == ["ann"]
        await settled()
