"""The SDK and the real server, over sockets on this machine."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import attrs
import pytest
import trio

from groupd import app
from groupd.client import AccountEvent, ClientLimits, EventStream, GroupEvent, Signal
from groupd.client.backoff import Backoff
from groupd.config import AuthConfig, Config
from groupd.domain.base import Identity
from groupd.errors import Rejected

SECRET = "0123456789abcdef0123456789abcdef"
QUICK = ClientLimits(backoff=Backoff(base_ms=20, cap_ms=100))


@attrs.define
class Server:
    """A server that can be started again, on the same files and port."""

    config: Config
    stop: trio.Event = attrs.field(factory=trio.Event)
    ended: trio.Event = attrs.field(factory=trio.Event)

    @property
    def url(self) -> str:
        return self.config.listen[0]

    def token(self, user: str) -> str:
        return app.make_token(self.config, Identity(user=user), expires_in_ms=60_000)

    async def start(self, nursery: trio.Nursery) -> None:
        self.stop, self.ended, started = trio.Event(), trio.Event(), trio.Event()

        def announce(running: app.Running) -> None:
            self.config = attrs.evolve(self.config, listen=tuple(running.urls))
            started.set()

        async def run() -> None:
            await app.serve(self.config, announce=announce, stop=self.stop, handle_signals=False)
            self.ended.set()

        nursery.start_soon(run)
        await started.wait()


@pytest.fixture
async def server(tmp_path: Path) -> AsyncIterator[Server]:
    auth = AuthConfig(secret=SECRET)
    made = Server(Config(listen=("tcp://127.0.0.1:0",), data=str(tmp_path), auth=auth))
    async with trio.open_nursery() as nursery:
        await made.start(nursery)
        yield made
        made.stop.set()


async def next_post(stream: EventStream) -> GroupEvent:
    """Pass over what founding and joining a group cause, wherever the stream begins."""
    while True:
        event = await anext(stream)
        if isinstance(event, GroupEvent) and event.kind == "posted":
            return event


async def test_a_conversation(server: Server) -> None:
    async with (
        app.connect(server.url, token=server.token("ann")) as ann,
        app.connect(server.url, token=server.token("bob")) as bob,
    ):
        assert (ann.user, bob.user) == ("ann", "bob")
        heard = bob.events()
        group = (await ann.create("Tea"))["group"]
        await bob.join(group)
        posted = await ann.post(group, "hello", mentions=["bob"])
        await ann.pin(group, posted["seq"])

        kinds: list[str] = []
        while not kinds or kinds[-1] != "pinned":
            event = await anext(heard)
            if isinstance(event, GroupEvent):
                assert event.group == group
                kinds.append(event.kind)
        assert kinds == ["joined", "posted", "pinned"]

        page = await bob.history(group)
        assert [event["seq"] for event in page["events"]] == list(range(1, page["head"] + 1))
        assert (await bob.read(group, posted["seq"]))["unread"] == 0
        assert {member["user"] for member in (await ann.members(group))["members"]} == {
            "ann",
            "bob",
        }
        with pytest.raises(Rejected, match="forbidden"):
            await bob.dissolve(group)


async def next_of(stream: EventStream, *kinds: str) -> GroupEvent | AccountEvent:
    """Pass over all else."""
    while True:
        event = await anext(stream)
        if isinstance(event, GroupEvent | AccountEvent) and event.kind in kinds:
            return event


async def test_a_membership_begins_and_ends_with_its_event(server: Server) -> None:
    async with (
        app.connect(server.url, token=server.token("ann")) as ann,
        app.connect(server.url, token=server.token("bob")) as bob,
    ):
        heard = bob.events()
        group = (await ann.create("Tea", join_policy="approval"))["group"]
        for end in (ann.kick, ann.ban):
            await bob.join(group)
            await ann.post(group, "not for Bob")
            approved = (await ann.approve(group, "bob"))["seq"]
            first = await anext(heard)
            while not isinstance(first, GroupEvent):
                first = await anext(heard)
            if end == ann.kick:
                assert (first.kind, first.seq) == ("joined", approved)
            ended = (await end(group, "bob"))["seq"]
            await ann.post(group, "not for Bob either")
            last = await next_of(heard, "kicked", "banned")
            assert (last.fields.get("at") or last.seq) == ended
            told = await next_of(heard, "kicked", "banned")
            assert {type(last), type(told)} == {GroupEvent, AccountEvent}
        chat = (await ann.direct("bob"))["group"]
        await ann.post(chat, "sorry")
        kinds = [(await next_of(heard, "joined", "posted")).kind for _ in range(2)]
        assert kinds == ["joined", "posted"]


async def test_signals_come_as_such(server: Server) -> None:
    async with (
        app.connect(server.url, token=server.token("ann")) as ann,
        app.connect(server.url, token=server.token("ann")) as phone,
        app.connect(server.url, token=server.token("bob")) as bob,
    ):
        group = (await ann.create("Tea", members=["bob"]))["group"]
        heard = phone.events()
        await bob.typing(group)
        posted = (await bob.post(group, "hello"))["seq"]
        await ann.read(group, posted)
        signals: list[Signal] = []
        while len(signals) < 2:
            event = await anext(heard)
            if isinstance(event, Signal):
                signals.append(event)
        assert signals == [
            Signal(group, "bob", "typing", {}),
            Signal(group, "ann", "read", {"seq": posted}),
        ]


async def test_the_same_id_again_gives_the_first_result(server: Server) -> None:
    async with app.connect(server.url, token=server.token("ann")) as ann:
        group = (await ann.create("Tea"))["group"]
        heard = ann.events()
        await ann.post(group, "hello")
        event = await next_post(heard)
        again = await ann.post(group, "hello", id=event.id)
        assert again["seq"] == event.seq
        assert (await ann.history(group))["head"] == event.seq


async def test_a_token_that_is_none_is_refused(server: Server) -> None:
    with pytest.raises(Rejected, match="unauthenticated"):
        async with app.connect(server.url, token="no token"):
            pass


async def test_a_restart_of_the_server_is_only_a_longer_wait(
    server: Server, nursery: trio.Nursery
) -> None:
    """Calls go on, and the events of the time between are there, each once."""
    async with app.connect(server.url, token=server.token("ann"), limits=QUICK) as ann:
        group = (await ann.create("Tea"))["group"]
        heard = ann.events()
        await ann.post(group, "before")
        server.stop.set()
        await server.ended.wait()
        await server.start(nursery)
        await ann.post(group, "after")
        texts = [(await next_post(heard)).fields["text"] for _ in range(2)]
        assert texts == ["before", "after"]
        server.stop.set()
