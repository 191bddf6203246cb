"""What docs/operations.md says to type is run, and what it says one sees is seen."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any, Final

import pytest
import trio

from groupd.cli import main as cli
from groupd.errors import LogBroken
from tests.e2e.process import Groupd, Process, now_id
from tests.operate.rig import FILE, damage, group_key

ROOT: Final = Path(__file__).parent.parent.parent
PAGE: Final = (ROOT / "docs" / "operations.md").read_text()
SOURCES: Final = "".join(path.read_text() for path in (ROOT / "src").rglob("*.py"))


def steps(heading: str) -> list[str]:
    """Give the lines that a section says to type."""
    section = PAGE.split(f"\n## {heading}\n")[1].split("\n## ")[0]
    (block,) = re.findall(r"```sh\n(.*?)```", section, re.DOTALL)
    return str(block).splitlines()


class Machine:
    """A machine whose server stops and starts as the page says. Its files are under ``root``."""

    def __init__(self, groupd: Groupd) -> None:
        self._groupd = groupd
        self.root = groupd.directory
        self.data = self.root / "var/lib/groupd"
        self.backups = self.root / "var/backups/groupd"
        self.backups.mkdir(parents=True)
        self.server: Process | None = None
        self._stack = AsyncExitStack()

    async def __aenter__(self) -> Machine:
        await self.start()
        return self

    async def __aexit__(self, *error: object) -> None:
        await self._stack.aclose()

    async def start(self) -> None:
        self.server = await self._stack.enter_async_context(self._groupd.serving(self.data))

    async def stop(self) -> None:
        assert self.server is not None
        assert await self.server.terminate() == 0
        self.server = None

    async def follow(self, heading: str, *, group: str = "") -> list[str]:
        """Do what a section says; gives what the commands have printed."""
        printed = []
        for line in steps(heading):
            if line == "# stop the server":
                await self.stop()
            elif line == "# start the server":
                await self.start()
            else:
                line = re.sub(r" /var/", f" {self.root}/var/", line).replace("GROUP", group)
                program, *arguments = line.split()
                if program == "groupd":
                    done = await self._groupd.run(*arguments)
                    assert done.returncode == 0, (line, done.stdout, done.stderr)
                    printed.append(done.stdout)
                else:
                    assert program in ("cp", "mv")
                    await trio.run_process([program, *arguments])
        return printed

    async def found(self, posts: int) -> str:
        assert self.server is not None
        async with self.server.enter("ann") as ann:
            group: str = (await ann.ask("create", name="Tea"))["group"]
            await self.post(group, posts)
        return group

    async def post(self, group: str, posts: int) -> None:
        assert self.server is not None
        async with self.server.enter("ann") as ann:
            for number in range(posts):
                await ann.ask("post", group=group, text=f"{number}")

    async def texts(self, group: str) -> list[str]:
        assert self.server is not None
        async with self.server.enter("ann") as ann:
            events = (await ann.ask("history", group=group, after=0, limit=500))["events"]
        return [event["text"] for event in events if event["kind"] == "posted"]


async def test_a_backup_is_made_and_restored_as_the_page_says(groupd: Groupd) -> None:
    async with Machine(groupd) as machine:
        assert machine.server is not None
        group = await machine.found(3)
        async with machine.server.enter("ann") as ann:
            code = (await ann.ask("share_link", group=group))["code"]
            store = ann.greeting["store"]
        printed = await machine.follow("Backups")
        assert "All is well" in printed[-1]
        await machine.post(group, 2)
        token = machine.server.token("bob")
        await machine.follow("Restoring all")
        assert await machine.texts(group) == ["0", "1", "2"]
        assert any(entry["event"] == "restored" for entry in machine.server.log())
        async with machine.server.enter("bob") as bob:
            assert bob.greeting["store"] != store
            assert (await bob.ask("open_link", code=code))["group"]
            await bob.ask("hello", token=token)
        assert not machine.server.complaints()


async def test_a_damaged_group_is_found_and_mended_as_the_page_says(groupd: Groupd) -> None:
    async with Machine(groupd) as machine:
        bad, good = await machine.found(3), await machine.found(3)
        await machine.follow("Backups")
        await machine.post(bad, 2)
        await machine.stop()
        damage(machine.data, group_key(bad), 4)
        await machine.start()
        assert machine.server is not None
        # Beside the running server, and without one.
        beside = await groupd.run("check", "--data", machine.data)
        assert beside.returncode == 1
        assert f"group//{bad}" in beside.stdout
        assert re.search(r"\b4\b.*its body", beside.stdout)
        assert good not in beside.stdout
        assert "groupd mend" in beside.stdout
        assert await machine.texts(good) == ["0", "1", "2"]
        refused = await groupd.run("mend", bad, "--from", machine.backups / "monday",
                                   "--data", machine.data)  # fmt: skip
        assert (refused.returncode, "stop it before" in refused.stderr) == (1, True)
        printed = await machine.follow("Mending one group", group=bad)
        assert "1 records were put back: 4." in printed[0]
        assert await machine.texts(bad) == ["0", "1", "2", "0", "1"]


async def test_an_export_is_moved_as_the_page_says(groupd: Groupd) -> None:
    async with Machine(groupd) as machine:
        assert machine.server is not None
        group = await machine.found(3)
        id_ = now_id()
        async with machine.server.enter("ann") as ann:
            code = (await ann.ask("share_link", group=group))["code"]
            first = await ann.ask("post", group=group, text="once", id=id_)
        printed = await machine.follow("Moving")
        assert "2 streams" in printed[0]
        assert await machine.texts(group) == ["0", "1", "2", "once"]
        async with machine.server.enter("ann") as ann:
            assert await ann.ask("post", group=group, text="once", id=id_) == first
            assert (await ann.ask("open_link", code=code))["group"]
        assert sorted(path.name for path in machine.backups.iterdir()) == ["groups.export"]


async def test_an_upgrade_goes_as_the_page_says(groupd: Groupd) -> None:
    async with Machine(groupd) as machine:
        group = await machine.found(1)
        await machine.follow("Upgrading, and back")
        assert await machine.texts(group) == ["0"]


# --- what one sees


async def test_a_second_server_and_a_damaged_file_end_with_1_and_say_so(groupd: Groupd) -> None:
    async with Machine(groupd) as machine:
        second = await groupd.run("serve", "--data", machine.data, "--listen", "tcp://127.0.0.1:0")
        assert second.returncode == 1
        assert "is in use by another groupd process" in second.stderr
        await machine.stop()
        for data, said in (
            (b"x" * 5_000, "is not a groupd store"),
            (b"", "database disk image is malformed"),
        ):
            file = machine.data / FILE
            whole = file.read_bytes()
            file.write_bytes(data or whole[:100] + b"\xff" * 1_000 + whole[1_100:])
            for command in ("serve", "check"):
                done = await groupd.run(command, "--data", machine.data)
                assert done.returncode == 1
                assert said in done.stderr
                assert "Traceback" not in done.stderr
            file.write_bytes(whole)


# Cyclopts wonders at being run without arguments inside a test.
@pytest.mark.filterwarnings("ignore:Cyclopts application")
@pytest.mark.parametrize(
    ("error", "code"),
    [
        (LogBroken("groupd.sqlite3: IOError"), 1),
        (ExceptionGroup("", [LogBroken("groupd.sqlite3: IOError")]), 1),
        (KeyboardInterrupt(), 130),
        (BaseExceptionGroup("", [BaseExceptionGroup("", [KeyboardInterrupt()])]), 130),
    ],
)
def test_an_error_of_the_disk_ends_with_1_and_an_interrupt_with_130(
    error: BaseException,
    code: int,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    def run(*_arguments: Any) -> None:
        raise error

    monkeypatch.setattr(trio, "run", run)
    monkeypatch.setattr("sys.argv", ["groupd", "check"])
    with pytest.raises(SystemExit) as raised:
        cli()
    assert raised.value.code == code
    assert (code == 130) or "groupd: groupd.sqlite3: IOError" in capsys.readouterr().err


async def test_backup_and_export_refuse_what_is_there_with_1(groupd: Groupd) -> None:
    async with groupd.serving() as server:
        there = groupd.directory / "there"
        there.write_text("mine")
        for command in ("backup", "export"):
            done = await groupd.run(command, there, "--data", server.data)
            assert done.returncode == 1
            assert "is there already" in done.stderr
            assert "retry_after_ms" not in done.stderr, "that is for programs"
            done = await groupd.run(command, groupd.directory / "new", "--data", "nowhere")
            assert done.returncode == 1
            assert "nowhere: there is no store" in done.stderr
        missing = groupd.directory / "no" / "such" / "place"
        done = await groupd.run("export", missing, "--data", server.data)
        assert done.returncode == 1
        assert f"there is no directory {missing.parent}" in done.stderr
        assert ".copy" not in done.stderr
        done = await groupd.run("backup", server.data / "backup", "--data", server.data)
        assert (done.returncode, "inside of the data" in done.stderr) == (1, True)
        done = await groupd.run("import", there, "--data", groupd.directory / "empty")
        assert done.returncode == 1
        assert "not what groupd export writes" in done.stderr
        assert there.read_text() == "mine"
        assert not (groupd.directory / "empty").exists()


async def test_the_metrics_listener_answers_beside_the_server(groupd: Groupd) -> None:
    config = groupd.directory / "groupd.toml"
    config.write_text('[metrics]\nlisten = "http://127.0.0.1:0"\n')
    async with groupd.serving(None, "--config", str(config)) as server:
        url = next(entry["metrics"] for entry in server.log() if entry["event"] == "serving")
        host, port = url.removeprefix("http://").split(":")
        for path, said in (
            ("/healthz", "ok"),
            ("/readyz", "ready"),
            ("/metrics", 'groupd_store_bytes{file="store"}'),
        ):
            stream = await trio.open_tcp_stream(host, int(port))
            async with stream:
                request = f"GET {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"
                await stream.send_all(request.encode())
                answer = b"".join([part async for part in stream]).decode()
            assert answer.startswith("HTTP/1.1 200"), answer
            assert said in answer
        assert not server.complaints()


async def test_without_the_setting_there_is_no_such_listener(groupd: Groupd) -> None:
    async with groupd.serving() as server:
        assert next(e["metrics"] for e in server.log() if e["event"] == "serving") is None


# --- the page itself


def events() -> Iterator[str]:
    for row in re.findall(r"^\| (.*) \|$", PAGE, re.MULTILINE):
        yield from re.findall(r"`([a-z]+_[a-z]+)`(?= (?:once )?in the log)", row)
    yield from re.findall(r"`([a-z_]+)`(?: and `[a-z_]+`)? in the log", PAGE)


def test_what_the_page_says_is_in_the_log_is_logged_somewhere() -> None:
    named = set(events())
    assert {"stream_quarantined", "reactor_waits", "restored", "index_rebuilding"} <= named
    for event in named:
        assert f'"{event}"' in SOURCES, event


def test_the_files_and_settings_that_the_page_names_exist() -> None:
    assert '"backup.json"' in SOURCES
    assert '"link-keys.json"' in SOURCES
    for setting in ("connections_max", "backlog_max_bytes", "rate_per_s"):
        assert f"    {setting}: int" in SOURCES
        assert f"`{setting}`" in PAGE
