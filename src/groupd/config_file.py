"""Reads a ``Config`` from a TOML file, the environment and the command line; the last word wins.

Strict: nothing is coerced, an unknown key is refused, and all that is wrong is reported at once,
one line each, with where it was written, its path and what was expected there.

A setting's variable is its path in capitals after ``GROUPD_``, with ``__`` between the levels:
``GROUPD_LISTEN`` (items separated by commas), ``GROUPD_LIMITS__FRAME_MAX_BYTES``. The section
``auth`` may be written with one underscore: ``GROUPD_AUTH_SECRET``.
"""

from __future__ import annotations

import difflib
import re
import tomllib
from collections.abc import Callable, Iterator, Mapping
from functools import partial
from pathlib import Path
from typing import Any, Final, NoReturn, TypeAlias, get_args, get_origin

import attrs
import cattrs
from cattrs.errors import (
    ClassValidationError,
    ForbiddenExtraKeysError,
    IterableValidationError,
)
from cattrs.gen import make_dict_structure_fn, override

from groupd.config import (
    PLANS,
    AuthConfig,
    ConditionsConfig,
    Config,
    HostConfig,
    IssuerConfig,
    Limits,
    MetricsConfig,
    Plan,
    TlsConfig,
    WebConfig,
    WebhookConfig,
    WordsConfig,
)
from groupd.errors import ConfigError

PREFIX: Final = "GROUPD_"

_NOT_SETTINGS: Final = re.compile(r"CONFIG|TOKEN|PURE|(SERVICE_(HOST|PORT)|PORT)(_.*)?")
"""Variables of commands and of ``groupd.native``, and those that Kubernetes makes for a service
named groupd."""
_FLAGS: Final[Mapping[str, bool]] = {"true": True, "1": True, "false": False, "0": False}

_Path: TypeAlias = "tuple[str | int, ...]"


class _Wrong(Exception):
    """A value that is not what its setting expects."""


@attrs.define
class _Layers:
    """The settings so far: nested tables, and who said what."""

    tables: dict[str, Any]
    origins: dict[_Path, str] = attrs.field(factory=dict)
    problems: list[str] = attrs.field(factory=list)

    def add(self, tables: Mapping[str, Any], origin: str, at: _Path = ()) -> None:
        """Lay tables over the earlier ones; a None says nothing."""
        for key, value in tables.items():
            path = (*at, key)
            if isinstance(value, Mapping):
                self.origins.setdefault(path, origin)
                inner = self._table(at).setdefault(key, {})
                if isinstance(inner, dict):
                    self.add(value, origin, path)
                    continue
            if value is not None:
                self.origins[path] = origin
                self._table(at)[key] = value

    def origin(self, path: _Path) -> str:
        """Say who wrote a setting, or the nearest table around it."""
        while path:
            if path in self.origins:
                return self.origins[path]
            path = path[:-1]
        return "configuration"

    def _table(self, at: _Path) -> dict[Any, Any]:
        table = self.tables
        for key in at:
            table = table[key]  # type: ignore[index]
        return table


@attrs.frozen
class Setting:
    """One setting of a configuration."""

    path: tuple[str, ...]
    """The tables that it stands in, and its name: ``("plans", "school", "members_max")``."""
    value: Any
    origin: str | None
    """Who has said so: a file, a variable or ``command line``; None for the default."""
    is_secret: bool


@attrs.frozen
class Written:
    """A configuration, and who has written what of it."""

    config: Config
    origins: Mapping[_Path, str]

    def settings(self) -> Iterator[Setting]:
        """Give every setting; those of a table follow one another."""
        return self._settings_of(self.config, ())

    def _settings_of(self, table: Any, at: tuple[str, ...]) -> Iterator[Setting]:
        if isinstance(table, Mapping):
            entries = [(key, value, True) for key, value in table.items()]
        else:
            fields = attrs.fields(type(table))
            entries = [(each.name, getattr(table, each.name), each.repr) for each in fields]
        # In TOML what is not in a table stands before the first.
        for name, value, is_shown in sorted(entries, key=lambda entry: _is_table(entry[1])):
            path = (*at, name)
            if _is_table(value):
                yield from self._settings_of(value, path)
            else:
                yield Setting(path, value, self.origins.get(path), not is_shown)


def _is_table(value: object) -> bool:
    return isinstance(value, Mapping) or attrs.has(type(value))


def load_config(
    path: Path | None, environ: Mapping[str, str], overrides: Mapping[str, Any]
) -> Config:
    """Give what ``read_config`` does, without who has written it."""
    return read_config(path, environ, overrides).config


def read_config(
    path: Path | None, environ: Mapping[str, str], overrides: Mapping[str, Any]
) -> Written:
    """Give the configuration of a file, the environment and the command line, in this order.

    ``overrides`` is nested like the file; what is None in it was not given. A table of ``plans``
    changes the ready-made plan of that name, or makes a new one from the defaults.

    Raises ConfigError with one line for each thing that is wrong.
    """
    layers = _Layers({"plans": {name: attrs.asdict(plan) for name, plan in PLANS.items()}})
    if path is not None:
        layers.add(_read_toml(path), str(path))
    _add_environment(layers, environ)
    layers.add(overrides, "command line")
    config = None
    try:
        config = _converter().structure(layers.tables, Config)
    except (ClassValidationError, IterableValidationError) as error:
        for at, cause in _leaves(error, ()):
            layers.problems.append(f"{layers.origin(at)}: {_describe(cause, at)}")
    if config is None or layers.problems:
        raise ConfigError("\n".join(layers.problems))
    return Written(config, layers.origins)


def _read_toml(path: Path) -> dict[str, Any]:
    try:
        return tomllib.loads(path.read_text("utf-8"))
    except OSError as error:
        raise ConfigError(f"{path}: {error.strerror}") from error
    except ValueError as error:  # TOMLDecodeError and UnicodeDecodeError are both of this kind.
        raise ConfigError(f"{path}: not TOML: {error}") from None


# --- the environment


def _add_environment(layers: _Layers, environ: Mapping[str, str]) -> None:
    for variable in sorted(environ):
        if not variable.startswith(PREFIX) or _NOT_SETTINGS.fullmatch(variable[len(PREFIX) :]):
            continue
        path = _path_of(variable)
        expected = _type_at(path)
        if expected is None:
            layers.problems.append(_unknown_variable(variable))
            continue
        try:
            value = _parse(environ[variable], expected)
        except _Wrong as wrong:
            layers.problems.append(f"{variable}: {wrong} @ {_shown_path(path)}")
            continue
        for key in reversed(path):
            value = {key: value}
        layers.add(value, variable)


def _path_of(variable: str) -> tuple[str, ...]:
    name = variable[len(PREFIX) :].lower()
    if name.startswith("auth_") and not name.startswith("auth__"):
        name = name.replace("_", "__", 1)
    return tuple(name.split("__"))


def _type_at(path: tuple[str, ...]) -> Any:
    """Give the type of the setting at a path, or None where there is no such setting."""
    expected: Any = Config
    for key in path:
        if attrs.has(expected):
            fields = attrs.fields_dict(attrs.resolve_types(expected))
            expected = fields[key].type if key in fields else None
        elif get_origin(expected) is Mapping:
            expected = get_args(expected)[1]
        else:
            return None
    is_table = attrs.has(expected) or get_origin(expected) is Mapping
    return None if is_table else expected


def _unknown_variable(variable: str) -> str:
    names = [PREFIX + "__".join(path).upper() for path in _settings(Config)]
    names += [name.replace("AUTH__", "AUTH_") for name in names if "AUTH__" in name]
    return f"{variable}: no such setting{_did_you_mean(variable, names)}"


def _settings(cls: type[attrs.AttrsInstance]) -> Iterator[tuple[str, ...]]:
    for field in attrs.fields(attrs.resolve_types(cls)):
        if field.type is not None and attrs.has(field.type):
            yield from ((field.name, *rest) for rest in _settings(field.type))
        else:
            yield (field.name,)


def _parse(text: str, expected: Any) -> Any:
    if expected is int:
        if not re.fullmatch(r"-?[0-9]{1,18}", text):
            _expected("int", text)
        return int(text)
    if expected is bool:
        if text.lower() not in _FLAGS:
            _expected("true or false", text)
        return _FLAGS[text.lower()]
    if get_origin(expected) is tuple:
        return [item for item in (part.strip() for part in text.split(",")) if item]
    return text


# --- strict structuring


def _converter() -> cattrs.Converter:
    converter = cattrs.Converter(forbid_extra_keys=True, detailed_validation=True)
    for scalar in (int, str, bool):
        converter.register_structure_hook(scalar, partial(_scalar, scalar))
    converter.register_structure_hook_func(
        partial(_is_made_from, tuple), partial(_array, converter)
    )
    converter.register_structure_hook_func(
        partial(_is_made_from, Mapping), partial(_mapping, converter)
    )
    for cls in (
        *(Plan, Limits, IssuerConfig, AuthConfig, TlsConfig, MetricsConfig),
        *(ConditionsConfig, HostConfig, WebConfig, WebhookConfig, WordsConfig, Config),
    ):
        converter.register_structure_hook(cls, _table_hook(cls, converter))
    return converter


def _is_made_from(origin: object, expected: Any) -> bool:
    return get_origin(expected) is origin


def _scalar(expected: type, value: object, _: object) -> Any:
    if type(value) is not expected:
        _expected(expected.__name__, value)
    return value


def _array(converter: cattrs.Converter, value: object, expected: Any) -> tuple[Any, ...]:
    if not isinstance(value, list | tuple):
        _expected("array", value)
    inner = get_args(expected)[0]
    return tuple(converter.structure(list(value), list[inner]))  # type: ignore[valid-type]


def _mapping(converter: cattrs.Converter, value: object, expected: Any) -> dict[str, Any]:
    if not isinstance(value, dict):
        _expected("table", value)
    inner = get_args(expected)[1]
    return converter.structure(value, dict[str, inner])  # type: ignore[valid-type]


def _table_hook(
    cls: type[attrs.AttrsInstance], converter: cattrs.Converter
) -> Callable[[Any, Any], Any]:
    """Make the hook of one class; it validates field by field, so that none hides another."""
    fields = attrs.fields(attrs.resolve_types(cls))
    overrides = {
        field.name: override(struct_hook=partial(_field, converter, field)) for field in fields
    }
    structure = make_dict_structure_fn(cls, converter, **overrides)  # type: ignore[arg-type]

    def hook(value: object, expected: Any) -> Any:
        if not isinstance(value, dict):
            _expected("table", value)
        return structure(value, expected)

    return hook


def _field(
    converter: cattrs.Converter, field: attrs.Attribute[Any], value: object, expected: Any
) -> Any:
    try:
        checked = converter.structure(value, expected)
    except _Wrong as wrong:
        if not field.repr:
            raise _Wrong(str(wrong).partition(", got ")[0]) from None
        raise
    if field.validator is not None:
        field.validator(None, field, checked)
    return checked


def _expected(what: str, value: object) -> NoReturn:
    if isinstance(value, Mapping):
        shown = "a table"
    elif isinstance(value, bool):
        shown = str(value).lower()
    elif isinstance(value, str):
        shown = '"' + repr(value)[1:-1] + '"'
    else:
        shown = str(value)
    raise _Wrong(f"expected {what}, got {shown}")


# --- what went wrong


def _leaves(error: BaseException, at: _Path) -> Iterator[tuple[_Path, BaseException]]:
    """Give each single problem in a tree of them, with its path."""
    if isinstance(error, ClassValidationError):
        for cause, field in error.group_exceptions()[0]:
            yield from _leaves(cause, (*at, field.name))
        for cause in error.group_exceptions()[1]:
            # What a class as a whole refuses begins with the field at fault, where there is one.
            field_name = str(cause).partition(":")[0]
            is_field = field_name in attrs.fields_dict(error.cl)
            yield from _leaves(cause, (*at, field_name) if is_field else at)
    elif isinstance(error, IterableValidationError):
        for cause, item in error.group_exceptions()[0]:
            yield from _leaves(cause, (*at, item.index))
    elif isinstance(error, ForbiddenExtraKeysError):
        for key in sorted(error.extra_fields):
            yield (*at, key), ForbiddenExtraKeysError("", error.cl, {key})
    else:
        yield at, error


def _describe(cause: BaseException, at: _Path) -> str:
    if isinstance(cause, ForbiddenExtraKeysError):
        known = [field.name for field in attrs.fields(cause.cl)]
        return f"no such setting @ {_shown_path(at)}{_did_you_mean(str(at[-1]), known)}"
    if isinstance(cause, _Wrong):
        what, got, rest = str(cause).partition(", got ")
        return f"{what} @ {_shown_path(at)}{got}{rest}"
    # The checks of the classes name their field too; the path says it better.
    what = str(cause).removeprefix(f"{at[-1]}: " if at else "")
    return f"{what} @ {_shown_path(at)}"


def _did_you_mean(word: str, known: list[str]) -> str:
    close = difflib.get_close_matches(word, known, n=1)
    return f", did you mean {close[0]}?" if close else ""


def _shown_path(path: _Path) -> str:
    parts = (f"[{key}]" if isinstance(key, int) else f".{key}" for key in path)
    return "$" + "".join(parts)
