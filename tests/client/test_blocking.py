"""The client for programs that block. The server is a fake one, in the client's own thread."""

from __future__ import annotations

import gc
import inspect
import os
import signal
import subprocess
import sys
import threading
import warnings
from collections.abc import AsyncIterator, Iterator
from contextlib import ExitStack, asynccontextmanager, contextmanager
from pathlib import Path
from typing import Any

import attrs
import pytest
import trio

from groupd.client import blocking
from groupd.client.thread import HANDOVER_MAX, Host
from groupd.engine.calls import Calls
from groupd.errors import AuthError, Disconnected, LocalProtocolError, Rejected
from groupd.wire import rpc
from tests.client.fake_server import URL, FakeServer, Visit
from tests.client.outside import (
    PATIENCE_S,
    QUICK,
    cut_first,
    fake_server,
    no_client_runs,
    ports_of,
    refuse,
    seq,
    silence,
    there,
)

ROOT = Path(__file__).parent.parent.parent


@attrs.define
class Scene:
    server: FakeServer
    client: blocking.Client

    @property
    def host(self) -> Host:
        return self.client._host

    def waiting(self) -> list[int]:
        """Give the requests that wait for their answer."""
        connection = self.client._client._uplink._connection
        assert connection is not None
        return there(self.host, lambda: list(connection._waiting))

    def log(self, count: int) -> None:
        """Have so many posts pushed at once."""
        there(self.host, lambda: [self.server.log("g") for _ in range(count)])


@contextmanager
def open_scene(server: FakeServer | None = None, **options: Any) -> Iterator[Scene]:
    server = server or fake_server(g=1)
    options = {"token": "token", "limits": QUICK, "timeout_ms": PATIENCE_S * 1_000} | options
    with blocking.connect(URL, ports=ports_of(server), **options) as client:
        yield Scene(server, client)


def test_every_call_is_there_with_the_same_parameters() -> None:
    calls = {
        name: method
        for name, method in inspect.getmembers(Calls, inspect.iscoroutinefunction)
        if name != "call"
    }
    assert len(calls) > 60
    for name, method in calls.items():
        ours = getattr(blocking.Client, name)
        assert inspect.signature(ours) == inspect.signature(method)
        assert not inspect.iscoroutinefunction(ours)
        assert ours.__doc__ == method.__doc__


def test_a_call_gives_its_result_and_the_client_ends_with_its_block() -> None:
    with open_scene() as scene:
        assert (scene.client.user, scene.client.session) == ("ann", "session-0")
        assert scene.client.limits == {"frame_max_bytes": 65_536}
        assert [entry["group"] for entry in scene.client.chat_list] == ["g"]
        assert scene.client.server_time_ms() >= scene.server.time_ms
        assert scene.client.post("g", text="hello")["seq"] == 2
    assert no_client_runs()
    with pytest.raises(Disconnected):
        scene.client.ping()


def test_threads_share_a_client() -> None:
    with open_scene() as scene:
        seqs: list[int] = []

        def talk() -> None:
            seqs.extend(scene.client.post("g", text="x")["seq"] for _ in range(10))

        threads = [threading.Thread(target=talk) for _ in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(PATIENCE_S)
        assert sorted(seqs) == list(range(2, 42))


def test_a_lost_connection_is_a_longer_wait_and_the_same_id() -> None:
    server = fake_server(g=0)
    server.handlers["post"] = cut_first
    with open_scene(server) as scene:
        assert scene.client.post("g", text="x")["seq"] == 1
        first, second = server.sent("post")
        assert first == second


def test_a_refusal_is_raised_where_the_call_was_made() -> None:
    server = fake_server(g=0)
    server.handlers["post"] = refuse
    with open_scene(server) as scene:
        with pytest.raises(Rejected, match="forbidden"):
            scene.client.post("g", text="x")
        with pytest.raises(Rejected, match="bad_request"):
            scene.client.post("g", text=5)  # type: ignore[arg-type]


def test_an_answer_that_is_late_is_given_up_and_harms_nothing() -> None:
    server = fake_server(g=0)
    server.handlers["history"] = silence
    with open_scene(server, timeout_ms=50) as scene:
        with pytest.raises(TimeoutError, match="may have taken effect"):
            scene.client.history("g")
        scene.client._timeout_ms = None
        assert scene.client.post("g", text="x")["seq"] == 1
        # The task that waited is gone, and so is its place among the requests.
        assert not scene.waiting()


def test_ctrl_c_ends_a_wait_and_the_call() -> None:
    # A shell that starts something in the background has it ignore Ctrl-C.
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        _interrupt_a_wait()
    finally:
        signal.signal(signal.SIGINT, before)


def _interrupt_a_wait() -> None:
    server = fake_server(g=0)

    def interrupt(visit: Visit, request: rpc.Request) -> None:
        main = threading.main_thread().ident
        assert main is not None
        # A moment later, when the call has been handed over for sure.
        threading.Timer(0.1, signal.pthread_kill, (main, signal.SIGINT)).start()

    server.handlers["history"] = interrupt
    with open_scene(server, timeout_ms=None) as scene:
        with pytest.raises(KeyboardInterrupt):
            scene.client.history("g")
        assert scene.client.post("g", text="x")["seq"] == 1
        assert not scene.waiting()


# --- the token


def test_a_token_is_made_in_a_thread_that_may_block() -> None:
    names: list[str] = []
    server = fake_server(g=0)
    refusals = iter([True])

    def expire(visit: Visit, request: rpc.Request) -> Any:
        if next(refusals, False):
            return Rejected("unauthenticated", "expired")
        return {"time_ms": 7}

    def token() -> str:
        names.append(threading.current_thread().name)
        return f"token-{len(names)}"

    server.handlers["ping"] = expire
    with open_scene(server, token=token) as scene:
        assert scene.client.ping() == {"time_ms": 7}
        shown = [params["token"] for params in server.sent("hello")]
        assert shown == ["token-1", "token-2"]
    assert not {"MainThread", "groupd-client"} & set(names)


def test_a_token_that_takes_for_ever_can_be_given_up() -> None:
    over = threading.Event()

    def token() -> str:
        over.wait(PATIENCE_S)
        return "late"

    with pytest.raises(TimeoutError), open_scene(token=token, timeout_ms=30):
        raise AssertionError("it connected")
    assert no_client_runs()
    over.set()


def test_what_keeps_it_from_connecting_is_raised_and_leaves_no_thread() -> None:

    def token() -> str:
        raise OSError("the token service is down")

    with pytest.raises(AuthError, match="token service"), open_scene(token=token):
        raise AssertionError("it connected")
    server = fake_server()
    server.dial_error = OSError("nobody there")
    with pytest.raises(Disconnected), open_scene(server, reconnect=False):
        raise AssertionError("it connected")
    with pytest.raises(TimeoutError), open_scene(server, timeout_ms=30):
        raise AssertionError("it connected")
    assert no_client_runs()


def test_the_error_of_the_block_is_not_covered() -> None:
    with pytest.raises(ZeroDivisionError), open_scene():
        raise ZeroDivisionError


# --- events


def test_a_stream_begins_where_it_is_asked_for() -> None:
    with open_scene() as scene:
        stream = scene.client.events()
        scene.client.post("g", text="x")
        assert seq(next(stream)) == 2
        assert seq(next(scene.client.events(after={"g": 0}))) == 1


def test_a_slow_program_misses_nothing_and_little_is_held_for_it() -> None:
    limits = attrs.evolve(QUICK, events_max=8)
    with open_scene(limits=limits) as scene:
        stream = scene.client.events()
        scene.log(1)
        assert seq(next(stream)) == 2
        for _ in range(30):
            scene.log(10)
        held = there(scene.host, lambda: len(stream._pull._opening.result()._buffer))
        assert held == 8
        held_here = 0
        for number in range(3, 303):
            assert seq(next(stream)) == number
            held_here = max(held_here, len(stream._taken))
        assert 8 <= held_here < HANDOVER_MAX


def test_an_event_that_nobody_waited_for_to_its_end_is_not_lost() -> None:
    with open_scene() as scene:
        stream = scene.client.events()
        for number in range(2, 5):
            with pytest.raises(TimeoutError):
                stream.next(timeout_ms=1)
            scene.log(1)
            assert seq(stream.next(timeout_ms=PATIENCE_S * 1_000)) == number


def test_closing_a_stream_ends_the_wait_of_another_thread() -> None:
    with open_scene() as scene:
        stream = scene.client.events()
        waiting = threading.Event()
        heard: list[object] = []

        def listen() -> None:
            waiting.set()
            heard.extend(stream)
            heard.append("over")

        thread = threading.Thread(target=listen)
        thread.start()
        waiting.wait(PATIENCE_S)
        stream.close()
        thread.join(PATIENCE_S)
        assert heard == ["over"]
        assert stream.next() is None


def test_a_stream_ends_with_the_client() -> None:
    with open_scene() as scene:
        stream = scene.client.events()
        scene.log(1)
        assert seq(next(stream)) == 2
    assert list(stream) == []


def test_what_ends_the_client_ends_calls_and_streams() -> None:
    with open_scene() as scene:
        stream = scene.client.events()

        def leave() -> None:
            scene.server.visit.push("goodbye", code="unauthenticated", message="expired")
            scene.server.handlers["hello"] = lambda *_: Rejected("unauthenticated", "expired")
            scene.server.visit.link.send_eof()

        there(scene.host, leave)
        with pytest.raises(Rejected, match="unauthenticated"):
            next(stream)
        with pytest.raises(Rejected, match="unauthenticated"):
            scene.client.ping()


def test_a_stream_that_is_dropped_is_freed() -> None:
    with open_scene() as scene:
        feed = scene.client._client._feed
        stream = scene.client.events()
        with pytest.raises(TimeoutError):
            stream.next(timeout_ms=1)
        assert there(scene.host, lambda: len(feed._streams)) == 1
        del stream
        # The error of the timeout holds its frame; and the task that waits ends a step later.
        gc.collect()
        scene.client.ping()
        gc.collect()
        assert there(scene.host, lambda: len(feed._streams)) == 0


def test_two_threads_do_not_read_one_stream() -> None:
    with open_scene() as scene:
        stream = scene.client.events()
        stream._reading = True
        with pytest.raises(LocalProtocolError, match="another thread"):
            next(stream)


def test_without_events_there_is_no_stream() -> None:
    with open_scene(events=False) as scene, pytest.raises(LocalProtocolError):
        scene.client.events()


# --- the thread


def test_a_client_can_be_closed_before_its_thread_has_begun() -> None:
    @asynccontextmanager
    async def opening() -> AsyncIterator[Any]:
        await trio.sleep_forever()
        yield

    host = Host(opening)
    host.close()
    host.start()
    with pytest.raises(Disconnected):
        host.ready.result(PATIENCE_S)
    host.ended.result(PATIENCE_S)


def test_a_bug_in_the_thread_is_raised_at_the_end_of_the_block() -> None:
    def bug(method: str, params: dict[str, Any]) -> None:
        raise ZeroDivisionError

    with ExitStack() as block:
        scene = block.enter_context(open_scene())
        connection = scene.client._client._uplink._connection
        assert connection is not None
        connection._on_notification = bug
        scene.log(1)
        scene.host.join(PATIENCE_S)
        with pytest.raises(Disconnected):
            scene.client.ping()
        with pytest.raises(ZeroDivisionError):
            block.close()


# --- processes


def test_a_forked_child_is_told_and_its_parent_goes_on() -> None:
    with open_scene() as scene:
        stream = scene.client.events()
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", DeprecationWarning)
            child = os.fork()
        if child == 0:
            told = 0
            for attempt in (scene.client.ping, scene.client.events, stream.next):
                try:
                    attempt()
                except LocalProtocolError:
                    told += 1
            del stream
            scene.host.close()
            scene.host.join()
            os._exit(0 if told == 3 else 1)
        assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
        scene.client.post("g", text="x")
        assert seq(next(stream)) == 2


@pytest.mark.parametrize("end", ["pass", "raise SystemExit(0)", "del client, stream"])
def test_a_program_that_forgets_its_client_ends(end: str) -> None:
    program = f"""
import atexit, threading
atexit.register(lambda: print(*(thread.name for thread in threading.enumerate())))
from groupd.client import blocking
from tests.client.fake_server import URL
from tests.client.outside import QUICK, fake_server, ports_of
opened = blocking.connect(URL, token="t", ports=ports_of(fake_server(g=1)), limits=QUICK)
client = opened.__enter__()
stream = client.events(after={{"g": 0}})
print(next(stream).seq, flush=True)
try:
    stream.next(timeout_ms=1)
except TimeoutError:
    pass
{end}
"""
    done = subprocess.run(
        [sys.executable, "-X", "dev", "-W", "error", "-c", program],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=PATIENCE_S,
        check=False,
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, "1\nMainThread\n", "")
