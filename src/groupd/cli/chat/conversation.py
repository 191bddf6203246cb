"""What is shown of one group: a stretch of its log, bounded, and what was said beside it.

Placement rules: pure; events and pages in, entries out. Nothing here draws, waits or asks.

Theory of operation. The entries are those of the seqs from ``low`` to ``high``, all that were read
of them, in their order; notes of the client stand after the event that was the newest when they
were made. Pages extend the stretch at either end, and what lies too far off at the other end is
dropped then: so scrolling back is possible to the first event, in bounded memory. While ``newer``
events were dropped, those that happen only move the ``head``. Whatever happens to a message that
is shown makes it ``stale``: it is asked for again, so no number is ever counted here.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final, TypeAlias

import attrs
from rich.console import RenderableType

from groupd.cli.chat import words
from groupd.client import GroupEvent

ENTRIES_MAX: Final = 1_000
"""Entries of a conversation that are kept."""
STALE_MAX: Final = 1_000
"""Messages that wait to be asked for again; what comes on top is shown as it was."""
PEOPLE_MAX: Final = 2_000
"""Members whose names are known for completing them."""
TYPING_MAX: Final = 50
TYPING_S: Final = 6.0
"""How long somebody counts as typing after they were seen to."""

_COUNTED: Final = ("posted", "announced")
"""Kinds that make a group unread."""
_MEMBERS: Final = {"joined": 1, "left": -1, "kicked": -1}
"""Kind -> by how many members there are more."""
_BOARD: Final = ("announced", "pinned", "unpinned")

Key: TypeAlias = tuple[int, int]
"""Where an entry stands: after which seq, and which one it is there. An event is number 0."""


@attrs.frozen(eq=False)
class Told:
    """An event that is shown, and what has become of it since."""

    event: GroupEvent
    note: str = ""
    is_mention: bool = False
    """Whether it mentions the person."""

    @property
    def key(self) -> Key:
        """Where it stands."""
        return self.event.seq, 0

    @property
    def is_message(self) -> bool:
        """Whether it can be replied to, and so on."""
        return self.event.kind in words.SAID


@attrs.frozen(eq=False)
class Note:
    """What the client itself has to show: markup, or a table."""

    key: Key
    thing: RenderableType


Entry: TypeAlias = Told | Note


@attrs.frozen
class Place:
    """Where the lower edge of what is seen is: so many ``hidden`` lines of an entry are below."""

    key: Key
    hidden: int = 0


@attrs.define(eq=False)
class Conversation:
    """The open group; or with an empty ``group`` none, where there are only notes."""

    group: str
    me: str
    entries_max: int = ENTRIES_MAX
    entries: list[Entry] = attrs.field(factory=list)
    low: int = 1
    """The first seq that was read; all up to ``high`` were."""
    high: int = 0
    head: int = 0
    """The newest seq that was heard of."""
    older: bool = False
    """Whether there are events before ``low``."""
    newer: bool = False
    """Whether there are events after ``high`` that are not among the entries."""
    loaded: bool = False
    read: int = 0
    """How far the server knows it to be read."""
    mark: int | None = None
    """The line that says what is new stands after this seq. It goes when the person speaks."""
    selected: int | None = None
    """The message under the cursor."""
    place: Place | None = None
    """None for the lower end, also as entries are added."""
    announcement: str = ""
    pins: set[int] = attrs.field(factory=set)
    people: dict[str, str] = attrs.field(factory=dict)
    """User -> name, of members and of those who were heard."""
    members: int | None = None
    stale: dict[int, None] = attrs.field(factory=dict)
    typing: dict[str, float] = attrs.field(factory=dict)
    """User -> until when they count as typing."""
    _board_seq: int = 0
    _notes: int = 0

    # --- what happens

    def hear(self, event: GroupEvent) -> None:
        """Take an event of the group as it happens. One that a page had already changes nothing."""
        self.typing.pop(event.user, None)
        self._spoil(event)
        if event.seq <= self.head:
            return
        self.head = event.seq
        if event.kind in _BOARD and event.seq > self._board_seq:
            self._change_board(event)
        self._count(event)
        if not self.newer:
            self.high = event.seq
            if event.kind not in words.CHANGES:
                self._add(self._told(event, None))
            self._drop_oldest()

    def _spoil(self, event: GroupEvent) -> None:
        about = event.fields.get("reply_to" if event.kind == "posted" else "message")
        if not isinstance(about, int) or event.kind not in (*words.CHANGES, "posted"):
            return
        told = self.find(about)
        if told is None:
            return
        if event.kind == "recalled":
            # At once, whatever becomes of the connection.
            erased = attrs.evolve(told.event, kind="erased", fields={}, id=None)
            self._put(Told(erased))
        elif len(self.stale) < STALE_MAX:
            self.stale[about] = None

    def _count(self, event: GroupEvent) -> None:
        if self.members is not None and event.seq > self._board_seq:
            self.members += _MEMBERS.get(event.kind, 0)
        if event.kind == "joined":
            self.know({str(event.fields.get("member") or event.user): event.fields.get("name", "")})
        if event.user == self.me:
            if event.kind in _COUNTED:
                self.mark = None
        elif event.kind in _COUNTED and self.mark is None:
            self.mark = event.seq - 1

    def _change_board(self, event: GroupEvent) -> None:
        if event.kind == "announced":
            self.announcement = str(event.fields.get("text", ""))
        elif event.kind == "pinned":
            self.pins.add(int(event.fields.get("message") or 0))
        else:
            self.pins.discard(int(event.fields.get("message") or 0))

    def sees_typing(self, user: str, now_s: float) -> None:
        """Know that somebody is typing."""
        if user != self.me and (user in self.typing or len(self.typing) < TYPING_MAX):
            self.typing[user] = now_s + TYPING_S

    def still_typing(self, now_s: float) -> list[str]:
        """Give who is typing, and forget who is not any more."""
        for user, until_s in list(self.typing.items()):
            if until_s <= now_s:
                del self.typing[user]
        return list(self.typing)

    # --- pages

    def load(
        self, events: Sequence[GroupEvent], now: Mapping[int, Any], head: int, *, more: bool
    ) -> None:
        """Take the newest page instead of what was there. What has happened since stays."""
        was_loaded = self.loaded
        since = [entry for entry in self.entries if entry.key[0] > head]
        self.low = events[0].seq if events else head + 1
        # While newer events were dropped, those that happened were not kept either.
        self.high = head if self.newer else max(head, self.head)
        self.head = max(head, self.head)
        self.newer = self.high < self.head
        self.older, self.loaded = more, True
        if self.place is not None and self.place.key[0] <= head:
            self.place = None
        notes = [e for e in self.entries if isinstance(e, Note) and e.key[0] <= head]
        if was_loaded:
            notes = [note for note in notes if note.key[0] >= self.low]
        else:
            # They were made while the events that they came after were on their way.
            notes = [Note((head, note.key[1]), note.thing) for note in notes]
        self.entries = []
        self._add_all(events, now)
        for entry in (*notes, *since):
            self._add(entry)
        self._drop_oldest()

    def load_older(
        self, events: Sequence[GroupEvent], now: Mapping[int, Any], *, more: bool
    ) -> None:
        """Take the page before ``low``."""
        self.older = more and bool(events)
        if events:
            self.low = events[0].seq
            self._add_all(events, now)
            self._drop_newest()

    def load_newer(
        self, events: Sequence[GroupEvent], now: Mapping[int, Any], head: int, *, more: bool
    ) -> None:
        """Take the page after ``high``."""
        self.head = max(self.head, head)
        self.high = events[-1].seq if more and events else head
        # What has happened since the page was made was not kept: another page has it.
        self.newer = self.high < self.head
        self._add_all(events, now)
        self._drop_oldest()

    def take_stale(self, count_max: int) -> list[int]:
        """Give messages to be asked for; what happens to them later makes them stale anew."""
        taken = list(self.stale)[:count_max]
        for seq in taken:
            del self.stale[seq]
        return taken

    def refresh(self, asked: Iterable[int], now: Mapping[int, Mapping[str, Any]]) -> None:
        """Take messages as they are now; what was asked for and is not there has been erased."""
        for seq in asked:
            told = self.find(seq)
            if told is None:
                continue
            message = now.get(seq)
            if message is None:
                self._put(Told(attrs.evolve(told.event, kind="erased", fields={}, id=None)))
            else:
                self._put(self._told(GroupEvent.from_wire(message["event"]), message))

    def set_board(self, announcement: str, pins: Iterable[int], *, members: int, head: int) -> None:
        """Take what the group's card says, as of its ``head``."""
        if head >= self._board_seq:
            self._board_seq = head
            self.announcement, self.pins, self.members = announcement, set(pins), members

    def know(self, names: Mapping[str, Any]) -> None:
        """Learn what people are called."""
        for user, name in names.items():
            if user in self.people or len(self.people) < PEOPLE_MAX:
                self.people[user] = str(name or self.people.get(user) or user)

    # --- notes

    def note(self, thing: RenderableType) -> None:
        """Show something of the client's own, after all that was heard."""
        self._notes += 1
        self._add(Note((self.high, self._notes), thing))
        self._drop_oldest()

    # --- the cursor

    def find(self, seq: int) -> Told | None:
        """Give the entry of an event, if it is shown."""
        at = self.index((seq, 0))
        if at < len(self.entries) and self.entries[at].key == (seq, 0):
            entry = self.entries[at]
            assert isinstance(entry, Told)
            return entry
        return None

    def index(self, key: Key) -> int:
        """Give where the first entry at or after a key stands."""
        return bisect_left(self.entries, key, key=lambda entry: entry.key)

    def select(self, step: int) -> None:
        """Move the cursor to the message before (-1) or after (1); beyond the last one is none."""
        seqs = [e.event.seq for e in self.entries if isinstance(e, Told) and e.is_message]
        at = len(seqs) if self.selected is None else bisect_left(seqs, self.selected)
        at += step
        self.selected = seqs[max(0, at)] if seqs and at < len(seqs) else None

    # --- inside

    def _told(self, event: GroupEvent, message: Mapping[str, Any] | None) -> Told:
        mentioned = event.fields.get("mentions", ())
        is_mention = event.user != self.me and (mentioned == "all" or self.me in mentioned)
        if message is None:
            return Told(event, is_mention=is_mention)
        return Told(words.newest(event, message), words.marks(message), is_mention)

    def _add_all(self, events: Sequence[GroupEvent], now: Mapping[int, Any]) -> None:
        for event in words.left_to_tell(events, now):
            self._add(self._told(event, now.get(event.seq)))

    def _add(self, entry: Entry) -> None:
        is_silent = isinstance(entry, Told) and entry.event.kind in words.SILENT
        at = self.index(entry.key)
        if not is_silent and not (at < len(self.entries) and self.entries[at].key == entry.key):
            self.entries.insert(at, entry)

    def _put(self, told: Told) -> None:
        self.entries[self.index(told.key)] = told

    def _drop_oldest(self) -> None:
        over = len(self.entries) - self.entries_max
        if over > 0:
            del self.entries[:over]
            # A note alone is no event: what was before it may be asked for again.
            self.low, self.older = max(self.low, self.entries[0].key[0]), True

    def _drop_newest(self) -> None:
        over = len(self.entries) - self.entries_max
        if over > 0:
            last = self.entries[-over - 1]
            del self.entries[-over:]
            self.high, self.newer = last.key[0], True
