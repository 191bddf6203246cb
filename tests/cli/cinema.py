"""People at full screens, in one process with the server they talk to.

All of it runs in one thread, as ``groupd chat`` does: asyncio, and trio as its guest. The screens
are real output of prompt_toolkit, read by a terminal in memory. No test waits for time: it waits
for what is to be seen, and ``PATIENCE_S`` bounds that.
"""

from __future__ import annotations

import asyncio
import io
from collections.abc import Awaitable, Callable, Iterable
from contextlib import AsyncExitStack
from typing import Any, Final, TypeAlias, TypeVar

import attrs
import pyte
import trio
from prompt_toolkit.application import create_app_session
from prompt_toolkit.data_structures import Size
from prompt_toolkit.input import PipeInput, create_pipe_input
from prompt_toolkit.output.vt100 import Vt100_Output
from trio.testing import MockClock

from groupd.cli.chat.full import chat_full
from groupd.cli.chat.view import View
from groupd.client import Ports, connect
from groupd.testing.links import FakeLink
from tests.server.bench import Bench, open_bench

PATIENCE_S: Final = 20.0
COLUMNS: Final = 100
ROWS: Final = 24

ENTER: Final = "\r"
TAB: Final = "\t"
UP: Final = "\x1b[A"
PAGE_UP: Final = "\x1b[5~"
PAGE_DOWN: Final = "\x1b[6~"
CTRL_C: Final = "\x03"
CTRL_D: Final = "\x04"
CTRL_N: Final = "\x0e"


class Screen(io.StringIO):
    """A terminal in memory: what is written to it moves its cursor, and so on."""

    def __init__(self, columns: int, rows: int) -> None:
        super().__init__()
        self.screen = pyte.Screen(columns, rows)
        self.raw = ""
        self._stream = pyte.Stream(self.screen)

    def write(self, text: str) -> int:
        self.raw += text
        self._stream.feed(text)
        return len(text)

    @property
    def shown(self) -> str:
        return "\n".join(line.rstrip() for line in self.screen.display)


@attrs.define(eq=False)
class Seat:
    """Somebody at a screen."""

    user: str
    screen: Screen
    links: list[FakeLink]
    _keyboard: PipeInput
    _drawn: asyncio.Event
    left: asyncio.Future[None]
    view: View
    keys: int = 0
    """How many were handled."""

    def types(self, text: str) -> None:
        self._keyboard.send_text(text)

    def count(self, _: object) -> None:
        self.keys += 1
        self._drawn.set()

    async def presses(self, key: str) -> str:
        """Type one key, and give what is on the screen after it."""
        before = self.keys
        self.types(key)
        app = self.view.app
        return await self.until(lambda _: self.keys > before and not app.invalidated, key)

    def enters(self, *lines: str) -> None:
        for line in lines:
            self.types(line + ENTER)

    def pastes(self, text: str) -> None:
        self.types(f"\x1b[200~{text}\x1b[201~")

    @property
    def shown(self) -> str:
        return self.screen.shown

    async def sees(self, *texts: str) -> str:
        """Wait until all of these are on the screen, and give what is."""
        return await self.until(lambda shown: all(text in shown for text in texts), texts)

    async def until(self, holds: Callable[[str], bool], what: Any = "it") -> str:
        try:
            async with asyncio.timeout(PATIENCE_S):
                while not holds(self.shown):
                    self._drawn.clear()
                    await self._drawn.wait()
        except TimeoutError:
            raise AssertionError(f"{self.user} does not see {what!r}:\n{self.shown}") from None
        return self.shown


@attrs.define(eq=False)
class Cinema:
    """A server, and the screens at it."""

    bench: Bench
    clock: MockClock
    _nursery: trio.Nursery
    _stack: AsyncExitStack
    _token: trio.lowlevel.TrioToken

    async def seat(self, user: str, *, columns: int = COLUMNS, rows: int = ROWS) -> Seat:
        """Begin to chat as somebody, and see the screen."""
        keyboard = self._stack.enter_context(create_pipe_input())
        screen = Screen(columns, rows)
        output = Vt100_Output(
            screen, lambda: Size(rows=rows, columns=columns), term="xterm", enable_cpr=False
        )
        views: asyncio.Future[View] = asyncio.get_running_loop().create_future()
        left: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        links: list[FakeLink] = []
        token = self.bench.token(user)

        async def dial(url: str) -> FakeLink:
            await trio.lowlevel.checkpoint()
            links.append(self.bench.link())
            return links[-1]

        async def chat() -> None:
            given = self.bench.ports
            ports = Ports(clock=given.clock, randomness=given.randomness, dial=dial)
            async with connect("tcp://fake:1", token=token, ports=ports) as client:
                await chat_full(client, views.set_result, keyboard=keyboard, screen=output)
            left.set_result(None)

        self._nursery.start_soon(chat)
        async with asyncio.timeout(PATIENCE_S):
            view = await views
        seat = Seat(user, screen, links, keyboard, asyncio.Event(), left, view)
        view.app.after_render += lambda _: seat._drawn.set()
        view.app.key_processor.after_key_press += seat.count
        with create_app_session(keyboard, output):
            task = asyncio.create_task(view.app.run_async(handle_sigint=False))
        self._stack.push_async_callback(_ended, view, task)
        await seat.sees(f" {user}")
        return seat

    def in_trio(self, function: Callable[[], object]) -> None:
        """Call something where trio is."""
        self._token.run_sync_soon(function)

    async def post(self, user: str, group: str, texts: Iterable[str]) -> None:
        """Let somebody say much, without typing it."""
        done: asyncio.Future[None] = asyncio.get_running_loop().create_future()

        async def post() -> None:
            posting = self.bench.hub.act_as(user)
            for text in texts:
                await posting.post(group, text=text)
            done.set_result(None)

        self._nursery.start_soon(post)
        await done

    def cut(self, seat: Seat) -> None:
        """Lose somebody's connection."""
        self.in_trio(seat.links[-1].cut)

    def pass_time(self, seconds: float) -> None:
        """Let time pass at once."""
        self.in_trio(lambda: self.clock.jump(seconds))


async def _ended(view: View, task: asyncio.Task[None]) -> None:
    view.close()
    await task


T = TypeVar("T")
Scenario: TypeAlias = Callable[[Cinema], Awaitable[T]]


def on_screens(scenario: Scenario[None]) -> Callable[[], None]:
    """Make a test of what is to happen in a cinema."""

    def test() -> None:
        asyncio.run(play(scenario))

    test.__name__ = getattr(scenario, "__name__", "test")
    return test


async def play(scenario: Scenario[T]) -> T:
    """Let a scenario happen, with a server of its own."""
    loop, clock = asyncio.get_running_loop(), MockClock()
    opened: asyncio.Future[tuple[Bench, trio.Nursery]] = loop.create_future()
    ended: asyncio.Future[Any] = loop.create_future()
    scope = trio.CancelScope()

    async def guest() -> None:
        with scope:
            async with open_bench() as bench, trio.open_nursery() as nursery:
                opened.set_result((bench, nursery))
                await trio.sleep_forever()

    trio.lowlevel.start_guest_run(
        guest,
        run_sync_soon_threadsafe=loop.call_soon_threadsafe,
        run_sync_soon_not_threadsafe=loop.call_soon,
        done_callback=ended.set_result,
        host_uses_signal_set_wakeup_fd=True,
        clock=clock,
    )
    token = trio.lowlevel.current_trio_token()
    try:
        bench, nursery = await opened
        async with AsyncExitStack() as stack:
            value = await scenario(Cinema(bench, clock, nursery, stack, token))
    finally:
        scope.cancel()
        result = await ended
    result.unwrap()
    return value
