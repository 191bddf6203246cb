"""Clients that speak until their server is gone, and then to the next one, from where they were.

Border: they follow the contract as a careful client would (an id for each intent, the same one
for every attempt, what was not answered is sent again first and in its order) and note everything
in a ``Recording``. They draw from their own seeded randomness, and judge nothing.
"""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Sequence
from typing import Any, Final

import trio

from groupd.errors import Rejected
from tests.crash.recording import Asked, Connection, Map, Recording
from tests.e2e.process import Process
from tests.e2e.raw import RawClient, dial, new_id

BATCH_MAX: Final = 16
"""Requests that a client sends at once."""
TEXT_MAX: Final = 3_000
LONG_TEXTS: Final = 0.1
"""How many of the texts are long, so that the store has pages to write."""
RECALLS: Final = 0.05
GIVES_UP: Final = 0.2
"""How often a client that has lost its connection forgets what was not answered."""
LOST: Final = (EOFError, trio.BrokenResourceError)
"""How a connection shows that its server is gone."""
PAGE: Final = 500


class Talker:
    """A user who speaks in one group. For one connection at a time.

    A wanderer comes into the group, says something and leaves it, over and over, all of it sent at
    once; anybody else is a member from the beginning.
    """

    def __init__(
        self,
        user: str,
        group: str,
        recording: Recording,
        seed: str,
        *,
        is_wanderer: bool = False,
    ) -> None:
        self.user = user
        self._group = group
        self._recording = recording
        self._random = random.Random(seed)
        self._is_wanderer = is_wanderer
        self._open: list[Asked] = []
        self._own: list[int] = []
        self._token = ""

    @property
    def has_open(self) -> bool:
        """Say whether something was sent that was not answered."""
        return bool(self._open)

    async def speak(self, server: Process) -> None:
        """Speak until the server is gone."""
        await self._visit(server, lambda: True)

    async def settle(self, server: Process) -> None:
        """Send again what was not answered, until it is."""
        await self._visit(server, lambda: False)

    async def _visit(self, server: Process, wants_more: Callable[[], bool]) -> None:
        self._token = self._token or server.token(self.user, name=self.user.title())
        try:
            async with dial(server.url) as client:
                await client.hello(self._token)
                connection = self._greeted(client)
                while self._open or wants_more():
                    fresh = self._fresh() if wants_more() else []
                    await self._exchange(client, connection, fresh)
        except LOST:
            if not self._is_wanderer and self._random.random() < GIVES_UP:
                for asked in self._open:
                    self._recording.info(asked)
                self._open = []

    def _greeted(self, client: RawClient) -> Connection:
        heads = {place["group"]: place["head"] for place in client.greeting["groups"]}
        return self._recording.connected(self.user, None if self._is_wanderer else heads)

    def _fresh(self) -> list[Asked]:
        if self._is_wanderer:
            if self._open:
                return []  # One visit at a time: else a retry would post after its own leaving.
            middle = [self._post() for _ in range(self._random.randrange(4))]
            return [self._invoke("join"), *middle, self._invoke("leave")]
        return [self._post() for _ in range(self._random.randrange(1, BATCH_MAX))] + self._recall()

    def _post(self) -> Asked:
        draw = self._random
        size = draw.randrange(TEXT_MAX) if draw.random() < LONG_TEXTS else draw.randrange(60)
        text = (
            f"{self.user} {draw.getrandbits(64):x} "
            + "\N{HOT BEVERAGE}a"[draw.getrandbits(1)] * size
        )
        return self._invoke("post", text=text.strip())

    def _recall(self) -> list[Asked]:
        if not self._own or self._random.random() >= RECALLS:
            return []
        return [self._invoke("recall", seq=self._own.pop(self._random.randrange(len(self._own))))]

    def _invoke(self, method: str, **params: Any) -> Asked:
        params |= {"group": self._group, "id": new_id(time.time_ns() // 1_000_000)}
        return self._recording.invoke(self.user, method, params)

    async def _exchange(
        self, client: RawClient, connection: Connection, fresh: Sequence[Asked]
    ) -> None:
        """Send what is open and what is new in one write, and wait for the answers."""
        self._open += fresh
        framed = [client.frame(asked.method, asked.params) for asked in self._open]
        waiting = {msgid: asked for (msgid, _), asked in zip(framed, self._open, strict=True)}
        for asked in self._open:
            self._recording.sending(asked, connection)
        refused = False
        try:
            await client.send_bytes(b"".join(data for _, data in framed))
            while waiting:
                if not await client.receive():
                    raise EOFError(self.user)
                refused |= self._take(client, connection, waiting)
        finally:
            self._open = [asked for asked in self._open if asked.is_open]
        if refused:
            await trio.sleep(0.02)

    def _take(self, client: RawClient, connection: Connection, waiting: dict[int, Asked]) -> bool:
        """Note what has come; say whether anything was refused for now."""
        note_pushes(client, connection, self._recording)
        refused = False
        for msgid, (error, result) in client.answers.items():
            asked = waiting.pop(msgid)
            if error is None:
                self._recording.ok(asked, result)
                if asked.method == "post":
                    self._own.append(result["seq"])
            else:
                refused = True
                self._recording.fail(asked, Rejected.from_wire(error))
        client.answers.clear()
        del self._own[:-BATCH_MAX]
        return refused


def note_pushes(client: RawClient, connection: Connection, recording: Recording) -> None:
    """Note what was pushed, and drop it."""
    for method, params in client.pushes:
        if method == "event":
            recording.event(connection, params)
        elif method == "lagged":
            recording.lagged(connection, params["group"])
    client.pushes.clear()


async def whole_log(client: RawClient, group: str) -> list[Map]:
    """Read all of a group's log, from its first event to its last."""
    events: list[Map] = []
    while True:
        page = await client.ask("history", group=group, after=len(events), limit=PAGE)
        events += page["events"]
        if not page["more"]:
            return events
        client.pushes.clear()
