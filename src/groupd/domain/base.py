"""The words that every rule is written in: Request, Command, Query, Event, Record, Context.

Placement rules:
- What a user may ask for is a ``Command`` (it may change a stream) or a ``Query`` (it may not).
- Every choice that is made is an ``Event``. Its ``apply`` is deterministic and total and reads
  no configuration, so that a replayed stream equals the live one.
- Time, randomness and secrets come in through ``Context`` and leave as fields of events.
- Nothing in here knows how bytes look (``wire``), where they lie (``storage``) or who runs it
  (``engine``).
"""

from __future__ import annotations

import enum
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, ClassVar, Final, NamedTuple, Self, TypeAlias

import attrs

from groupd.domain.answers import NO_ANSWERS, Answers
from groupd.domain.fields import clean_group
from groupd.domain.needs import NOTHING as NOTHING
from groupd.domain.needs import Card as Card
from groupd.domain.needs import Fetched as Fetched
from groupd.domain.needs import Needs as Needs
from groupd.domain.needs import Person as Person
from groupd.domain.parameters import parameters_of, slots_of
from groupd.domain.projection import Change, Holdings
from groupd.domain.rules import Rules as Rules
from groupd.errors import Rejected

if TYPE_CHECKING:
    from groupd.domain.links import LinkKeys

GROUP: Final = "group"
ACCOUNT: Final = "account"
SERVER: Final = ""
"""The ``user`` of what the server does itself, and of what the host application does by it. It is
never a member, but ranks as the owner of every group but direct chats. No token names it."""


class StreamKey(NamedTuple):
    """The name of a stream: one group, or one user's account, of one tenant."""

    kind: str
    tenant: str
    key: str


class Role(enum.IntEnum):
    """A member's rank. Higher may do all that lower may."""

    MEMBER = 1
    ADMIN = 2
    OWNER = 3

    @classmethod
    def of(cls, label: str) -> Role:
        """Give the role of a stored name; one that a later version has made is a plain member."""
        return cls.__members__.get(str(label).upper(), cls.MEMBER)

    @property
    def label(self) -> str:
        """Give the role's name on the wire."""
        return self.name.lower()


class Audience(enum.IntEnum):
    """Who may read a record. To everybody else among the members it shows as ``hidden``."""

    MEMBERS = 0
    ADMINS = 1


@attrs.frozen
class Identity:
    """Who is asking: what a token said, or what an embedding program vouches for."""

    user: str
    tenant: str = ""
    name: str = ""
    picture: str = ""
    plan: str = "ordinary"
    gender: str = ""
    birth_year: int | None = None
    region: str = ""
    scope: str = ""
    claims: Mapping[str, Any] = attrs.field(factory=dict, hash=False)
    """What the host says of the user beside that, for entry conditions: name -> value."""
    issued_ms: int | None = None
    """When the token was issued; None where it does not say, or where there is none."""
    expires_ms: int | None = None

    @property
    def account(self) -> StreamKey:
        """Give the stream of this user's own account."""
        return StreamKey(ACCOUNT, self.tenant, self.user)


NO_HOLDINGS: Final = Holdings()


@attrs.define
class Context:
    """What a decision may look at beside the stream's own state."""

    stream: StreamKey
    caller: Identity
    now_ms: int
    rules: Rules
    links: LinkKeys
    new_group: Callable[[], str]
    fetched: Fetched
    request_id: str = ""
    holdings: Holdings = NO_HOLDINGS
    """What the user has through whose account the request has passed: mostly the caller."""
    answers: Answers = NO_ANSWERS
    """What the host has said of the caller, for the entry condition."""


class Receipt(NamedTuple):
    """What is remembered of a request that changed something; its result is made from this.

    ``seq`` and ``time_ms`` are those of the first event that the request caused, ``value`` is its
    ``receipt_value``.
    """

    request_hash: bytes
    seq: int
    time_ms: int
    value: str | int | None


@attrs.frozen
class Rule:
    """A condition under which a request is allowed: enforced by the guard, shown by ``explain``.

    ``refuse(state, context, request)`` gives the refusal, or None where the rule holds or is not
    of the caller's concern; ``value(state, context)`` gives what is configured.
    """

    name: str
    source: str
    """Where its value comes from: plan, group, role, account, tenant, contract or server."""
    refuse: Callable[[Any, Context, Any], Rejected | None]
    value: Callable[[Any, Context], Any] = lambda state, context: None
    bars: bool = False
    """True where ``explain`` says nothing of later rules to those whom this one refuses."""
    answered_by: Callable[[Any, Context], str | None] = lambda state, context: None
    """Gives who has said what the verdict is made of, where that is not the server itself."""


class Request:
    """Something a user asks for. Its fields are its parameters, checked in the constructor.

    ``group`` and ``id`` are not fields: they say where a request goes and which intent it is,
    and are the same for all. ``result`` maps each field of the answer to its type in the
    published schema; a trailing ``?`` marks one that may be absent.
    """

    method: ClassVar[str]
    cost: ClassVar[int] = 1
    """Rate-limit units that one call takes."""
    addressed: ClassVar[str] = GROUP
    """``group``: the call names a group; ``account``: it goes to the caller's own account;
    ``""``: to neither."""
    takes_id: ClassVar[bool] = False
    min_role: ClassVar[Role | None] = None
    """The role that a caller needs in the group; None lets in whom the request itself lets in."""
    result: ClassVar[Mapping[str, str]]
    rules: ClassVar[tuple[Rule, ...]] = ()
    """What must hold beside the group's existence and ``min_role``, in the order of checking."""
    in_direct: ClassVar[bool] = True
    """False where a direct chat refuses it."""
    founds: ClassVar[bool] = False
    """True where the stream need not exist yet."""
    through_account: ClassVar[bool] = False
    """True where it passes through an account (``counted``), which serializes what is limited for
    each user: ``Context.holdings`` is then exact."""
    operator: ClassVar[bool] = False
    """True where only the operator's own socket serves it."""
    by_system: ClassVar[bool] = False
    """True where the host application may do it itself, as nobody in particular (``SYSTEM``)."""

    @classmethod
    def parse(cls, params: Mapping[str, Any]) -> Self:
        """Build the request from wire parameters; unknown ones are ignored.

        Raises Rejected ``bad_request`` with the ``field`` at fault.
        """
        # The constructor would do the same, but takes longer for all that is left out.
        request = cls.__new__(cls)
        for alias, default, check, put in slots_of(cls):
            value = params.get(alias)
            if value is not None and value is not default:
                put(request, check(value, alias))
            elif default is not attrs.NOTHING:
                put(request, default)
            else:
                raise Rejected("bad_request", f"{alias} is missing", field=alias)
        request.__attrs_post_init__()
        return request

    def __attrs_post_init__(self) -> None:
        """Check what concerns several parameters; raises Rejected."""

    def params(self) -> dict[str, Any]:
        """Give the parameters that differ from their defaults, in the order of the fields."""
        given = {}
        for name, alias, default in parameters_of(type(self)):
            value = getattr(self, name)
            if value is not default and value != default:
                given[alias] = value
        return given

    @classmethod
    def addresses(cls, stream_kind: str) -> bool:
        """Say whether the request goes to streams of this kind."""
        of_groups = (GROUP, "code", "group or account")
        if stream_kind == GROUP:
            return cls.addressed in of_groups
        return cls.addressed == ACCOUNT or cls.founds

    def counted(self, caller: Identity) -> StreamKey:
        """Give the account whose user's holdings count: the one it passes through."""
        return caller.account

    def address(self, group: str | None, caller: Identity) -> StreamKey:
        """Give the stream that this request goes to."""
        if self.addressed == ACCOUNT:
            return caller.account
        if group is None:
            raise Rejected("bad_request", "group is missing", field="group")
        return StreamKey(GROUP, caller.tenant, clean_group(group, "group"))


class Query(Request):
    """A request that changes nothing."""


class LiveQuery(Query):
    """A query of a stream's live state, answered by its actor between two commands."""

    def needs(self, state: Any, caller: Identity) -> Needs:
        """Say what must be fetched before ``ask`` is called."""
        return NOTHING

    def ask(self, state: Any, context: Context) -> dict[str, Any]:
        """Give the answer; raises Rejected."""
        raise NotImplementedError


@attrs.frozen
class Unchanged:
    """The decision that nothing needs to change: the answer, and no event."""

    result: Mapping[str, Any]


@attrs.frozen
class Founding:
    """The first events of a stream that does not exist yet, appended atomically with the rest."""

    stream: StreamKey
    events: Sequence[Event]


class Command(Request):
    """A request that may change a stream. ``decide`` is pure: it changes nothing itself."""

    takes_id = True
    min_role: ClassVar[Role | None] = Role.MEMBER
    result: ClassVar[Mapping[str, str]] = {"seq": "seq"}

    def needs(self, state: Any, caller: Identity) -> Needs:
        """Say what must be fetched before rules and ``decide`` are asked."""
        return NOTHING

    def decide(self, state: Any, context: Context) -> Decision:
        """Give the events that follow, or ``Unchanged``; raises Rejected."""
        raise NotImplementedError

    def answer(self, receipt: Receipt, context: Context) -> dict[str, Any]:
        """Make the result from what is remembered, so that a retry gets the same one."""
        return {"seq": receipt.seq}


class Event:
    """Something that has happened. Its fields are stored under their names, for ever.

    Fields are only added, with defaults; one that equals its default is not written.
    """

    kind: ClassVar[str]
    stream_kind: ClassVar[str] = GROUP
    audience: ClassVar[Audience] = Audience.MEMBERS
    countable: ClassVar[bool] = False
    """True where it counts as an unread message, and its user has spoken (``Spoke``)."""
    can_wait: ClassVar[bool] = False
    """True where a busy group may send it a moment after it was answered: it changes nothing by
    which others are allowed or refused something, nothing that is shown of live state, and nobody's
    view; and it is the same for all."""
    followed: ClassVar[bool] = False
    """True where reactors look at it."""
    lets_in: ClassVar[bool] = False
    """True where those whose view it changes may not have read the stream before."""
    moves: ClassVar[bool] = False
    """True where it changes who reads the stream (``views``)."""
    touches: ClassVar[bool] = False
    """True where it changes older messages (``touch``, ``erases``)."""

    def apply(self, state: Any, record: Record) -> None:
        """Change the state. Total: it never raises, whatever the state."""

    def views(self, record: Record) -> Sequence[tuple[str, Audience | None]]:
        """Say whose view of the stream this changes, and to what (None: they stop reading).

        Called where ``moves`` is set.
        """
        return ()

    def project(self, record: Record) -> Sequence[Change]:
        """Say what this changes in the index."""
        return ()

    def touch(self, fetched: Fetched, record: Record) -> None:
        """Keep true what was fetched of older messages. Called where ``touches`` is set."""

    def erases(self) -> Sequence[int]:
        """Give the seqs whose content goes when this is appended. Called like ``touch``."""
        return ()

    def receipt_value(self) -> str | int | None:
        """Give what a retry's answer needs of this event beside its seq and time."""
        return None


Decision: TypeAlias = "Sequence[Event | Founding] | Unchanged"


@attrs.frozen
class Unknown(Event):
    """A stored event of a kind that this version does not know: kept, shown, applied as nothing."""

    kind: str = ""  # type: ignore[misc]
    fields: Mapping[str, Any] = attrs.field(factory=dict)


class Record(NamedTuple):
    """One stored event: a header that stays for ever and a body that may be erased.

    A tuple, because one is made for each post and each row that is read, and a tuple is made four
    times as fast as a frozen class of this size.

    ``header`` and ``body`` are encoded map entries as clients see them, each led by one byte
    that counts its entries; ``wire/codec.py`` writes and reads them. The other fields up to
    ``forget`` repeat the header, or are private to the server.
    """

    seq: int
    time_ms: int
    kind: str
    user: str
    request_id: str
    audience: int
    n: int
    """Countable messages of the stream up to and with this record."""
    forget: int
    """How many of the oldest remembered request ids end with this record."""
    followed: bool
    header: bytes
    salt: bytes
    request_hash: bytes
    body: bytes | None
    """None once erased."""
    inner: bytes
    """SHA-256 over salt, request hash and body; outlives them."""
    chain: bytes
    """SHA-256 over the chain before, the header with its private part, and ``inner``."""
