"""TLS: a link that protects another one, and how it begins.

Placement rules:
- No ``ssl.SSLError`` leaves this module. Whom to trust and what to show stands in a context, made
  in ``certificates.py``.
- What carries the protected bytes is any ``Link``; nothing here knows sockets.

Theory of operation. The handshake takes waiting, so it is made before there is a ``TlsLink``
(``secure``); from then on all is done at once, between two buffers in memory: what the link below
has received is decrypted whole, and what is sent is encrypted and handed to the link below.

So that nothing has to wait here, bytes that are encrypted and find no room below count as not
sent: the caller keeps them and offers them again, as it does with any link that was full, and is
told that they were sent once their ciphertext has left. Thus every backlog stays where it is
bounded, with the caller, and what is held here is one piece.

The encrypted bytes differ for every peer. This is where a delivery stops being a send of bytes
that all members share.
"""

from __future__ import annotations

import ssl
from collections.abc import Callable
from contextlib import suppress
from typing import Final
from urllib.parse import urlsplit

import trio

from groupd.config import is_tls
from groupd.errors import ConfigError
from groupd.server.certificates import client_context, reason_of
from groupd.server.link import Link, LinkBroken, connect_socket

RECORD_BYTES: Final = 16_384
"""The most that a record of TLS carries. RFC 8446, section 5.1."""
PIECE_BYTES: Final = 65_536
"""What is encrypted for one send of the link below."""
HELD_MAX_BYTES: Final = 2 * PIECE_BYTES
"""Encrypted bytes that may wait: a piece, and what TLS itself has to say meanwhile."""
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


class TlsLink:
    """A link whose bytes nobody can read or change on their way. Made by ``secure``.

    It owns the link below. A ``send_all`` that is cancelled has torn a record in two: the link is
    broken then. Where the peer ends without saying so in TLS (``close_notify``), that is an end
    like any other, since groupd's messages say themselves where they end.
    """

    __slots__ = (
        "_below",
        "_broken",
        "_early_bytes",
        "_has_ended",
        "_has_said_end",
        "_held",
        "_incoming",
        "_is_sending",
        "_outgoing",
        "_ready",
        "_tls",
        "_unread",
        "peer",
    )

    def __init__(
        self, below: Link, tls: ssl.SSLObject, incoming: ssl.MemoryBIO, outgoing: ssl.MemoryBIO
    ) -> None:
        """Go on where a handshake has ended; raises LinkBroken if what came with it is wrong."""
        self.peer = below.peer
        self._below = below
        self._tls = tls
        self._incoming = incoming
        self._outgoing = outgoing
        self._held = b""
        # How much of what comes next has been encrypted before.
        self._early_bytes = 0
        self._is_sending = self._has_said_end = self._has_ended = False
        self._broken = ""
        self._ready: Callable[[], None] | None = None
        # The peer's first bytes may have come with its last ones of the handshake.
        self._unread = self._decrypt()

    # --- sending

    def try_send(self, data: bytes | memoryview) -> int:
        """Send what can leave at once. See ``Link``."""
        if self._broken or self._has_said_end:
            raise LinkBroken(self._broken or "sending after the end")
        if self._is_sending or (self._held and not self._push_held()):
            return 0
        size, taken = len(data), 0
        if self._early_bytes:
            taken = min(self._early_bytes, size)
            self._early_bytes -= taken
        while taken < size:
            piece = data[taken : taken + PIECE_BYTES]
            encrypted = self._encrypt(piece)
            sent = self._below.try_send(encrypted)
            if sent != len(encrypted):
                self._held = encrypted[sent:]
                self._early_bytes = len(piece)
                break
            taken += len(piece)
        return taken

    @property
    def send(self) -> Callable[[bytes], int]:
        """Give ``try_send``. See ``Link``."""
        return self.try_send

    async def send_all(self, data: bytes) -> None:
        """Send everything. See ``Link``."""
        await trio.lowlevel.checkpoint()
        if self._is_sending:
            raise trio.BusyResourceError("another task is sending")
        rest = memoryview(data)
        while True:
            rest = rest[self.try_send(rest) :]
            if not self._held:
                return
            await self._send_held()

    def _encrypt(self, data: bytes | memoryview) -> bytes:
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
            raise self._break(error) from error
        return records

    def _push_held(self) -> bool:
        """Send what is held, and say whether nothing is held any more."""
        self._held = self._held[self._below.try_send(self._held) :]
        return not self._held

    async def _send_held(self) -> None:
        """Wait until what is held has left."""
        data, self._held = self._held, b""
        self._is_sending = True
        try:
            await self._below.send_all(data)
        except BaseException:
            self._broken = "sending was cut short"
            raise
        finally:
            self._is_sending = False

    # --- receiving

    async def receive_some(self, max_bytes: int) -> bytes:
        """Wait for bytes and give them. See ``Link``, and ``try_receive`` for how many."""
        data = self._take_unread()
        if data is not None:
            await trio.lowlevel.checkpoint()
            return data
        while data is None:
            data = self._take(await self._below.receive_some(max_bytes))
        return data

    def try_receive(self, max_bytes: int) -> bytes | None:
        """Give bytes that are there. See ``Link``.

        They may be up to ``RECORD_BYTES`` more than were asked for: a record is readable when its
        end has come, and nothing readable stays behind, since nobody is called for it.
        """
        data = self._take_unread()
        if data is not None:
            return data
        encrypted = self._below.try_receive(max_bytes)
        return None if encrypted is None else self._take(encrypted)

    def _take_unread(self) -> bytes | None:
        """Give what needs no reading: bytes that are decrypted, or the end; None if there is none.

        What is there is given even if the link has broken since.
        """
        data, self._unread = self._unread, None
        if data is None and self._has_ended:
            return b""
        return data

    def _take(self, encrypted: bytes) -> bytes | None:
        if self._broken:
            raise LinkBroken(self._broken)
        if encrypted:
            self._incoming.write(encrypted)
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
            raise self._break(error) from error
        if records:
            return b"".join(records)
        return b"" if self._has_ended else None

    def _reply(self) -> None:
        """Send what TLS itself has to say: an alert, or new keys because the peer asks for them."""
        if not self._outgoing.pending:
            return
        self._held += self._outgoing.read()
        if len(self._held) > HELD_MAX_BYTES:
            self._broken = "the peer makes TLS say more than it reads"
            raise LinkBroken(self._broken)
        if not self._is_sending:
            self._push_held()

    def watch(self, ready: Callable[[], None]) -> None:
        """Call ``ready`` while there is something to read. See ``Link``.

        It may be called before this returns, for what the link below will not tell of.
        """
        self._ready = ready
        self._below.watch(self._on_readable)
        if self._unread is not None or self._has_ended:
            ready()

    def _on_readable(self) -> None:
        if self._ready is not None:
            self._ready()
        # The end may have come with the last bytes, and the link below still be open.
        if self._has_ended and self._ready is not None:
            self._ready()

    def unwatch(self) -> None:
        """Call nothing more. See ``Link``."""
        self._ready = None
        self._below.unwatch()

    # --- the end

    def send_eof(self) -> None:
        """Tell the peer that no more will come. See ``Link``."""
        self._say_end()
        self._below.send_eof()

    async def aclose(self) -> None:
        """Close this link and the one below. See ``Link``."""
        self._say_end()
        self._unread, self._has_ended = None, False
        self._broken = self._broken or "this link is closed"
        self._ready = None
        await self._below.aclose()

    def _say_end(self) -> None:
        """Say ``close_notify``, if what was said before it has left whole."""
        if self._has_said_end:
            return
        self._has_said_end = True
        if self._held or self._is_sending or self._broken:
            return
        with suppress(LinkBroken):
            # It wants to hear the peer's too. That is for whoever reads.
            with suppress(ssl.SSLError):
                self._tls.unwrap()
            self._below.try_send(self._outgoing.read())

    def _break(self, error: ssl.SSLError) -> LinkBroken:
        self._broken = f"TLS failed: {reason_of(error)}"
        return LinkBroken(self._broken)


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
