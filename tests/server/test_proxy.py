"""The PROXY protocol as bytes, and whose word about a client is taken."""

from __future__ import annotations

import ipaddress
from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from groupd.errors import RemoteProtocolError
from groupd.server.addresses import PROXY_PEER, UNIX_PEER
from groupd.server.proxy import (
    FIXED_BYTES,
    HEADER_MAX_BYTES,
    Client,
    Missing,
    TrustedProxies,
    parse_header,
)
from tests.server.headers import SIGNATURE, extension, header, local, tcp, unix

ADDRESSES = st.one_of(st.ip_addresses(v=4), st.ip_addresses(v=6)).map(str)
EXTENSIONS = st.lists(
    st.builds(extension, st.integers(0, 255), st.binary(max_size=300)), max_size=5
).map(b"".join)


def shown(address: str) -> str:
    """Give an address as a link says it: one that is both kinds at once as the older one."""
    parsed = ipaddress.ip_address(address)
    mapped = parsed.ipv4_mapped if isinstance(parsed, ipaddress.IPv6Address) else None
    return str(mapped or parsed)


def read(data: bytes, *, step: int = 1 << 20) -> tuple[str, int]:
    """Read a connection as a server does; give the client, and how many bytes that took."""
    taken = 0
    while isinstance(found := parse_header(data[:taken]), Missing):
        assert 0 < found.size_bytes <= HEADER_MAX_BYTES - taken
        assert taken < len(data), "it waits for more than there is"
        taken += min(found.size_bytes, step, len(data) - taken)
    return found.address, taken


# --- what a header says


@given(ADDRESSES, st.integers(0, 65_535), EXTENSIONS, st.binary(max_size=40), st.integers(1, 300))
def test_the_client_comes_back_and_no_byte_of_its_own_is_taken(
    address: str, port: int, extensions: bytes, behind: bytes, step: int
) -> None:
    said = tcp(address, port=port, extensions=extensions)
    assert read(said + behind, step=step) == (shown(address), len(said))


@given(EXTENSIONS)
def test_a_client_of_a_unix_socket_has_no_address(extensions: bytes) -> None:
    said = unix(extensions=extensions)
    assert read(said + b"more") == (UNIX_PEER, len(said))


@given(st.binary(max_size=300), st.sampled_from([0x00, 0x11, 0x21, 0x31, 0xFF]))
def test_a_proxy_that_speaks_for_itself_may_say_anything_more(body: bytes, family: int) -> None:
    said = local(body, family=family)
    assert read(said + b"more") == (PROXY_PEER, len(said))


@given(st.binary(max_size=300))
def test_who_is_not_said_is_nobody(body: bytes) -> None:
    assert read(header(1, 0x00, body))[0] == PROXY_PEER


def test_a_client_of_datagrams_is_nobody() -> None:
    assert read(tcp("203.0.113.7", transport=2))[0] == PROXY_PEER


def test_one_address_in_both_forms_is_one() -> None:
    assert read(tcp("::ffff:203.0.113.7"))[0] == read(tcp("203.0.113.7"))[0] == "203.0.113.7"


def test_the_example_of_the_specification_is_read() -> None:
    # Its fields one by one: version 2, PROXY; TCP over IPv4; 12 bytes.
    said = (
        b"\x0d\x0a\x0d\x0a\x00\x0d\x0a\x51\x55\x49\x54\x0a\x21\x11\x00\x0c"
        b"\xcb\x00\x71\x07\xc0\x00\x02\x01\xc3\x50\x1c\xe8"
    )
    assert parse_header(said) == Client("203.0.113.7")


# --- what is none


@given(st.binary(max_size=100))
def test_any_bytes_are_a_header_or_refused_or_wait_for_a_bounded_rest(data: bytes) -> None:
    for start in (data, SIGNATURE + data, SIGNATURE + b"\x21" + data):
        found: object = None
        with suppress(RemoteProtocolError):
            found = parse_header(start)
        if isinstance(found, Missing):
            assert 0 < found.size_bytes <= HEADER_MAX_BYTES


@pytest.mark.parametrize(
    ("said", "why"),
    [
        (b"\x94\x00\x01", "something else"),
        (b"\x16\x03\x01", "something else"),
        (SIGNATURE[:11] + b"\r", "something else"),
        (b"PROXY TCP4 203.0.113.7 192.0.2.1 50000 7400\r\n", "version 1"),
        (header(1, 0x11, bytes(12), version=1), "version or command: 0x11"),
        (header(1, 0x11, bytes(12), version=3), "version or command: 0x31"),
        (header(2, 0x11, bytes(12)), "version or command: 0x22"),
        (header(1, 0x41, bytes(216)), "family or transport: 0x41"),
        (header(1, 0x13, bytes(216)), "family or transport: 0x13"),
        (header(1, 0x10, bytes(216)), "family or transport: 0x10"),
        (header(1, 0x01, bytes(216)), "family or transport: 0x01"),
        (header(1, 0x11, bytes(11)), "too short"),
        (header(1, 0x21, bytes(35)), "too short"),
        (header(1, 0x31, bytes(215)), "too short"),
    ],
)
def test_what_is_no_header_is_refused_with_the_reason(said: bytes, why: str) -> None:
    with pytest.raises(RemoteProtocolError, match=why) as caught:
        parse_header(said)
    assert caught.value.code == "bad_request"


def test_the_first_wrong_byte_is_enough() -> None:
    assert parse_header(b"") == Missing(FIXED_BYTES)
    for size in range(len(SIGNATURE)):
        assert parse_header(SIGNATURE[:size]) == Missing(FIXED_BYTES - size)
        with pytest.raises(RemoteProtocolError):
            parse_header(SIGNATURE[:size] + b"\xff")


def test_a_header_is_as_long_as_it_may_be_and_no_longer() -> None:
    room = HEADER_MAX_BYTES - FIXED_BYTES
    assert read(local(bytes(room))) == (PROXY_PEER, HEADER_MAX_BYTES)
    with pytest.raises(RemoteProtocolError) as caught:
        parse_header(local(bytes(room + 1))[:FIXED_BYTES])
    assert caught.value.code == "too_large"


# --- whom to believe


def test_who_is_trusted_is_in_one_of_the_networks() -> None:
    trusted = TrustedProxies.of(("10.0.0.0/8", "192.0.2.1", "2001:db8::/32"))
    for address in ("10.255.0.1", "192.0.2.1", "2001:db8:1::5"):
        assert trusted.include(address)
    for address in ("11.0.0.1", "192.0.2.2", "2001:db9::1", "fe80::1%eth0", UNIX_PEER):
        assert not trusted.include(address)


def test_nobody_is_trusted_by_default() -> None:
    assert not TrustedProxies.of(()).include("127.0.0.1")
