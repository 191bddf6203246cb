"""What the web listener answers: pages, files, and the way into a WebSocket.

Placement rules:
- A page is whole and plain HTML before any script runs; what it shows comes from the hub, asked as
  somebody who is nobody.
- Where a request goes is one table (``Site.handle``); each page is a module of its own.
- Every answer has the headers of ``SECURITY``: no script, style, picture or frame of elsewhere.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Awaitable, Callable, Mapping
from typing import Final, TypeAlias

from groupd.config_web import ANY_ORIGIN, SHARE_PATH, WebConfig
from groupd.server.http import HttpRequest, HttpResponse, plain
from groupd.server.link import Link
from groupd.server.websocket import PATH, Framing, WebSocketLink, upgrade
from groupd.web.assets import Assets

Page: TypeAlias = Callable[[HttpRequest, str], Awaitable[HttpResponse]]
"""Answers a GET; the text is what the path has after the page's own part."""

FORWARDED_MAX: Final = 8
"""Proxies in a row that are looked through."""
CONTENT_SECURITY: Final = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' https: data:; "
    "connect-src 'self'; font-src 'self'; manifest-src 'self'; form-action 'none'; "
    "base-uri 'none'; frame-ancestors 'none'"
)
"""Scripts and styles of here alone, none inside a page; pictures of groups may be anywhere."""
SECURITY: Final[Mapping[str, str]] = {
    "content_security_policy": CONTENT_SECURITY,
    "x_content_type_options": "nosniff",
    # The fragment, with a token in it, is never sent; the code in a path is not to be, either.
    "referrer_policy": "no-referrer",
    "cross_origin_opener_policy": "same-origin",
    "x_frame_options": "DENY",
}


class Site:
    """The handler of the web listener.

    ``admit`` begins a session on a link. ``pages`` are by the beginning of their paths. ``trusts``
    says whether an address is a proxy whose ``X-Forwarded-For`` is believed.
    """

    def __init__(
        self,
        config: WebConfig,
        *,
        admit: Callable[[Link], None],
        frame_max_bytes: int,
        assets: Assets,
        pages: Mapping[str, Page],
        watch: Callable[[WebSocketLink], None] = lambda link: None,
        trusts: Callable[[str], bool] = lambda address: False,
    ) -> None:
        self._config = config
        self._admit = admit
        self._frame_max_bytes = frame_max_bytes
        self._assets = assets
        self._pages = pages
        self._watch = watch
        self._trusts = trusts
        # One for all, so that a message is made once for all who read a group.
        self._framing = Framing()

    async def handle(self, request: HttpRequest) -> HttpResponse:
        """Answer a request."""
        if request.path == PATH:
            return self._upgrade(request)
        if request.method not in ("GET", "HEAD"):
            return plain(405, "only GET and HEAD are understood", allow="GET, HEAD", **SECURITY)
        if request.path == "/":
            return HttpResponse(302, b"", headers={**SECURITY, "location": "/chat"})
        for start, page in self._pages.items():
            if request.path.startswith(start):
                return await page(request, request.path.removeprefix(start))
        found = self._assets.find(request.path, request.headers.get("if-none-match", ""))
        if found is None:
            return plain(404, f"there are /chat, /console and {SHARE_PATH}CODE", **SECURITY)
        return found

    def _upgrade(self, request: HttpRequest) -> HttpResponse:
        """Let a browser speak groupd's protocol from now on."""
        asked = upgrade(
            request.method,
            request.path,
            request.headers,
            origins=self._origins(request.headers.get("host", "")),
            frame_max_bytes=self._frame_max_bytes,
        )
        protocol = asked.protocol
        headers = {name.replace("-", "_"): value for name, value in asked.headers.items()}
        for name in ("content_type", "content_length", "date"):
            headers.pop(name, None)
        if protocol is None:
            # What is no WebSocket may be followed by something that is wanted.
            headers.pop("connection", None)
            return HttpResponse(asked.status, asked.body, headers=headers)

        def take_over(link: Link, early: bytes) -> None:
            link.peer = self._client_of(link.peer, request.headers.get("x-forwarded-for", ""))
            session = WebSocketLink(link, protocol, self._framing, early)
            self._watch(session)
            self._admit(session)

        return HttpResponse(asked.status, b"", headers=headers, take_over=take_over)

    def _client_of(self, peer: str, forwarded: str) -> str:
        """Give whose connection it is: of a trusted proxy, the last one that it does not trust.

        Whoever comes first in the header may have written that themselves.
        """
        for address in reversed(forwarded.split(",")[-FORWARDED_MAX:]):
            if not self._trusts(peer):
                break
            try:
                peer = str(ipaddress.ip_address(address.strip()))
            except ValueError:
                break
        return peer

    def _origins(self, host: str) -> tuple[str, ...] | None:
        """Give whose pages may open a WebSocket; None for anybody's."""
        origins = self._config.origins
        if ANY_ORIGIN in origins:
            return None
        # Behind a proxy that speaks TLS, a page of here has an origin that is protected.
        own = (f"http://{host}", f"https://{host}") if host else ()
        public = (self._config.public_url,) if self._config.public_url else ()
        return (*own, *public, *origins)
