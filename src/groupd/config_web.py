"""The settings of the web listener. A part of ``config.py``."""

from __future__ import annotations

from typing import Final
from urllib.parse import urlsplit

import attrs

from groupd.config_checks import positive
from groupd.errors import ConfigError

SHARE_PATH: Final = "/g/"
"""What goes before the code of a share link."""
ANY_ORIGIN: Final = "*"


@attrs.frozen
class WebConfig:
    """A listener for browsers: WebSocket, share pages, the chat, the console. Off unless named."""

    listen: str | None = None
    """``http://HOST:PORT``, or ``https://HOST:PORT``, which shows what ``tls`` names."""
    public_url: str | None = None
    """Where browsers reach it, ``https://chat.example.com`` say: for share links, and for what
    shows them elsewhere."""
    sign_in_url: str | None = None
    """Where the chat sends whoever has no token: a page of the host application, or the path of a
    page on this listener. It is called with ``return``, the address of the chat, and leads back
    there with ``#token=``."""
    origins: tuple[str, ...] = ()
    """Origins of other pages that may open a WebSocket, beside those served here; ``*`` for any."""
    tenants: tuple[str, ...] = ("",)
    """Whose share links are shown."""
    connections_max: int = attrs.field(default=1_000, validator=positive)
    """Without those that have become a WebSocket, which count as sessions."""
    request_deadline_ms: int = attrs.field(default=10_000, validator=positive)
    """For a request to come and its response to leave; also how long a connection may idle."""
    ping_ms: int = attrs.field(default=25_000, validator=positive)
    """How long a WebSocket may be silent before it is asked whether it is there; and how long it
    has to answer. Proxies close what is silent for a minute."""

    def __attrs_post_init__(self) -> None:
        if self.listen is not None and not is_origin(self.listen.rstrip("/"), needs_port=True):
            raise ConfigError(
                f"listen: expected http://HOST:PORT or https://HOST:PORT, got {self.listen!r}"
            )
        if self.public_url is not None and not is_origin(self.public_url):
            raise ConfigError(
                f"public_url: expected https://HOST without a path, got {self.public_url!r}"
            )
        if self.sign_in_url is not None and not _is_page(self.sign_in_url):
            raise ConfigError(
                f"sign_in_url: expected https://HOST/PATH or /PATH, got {self.sign_in_url!r}"
            )
        for origin in self.origins:
            if origin != ANY_ORIGIN and not is_origin(origin):
                raise ConfigError(f"origins: expected https://HOST or *, got {origin!r}")
        if not self.tenants:
            raise ConfigError('tenants: expected at least one; "" is the one without a name')

    @property
    def is_protected(self) -> bool:
        """Say whether the listener speaks TLS."""
        return self.listen is not None and self.listen.startswith("https://")


def _is_page(url: str) -> bool:
    """Say whether a URL is a page of HTTP, or the path of one on the same host."""
    try:
        parts = urlsplit(url)
    except ValueError:
        return False
    if parts.fragment or not url.isprintable() or " " in url or "\\" in url:
        return False
    if not parts.scheme:
        return parts.path.startswith("/") and not parts.netloc
    return parts.scheme in ("http", "https") and bool(parts.hostname) and not parts.username


def is_origin(url: str, *, needs_port: bool = False) -> bool:
    """Say whether a URL is scheme, host and perhaps a port, and no more."""
    try:
        parts = urlsplit(url)
        has_port = parts.port is not None
    except ValueError:  # A port that is none.
        return False
    is_plain = not (parts.path or parts.query or parts.fragment or parts.username)
    is_http = parts.scheme in ("http", "https") and bool(parts.hostname) and is_plain
    return is_http and (has_port or not needs_port)
