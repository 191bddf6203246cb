"""The settings of what is posted to the host: webhooks, questions. A part of ``config.py``."""

from __future__ import annotations

import binascii
import re
from base64 import b64decode
from typing import Final
from urllib.parse import urlsplit

import attrs

from groupd.config_checks import positive
from groupd.errors import ConfigError

SECRET_PREFIX: Final = "whsec_"
SECRET_BYTES: Final = range(24, 65)
"""How many there may be, as the Standard Webhooks specification has it."""
_NAME: Final = re.compile(r"[a-z0-9][a-z0-9-]{0,31}")


@attrs.frozen
class WebhookConfig:
    """One endpoint, which is told of one tenant's events, in their order."""

    name: str = ""
    """What it is called in logs, and as a consumer of the feed: ``webhook.NAME``. Required."""
    url: str = ""
    """Where events are posted to: ``https://``, or ``http://`` on the way that is one's own."""
    secret: str = attrs.field(default="", repr=False)
    """``whsec_`` and 24 to 64 bytes in base64; what is posted is signed with it. Required."""
    tenant: str = ""
    kinds: tuple[str, ...] = ()
    """Kinds of events that it is told of; without any, of all."""
    timeout_ms: int = attrs.field(default=15_000, validator=positive)
    """For one answer."""
    backoff_max_ms: int = attrs.field(default=300_000, validator=positive)
    """The longest pause before a further attempt."""

    def __attrs_post_init__(self) -> None:
        if not _NAME.fullmatch(self.name):
            raise ConfigError(f"name: expected 1 to 32 of a-z, 0-9 and -, got {self.name!r}")
        if not _is_url(self.url):
            raise ConfigError(f"url: expected https://HOST/PATH, got {self.url!r}")
        if self.key is None:
            raise ConfigError(f"secret: expected {SECRET_PREFIX} and 24 to 64 bytes in base64")

    @property
    def key(self) -> bytes | None:
        """Give the bytes of the secret; None where it is none."""
        return key_of(self.secret)


VERDICTS: Final = ("refuse", "admit")


@attrs.frozen
class ConditionsConfig:
    """Whom to ask about clauses of entry conditions that no claim of a token answers."""

    url: str | None = None
    """Where questions are posted to, of all tenants. Without it nobody is asked."""
    secret_file: str | None = None
    """Path of a file with ``whsec_`` and 24 to 64 bytes in base64: questions are signed with it."""
    deadline_ms: int = attrs.field(default=2_000, validator=positive)
    """For an answer, the waiting for one's turn included."""
    verdict: str = "refuse"
    """What becomes of who is not answered for in time: ``refuse`` or ``admit``."""
    calls_max: int = attrs.field(default=32, validator=positive)
    """Questions under way at once."""
    cache_ms: int = attrs.field(default=5_000, validator=positive)
    """How long an answer is believed without asking again."""
    cache_max: int = attrs.field(default=20_000, validator=positive)
    """Answers that are kept, each about one user, group and clause."""

    def __attrs_post_init__(self) -> None:
        if self.url is not None and not _is_url(self.url):
            raise ConfigError(f"url: expected https://HOST/PATH, got {self.url!r}")
        if self.url is not None and self.secret_file is None:
            raise ConfigError("secret_file: expected the file with what questions are signed with")
        if self.verdict not in VERDICTS:
            raise ConfigError(f"verdict: expected one of {', '.join(VERDICTS)}")


def key_of(secret: str) -> bytes | None:
    """Give the bytes of a secret for signing; None where it is none."""
    try:
        key = b64decode(secret.removeprefix(SECRET_PREFIX), validate=True)
    except (binascii.Error, ValueError):
        return None
    return key if secret.startswith(SECRET_PREFIX) and len(key) in SECRET_BYTES else None


def _is_url(url: str) -> bool:
    try:
        parts = urlsplit(url)
        _port = parts.port
    except ValueError:  # A port that is none.
        return False
    return parts.scheme in ("http", "https") and bool(parts.hostname) and not parts.fragment
