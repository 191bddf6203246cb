"""SIGHUP and trusted proxies with a real process, real files and real sockets."""

from __future__ import annotations

import os
import pty
import shutil
import signal
import subprocess
from pathlib import Path
from typing import Any

import pytest
import trio

from groupd.errors import Rejected
from groupd.server.certificates import client_context
from groupd.server.link import LinkBroken
from tests.certificates import authority, make_certificate
from tests.e2e.process import GROUPD, PATIENCE_S, Groupd, Process, environment, until
from tests.e2e.raw import RawClient, dial
from tests.server.headers import tcp


def write(groupd: Groupd, text: str) -> list[str]:
    """Write the configuration; give the options that name it."""
    path = groupd.directory / "groupd.toml"
    path.write_text(text)
    return ["--config", str(path)]


async def hang_up(server: Process) -> dict[str, Any]:
    """Send SIGHUP; give the line that says what came of it."""

    def said() -> list[dict[str, Any]]:
        return [line for line in server.log() if line["event"] in ("reloaded", "reload_refused")]

    before = len(said())
    os.kill(server.pid, signal.SIGHUP)
    await until(lambda: len(said()) > before)
    return said()[before]


async def test_hanging_up_reloads_what_is_written_and_drops_nobody(groupd: Groupd) -> None:
    options = write(groupd, "[plans.ordinary]\ngroups_owned_max = 1\n")
    async with groupd.serving(None, *options) as server, server.enter("ann") as ann:
        group = (await ann.ask("create", name="One"))["group"]
        with pytest.raises(Rejected, match="quota_exceeded"):
            await ann.ask("create", name="Two")
        write(groupd, "[plans.ordinary]\ngroups_owned_max = 2\n")
        assert (await hang_up(server))["changed"] == ["plans.ordinary"]
        assert (await ann.ask("create", name="Two"))["group"] != group

        write(groupd, "categories = 5\n[plans.ordinary]\ngroups_owned_max = 9\n")
        refused = await hang_up(server)
        assert (refused["event"], refused["level"]) == ("reload_refused", "error")
        assert "expected array @ $.categories" in refused["reason"]
        with pytest.raises(Rejected, match="quota_exceeded"):
            await ann.ask("create", name="Three")

        (server.data / "secret").rename(server.data / "gone")
        write(groupd, "")
        assert "there is no secret" in (await hang_up(server))["reason"]
        assert await ann.ask("ping")
        (server.data / "gone").rename(server.data / "secret")
        assert await server.terminate() == 0


async def test_a_word_list_is_read_again_by_hanging_up(groupd: Groupd) -> None:
    listed = groupd.directory / "words.txt"
    listed.write_text("casino\n")
    options = write(groupd, f'[words]\nfiles = ["{listed}"]\n')
    async with groupd.serving(None, *options) as server, server.enter("ann") as ann:
        group = (await ann.ask("create", name="One"))["group"]
        with pytest.raises(Rejected, match="forbidden"):
            await ann.ask("post", group=group, text="ca-sino")
        listed.write_text("赌博\n")
        assert (await hang_up(server))["changed"] == ["words.files"]
        assert await ann.ask("post", group=group, text="casino")
        with pytest.raises(Rejected, match="forbidden") as caught:
            await ann.ask("post", group=group, text="去赌 博")
        assert caught.value.details == {"reason": "words", "field": "text"}
        listed.write_text("tea\n$$$\n")
        refused = await hang_up(server)
        assert f"{listed}, line 2" in refused["reason"]
        with pytest.raises(Rejected, match="forbidden"):
            await ann.ask("post", group=group, text="赌博")
        assert await server.terminate() == 0


async def test_a_certificate_is_renewed_by_hanging_up(groupd: Groupd) -> None:
    old, new = groupd.directory / "old", groupd.directory / "new"
    for directory in (old, new):
        directory.mkdir()
    files, renewed = make_certificate(old), make_certificate(new)
    trusted = client_context(authority(files))
    options = ["--listen", "tls://127.0.0.1:0"]
    options += ["--tls-cert", str(files.certificate), "--tls-key", str(files.key)]
    async with groupd.serving(None, *options) as server:
        _, url = next(entry["urls"] for entry in server.log() if entry["event"] == "serving")
        async with dial(url, tls=trusted) as ann:
            await ann.hello(server.token("ann"))
            # The key of one with the certificate of the other, as for a moment while they change.
            shutil.copy(str(renewed.certificate), str(files.certificate))
            assert "is not the key of" in (await hang_up(server))["reason"]
            shutil.copy(str(renewed.key), str(files.key))
            assert (await hang_up(server))["event"] == "reloaded"
            assert await ann.ask("ping")
            async with dial(url, tls=client_context(authority(renewed))) as bob:
                await bob.hello(server.token("bob"))
            assert await ann.ask("ping")
        assert await server.terminate() == 0


async def test_a_proxy_speaks_for_its_clients_and_nobody_else_does(groupd: Groupd) -> None:
    options = write(groupd, 'trusted_proxies = ["127.0.0.2/32"]\n')
    async with groupd.serving(None, *options) as server:
        port = int(server.url.rpartition(":")[2])

        async def connect(source: str) -> RawClient:
            return RawClient(await connect_from(source, port))

        client = await connect("127.0.0.2")
        await client.send_bytes(tcp("203.0.113.7") + client.frame("ping", {})[1])
        await client.hello(server.token("ann"))
        await client.close()
        stranger = await connect("127.0.0.1")
        await stranger.send_bytes(tcp("203.0.113.7"))
        assert ((await stranger.drain()) or {})["code"] == "bad_request"
        await stranger.close()
        silent = await connect("127.0.0.2")
        await silent.send_bytes(silent.frame("ping", {})[1])
        assert "PROXY protocol" in ((await silent.drain()) or {})["message"]
        await silent.close()
        (hello,) = [line for line in server.log() if line["event"] == "hello"]
        assert hello["peer"] == "203.0.113.7"
        await until(lambda: any(line["event"] == "proxy_refused" for line in server.log()))
        # Whom it trusts may change, too.
        write(groupd, "")
        assert (await hang_up(server))["changed"] == ["trusted_proxies"]
        plain = await connect("127.0.0.2")
        await plain.hello(server.token("bob"))
        await plain.close()


async def connect_from(source: str, port: int) -> Any:
    """Connect to this machine from another of its addresses."""
    stream = await trio.open_tcp_stream("127.0.0.1", port, local_address=source)
    return StreamLink(stream)


class StreamLink:
    """As much of a link as a raw client uses, over a stream of trio's."""

    peer = "127.0.0.1"

    def __init__(self, stream: trio.SocketStream) -> None:
        self._stream = stream

    async def send_all(self, data: bytes) -> None:
        await self._stream.send_all(data)

    async def receive_some(self, max_bytes: int) -> bytes:
        try:
            return bytes(await self._stream.receive_some(max_bytes))
        except trio.BrokenResourceError as error:
            raise LinkBroken(str(error)) from error

    async def aclose(self) -> None:
        await self._stream.aclose()


def test_a_terminal_that_is_closed_ends_what_was_tried_in_it(tmp_path: Path) -> None:
    ours, theirs = pty.openpty()
    server = subprocess.Popen(
        [str(GROUPD), "serve", "--data", str(tmp_path / "d"), "--listen", "tcp://127.0.0.1:0"],
        stdin=subprocess.DEVNULL,
        stdout=theirs,
        stderr=theirs,
        env=environment(),
    )
    os.close(theirs)
    try:
        shown = b""
        while b"serving" not in shown:
            shown += os.read(ours, 4_096)
        # Somebody is looking on: it is a reload like any other.
        server.send_signal(signal.SIGHUP)
        while b"reloaded" not in shown:
            shown += os.read(ours, 4_096)
        os.close(ours)
        server.send_signal(signal.SIGHUP)
        server.wait(PATIENCE_S)
    finally:
        server.kill()
        server.wait()
