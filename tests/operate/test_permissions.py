"""Files that may not be read or written: what is refused says so in one line, and names them."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import pytest

from groupd.app import open_hub
from groupd.data_files import link_keys
from groupd.errors import ConfigError
from tests.crash.commands import Wrapped
from tests.e2e.process import Done, Groupd
from tests.operate.rig import FILE, live_a_little

SOMEBODY_ELSE: Final = 54_321
"""A user id that this machine has nobody for."""
SERVE: Final = ("serve", "--listen", "tcp://127.0.0.1:0", "--data")


@pytest.fixture
def commoner(tmp_path: Path) -> Iterator[Groupd]:
    """The command run by one for whom the modes of files hold, also where the tests run as root."""
    prefix = []
    if os.geteuid() == 0:
        if shutil.which("setpriv") is None:
            pytest.skip("setpriv is not installed, and for root no modes hold")
        prefix = ["setpriv", "--bounding-set=-dac_override,-dac_read_search"]
    launcher = Wrapped(prefix)
    yield Groupd(launcher, tmp_path)
    launcher.close()


async def make(data: Path) -> list[str]:
    async with open_hub(data) as hub:
        return await live_a_little(hub, posts=2)


def expect_one_line(done: Done, *said: str) -> None:
    assert done.returncode == 1, (done.stdout, done.stderr)
    [line] = [line for line in done.stderr.splitlines() if not line.startswith("{")]
    assert line.startswith("groupd: "), line
    for words in said:
        assert words in line


async def test_a_directory_that_cannot_be_searched(commoner: Groupd) -> None:
    data = commoner.directory / "data"
    await make(data)
    data.chmod(0)
    for command in (
        *(("check", "--data"), ("backup", "copy", "--data"), ("export", "copy", "--data")),
        *(("token", "ann", "--data"), (*SERVE,), ("serve", "--memory", "--data")),
    ):
        done = await commoner.run(*command, data)
        expect_one_line(done, str(data), "Permission denied")
    done = await commoner.run("import", commoner.directory / "none", "--data", data / "new")
    expect_one_line(done, "Permission denied")
    data.chmod(0o700)


@pytest.mark.parametrize("name", ["secret", "link-keys.json"])
async def test_a_secret_that_cannot_be_read(commoner: Groupd, name: str) -> None:
    data = commoner.directory / "data"
    await make(data)
    (data / "secret").write_text("s" * 40)
    (data / name).chmod(0)
    expect_one_line(
        await commoner.run(*SERVE, data), f"{data / name} cannot be read: Permission denied"
    )
    if name == "secret":
        done = await commoner.run("token", "ann", "--data", data)
        expect_one_line(done, "secret cannot be read: Permission denied")


async def test_a_server_in_memory_whose_secret_cannot_be_written(commoner: Groupd) -> None:
    there = commoner.directory / "there"
    there.mkdir(mode=0o500)
    done = await commoner.run("serve", "--memory", "--data", there / "new")
    expect_one_line(done, f"{there / 'new' / 'secret'} cannot be written: Permission denied")


@pytest.mark.parametrize("mode", [0o600, 0o400])
async def test_a_store_of_another_owner_is_not_a_failing_disk(commoner: Groupd, mode: int) -> None:
    """As after restoring a backup as root: there is no lock yet, and the directory is ours."""
    if os.geteuid() != 0:
        pytest.skip("only root can give a file away")
    data = commoner.directory / "data"
    await make(data)
    for path in data.iterdir():
        path.unlink() if path.name == f"{FILE}.lock" else os.chown(path, SOMEBODY_ELSE, -1)
    (data / FILE).chmod(mode)
    done = await commoner.run(*SERVE, data)
    expect_one_line(done, f"{FILE}", "Permission denied; it belongs to uid 54321, and groupd runs")
    assert "disk" not in done.stderr


async def test_a_store_in_a_directory_that_cannot_be_written(commoner: Groupd) -> None:
    data = commoner.directory / "data"
    await make(data)
    (data / f"{FILE}-wal").unlink()
    data.chmod(0o500)
    expect_one_line(await commoner.run(*SERVE, data), f"{data}: no files can be made there")


async def test_a_backup_on_read_only_media_is_as_good_as_another(commoner: Groupd) -> None:
    data, backup = commoner.directory / "data", commoner.directory / "backup"
    group = (await make(data))[0]
    assert (await commoner.run("backup", backup, "--data", data)).returncode == 0
    for path in backup.iterdir():
        path.chmod(0o400)
    backup.chmod(0o500)
    before = {path.name: path.read_bytes() for path in backup.iterdir()}
    for command, said in (
        (("check", "--data", backup), "All is well"),
        (("export", commoner.directory / "export", "--data", backup), "4 streams"),
        (("log", group, "--data", backup), "message 1"),
        (("mend", group, "--from", backup, "--data", data), "Nothing is damaged"),
        (("backup", commoner.directory / "again", "--data", backup), "The backup is in"),
    ):
        done = await commoner.run(*command)
        assert done.returncode == 0, (command, done.stderr)
        assert said in done.stdout
    assert {path.name: path.read_bytes() for path in backup.iterdir()} == before
    refused = await commoner.run("check", "--rebuild-index", "--data", backup)
    expect_one_line(refused, f"{FILE}.lock cannot be opened: Permission denied")


async def test_what_a_killed_server_wrote_last_cannot_be_read_where_nothing_can_be_written(
    commoner: Groupd,
) -> None:
    data, copy = commoner.directory / "data", commoner.directory / "copy"
    async with open_hub(data) as hub:
        await live_a_little(hub, posts=2)
        shutil.copytree(data, copy)
    for path in copy.iterdir():
        path.chmod(0o400)
    copy.chmod(0o500)
    expect_one_line(await commoner.run("check", "--data", copy), "copy the directory to where")
    copy.chmod(0o700)
    for path in copy.iterdir():
        path.chmod(0o600)
    assert "All is well" in (await commoner.run("check", "--data", copy)).stdout


# --- what is made is private


async def test_no_file_of_a_store_is_for_others_to_read(commoner: Groupd) -> None:
    """Also where the directory was made before, for all to look into."""
    data = commoner.directory / "data"
    data.mkdir(mode=0o755)
    async with commoner.serving(data) as server:
        async with server.enter("ann") as ann:
            await ann.ask("create", name="Tea")
        modes = {path.name: path.stat().st_mode & 0o777 for path in data.iterdir()}
        assert {FILE, f"{FILE}-wal", f"{FILE}.lock", "secret", "groupd.sock"} <= modes.keys()
        assert set(modes.values()) == {0o600}, modes
    outside = commoner.directory / "outside"
    outside.mkdir(mode=0o755)
    assert (await commoner.run("export", outside / "export", "--data", data)).returncode == 0
    assert (await commoner.run("backup", outside / "backup", "--data", data)).returncode == 0
    done = await commoner.run("import", outside / "export", "--data", outside / "new")
    assert done.returncode == 0
    for path in outside.rglob("*"):
        assert path.stat().st_mode & 0o077 == 0, path


def test_keys_of_links_that_make_no_sense_are_named(tmp_path: Path) -> None:
    for wrong in (b"[]", b"{}", b"\xff", b'{"keys": 1, "current": "a"}', b'"'):
        (tmp_path / "link-keys.json").write_bytes(wrong)
        with pytest.raises(ConfigError, match=r"link-keys\.json"):
            link_keys(tmp_path)
