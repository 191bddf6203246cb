"""``groupd conformance``: a port where a client is put to the test, and what came of it.

The scenarios stand in ``groupd.testing.conformance``; ``docs/guide/client-authors.md`` says what
the client has to do.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import Final

import trio
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from groupd.engine.nursery import open_hidden_nursery
from groupd.errors import ConfigError
from groupd.server.addresses import Listener, accept, close_listener, listener_url, open_listeners
from groupd.server.http import HttpLimits, HttpRequest, HttpResponse, HttpServer, plain
from groupd.server.link import SocketLink
from groupd.system import SystemClock
from groupd.testing.conformance import SCENARIOS, Scenario, ScriptedServer, Verdict, play

BACKLOG: Final = 16
CONNECTIONS_MAX: Final = 32
"""Connections of the client at a time; above that one is closed at once."""
ANYWHERE: Final = "tcp://127.0.0.1:0"


def chosen(names: Sequence[str]) -> list[type[Scenario]]:
    """Give the scenarios of these names, in their own order; all without names.

    Raises ConfigError for a name that none has.
    """
    known = {scenario.name: scenario for scenario in SCENARIOS}
    for name in names:
        if name not in known:
            raise ConfigError(f"--scenario: expected one of {', '.join(known)}, got {name!r}")
    return [scenario for scenario in SCENARIOS if not names or scenario.name in names]


async def run(
    names: Sequence[str], *, timeout_ms: int, console: Console, listen: str = ANYWHERE
) -> bool:
    """Put the client that connects to the test; print, and give whether all was right.

    Raises ConfigError for a scenario or an address that there is not.
    """
    scenarios = chosen(names)
    stage = ScriptedServer(clock=SystemClock(), timeout_s=timeout_ms / 1_000)
    listeners = open_listeners(listen, BACKLOG)
    try:
        tokens = open_listeners(ANYWHERE, BACKLOG)
    except ConfigError:
        _close_all(listeners)
        raise
    async with open_hidden_nursery() as nursery:
        http = HttpServer(partial(_give_token, stage), HttpLimits())
        nursery.start_soon(http.listen, tokens)
        nursery.start_soon(_serve, stage, listeners)
        # Out of the table, so that a program can read them.
        console.print(f"server  {listener_url(listeners[0])}", highlight=False)
        url = listener_url(tokens[0]).replace("tcp://", "http://", 1)
        console.print(f"tokens  {url}/token", highlight=False)
        console.print(f"token   {stage.new_token()}", highlight=False, soft_wrap=True)
        verdicts = await _play(stage, scenarios, console)
        nursery.cancel_scope.cancel()
    wrong = sum(not verdict.is_right for verdict in verdicts)
    right = len(verdicts) - wrong
    console.print(f"{right} right, {wrong} wrong", highlight=False)
    return wrong == 0


async def _play(
    stage: ScriptedServer, scenarios: Sequence[type[Scenario]], console: Console
) -> list[Verdict]:
    """Play, with a line for each verdict as it comes, and on a terminal a table at the end."""
    if not console.is_terminal:
        return await play(
            stage,
            scenarios,
            tell=lambda verdict: console.print(
                escape(_line(verdict)), highlight=False, soft_wrap=True
            ),
        )
    with console.status("waiting for the client") as status:

        def tell(verdict: Verdict) -> None:
            status.update(f"after {verdict.name}: {'right' if verdict.is_right else 'wrong'}")

        verdicts = await play(stage, scenarios, tell=tell)
    console.print(_table(verdicts))
    return verdicts


def _line(verdict: Verdict) -> str:
    if verdict.wrong is None:
        return f"right  {verdict.name}"
    return f"wrong  {verdict.name}: {verdict.wrong}"


def _table(verdicts: Sequence[Verdict]) -> Table:
    table = Table("scenario", "what was played", "", "expected", "got")
    for verdict in verdicts:
        wrong = verdict.wrong
        word = "[green]right[/]" if wrong is None else "[bold red]wrong[/]"
        expected, got = ("", "") if wrong is None else (wrong.expected, wrong.got)
        table.add_row(verdict.name, verdict.about, word, escape(expected), escape(got))
    return table


async def _give_token(stage: ScriptedServer, request: HttpRequest) -> HttpResponse:
    if request.path != "/token":
        return plain(404, "there is /token")
    return plain(200, stage.new_token())


async def _serve(stage: ScriptedServer, listeners: Sequence[Listener]) -> None:
    room = trio.CapacityLimiter(CONNECTIONS_MAX)
    try:
        async with trio.open_nursery() as nursery:
            for listener in listeners:
                nursery.start_soon(_accept_loop, stage, listener, nursery, room)
    finally:
        _close_all(listeners)


async def _accept_loop(
    stage: ScriptedServer, listener: Listener, nursery: trio.Nursery, room: trio.CapacityLimiter
) -> None:
    async def serve(link: SocketLink) -> None:
        async with room:
            await stage.serve(link)

    while True:
        sock, peer = await accept(listener)
        link = SocketLink(sock, peer)
        if room.available_tokens == 0:
            await link.aclose()
            continue
        nursery.start_soon(serve, link)


def _close_all(listeners: Sequence[Listener]) -> None:
    for listener in listeners:
        close_listener(listener)
