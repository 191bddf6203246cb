"""``groupd config check`` and ``print``: a configuration, looked at before a server has it."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Final

import attrs
import orjson
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from groupd.auth import TokenVerifier
from groupd.config_file import Setting, Written, read_config
from groupd.data_files import signing_key
from groupd.server.certificates import server_context
from groupd.server.word_files import read_words

SECRET_SHOWN: Final = "set, and not shown"
_BARE_KEY: Final = re.compile(r"[A-Za-z0-9_-]+")


def check(file: Path | None, environ: Mapping[str, str], console: Console) -> None:
    """Say that a server could use a file, or raise ConfigError with all that is wrong.

    Without a file, that is what the environment and the defaults say. Keys, certificates and word
    lists are read, too. Where no key is named, a server has a secret of its own.
    """
    written = read_config(file, environ, {})
    config = written.config
    if config.auth.has_own_keys or config.auth.issuers:
        TokenVerifier(config.auth, token_max_bytes=config.limits.frame_before_hello_max_bytes)
    if config.tls.certificate is not None:
        server_context(config.tls)
    read_words(config.words)
    if config.host.conditions.secret_file is not None:
        signing_key(Path(config.host.conditions.secret_file))
    said = sum(setting.origin is not None for setting in written.settings())
    defaults = sum(setting.origin is None for setting in written.settings())
    what = "What the environment says" if file is None else str(file)
    console.print(
        f"{escape(what)} is in order: {said} settings, and {defaults} defaults.",
        highlight=False,
        soft_wrap=True,
    )


def show(file: Path | None, environ: Mapping[str, str], console: Console) -> None:
    """Print every setting with its value and where it comes from."""
    written = read_config(file, environ, {})
    if console.is_terminal:
        console.print(_table(written))
    else:
        console.file.write(as_toml(written))


def _table(written: Written) -> Table:
    table = Table("setting", "value", "from")
    for setting in written.settings():
        name = ".".join(map(_key, setting.path))
        style = None if setting.origin is None else "bold"
        table.add_row(escape(name), escape(_shown(setting)), escape(_origin(setting)), style=style)
    return table


def as_toml(written: Written) -> str:
    """Write a configuration as a file that gives the same again, but for secrets.

    Each line says behind it where that comes from. What is not set, or must not be shown, is a
    comment; so is an array of tables with secrets in them, and the first lines say which.
    """
    return "".join(f"{line}\n" for line in _lines(written))


def _lines(written: Written) -> Iterator[str]:
    secrets = [".".join(map(_key, each.path)) for each in written.settings() if _holds_secret(each)]
    if secrets:
        yield "# Secrets are not shown. Fill them in, and take the # away, in the lines of:"
        yield from (f"#   {name}" for name in secrets)
        yield ""
    table: tuple[str, ...] = ()
    for setting in written.settings():
        *tables, name = setting.path
        if tuple(tables) != table:
            table = tuple(tables)
            yield f"\n[{'.'.join(map(_key, table))}]"
        origin = _origin(setting)
        if setting.value is None:
            yield f"# {name} is {_shown(setting)}  # {origin}"
        elif setting.is_secret:
            yield f"# {_key(name)} = {_value(SECRET_SHOWN)}  # {origin}"
        elif _holds_secret(setting):
            yield f"# {_key(name)} = {_shown(setting)}  # {origin}"
        else:
            yield f"{_key(name)} = {_shown(setting)}  # {origin}"


def _holds_secret(setting: Setting) -> bool:
    """Say whether a value is a secret, or a table of an array that has one."""
    if setting.value is None or setting.is_secret:
        return setting.value is not None
    tables = setting.value if isinstance(setting.value, tuple) else ()
    return any(
        not field.repr and bool(getattr(table, field.name))
        for table in tables
        if attrs.has(type(table))
        for field in attrs.fields(type(table))
    )


def _origin(setting: Setting) -> str:
    origin = "default" if setting.origin is None else setting.origin
    # The name of a file may hold anything, and this goes into a line of its own.
    return origin if origin.isprintable() else ascii(origin)


def _shown(setting: Setting) -> str:
    if setting.value is None:
        return "not set"
    return SECRET_SHOWN if setting.is_secret else _value(setting.value)


def _value(value: Any) -> str:
    """Write a value as TOML."""
    if isinstance(value, tuple):
        return f"[{', '.join(map(_value, value))}]"
    if isinstance(value, str):
        # JSON's strings are TOML's, but for one character that TOML wants escaped.
        return orjson.dumps(value).decode().replace("\x7f", "\\u007f")
    if isinstance(value, Mapping):
        return _inline(value)
    if attrs.has(type(value)):
        return _inline({field.name: _field(value, field) for field in attrs.fields(type(value))})
    assert isinstance(value, bool | int), value
    return str(value).lower()


def _inline(table: Mapping[str, Any]) -> str:
    given = {name: value for name, value in table.items() if value is not None}
    return f"{{{', '.join(f'{_key(name)} = {_value(value)}' for name, value in given.items())}}}"


def _field(table: Any, field: attrs.Attribute[Any]) -> Any:
    """Give what a table of an array says: of a secret only that there is one."""
    value = getattr(table, field.name)
    return SECRET_SHOWN if value and not field.repr else value


def _key(name: str) -> str:
    return name if _BARE_KEY.fullmatch(name) else _value(name)
