"""``/v1/openapi.json``: the host API described for tools, from the published schema.

One path for each method; shapes and limits are those of ``proto/schema.json``.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, Final

import orjson

from groupd.config import CONTENT
from groupd.domain.catalog import REQUESTS
from groupd.domain.feeding import CONSUMER_NAME_MAX
from groupd.domain.fields import INT_MAX
from groupd.testing.schema import schema
from groupd.version import VERSION
from groupd.web.callers import PROFILE, SYSTEM
from groupd.web.own import OWN, OwnCall

_LEFT_OUT: Final = ("hello",)
_BASIC: Final[Mapping[str, Mapping[str, Any]]] = {
    "any": {},
    "nil": {"type": "null"},
    "boolean": {"type": "boolean"},
    "integer": {"type": "integer", "minimum": -INT_MAX, "maximum": INT_MAX},
    "number": {"type": "number"},
    "string": {"type": "string"},
    "text": {"type": "string"},
    "enum": {"type": "string"},
    "seq": {"type": "integer", "minimum": 0, "maximum": INT_MAX},
    "time_ms": {"type": "integer", "minimum": 0, "maximum": INT_MAX},
    "group": {"type": "string", "maxLength": 128},
    "user": {"type": "string", "minLength": 1, "maxLength": CONTENT.user_max_bytes},
    "author": {"type": "string"},
    "id": {"type": "string", "format": "uuid", "description": "A UUIDv7, the same for a retry."},
    "consumer_name": {"type": "string", "minLength": 1, "maxLength": CONSUMER_NAME_MAX},
    "code": {"type": "string"},
    "time_zone": {"type": "string"},
    "map": {"type": "object"},
    "card": {"type": "object"},
    "condition": {"type": "object"},
}
_LIST: Final = re.compile(r"list\[(.+)\]")


def document() -> bytes:
    """Give the document as JSON."""
    return orjson.dumps(as_plain())


def as_plain() -> dict[str, Any]:
    """Give the document as plain values, always in the same order."""
    published = schema()
    types = _Types(published["types"])
    paths = {
        f"/v1/{name}": {"post": _operation(name, method, types)}
        for name, method in published["methods"].items()
        if not method["operator"] and name not in _LEFT_OUT
    }
    paths |= {f"/v1/{name}": {"post": _own_operation(name, call)} for name, call in OWN.items()}
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "groupd host API",
            "version": VERSION,
            "description": "Every method of groupd's protocol, for a backend with a service key.",
        },
        "security": [{"serviceKey": []}],
        "paths": paths,
        "components": {
            "securitySchemes": {
                "serviceKey": {
                    "type": "http",
                    "scheme": "bearer",
                    "description": "gk.NAME.SECRET, made by `groupd key make`.",
                }
            },
            "schemas": {
                "As": _as_schema(),
                "Error": _error_schema(published["codes"]),
                **types.schemas(),
            },
            "responses": {
                "Refused": {
                    "description": "Nothing has changed; `code` says why.",
                    "content": {"application/json": {"schema": _ref("Error")}},
                }
            },
        },
    }


class _Types:
    """The types of the published schema, as JSON Schema."""

    def __init__(self, published: Mapping[str, Mapping[str, Any]]) -> None:
        self._published = published

    def schemas(self) -> dict[str, Any]:
        """Give those that are described as components."""
        return {name: self._component(name) for name in self._published if name not in _BASIC}

    def of(self, shown: str) -> dict[str, Any]:
        """Give the schema of a type as it is written in the published one."""
        alternatives = [part.strip() for part in shown.split(" or ")]
        if len(alternatives) > 1:
            return {"anyOf": [self.of(one) for one in alternatives]}
        if shown.startswith('"'):
            return {"const": shown.strip('"')}
        listed = _LIST.fullmatch(shown)
        if listed:
            return {"type": "array", "items": self.of(listed[1])}
        if shown in _BASIC:
            return dict(_BASIC[shown])
        return _ref(shown) if shown in self._published else {}

    def _component(self, name: str) -> dict[str, Any]:
        published = self._published[name]
        made: dict[str, Any] = {"description": published["says"]}
        if "options" in published:
            return made | {"type": "string", "enum": list(published["options"])}
        if "fields" in published:
            return made | self.object(published["fields"])
        return made | {"type": "object"}

    def object(self, fields: Mapping[str, Mapping[str, Any]]) -> dict[str, Any]:
        """Give the schema of an answer's fields; clients pass over those that they do not know."""
        required = [name for name, field in fields.items() if not field.get("optional")]
        return {
            "type": "object",
            "properties": {name: self.of(field["type"]) for name, field in fields.items()},
            **({"required": required} if required else {}),
        }

    def parameter(self, spec: Mapping[str, Any]) -> dict[str, Any]:
        """Give the schema of a parameter, with its bounds."""
        made = self.of(spec["type"])
        kind = made.get("type")
        low, high = {
            "string": ("minLength", "maxLength"),
            "array": ("minItems", "maxItems"),
        }.get(str(kind), ("minimum", "maximum"))
        if "anyOf" not in made and "$ref" not in made:
            if "min" in spec:
                made[low] = spec["min"]
            if "max" in spec:
                made[high] = spec["max"]
        if "options" in spec:
            made["enum"] = list(spec["options"])
        if not spec.get("required"):
            # Null is as good as not given.
            made = {"anyOf": [made, {"type": "null"}]}
        return made


def _operation(name: str, method: Mapping[str, Any], types: _Types) -> dict[str, Any]:
    params = method["params"]
    required = ["as", *(key for key, spec in params.items() if spec.get("required"))]
    if name == "ping":
        required.remove("as")
    body = {
        "type": "object",
        "properties": {
            "as": _ref("As"),
            **{key: types.parameter(spec) for key, spec in params.items()},
        },
        **({"required": required} if required else {}),
    }
    by_system = " Also as the system." if REQUESTS[name].by_system else ""
    return _post(name, f"{method['does']}{by_system}", body, types.object(method["result"]))


def _own_operation(name: str, call: OwnCall) -> dict[str, Any]:
    body = {
        "type": "object",
        "properties": {
            key: dict(spec) if key in call.required else {"anyOf": [spec, {"type": "null"}]}
            for key, spec in call.params.items()
        },
        **({"required": list(call.required)} if call.required else {}),
    }
    result = {
        "type": "object",
        "properties": dict(call.result),
        **({"required": list(call.always)} if call.always else {}),
    }
    return _post(name, call.does, body, result)


def _post(
    name: str, does: str, body: Mapping[str, Any], result: Mapping[str, Any]
) -> dict[str, Any]:
    return {
        "operationId": name,
        "summary": does.replace("``", "`"),
        "requestBody": {"required": True, "content": {"application/json": {"schema": body}}},
        "responses": {
            "200": {
                "description": "It is done, and durable.",
                "content": {"application/json": {"schema": result}},
            },
            "default": {"$ref": "#/components/responses/Refused"},
        },
    }


def _as_schema() -> dict[str, Any]:
    properties: dict[str, Any] = {"user": dict(_BASIC["user"])}
    properties |= {name: {"type": ["string", "null"]} for name in PROFILE}
    properties["birth_year"] = {"type": ["integer", "null"]}
    properties["claims"] = {"type": ["object", "null"]}
    return {
        "description": f'A user id, the same with a profile, or "{SYSTEM}" for the host itself.',
        "anyOf": [
            dict(_BASIC["user"]),
            {
                "type": "object",
                "properties": properties,
                "required": ["user"],
                "additionalProperties": False,
            },
        ],
    }


def _error_schema(codes: Mapping[str, Any]) -> dict[str, Any]:
    error = {
        "type": "object",
        "properties": {
            "code": {"type": "string", "enum": list(codes)},
            "message": {"type": "string"},
        },
        "required": ["code", "message"],
    }
    return {"type": "object", "properties": {"error": error}, "required": ["error"]}


def _ref(name: str) -> dict[str, Any]:
    return {"$ref": f"#/components/schemas/{name}"}
