"""What an account hears of other streams, so that all of a user's devices learn of it.

A reactor follows the log and sends ``Hear`` to the accounts concerned, at least once and in the
order of the log; the account keeps the seq up to which it has heard of each group, so that a
repeated one changes nothing.

A new thing to hear of is a class here, with the kind that clients see, and a line in ``HEARERS``;
the group's event sets ``followed``.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import partial
from types import MappingProxyType
from typing import Any, ClassVar, Final, TypeAlias

import attrs

from groupd.domain import fields
from groupd.domain.account.state import HEARD_MAX, Account
from groupd.domain.base import (
    ACCOUNT,
    NOTHING,
    Command,
    Context,
    Decision,
    Event,
    Identity,
    Needs,
    Receipt,
    Record,
    Unchanged,
)
from groupd.domain.group.admission import Declined, RequestExpired, Withdrawn
from groupd.domain.group.invitations import Invited, InviteDeclined, InviteExpired
from groupd.domain.group.membership import Joined, Left, Requested
from groupd.domain.group.moderation import Banned, Kicked
from groupd.domain.group.roles import (
    TransferDeclined,
    TransferExpired,
    TransferOffered,
    Transferred,
)
from groupd.domain.group.settings import Dissolved
from groupd.domain.projection import Change, DropChat

# --- what an account hears


@attrs.frozen
class _Heard(Event):
    """Something happened to the user in a group; ``at`` is the seq there."""

    stream_kind: ClassVar[str] = ACCOUNT

    group: str = fields.stored("group", "")
    at: int = fields.stored("seq", 0)
    """The seq of the group's event that this is about."""
    by: str = fields.stored("author", "")

    def apply(self, state: Account, record: Record) -> None:
        """Note how far the account has heard."""
        state.heard[self.group] = max(self.at, state.heard.pop(self.group, 0))
        if len(state.heard) > HEARD_MAX:
            del state.heard[next(iter(state.heard))]


@attrs.frozen
class _Ended(_Heard):
    """The user is no member of the group any more: what they preferred for it goes."""

    is_back: bool = False
    """They were in the group again when this was heard, so their preferences stay."""

    def apply(self, state: Account, record: Record) -> None:
        """Forget the preferences, and free the place in the quota."""
        super().apply(state, record)
        state.owned.pop(self.group, None)
        if not self.is_back:
            state.chats.pop(self.group, None)

    def project(self, record: Record) -> Sequence[Change]:
        """Forget the preferences."""
        return () if self.is_back else (DropChat(self.group),)


@attrs.frozen
class Added(_Heard):
    """Somebody has put the user into a group."""

    kind = "added"


@attrs.frozen
class HasRequested(_Heard):
    """The user has asked to join a group, on one of their devices."""

    kind = "requested"


@attrs.frozen
class HasApproved(_Heard):
    """The user's join request is approved: they are a member."""

    kind = "approved"


@attrs.frozen
class HasDeclined(_Heard):
    """The user's join request is declined."""

    kind = "declined"


@attrs.frozen
class HasWithdrawn(_Heard):
    """The user has taken a join request back, on one of their devices."""

    kind = "withdrawn"


@attrs.frozen
class RequestHasExpired(_Heard):
    """Nobody has decided on the user's join request in time."""

    kind = "request_expired"


@attrs.frozen
class HasInvited(_Heard):
    """Somebody has invited the user into a group; they may join it or not."""

    kind = "invited"


@attrs.frozen
class HasDeclinedInvite(_Heard):
    """The user does not want to join where they are invited; they said so on one device."""

    kind = "invite_declined"


@attrs.frozen
class InviteHasExpired(_Heard):
    """An invitation holds no longer."""

    kind = "invite_expired"


@attrs.frozen
class HasLeft(_Ended):
    """The user has left a group, on one of their devices."""

    kind = "left"


@attrs.frozen
class HasKicked(_Ended):
    """The user was taken out of a group."""

    kind = "kicked"


@attrs.frozen
class HasBanned(_Ended):
    """The user is banned from a group, and is no member of it any more if they were."""

    kind = "banned"


@attrs.frozen
class HasDissolved(_Ended):
    """A group that the user was in is over."""

    kind = "dissolved"


@attrs.frozen
class HasOffered(_Heard):
    """A group is offered to the user, to be its owner."""

    kind = "transfer_offered"


@attrs.frozen
class HasDeclinedOffer(_Heard):
    """The user does not want the group that was offered; they said so on one of their devices."""

    kind = "transfer_declined"


@attrs.frozen
class OfferHasExpired(_Heard):
    """A group is no longer offered to the user."""

    kind = "transfer_expired"


@attrs.frozen
class HasTransferred(_Heard):
    """A group has changed hands: both the former owner and the new one hear of it."""

    kind = "transferred"

    owned: bool = False
    """Whether the group is the user's from now on; else it was."""

    def apply(self, state: Account, record: Record) -> None:
        """Count it where it is owned."""
        super().apply(state, record)
        if self.owned:
            # Its ``ref`` is found by the index, as that of any group that was committed.
            state.owned.setdefault(self.group, None)
        else:
            state.owned.pop(self.group, None)


HEARD: Final[tuple[type[Event], ...]] = (
    Added,
    HasRequested,
    HasApproved,
    HasDeclined,
    HasWithdrawn,
    RequestHasExpired,
    HasInvited,
    HasDeclinedInvite,
    InviteHasExpired,
    HasLeft,
    HasKicked,
    HasBanned,
    HasDissolved,
    HasOffered,
    HasDeclinedOffer,
    OfferHasExpired,
    HasTransferred,
)
"""All that there is to hear."""


# --- who hears what


EVERYBODY: Final = None
"""In place of a user: all that are members."""

Make: TypeAlias = Callable[..., _Heard]
"""Makes the news from ``group``, ``at`` and ``by``."""
Hearers: TypeAlias = Iterable[tuple[str | None, Make]]


def _joined(event: Joined, record: Record) -> Hearers:
    """Give who was let in by somebody else; who came by themselves knows."""
    if event.member and event.member != record.user:
        yield event.member, HasApproved if event.via == "approval" else Added


def _transferred(event: Transferred, record: Record) -> Hearers:
    yield record.user, partial(HasTransferred, owned=True)
    if event.former and event.former != record.user:
        yield event.former, HasTransferred


def _author(make: Make) -> Callable[[Any, Record], Hearers]:
    return lambda event, record: ((record.user, make),)


def _member(make: Make) -> Callable[[Any, Record], Hearers]:
    return lambda event, record: ((event.member, make),)


HEARERS: Final[Mapping[type[Event], Callable[[Any, Record], Hearers]]] = MappingProxyType(
    {
        Joined: _joined,
        Requested: _author(HasRequested),
        Declined: _member(HasDeclined),
        Withdrawn: _author(HasWithdrawn),
        RequestExpired: _member(RequestHasExpired),
        Invited: _member(HasInvited),
        InviteDeclined: _author(HasDeclinedInvite),
        InviteExpired: _member(InviteHasExpired),
        Left: _author(HasLeft),
        Kicked: _member(HasKicked),
        Banned: _member(HasBanned),
        Dissolved: lambda event, record: ((EVERYBODY, HasDissolved),),
        TransferOffered: _member(HasOffered),
        TransferDeclined: _member(HasDeclinedOffer),
        TransferExpired: _member(OfferHasExpired),
        Transferred: _transferred,
    }
)
"""A group's event -> who hears of it, and as what. It has just those that are ``followed``."""


def heard_by(event: Event, record: Record) -> Hearers:
    """Say which accounts hear of a group's event, and as what."""
    hearers = HEARERS.get(type(event))
    return () if hearers is None else hearers(event, record)


# --- telling it


@attrs.frozen
class Hear(Command):
    """Tell an account of something. The server's own; no client can send it."""

    method = "hear"
    addressed = ACCOUNT
    min_role = None
    result: ClassVar = {}

    event: _Heard
    user: str = ""
    """Whose account it is."""

    def needs(self, state: Account, caller: Identity) -> Needs:
        """Fetch whether a member who is said to have gone has come back since."""
        if not isinstance(self.event, _Ended) or self.event.group not in state.chats:
            return NOTHING
        return Needs(memberships=((self.event.group, self.user),))

    def decide(self, state: Account, context: Context) -> Decision:
        """Take it in once."""
        event = self.event
        if event.at <= state.heard.get(event.group, 0):
            return Unchanged({})
        place = context.fetched.memberships.get((event.group, self.user))
        if isinstance(event, _Ended) and place is not None and place.joined_seq > event.at:
            event = attrs.evolve(event, is_back=True)
        return [event]

    def answer(self, receipt: Receipt, context: Context) -> dict[str, Any]:
        """Answer nothing."""
        return {}
