"""Who has the files of a data directory, and what is done with them where no server has."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager, closing, suppress
from functools import partial
from pathlib import Path
from typing import Any

import trio

from groupd.app import SOCKET_FILE, open_store
from groupd.client.connection import Connection
from groupd.client.limits import ClientLimits
from groupd.config import Config
from groupd.domain.base import Request, StreamKey
from groupd.engine.ledger import project, snapshot_of
from groupd.engine.nursery import open_hidden_nursery
from groupd.engine.reactors import AccountReactor
from groupd.errors import LogUnavailable
from groupd.server.link import connect_socket
from groupd.storage import mend
from groupd.storage.export_file import Counts
from groupd.storage.log import Log, open_log
from groupd.storage.offline import in_thread
from groupd.storage.sqlite import FILE_NAME, SqliteStore
from groupd.storage.transfer import export_to, import_from
from groupd.system import SystemClock
from groupd.version import VERSION
from groupd.wire.rpc import FrameLimits

# --- who has them


def has_store(config: Config) -> bool:
    """Say whether the data directory holds a store; raises LogUnavailable as ``is_there``."""
    return is_there(Path(config.data) / FILE_NAME)


def is_there(path: Path) -> bool:
    """Say whether there is a file; raises LogUnavailable where one may not look."""
    try:
        path.stat()
    except (FileNotFoundError, NotADirectoryError):
        return False
    except OSError as error:
        raise LogUnavailable(f"{path.parent} cannot be looked into: {error.strerror}") from error
    return True


@asynccontextmanager
async def open_files(config: Config, *, writes: bool = False) -> AsyncIterator[Log]:
    """Open the files of a data directory that no server is using: to look at them, or to write."""
    opened = open_store if writes else SqliteStore.open_to_read
    async with open_log(partial(opened, Path(config.data)), threaded=True) as store:
        yield store


class RunningServer:
    """A server in another process, asked over its own socket."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    async def ask(self, request: Request) -> Mapping[str, Any]:
        """Ask it something; raises Rejected, or Disconnected where it has gone."""
        return await self._connection.request(request.method, request.params())


@asynccontextmanager
async def ask_server(config: Config) -> AsyncIterator[RunningServer | None]:
    """Give the server that is using a data directory, or None where there is none."""
    path = (Path(config.data) / SOCKET_FILE).resolve()
    link = None
    if is_there(path):
        with suppress(trio.BrokenResourceError):
            link = await connect_socket(f"unix://{path}")
    if link is None:
        yield None
        return
    frames = FrameLimits.for_client(config.limits)
    connection = Connection(
        link, frames, ClientLimits(), on_notification=lambda method, params: None
    )
    async with open_hidden_nursery() as nursery:
        nursery.start_soon(connection.run)
        yield RunningServer(connection)
        connection.close()


# --- what is done with them


async def export_files(data: Path, path: Path) -> Counts:
    """Export the store of a directory; see ``transfer.export_to``."""

    def work(go_on: Callable[[], None]) -> Counts:
        with closing(SqliteStore.open_to_read(data)) as store:
            return export_to(
                path,
                store,
                reactors=[AccountReactor.name],
                time_ms=SystemClock().now_ms(),
                version=VERSION,
                go_on=go_on,
            )

    return await in_thread(work)


async def import_files(path: Path, data: Path) -> Counts:
    """Make a store of an export in an empty directory; see ``transfer.import_from``."""

    def work(go_on: Callable[[], None]) -> Counts:
        return import_from(
            path,
            data,
            open_store=open_store,
            project=project,
            make_snapshot=snapshot_of,
            go_on=go_on,
        )

    return await in_thread(work)


async def mend_files(data: Path, stream: StreamKey, copy: Path) -> mend.Mended:
    """Mend one stream by a backup; see ``mend.mend``.

    Raises LogUnavailable where the backup is the directory itself.
    """

    def work(go_on: Callable[[], None]) -> mend.Mended:
        if data.samefile(copy):
            raise LogUnavailable(
                f"{copy} is what shall be mended itself: name a backup of it with --from"
            )
        with (
            closing(open_store(data)) as store,
            closing(SqliteStore.open_to_read(copy)) as other,
        ):
            return mend.mend(store, other, stream, project)

    return await in_thread(work)
