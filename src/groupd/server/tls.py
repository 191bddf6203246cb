"""TLS: a link that protects another one, and how it begins.

Placement rules:
- No ``ssl.SSLError`` leaves this module. Whom to trust and what to show stands in a context, made
  in ``certificates.py``.
- What carries the protected bytes is any ``Link``; nothing here knows sockets.

The handshake takes waiting, so it is made before there is a ``TlsLink`` (``secure``); from then on
all is done at once, between two buffers in memory (``layer.py``).

The encrypted bytes differ for every peer. This is where a delivery stops being a send of bytes
that all members share.
"""

from __future__ import annotations

import ssl
from contextlib import suppress
from typing import Final
from urllib.parse import urlsplit

from groupd.config import is_tls
from groupd.errors import ConfigError
from groupd.server.certificates import client_context, reason_of
from groupd.server.layer import LayeredLink
from groupd.server.link import Link, LinkBroken, connect_socket

RECORD_BYTES: Final = 16_384
"""The most that a record of TLS carries. RFC 8446, section 5.1."""
HANDSHAKE_READ_BYTES: Final = 4_096

_ALERT: Final = 21
_HANDSHAKE: Final = 22
_WRONG_NAME: Final = frozenset({62, 64})
"""OpenSSL's X509_V_ERR_HOSTNAME_MISMATCH and X509_V_ERR_IP_ADDRESS_MISMATCH."""
_WRONG_TIME: Final = frozenset({9, 10})
"""OpenSSL's X509_V_ERR_CERT_NOT_YET_VALID and X509_V_ERR_CERT_HAS_EXPIRED."""


class HandshakeFailed(LinkBroken):
    """The two could not agree on how to speak, and would not the next time."""

    def __init__(self, message: str, *, is_other_protocol: bool = False) -> None:
        super().__init__(message)
        self.is_other_protocol = is_other_protocol
        """Whether the peer speaks something else than TLS."""


class TlsLink(LayeredLink):
    """A link whose bytes nobody can read or change on their way. Made by ``secure``.

    Where the peer ends without saying so in TLS (``close_notify``), that is an end like any other,
    since groupd's messages say themselves where they end. A record is readable when its end has
    come, so up to ``RECORD_BYTES`` more than were asked for may be received.
    """

    __slots__ = ("_incoming", "_outgoing", "_tls")

    talks_too_much = "the peer makes TLS say more than it reads"

    def __init__(
        self, below: Link, tls: ssl.SSLObject, incoming: ssl.MemoryBIO, outgoing: ssl.MemoryBIO
    ) -> None:
        """Go on where a handshake has ended; raises LinkBroken if what came with it is wrong."""
        super().__init__(below)
        self._tls = tls
        self._incoming = incoming
        self._outgoing = outgoing
        # The peer's first bytes may have come with its last ones of the handshake.
        self._unread = self._decrypt()

    def wrap(self, data: bytes | memoryview) -> bytes:
        """Give the records of some bytes.

        One at a time, because the buffer keeps the room that it has once needed: for a whole piece
        that would be 90 kB for each connection.
        """
        write, read = self._tls.write, self._outgoing.read
        try:
            written = write(data[:RECORD_BYTES])
            records = read()
            while written < len(data):
                written += write(data[written : written + RECORD_BYTES])
                records += read()
        except ssl.SSLError as error:
            raise self._fail(error) from error
        return records

    def _unwrap(self, data: bytes) -> bytes | None:
        """Decrypt what has come."""
        if data:
            self._incoming.write(data)
        else:
            self._incoming.write_eof()
        return self._decrypt()

    def _decrypt(self) -> bytes | None:
        """Give all that has come whole; ``b""`` at the end, None if nothing has."""
        records = []
        try:
            while record := self._tls.read(RECORD_BYTES):
                records.append(record)
            self._has_ended = True
        except ssl.SSLWantReadError:
            self._reply()
        except (ssl.SSLZeroReturnError, ssl.SSLEOFError):
            self._has_ended = True
        except ssl.SSLError as error:
            with suppress(LinkBroken):
                self._reply()
            raise self._fail(error) from error
        if records:
            return b"".join(records)
        return b"" if self._has_ended else None

    def _reply(self) -> None:
        """Send what TLS itself has to say: an alert, or new keys because the peer asks for them."""
        if self._outgoing.pending:
            self._say(self._outgoing.read())

    def _farewell(self, code: str) -> bytes:
        """Give ``close_notify``."""
        # It wants to hear the peer's too. That is for whoever reads.
        with suppress(ssl.SSLError):
            self._tls.unwrap()
        return self._outgoing.read()

    def _fail(self, error: ssl.SSLError) -> LinkBroken:
        return self._break(f"TLS failed: {reason_of(error)}")


# --- the handshake


async def secure(link: Link, context: ssl.SSLContext, *, host: str | None = None) -> TlsLink:
    """Speak TLS over a link: as a client of ``host``, or without it as a server.

    The link belongs to what is given. Cancelled or failed, it is of no more use, and still the
    caller's to close. It takes as long as the peer likes: a deadline is the caller's.

    Raises:
        HandshakeFailed: the two cannot agree, which says why.
        LinkBroken: the link is gone.

    """
    incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
    try:
        tls = context.wrap_bio(incoming, outgoing, server_side=host is None, server_hostname=host)
    except ssl.SSLError as error:
        raise HandshakeFailed(f"this context is for the other side: {reason_of(error)}") from error
    is_first, is_done = True, False
    while True:
        try:
            tls.do_handshake()
            is_done = True
        except ssl.SSLWantReadError:
            pass
        except ssl.SSLError as error:
            # The alert that says to the peer what is wrong.
            with suppress(LinkBroken):
                link.try_send(outgoing.read())
            raise HandshakeFailed(_explain(error)) from error
        if outgoing.pending:
            await link.send_all(outgoing.read())
        if is_done:
            return TlsLink(link, tls, incoming, outgoing)
        data = await link.receive_some(HANDSHAKE_READ_BYTES)
        if not data:
            raise LinkBroken("the other side has ended in the middle of the TLS handshake")
        if is_first and data[0] not in (_HANDSHAKE, _ALERT):
            raise HandshakeFailed("the other side does not speak TLS", is_other_protocol=True)
        is_first = False
        incoming.write(data)


def _explain(error: ssl.SSLError) -> str:
    """Say why a handshake has failed, and where that is known, what to do."""
    if not isinstance(error, ssl.SSLCertVerificationError):
        return f"the TLS handshake failed: {reason_of(error)}"
    said = f"the server's certificate is not trusted: {error.verify_message.rstrip('.')}"
    if error.verify_code in _WRONG_NAME:
        return f"{said}; connect by a name that stands in it"
    if error.verify_code in _WRONG_TIME:
        return f"{said}; it has to be renewed, or the clock of this machine is wrong"
    return (
        f"{said}; name the file of the authority that signed it: --ca FILE, the variable "
        "SSL_CERT_FILE, or tls=ssl.create_default_context(cafile=FILE)"
    )


async def connect_link(url: str, tls: ssl.SSLContext | None = None) -> Link:
    """Connect to a server by its URL; with ``tls://`` the handshake is done.

    ``tls`` says whom to trust. Without it that are the system's authorities, whose files are read
    for this one connection.

    Raises:
        ConfigError: the URL is none, the two cannot agree on TLS, or the server's certificate is
            not trusted: what trying again does not mend.
        LinkBroken: nobody answers there.

    """
    link = await connect_socket(url)
    if not is_tls(url):
        return link
    host = urlsplit(url).hostname
    assert host is not None, "connect_socket has looked at it"
    secured = None
    try:
        secured = await secure(link, tls or client_context(), host=host)
    except HandshakeFailed as error:
        advice = "; is its URL tcp://?" if error.is_other_protocol else ""
        raise ConfigError(f"{url}: {error}{advice}") from error
    except LinkBroken as error:
        raise LinkBroken(f"{url}: {error}") from error
    finally:
        if secured is None:
            await link.aclose()
    return secured
