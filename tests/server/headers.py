"""What proxies write, made here from the specification's words and not by the parser."""

from __future__ import annotations

import ipaddress
import struct
from typing import Final

SIGNATURE: Final = bytes.fromhex("0d0a0d0a000d0a515549540a")
HERE: Final = {4: "192.0.2.1", 6: "2001:db8::1"}


def header(command: int, family: int, body: bytes, *, version: int = 2) -> bytes:
    """Give a header with this in its fields."""
    fields = struct.pack("!BBH", version << 4 | command, family, len(body))
    return SIGNATURE + fields + body


def tcp(client: str, *, port: int = 50_000, extensions: bytes = b"", transport: int = 1) -> bytes:
    """Give what says that a client comes from an address, of either kind."""
    address = ipaddress.ip_address(client)
    family = {4: 1, 6: 2}[address.version]
    here = ipaddress.ip_address(HERE[address.version])
    body = address.packed + here.packed + struct.pack("!HH", port, 7_400)
    return header(1, family << 4 | transport, body + extensions)


def unix(path: bytes = b"/run/client.sock", *, extensions: bytes = b"") -> bytes:
    """Give what says that a client came to the proxy over a Unix socket."""
    return header(
        1, 0x31, path.ljust(108, b"\0") + b"/run/proxy.sock".ljust(108, b"\0") + extensions
    )


def local(body: bytes = b"", *, family: int = 0) -> bytes:
    """Give what a proxy writes that only looks whether somebody is there."""
    return header(0, family, body)


def extension(kind: int, value: bytes) -> bytes:
    """Give one extension, a TLV."""
    return struct.pack("!BH", kind, len(value)) + value
