"""How the people of the demo talk: each as a client of their own, at an easy pace, for a while.

Placement rules: which server they talk to is ``show.py``'s. All is bounded: a scene has an end, and
so have what was really said and the answers to visitors.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager, suppress
from itertools import cycle
from typing import Final

import attrs
import trio

from groupd.cli.demo.scenes import (
    FRIEND,
    GREETINGS,
    NAMES,
    REPLIES,
    SCENES,
    YOU,
    Announce,
    Ask,
    Like,
    PinUp,
    Say,
    Scene,
    Step,
)
from groupd.client import Client, GroupEvent
from groupd.errors import Rejected
from groupd.testing.conversations import Conversation

VISITORS: Final = (YOU, FRIEND)
ANSWERS_MAX: Final = 40
"""Answers to them, in all."""
READS_S: Final = 6.0
"""How long somebody reads before they answer."""
LETTERS_PER_S: Final = 6.0
PAUSE_MAX_S: Final = 20.0
EARLIER_MAX: Final = 30
"""Lines of what people have really said that stand before each scene."""

Connect = Callable[[str], AbstractAsyncContextManager[Client]]
"""Gives the client of a user."""


def pause_s(step: Step) -> float:
    """Give how long a step takes: reading what is there, and typing."""
    text = step.text if isinstance(step, Say | Announce) else ""
    return min(PAUSE_MAX_S, READS_S + len(text) / LETTERS_PER_S)


@attrs.define(eq=False)
class Stage:
    """The groups, and the people who are connected. Made by ``open_stage``."""

    people: Mapping[str, Client]
    speed: float
    """How many times as fast as people are."""
    talk: Iterator[Conversation] = attrs.field(factory=lambda: iter(()))
    """What people have really said: some of it before the visitors come, and the rest when the
    scenes are over."""
    groups: list[str] = attrs.field(factory=list)
    """Their ids, in the order of ``SCENES``."""
    code: str = ""
    """Of a share link into the visitor's own group."""
    _marks: dict[tuple[str, str], int] = attrs.field(factory=dict)
    _answers: int = 0

    async def set_up(self) -> None:
        """Found the groups, and say what was said before."""
        for scene in SCENES:
            made = await self.people[scene.owner].create(members=scene.members, **scene.settings)
            self.groups.append(made["group"])
            for who, text in self._next_talk(scene)[:EARLIER_MAX]:
                await self.people[who].post(made["group"], text)
            for step in scene.before:
                await self._do(made["group"], step)
        link = await self.people[YOU].share_link(self.groups[0], channel="wechat", approval=True)
        self.code = link["code"]

    async def play(self) -> None:
        """Let them talk until all has been said. Who is spoken to answers until cancelled."""
        async with trio.open_nursery() as nursery:
            for scene, group in zip(SCENES, self.groups, strict=True):
                nursery.start_soon(self._talk, scene, group)
                listener = next(user for user in scene.members if user not in VISITORS)
                nursery.start_soon(self._answer, self.people[listener], group)
            for user, text in GREETINGS.items():
                nursery.start_soon(self._greet, user, text)

    def _next_talk(self, scene: Scene) -> Conversation:
        """Give the next conversation, as if members of a group had it; nothing after the last."""
        lines = next(self.talk, ())
        cast = cycle(user for user in scene.members if user not in VISITORS)
        roles: dict[str, str] = {}
        for speaker, _text in lines:
            if speaker not in roles:
                roles[speaker] = next(cast)
        return [(roles[speaker], text) for speaker, text in lines]

    async def _talk(self, scene: Scene, group: str) -> None:
        for step in scene.live:
            seconds = pause_s(step) / self.speed
            if isinstance(step, Say):
                await trio.sleep(seconds / 3)
                with suppress(Rejected):
                    await self.people[step.who].typing(group)
                seconds *= 2 / 3
            await trio.sleep(seconds)
            # A visitor may have thrown somebody out, or dissolved the group.
            with suppress(Rejected):
                await self._do(group, step)
        while lines := self._next_talk(scene):
            for who, text in lines:
                await trio.sleep(pause_s(Say(who, text)) / self.speed)
                with suppress(Rejected):
                    await self.people[who].post(group, text)

    async def _do(self, group: str, step: Step) -> None:
        person = self.people[step.who]
        match step:
            case Say():
                posted = await person.post(
                    group,
                    step.text,
                    card=step.card,
                    reply_to=self._marks.get((group, step.to)) if step.to else None,
                    mentions=step.mentions,
                )
                if step.mark:
                    self._marks[group, step.mark] = posted["seq"]
            case Like() | PinUp():
                seq = self._marks.get((group, step.mark))
                if seq is None:
                    return  # What it is about was not said: see ``_talk``.
                if isinstance(step, Like):
                    await person.react(group, seq, reaction=step.reaction)
                else:
                    await person.pin(group, seq)
            case Announce():
                await person.announce(group, step.text)
            case Ask():
                await person.join(group, message=step.message)

    async def _answer(self, person: Client, group: str) -> None:
        """Let somebody answer what the visitors say in a group."""
        async for event in person.events():
            if self._answers >= ANSWERS_MAX:
                return
            if not isinstance(event, GroupEvent) or event.kind != "posted":
                continue
            if event.group != group or event.user not in VISITORS:
                continue
            reply = REPLIES[self._answers % len(REPLIES)]
            self._answers += 1
            with suppress(Rejected):
                await trio.sleep(READS_S / 2 / self.speed)
                await person.react(group, event.seq, reaction="👍")
                await person.typing(group)
                await trio.sleep(READS_S / self.speed)
                await person.post(group, reply, reply_to=event.seq)

    async def _greet(self, user: str, text: str) -> None:
        """Let somebody say hello in the visitor's group, once they were let in."""
        person = self.people[user]
        async for event in person.events():
            if not isinstance(event, GroupEvent) or event.kind != "joined":
                continue
            if event.fields.get("member") == user:
                await trio.sleep(READS_S / self.speed)
                with suppress(Rejected):
                    await person.post(event.group, text)
                return


@asynccontextmanager
async def open_stage(
    connect: Connect, *, speed: float, talk: Iterator[Conversation]
) -> AsyncIterator[Stage]:
    """Connect everybody, and found the groups; all leave with the block."""
    async with AsyncExitStack() as stack:
        people = {user: await stack.enter_async_context(connect(user)) for user in NAMES}
        stage = Stage(people, speed, talk)
        await stage.set_up()
        yield stage
