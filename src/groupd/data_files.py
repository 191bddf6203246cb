"""The small files of a data directory: the secret for tokens, keys of links, keys of services."""

from __future__ import annotations

import json
import os
import secrets
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Final

import structlog
import trio

from groupd.config import Config, key_of
from groupd.domain.links import LinkKeys
from groupd.errors import ConfigError
from groupd.web.keys import SECRET_BYTES, KeyRing, ServiceKey, as_file, keys_of, make_key

log = structlog.get_logger()

SECRET_FILE: Final = "secret"
LINK_KEYS_FILE: Final = "link-keys.json"
SERVICE_KEYS_FILE: Final = "service-keys.json"
SERVICE_KEYS_EVERY_S: Final = 0.5
"""How often the file of the service keys is looked at."""


def write_private(path: Path, text: str) -> None:
    """Write a file that only its owner can read, whole or not at all.

    Its directory is made where there is none. Raises ConfigError where it cannot be written.
    """
    temporary = path.with_name(f"{path.name}.{secrets.token_hex(4)}")
    try:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(descriptor, "w") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        temporary.rename(path)
    except OSError as error:
        with suppress(OSError):
            temporary.unlink()
        raise ConfigError(f"{path} cannot be written: {error.strerror}") from error


def _read(path: Path) -> str | None:
    """Read a file, or None where there is none. Raises ConfigError where it cannot be read."""
    try:
        return path.read_text()
    except (FileNotFoundError, NotADirectoryError):
        return None
    except OSError as error:
        raise ConfigError(f"{path} cannot be read: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise ConfigError(f"{path}: expected text, got other bytes") from error


def has_secret(data: Path) -> bool:
    """Say whether a data directory has a secret for tokens; raises ConfigError as reading it."""
    return _read(data / SECRET_FILE) is not None


def signing_key(path: Path) -> bytes:
    """Read the secret that questions to the host are signed with; raises ConfigError."""
    text = _read(path)
    if text is None:
        raise ConfigError(f"{path}: there is no such file; it holds whsec_ and a secret in base64")
    key = key_of(text.strip())
    if key is None:
        raise ConfigError(f"{path}: expected whsec_ and 24 to 64 bytes in base64")
    return key


def auth_secret(config: Config, *, make: bool) -> str:
    """Give the secret that tokens are signed with: the configured one, or the data directory's.

    With ``make`` a missing one is made. Raises ConfigError where there is none, or it cannot be
    read or made.
    """
    if config.auth.secret is not None:
        return config.auth.secret
    path = Path(config.data) / SECRET_FILE
    secret = _read(path)
    if secret is None:
        if not make:
            raise ConfigError(
                f"{path}: there is no secret; start the server once, set GROUPD_AUTH_SECRET, "
                "or name the server's directory with --data"
            )
        secret = secrets.token_urlsafe(48)
        write_private(path, secret)
    return secret.strip()


def link_keys(directory: Path | None) -> LinkKeys:
    """Give the keys for share links: the data directory's, made at the first start.

    Without a directory they live as long as the process. Raises ConfigError where they cannot be
    read or made.
    """
    if directory is None:
        return LinkKeys({"memory": secrets.token_bytes(32)}, "memory")
    path = directory / LINK_KEYS_FILE
    text = _read(path)
    if text is None:
        made = {"current": "k1", "keys": {"k1": secrets.token_hex(32)}}
        text = json.dumps(made, indent=2)
        write_private(path, text)
    try:
        plain = json.loads(text)
        keys = {name: bytes.fromhex(key) for name, key in plain["keys"].items()}
        return LinkKeys(keys, str(plain["current"]))
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise ConfigError(f"{path}: expected {{current, keys}} with hex keys: {error}") from None


def service_keys(data: Path) -> list[ServiceKey]:
    """Read the service keys of a data directory; none where none was made yet.

    Raises ConfigError.
    """
    path = data / SERVICE_KEYS_FILE
    try:
        return keys_of(path.read_bytes())
    except FileNotFoundError:
        return []
    except OSError as error:
        raise ConfigError(f"{path} cannot be read: {error.strerror}") from error


def add_service_key(config: Config, name: str, *, tenant: str, scopes: Sequence[str]) -> str:
    """Make a service key, and give what is shown of it once.

    A running server takes it within a second. Raises ConfigError where there is one of that name.
    """
    data = Path(config.data)
    keys = service_keys(data)
    if any(key.name == name for key in keys):
        raise ConfigError(f"there is a key {name!r}; `groupd key remove {name}` takes it away")
    secret = secrets.token_urlsafe(SECRET_BYTES)
    key, shown = make_key(name, tenant=tenant, scopes=scopes, secret=secret)
    write_private(data / SERVICE_KEYS_FILE, as_file([*keys, key]))
    return shown


def remove_service_key(config: Config, name: str) -> None:
    """Let a service key be valid no more; raises ConfigError where there is none."""
    data = Path(config.data)
    keys = service_keys(data)
    left = [key for key in keys if key.name != name]
    if len(left) == len(keys):
        raise ConfigError(f"there is no key {name!r}")
    write_private(data / SERVICE_KEYS_FILE, as_file(left))


async def follow_service_keys(data: Path, ring: KeyRing) -> None:
    """Keep the keys that are valid those of the file, until cancelled.

    Where the file is wrong, those of before stay valid, and it is logged.
    """
    path, seen = data / SERVICE_KEYS_FILE, None
    while True:
        try:
            stat = path.stat()
            now = (stat.st_mtime_ns, stat.st_ino)
        except OSError:
            now = None
        if now != seen:
            try:
                ring.replace(service_keys(data))
            except ConfigError as error:
                log.warning("service_keys_unreadable", error=str(error))
            seen = now
        await trio.sleep(SERVICE_KEYS_EVERY_S)
