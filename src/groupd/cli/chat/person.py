"""The person at a terminal: the groups they are in, the one they talk in, and how things are shown.

Where they are shown is a ``Display``: ``lines.py`` prints one line after the other, ``full.py`` has
the whole screen. Commands know of neither.
"""

from __future__ import annotations

from collections.abc import Awaitable, Mapping, Sequence
from contextlib import suppress
from datetime import datetime
from typing import Any, Final, Protocol

import attrs
from rich.console import RenderableType
from rich.markup import escape
from rich.table import Table
from rich.text import Text

from groupd.cli.chat import refusals, typed, words
from groupd.cli.chat.typed import Unclear
from groupd.client import AccountEvent, Client, GroupEvent, Signal
from groupd.config import CONTENT
from groupd.engine.results import SeqResult
from groupd.errors import Rejected

UNDER_CURSOR: Final = "."
"""Names the message under the cursor where a text follows that could begin with a number."""


class Display(Protocol):
    """Where a chat is shown. What it is given has no text of users that is not ``safe``."""

    def line(self, markup: str) -> None:
        """Show a line of rich's markup."""

    def draw(self, thing: RenderableType) -> None:
        """Show a table or a panel."""

    def happened(self, chat: Chat, event: GroupEvent) -> None:
        """Show what happens in one of the groups."""

    def own(self, chat: Chat, event: AccountEvent) -> None:
        """Know what has happened to the person; what there is to say of it was said."""

    def signalled(self, chat: Chat, signal: Signal) -> None:
        """Show what is only of the moment."""

    def restored(self, chat: Chat) -> None:
        """Know that seqs seen before may mean something else now."""

    def connected(self, chat: Chat, *, is_open: bool) -> None:
        """Show that the connection is lost, or that it is back."""

    def entered(self, chat: Chat) -> None:
        """Show that the person talks in ``chat.group`` from now on, or in none."""

    async def begin(self, chat: Chat) -> None:
        """Show the person's groups, of which there are several."""

    async def latest(self, chat: Chat, limit: int | None) -> None:
        """Show the newest events of the open group."""

    async def typed(self, chat: Chat) -> None:
        """Know that the person has typed a line, which is done next."""

    def done(self, line: str, *, well: bool) -> None:
        """Know that a line is done, or was refused in words."""


@attrs.define(eq=False)
class Chat:
    """One person at a terminal."""

    client: Client
    display: Display
    names: dict[str, str] = attrs.field(factory=dict)
    """Group -> its name, of all that were heard of."""
    mine: set[str] = attrs.field(factory=set)
    """The groups that the person is in."""
    directs: set[str] = attrs.field(factory=set)
    """Those that are direct chats, and are called by the other's id."""
    group: str = ""
    """The one that they talk in."""
    shown: int = 0
    """The newest seq that was printed of it."""
    read: int = 0
    """How far the server knows it to be read."""
    heard: int = 0
    """The newest seq that was heard of the person's own log."""
    selected: int | None = None
    """The message under the cursor, which commands are about that name none."""
    latest: dict[str, str] = attrs.field(factory=dict)
    """``invited``, ``transfer_offered``, ``requested`` -> the group that it was last about."""
    done: bool = False

    # --- groups and their names

    def here(self) -> str:
        """Give the group that the person talks in."""
        if not self.group:
            raise Unclear("Choose a group first: /chats, then /use NAME.")
        return self.group

    def find(self, text: str) -> str:
        """Give the one of the person's groups that this text names."""
        named = {group: self.names[group] for group in self.mine}
        exact = [group for group, name in named.items() if text in (group, name)]
        matches = exact or [
            group for group, name in named.items() if text and text.casefold() in name.casefold()
        ]
        if len(matches) != 1:
            raise Unclear(f"{len(matches)} groups match {text!r}; /chats lists them.")
        return matches[0]

    def known(self, text: str) -> str:
        """Give the group of this name, if one was heard of; else the text, which may be an id."""
        matches = [group for group, name in self.names.items() if name == text]
        return matches[0] if len(matches) == 1 else text

    def asked(self, rest: str, kind: str, what: str) -> str:
        """Give the group that a command names, or the one that was last heard of so."""
        group = rest or self.latest.get(kind, "")
        if not group:
            raise Unclear(f"{what} Name the group by its id.")
        return self.known(group)

    async def learn(self) -> None:
        """Ask in which groups the person is, and what they are called."""
        mine, after = set(), ""
        while True:
            page = await self.client.groups(after=after)
            for row in page["groups"]:
                mine.add(row["group"])
                self.note(row)
            after = page.get("next", "")
            if not after:
                break
        self.mine = mine
        if self.group and self.group not in mine:
            self.group, self.selected = "", None
            self.display.entered(self)
            self.say("Choose another group: /chats, then /use NAME.")

    def note(self, row: Mapping[str, Any]) -> None:
        """Note what a listed group is called: a direct chat by the other's id."""
        if "direct" in row:
            self.directs.add(row["group"])
        self.names[row["group"]] = row.get("direct") or row["name"]

    async def name(self, group: str) -> str:
        """Give a group's name, also of one that the person is not in and may look at."""
        if group not in self.names:
            try:
                self.names[group] = (await self.client.info(group))["name"] or group
            except Rejected:
                return group
        return self.names[group]

    def enter(self, group: str) -> None:
        """Talk in this group from now on."""
        self.mine.add(group)
        self.group, self.shown, self.read, self.selected = group, 0, 0, None
        self.display.entered(self)

    # --- messages that a command names

    def message(self, rest: str) -> int:
        """Give the message of this number, or the one under the cursor where none is named."""
        if self.selected is not None and rest in ("", UNDER_CURSOR):
            return self.selected
        return typed.number(rest)

    def message_and_text(self, rest: str, what: str) -> tuple[int, str]:
        """Give likewise a message, and the text that follows."""
        first, after = typed.halves(rest)
        if self.selected is None or first.isdecimal():
            return typed.number_and_text(rest, what)
        text = after if first == UNDER_CURSOR else rest
        if not text:
            raise Unclear(f"Expected {what}.")
        return self.selected, text

    # --- changing

    async def change_here(self, changing: Awaitable[SeqResult]) -> None:
        """Change something in the group. Its event says what; without one, nothing changed."""
        since = self.shown
        self._say_if_old(await changing, since)

    async def change_own(self, changing: Awaitable[SeqResult]) -> None:
        """Change something that is the person's own, likewise."""
        since = self.heard
        self._say_if_old(await changing, since)

    def _say_if_old(self, answer: SeqResult, since: int) -> None:
        # Where nothing was to be done, the answer names an event from before.
        if answer["seq"] <= since:
            self.say("Nothing changed.")

    # --- printing

    def say(self, text: str) -> None:
        """Print what the client itself has to say."""
        self.display.line(f"[dim]{escape(words.safe(text))}[/]")

    def refuse(self, refusal: Rejected) -> None:
        """Print why something was refused, and what to do."""
        self.display.line(f"[red]{escape(words.safe(refusals.in_words(refusal)))}[/]")

    def table(self, *columns: str) -> Table:
        """Make a table; columns whose name ends in ``>`` are of numbers."""
        table = Table(box=None, header_style="dim", pad_edge=False)
        for column in columns:
            name = column.removesuffix(">")
            table.add_column(name, justify="left" if name == column else "right", overflow="fold")
        return table

    def row(self, table: Table, *cells: Any) -> None:
        """Add a row of plain texts: what users wrote is never read as markup."""
        table.add_row(*(Text(words.safe(str(cell))) for cell in cells))

    def draw(self, thing: RenderableType) -> None:
        """Print a table or a panel."""
        self.display.draw(thing)

    def hear(self, event: GroupEvent) -> None:
        """Show what happens in one of the groups."""
        self.saw(event)
        self.display.happened(self, event)

    def saw(self, event: GroupEvent) -> None:
        """Note how far the open group was shown."""
        if event.group == self.group:
            self.shown = max(self.shown, event.seq)

    def show(self, event: GroupEvent, note: str = "") -> None:
        """Print an event as one line, with a note such as its reactions."""
        self.saw(event)
        text = words.sentence(event, self.client.user)
        if not text:
            return
        name = self.names.get(event.group, event.group)
        where = "" if event.group == self.group else f"[magenta]{escape(words.safe(name))}[/] "
        user = "" if event.kind in words.IMPERSONAL else event.user
        who = f"[cyan]{escape(words.safe(user))}[/] " if user else ""
        after = f" [dim]{escape(words.safe(note))}[/]" if note else ""
        self.display.line(
            f"[dim]{clock(event.time_ms)} {event.seq:>4}[/] {where}{who}{text}{after}"
        )

    async def show_page(self, events: Sequence[Mapping[str, Any]]) -> None:
        """Print a page of the group's log: messages as they are now, each once."""
        found = [GroupEvent.from_wire(dict(event)) for event in events]
        said = [event.seq for event in found if event.kind in words.SAID]
        now = await self.as_now(self.here(), said)
        for event in words.left_to_tell(found, now):
            message = now.get(event.seq)
            if message is None:
                self.show(event)
            else:
                self.show(words.newest(event, message), words.marks(message))

    async def as_now(self, group: str, seqs: Sequence[int]) -> dict[int, Mapping[str, Any]]:
        """Give message -> what has become of it, of some messages of a group."""
        found: dict[int, Mapping[str, Any]] = {}
        at_once = CONTENT.messages_page_max
        for start in range(0, len(seqs), at_once):
            left, more = seqs[start : start + at_once], True
            while more and left:
                page = await self.client.messages(group, left)
                found |= {message["seq"]: message for message in page["messages"]}
                more = page["more"]
                left = [seq for seq in left if seq > max(found, default=0)]
        return found

    # --- reading

    async def mark_read(self) -> None:
        """Let the server know that what was shown is read."""
        if self.group and self.shown > self.read:
            self.read = self.shown
            # Who was put out of the group meanwhile has nothing to read there.
            with suppress(Rejected):
                await self.client.read(self.group, self.shown)


def clock(time_ms: int) -> str:
    """Give the time of day."""
    return datetime.fromtimestamp(time_ms / 1_000).strftime("%H:%M")
