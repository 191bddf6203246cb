"""TLS from a terminal and from the SDK, with a real server and real certificates."""

from __future__ import annotations

import os
import signal
import ssl
import subprocess
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path

import attrs
import pytest
import trio

from groupd import app
from groupd.client import ClientLimits, EventStream, GroupEvent
from groupd.client.backoff import Backoff
from groupd.config import TlsConfig
from groupd.errors import ConfigError, Disconnected, Rejected
from groupd.server.certificates import client_context
from tests.certificates import authority, make_certificate
from tests.e2e.process import GROUPD, PATIENCE_S, Groupd, Process, environment, until
from tests.e2e.raw import dial

QUICK = ClientLimits(backoff=Backoff(base_ms=20, cap_ms=100))


@attrs.frozen
class Protected:
    """A server that listens with TLS and without."""

    process: Process
    tls: str
    tcp: str
    ca: Path

    @property
    def context(self) -> ssl.SSLContext:
        return client_context(self.ca)


@asynccontextmanager
async def serving(groupd: Groupd, files: TlsConfig | None = None) -> AsyncIterator[Protected]:
    files = files or make_certificate(groupd.directory)
    options = ["--listen", "tls://127.0.0.1:0"]
    options += ["--tls-cert", str(files.certificate), "--tls-key", str(files.key)]
    async with groupd.serving(None, *options) as process:
        tcp, tls = next(entry["urls"] for entry in process.log() if entry["event"] == "serving")
        assert tls.startswith("tls://127.0.0.1:")
        yield Protected(process, tls, tcp, authority(files))


async def next_event(stream: EventStream, kind: str) -> GroupEvent:
    while True:
        event = await anext(stream)
        if isinstance(event, GroupEvent) and event.kind == kind:
            return event


def begin(*command: str | Path) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [*map(str, command)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        env=environment(),
    )


def chat(url: str, token: str, *options: str | Path, lines: Sequence[str] = ()) -> str:
    """Chat at a terminal; give all that was said there, errors included."""
    done = subprocess.run(
        [str(GROUPD), "chat", "--server", url, "--token", token, *map(str, options)],
        input="\n".join(lines),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        env=environment(),
        timeout=PATIENCE_S,
        check=False,
    )
    return done.stdout


async def test_two_chat_over_tls_and_one_without_in_one_group(groupd: Groupd) -> None:
    async with serving(groupd) as server:
        token, context = server.process.token, server.context
        async with (
            app.connect(server.tls, token=token("ann"), tls=context) as ann,
            app.connect(server.tls, token=token("bob"), tls=context) as bob,
            app.connect(server.tcp, token=token("cat")) as cat,
        ):
            streams = [client.events() for client in (ann, bob, cat)]
            group = (await ann.create("Tea", members=["bob", "cat"]))["group"]
            texts = ["from Ann", "from Bob" * 500, "from Cat"]
            for client, text in zip((ann, bob, cat), texts, strict=True):
                await client.post(group, text)
            for stream in streams:
                heard = [await next_event(stream, "posted") for _ in texts]
                assert [event.fields["text"] for event in heard] == texts
            page = await bob.history(group, limit=500)
            assert [e["text"] for e in page["events"] if e["kind"] == "posted"] == texts
        assert await server.process.terminate() == 0
        assert not server.process.complaints()


async def test_a_client_that_is_killed_is_missed_by_nobody(groupd: Groupd) -> None:
    async with serving(groupd) as server:
        process = server.process
        async with app.connect(server.tls, token=process.token("ann"), tls=server.context) as ann:
            group, heard = (await ann.create("Tea"))["group"], ann.events()
            at_rest = process.descriptors()
            command = [GROUPD, "chat", "--server", server.tls, "--ca", server.ca]
            bob = begin(*command, "--token", process.token("bob"))
            assert bob.stdin is not None
            print(f"/join {group}", file=bob.stdin, flush=True)
            await next_event(heard, "joined")
            assert process.descriptors() == at_rest + 1
            os.kill(bob.pid, signal.SIGKILL)
            bob.communicate()
            await ann.post(group, "still there?")
            await until(lambda: process.descriptors() == at_rest)
        assert not process.complaints()


async def test_a_server_that_nobody_vouches_for_is_an_error_at_once(groupd: Groupd) -> None:
    async with serving(groupd) as server:
        token = server.process.token("ann")
        with pytest.raises(ConfigError, match=f"^{server.tls}: the server's certificate is not"):
            async with app.connect(server.tls, token=token, limits=QUICK):
                pass
        said = chat(server.tls, token)
        assert "self-signed certificate" in said
        assert "--ca FILE" in said
        assert "Traceback" not in said


async def test_a_server_that_shows_another_certificate_later_is_an_error_too(
    groupd: Groupd,
) -> None:
    """Trying again for ever would be silent, and would not help."""
    async with serving(groupd) as server:
        port, token = server.tls.rpartition(":")[2], server.process.token("ann")
        async with app.connect(server.tls, token=token, tls=server.context, limits=QUICK) as ann:
            await server.process.kill()
            other = make_certificate(groupd.directory)
            options = ["--listen", f"tls://127.0.0.1:{port}"]
            options += ["--tls-cert", str(other.certificate), "--tls-key", str(other.key)]
            async with groupd.serving(server.process.data, *options):
                with pytest.raises(ConfigError, match="not trusted"):
                    await ann.groups()


async def test_the_terminal_trusts_whom_it_is_told_to(
    groupd: Groupd, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with serving(groupd) as server:
        token = server.process.token("ann")
        assert "You are ann." in chat(server.tls, token, "--ca", server.ca, lines=["/chats"])
        by_name = server.tls.replace("127.0.0.1", "localhost")
        assert "You are ann." in chat(by_name, token, "--ca", server.ca)
        assert "--ca: nowhere.pem: No such file" in chat(server.tls, token, "--ca", "nowhere.pem")
        assert "--ca: expected a server tls://" in chat(server.tcp, token, "--ca", server.ca)
        monkeypatch.setenv("SSL_CERT_FILE", str(server.ca))
        assert "You are ann." in chat(server.tls, token)


async def test_a_wrong_kind_of_url_is_explained_and_not_tried_again(groupd: Groupd) -> None:
    async with serving(groupd) as server:
        token = server.process.token("ann")
        plain = server.tls.replace("tls://", "tcp://")
        with pytest.raises(Rejected, match="this address is for tls:// URLs"):
            async with app.connect(plain, token=token, limits=QUICK):
                pass
        protected = server.tcp.replace("tcp://", "tls://")
        with pytest.raises(ConfigError, match="does not speak TLS; is its URL tcp://"):
            async with app.connect(protected, token=token, tls=server.context, limits=QUICK):
                pass


async def test_a_server_that_accepts_and_says_nothing_is_given_up(
    autojump_clock: trio.testing.MockClock,
) -> None:
    (listener,) = await trio.open_tcp_listeners(0, host="127.0.0.1")
    port = listener.socket.getsockname()[1]
    with pytest.raises(Disconnected, match="nobody answers"):
        await app.expect_server(f"tls://127.0.0.1:{port}")
    await listener.aclose()


async def test_raw_bytes_over_tls_are_answered_in_any_pieces(groupd: Groupd) -> None:
    async with serving(groupd) as server, dial(server.tls, tls=server.context) as client:
        _, hello = client.frame("hello", {"token": server.process.token("ann")})
        for byte in hello:
            await client.send_bytes(bytes([byte]))
        assert (await client.answer(1))["user"] == "ann"


@pytest.mark.parametrize(
    ("options", "complaint"),
    [
        ("", "expected certificate and key, since listen has tls://127.0.0.1:0"),
        ("--tls-cert {cert}", "expected the file that belongs to certificate @ $.tls.key"),
        ("--tls-cert nowhere --tls-key {key}", "tls.certificate: nowhere: No such file"),
        ("--tls-cert {key} --tls-key {key}", "there is no certificate in it"),
        ("--tls-cert {cert} --tls-key {cert}", "there is no private key in it"),
    ],
)
async def test_what_is_wrong_with_the_files_is_said_before_anything_is_done(
    groupd: Groupd, options: str, complaint: str
) -> None:
    files = make_certificate(groupd.directory)
    words = options.format(cert=files.certificate, key=files.key).split()
    done = await groupd.run("serve", "--listen", "tls://127.0.0.1:0", "--data", "new", *words)
    assert done.returncode == 1
    assert complaint in done.stderr
    assert "Traceback" not in done.stderr
    assert not (groupd.directory / "new").exists()
