"""The users of a simulated run: each has the real SDK, and does the steps of the scenario.

Theory of operation. A user's steps run as tasks of their own, so that several requests are under
way on one connection. What the SDK does on the wire is written down by ``RecordedLink``; what it
hands to the application is kept here, and compared with the log in the end: each event once and in
order, whatever was cut.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping
from contextlib import AbstractAsyncContextManager
from math import inf
from random import Random
from typing import Any, Final

import attrs
import trio

from groupd import client
from groupd.client.backoff import Backoff
from groupd.domain.catalog import REQUESTS
from groupd.errors import Disconnected, GroupdError, Rejected
from groupd.server.link import Link
from groupd.testing.fakes import SeededRandomness
from groupd.testing.history import History
from groupd.testing.simulation.recorder import RecordedLink
from groupd.testing.simulation.scenario import USERS, Step
from groupd.testing.simulation.world import World

URL: Final = "tcp://sim:1"
LIMITS: Final = client.ClientLimits(
    backoff=Backoff(base_ms=5, cap_ms=500), dial_timeout_ms=2_000, hello_timeout_ms=4_000
)
DEVICES_MAX: Final = 10
CONNECTIONS_MAX: Final = 100_000
"""Of one device in one run; by it their numbers are told apart."""
SEQS_KEPT: Final = 64
"""Seqs of messages that steps may be about, for each group."""


@attrs.define(eq=False)
class Knowledge:
    """What the steps of a run may refer to: groups, messages, links."""

    groups: list[str] = attrs.field(factory=list)
    seqs: dict[str, list[int]] = attrs.field(factory=lambda: defaultdict(list))
    codes: list[str] = attrs.field(factory=list)

    def learn(self, step: Step, group: str | None, answer: Mapping[str, Any]) -> None:
        """Take in an answer."""
        if step.method == "create":
            self.groups.append(answer["group"])
        elif step.method == "post" and group is not None:
            kept = self.seqs[group]
            kept.append(answer["seq"])
            del kept[:-SEQS_KEPT]
        elif step.method == "share_link":
            self.codes.append(answer["code"])

    def filled_in(self, step: Step, group: str | None) -> dict[str, Any] | None:
        """Give a step's parameters with what they refer to; None where that is not there yet."""
        params = {}
        for name, value in step.params.items():
            found = self._found(value, group)
            if found is None:
                if value is not None:
                    return None
                continue
            params[name] = found
        return params

    def _found(self, value: Any, group: str | None) -> Any:
        match value:
            case ["seq", int(place)]:
                seqs = self.seqs[group or ""]
                return seqs[-1 - place % len(seqs)] if seqs else None
            case ["code"]:
                return self.codes[-1] if self.codes else None
            case ["user", int(place)]:
                return USERS[place]
            case [["user", int(_)], *_]:
                return [USERS[place] for _kind, place in value]
        return value


@attrs.define(eq=False)
class User:
    """One user with one client."""

    name: str
    world: World
    knowledge: Knowledge
    device: int = 1
    heard: list[tuple[str, int, str]] = attrs.field(factory=list)
    """Group, seq and kind of what the application got, in order; the account's as ""."""
    sdk: client.Client | None = None
    """None before the first hello."""
    _connections: int = 0
    _links: list[RecordedLink] = attrs.field(factory=list)

    async def run(self, steps: list[Step]) -> None:
        """Connect, do the steps at their times, and go on listening until cancelled."""
        began = trio.current_time()
        try:
            async with self._connected() as connected, trio.open_nursery() as nursery:
                self.sdk = connected
                nursery.start_soon(self._listen, connected)
                for step in steps:
                    await trio.sleep_until(began + step.at_ms / 1_000)
                    nursery.start_soon(self._do, connected, step)
        finally:
            for link in self._links:
                link.over()

    async def visit(self, until_s: float) -> None:
        """Come and go, again and again; stay for good from ``until_s`` on."""
        most_s = self.world.scenario.visit_ms / 1_000
        draw = Random(f"visits {self.world.scenario.seed} {self.name}")
        try:
            while True:
                is_late = trio.current_time() >= until_s
                self.heard.clear()
                stay_s = inf if is_late else draw.uniform(0, most_s)
                with trio.move_on_after(stay_s):
                    async with self._connected() as connected:
                        self.sdk = connected
                        await self._listen(connected)
                await trio.sleep(draw.uniform(0, most_s))
        finally:
            for link in self._links:
                link.over()

    def _connected(self) -> AbstractAsyncContextManager[client.Client]:
        seed = f"{self.world.scenario.seed} {self.name} {self.device}"
        ports = client.Ports(
            clock=self.world.ports.clock,
            randomness=SeededRandomness(int.from_bytes(seed.encode())),
            dial=self._dial,
        )
        return client.connect(URL, token=self._token, ports=ports, limits=LIMITS, name="simulated")

    async def say_last_words(self) -> None:
        """Post to every group that is known; who may not is refused."""
        if self.sdk is not None:
            for place in range(len(self.knowledge.groups)):
                await self._do(self.sdk, Step(0, self.name, "post", place, {"text": "bye"}))

    async def _token(self) -> str:
        return self.world.token(self.name)

    async def _dial(self, url: str) -> Link:
        link = await self.world.network.dial(url)
        self._connections += 1
        place = USERS.index(self.name) * DEVICES_MAX + self.device
        recorded = RecordedLink(
            link,
            self.world.history,
            user=self.name,
            device=self.device,
            connection=place * CONNECTIONS_MAX + self._connections,
        )
        self._links.append(recorded)
        return recorded

    async def _do(self, connected: client.Client, step: Step) -> None:
        groups = self.knowledge.groups
        group = None
        if step.group is not None:
            if not groups:
                return
            group = groups[step.group % len(groups)]
        params = self.knowledge.filled_in(step, group)
        if params is None:
            return
        try:
            request = REQUESTS[step.method](**params)
            answer = await connected.call(request, group=group)
        except Rejected as refusal:
            if refusal.code in ("bad_request", "internal"):
                self.world.findings.append(f"{step.method} {params}: {refusal}")
        except Disconnected:
            pass  # Lost too often; what was asked may have been done.
        except GroupdError as error:
            self.world.findings.append(f"{step.method}: {error!r}")
        else:
            self.knowledge.learn(step, group, answer)

    async def _listen(self, connected: client.Client) -> None:
        async for event in connected.events():
            if isinstance(event, client.GroupEvent):
                self.heard.append((event.group, event.seq, event.kind))
            elif isinstance(event, client.AccountEvent):
                self.heard.append(("", event.seq, event.kind))

    def misheard(self, history: History) -> list[str]:
        """Say what the SDK gave to its application twice, out of order, or never.

        Between two events of a group some may be missing only where the user was out of it.
        """
        moves: dict[str, set[int]] = defaultdict(set)
        for entry in history:
            if entry.op == "log" and entry.args["stream"][0] == "group":
                for record in entry.args["records"]:
                    about = (record["body"] or {}).get("member", record["user"])
                    if about == self.name or record["kind"] == "joined":
                        moves[entry.args["stream"][2]].add(record["seq"])
        last: dict[str, int] = {}
        wrong = []
        for group, seq, kind in self.heard:
            before = last.get(group)
            if before is not None and seq <= before:
                wrong.append(
                    f"{self.name} heard {kind} {seq} of {group or 'the account'} after {before}"
                )
            elif before is not None and seq > before + 1:
                away = any(before <= moved <= seq for moved in moves[group])
                if not away:
                    wrong.append(f"{self.name} never heard {before + 1} to {seq - 1} of {group!r}")
            last[group] = seq
        return wrong
