"""Lives: while somebody is live, a card says so in the groups that are bound to them.

The card is a message of the system's, posted once and edited once, when the live is over. Which
message it is, and whether it is over, is a row of the index (``LIVE``), made from events that are
never erased: so a start that is told of again makes no second card, also where somebody has
recalled the first.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
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
    Fetched,
    Identity,
    Needs,
    Receipt,
    Record,
    Role,
    Unchanged,
)
from groupd.domain.cards import check_card
from groupd.domain.fields import INT_MAX
from groupd.domain.group.edits import Edited
from groupd.domain.group.messages import Posted
from groupd.domain.group.state import Group
from groupd.domain.projection import LIVE, Change, PutTie, Tie
from groupd.errors import Rejected

ON: Final = "on"
ENDED: Final = "ended"


def check_live(value: Any, field: str) -> str:
    """Check the host's id of a live."""
    return fields.clean_name(value, field, max_chars=CONTENT.ref_max)


def live_card(live: str, card: Any, field: str, *, started_ms: int | None) -> dict[str, Any]:
    """Make the card of a live that is on; ``card`` has what the host says of it."""
    if not isinstance(card, dict) or card.get("type", "live") != "live":
        raise fields.refuse(field, "expected a map, a card of type live")
    # When it is over the card has one field more, and must still not be too large.
    whole = {**card, "type": "live", "live": live, "state": ENDED, "ended_ms": INT_MAX}
    if started_ms is not None:
        whole["starts_at_ms"] = started_ms
    checked = check_card(whole, field)
    del checked["ended_ms"]
    return {**checked, "state": ON}


class _Turn(Event):
    """A live has begun, or is over, in this group."""

    audience = Audience.ADMINS
    touches = True
    state: ClassVar[str]

    live: str
    message: int

    def project(self, record: Record) -> Sequence[Change]:
        """Note where its card is, and whether it is over."""
        return (PutTie(LIVE, self.live, self.message, state=self.state),)

    def touch(self, fetched: Fetched, record: Record) -> None:
        """Let the next request of this batch see it."""
        fetched.retie(LIVE, self.live, Tie(self.message, self.state))


@attrs.frozen
class LiveStarted(_Turn):
    """Somebody to whom the group is bound is live; the message before shows it."""

    kind = "live_started"
    state = ON

    live: str = ""
    """The host's id of it."""
    message: int = fields.stored("seq", 0)
    """Seq of the message with the card."""


@attrs.frozen
class LiveEnded(_Turn):
    """The live is over; the card was edited to say so, unless it was recalled."""

    kind = "live_ended"
    state = ENDED

    live: str = ""
    """The host's id of it."""
    message: int = fields.stored("seq", 0)
    """Seq of the message with the card."""


class _OfLive(Command):
    """A request about a live. The host's own; no client can send it."""

    by_system = True
    min_role = Role.OWNER
    in_direct = False
    result: ClassVar = {"status": "string", "seq": "seq"}


@attrs.frozen
class StartLive(_OfLive):
    """Show that somebody is live, once."""

    method = "start_live"

    live: str = fields.custom(check_live, "string")
    card: Mapping[str, Any] = fields.custom(check_card, "card")

    def needs(self, state: Group, caller: Identity) -> Needs:
        """Fetch whether it is shown already."""
        return Needs(ties=((LIVE, self.live),))

    def decide(self, state: Group, context: Context) -> Decision:
        """Post the card, unless it was posted; gives its seq."""
        known = context.fetched.ties.get((LIVE, self.live))
        if known is not None:
            return Unchanged({"status": known.state, "seq": known.seq})
        return [Posted(card=self.card), LiveStarted(self.live, state.seq + 1)]

    def answer(self, receipt: Receipt, context: Context) -> dict[str, Any]:
        """Give the message's seq."""
        return {"status": ON, "seq": receipt.seq}


@attrs.frozen
class StopLive(_OfLive):
    """Show that a live is over, once. ``card`` is what its message has shown so far.

    Without one, as where the message was recalled, the live is over and nothing is edited.
    """

    method = "stop_live"

    live: str = fields.custom(check_live, "string")
    message: int = fields.seq()
    card: Mapping[str, Any] | None = fields.custom(check_card, "card", default=None)

    def needs(self, state: Group, caller: Identity) -> Needs:
        """Fetch whether it is over already, and its message."""
        return Needs(ties=((LIVE, self.live),), messages=(self.message,))

    def decide(self, state: Group, context: Context) -> Decision:
        """Edit the card, and note that it is over."""
        known = context.fetched.ties.get((LIVE, self.live))
        if known is None or known.seq != self.message:
            raise Rejected("not_found", "no such live is shown here")
        if known.state == ENDED:
            return Unchanged({"status": ENDED, "seq": known.seq})
        ended = LiveEnded(self.live, self.message)
        shown = context.fetched.message(self.message)
        if self.card is None or shown is None or shown.recalled:
            return [ended]
        card = {**self.card, "state": ENDED, "ended_ms": context.now_ms}
        return [Edited(message=self.message, card=card), ended]

    def answer(self, receipt: Receipt, context: Context) -> dict[str, Any]:
        """Give the message's seq."""
        return {"status": ENDED, "seq": self.message}
