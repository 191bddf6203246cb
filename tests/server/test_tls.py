"""TLS over any link: what ``test_link.py`` asks of every kind, and what is particular to it."""

from __future__ import annotations

import ssl
from collections.abc import Callable
from pathlib import Path
from typing import Any

import attrs
import pytest
import trio
import trio.testing
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa
from hypothesis import given, settings
from hypothesis import strategies as st

from groupd.config import TlsConfig
from groupd.errors import ConfigError
from groupd.server.certificates import client_context, server_context
from groupd.server.layer import HELD_MAX_BYTES, PIECE_BYTES
from groupd.server.link import LinkBroken
from groupd.server.tls import (
    RECORD_BYTES,
    HandshakeFailed,
    TlsLink,
    secure,
)
from groupd.testing.links import FakeLink, link_pair
from tests.certificates import HOSTS, authority, make_certificate
from tests.server.conftest import Contexts, secured

BLOCK = bytes(range(256)) * 1_024
ENDED_HERE = b"\x15\x03\x03\x00\x02\x01\x00"
"""A warning ``close_notify``, as if nothing were protected."""


@attrs.define(eq=False)
class Ends:
    """A protected link, and below each of its ends the one that carries it."""

    client: TlsLink
    server: TlsLink
    below_client: FakeLink
    below_server: FakeLink


async def protected(contexts: Contexts, *, capacity: int = 1_000_000) -> Ends:
    below_client, below_server = link_pair(capacity=capacity)
    client, server = await secured(below_client, below_server, contexts)
    return Ends(client, server, below_client, below_server)


async def read_exactly(link: TlsLink, count: int) -> bytes:
    received = b""
    while len(received) < count:
        data = await link.receive_some(4_096)
        assert data, received
        received += data
    return received


# --- sending


async def test_what_found_no_room_counts_as_not_sent_until_it_has_left(
    tls_contexts: Contexts,
) -> None:
    ends = await protected(tls_contexts)
    ends.below_server.capacity = 0
    assert ends.server.try_send(b"hello") == 0
    assert ends.server.try_send(b"hello") == 0
    ends.below_server.capacity = 3
    assert ends.server.try_send(b"hello") == 0
    ends.below_server.capacity = 1_000
    # What is sent next may be more than what was offered at first, or less.
    assert ends.server.try_send(b"hel") == 3
    assert ends.server.try_send(b"lo, you") == 7
    assert await read_exactly(ends.client, 10) == b"hello, you"


async def test_a_piece_at_a_time_is_encrypted_before_it_can_leave(tls_contexts: Contexts) -> None:
    ends = await protected(tls_contexts)
    ends.below_server.capacity = PIECE_BYTES + 1_000
    assert ends.server.try_send(BLOCK) == PIECE_BYTES
    assert len(ends.server._held) <= PIECE_BYTES + 1_000
    rest = BLOCK[PIECE_BYTES:]
    assert ends.server.try_send(rest) == 0

    async with trio.open_nursery() as nursery:
        nursery.start_soon(ends.server.send_all, rest)
        assert await read_exactly(ends.client, len(BLOCK)) == BLOCK
    assert ends.server._held == b""


async def test_nobody_gets_between_the_pieces_of_a_send(tls_contexts: Contexts) -> None:
    ends = await protected(tls_contexts)
    ends.below_server.capacity = 100
    async with trio.open_nursery() as nursery:
        nursery.start_soon(ends.server.send_all, BLOCK)
        await trio.testing.wait_all_tasks_blocked()
        assert ends.server.try_send(b"and me") == 0
        with pytest.raises(trio.BusyResourceError):
            await ends.server.send_all(b"or me")
        assert await read_exactly(ends.client, len(BLOCK)) == BLOCK


async def test_a_send_that_is_cut_short_breaks_the_link(tls_contexts: Contexts) -> None:
    ends = await protected(tls_contexts)
    ends.below_server.capacity = 100
    with trio.move_on_after(0):
        await ends.server.send_all(BLOCK)
    with trio.CancelScope() as scope:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(ends.server.send_all, BLOCK)
            await trio.testing.wait_all_tasks_blocked()
            scope.cancel()
    with pytest.raises(LinkBroken, match="cut short"):
        ends.server.try_send(b"more")


# --- receiving


async def test_all_that_is_readable_is_given_at_once(tls_contexts: Contexts) -> None:
    """Because nobody would be called for what stays behind: the kernel has nothing more."""
    ends = await protected(tls_contexts)
    for _ in range(100):
        ends.client.try_send(b"0123456789")
    encrypted = ends.below_server.unread_bytes
    assert ends.server.try_receive(encrypted) == b"0123456789" * 100
    assert ends.server.try_receive(encrypted) is None


async def test_a_record_is_given_when_its_end_has_come(tls_contexts: Contexts) -> None:
    ends = await protected(tls_contexts)
    ends.client.try_send(BLOCK[:RECORD_BYTES])
    sizes = []
    while ends.below_server.unread_bytes:
        data = ends.server.try_receive(4_000)
        sizes.append(None if data is None else len(data))
    assert sizes == [None, None, None, None, RECORD_BYTES]


async def test_what_comes_with_the_handshake_is_given_without_another_read(
    tls_contexts: Contexts,
) -> None:
    below_client, below_server = link_pair()
    called: list[bytes | None] = []

    async def greet() -> None:
        client = await secure(below_client, tls_contexts.client, host=HOSTS[0])
        client.try_send(b"hello")

    async with trio.open_nursery() as nursery:
        nursery.start_soon(greet)
        # The client's last word of the handshake and its first of its own arrive in one read.
        server = await secure(Late(below_server), tls_contexts.server)
    assert below_server.unread_bytes == 0
    server.watch(lambda: called.append(server.try_receive(100)))
    assert called == [b"hello"]
    await trio.testing.wait_all_tasks_blocked()
    assert called == [b"hello"]


class Late(FakeLink):
    """A link that is read from when nothing else happens any more."""

    def __init__(self, link: FakeLink) -> None:
        super().__init__(link.peer, outgoing=link._outgoing, incoming=link._incoming)

    async def receive_some(self, max_bytes: int) -> bytes:
        await trio.testing.wait_all_tasks_blocked()
        return await super().receive_some(max_bytes)


async def test_an_end_that_comes_with_the_last_bytes_is_told_though_the_link_stays_open(
    tls_contexts: Contexts,
) -> None:
    ends = await protected(tls_contexts)
    called: list[bytes | None] = []

    def ready() -> None:
        called.append(ends.server.try_receive(100_000))
        if called[-1] == b"":
            ends.server.unwatch()

    ends.client.try_send(b"bye")
    # As some do: TLS is told, and the connection stays open until the answer comes.
    ends.client._say_end()
    ends.server.watch(ready)
    await trio.testing.wait_all_tasks_blocked()
    assert called == [b"bye", b""]


async def test_an_end_that_was_not_looked_at_is_told_when_somebody_watches_again(
    tls_contexts: Contexts,
) -> None:
    ends = await protected(tls_contexts)
    ends.client.try_send(b"bye")
    ends.client._say_end()
    assert ends.server.try_receive(100_000) == b"bye"
    called: list[bytes | None] = []
    ends.server.watch(lambda: called.append(ends.server.try_receive(100)))
    assert called == [b""]


async def test_an_end_is_said_in_tls_once_and_before_the_one_below(
    tls_contexts: Contexts,
) -> None:
    """So the peer can know that nobody else has cut it off."""
    ends = await protected(tls_contexts)
    assert ends.client.try_receive(1_000) is None
    ends.server.send_eof()
    said = ends.below_client.unread_bytes
    assert said > 0
    ends.server.send_eof()
    await ends.server.aclose()
    assert ends.below_client.unread_bytes == said
    assert ends.client.try_receive(1_000) == b""


async def test_an_end_without_a_word_is_an_end_too(tls_contexts: Contexts) -> None:
    ends = await protected(tls_contexts)
    ends.client.try_send(b"half")
    ends.below_client.send_eof()
    assert await ends.server.receive_some(10) == b"half"
    assert await ends.server.receive_some(10) == b""
    assert await ends.server.receive_some(10) == b""
    await ends.server.send_all(b"the other half")
    assert await ends.client.receive_some(100) == b"the other half"


async def test_an_end_in_the_middle_of_a_record_is_an_end_too(tls_contexts: Contexts) -> None:
    ends = await protected(tls_contexts)
    ends.below_client.capacity = 10
    assert ends.client.try_send(b"hello") == 0
    await ends.client.aclose()
    assert await ends.server.receive_some(100) == b""


@pytest.mark.parametrize("garbage", [b"\x94\x00\x01\xa5hello" * 10, ENDED_HERE, b"\x17" * 100])
async def test_what_was_not_protected_breaks_the_link(
    tls_contexts: Contexts, garbage: bytes
) -> None:
    ends = await protected(tls_contexts)
    ends.client.try_send(b"hello")
    assert await ends.server.receive_some(100) == b"hello"
    for _ in range(2):
        ends.below_client.try_send(garbage)
        with pytest.raises(LinkBroken, match="TLS failed"):
            ends.server.try_receive(1_000)
    with pytest.raises(LinkBroken):
        ends.server.try_send(b"x")
    # The other side is told.
    with pytest.raises(LinkBroken, match="alert"):
        await ends.client.receive_some(100)


async def test_a_reset_breaks_the_link(tls_contexts: Contexts) -> None:
    ends = await protected(tls_contexts)
    ends.below_client.cut()
    with pytest.raises(LinkBroken):
        ends.server.try_send(b"x")
    with pytest.raises(LinkBroken):
        await ends.server.receive_some(10)


@attrs.define(eq=False)
class Talkative:
    """TLS that has an answer to everything."""

    outgoing: ssl.MemoryBIO

    def read(self, size: int) -> bytes:
        self.outgoing.write(bytes(RECORD_BYTES))
        raise ssl.SSLWantReadError


async def test_what_tls_itself_has_to_say_is_bounded() -> None:
    below, other = link_pair(capacity=0)
    other.capacity = 1_000_000
    outgoing = ssl.MemoryBIO()
    talkative: Any = Talkative(outgoing)
    link = TlsLink(below, talkative, ssl.MemoryBIO(), outgoing)
    with pytest.raises(LinkBroken, match="more than it reads"):  # noqa: PT012 - at some point
        for _ in range(HELD_MAX_BYTES // RECORD_BYTES + 1):
            other.try_send(b"new keys, please")
            assert link.try_receive(100) is None


# --- any sizes

sizes = st.integers(0, 3 * RECORD_BYTES)


@given(
    pieces=st.lists(sizes, min_size=1, max_size=8),
    capacity=st.integers(1, 100_000),
    read_size=st.integers(1, 20_000),
    waits=st.lists(st.booleans(), min_size=1, max_size=8),
)
@settings(max_examples=60, deadline=None)
async def test_bytes_arrive_whole_and_in_order(
    tls_contexts: Contexts, pieces: list[int], capacity: int, read_size: int, waits: list[bool]
) -> None:
    """Whatever is sent at once, waiting or not, read at once, or taken by the link below."""
    ends = await protected(tls_contexts)
    ends.below_client.capacity = ends.below_server.capacity = capacity
    sent = [BLOCK[index : index + size] for index, size in enumerate(pieces)]
    received: dict[str, bytes] = {}

    async def speak(link: TlsLink) -> None:
        for index, data in enumerate(sent):
            taken = link.try_send(data) if waits[index % len(waits)] else 0
            await link.send_all(data[taken:])
        link.send_eof()

    async def hear(name: str, link: TlsLink) -> None:
        heard = bytearray()
        while data := await link.receive_some(read_size):
            assert len(data) <= read_size + RECORD_BYTES
            heard += data
        received[name] = bytes(heard)

    async with trio.open_nursery() as nursery:
        for name, link in (("client", ends.client), ("server", ends.server)):
            nursery.start_soon(speak, link)
            nursery.start_soon(hear, name, link)
    assert received == {"client": b"".join(sent), "server": b"".join(sent)}


# --- the handshake


async def failing(
    client: Callable[[FakeLink], Any], server: Callable[[FakeLink], Any]
) -> dict[str, LinkBroken]:
    """Let both sides begin; give how each has failed."""
    ends = dict(zip(("client", "server"), link_pair(), strict=True))
    failures: dict[str, LinkBroken] = {}

    async def begin(name: str, do: Callable[[FakeLink], Any]) -> None:
        try:
            await do(ends[name])
        except LinkBroken as error:
            failures[name] = error
            await ends[name].aclose()

    async with trio.open_nursery() as nursery:
        nursery.start_soon(begin, "client", client)
        nursery.start_soon(begin, "server", server)
    return failures


@pytest.mark.parametrize("capacity", [1, 7, 1_000])
async def test_a_handshake_passes_through_a_narrow_link(
    tls_contexts: Contexts, capacity: int
) -> None:
    below_client, below_server = link_pair(capacity=capacity)

    async def ask() -> None:
        client = await secure(below_client, tls_contexts.client, host=HOSTS[0])
        nursery.start_soon(client.send_all, b"hello")
        assert await read_exactly(client, 7) == b"welcome"

    async with trio.open_nursery() as nursery:
        nursery.start_soon(ask)
        server = await secure(below_server, tls_contexts.server)
        assert await read_exactly(server, 5) == b"hello"
        await server.send_all(b"welcome")


@pytest.mark.parametrize(
    ("hosts", "is_over", "message"),
    [
        (("localhost",), True, "expired; it has to be renewed"),
        (("example.org",), False, "not valid for 'localhost'; connect by a name"),
        (("127.0.0.1",), False, "not valid for 'localhost'; connect by a name"),
    ],
)
async def test_a_certificate_that_proves_nothing_is_refused_and_both_hear_why(
    tmp_path: Path, hosts: tuple[str, ...], is_over: bool, message: str
) -> None:
    files = make_certificate(tmp_path, hosts=hosts, is_over=is_over)
    trusting, shown = client_context(authority(files)), server_context(files)
    failures = await failing(
        lambda link: secure(link, trusting, host="localhost"), lambda link: secure(link, shown)
    )
    assert message in str(failures["client"])
    assert "alert" in str(failures["server"])


async def test_a_certificate_of_somebody_unknown_is_refused_with_what_to_do(
    tls_contexts: Contexts, tmp_path: Path
) -> None:
    stranger = server_context(make_certificate(tmp_path))
    failures = await failing(
        lambda link: secure(link, tls_contexts.client, host="localhost"),
        lambda link: secure(link, stranger),
    )
    assert "self-signed certificate; name the file" in str(failures["client"])
    assert "--ca FILE" in str(failures["client"])
    assert "unknown ca" in str(failures["server"])


@pytest.mark.parametrize("said", [b"\x94\x00\x01\xa5hello", b"GET / HTTP/1.1\r\n", b"\x00"])
@pytest.mark.parametrize("host", [None, HOSTS[0]])
async def test_who_does_not_speak_tls_is_told_apart(
    tls_contexts: Contexts, said: bytes, host: str | None
) -> None:
    context = tls_contexts.client if host else tls_contexts.server
    link, other = link_pair()
    other.try_send(said)
    with pytest.raises(HandshakeFailed) as caught:
        await secure(link, context, host=host)
    assert caught.value.is_other_protocol


async def test_a_hello_that_is_none_fails(tls_contexts: Contexts) -> None:
    failures = await failing(
        lambda link: link.send_all(b"\x16\x03\x01\x00\x05hello"),
        lambda link: secure(link, tls_contexts.server),
    )
    failure = failures["server"]
    assert isinstance(failure, HandshakeFailed)
    assert not failure.is_other_protocol


async def test_an_end_in_the_middle_of_the_handshake_may_be_different_the_next_time(
    tls_contexts: Contexts,
) -> None:
    async def leave(link: FakeLink) -> None:
        await link.receive_some(50)
        link.send_eof()

    failures = await failing(lambda link: secure(link, tls_contexts.client, host=HOSTS[0]), leave)
    assert "in the middle" in str(failures["client"])
    assert not isinstance(failures["client"], HandshakeFailed)


async def test_a_context_for_the_other_side_is_refused(tls_contexts: Contexts) -> None:
    link, _ = link_pair()
    with pytest.raises(HandshakeFailed, match="for the other side"):
        await secure(link, tls_contexts.server, host="localhost")


def test_old_versions_and_renegotiation_are_off(tls_contexts: Contexts) -> None:
    for context in tls_contexts:
        assert context.minimum_version == ssl.TLSVersion.TLSv1_2
        assert context.options & ssl.OP_NO_RENEGOTIATION
        assert context.options & ssl.OP_NO_COMPRESSION


async def test_tls_1_2_is_spoken_too(tmp_path: Path) -> None:
    files = make_certificate(tmp_path)
    old = client_context(authority(files))
    old.maximum_version = ssl.TLSVersion.TLSv1_2
    ends = await protected(Contexts(old, server_context(files)))
    assert ends.client._tls.version() == "TLSv1.2"
    ends.client.try_send(b"hello")
    assert await ends.server.receive_some(10) == b"hello"
    ends.server.send_eof()
    assert await ends.client.receive_some(10) == b""


# --- files


def rsa_key() -> bytes:
    """Give a key of another kind than those of ``make_certificate``."""
    return rsa.generate_private_key(65_537, 2_048).private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    )


def test_a_file_that_cannot_be_used_is_named_with_its_setting(tmp_path: Path) -> None:
    files = make_certificate(tmp_path)
    (tmp_path / "other").mkdir()
    other = make_certificate(tmp_path / "other")
    (tmp_path / "locked").mkdir()
    locked = make_certificate(tmp_path / "locked", passphrase="sesame")
    (tmp_path / "text").write_text("hello")
    (tmp_path / "rsa").write_bytes(rsa_key())
    (tmp_path / "torn").write_text("-----BEGIN CERTIFICATE-----\nhello\n-----END CERTIFICATE-----")
    for wrong, complaint in (
        ({"certificate": "nowhere"}, "tls.certificate: nowhere: No such file or directory"),
        ({"key": "nowhere"}, "tls.key: nowhere: No such file or directory"),
        ({"certificate": files.key}, "tls.certificate: .*key.pem: there is no certificate in it"),
        ({"key": files.certificate}, "tls.key: .*cert.pem: there is no private key in it"),
        ({"key": str(tmp_path / "text")}, "tls.key: .*text: there is no private key in it"),
        ({"key": other.key}, "tls.key: .*other/key.pem: it is not the key of .*/cert.pem"),
        ({"key": str(tmp_path / "rsa")}, "tls.key: .*/rsa: it is not the key of .*/cert.pem"),
        ({"certificate": str(tmp_path / "torn")}, "tls.certificate: .*/torn"),
        (attrs.asdict(locked), "tls.key: .*locked/key.pem: it is locked by a passphrase"),
    ):
        with pytest.raises(ConfigError, match=f"^{complaint}"):
            server_context(TlsConfig(**{**attrs.asdict(files), **wrong}))


def test_a_file_of_authorities_that_cannot_be_used_is_named(tmp_path: Path) -> None:
    (tmp_path / "torn").write_text("-----BEGIN CERTIFICATE-----\nhello\n-----END CERTIFICATE-----")
    with pytest.raises(ConfigError, match=r"--ca: .*nowhere: No such file"):
        client_context(tmp_path / "nowhere")
    with pytest.raises(ConfigError, match="torn: not a certificate"):
        client_context(tmp_path / "torn")


def test_the_variable_of_openssl_says_whom_to_trust(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SSL_CERT_FILE", str(authority(make_certificate(tmp_path))))
    (trusted,) = client_context().get_ca_certs()
    assert trusted["subject"] == ((("commonName", "localhost"),),)
