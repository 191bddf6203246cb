"""``groupd bench``: a load test against a server that runs elsewhere.

Here it is parsed, shown and written down; ``groupd.loadtest`` does it.
"""

from __future__ import annotations

import signal
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Literal

import attrs
import orjson
import trio
from cyclopts import Parameter
from rich.console import Console

from groupd import app as composition
from groupd.cli import bench_screen as screen
from groupd.cli.failing import run_or_fail
from groupd.cli.given import duration_ms
from groupd.client import system_ports
from groupd.config import Config, Limits, is_tls
from groupd.engine.nursery import open_hidden_nursery
from groupd.errors import ConfigError
from groupd.garbage import pauses_bounded
from groupd.loadtest import Load, LoadTest, Report, Ticket, read_tickets
from groupd.loadtest.figure import draw
from groupd.loadtest.plan import TOKENS_FILE_MAX_BYTES
from groupd.server.certificates import client_context
from groupd.server.descriptors import within_descriptors
from groupd.system import SystemRandomness


def bench(
    *,
    target: Annotated[str, Parameter(help="tcp://HOST:PORT, tls://HOST:PORT or unix:///PATH.")],
    tokens: Annotated[
        Path,
        Parameter(help="A file with a token a line, each of another user: `groupd tokens make`."),
    ],
    rate: Annotated[float, Parameter(help="Posts a second, of all groups together.")],
    for_: Annotated[
        int,
        Parameter("--for", converter=duration_ms, help="How long to post, such as 30s or 5m."),
    ],
    groups: Annotated[int, Parameter(help="Groups to make, and to dissolve at the end.")] = 1,
    group: Annotated[
        list[str] | None,
        Parameter(negative=(), help="Join this one instead, and leave it at the end. Repeatable."),
    ] = None,
    members: Annotated[
        int | None, Parameter(help="Members of each group. [all users, shared out]")
    ] = None,
    size: Annotated[int, Parameter(help="Bytes of each text.")] = 100,
    arrivals: Annotated[
        Literal["constant", "poisson"],
        Parameter(help="Posts at equal distances, or as chance has it."),
    ] = "constant",
    seed: Annotated[int, Parameter(help="Of that chance.")] = 1,
    connect_rate: Annotated[int, Parameter(help="Connections to make in a second.")] = 200,
    ca: Annotated[
        Path | None,
        Parameter(
            help="For a tls:// target: the PEM file of who signed its certificate. [the system's]"
        ),
    ] = None,
    json: Annotated[Path | None, Parameter(help="Write everything there, as JSON.")] = None,
    svg: Annotated[Path | None, Parameter(help="Draw latency by percentile there.")] = None,
) -> None:
    """Load a server with posts, measure how long they take, and check that all arrive.

    Posts leave when they are due, whatever the server does (an open loop), and latency counts from
    then and not from the sending: corrected for coordinated omission, as in Gil Tene's wrk2. What
    a tool would show that waits for answers before it posts again is shown beside it.

    Exits with 1 unless every acknowledged post reached every member exactly once, in order, and
    where posts had no answer since the server was gone.
    Ctrl-C ends it early, with a report. See docs/guide/load-testing.md.
    """
    load = Load(
        rate_per_s=rate,
        for_ms=for_,
        groups=groups,
        given=tuple(group or ()),
        members=members,
        size_bytes=size,
        arrivals=arrivals,
        seed=seed,
        connect_rate_per_s=connect_rate,
    )
    if group and groups != 1:
        raise ConfigError("--groups, --group: expected one of the two")
    if ca is not None and not is_tls(target):
        raise ConfigError(f"--ca: expected a target tls://HOST:PORT with it, got {target!r}")
    tickets = _tickets(tokens)
    for option, path in (("--json", json), ("--svg", svg)):
        _expect_writable(option, path)
    tls = client_context(ca) if is_tls(target) else None

    async def run() -> bool:
        test = LoadTest(
            load,
            tickets,
            url=target,
            ports=system_ports(target, tls),
            name=SystemRandomness().token_bytes(4).hex(),
        )
        _expect_descriptors(test.users_count)
        await composition.expect_server(target, tls)
        report = await _perform(test)
        screen.show(report, Console(emoji=False))
        if test.left_behind:
            screen.warn(f"groups that could not be dissolved or left: {test.left_behind}")
        _write(json, lambda: orjson.dumps(report.to_plain(), option=orjson.OPT_INDENT_2))
        if report.figures.counts.acknowledged:
            _write(svg, lambda: draw(report).encode())
        return report.has_passed

    with pauses_bounded():
        run_or_fail(run)


async def _perform(test: LoadTest) -> Report:
    """Run it under the eyes of who has started it, who may end it by Ctrl-C."""
    console = Console(stderr=True, emoji=False)
    async with open_hidden_nursery() as nursery:
        await nursery.start(_watch_signals, test, nursery)
        nursery.start_soon(screen.follow, test, console)
        nursery.start_soon(screen.tell_losses, test, console)
        report = await test.run()
        nursery.cancel_scope.cancel()
    return report


async def _watch_signals(
    test: LoadTest,
    nursery: trio.Nursery,
    *,
    task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED,
) -> None:
    """End it early at the first signal, and at once at the second."""
    with trio.open_signal_receiver(signal.SIGINT, signal.SIGTERM) as received:
        task_status.started()
        async for _number in received:
            if test.stopping.is_set():
                nursery.cancel_scope.cancel()
                raise KeyboardInterrupt
            test.stopping.set()


# --- files


def _tickets(path: Path) -> list[Ticket]:
    try:
        with path.open("rb") as file:
            data = file.read(TOKENS_FILE_MAX_BYTES + 1)
        if len(data) > TOKENS_FILE_MAX_BYTES:
            raise ConfigError(f"--tokens: {path}: expected at most {TOKENS_FILE_MAX_BYTES:,} bytes")
        return read_tickets(data.decode(), f"--tokens: {path}")
    except OSError as error:
        raise ConfigError(
            f"--tokens: {path}: {error.strerror}; `groupd tokens make` writes such a file"
        ) from error
    except UnicodeDecodeError as error:
        raise ConfigError(f"--tokens: {path}: expected text, got other bytes") from error


def _expect_writable(option: str, path: Path | None) -> None:
    """Look before the run whether its result can be written after it."""
    if path is not None:
        try:
            path.open("ab").close()
        except OSError as error:
            raise ConfigError(f"{option}: {path}: {error.strerror}") from error


def _write(path: Path | None, make: Callable[[], bytes]) -> None:
    if path is not None:
        try:
            path.write_bytes(make())
        except OSError as error:
            raise ConfigError(f"{path} cannot be written: {error.strerror}") from error


def _expect_descriptors(connections: int) -> None:
    """Raise the limit of this process as far as it goes; raises ConfigError where it does not."""
    wanted = Config(limits=attrs.evolve(Limits(), connections_max=connections))
    allowed = within_descriptors(wanted).limits.connections_max
    if allowed < connections:
        raise ConfigError(
            f"--tokens: {connections:,} connections are more than the {allowed:,} that this "
            "process may open; raise that (ulimit -n), or use fewer --groups and --members"
        )
