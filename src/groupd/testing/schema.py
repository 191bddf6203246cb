"""The published schema of the wire contract, made from the classes that serve it.

``python -m groupd.testing.schema proto`` writes ``proto/schema.json``. ``problems`` holds any
value of the protocol against it: for tests of servers and clients, in this project and others.
"""

from __future__ import annotations

import json
import sys
import types
import typing
from collections.abc import Iterator, Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Any, Final

import attrs

from groupd.config import CONTENT
from groupd.domain.base import ACCOUNT, GROUP, Audience, Command, Event, Request, Rule
from groupd.domain.cards import CARDS
from groupd.domain.catalog import EVENTS, REQUESTS
from groupd.domain.feeding import FeedQuery
from groupd.domain.fields import CHECK
from groupd.domain.group.state import rules_of
from groupd.domain.operating import BY_TOKEN
from groupd.errors import CODES, REASONS
from groupd.testing.shapes import SHAPES
from groupd.testing.vocabulary import (
    BOUNDS,
    CARD_FIELDS,
    DETAILS,
    MORE_DETAILS,
    NOTIFICATIONS,
    OPTIONS,
    ROLES,
    SCALARS,
    SIGNALS,
    TESTS,
)
from groupd.wire.codec import default_of

PROTOCOL: Final = 1
FILE_NAME: Final = "schema.json"

Schema = Mapping[str, Any]

_HEADERS: Final[Mapping[str, Mapping[str, Any]]] = {
    GROUP: {
        "group": {"type": "group"},
        "seq": {"type": "seq", "min": 1},
        "time_ms": {"type": "time_ms"},
        "user": {"type": "author"},
        "kind": {"type": "string"},
        "id": {"type": "id", "optional": True},
    },
    ACCOUNT: {
        "seq": {"type": "seq", "min": 1},
        "time_ms": {"type": "time_ms"},
        "kind": {"type": "string"},
        "id": {"type": "id", "optional": True},
    },
}
_FORMS: Final[Mapping[str, Mapping[str, Any]]] = {
    "hidden": {
        "does": "Stands in the place of an event that only admins may read.",
        "group": ["group", "seq", "time_ms", "kind"],
    },
    "erased": {
        "does": "Stands in the place of an event whose content was taken away.",
        "group": ["group", "seq", "time_ms", "user", "kind"],
        "account": ["seq", "time_ms", "kind"],
    },
}


# --- making it


def schema() -> dict[str, Any]:
    """Give the whole schema as plain values, always in the same order."""
    made = {
        "protocol": PROTOCOL,
        "types": _types(),
        "bounds": BOUNDS,
        "methods": {method: _method(cls) for method, cls in REQUESTS.items()},
        "headers": _HEADERS,
        "events": {
            stream: {kind: _event(cls) for kind, cls in kinds.items()}
            for stream, kinds in EVENTS.items()
        },
        "forms": _FORMS,
        "notifications": {
            name: {"does": does, "params": shown} for name, (does, shown) in NOTIFICATIONS.items()
        },
        "signals": {
            kind: {"does": does, "fields": _fields(fields)}
            for kind, (does, fields) in SIGNALS.items()
        },
        "codes": {code: {"details": _details(code)} for code in CODES},
        "reasons": REASONS,
        "content": attrs.asdict(CONTENT),
        "cards": {
            kind: {name: attrs.asdict(field) for name, field in fields.items()}
            for kind, fields in CARDS.items()
        },
        "card_fields": CARD_FIELDS,
    }
    plain: dict[str, Any] = json.loads(json.dumps(made))
    return plain


def as_json() -> str:
    """Give the content of ``proto/schema.json``."""
    return json.dumps(schema(), indent=2, ensure_ascii=False) + "\n"


def _types() -> dict[str, Any]:
    made: dict[str, Any] = {name: {"says": says} for name, says in SCALARS.items()}
    for name, (says, options) in OPTIONS.items():
        made[name] = {"says": says, "options": options or ROLES}
    for name, (says, fields) in SHAPES.items():
        made[name] = {"says": says, "fields": _fields(fields)}
    return made


def _fields(shown: Mapping[str, str]) -> dict[str, Any]:
    """Give fields in the form of the schema; a trailing ``?`` becomes ``optional``."""
    return {
        name: {"type": kind.removesuffix("?"), **({"optional": True} if kind[-1] == "?" else {})}
        for name, kind in shown.items()
    }


def _method(cls: type[Request]) -> dict[str, Any]:
    return {
        "does": _first_line(cls),
        "addressed": cls.addressed or "server",
        "min_role": None if cls.min_role is None else cls.min_role.label,
        "operator": cls.operator,
        "by_token": cls.method in BY_TOKEN,
        "takes_id": cls.takes_id,
        "cost": cls.cost,
        "params": _params(cls),
        "result": _fields(cls.result),
        "rules": [rule.name for rule in _rules(cls)],
        **({"scope": cls.scope} if issubclass(cls, FeedQuery) else {}),
    }


def _rules(cls: type[Request]) -> Sequence[Rule]:
    """Give what ``explain`` can show of a method, in the order in which it is checked."""
    if cls.operator:
        return ()
    if cls.addressed == ACCOUNT:
        return cls.rules
    # Of what goes to no group, only commands have rules: a direct chat has a stream as well.
    return rules_of(cls) if cls.addressed or issubclass(cls, Command) else ()


def _params(cls: type[Request]) -> dict[str, Any]:
    params: dict[str, Any] = {}
    names = {field.name for field in attrs.fields(cls)}  # type: ignore[arg-type]
    if cls.addressed in (GROUP, "group or account"):
        # A code names its group itself.
        needed = cls.addressed == GROUP and "code" not in names
        params["group"] = {"type": "group", "required": needed}
    for field in attrs.fields(cls):  # type: ignore[arg-type]
        spec: dict[str, Any] = {"type": field.metadata["type"]}
        spec["required"] = field.default is attrs.NOTHING
        if not spec["required"]:
            spec["default"] = field.default
        spec |= {key: value for key, value in field.metadata.items() if key not in ("type", CHECK)}
        params[field.alias or field.name] = spec
    if cls.takes_id:
        params["id"] = {"type": "id", "required": False}
    return params


def _event(cls: type[Event]) -> dict[str, Any]:
    hints = typing.get_type_hints(cls)
    return {
        "does": _first_line(cls),
        "audience": Audience(cls.audience).name.lower(),
        "countable": cls.countable,
        "fields": {
            field.name: {
                "type": field.metadata.get("type") or _type_of(hints[field.name]),
                "default": default_of(field),
            }
            for field in attrs.fields(cls)  # type: ignore[arg-type]
        },
    }


def _type_of(hint: Any) -> str:
    """Give the published type of an annotation; that of an optional one without its None."""
    origin, inside = typing.get_origin(hint), typing.get_args(hint)
    if origin in (typing.Union, types.UnionType):
        (hint,) = (item for item in inside if item is not type(None))
        return _type_of(hint)
    if origin is tuple:
        return f"list[{_type_of(inside[0])}]"
    if origin is not None and issubclass(origin, Mapping):
        return "map"
    return {str: "string", int: "integer", bool: "boolean"}[hint]


def _details(code: str) -> dict[str, Any]:
    always = {name: {"type": DETAILS[name]} for name in CODES[code]}
    more = MORE_DETAILS.get(code, {})
    return always | {name: {"type": kind, "optional": True} for name, kind in more.items()}


def _first_line(cls: type) -> str:
    return (cls.__doc__ or "").strip().partition("\n")[0]


# --- checking against it


def problems(what: str, value: Any, *, tolerant: bool = False) -> list[str]:
    """Say what is wrong with a decoded value of the protocol, one line each; [] for nothing.

    ``what`` is ``result METHOD``, ``params METHOD``, ``notification NAME``, or a type of the
    schema: ``event``, ``account_event``, ``error``, ``list[user]``. With ``tolerant``, what a
    newer server may send is no problem: fields, kinds, codes and words that are not known here.
    """
    checker = _Checker(_published(), tolerant)
    section, _, name = what.partition(" ")
    if section in ("result", "params") and name:
        method = checker.schema["methods"].get(name)
        assert method is not None, f"there is no method {name}"
        return list(checker.fields(method[section], value, name))
    if section == "notification" and name:
        notification = checker.schema["notifications"].get(name)
        if notification is None:
            return [] if tolerant else [f"there is no notification {name}"]
        return list(checker.typed(notification["params"], value, name))
    return list(checker.typed(what, value, what))


@cache
def _published() -> Schema:
    return schema()


@attrs.frozen
class _Checker:
    """Finds what is wrong with values; every method gives lines that begin with ``path``."""

    schema: Schema
    tolerant: bool

    def typed(self, shown: str, value: Any, path: str) -> Iterator[str]:
        """Check a value of a type."""
        alternatives = _alternatives(shown)
        if len(alternatives) > 1:
            found = [list(self.typed(one, value, path)) for one in alternatives]
            # What fits in part says best what is wrong with the rest.
            begun = [lines for lines in found if not any(_is_about(path, line) for line in lines)]
            yield from min(begun, key=len) if begun else [_wrong(path, shown, value)]
        elif shown.startswith('"'):
            if value != shown.strip('"'):
                yield _wrong(path, shown, value)
        elif shown.startswith("list["):
            if not isinstance(value, list | tuple):
                yield _wrong(path, shown, value)
                return
            for index, item in enumerate(value):
                yield from self.typed(shown[5:-1], item, f"{path}[{index}]")
        elif shown.startswith("map["):
            if not isinstance(value, dict):
                yield _wrong(path, shown, value)
                return
            key_type, value_type = shown[4:-1].split(", ", 1)
            for key, item in value.items():
                yield from self.typed(key_type, key, f"{path}, a key")
                yield from self.typed(value_type, item, f"{path}.{key}")
        else:
            yield from self._named(shown, value, path)

    def _named(self, name: str, value: Any, path: str) -> Iterator[str]:
        word = self.schema["types"].get(name)
        assert word is not None, f"there is no type {name}"
        if "fields" in word:
            yield from self.fields(word["fields"], value, path)
        elif "options" in word:
            yield from self._one_of(word["options"], value, path)
        elif name in ("error_code", "reason"):
            yield from self._one_of(self.schema[name.removeprefix("error_") + "s"], value, path)
        elif name in ("event", "account_event"):
            yield from self._event(GROUP if name == "event" else ACCOUNT, value, path)
        elif name == "signal":
            header = {"group": {"type": "group"}, "user": {"type": "user"}}
            yield from self._by("kind", self.schema["signals"], "fields", header, value, path)
        elif name == "error":
            header = {"message": {"type": "string"}}
            yield from self._by("code", self.schema["codes"], "details", header, value, path)
        elif not TESTS[name](value):
            yield _wrong(path, name, value)

    def _one_of(self, words: Any, value: Any, path: str) -> Iterator[str]:
        if type(value) is not str or not (self.tolerant or value in words):
            yield _wrong(path, f"one of {', '.join(words)}", value)

    def _event(self, stream: str, value: Any, path: str) -> Iterator[str]:
        header = self.schema["headers"][stream]
        kind = value.get("kind") if isinstance(value, dict) else None
        form = self.schema["forms"].get(kind, {}).get(stream)
        if form is not None:
            yield from self.fields({name: header[name] for name in form}, value, path)
        else:
            yield from self._by(
                "kind", self.schema["events"][stream], "fields", header, value, path
            )

    def _by(
        self,
        key: str,
        known: Mapping[str, Any],
        part: str,
        header: Mapping[str, Any],
        value: Any,
        path: str,
    ) -> Iterator[str]:
        """Check a map whose fields depend on what it holds under ``key``."""
        name = value.get(key) if isinstance(value, dict) else None
        spec = known.get(name) if type(name) is str else None
        if spec is None and not (self.tolerant and type(name) is str):
            yield _wrong(path, f"a map with a known {key}", value)
            return
        own = {} if spec is None else spec[part]
        yield from self.fields({key: {"type": "string"}, **header, **own}, value, path)

    def fields(self, specs: Mapping[str, Any], value: Any, path: str) -> Iterator[str]:
        """Check a map with known fields."""
        if not isinstance(value, dict):
            yield _wrong(path, "a map", value)
            return
        for name, spec in specs.items():
            if name in value:
                yield from self.typed(spec["type"], value[name], f"{path}.{name}")
                yield from self._bounds(spec, value[name], f"{path}.{name}")
            elif not (spec.get("optional") or "default" in spec or spec.get("required") is False):
                yield f"{path}.{name}: is missing"
        if not self.tolerant:
            yield from (f"{path}.{name}: is not published" for name in value.keys() - specs.keys())

    def _bounds(self, spec: Mapping[str, Any], value: Any, path: str) -> Iterator[str]:
        sized = len(value) if isinstance(value, str | list | dict) else value
        if type(sized) is int and not spec.get("min", sized) <= sized <= spec.get("max", sized):
            yield f"{path}: expected {spec.get('min', 0)} to {spec.get('max', 'any')}, got {sized}"
        if value not in spec.get("options", (value,)):
            yield _wrong(path, f"one of {', '.join(spec['options'])}", value)


def _alternatives(shown: str) -> list[str]:
    """Split ``a or b``, but not inside brackets."""
    parts, depth = [""], 0
    for word in shown.split(" "):
        depth += word.count("[") - word.count("]")
        if word == "or" and depth == 0:
            parts.append("")
        else:
            parts[-1] = f"{parts[-1]} {word}".strip()
    return parts


def _is_about(path: str, line: str) -> bool:
    return line.startswith(f"{path}: ")


def _wrong(path: str, expected: str, value: Any) -> str:
    shown = repr(value)
    return f"{path}: expected {expected}, got {shown if len(shown) <= 60 else shown[:60] + '...'}"


def main() -> None:
    """Write the schema into the directory that is named."""
    if len(sys.argv) != 2:
        sys.exit(f"usage: python -m groupd.testing.schema DIRECTORY   (writes {FILE_NAME})")
    (Path(sys.argv[1]) / FILE_NAME).write_text(as_json(), "utf-8")


if __name__ == "__main__":
    main()
