"""Limits hold exactly, whoever races for the last place, and also across a kill -9."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

import trio

from groupd.errors import Rejected
from tests.e2e.process import Groupd, Process, now_id
from tests.e2e.raw import Map, RawClient, codes, dial

Outcome = Map | Rejected
CREATES = 50
JOINERS = 300
CAP = 200


def check_creates(outcomes: Sequence[Outcome]) -> None:
    assert codes(outcomes) == {"ok": 4, "quota_exceeded": CREATES - 4}
    for outcome in outcomes:
        if isinstance(outcome, Rejected):
            assert outcome.details == {"quota": "groups_owned", "limit": 4, "used": 4}
    assert len({outcome["group"] for outcome in outcomes if isinstance(outcome, dict)}) == 4


def check_joins(outcomes: Sequence[Outcome]) -> None:
    assert codes(outcomes) == {"ok": CAP - 1, "group_full": JOINERS - CAP + 1}
    for outcome in outcomes:
        if isinstance(outcome, Rejected):
            assert outcome.details == {"limit": CAP}


async def members_of(client: RawClient, group: str) -> list[str]:
    page = await client.ask("members", group=group)
    assert "next" not in page
    return [row["user"] for row in page["members"]]


async def owned_by(server: Process, user: str) -> list[str]:
    async with server.enter(user) as client:
        return [g["group"] for g in client.greeting["groups"] if g["role"] == "owner"]


async def test_of_creates_that_race_exactly_four_succeed(groupd: Groupd, tmp_path: Path) -> None:
    async with groupd.serving() as server:
        async with server.enter_all(["ann"] * 10) as clients:
            outcomes: list[Outcome] = []

            async def create(client: RawClient, count: int) -> None:
                outcomes.extend(await client.exchange([("create", {"name": "x"})] * count))

            async with trio.open_nursery() as nursery:
                for client in clients:
                    nursery.start_soon(create, client, CREATES // len(clients))
            check_creates(outcomes)
        async with server.enter("bob") as bob:
            check_creates(await bob.exchange([("create", {"name": "x"})] * CREATES))
            # Dissolving frees a place, at once.
            group = bob.greeting["groups"] or await owned_by(server, "bob")
            await bob.ask("dissolve", group=group[0])
            assert (await bob.ask("create", name="again"))["seq"] == 1
            assert (await bob.refusal("create", name="one more")).code == "quota_exceeded"
        assert len(await owned_by(server, "ann")) == len(await owned_by(server, "bob")) == 4


async def test_of_joins_on_as_many_connections_exactly_the_cap_succeeds(
    groupd: Groupd, tmp_path: Path
) -> None:
    users = [f"user{number}" for number in range(JOINERS)]
    async with groupd.serving() as server, server.enter("owner") as owner:
        group = (await owner.ask("create", name="Hall"))["group"]
        async with server.enter_all(users) as clients:
            outcomes: dict[str, Outcome] = {}

            async def join(user: str, client: RawClient) -> None:
                [outcomes[user]] = await client.exchange([("join", {"group": group})])

            async with trio.open_nursery() as nursery:
                for user, client in zip(users, clients, strict=True):
                    nursery.start_soon(join, user, client)
            check_joins(list(outcomes.values()))
            joined = [user for user, outcome in outcomes.items() if isinstance(outcome, dict)]
            assert sorted(await members_of(owner, group)) == sorted(["owner", *joined])
            # A place that is left can be taken, once.
            leaver = clients[users.index(joined[0])]
            late = next(u for u in users if u not in joined)
            await leaver.ask("leave", group=group)
            assert (await clients[users.index(late)].ask("join", group=group))["status"] == "joined"
            assert (await leaver.refusal("join", group=group)).code == "group_full"
        assert not server.complaints()


async def test_joins_of_many_users_pipelined_on_one_connection_are_as_exact(
    groupd: Groupd,
) -> None:
    async with groupd.serving() as server, server.enter("owner") as owner:
        group = (await owner.ask("create", name="Hall"))["group"]
        requests = []
        for number in range(JOINERS):
            requests.append(("hello", {"token": server.token(f"user{number}")}))
            requests.append(("join", {"group": group}))
        async with dial(server.url) as shared:
            outcomes = await shared.exchange(requests)
        assert codes(outcomes[::2]) == {"ok": JOINERS}
        check_joins(outcomes[1::2])
        assert len(await members_of(owner, group)) == CAP
        assert not server.complaints()


# --- with a kill in the middle


async def outcomes_until_killed(
    server: Process, client: RawClient, requests: Sequence[tuple[str, Map]], *, after: int
) -> dict[int, Outcome]:
    """Pipeline requests and kill the server when ``after`` of them are answered."""
    framed = [client.frame(method, params) for method, params in requests]
    async with trio.open_nursery() as nursery:

        async def send() -> None:
            with suppress(trio.BrokenResourceError):  # It was killed.
                await client.send_bytes(b"".join(data for _, data in framed))

        nursery.start_soon(send)
        while len(client.answers) < after and await client.receive():
            pass
        await server.kill()
        while await client.receive():
            pass
        nursery.cancel_scope.cancel()
    outcomes: dict[int, Outcome] = {}
    for index, (msgid, _) in enumerate(framed):
        if msgid in client.answers:
            error, result = client.answers.pop(msgid)
            outcomes[index] = result if error is None else Rejected.from_wire(error)
    return outcomes


async def test_creates_are_exact_across_a_kill(groupd: Groupd, tmp_path: Path) -> None:
    for after in (2, 30):
        data = tmp_path / f"data{after}"
        requests = [("create", {"name": f"{n}", "id": now_id()}) for n in range(CREATES)]
        async with groupd.serving(data) as server, server.enter("ann") as ann:
            told = await outcomes_until_killed(server, ann, requests, after=after)
        async with groupd.serving(data) as server, server.enter("ann") as ann:
            again = await ann.exchange(requests)
            check_creates(again)
            for index, outcome in told.items():
                if isinstance(outcome, dict):
                    assert again[index] == outcome
            assert len(await owned_by(server, "ann")) == 4


async def test_joins_are_exact_across_a_kill(groupd: Groupd, tmp_path: Path) -> None:
    async with groupd.serving() as server:
        async with server.enter("owner") as owner:
            group = (await owner.ask("create", name="Hall"))["group"]
        requests: list[tuple[str, Map]] = []
        for number in range(JOINERS):
            requests.append(("hello", {"token": server.token(f"user{number}")}))
            requests.append(("join", {"group": group, "id": now_id()}))
        async with dial(server.url) as shared:
            told = await outcomes_until_killed(server, shared, requests, after=240)
    async with groupd.serving() as server, dial(server.url) as shared:
        again = await shared.exchange(requests)
        check_joins(again[1::2])
        for index, outcome in told.items():
            if index % 2 and isinstance(outcome, dict):
                assert again[index] == outcome
        async with server.enter("owner") as owner:
            assert len(await members_of(owner, group)) == CAP
            # The log says the same: one event for each, and not one more.
            history = await owner.ask("history", group=group, after=0, limit=500)
            joined = [e["user"] for e in history["events"] if e["kind"] == "joined"]
            assert len(joined) == len(set(joined)) == CAP
