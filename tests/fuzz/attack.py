"""The attackers of a live server: malformed input over many connections, of many kinds.

They count what they have sent, and keep every answer that says ``internal``: that is a bug,
whatever was sent. All else that they get is for them to live with.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from random import Random
from typing import Any, Final

import attrs
import msgpack
import trio

from groupd.config import Limits
from groupd.errors import CODES
from groupd.server.link import Link, LinkBroken
from groupd.server.tls import connect_link
from groupd.wire import rpc
from tests.fuzz.corpus import METHODS, VALUES, Scene, message_of
from tests.fuzz.mutate import STRANGE, Raw, change, encode, malform, noise, spoil
from tests.fuzz.tokens import make_token

AT_ONCE: Final = 40
"""Connections of attackers at the same time."""
PER_CONNECTION: Final = 120
"""Inputs on one connection that the server does not end."""
FLOOD: Final = 40
"""Copies of one message in a flood."""
GROUPS_MAX: Final = 100
"""Groups that the attackers remember."""
PATIENCE_S: Final = 30.0
METHODS_USED: Final = tuple(method for method in METHODS if method != "dissolve") * 4 + (
    "dissolve",
)
"""Seldom is a group dissolved: then there is less to be done with it."""
LIMITS: Final = Limits()


@attrs.define(eq=False)
class Attack:
    """What was sent so far, and what came of it."""

    url: str
    token_of: Callable[[str], str]
    now_ms: Callable[[], int]
    seed: int
    target: int
    """Inputs to send in all."""
    forbidden_group: str
    """The healthy clients' group: asked for, never entered."""
    sent: int = 0
    connections: int = 0
    answers: int = 0
    goodbyes: dict[str, int] = attrs.field(factory=dict)
    codes: dict[str, int] = attrs.field(factory=dict)
    bugs: list[tuple[str, bytes]] = attrs.field(factory=list)
    """What was answered with ``internal``: the error, and the input."""
    groups: list[str] = attrs.field(factory=list)
    _limits: rpc.FrameLimits = attrs.field(factory=lambda: rpc.FrameLimits.for_server(LIMITS))

    async def run(self) -> None:
        """Send all inputs; raises whatever a client of a sound server never sees."""
        async with trio.open_nursery() as nursery:
            for number in range(AT_ONCE):
                nursery.start_soon(self._go_on, Random(f"{self.seed} {number}"), number)

    async def _go_on(self, random: Random, number: int) -> None:
        user = f"eve{number}"
        # Bounded, since each connection sends one input at least.
        while self.sent < self.target:
            link = await connect_link(self.url)
            self.connections += 1
            try:
                with trio.fail_after(PATIENCE_S):
                    await random.choices(KINDS, WEIGHTS)[0](self, random, link, user)
            finally:
                with trio.CancelScope(shield=True):
                    await link.aclose()

    # --- kinds of connections

    async def as_stranger(self, random: Random, link: Link, user: str) -> None:
        """Say anything before ``hello``."""
        scene = self._scene(user)
        await self._talk(link, [self._malformed(random, scene) for _ in range(3)])

    async def as_member(self, random: Random, link: Link, user: str) -> None:
        """Say hello, then what is well framed and mostly wrong inside."""
        scene = self._scene(user)
        inputs = [self._hello(user), encode([0, 2, "create", [{"name": user}]])]
        while len(inputs) < PER_CONNECTION:
            data = self._request(random, scene)
            if self._is_sound(data):
                inputs.append(data)
        await self._talk(link, inputs)

    async def as_breaker(self, random: Random, link: Link, user: str) -> None:
        """Say hello, some requests, and then something that is not the protocol."""
        scene = self._scene(user)
        inputs = [self._request(random, scene) for _ in range(random.randint(0, 5))]
        last = self._malformed(random, scene)
        await self._talk(link, [self._hello(user), *filter(self._is_sound, inputs), last])

    async def as_flood(self, random: Random, link: Link, user: str) -> None:
        """Say one thing many times: answers that nobody asked for, notifications, deep nests."""
        response = encode([1, random.randrange(2**32), None, {"seq": 1}])
        notification = encode([2, "x" * random.choice((1, 50)), random.choice(([{}], [1, 2], []))])
        ping = encode([0, 5, "ping", [{"a": Raw(b"\x91" * random.choice((8, 500)) + b"\xc0")}]])
        again = self._hello(user)
        flood = [random.choice((response, notification, ping, again))] * FLOOD
        await self._talk(link, [*([self._hello(user)] if random.random() < 0.8 else []), *flood])

    async def as_forger(self, random: Random, link: Link, user: str) -> None:
        """Say hello with tokens that prove nothing, until the server has enough of it."""
        texts = [make_token(random)[1:].decode("latin-1") for _ in range(LIMITS.hello_attempts_max)]
        await self._talk(link, [encode([0, 1, "hello", [{"token": text}]]) for text in texts])

    async def as_cutter(self, random: Random, link: Link, user: str) -> None:
        """Break off in the middle, without a word and with answers unread."""
        scene = self._scene(user)
        stream = self._hello(user) + b"".join(self._request(random, scene) for _ in range(3))
        self.sent += 1
        with suppress(LinkBroken):
            await link.send_all(stream[: random.randrange(1, len(stream))])

    async def as_stalled(self, random: Random, link: Link, user: str) -> None:
        """Ask for much, read none of it, and go."""
        group = random.choice(self._scene(user).groups)
        pages = b"".join(encode([0, n, "history", [{"group": group}]]) for n in range(20))
        self.sent += 20
        with suppress(LinkBroken):
            await link.send_all(self._hello(user) + pages)
            await trio.lowlevel.checkpoint()

    # --- what is sent

    def _scene(self, user: str) -> Scene:
        groups = (*self.groups[-20:], self.forbidden_group)
        return Scene(groups=groups, token=self.token_of(user), now_ms=self.now_ms())

    def _hello(self, user: str) -> bytes:
        return encode([0, 1, "hello", [{"token": self.token_of(user)}]])

    def _request(self, random: Random, scene: Scene) -> bytes:
        message = message_of(random, random.choice(METHODS_USED), scene)
        if random.random() < 0.8:
            message[3][0] = change(random, message[3][0], VALUES)
        return encode(message)

    def _malformed(self, random: Random, scene: Scene) -> bytes:
        kind = random.randrange(6)
        if kind == 0:
            return noise(random) or b"\xc1"
        if kind == 1:
            return encode(random.choice(STRANGE))
        message = message_of(random, random.choice(METHODS), scene)
        if kind == 2:
            return spoil(random, encode(message)) or b"\xc1"
        return malform(random, message, VALUES) or b"\xc1"

    def _is_sound(self, data: bytes) -> bool:
        unframer = rpc.Unframer(self._limits)
        unframer.frame_max_bytes = LIMITS.frame_max_bytes
        return bool(unframer.feed(data)) and unframer.error is None and not unframer.partial

    # --- talking

    async def _talk(self, link: Link, inputs: list[bytes]) -> None:
        """Send all, reading meanwhile; then end this side, and read to the end."""
        self.sent += len(inputs)

        async def send() -> None:
            with suppress(LinkBroken):
                await link.send_all(b"".join(inputs))
                link.send_eof()

        async with trio.open_nursery() as nursery:
            nursery.start_soon(send)
            await self._listen(link, inputs)
            # The server has ended: it takes nothing more.
            nursery.cancel_scope.cancel()

    async def _listen(self, link: Link, inputs: list[bytes]) -> None:
        unpacker = msgpack.Unpacker(strict_map_key=True, max_buffer_size=2**26)
        with suppress(LinkBroken):
            while data := await link.receive_some(65_536):
                unpacker.feed(data)
                for message in unpacker:
                    self._hear(message, inputs)

    def _hear(self, message: Any, inputs: list[bytes]) -> None:
        if message[0] == 2:
            if message[1] == "goodbye":
                self._count(self.goodbyes, message[2][0]["code"])
            return
        _kind, msgid, error, result = message
        self.answers += 1
        assert (error is None) != (result is None)
        code = "ok" if error is None else error["code"]
        assert code == "ok" or code in CODES
        self._count(self.codes, code)
        if code == "internal":
            mark = msgpack.packb(msgid)
            guilty = [data for data in inputs if mark in data[:12]]
            self.bugs.append((repr(error), b"".join(guilty[:1])))
        elif error is None and len(self.groups) < GROUPS_MAX:
            group = result.get("group")
            if type(group) is str and group not in self.groups:
                self.groups.append(group)

    @staticmethod
    def _count(counts: dict[str, int], code: str) -> None:
        counts[code] = counts.get(code, 0) + 1


KINDS: Final = (
    Attack.as_stranger,
    Attack.as_member,
    Attack.as_breaker,
    Attack.as_flood,
    Attack.as_forger,
    Attack.as_cutter,
    Attack.as_stalled,
)
WEIGHTS: Final = (16, 8, 12, 3, 2, 6, 1)
