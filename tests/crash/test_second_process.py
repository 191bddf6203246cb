"""Two processes want the same data: one has it, the other is told so, and nothing is disturbed."""

from __future__ import annotations

from pathlib import Path
from typing import Final

import pytest
import trio

from groupd.app import open_hub
from groupd.errors import LogUnavailable
from tests.crash.commands import Server, check, starting
from tests.e2e.process import Groupd, Launcher

REFUSED: Final = 1
"""The exit code of a command that ends with one expected error (``cli/main.py``)."""


def expect_refusal(server: Server, data: Path) -> None:
    assert server.exit_code == REFUSED
    [line] = server.last_words()
    assert line.startswith(f"groupd: {data} is in use by another groupd process")
    assert "stop that one first" in line
    assert not server.has_traceback()


async def second(launcher: Launcher, data: Path, directory: Path, *options: str) -> None:
    async with starting(launcher, data, directory, *options) as server:
        assert not await server.serves()
        expect_refusal(server, data)


async def test_a_second_server_is_refused_while_the_first_is_spoken_to(
    launcher: Launcher, tmp_path: Path
) -> None:
    data, elsewhere = tmp_path / "data", tmp_path / "linked"
    async with starting(launcher, data, tmp_path) as first:
        await first.started()
        elsewhere.symlink_to(data)
        before = {path.name: path.stat().st_ino for path in data.iterdir()}
        async with first.enter_all(["ann", "bob"]) as (ann, bob):
            group = (await ann.ask("create", name="Tea", members=["bob"]))["group"]
            said = 0
            tried = trio.Event()

            async def speak() -> None:
                nonlocal said
                while not tried.is_set():
                    said += 1
                    await ann.ask("post", group=group, text=f"{said}")

            async with trio.open_nursery() as nursery:
                nursery.start_soon(speak)
                await second(launcher, data, tmp_path)
                await second(launcher, elsewhere, tmp_path)
                tried.set()
            assert said > 0
            head = (await bob.ask("history", group=group))["head"]
            while not (events := bob.events(group)) or events[-1]["seq"] < head:
                await bob.receive()
            posted = [event["text"] for event in events if event["kind"] == "posted"]
            assert posted == [f"{number}" for number in range(1, said + 1)]
        assert {path.name: path.stat().st_ino for path in data.iterdir()} == before
        # Who asks beside it still finds it over its socket.
        assert await check(launcher, data, tmp_path) == ""
        assert not first.complaints()
        assert await first.terminate() == 0
    async with starting(launcher, data, tmp_path) as again:
        await again.started()


async def test_a_library_is_refused_the_data_of_a_server(
    launcher: Launcher, tmp_path: Path
) -> None:
    data = tmp_path / "data"
    async with starting(launcher, data, tmp_path) as first:
        await first.started()
        with pytest.raises(LogUnavailable, match="in use by another groupd process"):
            async with open_hub(data):
                raise AssertionError("it was let in")
        async with first.enter("ann") as ann:
            assert (await ann.ask("create", name="Tea"))["seq"] == 1


async def test_of_servers_that_start_together_on_new_data_one_serves(
    launcher: Launcher, tmp_path: Path
) -> None:
    for number in range(3):
        data = tmp_path / f"data{number}"
        async with (
            starting(launcher, data, tmp_path) as one,
            starting(launcher, data, tmp_path) as other,
            starting(launcher, data, tmp_path) as third,
        ):
            serving: list[Server] = []
            refused: list[Server] = []
            for server in (one, other, third):
                (serving if await server.serves() else refused).append(server)
            assert len(serving) == 1, [server.last_words() for server in refused]
            for server in refused:
                expect_refusal(server, data)
            async with serving[0].enter("ann") as ann:
                assert (await ann.ask("create", name="Tea"))["seq"] == 1
            assert await check(launcher, data, tmp_path) == ""


async def test_a_server_in_memory_leaves_the_socket_of_the_one_that_has_the_data(
    groupd: Groupd, launcher: Launcher, tmp_path: Path
) -> None:
    data = tmp_path / "data"
    async with starting(launcher, data, tmp_path) as first:
        await first.started()
        async with starting(launcher, data, tmp_path, "--memory") as other:
            assert not await other.serves()
            assert other.exit_code == REFUSED
            assert "groupd.sock" in other.last_words()[-1]
        async with first.enter("ann") as ann:
            group = (await ann.ask("create", name="Tea"))["group"]
        shown = await groupd.run("log", group, "--data", data)
        assert (shown.returncode, shown.stderr) == (0, "")


async def test_the_refusal_says_which_process_has_the_data(
    launcher: Launcher, tmp_path: Path
) -> None:
    data = tmp_path / "data"
    async with starting(launcher, data, tmp_path) as first:
        await first.started()
        async with starting(launcher, data, tmp_path) as other:
            assert not await other.serves()
            assert f"pid {first.pid}" in other.last_words()[-1]


async def test_data_is_free_again_the_moment_its_server_was_killed(
    launcher: Launcher, tmp_path: Path
) -> None:
    data = tmp_path / "data"
    for _ in range(3):
        async with starting(launcher, data, tmp_path) as server:
            await server.started()
            await server.kill()
