"""What stands at the top of a group: the announcement and the pin board."""

from __future__ import annotations

from typing import Any, ClassVar, Final

import attrs

from groupd.config import CONTENT
from groupd.domain import fields
from groupd.domain.base import (
    Audience,
    Command,
    Context,
    Decision,
    Event,
    Identity,
    LiveQuery,
    Needs,
    Record,
    Role,
    Unchanged,
)
from groupd.domain.group.messages import find_message
from groupd.domain.group.moderation import MUTED
from groupd.domain.group.parts import Announcement, Pin
from groupd.domain.group.state import Group
from groupd.domain.wording import words_in
from groupd.errors import Rejected

ANNOUNCEMENTS_KEPT: Final = 100
"""Earlier announcements that are kept for listing. Fixed, since ``apply`` depends on it: an
announcement can be erased, so its event cannot say how many go."""


@attrs.frozen
class Announced(Event):
    """There is a new announcement; the one before is kept among the earlier ones."""

    kind = "announced"
    countable = True

    text: str = fields.stored("text", "")
    dropped: int = 0
    """Of earlier versions, which wrote here how many are not listed any more: as many as
    ``ANNOUNCEMENTS_KEPT`` says."""

    def apply(self, state: Group, record: Record) -> None:
        """Replace the announcement. Nothing here depends on fields, which may be erased."""
        if state.announcement is not None:
            state.announcements.append(state.announcement.seq)
            del state.announcements[:-ANNOUNCEMENTS_KEPT]
        state.announcement = Announcement(record.seq, record.user, record.time_ms)


@attrs.frozen
class Acknowledged(Event):
    """A member has seen the announcement. Only admins see who did."""

    kind = "acknowledged"
    audience = Audience.ADMINS

    message: int = fields.stored("seq", 0)
    """The announcement's seq."""

    def apply(self, state: Group, record: Record) -> None:
        """Note the member, if the announcement is still the current one."""
        if state.announcement is not None and state.announcement.seq == self.message:
            state.announcement.acknowledged.setdefault(record.user, record.seq)


@attrs.frozen
class Pinned(Event):
    """A message is on the pin board from now on."""

    kind = "pinned"

    message: int = fields.stored("seq", 0)
    """The message's seq."""

    def apply(self, state: Group, record: Record) -> None:
        """Put it last on the board."""
        state.pins[self.message] = Pin(record.user, record.time_ms, record.seq)
        state.unpinned.pop(self.message, None)


@attrs.frozen
class Unpinned(Event):
    """A message is off the pin board."""

    kind = "unpinned"

    message: int = fields.stored("seq", 0)
    """The message's seq."""
    dropped: int = 0
    """How many of the oldest unpinned ones are forgotten."""

    def apply(self, state: Group, record: Record) -> None:
        """Take it off the board."""
        take_off(state, self.message, record.seq, dropped=self.dropped)


def take_off(state: Group, message: int, seq: int, *, dropped: int) -> None:
    """Unpin a message by the event ``seq``, and forget the ``dropped`` oldest unpinnings."""
    state.pins.pop(message, None)
    for oldest in list(state.unpinned)[:dropped]:
        del state.unpinned[oldest]
    state.unpinned[message] = seq


def forgotten_unpinnings(state: Group) -> int:
    """Say how many of the oldest unpinnings are to be forgotten with one more."""
    return max(0, len(state.unpinned) + 1 - CONTENT.unpinned_kept_max)


@attrs.frozen
class Announce(Command):
    """Say something that stays at the top, until the next one."""

    method = "announce"
    by_system = True
    cost = 2
    min_role = Role.ADMIN
    rules = (MUTED, words_in("text"))
    in_direct = False

    text: str = fields.text(CONTENT.announcement_max)

    def decide(self, state: Group, context: Context) -> Decision:
        """Replace the announcement."""
        return [Announced(text=self.text)]


@attrs.frozen
class Acknowledge(Command):
    """Confirm that one has seen the announcement."""

    method = "acknowledge"

    seq: int = fields.seq()

    def decide(self, state: Group, context: Context) -> Decision:
        """Note it once for each member and announcement."""
        current = state.announcement
        if current is None or current.seq != self.seq:
            if self.seq in state.announcements:
                raise Rejected("conflict", "a newer announcement has replaced it", reason="state")
            raise Rejected("not_found", f"no announcement {self.seq}")
        done = current.acknowledged.get(context.caller.user)
        return Unchanged({"seq": done}) if done is not None else [Acknowledged(self.seq)]


@attrs.frozen
class PinMessage(Command):
    """Put a message on the group's pin board."""

    method = "pin"
    by_system = True
    min_role = Role.ADMIN
    in_direct = False

    seq: int = fields.seq()

    def needs(self, state: Group, caller: Identity) -> Needs:
        """Fetch the message."""
        return Needs(messages=(self.seq,))

    def decide(self, state: Group, context: Context) -> Decision:
        """Pin it, unless the board is full. Doing it twice is not an error."""
        pin = state.pins.get(self.seq)
        if pin is not None:
            return Unchanged({"seq": pin.event_seq})
        find_message(state, context, self.seq)
        limit = state.rules(context).pins_max
        if len(state.pins) >= limit:
            raise Rejected(
                "quota_exceeded",
                "the pin board is full",
                quota="pins",
                limit=limit,
                used=len(state.pins),
            )
        return [Pinned(self.seq)]


@attrs.frozen
class Unpin(Command):
    """Take a message off the pin board."""

    method = "unpin"
    by_system = True
    min_role = Role.ADMIN
    in_direct = False

    seq: int = fields.seq()

    def decide(self, state: Group, context: Context) -> Decision:
        """Unpin it. Doing it twice is not an error while the first time is remembered."""
        if self.seq in state.pins:
            return [Unpinned(self.seq, dropped=forgotten_unpinnings(state))]
        done = state.unpinned.get(self.seq)
        if done is None:
            raise Rejected("not_found", f"message {self.seq} is not pinned")
        return Unchanged({"seq": done})


@attrs.frozen
class Announcements(LiveQuery):
    """List the announcements that are kept, the current one first. Members only."""

    method = "announcements"
    cost = 2
    min_role = Role.MEMBER
    by_system = True
    result: ClassVar = {"announcements": "list[event]"}

    limit: int = fields.integer(
        low=1, high=CONTENT.announcements_kept_max + 1, default=CONTENT.history_page
    )

    def ask(self, state: Group, context: Context) -> dict[str, Any]:
        """Give their seqs; the reader puts the events in their place.

        Who reads from their joining on gets the current one, and none of those before.
        """
        floor = state.floor_of(context.caller.user)
        seqs = [seq for seq in state.announcements if seq >= floor]
        if state.announcement is not None:
            seqs.append(state.announcement.seq)
        return {"announcements": seqs[::-1][: self.limit]}


def shown_board(state: Group, *, admin: bool) -> dict[str, Any]:
    """Give announcement and pins as ``info`` shows them; texts are added by the reader."""
    shown: dict[str, Any] = {
        "pins": [
            {"seq": seq, "user": pin.by, "time_ms": pin.time_ms} for seq, pin in state.pins.items()
        ]
    }
    current = state.announcement
    if current is not None:
        shown["announcement"] = {
            "seq": current.seq,
            "user": current.by,
            "time_ms": current.time_ms,
        }
        if admin:
            shown["announcement"]["acknowledged"] = len(current.acknowledged)
    return shown
