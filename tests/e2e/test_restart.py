"""What an end of the process leaves behind: a kill, a stop, a second server, a flipped bit."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Collection
from contextlib import closing
from functools import partial
from pathlib import Path
from typing import Any, Final

import trio

from tests.e2e.process import Groupd, Process, until
from tests.e2e.raw import Map, RawClient

WELL = "All is well"


async def chat(server: Process, count: int) -> tuple[str, list[Map]]:
    """Found a group and talk in it; give the group and the events that were pushed."""
    async with server.enter_all(["ann", "bob"]) as (ann, bob):
        group = (await ann.ask("create", name="Tea", members=["bob"], category="food"))["group"]
        for number in range(count):
            await bob.ask("post", group=group, text=f"hello {number} \N{HOT BEVERAGE}")
        await ann.ask("announce", group=group, text="Tea at five")
        await ann.ask("pin", group=group, seq=4)
        await bob.ask("acknowledge", group=group, seq=count + 4)
        await ann.ask("share_link", group=group, channel="wechat")
        head = (await ann.ask("history", group=group))["head"]
        while not (events := ann.events(group)) or events[-1]["seq"] < head:
            await ann.receive()
        return group, events


async def whole_history(client: RawClient, group: str) -> list[Map]:
    events: list[Map] = []
    while True:
        after = events[-1]["seq"] if events else 0
        page = await client.ask("history", group=group, after=after, limit=50)
        events += page["events"]
        if not page["more"]:
            return events


def content(data: Path) -> dict[str, list[Any]]:
    """Give every row of every table of a store that nobody has open."""
    uri = f"file:{data / 'groupd.sqlite3'}?mode=ro"
    with closing(sqlite3.connect(uri, uri=True)) as connection:
        names = connection.execute("select name from sqlite_master where type = 'table'")
        return {
            name: sorted(connection.execute(f'select * from "{name}"'), key=repr)
            for (name,) in names.fetchall()
            if not name.startswith(INSIDES)
        }


INSIDES: Final = ("words_", "places_")
"""How full-text index and R*Tree lie in tables of their own, which depends on their history."""


async def test_what_was_acknowledged_is_there_after_a_kill(groupd: Groupd, tmp_path: Path) -> None:
    data = tmp_path / "data"
    async with groupd.serving(data) as server:
        group, events = await chat(server, 120)
        await server.kill()
    # Without a server.
    assert WELL in (await groupd.run("check", "--data", data)).stdout
    shown = await groupd.run("log", group, "--data", data, "--json")
    assert [json.loads(line) for line in shown.stdout.splitlines()] == events
    async with groupd.serving(data) as server:
        async with server.enter("ann") as ann:
            assert await whole_history(ann, group) == events
            info = await ann.ask("info", group=group)
            assert info["announcement"]["text"] == "Tea at five"
            assert [pin["seq"] for pin in info["pins"]] == [4]
            assert (info["stats"]["members"], info["stats"]["messages"]) == (2, 121)
        # Beside it.
        checked = await groupd.run("check", "--data", data)
        assert (checked.returncode, checked.stderr) == (0, "")
        assert WELL in checked.stdout
        shown = await groupd.run("log", group, "--data", data, "--json")
        assert [json.loads(line) for line in shown.stdout.splitlines()] == events
        shown = await groupd.run("log", group, "--data", data, "--after", "2", "--limit", "3")
        lines = shown.stdout.splitlines()
        assert [line.split()[0] for line in lines] == ["3", "4", "5"]
        assert "hello 0" in lines[1]
        shown = await groupd.run("log", "ann", "--account", "--data", data)
        assert "owned" in shown.stdout
        missing = await groupd.run("log", "NOSUCHGROUP00000", "--data", data)
        assert missing.returncode == 1
        assert missing.stderr.startswith("groupd: no group")
        assert missing.stderr.count("\n") == 1
        assert not server.complaints()


async def test_killed_in_the_middle_of_things_a_store_is_whole(
    groupd: Groupd, tmp_path: Path
) -> None:
    data = tmp_path / "data"
    acknowledged: dict[str, list[tuple[int, str]]] = {}
    for cycle in range(3):
        async with groupd.serving(data) as server:
            users = [f"user{cycle}{n}" for n in range(4)]
            async with server.enter_all(users) as clients, trio.open_nursery() as nursery:

                async def talk(client: RawClient) -> None:
                    group = (await client.ask("create", name="Tea"))["group"]
                    said = acknowledged[group] = []
                    try:
                        for number in range(1_000_000):
                            told = await client.ask("post", group=group, text=f"{number}")
                            said.append((told["seq"], f"{number}"))
                    except (EOFError, trio.BrokenResourceError):
                        pass

                for client in clients:
                    nursery.start_soon(talk, client)
                await until(partial(has_reached, acknowledged.values(), 200 * (cycle + 1)))
                await server.kill()
    async with groupd.serving(data) as server:
        checked = await groupd.run("check", "--data", data)
        assert WELL in checked.stdout
        for group, said in acknowledged.items():
            shown = await run_log(groupd, data, group)
            posted = {event["seq"]: event["text"] for event in shown if event["kind"] == "posted"}
            assert dict(said).items() <= posted.items()
            # Of the last one nobody knows; all else was acknowledged.
            assert len(posted) - len(said) in (0, 1)


def has_reached(said: Collection[list[Any]], count: int) -> bool:
    return sum(map(len, said)) >= count


async def run_log(groupd: Groupd, data: Path, group: str) -> list[Map]:
    shown = await groupd.run("log", group, "--data", data, "--json")
    return [json.loads(line) for line in shown.stdout.splitlines()]


async def test_sigterm_drains_writes_and_ends_with_zero(groupd: Groupd, tmp_path: Path) -> None:
    data = tmp_path / "data"
    async with groupd.serving(data) as server:
        group, events = await chat(server, 30)
        async with server.enter_all(["ann", "bob"]) as clients:
            posts = [
                [await client.send("post", group=group, text="late") for _ in range(20)]
                for client in clients
            ]
            await clients[0].answer(posts[0][0])
            assert await server.terminate() == 0
            told = 1
            for client, sent in zip(clients, posts, strict=True):
                goodbye = await client.drain()
                assert goodbye is not None
                assert goodbye["code"] == "unavailable"
                assert goodbye["retry_after_ms"] > 0
                told += sum(msgid in client.answers for msgid in sent)
        assert [entry["event"] for entry in server.log()][-1] == "stopped"
        assert not server.complaints()
    wal = data / "groupd.sqlite3-wal"
    assert not wal.exists() or wal.stat().st_size == 0
    assert not (data / "groupd.sock").exists()
    async with groupd.serving(data) as server, server.enter("ann") as ann:
        history = await whole_history(ann, group)
        assert history[: len(events)] == events
        assert len(history) - len(events) == told


async def test_a_kill_leaves_a_stale_socket_that_the_next_start_replaces(
    groupd: Groupd, tmp_path: Path
) -> None:
    data = tmp_path / "data"
    async with groupd.serving(data) as server:
        await server.kill()
        assert (data / "groupd.sock").exists()
    # With nobody behind it, the files are asked.
    assert WELL in (await groupd.run("check", "--data", data)).stdout
    async with groupd.serving(data):
        assert WELL in (await groupd.run("check", "--data", data)).stdout


async def test_a_second_server_on_the_same_data_is_refused(groupd: Groupd, tmp_path: Path) -> None:
    data = tmp_path / "data"
    async with groupd.serving(data) as server, server.enter("ann") as ann:
        for _ in range(2):
            second = await groupd.run("serve", "--data", data, "--listen", "tcp://127.0.0.1:0")
            assert second.returncode == 1
            [line] = [text for text in second.stderr.splitlines() if not text.startswith("{")]
            assert line.startswith("groupd: ")
            assert f"{data} is in use by another groupd process" in line
        # On the same address, with data of its own.
        other = await groupd.run("serve", "--data", tmp_path / "other", "--listen", server.url)
        assert other.returncode == 1
        [line] = [text for text in other.stderr.splitlines() if not text.startswith("{")]
        assert server.url in line
        assert "Address already in use" in line
        assert not (tmp_path / "other" / "groupd.sock").exists()
        assert (await ann.ask("create", name="Tea"))["seq"] == 1
        assert WELL in (await groupd.run("check", "--data", data)).stdout
        assert not server.complaints()


async def test_an_index_made_anew_is_the_index_that_was_there(
    groupd: Groupd, tmp_path: Path
) -> None:
    data = tmp_path / "data"
    async with groupd.serving(data) as server:
        group, _ = await chat(server, 40)
        async with server.enter_all(["bob", "eve"]) as (bob, eve):
            await bob.ask("read", group=group, seq=7)
            await eve.ask("join", group=group)
            await bob.ask("leave", group=group)
            await eve.ask("create", name="Gone", ref="r1")
            gone = (await eve.ask("groups"))["groups"]
            await eve.ask("dissolve", group=next(g["group"] for g in gone if g["name"] == "Gone"))
        refused = await groupd.run("check", "--rebuild-index", "--data", data)
        assert refused.returncode == 1
        assert "stop it" in refused.stderr
        assert refused.stderr.count("\n") == 1
        assert await server.terminate() == 0
    before = content(data)
    rebuilt = await groupd.run("check", "--rebuild-index", "--data", data)
    assert rebuilt.returncode == 0, rebuilt.stdout + rebuilt.stderr
    assert WELL in rebuilt.stdout
    assert content(data) == before
    async with groupd.serving(data) as server, server.enter("eve") as eve:
        [place] = eve.greeting["groups"]
        assert (place["group"], place["name"]) == (group, "Tea")


async def test_a_flipped_byte_is_found(groupd: Groupd, tmp_path: Path) -> None:
    data = tmp_path / "data"
    async with groupd.serving(data) as server:
        group, _ = await chat(server, 40)
        assert await server.terminate() == 0
    file = data / "groupd.sqlite3"
    sound = file.read_bytes()
    at = sound.index(b"hello 17 ")
    file.write_bytes(sound[: at + 6] + b"9" + sound[at + 7 :])
    found = await groupd.run("check", "--data", data)
    assert found.returncode == 1
    assert WELL not in found.stdout
    assert group in found.stdout
    # The server does not show what it cannot vouch for without a word, and does not crash.
    async with groupd.serving(data) as server:
        beside = await groupd.run("check", "--data", data)
        assert beside.returncode == 1
        assert group in beside.stdout
        async with server.enter("carl") as carl:
            assert (await carl.ask("create", name="Another"))["seq"] == 1
    file.write_bytes(sound)
    (data / "groupd.sqlite3-wal").unlink(missing_ok=True)
    assert WELL in (await groupd.run("check", "--data", data)).stdout


async def test_a_file_that_is_no_store_is_refused_in_one_line(
    groupd: Groupd, tmp_path: Path
) -> None:
    data = tmp_path / "data"
    data.mkdir()
    (data / "groupd.sqlite3").write_bytes(b"this is not a database" * 1_000)
    for command in ("serve", "check"):
        refused = await groupd.run(command, "--data", data)
        assert refused.returncode == 1
        [line] = [text for text in refused.stderr.splitlines() if not text.startswith("{")]
        assert "is not a groupd store" in line
