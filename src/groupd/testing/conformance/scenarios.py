"""The scenarios: each plays one hard moment, and looks at what the client makes of it.

A scenario is a class with a name, a sentence, and ``play``, which raises ``Wrong``. It may leave
the connection as it likes: the next one waits for a client that is there. Most end with one more
message, since a message that was shown twice is seen at the latest before the answer to that one.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from functools import partial
from itertools import pairwise
from typing import ClassVar, Final

import trio

from groupd.errors import Rejected
from groupd.testing.conformance.stage import ScriptedServer
from groupd.testing.conformance.visit import Asked, Visit, Wrong
from groupd.wire import rpc

BURST: Final = 100
LATE_S: Final = 5.0
SECOND_WITHIN_S: Final = 2.0
"""How long a client that asks several things at once may take for the second."""
ORDER_RETRY_MS: Final = 200
GOODBYE_MS: Final = 3_000
EARLY_MS: Final = 50
"""By how much a client's timer may be early."""
CUTS: Final = 5
HAMMER_S: Final = 0.1
ALIKE: Final = 0.03
"""Waits whose ratios differ by less than this follow a rule and no chance."""
DAYS_AHEAD_MS: Final = 3 * 24 * 3_600_000


class Scenario(ABC):
    """One hard moment."""

    name: ClassVar[str]
    about: ClassVar[str]

    @abstractmethod
    async def play(self, stage: ScriptedServer) -> None:
        """Play it; raises Wrong where the client does something wrong."""


class Greeting(Scenario):
    """A plain start, and a message."""

    name = "greeting"
    about = "a plain start, and a message"

    async def play(self, stage: ScriptedServer) -> None:
        """Say something, twice."""
        await stage.begin(self.name)
        first = await stage.say("hello")
        await stage.heard(first)
        await stage.heard(first, await stage.say("hello again"))


class Unknown(Scenario):
    """What a later server may send."""

    name = "unknown"
    about = "a kind, a signal, a notification and fields that nobody knows"

    async def play(self, stage: ScriptedServer) -> None:
        """Send what does not exist yet, then a message with more fields than today's."""
        visit = await stage.begin(self.name)
        await visit.push("from_the_future", anything=[1, {"a": None}])
        await visit.push("signal", group=stage.group, user="mei", kind="waves", hand="left")
        stage.record("from_the_future", user="mei", of={"what": [True, 2.5, None]})
        await visit.push("event", **stage.log[-1])
        seq = stage.record("posted", user="mei", text="hello", mood="好", parts=[{"x": 1}])
        await visit.push("event", **stage.log[-1])
        await stage.heard(seq)
        _expect_still_there(visit, "it to pass over what it does not know")


class Bytes(Scenario):
    """TCP keeps no messages apart."""

    name = "bytes"
    about = "a push that comes byte by byte"

    async def play(self, stage: ScriptedServer) -> None:
        """Send a push in pieces of one byte."""
        visit = await stage.begin(self.name)
        seq = await stage.say("in pieces, 一个字一个字", push=False)
        for byte in rpc.encode_notification("event", stage.log[-1]):
            await visit.send(bytes([byte]))
            # So that each is a segment of its own.
            await trio.sleep(0.002)
        await stage.heard(seq)
        _expect_still_there(visit, "it to wait for the rest of a message")


class Burst(Scenario):
    """TCP keeps no messages apart."""

    name = "burst"
    about = "a hundred pushes in one piece"

    async def play(self, stage: ScriptedServer) -> None:
        """Send many pushes at once."""
        visit = await stage.begin(self.name)
        seqs = [await stage.say(f"number {number}", push=False) for number in range(BURST)]
        pushes = [rpc.encode_notification("event", stage.log[seq - 1]) for seq in seqs]
        await visit.send(b"".join(pushes))
        await stage.heard(*seqs)


class Order(Scenario):
    """Answers are matched by msgid."""

    name = "order"
    about = "answers in another order than the questions"

    async def play(self, stage: ScriptedServer) -> None:
        """Answer the second of two posts first, and ask for that one again."""
        await stage.begin(self.name)
        held: list[Asked] = []

        async def hold(asked: Asked) -> bool:
            if len(held) == 2:
                return False
            held.append(asked)
            return True

        stage.hooks["post"] = hold
        seqs = [await stage.say("one"), await stage.say("two")]
        await stage.until(lambda: held, "a post of `heard` for each message")
        await stage.within(SECOND_WITHIN_S, lambda: len(held) == 2)
        stage.hooks.clear()
        first, *others = held
        for later in others:
            # A client that asks one thing at a time has none of these, and can mix up nothing.
            refusal = Rejected("unavailable", "not now", retry_after_ms=ORDER_RETRY_MS)
            await later.visit.answer(later, refusal)
        await stage.serve_request(first)
        await stage.heard_in_any_order(*seqs)
        for later in others:
            again = stage.sent("post", id=later.params["id"])
            if len(again) < 2:
                raise Wrong(
                    expected="the post whose answer was `unavailable` again, with its id",
                    got=f"no second {later.params['text']!r}",
                )
        if others and len(stage.sent("post", id=first.params["id"])) > 1:
            raise Wrong(
                expected=f"no second {first.params['text']!r}: its own answer was no error",
                got="one; are answers matched by msgid?",
            )


class Slow(Scenario):
    """A slow server is no lost one."""

    name = "slow"
    about = "an answer that takes five seconds"

    async def play(self, stage: ScriptedServer) -> None:
        """Keep a post waiting."""
        visit = await stage.begin(self.name)
        held: list[Asked] = []

        async def hold(asked: Asked) -> bool:
            held.append(asked)
            return True

        stage.hooks["post"] = hold
        seq = await stage.say("take your time")
        await stage.until(lambda: held, "a post of `heard`")
        await trio.sleep(LATE_S)
        _expect_still_there(visit, f"it to wait {LATE_S:g} s for an answer")
        stage.hooks.clear()
        for asked in held:
            # The stage knows a second id for the same words.
            await stage.serve_request(asked)
        await stage.heard(seq)
        await stage.heard(seq, await stage.say("thank you"))


class Gap(Scenario):
    """A push whose predecessor never came."""

    name = "gap"
    about = "a push whose predecessor never came"

    async def play(self, stage: ScriptedServer) -> None:
        """Leave a message out."""
        await stage.begin(self.name)
        seqs = [await stage.say("one"), await stage.say("two", push=False)]
        seqs.append(await stage.say("three"))
        await stage.heard(*seqs)
        _expect_fetch(stage, before=seqs[1])
        await stage.heard(*seqs, await stage.say("four"))


class Lagged(Scenario):
    """The server says that it left something out."""

    name = "lagged"
    about = "`lagged`, and pushes that go on after it"

    async def play(self, stage: ScriptedServer) -> None:
        """Leave messages out, and say so."""
        visit = await stage.begin(self.name)
        seqs = [await stage.say("one")]
        await stage.heard(*seqs)
        seqs += [await stage.say(text, push=False) for text in ("two", "three")]
        await visit.push("lagged", group=stage.group, head=len(stage.log))
        await stage.heard(*seqs)
        _expect_fetch(stage, before=seqs[1])
        await stage.heard(*seqs, await stage.say("four"))


class Resume(Scenario):
    """What happened while nobody was connected."""

    name = "resume"
    about = "a cut, and messages meanwhile"

    async def play(self, stage: ScriptedServer) -> None:
        """Cut, talk on, and be there again."""
        visit = await stage.begin(self.name)
        seqs = [await stage.say("before")]
        await stage.heard(*seqs)
        await stage.settle()
        await visit.cut()
        seqs += [await stage.say(text, push=False) for text in ("meanwhile", "and more")]
        await stage.connected(after=visit)
        await stage.heard(*seqs)
        await stage.heard(*seqs, await stage.say("after"))


class CutReply(Scenario):
    """Nobody knows whether it was done: but the id does."""

    name = "cut_reply"
    about = "a cut in the middle of an answer"

    async def play(self, stage: ScriptedServer) -> None:
        """Do a post, and cut in the middle of the answer."""
        visit = await stage.begin(self.name)
        done: list[Asked] = []

        async def cut(asked: Asked) -> bool:
            if done:
                return False
            done.append(asked)
            result = await stage.post(asked)
            if isinstance(result, dict):
                answer = rpc.encode_response(asked.msgid, result)
                await asked.visit.send(answer[: len(answer) // 2])
            await asked.visit.cut()
            return True

        stage.hooks["post"] = cut
        seq = await stage.say("do you hear me?")
        await stage.until(lambda: done, "a post of `heard`")
        await stage.connected(after=visit)

        def again() -> bool:
            first = done[0]
            sends = stage.sent("post", text=first.params.get("text"))
            return any(
                each.visit is not first.visit and each.params.get("id") == first.params.get("id")
                for each in sends
            )

        await stage.until(again, "the post again on the next connection, with the same id")
        await stage.heard(seq)
        await stage.heard(seq, await stage.say("good"))


class Tokens(Scenario):
    """A token ends."""

    name = "token"
    about = "a token that ends: `unauthenticated`"

    async def play(self, stage: ScriptedServer) -> None:
        """Refuse all that is asked with the tokens so far."""
        await stage.begin(self.name)
        refused: list[Asked] = []
        renewed: list[str] = []

        async def refuse(asked: Asked) -> bool:
            if renewed:
                return False
            refused.append(asked)
            await asked.visit.answer(asked, Rejected("unauthenticated", "the token has expired"))
            return True

        async def look_at(asked: Asked) -> bool:
            token = asked.params.get("token")
            if refused and isinstance(token, str) and token not in stage.refused_tokens:
                renewed.append(token)
            return False

        stage.refuse_tokens()
        stage.hooks.update({"post": refuse, "hello": look_at})
        seq = await stage.say("who are you?")
        await stage.until(lambda: refused, "a post of `heard`")
        await stage.until(lambda: renewed, "hello with a fresh token from the URL")
        first = refused[0]
        await stage.until(
            lambda: len(stage.sent("post", id=first.params.get("id"))) > 1,
            "the refused post again, with the same id",
        )
        await stage.heard(seq)
        stage.hooks.clear()
        await stage.heard(seq, await stage.say("welcome back"))


class Goodbye(Scenario):
    """The server says when to come back."""

    name = "goodbye"
    about = "a goodbye with `retry_after_ms`"

    async def play(self, stage: ScriptedServer) -> None:
        """Close, and look when the client is there again."""
        visit = await stage.begin(self.name)
        count = len(stage.visits)
        await stage.settle()
        await visit.goodbye("unavailable", "stopping", retry_after_ms=GOODBYE_MS)
        await stage.until(lambda: len(stage.visits) > count, "a new connection, in time")
        waited_ms = round((stage.visits[count].began_s - visit.ended_s) * 1_000)
        if waited_ms < GOODBYE_MS - EARLY_MS:
            raise Wrong(
                expected=f"no connection within retry_after_ms, {GOODBYE_MS} ms",
                got=f"one after {waited_ms} ms",
            )
        await stage.connected(after=visit)
        await stage.heard(await stage.say("again"))


class Storm(Scenario):
    """A server that restarts is met by all its clients: they had better spread."""

    name = "storm"
    about = "a server that cuts five connections in a row"

    async def play(self, stage: ScriptedServer) -> None:
        """Cut each connection as it comes, and look at the waits."""
        visit = await stage.begin(self.name)
        cuts: list[Visit] = [visit]

        async def cut(new: Visit) -> bool:
            if len(cuts) > CUTS:
                return False
            cuts.append(new)
            await new.cut()
            return True

        stage.on_visit = cut
        await stage.settle()
        await visit.cut()
        while len(cuts) <= CUTS:
            count = len(cuts)
            # Each may take its time.
            await stage.until(partial(_has_grown, cuts, count), f"{CUTS} new tries, one by one")
        await stage.connected(after=visit)
        waits = [new.began_s - old.ended_s for old, new in pairwise(cuts)]
        shown = ", ".join(f"{wait:.2f}" for wait in waits)
        if sum(wait < HAMMER_S for wait in waits) > CUTS // 2:
            raise Wrong(expected="waits that grow", got=f"waits of {shown} s")
        if _follow_a_rule(waits):
            raise Wrong(expected="waits that are drawn at random", got=f"waits of {shown} s")
        await stage.heard(await stage.say("calm"))


class StoreChange(Scenario):
    """Seqs that were seen mean nothing any more."""

    name = "store"
    about = "a server that was restored from a backup"

    async def play(self, stage: ScriptedServer) -> None:
        """Come back with an older log, and another store."""
        visit = await stage.begin(self.name)
        seqs = [await stage.say(text) for text in ("one", "two", "three")]
        await stage.heard(*seqs)
        await stage.settle()
        await visit.cut()
        stage.restore()
        await stage.connected(after=visit)
        await stage.heard(await stage.say("another one"))


class Clock(Scenario):
    """Ids are made on the server's clock."""

    name = "clock"
    about = "a server whose clock is three days ahead"

    async def play(self, stage: ScriptedServer) -> None:
        """Tell another time; the stage looks at the ids."""
        visit = await stage.begin(self.name)
        await stage.settle()
        # For good: ids rise, so no client need follow a clock that goes back.
        stage.ahead_ms = DAYS_AHEAD_MS
        await visit.cut()
        await stage.connected(after=visit)
        await stage.heard(await stage.say("what time is it?"))


SCENARIOS: Final[Sequence[type[Scenario]]] = (
    *(Greeting, Unknown, Bytes, Burst, Order, Slow, Gap, Lagged, Resume, CutReply),
    *(Tokens, Goodbye, Storm, StoreChange, Clock),
)
"""All of them, in the order in which they are played."""


def _expect_still_there(visit: Visit, expected: str) -> None:
    if visit.is_over:
        raise Wrong(expected=expected, got="it closed the connection")


def _expect_fetch(stage: ScriptedServer, *, before: int) -> None:
    """Raise Wrong unless the client has asked for what comes after a seq below ``before``."""
    fetches = [*stage.sent("sync"), *stage.sent("history")]
    if not fetches:
        raise Wrong(expected=f"sync or history from before seq {before}", got="neither")


def _has_grown(items: Sequence[object], count: int) -> bool:
    return len(items) > count


def _follow_a_rule(waits: Sequence[float]) -> bool:
    """Say whether each wait is the one before by the same factor."""
    ratios = [later / max(earlier, 0.001) for earlier, later in pairwise(waits)]
    return max(ratios) - min(ratios) < ALIKE * max(ratios)
