"""Replay real human conversations through a server, and check that nobody has missed a word.

    python examples/replay.py [--messages 2000] [--members 200] [--server URL --data DIRECTORY]

The conversations are those of the package `chitchat-dataset`, in the order of their times. One
ordinary user founds four groups of 200, which is all that the plan allows; 796 others join by a
share link. Each speaker of a conversation is one of the members. In the end every member must hold
exactly the group's log from their joining on: each event once, in order, with its text.

Without --server a server is started for it, on a free port and with a store of its own.
"""

import argparse
import hashlib
import json
import subprocess
import sys
import tempfile
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager
from pathlib import Path

import attrs
import trio
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from rich.table import Table

import groupd
from groupd.app import make_token
from groupd.client import Client, GroupEvent
from groupd.domain.base import Identity
from groupd.testing.conversations import Conversation, conversations

GROUPS = 4
CONVERSATIONS_AT_ONCE = 8
"""In each group. Within a conversation people wait for one another."""
CONNECTING_AT_ONCE = 32
PATIENCE_S = 120.0


def shared_out(source: Iterable[Conversation], messages: int) -> list[list[Conversation]]:
    """Deal the conversations out to the groups, as many as come to ``messages`` in all."""
    dealt: list[list[Conversation]] = [[] for _ in range(GROUPS)]
    for number, conversation in enumerate(source):
        if messages <= 0:
            break
        dealt[number % GROUPS].append(conversation[:messages])
        messages -= len(conversation)
    return dealt


@attrs.define
class Holding:
    """What a member holds of a group: how far, and a hash over every event in order."""

    first: int = 0
    last: int = 0
    digest: "hashlib._Hash" = attrs.field(factory=hashlib.sha256)

    def take(self, event: GroupEvent) -> None:
        """Take the next event; one that is not the next is a defect of the server."""
        if self.last and event.seq != self.last + 1:
            raise AssertionError(f"{event.group}: {event.seq} came after {self.last}")
        self.first = self.first or event.seq
        self.last = event.seq
        words = (event.seq, event.user, event.kind, event.fields.get("text", ""))
        self.digest.update(repr(words).encode())


@attrs.define
class Circle:
    """One group with all who are in it."""

    group: str
    code: str
    members: list[Client] = attrs.field(factory=list)
    holdings: list[Holding] = attrs.field(factory=list)
    goal: int = 0
    """The seq that everybody has to reach; 0 while it is not known."""


class Replay:
    """The cast and the stage."""

    def __init__(self, server: str, config: groupd.Config, *, members: int) -> None:
        self.server = server
        self.config = config
        self.members = members
        self.circles: list[Circle] = []
        self.deliveries = 0
        self._progress = trio.Event()

    async def run(self, dealt: list[list[Conversation]], progress: Progress) -> bool:
        """Gather, talk, and compare; gives whether everybody holds everything."""
        async with trio.open_nursery() as cast:
            owner: Client = await cast.start(self._play, "owner", None)
            for number in range(GROUPS):
                made = await owner.create(f"Replay {number + 1}")
                link = await owner.share_link(made["group"], channel="replay")
                self.circles.append(Circle(made["group"], link["code"]))
            await self._gather(cast, progress)
            await self._talk(dealt, progress)
            correct = await self._compare(owner, progress)
            cast.cancel_scope.cancel()
        return correct

    async def _gather(self, cast: trio.Nursery, progress: Progress) -> None:
        total = GROUPS * (self.members - 1)
        bar = progress.add_task("joining", total=total)
        gate = trio.CapacityLimiter(CONNECTING_AT_ONCE)

        async def come(user: str, circle: Circle) -> None:
            async with gate:
                await cast.start(self._play, user, circle)
            progress.advance(bar)

        async with trio.open_nursery() as nursery:
            for number, circle in enumerate(self.circles):
                for seat in range(self.members - 1):
                    nursery.start_soon(come, f"member-{number}-{seat}", circle)

    async def _play(
        self,
        user: str,
        circle: Circle | None,
        task_status: trio.TaskStatus[Client] = trio.TASK_STATUS_IGNORED,
    ) -> None:
        """Be one member: connect, join, and hold on to everything that is heard."""
        token = make_token(self.config, Identity(user, name=user), expires_in_ms=86_400_000)
        async with groupd.connect(self.server, token=token) as client:
            events = client.events()
            if circle is None:
                task_status.started(client)
            else:
                holding = Holding()
                await client.join(code=circle.code)
                circle.members.append(client)
                circle.holdings.append(holding)
                task_status.started(client)
            async for event in events:
                if circle is not None and isinstance(event, GroupEvent):
                    holding.take(event)
                    self.deliveries += 1
                    if holding.last == circle.goal:
                        self._progress.set()

    async def _talk(self, dealt: list[list[Conversation]], progress: Progress) -> None:
        total = sum(len(lines) for conversations in dealt for lines in conversations)
        bar = progress.add_task("talking", total=total)

        async def hold(circle: Circle, number: int, lines: Conversation) -> None:
            seats: dict[str, Client] = {}
            for sender, text in lines:
                # Two people of one conversation never are the same member.
                seat = (number * 2 + len(seats)) % len(circle.members)
                client = seats.setdefault(sender, circle.members[seat])
                await client.post(circle.group, text=text)
                progress.advance(bar)

        async def in_turn(circle: Circle, here: list[Conversation], first: int) -> None:
            for number in range(first, len(here), CONVERSATIONS_AT_ONCE):
                await hold(circle, number, here[number])

        async with trio.open_nursery() as nursery:
            for circle, here in zip(self.circles, dealt, strict=True):
                for first in range(CONVERSATIONS_AT_ONCE):
                    nursery.start_soon(in_turn, circle, here, first)

    async def _compare(self, owner: Client, progress: Progress) -> bool:
        """Wait until all have heard all, and hold them against the log as the server has it."""
        for circle in self.circles:
            circle.goal = (await owner.history(circle.group, limit=1))["head"]
        bar = progress.add_task("hearing the rest", total=GROUPS * (self.members - 1))
        with trio.move_on_after(PATIENCE_S):
            while True:
                done = sum(
                    holding.last == circle.goal
                    for circle in self.circles
                    for holding in circle.holdings
                )
                progress.update(bar, completed=done)
                if done == GROUPS * (self.members - 1):
                    break
                self._progress = trio.Event()
                await self._progress.wait()
        correct = True
        bar = progress.add_task("comparing", total=GROUPS)
        for circle in self.circles:
            correct &= await self._is_held(owner, circle)
            progress.advance(bar)
        return correct

    async def _is_held(self, owner: Client, circle: Circle) -> bool:
        """Compare every member's hash with that of the log from their joining on."""
        expected = {holding.first: Holding() for holding in circle.holdings}
        after, more = 0, True
        while more:
            page = await owner.history(circle.group, after=after, limit=500)
            for fields in page["events"]:
                event = GroupEvent.from_wire(fields)
                for first, holding in expected.items():
                    if event.seq >= first:
                        holding.take(event)
                after = event.seq
            more = page["more"]
        return all(
            holding.last == circle.goal
            and holding.digest.digest() == expected[holding.first].digest.digest()
            for holding in circle.holdings
        )


@asynccontextmanager
async def a_server(data: Path) -> AsyncIterator[str]:
    """Run a server with a store of its own, on a free port."""
    groupd_command = Path(sys.executable).with_name("groupd")
    command = [groupd_command, "serve", "--data", data, "--listen", "tcp://127.0.0.1:0"]
    process = await trio.lowlevel.open_process(
        [*map(str, command), "--no-rate-limits"], stderr=subprocess.PIPE
    )
    assert process.stderr is not None
    try:
        heard = b""
        while b'"serving"' not in heard:
            heard += await process.stderr.receive_some() or sys.exit(heard.decode())
        line = next(line for line in heard.splitlines() if b'"serving"' in line)
        async with trio.open_nursery() as nursery:
            nursery.start_soon(drain, process.stderr)
            yield json.loads(line)["urls"][0]
            process.terminate()
            await process.wait()
            nursery.cancel_scope.cancel()
    finally:
        process.kill()


async def drain(stream: trio.abc.ReceiveStream) -> None:
    """Read a pipe so that it never fills."""
    while await stream.receive_some():
        pass


async def main(options: argparse.Namespace) -> bool:
    """Replay on the server that is named, or on one of our own."""
    console = Console()
    with console.status("reading the conversations"):
        dealt = shared_out(conversations(), options.messages)
    columns = (
        TextColumn("{task.description:>18}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeRemainingColumn(),
    )
    began = trio.current_time()
    with tempfile.TemporaryDirectory() as folder, Progress(*columns, console=console) as progress:
        data = Path(options.data or folder)
        config = groupd.Config(data=str(data))
        if options.server is None:
            async with a_server(data) as server:
                replay = Replay(server, config, members=options.members)
                correct = await replay.run(dealt, progress)
        else:
            replay = Replay(options.server, config, members=options.members)
            correct = await replay.run(dealt, progress)
    report(console, replay, dealt, correct=correct, seconds=trio.current_time() - began)
    return correct


def report(
    console: Console,
    replay: Replay,
    dealt: list[list[Conversation]],
    *,
    correct: bool,
    seconds: float,
) -> None:
    """Print what was said, and whether it was heard."""
    table = Table(title="Replay", box=None)
    for column in ("group", "members", "conversations", "messages", "log"):
        table.add_column(column, justify="right")
    for circle, held in zip(replay.circles, dealt, strict=True):
        count = str(sum(map(len, held)))
        table.add_row(
            circle.group, str(len(circle.members) + 1), str(len(held)), count, str(circle.goal)
        )
    console.print(table)
    console.print(f"{replay.deliveries} events heard in {seconds:.1f} s.")
    if correct:
        console.print("[green]Every member holds exactly the group's log.[/]")
    else:
        console.print("[bold red]Somebody holds something else than the group's log.[/]")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    parser.add_argument(
        "--messages", type=int, default=2_000, help="how many to speak; 258,000 are there"
    )
    parser.add_argument("--members", type=int, default=200, help="of each group")
    parser.add_argument("--server", help="a running server's URL, instead of one of our own")
    parser.add_argument("--data", help="the server's data directory, for its secret")
    sys.exit(0 if trio.run(main, parser.parse_args()) else 1)
