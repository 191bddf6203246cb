"""The client for programs on asyncio. The server is a fake one, in the client's own thread."""

from __future__ import annotations

import asyncio
import gc
from collections.abc import AsyncIterator, Coroutine
from contextlib import asynccontextmanager
from typing import Any, TypeVar

import attrs
import pytest

from groupd.client import aio
from groupd.client.thread import Host
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

T = TypeVar("T")


@attrs.define
class Scene:
    server: FakeServer
    client: aio.Client

    @property
    def host(self) -> Host:
        return self.client._host

    def log(self, count: int) -> None:
        """Have so many posts pushed at once."""
        there(self.host, lambda: [self.server.log("g") for _ in range(count)])


@asynccontextmanager
async def open_scene(server: FakeServer | None = None, **options: Any) -> AsyncIterator[Scene]:
    server = server or fake_server(g=1)
    options = {"token": "token", "limits": QUICK} | options
    async with aio.connect(URL, ports=ports_of(server), **options) as client:
        yield Scene(server, client)


def run(main: Coroutine[Any, Any, T]) -> T:
    complaints: list[dict[str, Any]] = []

    async def in_time() -> T:
        loop = asyncio.get_running_loop()
        loop.set_exception_handler(lambda _, context: complaints.append(context))
        async with asyncio.timeout(PATIENCE_S):
            return await main

    result = asyncio.run(in_time(), debug=True)
    gc.collect()
    assert complaints == []
    return result


def test_a_call_gives_its_result_and_the_client_ends_with_its_block() -> None:
    async def main() -> None:
        async with open_scene() as scene:
            client = scene.client
            assert (client.user, client.session) == ("ann", "session-0")
            assert client.limits == {"frame_max_bytes": 65_536}
            assert [entry["group"] for entry in client.chat_list] == ["g"]
            assert await client.server_time_ms() >= scene.server.time_ms
            assert (await client.post("g", text="hello"))["seq"] == 2
            await client.until_connected()
        with pytest.raises(Disconnected):
            await scene.client.ping()

    run(main())
    assert no_client_runs()


def test_many_tasks_share_a_client() -> None:
    async def main() -> None:
        async with open_scene() as scene:
            results = await asyncio.gather(*(scene.client.post("g", text="x") for _ in range(40)))
            assert sorted(result["seq"] for result in results) == list(range(2, 42))

    run(main())


def test_a_lost_connection_is_a_longer_wait_and_the_same_id() -> None:
    async def main() -> None:
        server = fake_server(g=0)
        server.handlers["post"] = cut_first
        async with open_scene(server) as scene:
            assert (await scene.client.post("g", text="x"))["seq"] == 1
            first, second = server.sent("post")
            assert first == second

    run(main())


def test_a_refusal_is_raised_where_the_call_was_made() -> None:
    async def main() -> None:
        server = fake_server(g=0)
        server.handlers["post"] = refuse
        async with open_scene(server) as scene:
            with pytest.raises(Rejected, match="forbidden"):
                await scene.client.post("g", text="x")

    run(main())


def test_a_cancelled_call_is_cancelled_in_the_thread_too() -> None:
    async def main() -> None:
        server = fake_server(g=0)
        server.handlers["history"] = silence
        async with open_scene(server) as scene:
            with pytest.raises(TimeoutError):
                async with asyncio.timeout(0.05):
                    await scene.client.history("g")
            assert (await scene.client.post("g", text="x"))["seq"] == 1
            connection = scene.client._client._uplink._connection
            assert connection is not None
            assert not there(scene.host, lambda: dict(connection._waiting))

    run(main())


def test_connecting_can_be_cancelled_and_leaves_no_thread() -> None:
    async def main() -> None:
        server = fake_server()
        server.dial_error = OSError("nobody there")
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.05), open_scene(server):
                raise AssertionError("it connected")

    run(main())
    assert no_client_runs()


def test_the_error_of_the_block_is_not_covered() -> None:
    async def main() -> None:
        async with open_scene():
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        run(main())


# --- the token


def test_a_token_is_made_on_the_loop() -> None:
    async def main() -> None:
        server = fake_server(g=0)
        made: list[asyncio.AbstractEventLoop] = []
        refusals = iter([True])

        def expire(visit: Visit, request: rpc.Request) -> Any:
            if next(refusals, False):
                return Rejected("unauthenticated", "expired")
            return {"time_ms": 7}

        async def token() -> str:
            made.append(asyncio.get_running_loop())
            return f"token-{len(made)}"

        server.handlers["ping"] = expire
        async with open_scene(server, token=token) as scene:
            assert await scene.client.ping() == {"time_ms": 7}
            shown = [params["token"] for params in server.sent("hello")]
            assert shown == ["token-1", "token-2"]
        assert set(made) == {asyncio.get_running_loop()}

    run(main())


def test_a_token_that_cannot_be_had_ends_the_client() -> None:
    async def main() -> None:
        async def token() -> str:
            raise OSError("the token service is down")

        with pytest.raises(AuthError, match="token service"):
            async with open_scene(token=token):
                raise AssertionError("it connected")

    run(main())


def test_a_token_that_is_awaited_for_ever_can_be_given_up() -> None:
    async def main() -> None:
        cancelled = asyncio.Event()

        async def token() -> str:
            try:
                await asyncio.Event().wait()
            finally:
                cancelled.set()
            return ""

        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.05), open_scene(token=token):
                raise AssertionError("it connected")
        await cancelled.wait()

    run(main())


# --- events


def test_a_slow_program_misses_nothing_and_little_is_held_for_it() -> None:
    async def main() -> None:
        async with open_scene(limits=attrs.evolve(QUICK, events_max=8)) as scene:
            stream = scene.client.events()
            scene.log(1)
            assert seq(await anext(stream)) == 2
            for _ in range(30):
                scene.log(10)
            held = there(scene.host, lambda: len(stream._pull._opening.result()._buffer))
            assert held == 8
            assert [seq(await anext(stream)) for _ in range(300)] == list(range(3, 303))

    run(main())


def test_a_cancelled_wait_for_an_event_loses_nothing() -> None:
    async def main() -> None:
        async with open_scene() as scene:
            stream = scene.client.events()
            for number in range(2, 5):
                with pytest.raises(TimeoutError):
                    async with asyncio.timeout(0.001):
                        await anext(stream)
                scene.log(1)
                assert seq(await anext(stream)) == number

    run(main())


def test_a_stream_begins_where_it_is_asked_for() -> None:
    async def main() -> None:
        async with open_scene() as scene:
            stream = scene.client.events()
            await scene.client.post("g", text="x")
            assert seq(await anext(stream)) == 2
            assert seq(await anext(scene.client.events(after={"g": 0}))) == 1

    run(main())


def test_closing_a_stream_ends_the_wait_of_another_task() -> None:
    async def main() -> None:
        async with open_scene() as scene:
            stream = scene.client.events()

            async def listen() -> list[object]:
                return [event async for event in stream]

            listening = asyncio.create_task(listen())
            await asyncio.sleep(0)
            with pytest.raises(LocalProtocolError, match="another task"):
                await anext(stream)
            stream.close()
            assert await listening == []

    run(main())


def test_a_stream_that_nobody_reads_on_ends_in_silence() -> None:
    async def main() -> None:
        async with open_scene() as scene:
            stream = scene.client.events()
            with pytest.raises(TimeoutError):
                async with asyncio.timeout(0.001):
                    await anext(stream)
        # What was asked for is answered with an error now.
        await asyncio.sleep(0)

    run(main())


def test_a_stream_ends_with_the_client() -> None:
    async def main() -> None:
        async with open_scene() as scene:
            stream = scene.client.events()
            scene.log(1)
            assert seq(await anext(stream)) == 2
        assert [event async for event in stream] == []

    run(main())


def test_what_ends_the_client_ends_calls_and_streams() -> None:
    async def main() -> None:
        async with open_scene() as scene:
            stream = scene.client.events()

            def leave() -> None:
                scene.server.visit.push("goodbye", code="unauthenticated", message="expired")
                scene.server.handlers["hello"] = lambda *_: Rejected("unauthenticated", "no")
                scene.server.visit.link.send_eof()

            there(scene.host, leave)
            with pytest.raises(Rejected, match="unauthenticated"):
                await anext(stream)
            with pytest.raises(Rejected, match="unauthenticated"):
                await scene.client.ping()

    run(main())


def test_without_events_there_is_no_stream() -> None:
    async def main() -> None:
        async with open_scene(events=False) as scene:
            with pytest.raises(LocalProtocolError):
                scene.client.events()

    run(main())
