"""``groupd audit`` and ``groupd consumers``: beside a server, and without one."""

from __future__ import annotations

import io
import json
import os
import sys
from pathlib import Path
from typing import Any

import pytest
import trio
from trio.testing import MockClock

from groupd.app import open_hub
from groupd.cli import watching
from groupd.cli.users import revoke
from groupd.config import Config
from groupd.domain.base import Identity
from groupd.engine.hub import Hub
from groupd.engine.mail import Behalf
from groupd.server.metrics import CONSUMERS_MAX
from groupd.storage.audit_port import PutAudit
from tests.e2e.process import GROUPD, Groupd, environment
from tests.operate.test_metrics import collected
from tests.server.bench import open_bench


def lines(text: str) -> list[dict[str, Any]]:
    return [json.loads(line) for line in text.splitlines()]


async def test_what_the_operator_does_is_in_the_audit_beside_a_server_and_without_one(
    groupd: Groupd,
) -> None:
    async with groupd.serving() as server:
        data = ("--data", str(server.data))
        async with server.enter("ann"):
            assert (await groupd.run("revoke", "ann", *data)).returncode == 0
        await groupd.run("disconnect", "bob", *data)
        beside = await groupd.run("audit", *data)
        assert await server.terminate() == 0
    await groupd.run("revoke", "cat", *data)
    without = await groupd.run("audit", *data)
    shown = [
        (each["key"], each["as"], each["method"], each["account"]) for each in lines(without.stdout)
    ]
    assert shown == [
        ("operator", "system", "revoke", "cat"),
        ("operator", "system", "disconnect", "bob"),
        ("operator", "system", "revoke", "ann"),
    ]
    assert lines(beside.stdout) == lines(without.stdout)[1:]
    one = await groupd.run("audit", "--user", "bob", "--limit", "1", *data)
    assert [each["account"] for each in lines(one.stdout)] == ["bob"]
    assert (await groupd.run("audit", "--tenant", "other", *data)).stdout == ""


async def test_consumers_are_listed_beside_a_server_and_without_one(groupd: Groupd) -> None:
    data = groupd.directory / "data"
    async with open_hub(data) as hub:
        await some_consumers(hub)
    without = await groupd.run("consumers", "--data", str(data))
    async with groupd.serving(data):
        beside = await groupd.run("consumers", "--data", str(data))
    assert without.stdout == beside.stdout
    shown = {(each["tenant"], each["name"]): each for each in lines(beside.stdout)}
    assert list(shown) == [("", "done"), ("", "new"), ("a/b", "orders")]
    assert (shown["", "done"]["lag"], shown["", "done"]["since_ms"]) == (0, None)
    assert shown["", "new"]["lag"] > 0
    assert shown["", "new"]["since_ms"] > 0
    assert shown["", "new"]["last_error"] is None


async def some_consumers(hub: Hub) -> None:
    await hub.act_as("ann").create("Tea")
    await hub.feed.read("", "new")
    await hub.feed.read("", "done", begin="newest")
    await hub.feed.read("a/b", "orders")


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


@pytest.mark.parametrize("command", ["audit", "consumers", "log --account --json ann"])
async def test_where_nobody_reads_any_more_the_command_ends_without_a_word(
    groupd: Groupd, command: str
) -> None:
    data = groupd.directory / "data"
    async with open_hub(data) as hub:
        await some_consumers(hub)
    await groupd.run("revoke", "ann", "--data", str(data))
    reading, writing = os.pipe()
    os.close(reading)
    with os.fdopen(writing) as out:
        words = (str(GROUPD), *command.split(), "--data", str(data))
        ended = await trio.run_process(
            words, stdout=out, capture_stderr=True, check=False, env=environment()
        )
    assert (ended.returncode, ended.stderr) == (1, b"")


async def test_at_a_terminal_both_are_tables(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    data, terminal = tmp_path / "data", Terminal()
    monkeypatch.setenv("COLUMNS", "160")
    monkeypatch.setattr(sys, "stdout", terminal)
    config = Config(data=str(data))
    wanted = watching.Wanted(group="", user="", key="", tenant="", limit=None)
    async with open_hub(data) as hub:
        await hub.act_as("ann").create("Tea")
    await watching.show_audit(config, wanted)
    await watching.show_consumers(config)
    assert "Nothing of this was changed" in terminal.getvalue()
    assert "Nobody follows the feed" in terminal.getvalue()
    async with open_hub(data) as hub:
        await some_consumers(hub)
        behalf = Behalf("shop", "ban")
        group = Identity("bob").account
        entry = behalf.entry(group, time_ms=0, user="[red]system", seq=7, about="bob")
        await hub.log.write(PutAudit([entry]))
    await revoke(config, Identity("ann").account, None)
    terminal.truncate(0)
    await watching.show_audit(config, wanted)
    await watching.show_consumers(config)
    shown = terminal.getvalue()
    for text in ("1970-01-01 00:00:00", "[red]system", "operator", "revoke", "a/b", "orders"):
        assert text in shown


async def test_the_metrics_have_the_lag_of_those_that_are_furthest_behind(
    autojump_clock: MockClock,
) -> None:
    async with open_bench(limits={"feed_consumers_max": CONSUMERS_MAX + 1}) as bench:
        await bench.enter("ann", name="Ann")
        last = bench.store.last_position()
        assert last > 0
        for number in range(CONSUMERS_MAX):
            await bench.hub.feed.read("", f"c{number}")
        await bench.hub.feed.read("", "done", begin="newest")
        found = await collected(bench)
    assert found["groupd_consumers"] == CONSUMERS_MAX + 1
    lags = {name: value for name, value in found.items() if name.startswith("groupd_consumer_lag")}
    assert len(lags) == CONSUMERS_MAX
    assert lags['groupd_consumer_lag{tenant="",consumer="c0"}'] == last
    assert set(lags.values()) == {last}


async def test_an_operator_pages_consumers_and_sees_what_is_wrong(
    autojump_clock: MockClock,
) -> None:
    async with open_bench() as bench:
        for tenant, name in (("", "a"), ("", "b"), ("x", "a")):
            await bench.hub.feed.read(tenant, name)
        bench.hub.feed.note_error("x", "a", "the answer is 500")
        operator = bench.connect(address="operator")
        first = await operator.ask("operator_consumers", limit=2)
        assert [each["name"] for each in first["consumers"]] == ["a", "b"]
        rest = await operator.ask("operator_consumers", after=first["next"])
        assert "next" not in rest
        (last,) = rest["consumers"]
        assert (last["tenant"], last["last_error"]) == ("x", "the answer is 500")
