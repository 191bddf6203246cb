"""What is mutated: valid requests of every method, made from the published types of their fields.

A new method joins by itself; only a field of a new type asks for a line in ``BY_TYPE``.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from random import Random
from typing import Any, Final

import attrs

from groupd.config import CONTENT
from groupd.domain.base import Request
from groupd.domain.catalog import REQUESTS
from groupd.domain.fields import INT_MAX
from tests.fuzz.mutate import repeated
from tests.strategies import uuid7

METHODS: Final = tuple(REQUESTS)
NOW_MS: Final = 1_750_000_000_000
USERS: Final = ("ann", "bob", "王芳", "🙂eve", "nobody")
GROUPS: Final = ("G" * 16, "0123456789ABCDEF", "")
CODE: Final = "G" * 16 + "abcdefghijklmnopqrstuv"

CARDS: Final[Sequence[dict[str, Any]]] = (
    {"type": "link", "url": "https://example.com/a?b=1#c", "title": "A page"},
    {"type": "video", "url": "https://example.com/v", "title": "v", "duration_ms": 5},
    {"type": "poll", "of": [1, 2, {"a": None}]},
)
PLACE: Final = {"lat": 30.25, "lon": 120}
CONDITION: Final = {"all": [{"claim": "level", "at_least": 3}], "label": "粉丝"}

Schema = Mapping[str, Any]
Make = Callable[[Random, Schema], Any]


def _text(random: Random, schema: Schema) -> str:
    length = random.choice((schema["min"] or 1, 3, 12, 12, schema["max"]))
    return ("x" + "".join(random.choices("ab 中é🙂-", k=7)) * (length // 7 + 1))[: length - 1] + "x"


def _users(random: Random, schema: Schema) -> list[str]:
    return random.sample(USERS, random.randint(1, 3))


BY_TYPE: Final[Mapping[str, Make]] = {
    "text": _text,
    "string": _text,
    "enum": lambda r, m: r.choice(m["options"]),
    "integer": lambda r, m: r.choice((m["min"], m["max"], r.randint(m["min"], m["max"]))),
    "seq": lambda r, m: r.choice((m["min"], 1, 2, 3, 4, 5, 40, INT_MAX)),
    "boolean": lambda r, m: r.random() < 0.5,
    "user": lambda r, m: r.choice(USERS),
    "list[user]": _users,
    'list[user] or "all"': lambda r, m: "all" if r.random() < 0.2 else _users(r, m),
    "group": lambda r, m: r.choice(GROUPS),
    "consumer_name": lambda r, m: r.choice(("orders", "shop.7")),
    "map": lambda r, m: {"a": 1, "b": {"c": [True, None, 1.5]}},
    "card": lambda r, m: r.choice(CARDS),
    "location": lambda r, m: PLACE,
    "condition": lambda r, m: CONDITION,
    "circle": lambda r, m: {**PLACE, "radius_m": 500},
    "number": lambda r, m: r.uniform(m["min"], m["max"]),
    "time_zone": lambda r, m: r.choice(("UTC", "Asia/Shanghai")),
    "map[group, seq]": lambda r, m: {GROUPS[0]: 3, GROUPS[1]: 0},
    "list[string]": lambda r, m: ["group", "", GROUPS[0]],
    "list[seq]": lambda r, m: [1, 2, 3],
}
"""``metadata["type"]`` of a field -> a value that a client may send for it."""


@attrs.frozen
class Scene:
    """Where requests are made: what there is that they can be about."""

    groups: Sequence[str] = GROUPS
    token: str = "x.y.z"
    now_ms: int = NOW_MS


NOWHERE: Final = Scene()


def params_of(random: Random, cls: type[Request], scene: Scene = NOWHERE) -> dict[str, Any]:
    """Give valid parameters of a request, some of the optional ones among them."""
    params: dict[str, Any] = {}
    group = random.choice(scene.groups)
    if cls.addressed:
        params["group"] = group
    if cls.takes_id and random.random() < 0.7:
        params["id"] = uuid7(scene.now_ms, random.randrange(1_000))
    for field in attrs.fields(cls):  # type: ignore[arg-type]
        if field.default is attrs.NOTHING or random.random() < 0.4:
            params[field.alias or field.name] = _value_of(random, cls, field, scene)
    return params


def _value_of(random: Random, cls: type[Request], field: Any, scene: Scene) -> Any:
    match cls.method, field.alias or field.name:
        case "hello", "token":
            return scene.token
        case _, "code":
            return random.choice((CODE, random.choice(scene.groups) + CODE[16:]))
        case _, "cursor":
            return random.choice(("7:12.5:x", "7::x"))
        case "chats", "after":
            return f"0:{scene.now_ms}:{random.choice(scene.groups)}"
    return BY_TYPE[field.metadata["type"]](random, field.metadata)


def message_of(random: Random, method: str, scene: Scene = NOWHERE) -> list[Any]:
    """Give a valid request message."""
    params = params_of(random, REQUESTS[method], scene)
    return [0, random.randrange(1, 2**32), method, [params]]


VALUES: Final[Sequence[Any]] = (
    *CARDS, *USERS, *GROUPS, CODE, PLACE, CONDITION, NOW_MS, INT_MAX, uuid7(NOW_MS), "self", "code",
    "message", "cls", "id", "group", "type", "url", "lat", "x" * CONTENT.text_max,
    repeated("ann", 501),
    {"code": "internal", "message": "x", "self": 1}, [{"not": {"any": []}}], "0:0:x", "1:2.5e-9:x",
    ["group", "", "x"], {f"{number}": number for number in range(65)},
)  # fmt: skip
"""Values that may take any place, since they mean something somewhere."""
