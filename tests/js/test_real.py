"""The client in JavaScript against real servers: groupd, and the one that plays hard moments."""

from __future__ import annotations

import json
import os
import re
import subprocess
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path
from typing import Any, Final

import pytest
import trio

from tests.browser.site import free_port
from tests.e2e.process import GROUPD, PATIENCE_S, ROOT, Groupd, Launcher, Process, environment
from tests.js.node import CLIENT, NODE, needs_node, run_node

pytestmark = needs_node
WEBSOCKET: Final = ("--experimental-websocket", "--no-warnings")
"""What gives Node 20 a WebSocket; later ones have it anyway."""


@pytest.fixture(scope="session")
def launcher() -> Iterator[Launcher]:
    launcher = Launcher()
    yield launcher
    launcher.close()


@pytest.fixture
def groupd(launcher: Launcher, tmp_path: Path) -> Groupd:
    return Groupd(launcher, tmp_path)


class Program:
    """``real_client.js`` in a process, and all that it has told."""

    def __init__(self, process: trio.Process) -> None:
        self._process = process
        self._changed = trio.Condition()
        self.told: list[dict[str, Any]] = []

    async def read(self) -> None:
        assert self._process.stdout is not None
        rest = b""
        async for data in self._process.stdout:
            *lines, rest = (rest + data).split(b"\n")
            self.told += map(json.loads, lines)
            async with self._changed:
                self._changed.notify_all()

    async def until(self, found: Callable[[list[dict[str, Any]]], Any]) -> Any:
        with trio.fail_after(PATIENCE_S):
            while not (what := found(self.told)):
                async with self._changed:
                    await self._changed.wait()
            return what

    async def ask(self, method: str, **params: Any) -> None:
        assert self._process.stdin is not None
        line = json.dumps({"method": method, "params": params})
        await self._process.stdin.send_all(f"{line}\n".encode())

    async def answer(self, method: str) -> dict[str, Any]:
        """Wait for the last answer to a method, and forget it."""
        told = await self.until(
            lambda told: [each for each in told if each.get("method") == method]
        )
        self.told.remove(told[0])
        assert "answer" in told[0], told[0]
        answer: dict[str, Any] = told[0]["answer"]
        return answer

    def events(self, group: str) -> list[dict[str, Any]]:
        heard = [each["heard"] for each in self.told if "heard" in each]
        return [e["event"] for e in heard if e["type"] == "event" and e["event"]["group"] == group]


@asynccontextmanager
async def program(url: str, token: str) -> AsyncIterator[Program]:
    assert NODE is not None
    command = [NODE, *WEBSOCKET, str(CLIENT / "tests" / "real_client.js"), url, token]
    async with trio.open_nursery() as nursery:
        process: trio.Process = await nursery.start(
            partial(
                trio.run_process,
                command,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                check=False,
            )
        )
        running = Program(process)
        nursery.start_soon(running.read)
        await running.until(lambda told: [each for each in told if "ready" in each])
        try:
            yield running
        finally:
            process.kill()
            nursery.cancel_scope.cancel()


def web_of(server: Process) -> str:
    """Give where the server lets browsers in."""
    (url,) = {entry["web"] for entry in server.log() if entry["event"] == "serving"}
    return str(url).replace("http://", "ws://") + "/ws"


async def test_clients_over_websocket_and_tcp_talk_over_a_restart(groupd: Groupd) -> None:
    port = free_port()
    tcp = f"tcp://127.0.0.1:{free_port()}"
    listen = ("--listen", tcp, "--web", f"http://127.0.0.1:{port}")
    async with groupd.serving(None, *listen) as server:
        mei, lin = server.token("mei"), server.token("lin")
        url = web_of(server)
        data = server.data
        async with program(url, mei) as web, program(tcp, lin) as plain:
            await web.ask("create", name="茶友", members=["lin"])
            group = (await web.answer("create"))["group"]
            for number in range(20):
                await web.ask("post", group=group, text=f"mei {number}")
                await plain.ask("post", group=group, text=f"lin {number}")
            await web.until(lambda _: len(posts(web, group)) == 40)
            await server.kill()
            # Said while nobody is there to hear it.
            for number in range(20, 30):
                await web.ask("post", group=group, text=f"mei {number}")
            async with groupd.serving(data, *listen):
                await plain.ask("post", group=group, text="lin 20")
                await web.until(lambda _: len(posts(web, group)) == 51)
                await plain.until(lambda _: len(posts(plain, group)) == 51)
            expected = sorted([*(f"mei {n}" for n in range(30)), *(f"lin {n}" for n in range(21))])
            for each in (web, plain):
                assert sorted(posts(each, group)) == expected
                seqs = [event["seq"] for event in each.events(group)]
                assert seqs == list(range(seqs[0], seqs[0] + len(seqs)))


def posts(client: Program, group: str) -> list[str]:
    return [event["text"] for event in client.events(group) if event["kind"] == "posted"]


def test_it_does_all_right_where_moments_are_hard() -> None:
    command = [str(GROUPD), "conformance", "--timeout", "60s"]
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, text=True, env=environment(), cwd=ROOT
    ) as server:
        assert server.stdout is not None
        where = [server.stdout.readline().split()[-1] for _ in range(2)]
        assert NODE is not None
        client = subprocess.Popen(
            [NODE, str(CLIENT / "tests" / "conformance_client.js"), *where, "--fast"]
        )
        try:
            said = server.stdout.read()
        finally:
            client.kill()
            client.wait()
    assert server.returncode == 0, said
    assert "0 wrong" in said


async def test_the_code_of_the_guide_runs(groupd: Groupd, tmp_path: Path) -> None:
    page = (ROOT / "docs" / "guide" / "javascript.md").read_text()
    code = "\n".join(re.findall(r"```js\n(.*?)```", page, re.DOTALL))
    modules = tmp_path / "node_modules"
    run_node(CLIENT / "pack.js", modules / "groupd-client")
    async with groupd.serving(None, "--web", "http://127.0.0.1:0") as server:
        for there, here in (
            ("ws://127.0.0.1:7480/ws", web_of(server)),
            ("tcp://127.0.0.1:7400", server.url),
            ('async () => (await fetch("/my-app/chat-token")).text()', repr(server.token("lin"))),
            ('"eyJ..."', repr(server.token("mei"))),
            # Somebody has to say something to be heard.
            (
                "for await (const heard of",
                'client.call("post", { group, text: "hear me" });\nfor await (const heard of',
            ),
        ):
            assert there in code
            code = code.replace(there, here)
        imports = re.findall(r"^import .*$", code, re.MULTILINE)
        body = re.sub(r"^import .*\n", "", code, flags=re.MULTILINE)
        program_ = tmp_path / "guide.mjs"
        program_.write_text("\n".join([*imports, body]))
        assert NODE is not None
        with trio.fail_after(PATIENCE_S):
            done = await trio.run_process(
                [NODE, *WEBSOCKET, str(program_)],
                capture_stdout=True,
                capture_stderr=True,
                check=False,
                env=os.environ,
            )
    said = done.stdout.decode()
    assert done.returncode == 0, done.stderr.decode()
    assert "not_found" in said
    assert said.rstrip().endswith("hear me")
