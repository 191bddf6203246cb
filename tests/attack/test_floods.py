"""One user who asks for as much as they can: the others wait at most a little longer."""

from __future__ import annotations

from collections import Counter
from typing import Any, Final

import trio

from groupd.config import Limits
from groupd.errors import Rejected
from tests.attack.rig import TRIES, assert_not_starved, flooding, p99_ms, post_times
from tests.e2e.process import Groupd, Process
from tests.e2e.raw import RawClient, request

LIMITS: Final = Limits()
SESSIONS: Final = LIMITS.connections_per_user_max
SAMPLES: Final = 100
PIPELINED: Final = 32
GROUPS: Final = 100
"""That can be found, in one place and under one word."""

FLOODS: Final[dict[str, tuple[str, dict[str, Any]]]] = {
    "pages of history": ("history", {"limit": 500}),
    "searches": ("search", {"query": "tea", "limit": 50}),
    "small requests": ("ping", {}),
}


def flooder(kind: str) -> str:
    """Name who makes a flood: each another user, with a full bucket."""
    return f"eve of {kind}"


async def furnish(server: Process) -> str:
    """Found many groups that are found alike; give one of Eve's with long messages."""
    place = {"lat": 31.2, "lon": 121.5}
    for number in range(GROUPS // 4):
        async with server.enter(f"user{number}", events=False) as client:
            made = [("create", {"name": f"tea {n}", "location": place}) for n in range(4)]
            await client.exchange(made)
    async with server.enter("eve", events=False) as eve:
        group: str = (await eve.ask("create", name="Loud", members=[*map(flooder, FLOODS)]))[
            "group"
        ]
        posts = [("post", {"group": group, "text": "x" * 500})] * 600
        assert not any(isinstance(each, Rejected) for each in await eve.exchange(posts))
    return group


async def measured(client: RawClient, group: str) -> list[float]:
    """Time posts, within the rate that everybody has."""
    return [p99_ms(await post_times(client, group, SAMPLES)) for _ in range(TRIES)]


async def test_others_go_on_while_one_user_floods_with_all_of_their_sessions(
    groupd: Groupd,
) -> None:
    async with groupd.serving() as server:
        loud = await furnish(server)
        for kind, (method, params) in FLOODS.items():
            params = {**params, "group": loud}
            frames = b"".join(request(n, method, params) for n in range(PIPELINED))
            # Each time somebody else, who has not used up their rate.
            async with server.enter(f"ann {kind}") as ann, server.enter(f"bob {kind}") as bob:
                made = await ann.ask("create", name="Quiet", members=[f"bob {kind}"])
                group = made["group"]
                alone = await measured(ann, group)
                hello = request(0, "hello", {"token": server.token(flooder(kind)), "events": False})
                with flooding(server, sessions=SESSIONS, first=hello, again=frames):
                    flooded = await measured(ann, group)
                assert_not_starved(alone, flooded, f"p99 of a post beside a flood of {kind}")
                head = (await ann.ask("history", group=group))["head"]
                assert await bob.event("posted", seq=head)
        assert not server.complaints()


async def test_a_flood_is_refused_by_what_it_costs_and_its_user_is_told_when_to_come_back(
    groupd: Groupd,
) -> None:
    """The sessions of one user share one bucket: more of them get no more."""
    async with groupd.serving() as server:
        loud = await furnish(server)
        async with server.enter_all(["eve"] * SESSIONS, events=False) as attackers:
            served: Counter[str] = Counter()
            began = trio.current_time()
            for client in attackers:
                for outcome in await client.exchange([("sync", {"cursors": {loud: 0}})] * 20):
                    served["served" if isinstance(outcome, dict) else outcome.code] += 1
                    if isinstance(outcome, Rejected):
                        assert 0 < outcome.details["retry_after_ms"] <= 1_000
            took_s = trio.current_time() - began
            units = LIMITS.rate_burst + LIMITS.rate_per_s * took_s
            assert served["served"] * 5 <= units
            assert served["served"] + served["rate_limited"] == SESSIONS * 20
        assert not server.complaints()


async def test_a_user_has_no_more_sessions_than_are_useful(groupd: Groupd) -> None:
    async with groupd.serving() as server:
        async with server.enter_all(["eve"] * SESSIONS) as sessions:
            async with server.enter("ann") as other:
                refusal = await other.refusal("hello", token=server.token("eve"))
                assert refusal.details["reason"] == "connections"
            assert await sessions[-1].ask("ping")
        assert not server.complaints()
