"""A fake server in the thread of a client that is used from outside of trio."""

from __future__ import annotations

import threading
from collections.abc import Awaitable, Callable
from typing import Any, TypeVar, cast

import trio

from groupd.client import ClientLimits, GroupEvent, Ports
from groupd.client.backoff import Backoff
from groupd.client.thread import Host
from groupd.errors import Rejected
from groupd.wire import rpc
from tests.client.fake_server import SILENCE, FakeServer, Visit

T = TypeVar("T")

PATIENCE_S = 20
QUICK = ClientLimits(backoff=Backoff(base_ms=1, cap_ms=5))


class SystemNursery:
    """Starts tasks that live as long as the run."""

    def start_soon(self, function: Callable[..., Awaitable[object]], *args: Any) -> None:
        trio.lowlevel.spawn_system_task(function, *args)


def fake_server(**logs: int) -> FakeServer:
    """Make a server that runs where it is dialled, with groups of so many posts."""
    server = FakeServer(cast(trio.Nursery, SystemNursery()))
    for group, count in logs.items():
        for _ in range(count):
            server.log(group, push=False)
    return server


def ports_of(server: FakeServer) -> Ports:
    return Ports(clock=server.clock, randomness=server.randomness, dial=server.dial)


def there(host: Host, function: Callable[[], T]) -> T:
    """Do something in the thread of the client and its server."""
    return host.do(function).result(PATIENCE_S)


def cut_first(visit: Visit, request: rpc.Request) -> dict[str, Any] | None:
    """Lose the connection before the answer, the first time."""
    if visit.number == 0:
        visit.cut()
        return SILENCE
    return {"status": "posted", "seq": 1, "time_ms": 1}


def refuse(visit: Visit, request: rpc.Request) -> Rejected:
    return Rejected("forbidden", "no", reason="not_member")


def silence(visit: Visit, request: rpc.Request) -> None:
    return SILENCE


def seq(event: object) -> int:
    assert isinstance(event, GroupEvent)
    return event.seq


def no_client_runs() -> bool:
    """Say whether the threads of all clients end."""
    threads = [thread for thread in threading.enumerate() if thread.name == "groupd-client"]
    for thread in threads:
        thread.join(PATIENCE_S)
    return not any(thread.is_alive() for thread in threads)
