"""A whole server without sockets, files or real time, and clients on fake links."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any, Final

import attrs
import trio
import trio.testing

from groupd.auth import KeyRing, KeyRings, TokenVerifier, issue_token
from groupd.auth.key_rings import Fetch
from groupd.config import AuthConfig, Config, Limits
from groupd.domain.base import Identity
from groupd.domain.links import LinkKeys
from groupd.engine import hub as engine
from groupd.engine.hub import Hub
from groupd.engine.nursery import open_hidden_nursery
from groupd.engine.ports import Ports
from groupd.server.listener import Server
from groupd.storage.log import open_log
from groupd.storage.memory import MemoryStore
from groupd.storage.port import Store
from groupd.testing.fakes import SlowLog, fake_ports
from groupd.testing.links import CAPACITY_BYTES, FakeLink, link_pair
from tests.e2e.raw import RawClient, new_id

SECRET: Final = "a secret for tests that is long enough"
MINUTE_MS: Final = 60_000


def token_of(user: str, *, now_ms: int, expires_in_ms: int = 60 * MINUTE_MS, **claims: Any) -> str:
    identity = Identity(user=user, **{"plan": "", "name": user.title(), **claims})
    return issue_token(
        SECRET, identity, now_ms=now_ms, expires_in_ms=expires_in_ms, audience="groupd"
    )


@attrs.define(eq=False)
class Metered:
    """A server's end of a link that knows how much is in the middle of being sent."""

    _link: FakeLink
    other_end: FakeLink
    sending_bytes: int = 0

    @property
    def has_half(self) -> bool:
        return self._link.has_half

    @property
    def peer(self) -> str:
        return self._link.peer

    def try_send(self, data: bytes) -> int:
        return self._link.try_send(data)

    @property
    def send(self) -> Callable[[bytes], int]:
        return self.try_send

    async def send_all(self, data: bytes) -> None:
        self.sending_bytes = len(data)
        await self._link.send_all(data)
        self.sending_bytes = 0

    async def receive_some(self, max_bytes: int) -> bytes:
        return await self._link.receive_some(max_bytes)

    def try_receive(self, max_bytes: int) -> bytes | None:
        return self._link.try_receive(max_bytes)

    def watch(self, ready: Callable[[], None]) -> None:
        self._link.watch(ready)

    def unwatch(self) -> None:
        self._link.unwatch()

    def send_eof(self, code: str = "") -> None:
        self._link.send_eof(code)

    async def aclose(self) -> None:
        await self._link.aclose()


@attrs.define(eq=False)
class Bench:
    """A running server and the way to it."""

    server: Server
    hub: Hub
    store: Store
    ports: Ports
    nursery: trio.Nursery
    rings: KeyRings = attrs.field(factory=KeyRings)
    clients: list[RawClient] = attrs.field(factory=list)

    def token(self, user: str, **claims: Any) -> str:
        return token_of(user, now_ms=self.ports.clock.now_ms(), **claims)

    def id(self, *, age_ms: int = 0) -> str:
        return new_id(self.ports.clock.now_ms() - age_ms)

    def link(self, *, address: str = "10.0.0.1", capacity: int = CAPACITY_BYTES) -> FakeLink:
        """Connect; give the client's end. The server may leave ``capacity`` bytes unread."""
        theirs, ours = link_pair(peers=(address, "server"))
        theirs.capacity = CAPACITY_BYTES
        ours.capacity = capacity
        self.server.admit(Metered(ours, theirs), is_operator=address == "operator")
        return theirs

    def connect(self, **options: Any) -> RawClient:
        client = RawClient(self.link(**options))
        self.clients.append(client)
        return client

    async def enter(
        self, user: str, *, events: bool = True, address: str = "10.0.0.1", **claims: Any
    ) -> RawClient:
        """Connect and say hello."""
        client = self.connect(address=address)
        await client.hello(self.token(user, **claims), events=events)
        return client

    async def found(self, client: RawClient, *others: RawClient, name: str = "Tea") -> str:
        """Found a group of these clients; drop what was pushed on the way."""
        group: str = (await client.ask("create", name=name))["group"]
        for other in others:
            await other.ask("join", group=group)
        await settled()
        for each in (client, *others):
            await each.ask("ping")
            each.pushes.clear()
        return group

    def remains(self) -> dict[str, int]:
        """Count what must be nothing once everybody has gone and rested."""
        server, outlets = self.server, self.hub.outlets
        return {
            "sessions": len(server.sessions),
            "addresses": len(server._addresses),
            "seats": len(server.services.seats),
            "rosters": len(outlets.roster._peers),
            "watched": len(outlets.roster._news),
            "outlets": len(outlets._outlets),
            "actors": self.hub.awake,
        }


async def settled() -> None:
    """Wait until every task waits for something else than its turn."""
    await trio.testing.wait_all_tasks_blocked()


@asynccontextmanager
async def open_bench(
    *,
    store: Store | None = None,
    limits: dict[str, int] | None = None,
    delay: Callable[[], int] | None = None,
    auth: AuthConfig | None = None,
    fetch: Fetch | None = None,
    **settings: Any,
) -> AsyncIterator[Bench]:
    """Run a server; ``limits`` and ``settings`` differ from the defaults.

    ``delay`` says how long the store takes, as in ``SlowLog``; without it, no time at all.
    ``fetch`` fetches the keys that ``auth`` has URLs of.
    """
    auth = auth or AuthConfig(secret=SECRET)
    config = Config(limits=Limits(**(limits or {})), auth=auth, **settings)
    opened = store or MemoryStore("store")
    ports = fake_ports()
    verifier = TokenVerifier(
        config.auth,
        token_max_bytes=config.limits.frame_before_hello_max_bytes,
        default_plan=config.default_plan,
    )
    links = LinkKeys({"k1": bytes(32)}, "k1")
    async with (
        open_log(lambda: opened, threaded=False) as log,
        engine.open_hub(
            log=SlowLog(log, delay) if delay else log, ports=ports, links=links, config=config
        ) as hub,
        open_hidden_nursery() as nursery,
    ):
        rings = KeyRings(
            [
                KeyRing(keys, fetch, refresh_s=auth.jwks_refresh_s, keep_s=auth.jwks_keep_s)
                for keys in verifier.published
                if fetch is not None
            ]
        )
        server = Server(
            hub, config, verify=verifier.verify, renew_keys=rings.renew, nursery=nursery
        )
        nursery.start_soon(server.run)
        nursery.start_soon(rings.run)
        bench = Bench(server, hub, opened, ports, nursery, rings)
        yield bench
        for client in bench.clients:
            await client.close()
        nursery.cancel_scope.cancel()
