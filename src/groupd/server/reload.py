"""Reloading: what a running server takes over from a new configuration, and how.

Placement rules: files are read by whoever calls, before anything here; a signal is one thing that
may call for it. What is taken over is made whole first, then put in place in one step without
waiting. So a server has one configuration or the other, and never some of each.

Connections stay. Rules hold from the next decision on, keys and certificates from the next
``hello`` and the next handshake on, trusted proxies for the next connection. Who is in with a token
of a key that is gone stays until the token expires.
"""

from __future__ import annotations

import ssl
from collections.abc import Awaitable, Callable, Mapping
from typing import Any, Final

import attrs
import structlog

from groupd.auth import KeyRings
from groupd.config import Config
from groupd.domain.base import Identity
from groupd.domain.word_list import WordList
from groupd.engine.hub import rules_of
from groupd.errors import GroupdError
from groupd.server.listener import Server

log = structlog.get_logger()

RELOADED: Final = (
    *("auth", "tls", "trusted_proxies"),
    *("plans", "default_plan", "categories", "link_url", "owner_leaves", "words"),
)
"""The settings that a running server takes over. All others are those of its start."""


@attrs.frozen
class Credentials:
    """What stands in the files that a configuration names.

    Whom to believe, what to show, and what nobody may say.
    """

    verify: Callable[[str, int], Identity]
    """Turns a token into an identity, or raises AuthError."""
    key_rings: KeyRings = attrs.field(factory=KeyRings)
    """What fetches the keys that issuers publish."""
    tls: ssl.SSLContext | None = None
    """What ``tls://`` listeners show; None where there are none."""
    words: WordList | None = None
    """What nobody may say; None where there is no such list."""


def merge(running: Config, written: Config) -> Config:
    """Give what a server has that takes over what it can; raises ConfigError where that is wrong.

    It can be: a certificate that is not written any more, say, for a listener that goes on.
    """
    taken = {name: getattr(written, name) for name in RELOADED}
    return attrs.evolve(running, **taken)


def differences(one: Config, other: Config) -> list[str]:
    """Name the settings in which two differ: ``listen``, ``limits.sweep_ms``, ``plans.school``."""
    left, right = _settings(one), _settings(other)
    return sorted(name for name in left.keys() | right.keys() if left.get(name) != right.get(name))


def _settings(config: Config) -> dict[str, Any]:
    """Give each setting by its name; a plan counts as one."""
    found: dict[str, Any] = {}
    for name, value in attrs.asdict(config, recurse=False).items():
        if isinstance(value, Mapping):
            found |= {f"{name}.{key}": inner for key, inner in value.items()}
        elif attrs.has(type(value)):
            inner = attrs.asdict(value, recurse=False)
            found |= {f"{name}.{key}": each for key, each in inner.items()}
        else:
            found[name] = value
    return found


class Reloader:
    """Keeps a server up with what is written.

    ``running`` is the configuration that it was started with, ``key_rings`` are those that run.
    ``read`` gives the one that is written now, ``load`` what stands in the files that one names;
    both raise ConfigError where that is wrong, or OSError.
    """

    def __init__(
        self,
        server: Server,
        running: Config,
        key_rings: KeyRings,
        *,
        read: Callable[[], Awaitable[Config]],
        load: Callable[[Config], Awaitable[Credentials]],
    ) -> None:
        self._server = server
        self._running = running
        self._key_rings = key_rings
        self._read = read
        self._load = load

    async def reload(self) -> bool:
        """Take over what is written now; say whether it was in order. Says in the log what it did.

        What is wrong is refused whole, and the server goes on as it was. Cancelled, nothing has
        changed.
        """
        try:
            written = await self._read()
            merged = merge(self._running, written)
            credentials = await self._load(merged)
        except (GroupdError, OSError, ValueError) as error:
            # Whatever a file may do to who reads it: the server has what it needs.
            log.error("reload_refused", reason=str(error))
            return False
        hub = self._server.services.hub
        changed = differences(self._running, merged)
        if credentials.words != hub.rules.words:
            # Mostly the files alone are others, and not their names.
            changed = sorted({*changed, "words.files"})
        self._server.take_over(merged, verify=credentials.verify, tls=credentials.tls)
        self._key_rings.replace(credentials.key_rings)
        hub.decide_by(rules_of(merged, credentials.words))
        self._running = merged
        log.info("reloaded", changed=changed)
        left_out = differences(merged, written)
        if left_out:
            log.warning("reload_left_out", settings=left_out, reason="they need a new start")
        return True
