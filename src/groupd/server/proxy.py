"""Proxies: whom to believe about where a client is, and the PROXY protocol in which they say it.

Placement rules: bytes in, an address out. Nothing here reads a link; ``listener.py`` does.

A proxy hides its clients' addresses behind its own. So it begins each connection with a header
that names them, before anything of the client's, also before TLS. Whoever may write one could be
anybody, so headers are read from the addresses of ``trusted_proxies`` alone. The form is that of
HAProxy's "The PROXY protocol", section 2.2: a signature, four bytes, addresses, extensions.

The header is followed by the client's own bytes, which are not for this parser. ``parse_header``
says how many bytes are missing, and a reader takes no more than those.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Sequence
from typing import Final, NamedTuple, TypeAlias

import attrs

from groupd.errors import RemoteProtocolError
from groupd.server.addresses import PROXY_PEER, UNIX_PEER

SIGNATURE: Final = b"\r\n\r\n\0\r\nQUIT\n"
FIXED_BYTES: Final = 16
"""The signature, version and command, family and transport, and the length of what follows."""
HEADER_MAX_BYTES: Final = 4_096
"""The longest header that is read. Addresses take at most 216 bytes; extensions carry names, such
as that of a certificate, and have room for several."""

_VERSION: Final = 2
_LOCAL, _PROXY = 0, 1
_STREAM, _DATAGRAM = 1, 2
_IPV4, _IPV6, _UNIX = 1, 2, 3
_ADDRESSES_BYTES: Final = {_IPV4: 12, _IPV6: 36, _UNIX: 216}
"""Both addresses and both ports, or two paths."""
_UNSPECIFIED: Final = 0

Network: TypeAlias = "ipaddress.IPv4Network | ipaddress.IPv6Network"


class Missing(NamedTuple):
    """The header is not whole: so many bytes more, at least, belong to it."""

    size_bytes: int


class Client(NamedTuple):
    """Where a connection comes from, as ``Link.peer`` says it."""

    address: str


def parse_header(data: bytes) -> Missing | Client:
    """Give the client that a header names, or how many bytes are missing.

    ``data`` is what the connection began with so far; what is behind the header is not looked at.
    The client is ``PROXY_PEER`` where the proxy speaks for itself or does not say for whom.
    Extensions are skipped.

    Raises RemoteProtocolError as soon as it can be no header, ``too_large`` over
    ``HEADER_MAX_BYTES``.
    """
    if not SIGNATURE.startswith(data[: len(SIGNATURE)]):
        raise _wrong(_explain(data))
    if len(data) < FIXED_BYTES:
        return Missing(FIXED_BYTES - len(data))
    version, command = divmod(data[12], 16)
    family, transport = divmod(data[13], 16)
    length = int.from_bytes(data[14:FIXED_BYTES])
    if version != _VERSION or command not in (_LOCAL, _PROXY):
        raise _wrong(f"no such version or command: {data[12]:#04x}")
    if FIXED_BYTES + length > HEADER_MAX_BYTES:
        raise RemoteProtocolError(
            "too_large", f"the PROXY protocol header is longer than {HEADER_MAX_BYTES} bytes"
        )
    names_client = command == _PROXY and data[13] != _UNSPECIFIED
    if names_client:
        if family not in _ADDRESSES_BYTES or transport not in (_STREAM, _DATAGRAM):
            raise _wrong(f"no such family or transport: {data[13]:#04x}")
        if length < _ADDRESSES_BYTES[family]:
            raise _wrong("it is too short for its addresses")
    if len(data) < FIXED_BYTES + length:
        return Missing(FIXED_BYTES + length - len(data))
    if not names_client or transport == _DATAGRAM:
        # Nothing here comes in datagrams; the protocol says to take that as saying nothing.
        return Client(PROXY_PEER)
    return Client(_source(family, data))


def _source(family: int, data: bytes) -> str:
    """Give the address of the client; it is the first of those in a header."""
    if family == _IPV4:
        return str(ipaddress.IPv4Address(data[FIXED_BYTES : FIXED_BYTES + 4]))
    if family == _IPV6:
        address = ipaddress.IPv6Address(data[FIXED_BYTES : FIXED_BYTES + 16])
        # Proxies that listen on both kinds write IPv4 so. It is one address, and counted once.
        return str(address.ipv4_mapped or address)
    return UNIX_PEER


def _explain(data: bytes) -> str:
    if data.startswith(b"PROXY"):
        return "this one is of version 1; have the proxy send version 2"
    return "the connection begins with something else"


def _wrong(what: str) -> RemoteProtocolError:
    return RemoteProtocolError(
        "bad_request", f"expected a PROXY protocol header of version 2: {what}"
    )


@attrs.frozen
class TrustedProxies:
    """The addresses from which a header is expected, and believed."""

    networks: tuple[Network, ...]

    @classmethod
    def of(cls, networks: Sequence[str]) -> TrustedProxies:
        """Read what ``Config.trusted_proxies`` has checked."""
        return cls(tuple(map(ipaddress.ip_network, networks)))

    def include(self, address: str) -> bool:
        """Say whether an address, as ``Link.peer`` says it, is one of a trusted proxy."""
        if not self.networks or address == UNIX_PEER:
            return False
        parsed = ipaddress.ip_address(address)
        return any(parsed in network for network in self.networks)
