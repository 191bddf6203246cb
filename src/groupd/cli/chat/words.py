"""Events in words.

Placement rules: pure, from an event to a line of rich's markup. Every kind of event of the catalog
is in a table here or in its ``SILENT`` list; a test says so when a new one is not.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from datetime import datetime
from types import MappingProxyType
from typing import Any, Final, TypeAlias
from unicodedata import category

import attrs
from rich.markup import escape

from groupd.client import AccountEvent, GroupEvent
from groupd.domain.cards import summary

Fields: TypeAlias = Mapping[str, Any]
Say: TypeAlias = Callable[[Fields, str], str]
"""Makes a sentence of an event's fields, for the user who reads it."""

_JOINER: Final = "\N{ZERO WIDTH JOINER}"
"""Not printable by itself, and part of many emoji."""
_SAID_MAX: Final = 60
_CONTROLS: Final = 0x20
"""Below this are control characters."""
_SYMBOLS: Final = ord("\N{SYMBOL FOR NULL}")


def safe(text: str) -> str:
    """Give a text without what would move a terminal's cursor or colour it. Line breaks stay.

    Control characters are shown as their symbols, and blanks of all widths stay blanks.
    """
    return "".join(c if c.isprintable() else _shown(c) for c in text)


def _shown(c: str) -> str:
    if c in "\n\N{IDEOGRAPHIC SPACE}" + _JOINER:
        return c
    if c == "\t" or category(c) == "Zs":
        return " "
    if c == "\N{DELETE}":
        return "\N{SYMBOL FOR DELETE}"
    # The block of symbols for control characters has their order.
    return chr(_SYMBOLS + ord(c)) if ord(c) < _CONTROLS else "\N{REPLACEMENT CHARACTER}"


def _text(value: Any) -> str:
    return escape(safe(str(value)))


def _dim(text: str) -> str:
    return f"[dim]{text}[/]"


def _whom(fields: Fields, me: str) -> str:
    member = str(fields.get("member", ""))
    return "you" if member == me else _text(member)


def time_of(time_ms: int) -> str:
    """Give date and time, as people read them."""
    return datetime.fromtimestamp(time_ms / 1_000).strftime("%Y-%m-%d %H:%M")


def many(number: int, one: str, more: str = "") -> str:
    """Give a number of things: ``1 reply``, ``2 replies``."""
    return f"{number} {one if number == 1 else more or one + 's'}"


def span(time_ms: int) -> str:
    """Give a length of time in its largest unit that is not too coarse: ``90 s``, ``10 min``."""
    seconds = max(1, -(-time_ms // 1_000))
    for unit, length in (("day", 86_400), ("h", 3_600), ("min", 60)):
        if seconds >= 2 * length or seconds == length:
            count = -(-seconds // length)
            return many(count, unit, unit + "s" if unit == "day" else unit)
    return f"{seconds} s"


# --- what is said


def content(fields: Fields) -> str:
    """Give what a message says: its text, and its card by type and title."""
    text = _text(fields.get("text", ""))
    card = fields.get("card")
    if not isinstance(card, Mapping):
        return text
    shown = f"[blue]\\[{_text(card.get('type', '?'))}][/] {_text(summary(card))}"
    return f"{text} {shown}".strip()


def plain(event: GroupEvent) -> str:
    """Give the last message of a list of chats, as one line without markup."""
    if event.kind == "erased":
        return "(recalled)"
    card = event.fields.get("card")
    text = str(event.fields.get("text", ""))
    if isinstance(card, Mapping):
        text = f"{text} [{card.get('type', '?')}] {summary(card)}".strip()
    line = " ".join(safe(text).split())
    return line if len(line) <= _SAID_MAX else line[: _SAID_MAX - 1] + "…"


def _posted(fields: Fields, me: str) -> str:
    reply = fields.get("reply_to")
    return (_dim(f"to {reply}:") + " " if reply else "") + content(fields)


SAID: Final = ("posted", "announced", "erased")
"""Kinds that a message has, or had."""
CHANGES: Final = ("edited", "recalled", "reacted", "unreacted")
"""Kinds that change a message; a page that shows it as it is now leaves them out."""


def left_to_tell(events: Iterable[GroupEvent], now: Mapping[int, Fields]) -> Iterator[GroupEvent]:
    """Give those of a page that are told beside ``now``, where messages are as they are now."""
    for event in events:
        is_told = event.kind in CHANGES and event.fields.get("message") in now
        # What is erased and no message was the edit of one.
        is_rest = event.kind == "erased" and event.seq not in now
        if not (is_told or is_rest):
            yield event


def newest(event: GroupEvent, message: Fields) -> GroupEvent:
    """Give a message's event with what it says now."""
    edited = message.get("edited")
    if not isinstance(edited, Mapping) or edited.get("kind") != "edited":
        return event
    said = {name: edited[name] for name in ("text", "card") if name in edited}
    kept = {name: event.fields[name] for name in ("reply_to",) if name in event.fields}
    return attrs.evolve(event, fields={**kept, **said})


def marks(message: Fields) -> str:
    """Give what has become of a message: edited, reactions, replies."""
    found = ["(edited)"] if "edited" in message else []
    mine = message.get("mine", ())
    for reaction, number in message.get("reactions", {}).items():
        found.append(f"{reaction} {number}{' (you)' if reaction in mine else ''}")
    replies = message.get("replies", 0)
    if replies:
        found.append(many(replies, "reply", "replies"))
    return " · ".join(found)


# --- events of groups


def _created(fields: Fields, me: str) -> str:
    return _dim("has opened this direct chat" if fields.get("direct") else "has founded the group")


def _joined(fields: Fields, me: str) -> str:
    via, sharer, channel = (str(fields.get(name, "")) for name in ("via", "sharer", "channel"))
    if fields.get("member"):
        said = {"approval": "has let {} in", "direct": "is here with {}"}.get(via, "has added {}")
        return _dim(said.format(_whom(fields, me)))
    by = f" of {_text(sharer)}" if sharer else ""
    on = f" on {_text(channel)}" if channel else ""
    how = {"link": f", by a link{by}{on}", "invite": f", by an invitation{by}"}.get(via, "")
    return _dim(f"is here{how}")


def _requested(fields: Fields, me: str) -> str:
    message = _text(fields.get("message", ""))
    said = f': "{message}"' if message else ""
    return f"[yellow]asks to join{said}[/] {_dim('/approve or /decline, with their name')}"


def _reacted(fields: Fields, me: str) -> str:
    about = _dim(f"to message {fields.get('message')}")
    return f"{_text(fields.get('reaction', ''))} {about}"


def _link_made(fields: Fields, me: str) -> str:
    channel = f" for {_text(fields['channel'])}" if fields.get("channel") else ""
    how = ", by approval" if fields.get("grants") == "pending" else ""
    return _dim(f"has made a share link{channel}{how}")


def _link_revoked(fields: Fields, me: str) -> str:
    is_over = fields.get("reason") == "expired"
    return _dim("a share link has expired" if is_over else "has revoked a share link")


def _updated(fields: Fields, me: str) -> str:
    changes = fields.get("changes", {})
    shown = (
        f"{name} to {value}" if isinstance(value, str | bool) and value != "" else name
        for name, value in changes.items()
    )
    return _dim(f"has changed {_text(', '.join(shown))}")


def _role_set(fields: Fields, me: str) -> str:
    role = {"admin": "an admin", "member": "a plain member"}.get(str(fields.get("role")), "other")
    return _dim(f"has made {_whom(fields, me)} {role}")


def _transferred(fields: Fields, me: str) -> str:
    former = str(fields.get("former", ""))
    before = f"; before it was {'yours' if former == me else _text(former) + chr(39) + 's'}"
    return _dim(f"owns the group now{before if former else ''}")


def _nicknamed(fields: Fields, me: str) -> str:
    name = _text(fields.get("nickname", ""))
    if fields.get("member"):
        whom = _whom(fields, me)
        return _dim(f"calls {whom} {name} here" if name else f"has taken {whom}'s nickname away")
    return _dim(f"goes by {name} here" if name else "has no nickname any more")


def _told(fields: Fields) -> str:
    return f": {_text(fields['message'])}" if fields.get("message") else ""


def _banned(fields: Fields, me: str) -> str:
    until = f" until {time_of(fields['until_ms'])}" if fields.get("until_ms") else ""
    return _dim(f"has banned {_whom(fields, me)}{until}{_told(fields)}")


def _slow_mode_set(fields: Fields, me: str) -> str:
    pause_ms = fields.get("interval_ms", 0)
    if not pause_ms:
        return _dim("has ended the slow mode")
    return _dim(f"has set the slow mode: one message in {span(pause_ms)}")


def _numbered(text: str) -> Say:
    return lambda fields, me: _dim(text.format(fields.get("message") or "?"))


def _about(text: str) -> Say:
    return lambda fields, me: _dim(text.format(_whom(fields, me)))


def _fixed(text: str) -> Say:
    return lambda fields, me: _dim(text)


GROUP_WORDS: Final[Mapping[str, Say]] = MappingProxyType(
    {
        "created": _created,
        "joined": _joined,
        "left": _fixed("has left"),
        "requested": _requested,
        "declined": _about("has declined the request of {}"),
        "withdrawn": _fixed("does not want to join any more"),
        "request_expired": _about("the request of {} has waited too long"),
        "invited": _about("has invited {}"),
        "invite_declined": _fixed("has declined the invitation"),
        "invite_expired": _about("the invitation of {} has expired"),
        "posted": _posted,
        "edited": lambda fields, me: (
            _dim(f"has edited message {fields.get('message') or '?'}:") + " " + content(fields)
        ),
        "recalled": _numbered("has recalled message {}"),
        "reacted": _reacted,
        "unreacted": lambda fields, me: _dim(
            f"has taken {_text(fields.get('reaction', ''))} off message {fields.get('message')}"
        ),
        "announced": lambda fields, me: f"[yellow]announces:[/] {_text(fields.get('text', ''))}",
        "acknowledged": _numbered("has seen announcement {}"),
        "pinned": _numbered("has pinned message {}"),
        "unpinned": _numbered("has unpinned message {}"),
        "link_made": _link_made,
        "link_revoked": _link_revoked,
        "updated": _updated,
        "dissolved": _fixed("has dissolved the group"),
        "role_set": _role_set,
        "transfer_offered": _about("the group is offered to {}"),
        "transfer_declined": _about("the group is not offered to {} any more"),
        "transfer_expired": _about("{} has not answered whether to take over the group"),
        "transferred": _transferred,
        "nicknamed": _nicknamed,
        "kicked": lambda fields, me: _dim(f"has taken {_whom(fields, me)} out{_told(fields)}"),
        "banned": _banned,
        "unbanned": _about("has ended the ban of {}"),
        "muted": lambda fields, me: _dim(
            f"has muted {_whom(fields, me)} until {time_of(fields.get('until_ms', 0))}"
        ),
        "unmuted": _about("lets {} speak again"),
        "all_muted": lambda fields, me: _dim(
            "lets only admins speak now" if fields.get("on") else "lets all members speak again"
        ),
        "slow_mode_set": _slow_mode_set,
        "operated": lambda fields, me: _dim(
            f"(operator {_text(fields.get('operator', ''))}: {_text(fields.get('reason', ''))})"
        ),
        "erased": _fixed("(recalled)"),
    }
)
"""Kind of a group's event -> its sentence, which follows its user's name."""

IMPERSONAL: Final = ("transfer_offered", "transfer_declined")
"""Kinds whose user is not who the sentence is about."""

SILENT: Final = ("hidden", "bound", "unbound", "ordered", "live_started", "live_ended")
"""Kinds that a chat does not show."""


def sentence(event: GroupEvent, me: str) -> str:
    """Say an event in words; an empty string for what a chat does not show."""
    if event.kind in SILENT:
        return ""
    say = GROUP_WORDS.get(event.kind)
    # A newer server's: better told by its name than not at all.
    return _dim(_text(event.kind)) if say is None else say(event.fields, me)


# --- events of the user's own account: plain text, with what to type next

_SWITCHES: Final[Mapping[str, tuple[str, str]]] = MappingProxyType(
    {
        "pinned_ms": ("is pinned to the top of your chats", "is not pinned any more"),
        "do_not_disturb": ("does not disturb you any more", "may disturb you again"),
        "marked_unread": ("is marked as unread", "is not marked as unread any more"),
        "shown": ("is shown on your profile", "is not shown on your profile any more"),
    }
)


def _chat_set(fields: Fields, name: str) -> str:
    said = [
        texts[not fields[key]] for key, texts in _SWITCHES.items() if fields.get(key) is not None
    ]
    return f"{name} {' and '.join(said)}." if said else ""


def _transfer(fields: Fields, name: str) -> str:
    if fields.get("owned"):
        return f"{name} is yours now."
    return f"{fields.get('by')} owns {name} now; you are one of its admins."


def _of(text: str) -> Say:
    return lambda fields, name: text.format(
        name=name,
        group=fields.get("group", ""),
        by=fields.get("by") or "The server",
        other=fields.get("other", ""),
    )


ACCOUNT_WORDS: Final[Mapping[str, Say]] = MappingProxyType(
    {
        "chat_set": _chat_set,
        "blocked": _of("You have blocked {other}; /unblock {other} ends it."),
        "unblocked": _of("You do not block {other} any more."),
        "revoked": _of("Your older tokens are not good any more."),
        "added": _of("{by} has added you to {name}: /use {name}"),
        "requested": _of("You wait to be let into {name}; /withdraw takes that back."),
        "approved": _of("{by} has let you into {name}: /use {name}"),
        "declined": _of("{name} has declined your request to join. You may ask again later."),
        "withdrawn": _of("You do not wait to be let into {name} any more."),
        "request_expired": _of("{name} has not answered you in time; /join {group} asks again."),
        "invited": _of("{by} invites you into {name}: /accept or /refuse ({group})"),
        "invite_declined": _of("You have refused the invitation into {name}."),
        "invite_expired": _of("The invitation into {name} has expired."),
        "left": _of("You have left {name}."),
        "kicked": _of("{by} has taken you out of {name}. You may join again."),
        "banned": _of("{by} has banned you from {name}."),
        "dissolved": _of("{by} has dissolved {name}."),
        "transfer_offered": _of(
            "{name} is offered to you, to be its owner: /accept-transfer or /refuse-transfer"
        ),
        "transfer_declined": _of("{name} is not offered to you any more."),
        "transfer_expired": _of("{name} is not offered to you any more: the time is over."),
        "transferred": _transfer,
    }
)
"""Kind of an account's event -> its sentence, of its fields and the group's name."""

ACCOUNT_SILENT: Final = ("owned", "disowned", "profiled")
"""Kinds that say nothing that a person would not know."""

LET_IN: Final = ("owned", "added", "approved")
PUT_OUT: Final = ("left", "kicked", "banned", "dissolved")
"""Kinds after which the person is in other groups than before."""


def account_sentence(event: AccountEvent, name: str) -> str:
    """Say in words what has happened to the user; an empty string for what is not told."""
    say = ACCOUNT_WORDS.get(event.kind)
    return "" if say is None else say(event.fields, name)
