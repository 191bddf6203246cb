"""Who may do what, asked by sessions: every cell of ``proto/access.md``, and who is a stranger.

``tests/access`` writes that page from what a hub does. Here the same calls come as bytes, with
tokens, over links of their own: so nothing between a socket and the rules lets anybody through.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterable, Mapping
from contextlib import asynccontextmanager
from typing import Any, Final

import pytest
from trio.testing import MockClock

from groupd.auth import TokenVerifier
from groupd.config import AuthConfig, Config
from groupd.domain.base import Command
from groupd.domain.catalog import REQUESTS
from groupd.engine.nursery import open_hidden_nursery
from groupd.errors import Rejected
from groupd.server.listener import Server
from tests.access.scene import (
    CALLERS,
    DIRECT_CALLERS,
    DIRECT_STATES,
    SAMPLES,
    STATES,
    Scene,
    build,
    copy_of,
    open_scene,
    outcome,
    plans_of,
)
from tests.access.table import PAGE, Row
from tests.e2e.raw import RawClient, request
from tests.engine.rig import group_key
from tests.server.bench import SECRET, Bench

NOWHERE: Final = "N0SVCHGR0VP00000"
"""What looks like a group's id and is none."""
DONE: Final = ("ok", "pending", "invited")
"""What a cell says where the call is not refused."""


# --- what is published


def published() -> dict[str, dict[str, Row]]:
    """Read the page: state -> row -> caller -> outcome. A state shows what differs from live."""
    tables: dict[str, dict[str, Row]] = {}
    for part in PAGE.read_text("utf-8").split("\n## ")[1:]:
        title, *lines = part.splitlines()
        cells = [
            [cell.strip() for cell in line.strip("| ").split(" | ")]
            for line in lines
            if line.startswith("| ")
        ]
        state = next(s for s in STATES if s.replace("_", " ").capitalize() == title)
        callers = DIRECT_CALLERS if state in DIRECT_STATES else tuple(CALLERS)
        shown: dict[str, Row] = {
            row.strip("`"): dict(zip(callers, outcomes, strict=True))
            for row, *outcomes in cells
            if row in SAMPLES or row.startswith("`")
        }
        live = tables.get("live", {})
        rest = {row: {caller: live[row][caller] for caller in callers} for row in live}
        tables[state] = rest | shown
    return tables


PUBLISHED: Final = published()


def test_the_page_has_every_state_and_every_row() -> None:
    assert PUBLISHED.keys() == STATES.keys()
    for table in PUBLISHED.values():
        assert table.keys() == SAMPLES.keys()


# --- sessions on a scene


@asynccontextmanager
async def serving(scene: Scene) -> AsyncIterator[Bench]:
    """Run a server on a scene's own store."""
    config = Config(auth=AuthConfig(secret=SECRET), plans=plans_of(scene.state), rate_limits=False)
    verifier = TokenVerifier(config.auth, token_max_bytes=4_096, default_plan="ordinary")
    async with open_scene(scene.store, scene.state) as hub, open_hidden_nursery() as nursery:
        server = Server(hub, config, verify=verifier.verify, nursery=nursery)
        nursery.start_soon(server.run)
        bench = Bench(server, hub, scene.store, hub.ports, nursery)
        yield bench
        for client in bench.clients:
            await client.close()
        nursery.cancel_scope.cancel()


def call_of(scene: Scene, row: str, user: str) -> tuple[str, dict[str, Any]]:
    """Give the method of a row, and its parameters as a client sends them."""
    method, sample = SAMPLES[row]
    return method, {"group": scene.group, **scene.params(sample, user)}


async def asked(client: RawClient, scene: Scene, row: str, user: str) -> str:
    """Make the call of a row; give what it came to, as the page says it."""
    method, params = call_of(scene, row, user)
    (answer,) = await client.exchange([(method, params)])
    if isinstance(answer, Rejected):
        return outcome(answer)
    return str(answer["status"]) if answer.get("status") in ("pending", "invited") else "ok"


def changes(row: str, expected: str) -> bool:
    """Say whether a call may change the group, so that it takes one of its own."""
    return expected in DONE and issubclass(REQUESTS[SAMPLES[row][0]], Command)


async def differences(scene: Scene, expected: Mapping[str, Row], users: Mapping[str, str]) -> Any:
    """Make every call; give where it did not come to what was expected.

    What is refused changes nothing, so those calls are all made in one and the same group.
    """
    found: dict[tuple[str, str], str] = {}
    shared = copy_of(scene)
    async with serving(shared) as bench:
        clients = {user: await bench.enter(user, events=False) for user in users.values()}
        before = shared.store.head(group_key(scene.group))
        for row, cells in expected.items():
            for caller, user in users.items():
                if not changes(row, cells[caller]):
                    found[row, caller] = await asked(clients[user], shared, row, user)
        assert shared.store.head(group_key(scene.group)) == before
    for row, cells in expected.items():
        for caller, user in users.items():
            if changes(row, cells[caller]):
                own = copy_of(scene)
                async with serving(own) as bench:
                    client = await bench.enter(user, events=False)
                    found[row, caller] = await asked(client, own, row, user)
    assert len(found) == len(expected) * len(users)
    return {
        (row, caller): (came, expected[row][caller])
        for (row, caller), came in found.items()
        if came != expected[row][caller]
    }


@pytest.mark.parametrize("state", STATES)
async def test_sessions_may_do_what_the_published_table_says_and_refusals_change_nothing(
    autojump_clock: MockClock, state: str
) -> None:
    callers: Iterable[str] = DIRECT_CALLERS if state in DIRECT_STATES else CALLERS
    users = {caller: CALLERS[caller] for caller in callers}
    assert await differences(await build(state), PUBLISHED[state], users) == {}


# --- who is a stranger


async def with_former_members(state: str) -> Scene:
    """Build a scene with one who has left and one who was kicked."""
    scene = await build(state)
    async with open_scene(scene.store, state) as hub:

        async def do(caller: str, method: str, **params: Any) -> None:
            parsed = REQUESTS[method].parse(params)
            await hub.act_as(caller).call(parsed, group=scene.group)

        for user in ("lena", "karl"):
            await do("olga", "invite", user=user)
            await do(user, "accept_invite")
        await do("lena", "leave")
        await do("olga", "kick", user="karl")
    return scene


@pytest.mark.parametrize("state", ["live", "hidden"])
async def test_who_has_left_or_was_kicked_may_do_what_a_stranger_may(
    autojump_clock: MockClock, state: str
) -> None:
    table = PUBLISHED[state]
    users = {"who has left": "lena", "who was kicked": "karl"}
    expected = {row: dict.fromkeys(users, cells["stranger"]) for row, cells in table.items()}
    assert await differences(await with_former_members(state), expected, users) == {}


async def answer_bytes(client: RawClient, method: str, params: Mapping[str, Any]) -> bytes:
    """Make a call and give the very bytes of its answer."""
    await client.send_bytes(request(7, method, dict(params)))
    return await client.link.receive_some(65_536)


def elsewhere(scene: Scene, params: Mapping[str, Any]) -> dict[str, Any]:
    """Give the same parameters for a group that does not exist."""
    return {
        key: value.replace(scene.group, NOWHERE) if isinstance(value, str) else value
        for key, value in params.items()
    }


async def unlike_nothing(scene: Scene, user: str, **claims: Any) -> list[str]:
    """Give the rows whose answer tells somebody that the group exists.

    A right code is no guess, so the code that they try is one of another group.
    """
    names = {**scene.names, "code": f"{scene.group}{'A' * 22}"}
    told = []
    async with serving(copy_of(scene)) as bench:
        client = await bench.enter(user, events=False, **claims)
        for row, (method, sample) in SAMPLES.items():
            known = Scene(scene.store, scene.state, scene.group, names, scene.own)
            params = {"group": scene.group, **known.params(sample, user)}
            there = await answer_bytes(client, method, params)
            nowhere = await answer_bytes(client, method, elsewhere(scene, params))
            if there != nowhere or b"not_found" not in there:
                told.append(row)
    return told


@pytest.mark.parametrize("state", ["hidden", "hidden and dissolved", "direct", "blocked"])
@pytest.mark.parametrize("user", ["sam", "bob", "lena", "karl"])
async def test_the_bytes_of_a_refusal_do_not_tell_whether_a_hidden_group_exists(
    autojump_clock: MockClock, state: str, user: str
) -> None:
    if state in DIRECT_STATES:
        scene = await build(state)
    else:
        scene = await with_former_members("hidden")
        if state == "hidden and dissolved":
            async with open_scene(scene.store, "hidden") as hub:
                await hub.act_as("olga").dissolve(scene.group)
    assert await unlike_nothing(scene, user) == []


@pytest.mark.parametrize("state", ["live", "dissolved", "direct"])
async def test_a_group_of_another_tenant_is_like_none_also_for_the_same_user_id(
    autojump_clock: MockClock, state: str
) -> None:
    scene = await build(state)
    for user in ("mia", "olga"):
        assert await unlike_nothing(scene, user, tenant="another") == []


async def test_before_hello_every_method_is_refused_alike(autojump_clock: MockClock) -> None:
    scene = await build("live")
    async with serving(scene) as bench:
        stranger = bench.connect()
        answers = set()
        for method in (*REQUESTS.keys() - {"hello"}, "no_such_method"):
            for group in (scene.group, NOWHERE):
                answers.add(await answer_bytes(stranger, method, {"group": group, "text": "x"}))
        (answer,) = answers
        assert b"unauthenticated" in answer
