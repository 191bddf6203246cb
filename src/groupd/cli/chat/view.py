"""The full screen, in prompt_toolkit: a model drawn, and keys handed on.

It decides nothing: what is seen is ``layout``'s, what could be meant is ``completing``'s, and what
a key does is up to ``Hands``.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Final, Protocol

from prompt_toolkit.application import Application
from prompt_toolkit.buffer import Buffer, CompletionState
from prompt_toolkit.completion import CompleteEvent, Completer, Completion
from prompt_toolkit.document import Document
from prompt_toolkit.filters import Always, Condition, Filter
from prompt_toolkit.formatted_text import StyleAndTextTuples
from prompt_toolkit.history import DummyHistory
from prompt_toolkit.input import Input
from prompt_toolkit.key_binding import KeyBindings, KeyPressEvent
from prompt_toolkit.keys import Keys
from prompt_toolkit.layout import (
    BufferControl,
    ConditionalContainer,
    Float,
    FloatContainer,
    HSplit,
    Layout,
    UIContent,
    UIControl,
    VSplit,
    Window,
)
from prompt_toolkit.layout.controls import GetLinePrefixCallable
from prompt_toolkit.layout.dimension import Dimension
from prompt_toolkit.layout.menus import CompletionsMenu
from prompt_toolkit.output import Output
from prompt_toolkit.styles import Style

from groupd.cli.chat import layout, paint
from groupd.cli.chat.completing import candidates
from groupd.cli.chat.model import Model
from groupd.cli.chat.paint import Line

LIST_WIDTH: Final = 26
"""Columns of the list of chats."""
LIST_ABOVE: Final = 72
"""Columns of the terminal below which the list is not shown."""
INPUT_ROWS: Final = 6
"""Rows that the input grows to."""
INPUT_MAX: Final = 20_000
"""Characters of the input; what is pasted beyond that is not taken. A message is shorter."""
MENU_ROWS: Final = 8
OVERLAP_ROWS: Final = 2
"""Rows that stay in sight when a page is turned."""

STYLE: Final = Style.from_dict(
    {
        "dim": "ansibrightblack",
        "who": "ansicyan",
        "title": "reverse bold",
        "announcement": "ansiyellow",
        "status": "reverse",
        "status.lost": "reverse bold ansired",
        "new": "ansired",
        "mention": "bold ansiyellow",
        "unread": "bold",
        "selected": "reverse",
        "open": "reverse",
        "edge": "ansibrightblack",
    }
)


class Hands(Protocol):
    """What the keys do. Nothing here may wait."""

    def submit(self, line: str) -> bool:
        """Take what was typed; False leaves it in the input."""

    def touched(self) -> None:
        """Know that somebody is there."""

    def typing(self) -> None:
        """Know that somebody is writing a message."""

    def scroll(self, lines: int, *, width: int, height: int) -> None:
        """Scroll up by so many lines, or down where negative."""

    def select(self, step: int, *, width: int, height: int) -> None:
        """Move the cursor to the message before (-1) or after (1)."""

    def to_end(self) -> None:
        """Leave the cursor, and show what is newest."""

    def turn(self, step: int) -> None:
        """Open the chat after (1) or before (-1) the open one."""

    def say(self, text: str) -> None:
        """Show words of the client's own."""

    def leave(self) -> None:
        """End, if nothing waits to be sent, or if it is asked again."""

    def status(self) -> str:
        """Give the line above the input."""


class Pane(UIControl):
    """A part of the screen that is drawn anew for its size, and remembers that."""

    def __init__(
        self,
        draw: Callable[[int, int], list[Line]],
        *,
        at_bottom: bool = False,
        fits: bool = False,
    ) -> None:
        """``draw`` gives the rows for a width and a height, no more than fit.

        With ``fits`` the part is as high as what is drawn, else as there is room.
        """
        self.width, self.height = 80, 24
        self._draw = draw
        self._at_bottom = at_bottom
        self._fits = fits

    def preferred_height(
        self,
        width: int,
        max_available_height: int,
        wrap_lines: bool,
        get_line_prefix: GetLinePrefixCallable | None,
    ) -> int | None:
        """Give how many rows it wants."""
        return len(self._draw(width, max_available_height)) if self._fits else None

    def create_content(self, width: int, height: int | None) -> UIContent:
        """Draw."""
        self.width, self.height = width, height or 0
        rows: list[StyleAndTextTuples] = [list(row) for row in self._draw(width, self.height)]
        if self._at_bottom:
            rows = [[] for _ in range(self.height - len(rows))] + rows
        return UIContent(rows.__getitem__, len(rows), show_cursor=False)


class View:
    """The application of a model. ``app`` is to be run by an event loop of asyncio."""

    def __init__(
        self,
        model: Model,
        hands: Hands,
        *,
        keyboard: Input | None = None,
        screen: Output | None = None,
    ) -> None:
        """Without ``keyboard`` and ``screen``, it is the terminal that the program runs in."""
        self.is_closed = False
        self.model = model
        self._hands = hands
        self._completer = _Completer(model)
        self._buffer = Buffer(
            multiline=True,
            complete_while_typing=True,
            completer=self._completer,
            history=DummyHistory(),
            on_text_changed=lambda _: self._changed(),
        )
        self._talk = Pane(lambda w, h: layout.seen(model, w, h), at_bottom=True)
        self.app: Application[None] = Application(
            layout=Layout(self._container(), focused_element=self._buffer),
            key_bindings=self._keys(),
            style=STYLE,
            full_screen=True,
            input=keyboard,
            output=screen,
        )
        self.app.key_processor.after_key_press += lambda _: hands.touched()

    @property
    def is_writing(self) -> bool:
        """Whether a message stands in the input, unsent."""
        return bool(self._buffer.text) and not self._buffer.text.startswith("/")

    def redraw(self) -> None:
        """Draw soon; many at a time are one."""
        self.app.invalidate()

    def give_back(self, line: str) -> bool:
        """Put what was refused into the input again, unless something else stands there."""
        if self._buffer.text:
            return False
        self._buffer.document = Document(line, len(line))
        return True

    def close(self) -> None:
        """End the application; one that does not run yet is not to be run."""
        self.is_closed = True
        if self.app.is_running and self.app.future is not None and not self.app.future.done():
            self.app.exit()

    # --- what is where

    def _container(self) -> FloatContainer:
        model = self.model
        chats = Pane(lambda w, h: layout.chats(model, w, h))
        banner = Pane(lambda w, h: layout.banner(model, w)[:h], fits=True)
        beside = VSplit(
            [Window(chats, width=LIST_WIDTH), Window(width=1, char="│", style="class:edge")]
        )
        has_room = Condition(lambda: self.app.output.get_size().columns >= LIST_ABOVE)
        talk = HSplit([Window(banner, dont_extend_height=True), Window(self._talk)])
        rows = HSplit(
            [
                VSplit([ConditionalContainer(beside, has_room), talk]),
                Window(Pane(lambda w, h: [self._status(w)]), height=1),
                Window(
                    BufferControl(self._buffer),
                    height=Dimension(min=1, max=INPUT_ROWS),
                    dont_extend_height=True,
                    wrap_lines=True,
                    get_line_prefix=lambda number, wraps: "  " if number or wraps else "> ",
                ),
            ]
        )
        menu = CompletionsMenu(max_height=MENU_ROWS, scroll_offset=1)
        return FloatContainer(rows, [Float(menu, xcursor=True, ycursor=True)])

    def _status(self, width: int) -> Line:
        style = "class:status" if self.model.is_connected else "class:status.lost"
        return [(style, paint.fitted(" " + paint.plain(self._hands.status()), width))]

    def _changed(self) -> None:
        if self.is_writing:
            self._hands.typing()

    # --- keys

    def _keys(self) -> KeyBindings:
        hands, talk, always = self._hands, self._talk, Always()
        is_empty = Condition(lambda: not self._buffer.text)

        def scroll(pages: int) -> None:
            hands.scroll(pages * self._page(), width=talk.width, height=talk.height)

        def select(step: int) -> None:
            hands.select(step, width=talk.width, height=talk.height)

        table: Sequence[tuple[Sequence[str], Filter, Callable[[], object]]] = (
            (["enter"], always, self._enter),
            (["escape", "enter"], always, lambda: self._buffer.insert_text("\n")),
            (["c-j"], always, lambda: self._buffer.insert_text("\n")),
            (["tab"], always, self._complete),
            (["s-tab"], always, self._buffer.complete_previous),
            (["up"], is_empty, lambda: select(-1)),
            (["down"], is_empty, lambda: select(1)),
            (["pageup"], always, lambda: scroll(1)),
            (["pagedown"], always, lambda: scroll(-1)),
            (["escape"], always, hands.to_end),
            (["c-n"], always, lambda: hands.turn(1)),
            (["c-p"], always, lambda: hands.turn(-1)),
            (["c-c"], always, self._stop),
            (["<sigint>"], always, self._stop),
            (["c-d"], is_empty, hands.leave),
        )
        keys = KeyBindings()
        for names, when, do in table:
            keys.add(*names, filter=when)(_handler(do))
        keys.add(Keys.BracketedPaste)(self._paste)
        return keys

    def _enter(self) -> None:
        buffer = self._buffer
        if buffer.complete_state is not None and buffer.complete_state.current_completion:
            # It stands in the input already.
            buffer.complete_state = None
        elif not buffer.text.strip() or self._hands.submit(buffer.text):
            buffer.reset()

    def _complete(self) -> None:
        buffer = self._buffer
        state = buffer.complete_state
        if state is None or not state.completions:
            # At once: what is looked up while one types may not be there yet.
            found = list(self._completer.get_completions(buffer.document, CompleteEvent()))
            if not found:
                return
            buffer.complete_state = CompletionState(buffer.document, found)
        buffer.complete_next()

    def _stop(self) -> None:
        if self._buffer.text:
            self._buffer.reset()
        else:
            self._hands.leave()

    def _paste(self, event: KeyPressEvent) -> None:
        text = event.data.replace("\r\n", "\n").replace("\r", "\n")
        if len(self._buffer.text) + len(text) > INPUT_MAX:
            self._hands.say(f"Too long to paste: the input holds {INPUT_MAX:,} characters.")
        else:
            self._buffer.insert_text(text)

    def _page(self) -> int:
        return max(1, self._talk.height - OVERLAP_ROWS)


def _handler(do: Callable[[], object]) -> Callable[[KeyPressEvent], None]:
    def handle(event: KeyPressEvent) -> None:
        do()

    return handle


class _Completer(Completer):
    """Gives ``candidates`` to prompt_toolkit."""

    def __init__(self, model: Model) -> None:
        self.model = model

    def get_completions(
        self, document: Document, complete_event: CompleteEvent
    ) -> Iterable[Completion]:
        """See ``completing.candidates``."""
        for found in candidates(self.model, document.text_before_cursor):
            yield Completion(
                found.text, -found.length, display=found.text.strip(), display_meta=found.meaning
            )
