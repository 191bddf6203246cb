"""A plain terminal client, line by line: what is typed is posted, what is said is printed.

A line that begins with ``/`` is a command; ``COMMANDS`` is the whole list, and ``/help`` prints it.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from datetime import datetime
from typing import Any, Final

import trio
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from groupd.client import AccountEvent, Client, GroupEvent
from groupd.errors import GroupdError, Rejected

DIGITS_MAX: Final = 15
HISTORY_MAX: Final = 500
RECENT: Final = 10
"""Events shown when a group is opened."""

ReadLine = Callable[[], Awaitable[str | None]]


async def chat_on(client: Client, read_line: ReadLine, console: Console) -> None:
    """Chat until the input ends or ``/quit``. ``read_line`` gives None at the end."""
    chat = _Chat(client, console)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(chat.listen)
        await chat.begin()
        while not chat.done:
            line = await read_line()
            if line is None:
                break
            await chat.take(line.strip())
        nursery.cancel_scope.cancel()


class _Chat:
    """One person at a terminal: the groups they see, and the one they are talking in."""

    def __init__(self, client: Client, console: Console) -> None:
        self.done = False
        self._client = client
        self._console = console
        self._names: dict[str, str] = {}
        self._group = ""

    # --- hearing

    async def listen(self) -> None:
        """Print what happens."""
        async for event in self._client.events():
            if isinstance(event, GroupEvent):
                self._name(event)
                self._show(event)
            elif isinstance(event, AccountEvent) and event.kind == "added":
                await self._learn_names()
                name = self._names.get(event.fields["group"], event.fields["group"])
                self._say(f"{event.fields['by']} has added you to {name}.")

    def _name(self, event: GroupEvent) -> None:
        if event.kind == "created":
            self._names[event.group] = str(event.fields.get("name", event.group))
        elif event.kind == "updated":
            changes: Mapping[str, Any] = event.fields.get("changes", {})
            self._names[event.group] = changes.get("name", self._names.get(event.group, ""))

    def _show(self, event: GroupEvent) -> None:
        text = _sentence(event)
        if not text:
            return
        when = datetime.fromtimestamp(event.time_ms / 1_000).strftime("%H:%M")
        name = self._names.get(event.group, event.group)
        where = "" if event.group == self._group else f"[magenta]{escape(name)}[/] "
        who = f"[cyan]{escape(event.user)}[/] " if event.user else ""
        self._console.print(
            f"[dim]{when} {event.seq:>4}[/] {where}{who}{text}", highlight=False, soft_wrap=True
        )

    def _say(self, text: str) -> None:
        self._console.print(f"[dim]{escape(text)}[/]", highlight=False, soft_wrap=True)

    async def _learn_names(self) -> None:
        after = ""
        while True:
            page = await self._client.groups(after=after)
            self._names |= {row["group"]: row["name"] for row in page["groups"]}
            after = page.get("next", "")
            if not after:
                return

    # --- speaking

    async def begin(self) -> None:
        """Greet, and open the group if there is only one."""
        await self._learn_names()
        self._say(f"You are {self._client.user}. /help lists what can be typed.")
        if len(self._names) == 1:
            await self.use(next(iter(self._names)))
        elif self._names:
            await self.groups("")
        else:
            self._say("You are in no group yet: /create NAME, or /join with a code.")

    async def take(self, line: str) -> None:
        """Do what a line says; refusals are printed, and nothing is lost."""
        if not line:
            return
        try:
            if line.startswith("/"):
                word, _, rest = line[1:].partition(" ")
                await self._command(word, rest.strip())
            else:
                await self._client.post(self._here(), text=line)
        except Rejected as refusal:
            self._console.print(f"[red]{escape(str(refusal))}[/]", highlight=False)
        except _Unclear as error:
            self._say(str(error))

    async def _command(self, word: str, rest: str) -> None:
        found = COMMANDS.get(word)
        if found is None:
            raise _Unclear(f"There is no /{word}; /help lists what there is.")
        await found[2](self, rest)

    def _here(self) -> str:
        if not self._group:
            raise _Unclear("Choose a group first: /groups, then /use NAME.")
        return self._group

    def _find(self, words: str) -> str:
        exact = [group for group, name in self._names.items() if words in (group, name)]
        matches = exact or [
            group
            for group, name in self._names.items()
            if words and words.casefold() in name.casefold()
        ]
        if len(matches) != 1:
            raise _Unclear(f"{len(matches)} groups match {words!r}; /groups lists them.")
        return matches[0]

    # --- the commands

    async def help(self, rest: str) -> None:
        """List the commands."""
        table = Table(box=None, show_header=False)
        for word, (arguments, meaning, _function) in COMMANDS.items():
            table.add_row(escape(f"/{word} {arguments}".strip()), meaning)
        self._console.print(table)

    async def groups(self, rest: str) -> None:
        """List the groups."""
        table = Table("group", "name", "role", "unread", box=None)
        after = ""
        while True:
            page = await self._client.groups(after=after)
            for row in page["groups"]:
                unread = str(row["unread"] or "")
                table.add_row(row["group"], escape(row["name"]), row["role"], unread)
            after = page.get("next", "")
            if not after:
                break
        self._console.print(table)

    async def use(self, rest: str) -> None:
        """Open a group."""
        self._group = self._find(rest)
        self._say(f"Now in {self._names[self._group]}.")
        await self.history("")

    async def history(self, rest: str) -> None:
        """Show recent events, and mark them read."""
        limit = _number(rest) if rest else RECENT
        page = await self._client.history(self._here(), limit=min(limit, HISTORY_MAX))
        for event in page["events"]:
            self._show(GroupEvent.from_wire(event))
        if page["head"]:
            await self._client.read(self._here(), page["head"])

    async def create(self, rest: str) -> None:
        """Found a group."""
        made = await self._client.create(rest)
        self._names[made["group"]] = rest
        self._group = made["group"]
        self._say(f"Founded {rest}: {made['group']}. /link makes a code to share.")

    async def join(self, rest: str) -> None:
        """Join by a code or a group's id."""
        is_code = len(rest) > len("0123456789ABCDEF")
        where = {"code": rest} if is_code else {"group": rest}
        joined = await self._client.join(**where)
        await self._learn_names()
        await self.use(joined["group"])

    async def leave(self, rest: str) -> None:
        """Leave the group."""
        await self._client.leave(self._here())
        self._say(f"You have left {self._names.pop(self._group, self._group)}.")
        self._group = ""

    async def dissolve(self, rest: str) -> None:
        """End the group, for its owner."""
        await self._client.dissolve(self._here())
        self._names.pop(self._group, None)
        self._group = ""

    async def announce(self, rest: str) -> None:
        """Set the announcement."""
        await self._client.announce(self._here(), rest)

    async def pin(self, rest: str) -> None:
        """Pin a message."""
        await self._client.pin(self._here(), _number(rest))

    async def unpin(self, rest: str) -> None:
        """Unpin a message."""
        await self._client.unpin(self._here(), _number(rest))

    async def link(self, rest: str) -> None:
        """Make a share link."""
        made = await self._client.share_link(self._here(), channel=rest)
        self._say(f"Others can type: /join {made['code']}")

    async def members(self, rest: str) -> None:
        """List the members."""
        table = Table("user", "name", "role", box=None)
        after = ""
        while True:
            page = await self._client.members(self._here(), after=after)
            for row in page["members"]:
                table.add_row(escape(row["user"]), escape(row["name"]), row["role"])
            after = page.get("next", "")
            if not after:
                break
        self._console.print(table)

    async def quit(self, rest: str) -> None:
        """End."""
        self.done = True


class _Unclear(GroupdError):
    """The line cannot be done as it was typed; the message says what to type."""


def _number(text: str) -> int:
    if not (text.isdecimal() and len(text) <= DIGITS_MAX and int(text)):
        raise _Unclear("Expected the number of a message: it stands after the time.")
    return int(text)


def _sentence(event: GroupEvent) -> str:
    """Say an event in words; an empty string for what a chat does not show."""
    fields = event.fields
    match event.kind:
        case "posted":
            text = str(fields.get("text", ""))
            card = fields.get("card")
            return escape(text) if card is None else f"{escape(text)} [dim]\\[{card['type']}][/]"
        case "announced":
            return f"[yellow]announces:[/] {escape(str(fields.get('text', '')))}"
        case "created":
            return "[dim]has founded the group[/]"
        case "joined":
            member = fields.get("member")
            return f"[dim]has added {escape(str(member))}[/]" if member else "[dim]is here[/]"
        case "left":
            return "[dim]has left[/]"
        case "pinned" | "unpinned":
            return f"[dim]has {event.kind} message {fields.get('message')}[/]"
        case "link_made":
            return "[dim]has made a share link[/]"
        case "updated":
            return f"[dim]has changed {escape(', '.join(fields.get('changes', {})))}[/]"
        case "dissolved":
            return "[dim]has dissolved the group[/]"
        case "erased":
            return "[dim](erased)[/]"
    return ""


COMMANDS: Final[Mapping[str, tuple[str, str, Callable[[_Chat, str], Awaitable[None]]]]] = {
    "groups": ("", "list your groups", _Chat.groups),
    "use": ("NAME", "talk in this group", _Chat.use),
    "history": ("[N]", "show the last N events", _Chat.history),
    "create": ("NAME", "found a group", _Chat.create),
    "join": ("CODE", "join by a share link's code, or by a group's id", _Chat.join),
    "leave": ("", "leave this group", _Chat.leave),
    "dissolve": ("", "end this group for all, if you own it", _Chat.dissolve),
    "members": ("", "list who is here", _Chat.members),
    "announce": ("TEXT", "set the announcement", _Chat.announce),
    "pin": ("N", "pin message N", _Chat.pin),
    "unpin": ("N", "take message N off the board", _Chat.unpin),
    "link": ("[CHANNEL]", "make a share link", _Chat.link),
    "help": ("", "list this", _Chat.help),
    "quit": ("", "end", _Chat.quit),
}
