"""Every Hypothesis strategy for the domain.

Requests and events are made from their own classes: a request from the metadata of its fields, an
event from the types of its fields. So one that is added to the catalog joins the properties by
itself; only a field of a new type asks for a line here (``BY_SHOWN_TYPE``, ``of_type``).
"""

from __future__ import annotations

import types
import typing
from collections.abc import Callable, Mapping
from functools import cache
from typing import Any, Final

import attrs
from hypothesis import strategies as st

from groupd.config import CONTENT
from groupd.domain.base import GROUP, Command, Event, Request
from groupd.domain.cards import CARDS
from groupd.domain.catalog import EVENTS, REQUESTS
from groupd.domain.fields import INT_MAX, is_blank
from groupd.domain.group.messages import Post
from groupd.domain.group.parts import SETTINGS
from groupd.domain.links import CODE_LENGTH, GROUP_ID_LENGTH

NOW_MS: Final = 1_750_000_000_000
HOUR_MS: Final = 3_600_000

USERS: Final = ("ann", "bob", "王芳", "dora", "🙂eve")
"""A few, so that what they do meets."""

# --- words

PIECES: Final = (
    "a", "Z", "7", " ", "-", "'", "中", "文群", "聊", "ü", "é", "ñ", "한", "ไ", "ع", "🙂", "👩‍👩‍👧",
    "🇨🇳", "e\u0301", "o\u0302\u0323", "\u00df", "ﬁ", "𝒳", "\u200d",
)  # fmt: skip
"""Chinese, English, accents whole and combining, right to left, emoji of several code points."""


def words(*, min_chars: int, max_chars: int, more: tuple[str, ...] = ()) -> st.SearchStrategy[str]:
    """Give texts made of ``PIECES``; if ``min_chars`` is not 0, none that is only white space."""
    drawn = st.lists(st.sampled_from(PIECES + more), max_size=12).map("".join)
    return drawn.filter(
        lambda text: (min_chars == 0 or not is_blank(text)) and len(text) <= max_chars
    )


def names(max_chars: int = CONTENT.name_max, min_chars: int = 1) -> st.SearchStrategy[str]:
    return words(min_chars=min_chars, max_chars=max_chars)


def texts(max_chars: int = CONTENT.text_max, min_chars: int = 1) -> st.SearchStrategy[str]:
    return words(min_chars=min_chars, max_chars=max_chars, more=("\n", "\t", "\u3000"))


def users() -> st.SearchStrategy[str]:
    return st.sampled_from(USERS)


def any_users() -> st.SearchStrategy[str]:
    """Give user ids of all shapes that a host may use."""
    return st.one_of(
        users(),
        names(15),
        st.from_regex(r"[a-z0-9@._-]{1,64}", fullmatch=True),
    )


# --- values of the host's own


def scalars() -> st.SearchStrategy[Any]:
    return st.one_of(
        st.none(),
        st.booleans(),
        st.integers(-INT_MAX, INT_MAX),
        st.floats(allow_nan=False, allow_infinity=False),
        st.text(st.sampled_from("ab中🙂\0\n"), max_size=5),
    )


@cache
def values() -> st.SearchStrategy[Any]:
    """Give what a client may put into a map: some levels deep, and small."""
    return st.recursive(
        scalars(),
        lambda inner: st.one_of(st.lists(inner, max_size=3), maps(inner)),
        max_leaves=5,
    )


def maps(inner: st.SearchStrategy[Any]) -> st.SearchStrategy[dict[str, Any]]:
    return st.dictionaries(st.sampled_from(("", "a", "b", "键", "user", "type")), inner, max_size=3)


@cache
def junk() -> st.SearchStrategy[Any]:
    """Give what no client should send: any shape, also such as cannot be encoded."""
    return st.recursive(
        st.one_of(
            scalars(),
            st.floats(),
            st.sampled_from((2**53, -(2**63), 2**64, 10**400)),
            st.sampled_from(("\ud800", "a\udfffb", "\x00", "", " ", "*", "all", b"", b"a")),
            st.builds(object),
        ),
        lambda inner: st.one_of(
            st.lists(inner, max_size=3),
            st.tuples(inner),
            st.dictionaries(st.sampled_from(("type", "lat", 1, None, b"a", "\udc00")), inner),
        ),
        max_leaves=6,
    )


URLS: Final = ("https://example.com/a?b=1#c", "http://[::1]/", "kwai://live/7", "tel:+8610")

IN_CARDS: Final[Mapping[str, st.SearchStrategy[Any]]] = {
    "title": words(min_chars=1, max_chars=40),
    "text": words(min_chars=0, max_chars=40, more=("\n",)),
    "url": st.sampled_from(URLS),
    "count": st.one_of(st.integers(0, 3), st.integers(0, INT_MAX)),
    "currency": st.sampled_from(("CNY", "JPY", "USD")),
    "latitude": st.one_of(st.floats(-90, 90), st.integers(-90, 90)),
    "longitude": st.one_of(st.floats(-180, 180), st.integers(-180, 180)),
}
"""Type of a card's field -> what a client may send for it."""


@cache
def cards() -> st.SearchStrategy[dict[str, Any]]:
    """Give cards of known types, also with fields of a newer client, and of unknown types."""
    known = [
        st.fixed_dictionaries(
            {
                "type": st.just(kind),
                **{name: IN_CARDS[part.type] for name, part in parts.items() if part.required},
            },
            optional={
                name: IN_CARDS[part.type] for name, part in parts.items() if not part.required
            },
        )
        for kind, parts in CARDS.items()
    ]
    unknown = st.fixed_dictionaries({"type": st.sampled_from(("poll", "视频"))})
    return st.builds(
        lambda more, card: {**more, **card}, maps(values()), st.one_of(*known, unknown)
    )


def places() -> st.SearchStrategy[dict[str, float]]:
    return st.fixed_dictionaries(
        {"lat": st.floats(-90, 90), "lon": st.one_of(st.floats(-180, 180), st.integers(-180, 180))}
    )


def circles() -> st.SearchStrategy[dict[str, float]]:
    """Give circles on the map as a client sends them."""
    return st.builds(
        lambda place, radius_m: {**place, "radius_m": radius_m},
        places(),
        st.integers(1, CONTENT.radius_max_m),
    )


def conditions() -> st.SearchStrategy[dict[str, Any]]:
    """Give entry conditions as a client may set them."""
    leaves = st.one_of(
        st.fixed_dictionaries({"claim": st.just("level"), "at_least": st.integers(0, 5)}),
        st.fixed_dictionaries({"claim": st.just("follows"), "has": st.sampled_from("ab")}),
        st.fixed_dictionaries({"claim": st.just("plan"), "is": st.just("ordinary")}),
    )
    some = st.lists(leaves, min_size=1, max_size=3)
    return st.one_of(
        st.just({}),
        leaves,
        st.builds(lambda parts: {"all": parts, "label": "粉丝"}, some),
        st.builds(lambda parts, leaf: {"any": [{"not": leaf}, *parts]}, some, leaves),
    )


def group_ids() -> st.SearchStrategy[str]:
    return st.text("0123456789ABCDEF", min_size=GROUP_ID_LENGTH, max_size=GROUP_ID_LENGTH)


def codes() -> st.SearchStrategy[str]:
    """Give codes that are of the right shape and belong to no link."""
    return st.text("abcXYZ019-_", min_size=CODE_LENGTH, max_size=CODE_LENGTH)


# --- request ids


def uuid7(time_ms: int, tail: int = 0) -> str:
    """Make a UUIDv7 with this embedded time; ``tail`` tells apart those of one millisecond."""
    digits = f"{time_ms:012x}7{(tail >> 62) & 0xFFF:03x}{(tail & (2**62 - 1)) | 2**63:016x}"
    return "-".join((digits[:8], digits[8:12], digits[12:16], digits[16:20], digits[20:]))


def request_ids(
    now_ms: int, *, ago_ms: int = 23 * HOUR_MS, ahead_ms: int = 0
) -> st.SearchStrategy[str]:
    """Give request ids near a time: by default those that a server takes."""
    return st.builds(
        uuid7, st.integers(now_ms - ago_ms, now_ms + ahead_ms), st.integers(0, 2**74 - 1)
    )


# --- requests, from the metadata of their fields

Schema = Mapping[str, Any]

BY_SHOWN_TYPE: Final[Mapping[str, Callable[[Schema], st.SearchStrategy[Any]]]] = {
    "text": lambda m: texts(m["max"], m["min"]),
    "string": lambda m: names(m["max"], m["min"]),
    "enum": lambda m: st.sampled_from(m["options"]),
    "integer": lambda m: st.one_of(
        st.integers(m["min"], min(m["max"], m["min"] + 3)), st.integers(m["min"], m["max"])
    ),
    "seq": lambda m: st.one_of(st.integers(m["min"], 40), st.just(INT_MAX)),
    "boolean": lambda m: st.booleans(),
    "user": lambda m: users(),
    "list[user]": lambda m: st.lists(users(), max_size=4),
    'list[user] or "all"': lambda m: st.one_of(st.just("all"), st.lists(users(), max_size=4)),
    "group": lambda m: group_ids(),
    "consumer_name": lambda m: st.from_regex(r"[0-9A-Za-z][0-9A-Za-z._-]{0,20}", fullmatch=True),
    "map": lambda m: maps(values()),
    "card": lambda m: cards(),
    "location": lambda m: places(),
    "condition": lambda m: conditions(),
    "circle": lambda m: circles(),
    "number": lambda m: st.one_of(
        st.integers(m["min"], m["max"]), st.floats(m["min"], m["max"], allow_nan=False)
    ),
    "time_zone": lambda m: st.sampled_from(("UTC", "Asia/Shanghai", "America/New_York")),
    "map[group, seq]": lambda m: st.dictionaries(group_ids(), st.integers(0, 99), max_size=3),
    "list[string]": lambda m: st.lists(names(9), min_size=3, max_size=3),
    "list[seq]": lambda m: st.lists(st.integers(1, 40), min_size=1, max_size=5),
}
"""``metadata["type"]`` of a field -> what a client may send for it."""

BY_FIELD: Final[Mapping[tuple[str, str], st.SearchStrategy[Any]]] = {
    ("share_link", "uses_max"): st.integers(1, 3),
    ("share_link", "expires_in_ms"): st.sampled_from((1, 1_000, HOUR_MS)),
    ("react", "reaction"): st.sampled_from(("👍", "like")),
    ("unreact", "reaction"): st.sampled_from(("👍", "like")),
}
"""What of a field's type its check does not take yet, or what makes for better meetings."""


@cache
def params_of(
    cls: type[Request], **given: st.SearchStrategy[Any]
) -> st.SearchStrategy[dict[str, Any]]:
    """Give the parameters of a request as a client may send them."""
    required, optional = {}, {}
    for field in attrs.fields(cls):  # type: ignore[arg-type]
        strategy = given.get(field.name, BY_FIELD.get((cls.method, field.name)))
        if strategy is None and field.name == "code":
            strategy = codes()
        if strategy is None:
            shown = field.metadata["type"]
            assert shown in BY_SHOWN_TYPE, f"strategies.py has no line for fields of type {shown}"
            strategy = BY_SHOWN_TYPE[shown](field.metadata)
        (required if field.default is attrs.NOTHING else optional)[field.alias] = strategy
    return st.fixed_dictionaries(required, optional=optional)


def is_consistent(method: str, params: Mapping[str, Any]) -> bool:
    """Say whether parameters that are right each for itself are so together."""
    if method in ("post", "edit"):
        return bool(params.get("text")) or "card" in params
    if method == "search":
        named = (str(params.get(name, "")).strip() for name in ("query", "category"))
        return "near" in params or any(named)
    return method != "history" or not {"after", "before"} <= params.keys()


@cache
def requests(cls: type[Request], **given: st.SearchStrategy[Any]) -> st.SearchStrategy[Request]:
    """Give requests of one class; ``given`` strategies stand in for those of some fields."""
    params = params_of(cls, **given).filter(lambda drawn: is_consistent(cls.method, drawn))
    return params.map(cls.parse)


def group_commands() -> tuple[type[Command], ...]:
    """Give the classes of all commands that go to a group."""
    return tuple(
        cls for cls in REQUESTS.values() if issubclass(cls, Command) and cls.addressed != "account"
    )


# --- events, from the types of their fields


def of_type(hint: Any) -> st.SearchStrategy[Any]:
    """Give values of a type as it may stand in an event, as ``decode_event`` gives them."""
    origin, inside = typing.get_origin(hint), typing.get_args(hint)
    if origin in (typing.Union, types.UnionType):
        return st.one_of(*map(of_type, inside))
    if origin is tuple:
        assert inside[1] is Ellipsis
        return st.lists(of_type(inside[0]), max_size=3).map(tuple)
    if origin is not None and issubclass(origin, Mapping):
        return maps(values() if inside[1] is Any else of_type(inside[1])).map(tuples_in)
    plain = {
        str: st.one_of(users(), texts(min_chars=0)),
        int: st.integers(0, 40),
        bool: st.booleans(),
        float: st.floats(allow_nan=False),
        type(None): st.none(),
    }
    assert hint in plain, f"strategies.py has no line for fields of type {hint}"
    return plain[hint]


def tuples_in(value: Any) -> Any:
    """Give a value with tuples in place of its lists, as requests and stored events hold it."""
    if isinstance(value, dict):
        return {key: tuples_in(item) for key, item in value.items()}
    return tuple(map(tuples_in, value)) if isinstance(value, list | tuple) else value


def changes() -> st.SearchStrategy[dict[str, Any]]:
    """Give what ``updated`` may hold: settings, and one of a later version."""
    hints = typing.get_type_hints(EVENTS[GROUP]["created"])
    known = {name: of_type(hints[name]) for name in SETTINGS}
    return st.fixed_dictionaries(
        {}, optional={**known, "a_later_setting": st.integers(-INT_MAX, INT_MAX)}
    )


@cache
def events(cls: type[Event]) -> st.SearchStrategy[Event]:
    """Give events of one class."""
    hints = typing.get_type_hints(cls)
    special: dict[str, st.SearchStrategy[Any]] = {
        "changes": changes(),
        "role": st.sampled_from(("member", "admin", "owner", "of a later version")),
        "history": st.sampled_from(("all", "joined", "of a later version")),
        "member": st.one_of(st.just(""), users()),
    }
    if cls.kind == "recalled":
        # Only what a command has made erases: anything else may be what the state depends on.
        special |= {"message": st.just(0), "edits": st.just(())}
    drawn = {}
    for field in attrs.fields(cls):  # type: ignore[arg-type]
        known = special.get(field.name)
        drawn[field.name] = of_type(hints[field.name]) if known is None else known
    return st.builds(cls, **drawn)


@cache
def all_events(stream_kind: str) -> st.SearchStrategy[Event]:
    return st.one_of(*map(events, EVENTS[stream_kind].values()))


# --- what several users do in one group


@attrs.frozen
class Step:
    """Somebody asks for something, some time after the step before."""

    user: str
    command: Command
    id_tail: int
    """Few, so that some ids come twice: with the same content, and with another."""
    id_ago_ms: int | None
    """How long before the start the id was made; None for a request without one."""
    pass_ms: int


def steps(code: st.SearchStrategy[str]) -> st.SearchStrategy[Step]:
    seq = st.integers(1, 12)
    by_method = {
        cls.method: requests(cls, code=code, seq=seq, reply_to=seq) for cls in group_commands()
    }
    # What builds a group up comes more often, and what ends it seldom.
    often = [
        by_method[method]
        for method in ("join", "post", "announce", "pin", "acknowledge", "react", "recall")
    ]
    kinds = [by_method[method] for method in by_method if method != "dissolve"]
    plain = st.builds(Post, text=texts())
    commands = st.one_of(*kinds, *kinds, *often, *often, plain, plain, by_method["dissolve"])
    return st.builds(
        Step,
        user=st.sampled_from(USERS + USERS[:1] + USERS[3:4]),
        command=commands,
        id_tail=st.integers(0, 2),
        id_ago_ms=st.sampled_from((None, None, None, None, 0, 1_000, 1_000, 23 * HOUR_MS)),
        pass_ms=st.sampled_from((0, 0, 0, 0, 1, 1, 1_000, 1_000, HOUR_MS, 13 * HOUR_MS)),
    )


def dialogues(
    code: st.SearchStrategy[str], *, min_size: int = 6, max_size: int = 30
) -> st.SearchStrategy[list[Step]]:
    """Give what several users ask of one group; ``code`` draws codes of links, right and wrong."""
    return st.lists(steps(code), min_size=min_size, max_size=max_size)
