"""The plain mode: one line after the other, for pipes, tests and terminals that can do no more."""

from __future__ import annotations

from typing import Final

import attrs
from rich.console import Console, RenderableType

from groupd.cli.chat.chats import chats
from groupd.cli.chat.loop import ReadLine, talk
from groupd.cli.chat.person import Chat
from groupd.client import AccountEvent, Client, GroupEvent, Signal

RECENT: Final = 10
"""Events shown when a group is opened."""


async def chat_on(client: Client, read_line: ReadLine, console: Console) -> None:
    """Chat until the input ends or ``/quit``. ``read_line`` gives None at the end."""
    await talk(Chat(client, Lines(console)), read_line)


@attrs.define(eq=False)
class Lines:
    """Prints what there is to see. See ``Display``."""

    console: Console

    def line(self, markup: str) -> None:
        """Print a line; a terminal may wrap it."""
        self.console.print(markup, highlight=False, emoji=False, soft_wrap=True)

    def draw(self, thing: RenderableType) -> None:
        """Print a table or a panel."""
        self.console.print(thing, highlight=False, emoji=False)

    def happened(self, chat: Chat, event: GroupEvent) -> None:
        """Print what happens, in all groups."""
        chat.show(event)

    def own(self, chat: Chat, event: AccountEvent) -> None:
        """Say no more than was said."""

    def signalled(self, chat: Chat, signal: Signal) -> None:
        """Print of the open group that somebody is typing."""
        if signal.kind == "typing" and signal.group == chat.group:
            chat.say(f"{signal.user} is typing ...")

    def restored(self, chat: Chat) -> None:
        """Leave what was printed as it is."""

    def connected(self, chat: Chat, *, is_open: bool) -> None:
        """Print that the connection is lost, or that it is back."""
        lost = "The connection is lost; trying to get it back."
        chat.say("Connected again." if is_open else lost)

    def entered(self, chat: Chat) -> None:
        """Print where the person talks now."""
        if chat.group:
            name = chat.names.get(chat.group, chat.group)
            chat.say(f"Now with {name} alone." if chat.group in chat.directs else f"Now in {name}.")

    async def begin(self, chat: Chat) -> None:
        """Print the list of chats."""
        await chats(chat, "")

    async def latest(self, chat: Chat, limit: int | None) -> None:
        """Print the newest events, and mark them read."""
        page = await chat.client.history(chat.here(), limit=limit or RECENT)
        await chat.show_page(page["events"])
        if page["head"]:
            chat.shown = max(chat.shown, page["head"])
            await chat.mark_read()

    async def typed(self, chat: Chat) -> None:
        """Mark as read what was printed: somebody is there."""
        await chat.mark_read()

    def done(self, line: str, *, well: bool) -> None:
        """Leave a refused line where it was typed."""
