"""The composition root: real clock, randomness, files, sockets and signals, put together.

Placement rules: whatever reaches for the world outside the process stands here, in ``system.py``,
``storage/``, ``server/link.py`` or ``client/thread.py``, and nowhere else. What can be decided
without the world stands elsewhere.
"""

from __future__ import annotations

import secrets
import signal
import ssl
import sys
from collections.abc import AsyncIterator, Callable, Collection, Mapping, Sequence
from contextlib import ExitStack, asynccontextmanager
from functools import partial
from pathlib import Path
from types import MappingProxyType
from typing import Final

import attrs
import structlog
import trio

from groupd import client, native
from groupd.auth import KeyRings, TokenVerifier, issue_token
from groupd.auth.http_keys import http_key_rings
from groupd.client.limits import ClientLimits
from groupd.config import Config, is_tls
from groupd.data_files import auth_secret, has_secret, link_keys
from groupd.domain.base import Identity
from groupd.domain.fields import clean_user
from groupd.doors import close_all, conditions_of, open_doors, serve_doors
from groupd.engine import hub as engine
from groupd.engine.hub import Hub
from groupd.engine.ledger import project
from groupd.engine.nursery import open_hidden_nursery
from groupd.errors import Disconnected
from groupd.garbage import pauses_bounded
from groupd.server.addresses import Listener, listener_url, open_listeners
from groupd.server.certificates import client_context, server_context
from groupd.server.descriptors import within_descriptors
from groupd.server.http import HttpServer
from groupd.server.listener import Server
from groupd.server.reload import Credentials, Reloader
from groupd.server.tls import connect_link
from groupd.server.word_files import read_words
from groupd.storage.backup import adopt
from groupd.storage.log import Log, open_log
from groupd.storage.memory import MemoryStore
from groupd.storage.port import Store
from groupd.storage.sqlite import FILE_NAME, SqliteStore
from groupd.system import SystemClock, system_ports
from groupd.web.site import Page

log = structlog.get_logger()

SOCKET_FILE: Final = "groupd.sock"
NO_PAGES: Final[Mapping[str, Page]] = MappingProxyType({})


# --- the store


def new_store_id() -> str:
    """Draw the id of a new store."""
    return secrets.token_hex(8)


def open_store(directory: Path) -> SqliteStore:
    """Open the store of a directory, or make one; one of an older format gets its index anew."""
    store = SqliteStore.open(directory, new_id=new_store_id)
    if store.index_is_stale:
        log.info("index_rebuilding", data=str(directory))
        log.info("index_rebuilt", records=store.rebuild_index(project))
    return store


def store_maker(config: Config) -> Callable[[], Store]:
    """Give what opens the configured store to serve from it; a restored one gets a new id."""

    def open_files() -> Store:
        directory = Path(config.data)
        store = open_store(directory)
        try:
            if adopt(directory, store, new_id=new_store_id):
                log.info("restored", data=config.data, store=store.id)
        except BaseException:
            store.close()
            raise
        return store

    if config.memory:
        return lambda: MemoryStore(new_store_id())
    return open_files


# --- as a library


@asynccontextmanager
async def open_hub(
    data: str | Path | None = None, *, config: Config | None = None
) -> AsyncIterator[Hub]:
    """Run groupd inside this trio program, with no socket.

    With ``data`` the groups are kept in that directory, which no other process may use at the
    same time; without, in memory. At the end of the block everything is written and closed;
    cancelled, it ends at once and nothing that was answered is lost.

    Raises LogUnavailable where the directory is in use, LogCorrupt where it is not groupd's,
    ConfigError where a word list is wrong.
    """
    config = config or Config()
    config = attrs.evolve(config, memory=data is None, data=str(data or config.data))
    directory = None if data is None else Path(data)
    words = read_words(config.words)
    async with (
        open_log(store_maker(config), threaded=not config.memory) as store,
        engine.open_hub(
            log=store,
            ports=system_ports(),
            links=link_keys(directory),
            config=config,
            words=words,
        ) as hub,
    ):
        yield hub


@asynccontextmanager
async def connect(
    url: str,
    *,
    token: client.Token,
    tls: ssl.SSLContext | None = None,
    events: bool = True,
    reconnect: bool = True,
    name: str = client.CLIENT_NAME,
    limits: client.ClientLimits | None = None,
) -> AsyncIterator[client.Client]:
    """Connect to a groupd server; see ``groupd.client.connect`` for the options and the errors.

    ``tls`` says whom to trust where the URL is ``tls://``; without it, the system's authorities.
    These take a moment to read and some memory: many clients in one program had better share a
    context. A server that is not trusted ends the client with a ConfigError.
    """
    async with client.connect(
        url,
        token=token,
        ports=client.system_ports(url, tls),
        events=events,
        reconnect=reconnect,
        name=name,
        limits=limits,
    ) as connected:
        yield connected


async def expect_server(url: str, tls: ssl.SSLContext | None = None) -> None:
    """Return if somebody listens at a URL; raises Disconnected where nobody does.

    The SDK waits for its server. A person at a terminal wants to hear that it is not there.
    """
    try:
        with trio.fail_after(ClientLimits().dial_timeout_ms / 1_000):
            link = await connect_link(url, tls)
    except (trio.BrokenResourceError, trio.TooSlowError):
        raise Disconnected(f"{url}: nobody answers there; is the server running?") from None
    await link.aclose()


def make_token(config: Config, identity: Identity, *, expires_in_ms: int) -> str:
    """Issue a token as the host application would, with the server's own secret.

    Raises ConfigError where the data directory has none: one made here would be no server's.
    """
    clean_user(identity.user, "user")
    return issue_token(
        auth_secret(config, make=False),
        identity,
        now_ms=SystemClock().now_ms(),
        expires_in_ms=expires_in_ms,
        audience=config.auth.audience,
    )


# --- as a server


@attrs.frozen
class Running:
    """A server that accepts connections."""

    urls: Sequence[str]
    config: Config
    made_secret: bool
    metrics: str | None
    """The URL of the metrics listener, if there is one."""
    host: str | None
    """The URL of the host API, if there is one."""
    web: str | None = None
    """The URL of the web listener, if there is one."""


async def serve(
    config: Config,
    *,
    announce: Callable[[Running], None],
    stop: trio.Event | None = None,
    handle_signals: bool = True,
    read_again: Callable[[], Config] | None = None,
    pages: Mapping[str, Page] = NO_PAGES,
) -> None:
    """Run a server until SIGTERM, SIGINT or ``stop``; then drain, snapshot and close.

    ``announce`` is called once, when connections are accepted. A second signal ends it at once.
    With ``read_again``, which reads the configuration anew in a thread, SIGHUP makes the server
    take over what it can of it (``server/reload.py``); without, it ends it as the others do.
    ``pages`` are more pages of the web listener, by the beginning of their paths.

    Raises ConfigError, or LogUnavailable where another server has the data directory.
    """
    tls = _tls_of(config)
    ending = trio.Event() if stop is None else stop
    with pauses_bounded():
        async with open_log(store_maker(config), threaded=not config.memory) as store:
            await _serve_from(
                store, config, tls, ending, announce, handle_signals, read_again, pages
            )
    log.info("stopped")


def _tls_of(config: Config) -> ssl.SSLContext | None:
    is_wanted = config.web.is_protected or any(map(is_tls, config.listen))
    return server_context(config.tls) if is_wanted else None


def _trust(config: Config, *, make_secret: bool) -> tuple[TokenVerifier, KeyRings]:
    """Give what checks tokens and what fetches its keys; reads what stands in files."""
    needs_secret = not (config.auth.has_own_keys or config.auth.issuers)
    secret = auth_secret(config, make=make_secret) if needs_secret else config.auth.secret
    verifier = TokenVerifier(
        attrs.evolve(config.auth, secret=secret),
        token_max_bytes=config.limits.frame_before_hello_max_bytes,
        default_plan=config.default_plan,
    )
    return verifier, http_key_rings(verifier.published, config.auth, client_context)


async def _load(config: Config) -> Credentials:
    """Read the files that a configuration names, while the server goes on."""

    def read() -> Credentials:
        verifier, rings = _trust(config, make_secret=False)
        return Credentials(
            verify=verifier.verify,
            key_rings=rings,
            tls=_tls_of(config),
            words=read_words(config.words),
        )

    return await trio.to_thread.run_sync(read, abandon_on_cancel=True)


async def _serve_from(
    store: Log,
    config: Config,
    tls: ssl.SSLContext | None,
    ending: trio.Event,
    announce: Callable[[Running], None],
    handle_signals: bool,
    read_again: Callable[[], Config] | None,
    pages: Mapping[str, Page],
) -> None:
    asked, config = config, within_descriptors(config)
    data = Path(config.data)
    needs_secret = not (config.auth.has_own_keys or config.auth.issuers)
    words = read_words(config.words)
    made_secret = needs_secret and not has_secret(data)
    verifier, rings = _trust(config, make_secret=True)
    conditions = conditions_of(config)
    async with (
        engine.open_hub(
            log=store, ports=system_ports(), links=link_keys(data), config=config, words=words
        ) as hub,
        open_hidden_nursery() as nursery,
    ):
        hub.asking.ask_host = None if conditions is None else conditions.ask
        server = Server(
            hub,
            config,
            verify=verifier.verify,
            renew_keys=rings.renew,
            nursery=nursery,
            tls=tls,
        )
        running, doors = _listen(server, config, nursery, rings, pages, made_secret=made_secret)
        nursery.start_soon(server.run)
        nursery.start_soon(rings.run)
        nursery.start_soon(server.services.figures.run, None if config.memory else data / FILE_NAME)
        if handle_signals:
            # Before anybody is told that it runs, and may end it.
            ends = {signal.SIGTERM, signal.SIGINT}
            if read_again is None:
                ends.add(signal.SIGHUP)
            await nursery.start(_watch_signals, ends, ending, nursery)
            if read_again is not None:
                read = partial(trio.to_thread.run_sync, read_again, abandon_on_cancel=True)
                reloader = Reloader(server, asked, rings, read=read, load=_load)
                await nursery.start(_watch_reloads, reloader, nursery)
        announce(running)
        log.info(
            "serving",
            urls=list(running.urls),
            store=store.id,
            metrics=running.metrics,
            host=running.host,
            web=running.web,
            memory=config.memory,
            compiled=native.IS_COMPILED,
        )
        await ending.wait()
        log.info("stopping", sessions=len(server.sessions))
        hub.feed.end_waiting()
        async with trio.open_nursery() as last:
            last.start_soon(server.stop)
            for door in doors:
                last.start_soon(door.drain, config.limits.drain_deadline_ms / 1_000)
        nursery.cancel_scope.cancel()


def _listen(
    server: Server,
    config: Config,
    nursery: trio.Nursery,
    rings: KeyRings,
    pages: Mapping[str, Page],
    *,
    made_secret: bool,
) -> tuple[Running, list[HttpServer]]:
    """Listen wherever the configuration says; gives what is to be drained at the end, too."""
    backlog = config.limits.accept_backlog
    socket_url = f"unix://{(Path(config.data) / SOCKET_FILE).resolve()}"
    with ExitStack() as undo:
        operator = open_listeners(socket_url, backlog)
        undo.callback(close_all, operator)
        opened: list[tuple[list[Listener], bool]] = []
        for url in config.listen:
            listeners = open_listeners(url, backlog)
            undo.callback(close_all, listeners)
            opened.append((listeners, is_tls(url)))
        doors = open_doors(config, undo)
        undo.pop_all()
    nursery.start_soon(partial(server.listen, operator, is_operator=True))
    urls: list[str] = []
    for listeners, has_tls in opened:
        nursery.start_soon(partial(server.listen, listeners, is_protected=has_tls))
        urls += (listener_url(listener, tls=has_tls) for listener in listeners)
    drained = serve_doors(doors, server, config, rings, nursery, pages)
    return Running(urls, config, made_secret, *doors.urls), drained


async def _watch_signals(
    ends: Collection[signal.Signals],
    ending: trio.Event,
    nursery: trio.Nursery,
    *,
    task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED,
) -> None:
    """Set ``ending`` at the first signal; a second one cancels everything."""
    with trio.open_signal_receiver(*ends) as received:
        task_status.started()
        async for _number in received:
            if ending.is_set():
                nursery.cancel_scope.cancel()
            ending.set()


async def _watch_reloads(
    reloader: Reloader,
    nursery: trio.Nursery,
    *,
    task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED,
) -> None:
    """Reload at each SIGHUP; several that come during one are one."""
    had_terminal = sys.stderr.isatty()
    with trio.open_signal_receiver(signal.SIGHUP) as received:
        task_status.started()
        async for _number in received:
            if had_terminal and not sys.stderr.isatty():
                # What the signal was made for: the window in which somebody tried it is closed.
                nursery.cancel_scope.cancel()
                return
            await reloader.reload()


# --- the terminal


async def read_line() -> str | None:
    """Read a line of standard input; None at its end. Cancelled, the line that comes is lost."""
    line = await trio.to_thread.run_sync(sys.stdin.readline, abandon_on_cancel=True)
    return line or None
