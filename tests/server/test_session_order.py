"""What one connection sends takes effect in the order sent, also by way of an account."""

from __future__ import annotations

from trio.testing import MockClock

from tests.e2e.raw import RawClient, codes
from tests.server.bench import open_bench, settled


async def test_a_post_pipelined_behind_a_join_finds_its_author_joined(
    autojump_clock: MockClock,
) -> None:
    async with open_bench(delay=lambda: 3) as bench:
        ann = await bench.enter("ann")
        group = await bench.found(ann)
        bob = await bench.enter("bob")
        outcomes = await bob.exchange(
            [
                ("join", {"group": group}),
                ("post", {"group": group, "text": "hello"}),
                ("leave", {"group": group}),
                ("post", {"group": group, "text": "still here?"}),
                ("join", {"group": group}),
                ("post", {"group": group, "text": "again"}),
            ]
        )
        assert codes(outcomes) == {"ok": 5, "forbidden": 1}
        said = (await bob.ask("history", group=group))["events"]
        kinds = [event["kind"] for event in said]
        assert kinds == ["created", "joined", "joined", "posted", "left", "joined", "posted"]


async def test_nothing_after_a_kick_reaches_the_kicked_not_even_of_the_same_batch(
    autojump_clock: MockClock,
) -> None:
    async with open_bench() as bench:
        ann, bob, cy = [await bench.enter(user) for user in ("ann", "bob", "cy")]
        group = await bench.found(ann, bob, cy)
        # One segment, so one batch: a post, the kick, and more.
        await ann.exchange(
            [
                ("post", {"group": group, "text": "before"}),
                ("kick", {"group": group, "user": "bob"}),
                ("post", {"group": group, "text": "after"}),
                ("announce", {"group": group, "text": "after"}),
            ]
        )
        await settled()
        assert await _heard(bob, group) == ["posted", "kicked"]
        assert await _heard(cy, group) == ["posted", "kicked", "posted", "announced"]
        assert (await bob.refusal("history", group=group)).details["reason"] == "not_member"


async def test_a_full_backlog_of_the_kicked_holds_nothing_from_after_the_kick(
    autojump_clock: MockClock,
) -> None:
    async with open_bench() as bench:
        ann, bob = await bench.enter("ann"), await bench.enter("bob")
        group = await bench.found(ann, bob)
        # Bob reads nothing while his backlog fills and he is kicked.
        for number in range(40):
            await ann.ask("post", group=group, text=f"{number} " + "x" * 3_000)
        await ann.ask("kick", group=group, user="bob")
        for number in range(5):
            await ann.ask("post", group=group, text=f"secret {number}")
        heard = await _heard(bob, group)
        assert heard.count("kicked") == 1
        assert heard[-1] == "kicked"


async def _heard(client: RawClient, group: str) -> list[str]:
    """Give the kinds of a group's events that a client has been pushed, up to now."""
    await client.ask("ping")
    return [event["kind"] for event in client.events(group)]
