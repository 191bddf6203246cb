"""The full screen's side of a chat: keeps the model true, and does what the keys ask for.

Theory of operation. The model has one writer, the thread that all of this runs in; drawing happens
between two of its steps, so it is always seen whole. Lines that were typed wait in a bounded queue
and are done one after the other, by the loop that plain lines have as well. What the screen itself
needs (pages, numbers, how messages are now) is noted as a *want* and seen to by one task, in the
order of ``WANTS``: wanting something twice is wanting it once.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from contextlib import suppress
from types import MappingProxyType
from typing import Any, Final

import trio
from prompt_toolkit.input import Input
from prompt_toolkit.output import Output
from rich.console import RenderableType
from rich.text import Text

from groupd.cli.chat import layout, words
from groupd.cli.chat.conversation import PEOPLE_MAX, Conversation
from groupd.cli.chat.loop import talk
from groupd.cli.chat.model import Model
from groupd.cli.chat.person import Chat
from groupd.cli.chat.view import View
from groupd.client import AccountEvent, Client, GroupEvent, Signal
from groupd.config import CONTENT
from groupd.errors import Disconnected, Rejected

LINES_MAX: Final = 100
"""Typed lines that wait to be done."""
PAGE: Final = 100
"""Events that are fetched at a time."""
TYPING_EVERY_S: Final = 4.0
"""How often the others are told that somebody is typing, at most."""
TICK_S: Final = 1.0
"""How often it is looked whether somebody is not typing any more."""
RETRY_MAX_S: Final = 60.0
"""The longest wait that the server can ask for before it is asked again."""

QUIT: Final = "/quit"
_OF_CARD: Final = ("banned", "transferred", "dissolved")
"""Kinds after which the group's card says what the event does not, such as who was a member."""


async def chat_full(
    client: Client,
    ready: Callable[[View], None],
    *,
    keyboard: Input | None = None,
    screen: Output | None = None,
) -> None:
    """Chat on the full screen until the person leaves. ``ready`` is given what is to be drawn.

    Cancelled, or where the client ends, the screen is closed as well.
    """
    full = Full(client, keyboard=keyboard, screen=screen)
    try:
        async with trio.open_nursery() as nursery:
            full.scope = nursery.cancel_scope
            nursery.start_soon(full.attend)
            nursery.start_soon(full.tick)
            # What was read so far is known before a group is opened, which reads it.
            await full.list_chats()
            ready(full.view)
            await talk(full.chat, full.read_line)
            nursery.cancel_scope.cancel()
    finally:
        full.view.close()


class Full:
    """A ``Display`` over a model, and the ``Hands`` of its view."""

    def __init__(self, client: Client, *, keyboard: Input | None, screen: Output | None) -> None:
        self.chat = Chat(client, self)
        self.model = Model(client.user, self.chat.names)
        self.view = View(self.model, self, keyboard=keyboard, screen=screen)
        self.scope = trio.CancelScope()
        self._client = client
        self._typed, self._lines = trio.open_memory_channel[str](LINES_MAX)
        self._wants: set[str] = set()
        self._asked = trio.Event()
        self._aim = ""
        self._typing_s = float("-inf")
        self._has_warned = False

    # --- Display: what the chat shows

    def line(self, markup: str) -> None:
        """Show a line below what was said."""
        self._note(markup)

    def draw(self, thing: RenderableType) -> None:
        """Show a table or a panel below what was said."""
        self._note(thing)

    def _note(self, thing: RenderableType) -> None:
        self.model.open.note(thing)
        self.view.redraw()

    def happened(self, chat: Chat, event: GroupEvent) -> None:
        """Take an event of any group into the model."""
        self.model.hear(event)
        if self.model.open.stale:
            self._want("stale")
        if event.group not in self.model.rows:
            # The person's own coming in.
            self._want("rows")
        if event.group == self.model.open.group and event.kind in _OF_CARD:
            self._want("card")
        self.view.redraw()

    def own(self, chat: Chat, event: AccountEvent) -> None:
        """List the chats anew: what befalls the person changes that list."""
        self._want("rows")

    def signalled(self, chat: Chat, signal: Signal) -> None:
        """Show who is typing; and what was read on another device is read here."""
        if signal.kind == "typing" and signal.group == self.model.open.group:
            self.model.open.sees_typing(signal.user, trio.current_time())
            self.view.redraw()
        elif signal.kind == "read":
            self._want("rows")

    def restored(self, chat: Chat) -> None:
        """Forget what was shown, and ask for it anew."""
        self.model.enter(self.model.open.group)
        self._want("rows", "page", "card", "people")

    def connected(self, chat: Chat, *, is_open: bool) -> None:
        """Show it in the status line; what was missed comes as events."""
        self.model.is_connected = is_open
        if is_open:
            self._want("rows", "card")
        self.view.redraw()

    def entered(self, chat: Chat) -> None:
        """Open the group in the model."""
        self._aim = ""
        self.model.enter(chat.group)
        if chat.group:
            self._want("page", "card", "people")
        self.view.redraw()

    async def begin(self, chat: Chat) -> None:
        """Say how to open one of the chats, which are listed beside."""
        chat.say("Ctrl-N and Ctrl-P go through your chats; /use NAME opens one.")

    async def latest(self, chat: Chat, limit: int | None) -> None:
        """Show the newest events, which reads them."""
        # A group that was just entered shows them anyway.
        if limit is not None or self.model.open.loaded:
            await self._page(limit or PAGE)

    async def typed(self, chat: Chat) -> None:
        """Read nothing: that is done as keys are pressed."""

    def done(self, line: str, *, well: bool) -> None:
        """Take a line off those that wait; a refused one goes back to where it was typed."""
        self.model.waiting.pop(0)
        if well:
            self._deselect()
        elif not self.view.give_back(line):
            self._note(Text(f"Not done: {words.safe(line)}", "dim"))
        self.view.redraw()

    # --- the loop's input

    async def read_line(self) -> str | None:
        """Wait for the next line."""
        return await self._lines.receive()

    # --- Hands: what keys do

    def submit(self, line: str) -> bool:
        """Queue a line; ``/quit`` is not queued behind what waits for a connection."""
        if line.strip() == QUIT:
            self.leave()
            return True
        try:
            self._typed.send_nowait(line)
        except trio.WouldBlock:
            self.say(f"{LINES_MAX} lines wait to be sent already.")
            return False
        self.model.waiting.append(line)
        self._has_warned = False
        if self.model.open.selected is None:
            self.to_end()
        return True

    def touched(self) -> None:
        """Read what is seen: somebody is there."""
        shown = self.model.open
        if shown.group and shown.loaded and shown.place is None and shown.high > shown.read:
            self._want("read")

    def typing(self) -> None:
        """Let the others know, now and then."""
        now_s = trio.current_time()
        is_due = now_s >= self._typing_s + TYPING_EVERY_S
        if self.model.open.group and self.model.is_connected and is_due:
            self._typing_s = now_s
            self._want("typing")

    def scroll(self, lines: int, *, width: int, height: int) -> None:
        """Scroll; at an end of what is there, ask for more."""
        shown = self.model.open
        is_end = layout.scroll(self.model, lines, width=width, height=height)
        if is_end and lines > 0 and shown.older:
            self._want("older")
        elif is_end and lines < 0 and shown.newer:
            self._want("newer")
        self.view.redraw()

    def select(self, step: int, *, width: int, height: int) -> None:
        """Move the cursor, and show where it is."""
        shown, before = self.model.open, self.model.open.selected
        shown.select(step)
        self.chat.selected = shown.selected
        layout.reveal(self.model, width=width, height=height)
        if step < 0 and shown.selected == before and shown.older:
            self._want("older")
        self.view.redraw()

    def to_end(self) -> None:
        """Show what is newest, which may have to be fetched."""
        self._deselect()
        self.model.open.place = None
        if self.model.open.newer:
            self._want("page")
        self.view.redraw()

    def turn(self, step: int) -> None:
        """Open a chat beside the open one, or beside the one that is being opened already."""
        self._aim = self.model.beside(step, self._aim)
        if self._aim:
            self.submit(f"/use {self._aim}")

    def say(self, text: str) -> None:
        """Show words of the client's own."""
        self.chat.say(text)

    def leave(self) -> None:
        """End; where lines wait to be sent, only when asked twice."""
        if self.model.waiting and not self._has_warned:
            self._has_warned = True
            waiting = words.many(len(self.model.waiting), "line")
            self.say(f"{waiting} would not be sent. The same again leaves all the same.")
        else:
            self.scope.cancel()

    def status(self) -> str:
        """Give the line above the input."""
        return self.model.status(trio.current_time())

    def _deselect(self) -> None:
        self.model.open.selected = self.chat.selected = None

    # --- what the screen needs

    async def attend(self) -> None:
        """See to what is wanted, until cancelled. Raises what has ended the client."""
        while True:
            want = next((want for want in WANTS if want in self._wants), None)
            if want is None:
                self._asked = trio.Event()
                await self._asked.wait()
                continue
            self._wants.discard(want)
            await self._see_to(want)
            self.view.redraw()

    async def list_chats(self) -> None:
        """List the chats for the first time."""
        await self._see_to("rows")

    async def tick(self) -> None:
        """Draw again while somebody is typing, who may have ended."""
        while True:
            await trio.sleep(TICK_S)
            if self.model.open.typing:
                self.view.redraw()

    def _want(self, *wants: str) -> None:
        self._wants.update(wants)
        self._asked.set()

    async def _see_to(self, want: str) -> None:
        try:
            await WANTS[want](self)
        except Rejected as refused:
            retry_ms = refused.details.get("retry_after_ms")
            if isinstance(retry_ms, int):
                await trio.sleep(min(retry_ms / 1_000, RETRY_MAX_S))
                self._want(want)
            elif self.model.open.group in self.chat.mine:
                self.chat.refuse(refused)
        except Disconnected:
            # It was lost too often for a call, or has ended, which this raises.
            await self._client.until_connected()
            self._want(want)

    def _is_open(self, shown: Conversation) -> bool:
        """Say whether an answer that was waited for is still of use."""
        return self.model.open is shown

    async def _rows(self) -> None:
        rows: list[dict[str, Any]] = []
        after = ""
        self.model.ask_list()
        while True:
            page = await self._client.chats(after=after)
            rows += page["chats"]
            after = page.get("next", "")
            if not after:
                break
        for row in rows:
            self.chat.note(row)
        self.model.take_list(rows)

    async def _latest_page(self) -> None:
        await self._page(PAGE)

    async def _page(self, limit: int) -> None:
        shown = self.model.open
        if not shown.group:
            return
        page = await self._client.history(shown.group, limit=limit)
        events, now = await self._as_now(shown.group, page["events"])
        if self._is_open(shown):
            shown.load(events, now, page["head"], more=page["more"])
            self.chat.shown = max(self.chat.shown, page["head"])
            self._want("read", *(("newer",) if shown.newer else ()))
            self.view.redraw()

    async def _older(self) -> None:
        shown, before = self.model.open, self.model.open.low
        if not (shown.group and shown.older):
            return
        page = await self._client.history(shown.group, before=before, limit=PAGE)
        events, now = await self._as_now(shown.group, page["events"])
        if self._is_open(shown) and shown.low == before:
            shown.load_older(events, now, more=page["more"])

    async def _newer(self) -> None:
        shown, after = self.model.open, self.model.open.high
        if not (shown.group and shown.newer):
            return
        page = await self._client.history(shown.group, after=after, limit=PAGE)
        events, now = await self._as_now(shown.group, page["events"])
        if self._is_open(shown) and shown.high == after:
            shown.load_newer(events, now, page["head"], more=page["more"])

    async def _as_now(
        self, group: str, found: list[dict[str, Any]]
    ) -> tuple[list[GroupEvent], dict[int, Mapping[str, Any]]]:
        events = [GroupEvent.from_wire(event) for event in found]
        said = [event.seq for event in events if event.kind in words.SAID]
        return events, await self.chat.as_now(group, said)

    async def _stale(self) -> None:
        shown = self.model.open
        asked = shown.take_stale(CONTENT.messages_page_max)
        if not asked:
            return
        now = await self.chat.as_now(shown.group, asked)
        if self._is_open(shown):
            shown.refresh(asked, now)
            if shown.stale:
                self._want("stale")

    async def _read(self) -> None:
        shown, seq = self.model.open, self.model.open.high
        if shown.group and seq > shown.read:
            self.model.read(shown.group, await self._client.read(shown.group, seq))
            if shown.high > seq:
                # Whether the answer knew of that, it does not say.
                self._want("rows")

    async def _card(self) -> None:
        shown = self.model.open
        if not shown.group:
            return
        info = await self._client.info(shown.group)
        if self._is_open(shown):
            shown.set_board(
                info.get("announcement", {}).get("text", ""),
                [pin["seq"] for pin in info.get("pins", ())],
                members=info["members"],
                head=info.get("head", 0),
            )

    async def _people(self) -> None:
        shown, after = self.model.open, ""
        while shown.group and self._is_open(shown) and len(shown.people) < PEOPLE_MAX:
            page = await self._client.members(shown.group, after=after)
            shown.know({row["user"]: row.get("nickname") or row["name"] for row in page["members"]})
            after = page.get("next", "")
            if not after:
                break

    async def _tell_typing(self) -> None:
        group = self.model.open.group
        # What was sent meanwhile is not being typed any more.
        if group and self.model.is_connected and self.view.is_writing:
            with suppress(Rejected):
                await self._client.typing(group)


WANTS: Final[Mapping[str, Callable[[Full], Awaitable[None]]]] = MappingProxyType(
    {
        "page": Full._latest_page,
        "read": Full._read,
        "stale": Full._stale,
        "older": Full._older,
        "newer": Full._newer,
        "card": Full._card,
        "people": Full._people,
        "typing": Full._tell_typing,
        "rows": Full._rows,
    }
)
"""What the screen may want, the most urgent first."""
