"""A little client that does what it must, and many that do one thing wrong.

It is as long as the page for client authors makes it, and no longer: one task reads, one sends;
what was heard goes through one cursor; what is said stays in the outbox until it is answered.
"""

from __future__ import annotations

import random
from collections.abc import Awaitable, Callable
from typing import Any, Final

import msgpack
import trio

from groupd.client.ids import RisingIds
from groupd.server.link import LinkBroken
from groupd.testing.fakes import FakeClock
from groupd.testing.links import FakeLink

CAP_S: Final = 4.0


class LittleClient:
    """Answers each message of others with ``heard SEQ``."""

    def __init__(
        self,
        dial: Callable[[], Awaitable[FakeLink]],
        token: Callable[[], Awaitable[str]],
    ) -> None:
        self.dial = dial
        self.token = token
        self.random = random.Random(7)
        self.clock = FakeClock()
        self.offset_ms = 0
        self.ids = RisingIds()
        self.store = ""
        self.user = ""
        self.cursors: dict[str, int] = {}
        self.heads: dict[str, int] = {}
        self.outbox: dict[str, dict[str, Any]] = {}
        self.is_ready = False
        self.attempt = 0
        self.wait_s = 0.0

    # --- connections

    async def run(self) -> None:
        shown = ""
        while True:
            shown = await self.next_token(shown)
            self.wait_s = 0.0
            self.asked: dict[int, dict[str, Any]] = {}
            self.msgid = 0
            self.is_live = False
            self.link = await self.dial()
            unpacker = self.unpacker()
            try:
                await self.ask("hello", {"token": shown})
                while data := await self.receive():
                    for message in self.cut(unpacker, data):
                        await self.take(message)
            except LinkBroken:
                pass
            await self.link.aclose()
            self.attempt += 1
            await trio.sleep(max(self.wait_s, self.back_off_s()))

    async def receive(self) -> bytes:
        return await self.link.receive_some(65_536)

    async def next_token(self, shown: str) -> str:
        return await self.token()

    def unpacker(self) -> msgpack.Unpacker:
        return msgpack.Unpacker()

    def cut(self, unpacker: msgpack.Unpacker, data: bytes) -> list[Any]:
        unpacker.feed(data)
        return list(unpacker)

    def back_off_s(self) -> float:
        return self.random.uniform(0, min(CAP_S, 0.5 * 2**self.attempt))

    async def ask(self, method: str, params: dict[str, Any]) -> None:
        self.msgid += 1
        self.asked[self.msgid] = {"method": method, "params": params}
        await self.link.send_all(msgpack.packb([0, self.msgid, method, [params]]))

    # --- what comes

    async def take(self, message: list[Any]) -> None:
        if message[0] == 1:
            _, msgid, error, result = message
            asked = self.asked.pop(self.which(msgid))
            if error is not None:
                await self.refused(asked, error)
            else:
                await getattr(self, f"on_{asked['method']}")(asked, result)
        elif message[1] == "event":
            await self.on_event(message[2][0])
        elif message[1] == "lagged":
            await self.on_lagged(message[2][0])
        elif message[1] == "goodbye":
            self.on_goodbye(message[2][0])

    def which(self, msgid: int) -> int:
        return msgid

    def on_goodbye(self, params: dict[str, Any]) -> None:
        self.wait_s = params.get("retry_after_ms", 0) / 1_000

    async def on_hello(self, asked: dict[str, Any], result: dict[str, Any]) -> None:
        self.offset_ms = self.offset_of(result["time_ms"])
        self.user = result["user"]
        if self.store != result["store"]:
            self.on_store()
        self.store = result["store"]
        self.attempt = 0
        for group in result["groups"]:
            self.cursors.setdefault(group["group"], group["head"])
            self.heads[group["group"]] = group["head"]
            await self.catch_up(group["group"])
        if not self.is_ready:
            self.is_ready = True
            self.say(result["groups"][0]["group"], "ready")
        self.is_live = True
        for id in self.outbox:
            await self.send(id)

    def offset_of(self, time_ms: int) -> int:
        return time_ms - self.clock.now_ms()

    def on_store(self) -> None:
        self.cursors.clear()
        self.heads.clear()

    async def on_lagged(self, params: dict[str, Any]) -> None:
        group = params["group"]
        self.heads[group] = max(self.heads[group], params["head"])
        await self.catch_up(group)

    async def on_event(self, event: dict[str, Any]) -> None:
        group, seq = event["group"], event["seq"]
        last = self.cursors.setdefault(group, seq - 1)
        is_behind = self.heads.get(group, 0) > last
        self.heads[group] = max(self.heads.get(group, 0), seq)
        if is_behind or seq != last + 1:
            await self.catch_up(group)
        else:
            await self.show(event)

    async def catch_up(self, group: str) -> None:
        if self.heads[group] > self.cursors[group]:
            await self.ask("history", {"group": group, "after": self.cursors[group]})

    async def on_history(self, asked: dict[str, Any], result: dict[str, Any]) -> None:
        for event in result["events"]:
            if event["seq"] > self.cursors[event["group"]]:
                await self.show(event)
        if result["more"]:
            await self.catch_up(asked["params"]["group"])

    async def show(self, event: dict[str, Any]) -> None:
        self.cursors[event["group"]] = event["seq"]
        if event["kind"] == "posted" and event["user"] != self.user:
            id = self.say(event["group"], f"heard {event['seq']}")
            if self.is_live:
                await self.send(id)

    # --- the outbox

    def say(self, group: str, text: str) -> str:
        id = self.new_id()
        self.outbox[id] = {"group": group, "text": text}
        return id

    def new_id(self) -> str:
        return self.ids.make(self.clock.now_ms() + self.offset_ms, self.random.randbytes(10))

    async def send(self, id: str) -> None:
        await self.ask("post", {**self.outbox[id], "id": id})

    async def on_post(self, asked: dict[str, Any], result: dict[str, Any]) -> None:
        self.outbox.pop(asked["params"]["id"], None)

    async def refused(self, asked: dict[str, Any], error: dict[str, Any]) -> None:
        if error["code"] == "unauthenticated":
            await self.renew()
        elif error["code"] == "unavailable":
            await trio.sleep(error["retry_after_ms"] / 1_000)
            await self.send(asked["params"]["id"])
        elif asked["method"] == "post":
            del self.outbox[asked["params"]["id"]]

    async def renew(self) -> None:
        await self.ask("hello", {"token": await self.next_token("")})


class PostsBeforeHello(LittleClient):
    async def ask(self, method: str, params: dict[str, Any]) -> None:
        if method == "hello":
            await super().ask("ping", {})
        await super().ask(method, params)

    async def on_ping(self, asked: dict[str, Any], result: dict[str, Any]) -> None:
        pass


class PostsWithoutAnId(LittleClient):
    async def send(self, id: str) -> None:
        await self.ask("post", self.outbox[id])


class NeverSaysReady(LittleClient):
    def say(self, group: str, text: str) -> str:
        return super().say(group, "hi" if text == "ready" else text)


class KeepsItsToken(LittleClient):
    kept = ""

    async def next_token(self, shown: str) -> str:
        self.kept = self.kept or await self.token()
        return self.kept


class DropsWhatIsRefused(LittleClient):
    async def refused(self, asked: dict[str, Any], error: dict[str, Any]) -> None:
        if error["code"] == "unauthenticated":
            self.outbox.pop(asked["params"]["id"], None)
        await super().refused(asked, error)


class DiesOfWhatItDoesNotKnow(LittleClient):
    async def take(self, message: list[Any]) -> None:
        if message[0] == 2 and message[1] not in ("event", "lagged", "goodbye"):
            await self.link.aclose()
            return
        await super().take(message)


class SkipsKindsItDoesNotKnow(LittleClient):
    """It drops the event, and with it the step of the cursor; then it fetches, and so for ever."""

    async def on_event(self, event: dict[str, Any]) -> None:
        if event["kind"] in ("posted", "joined"):
            await super().on_event(event)

    async def catch_up(self, group: str) -> None:
        pass


class TakesAReadForAMessage(LittleClient):
    def cut(self, unpacker: msgpack.Unpacker, data: bytes) -> list[Any]:
        try:
            value = msgpack.unpackb(data)
        except ValueError:
            return []
        return [value] if isinstance(value, list) else []


class MatchesAnswersByPosition(LittleClient):
    def which(self, msgid: int) -> int:
        return min(self.asked)


class IsImpatient(LittleClient):
    async def receive(self) -> bytes:
        with trio.move_on_after(2 if self.outbox else 3_600):
            return await super().receive()
        raise LinkBroken("no answer")


class ShowsWhatComes(LittleClient):
    """It has no cursor: it shows what is pushed, and fetches nothing."""

    async def on_event(self, event: dict[str, Any]) -> None:
        await self.show(event)


class TakesOneMessageOfARead(ShowsWhatComes):
    """With a cursor it would fetch what it has lost, and do right in the end."""

    def cut(self, unpacker: msgpack.Unpacker, data: bytes) -> list[Any]:
        fresh = msgpack.Unpacker()
        fresh.feed(data)
        return [value for value in list(fresh)[:1] if isinstance(value, list)]


class FetchesAndShowsThePushToo(LittleClient):
    async def on_event(self, event: dict[str, Any]) -> None:
        group, seq = event["group"], event["seq"]
        if seq > self.cursors.setdefault(group, seq - 1) + 1:
            self.heads[group] = seq
            await self.catch_up(group)
            before = self.cursors[group]
            await self.show(event)
            self.cursors[group] = before
        else:
            await super().on_event(event)


class IgnoresLagged(LittleClient):
    async def on_lagged(self, params: dict[str, Any]) -> None:
        pass


class ForgetsWhatItMissed(LittleClient):
    async def on_hello(self, asked: dict[str, Any], result: dict[str, Any]) -> None:
        self.cursors = {group["group"]: group["head"] for group in result["groups"]}
        await super().on_hello(asked, result)


class ShowsAllAgain(LittleClient):
    async def on_hello(self, asked: dict[str, Any], result: dict[str, Any]) -> None:
        self.cursors = {group["group"]: 0 for group in result["groups"]}
        await super().on_hello(asked, result)


class ForgetsItsOutbox(LittleClient):
    async def on_hello(self, asked: dict[str, Any], result: dict[str, Any]) -> None:
        self.outbox.clear()
        await super().on_hello(asked, result)


class MakesANewIdForEachTry(LittleClient):
    async def on_hello(self, asked: dict[str, Any], result: dict[str, Any]) -> None:
        self.outbox = {self.new_id(): what for what in self.outbox.values()}
        await super().on_hello(asked, result)


class ComesBackAtOnce(LittleClient):
    def on_goodbye(self, params: dict[str, Any]) -> None:
        pass

    def back_off_s(self) -> float:
        return 0.01


class WaitsByARule(LittleClient):
    def back_off_s(self) -> float:
        return min(CAP_S * 100, 0.2 * 2.0**self.attempt)


class NeverComesBack(LittleClient):
    def back_off_s(self) -> float:
        return 1e6


class UsesItsOwnClock(LittleClient):
    def offset_of(self, time_ms: int) -> int:
        return 0


class DoesNotLookAtTheStore(LittleClient):
    def on_store(self) -> None:
        pass


WRONG: Final[list[tuple[type[LittleClient], str, str]]] = [
    (PostsBeforeHello, "greeting", "expected hello as the first request; got ping before it"),
    (PostsWithoutAnId, "greeting", "expected a post with a text and an id"),
    (NeverSaysReady, "greeting", "expected a post of `ready`"),
    (DiesOfWhatItDoesNotKnow, "unknown", "got "),
    (SkipsKindsItDoesNotKnow, "unknown", "expected heard 4"),
    (TakesAReadForAMessage, "bytes", "expected heard 3, each once; got "),
    (TakesOneMessageOfARead, "burst", "each once; got "),
    (MatchesAnswersByPosition, "order", "expected"),
    (IsImpatient, "slow", "it closed the connection"),
    (ShowsWhatComes, "gap", "expected each message once and in order: heard 3, heard 4, heard 5"),
    (FetchesAndShowsThePushToo, "gap", "expected"),
    (IgnoresLagged, "lagged", "expected heard 3, heard 5, heard 6, each once"),
    (ForgetsWhatItMissed, "resume", "each once; got"),
    (ShowsAllAgain, "resume", "said once, with the same id each time; got a second id for it"),
    (ForgetsItsOutbox, "cut_reply", "expected the post again on the next connection"),
    (MakesANewIdForEachTry, "cut_reply", "got a second id for it"),
    (KeepsItsToken, "token", "expected hello with a fresh token"),
    (DropsWhatIsRefused, "token", "expected the refused post again"),
    (ComesBackAtOnce, "goodbye", "expected no connection within retry_after_ms, 3000 ms; got one"),
    (NeverComesBack, "goodbye", "expected a new connection, in time"),
    (ComesBackAtOnce, "storm", "expected waits that grow; got waits of 0.01"),
    (WaitsByARule, "storm", "expected waits that are drawn at random"),
    (UsesItsOwnClock, "clock", "expected ids on the server's clock"),
    (DoesNotLookAtTheStore, "store", "expected heard 2, each once; got"),
]
