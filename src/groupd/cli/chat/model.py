"""What a full screen shows: the list of chats, the open one, and how things stand.

Placement rules: pure; events in, values out. ``view.py`` draws it, ``full.py`` keeps it true.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, Final

import attrs

from groupd.cli.chat import words
from groupd.cli.chat.conversation import Conversation
from groupd.client import GroupEvent
from groupd.engine.results import ReadResult

_UNREAD: Final = ("posted", "announced")
"""Kinds that make a group unread."""


SINCE_MAX: Final = 10_000
"""Messages that are counted on top of a list that was asked for before them."""


@attrs.define
class Row:
    """One chat in the list."""

    group: str
    unread: int = 0
    mentions: int = 0
    read: int = 0
    head: int = 0
    """The newest event that the numbers know of."""
    last_ms: int = 0
    pinned: bool = False
    silent: bool = False
    marked: bool = False

    @classmethod
    def from_wire(cls, row: Mapping[str, Any]) -> Row:
        """Read a row of ``chats``."""
        return cls(
            group=row["group"],
            unread=row["unread"],
            mentions=row["mentions"],
            read=row["read"],
            head=row["head"],
            last_ms=row.get("last", {}).get("time_ms", 0),
            pinned=row["chat_pinned"],
            silent=row["do_not_disturb"],
            marked=row["marked_unread"],
        )


@attrs.define(eq=False)
class Model:
    """All that is seen. One task changes it at a time, and nothing waits meanwhile."""

    me: str
    names: dict[str, str]
    """Group -> its name; the chat's own, which knows more."""
    rows: dict[str, Row] = attrs.field(factory=dict)
    """Group -> its row, in the server's order."""
    is_connected: bool = True
    waiting: list[str] = attrs.field(factory=list)
    """Lines that were typed and are not done yet."""
    open: Conversation = attrs.field(init=False)
    _since: list[GroupEvent] | None = attrs.field(init=False, default=None)

    def __attrs_post_init__(self) -> None:
        self.open = Conversation("", self.me)

    def enter(self, group: str) -> None:
        """Open a group, or with an empty name none."""
        self.open = Conversation(group, self.me)
        row = self.rows.get(group)
        if row is not None:
            self.open.read = row.read
            self.open.mark = row.read if row.unread else None

    def ask_list(self) -> None:
        """Know that the list of chats is asked for: what happens from here on may not be in it."""
        self._since = []

    def take_list(self, rows: Iterable[Mapping[str, Any]]) -> None:
        """Take the list of chats, in its order."""
        self.rows = {row["group"]: Row.from_wire(row) for row in rows}
        since, self._since = self._since, None
        for event in since or ():
            self._count(event)

    def hear(self, event: GroupEvent) -> None:
        """Take an event of any group."""
        if event.group == self.open.group:
            self.open.hear(event)
        if self._since is not None and event.kind in _UNREAD and len(self._since) < SINCE_MAX:
            self._since.append(event)
        self._count(event)

    def _count(self, event: GroupEvent) -> None:
        row = self.rows.get(event.group)
        if row is None or event.kind not in _UNREAD or event.seq <= row.head:
            return
        row.head = event.seq
        row.last_ms = max(row.last_ms, event.time_ms)
        # The latest of its kind first: pinned chats stay above the others.
        self.rows = {row.group: row} | {g: r for g, r in self.rows.items() if g != row.group}
        if event.user == self.me:
            row.unread, row.mentions, row.marked = 0, 0, False
        elif event.seq > row.read:
            row.unread += 1
            mentioned = event.fields.get("mentions", ())
            row.mentions += mentioned == "all" or self.me in mentioned

    def read(self, group: str, answer: ReadResult) -> None:
        """Take what the server says of the cursor that was moved."""
        if group == self.open.group:
            self.open.read = max(self.open.read, answer["read"])
        row = self.rows.get(group)
        if row is not None:
            row.read, row.unread = answer["read"], answer["unread"]
            row.mentions, row.marked = answer["mentions"], False

    # --- what is seen

    def listed(self) -> list[Row]:
        """Give the chats as they are listed: pinned ones first, then the latest."""
        rows = self.rows.values()
        return [row for row in rows if row.pinned] + [row for row in rows if not row.pinned]

    def beside(self, step: int, group: str = "") -> str:
        """Give the chat after (1) or before (-1) a group, or the open one; empty without any."""
        groups = [row.group for row in self.listed()]
        at = group or self.open.group
        if not groups:
            return ""
        if at not in groups:
            return groups[0 if step > 0 else -1]
        return groups[(groups.index(at) + step) % len(groups)]

    def name(self, group: str) -> str:
        """Give a group's name, safe to show, in one line."""
        return _line(self.names.get(group, group)) or group

    def who(self, user: str) -> str:
        """Give what a member is called here, safe to show; with their id where that is not clear.

        Names are the users' own, so one may be another's name or id.
        """
        people = self.open.people
        own, name = _line(user), _line(people.get(user, ""))
        if not name or name.casefold() == own.casefold():
            return own
        is_shared = name in people or sum(_line(other) == name for other in people.values()) > 1
        return f"{name} ({own})" if is_shared else name

    def status(self, now_s: float) -> str:
        """Give the line above the input."""
        parts = [_line(self.me)]
        if not self.is_connected:
            parts.append("reconnecting ...")
        if self.waiting:
            parts.append(f"{words.many(len(self.waiting), 'line')} to be sent")
        typing = [self.who(user) for user in self.open.still_typing(now_s)]
        if typing:
            shown = ", ".join(typing[:TYPING_SHOWN])
            more = len(typing) - TYPING_SHOWN
            verb = "is" if len(typing) == 1 else "are"
            parts.append(f"{shown}{f' and {more} others' if more > 0 else ''} {verb} typing")
        if self.open.selected is not None:
            parts.append(f"message {self.open.selected}: /reply TEXT, /like, /pin, /recall")
        return " · ".join(parts)


TYPING_SHOWN: Final = 3
"""Names of people who are typing that the status line has room for."""


def _line(text: str) -> str:
    return " ".join(words.safe(text).split())
