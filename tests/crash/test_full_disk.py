"""A disk that is full: writing is refused and reading goes on, until there is room again."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import AbstractAsyncContextManager
from pathlib import Path
from typing import Final

import pytest

from groupd.errors import Rejected
from tests.crash.clients import note_pushes, whole_log
from tests.crash.commands import Server, check, starting
from tests.crash.compare import problems
from tests.crash.namespace import CannotMount, SmallDisk, small_disk
from tests.crash.recording import Asked, Connection, Map, Recording
from tests.e2e.process import now_id
from tests.e2e.raw import RawClient

SIZE_BYTES: Final = 8 * 1024 * 1024
ROOM_BYTES: Final = 600 * 1024
TEXT: Final = "tea " * 1_000
POSTS_MAX: Final = 2_000
"""Far more than fit."""
REFUSED: Final = 10
"""Posts that are refused before there is room again."""


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[SmallDisk]:
    try:
        with small_disk(tmp_path, size_bytes=SIZE_BYTES) as found:
            yield found
    except CannotMount as reason:
        pytest.skip(f"nothing can be mounted here: {reason}")


class Poster:
    """One client that posts, and notes what became of each post."""

    def __init__(self, client: RawClient, group: str, recording: Recording) -> None:
        self._client = client
        self.group = group
        self._recording = recording
        self._connection: Connection = recording.connected("ann", None)

    async def post(self, text: str = TEXT) -> Asked:
        asked = self._recording.invoke(
            "ann", "post", {"group": self.group, "id": now_id(), "text": text.strip()}
        )
        await self.send(asked)
        return asked

    async def send(self, asked: Asked) -> None:
        self._recording.sending(asked, self._connection)
        outcome = await self._client.outcome(await self._client.send("post", **asked.params))
        note_pushes(self._client, self._connection, self._recording)
        if isinstance(outcome, Rejected):
            assert outcome.code == "unavailable", outcome
            assert outcome.details["retry_after_ms"] > 0
        else:
            self._recording.ok(asked, outcome)

    async def log(self) -> list[Map]:
        return await whole_log(self._client, self.group)

    async def until_refused(self) -> list[Asked]:
        """Post until the disk is full; give what was refused."""
        for _ in range(POSTS_MAX):
            asked = await self.post()
            if asked.is_open:
                return [asked, *[await self.post("small") for _ in range(REFUSED)]]
        raise AssertionError("the disk does not fill")


def serving(disk: SmallDisk, directory: Path) -> AbstractAsyncContextManager[Server]:
    return starting(disk.launcher, disk.inside / "data", directory, seen_as=disk.outside / "data")


def is_alive(server: Server) -> bool:
    return Path(f"/proc/{server.pid}").exists()


async def test_a_full_disk_refuses_posts_and_reading_goes_on_until_there_is_room(
    disk: SmallDisk, tmp_path: Path
) -> None:
    data, recording = disk.inside / "data", Recording()
    async with serving(disk, tmp_path) as server:
        assert await server.serves(), server.last_words()
        async with server.enter("ann") as client:
            group = (await client.ask("create", name="Tea", id=now_id()))["group"]
            poster = Poster(client, group, recording)
            for _ in range(3):
                await poster.post()
            for _ in range(2):  # The second time is like the first.
                disk.fill(leaving_bytes=ROOM_BYTES)
                refused = await poster.until_refused()
                before = await poster.log()
                assert len(before) > 3
                assert await poster.log() == before
                assert (await client.ask("info", group=group))["group"] == group
                assert is_alive(server)
                disk.make_room()
                for asked in refused:
                    if asked.is_open:
                        await poster.send(asked)
                        assert not asked.is_open
                assert not (await poster.post()).is_open
        assert await check(disk.launcher, data, tmp_path) == ""
        assert not server.complaints()
        await server.kill()
    assert await check(disk.launcher, data, tmp_path) == ""
    async with serving(disk, tmp_path) as server:
        assert await server.serves(), server.last_words()
        async with server.enter("ann") as client:
            assert problems(recording, {group: await whole_log(client, group)}) == []


async def test_a_server_that_is_killed_on_a_full_disk_starts_there_and_reads(
    disk: SmallDisk, tmp_path: Path
) -> None:
    recording = Recording()
    async with serving(disk, tmp_path) as server:
        assert await server.serves(), server.last_words()
        async with server.enter("ann") as client:
            group = (await client.ask("create", name="Tea", id=now_id()))["group"]
            poster = Poster(client, group, recording)
            disk.fill(leaving_bytes=ROOM_BYTES)
            refused = await poster.until_refused()
            await server.kill()
    disk.fill(leaving_bytes=0)
    async with serving(disk, tmp_path) as server:
        assert await server.serves(), server.last_words()
        async with server.enter("ann") as client:
            poster = Poster(client, group, recording)
            log = await poster.log()
            assert len(log) >= recording.acknowledged_count
            disk.make_room()
            for asked in refused:
                if asked.is_open:
                    await poster.send(asked)
            assert problems(recording, {group: await poster.log()}) == []


@pytest.mark.parametrize("room_bytes", [0, 65_536, 192_512])
async def test_a_store_that_has_no_room_is_not_made_and_that_is_said_in_one_line(
    disk: SmallDisk, tmp_path: Path, room_bytes: int
) -> None:
    disk.fill(leaving_bytes=room_bytes)
    async with serving(disk, tmp_path) as server:
        assert not await server.serves()
        [line] = server.last_words()
        assert server.exit_code == 1
        assert line.startswith("groupd: ")
        assert "disk is full" in line
    disk.make_room()
    async with serving(disk, tmp_path) as server:
        assert await server.serves(), server.last_words()
        async with server.enter("ann") as client:
            assert (await client.ask("create", name="Tea"))["seq"] == 1
