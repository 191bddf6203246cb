"""What the tests of links share: contexts for TLS, made once, and the two ends of a handshake."""

from __future__ import annotations

import ssl
from typing import NamedTuple

import pytest
import trio

from groupd.server.certificates import client_context, server_context
from groupd.server.link import Link
from groupd.server.tls import TlsLink, secure
from tests.certificates import HOSTS, authority, make_certificate


class Contexts(NamedTuple):
    """What the two sides of a handshake believe and show."""

    client: ssl.SSLContext
    server: ssl.SSLContext


@pytest.fixture(scope="session")
def tls_contexts(tmp_path_factory: pytest.TempPathFactory) -> Contexts:
    """A server with a certificate, and a client that trusts it."""
    files = make_certificate(tmp_path_factory.mktemp("tls"))
    return Contexts(client_context(authority(files)), server_context(files))


async def secured(
    client: Link, server: Link, contexts: Contexts, *, host: str = HOSTS[0]
) -> tuple[TlsLink, TlsLink]:
    """Protect a link at both ends; give its client's end first."""
    ends: dict[bool, TlsLink] = {}

    async def shake_hands(link: Link, context: ssl.SSLContext, name: str | None) -> None:
        ends[name is None] = await secure(link, context, host=name)

    async with trio.open_nursery() as nursery:
        nursery.start_soon(shake_hands, client, contexts.client, host)
        nursery.start_soon(shake_hands, server, contexts.server, None)
    return ends[False], ends[True]
