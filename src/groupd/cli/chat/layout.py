"""Which rows of a conversation are seen: entries as rows, and how one scrolls over them.

Placement rules: pure, from a ``Model`` and a size to rows. Only the entries that are seen are
drawn, so a conversation costs as much as the screen is high.
"""

from __future__ import annotations

from datetime import datetime
from typing import Final

from groupd.cli.chat import paint, words
from groupd.cli.chat.conversation import Conversation, Note, Place, Told
from groupd.cli.chat.model import Model, Row
from groupd.cli.chat.paint import Line
from groupd.cli.chat.person import clock

INDENT: Final = 11
"""Columns for time and number, under which texts do not go."""
NARROW: Final = 30
"""Columns below which there is no such indent."""


# --- entries as rows


def rows_of(model: Model, at: int, width: int) -> list[Line]:
    """Draw one entry of the open conversation, with the lines between it and the one before."""
    shown = model.open
    entry = shown.entries[at]
    if isinstance(entry, Note):
        return paint.drawn(entry.thing, width)
    rows = []
    before = _told_before(shown, at)
    day = _day(entry)
    if before is None or _day(before) != day:
        rows.append(_ruler(day, width, "class:dim"))
    if _is_first_unread(shown, before, entry):
        rows.append(_ruler("new", width, "class:new"))
    return rows + _told(model, entry, width)


def _told(model: Model, entry: Told, width: int) -> list[Line]:
    event = entry.event
    indent = INDENT if width >= NARROW else 0
    head = f"{clock(event.time_ms)} {event.seq:>4} " if indent else ""
    is_selected = model.open.selected == event.seq
    style = "class:selected" if is_selected else "class:mention" if entry.is_mention else ""
    line: Line = []
    user = "" if event.kind in words.IMPERSONAL else event.user
    if user:
        line += [("class:who", paint.plain(model.who(user))), ("", " ")]
    line += paint.pieces(words.sentence(event, model.me))
    if event.seq in model.open.pins:
        line.append(("class:dim", " · pinned"))
    if entry.note:
        line.append(("class:dim", " " + paint.plain(words.safe(entry.note))))
    rows = paint.wrap(line, max(1, width - indent))
    return [
        [("class:dim", head if number == 0 else " " * len(head)), *_styled(row, style)]
        for number, row in enumerate(rows)
    ]


def _styled(row: Line, style: str) -> Line:
    return [(f"{own} {style}".strip(), text) for own, text in row]


def _ruler(text: str, width: int, style: str) -> Line:
    return [(style, paint.cut(f"── {text} {'─' * width}", width).removesuffix("…"))]


def _day(entry: Told) -> str:
    return datetime.fromtimestamp(entry.event.time_ms / 1_000).strftime("%Y-%m-%d")


def _told_before(shown: Conversation, at: int) -> Told | None:
    for entry in reversed(shown.entries[max(0, at - NOTES_PASSED) : at]):
        if isinstance(entry, Told):
            return entry
    return None


NOTES_PASSED: Final = 50
"""Notes over which it is looked for the event before."""


def _is_first_unread(shown: Conversation, before: Told | None, entry: Told) -> bool:
    mark = shown.mark
    return mark is not None and entry.event.seq > mark >= (before.event.seq if before else 0)


# --- what is seen of them


def seen(model: Model, width: int, height: int) -> list[Line]:
    """Give the rows that are seen, at most ``height``."""
    at, hidden = _edge(model.open)
    rows = _waiting(model, width) if model.open.place is None else []
    while at >= 0 and len(rows) < height:
        own = rows_of(model, at, width)
        rows = own[: max(0, len(own) - hidden)] + rows
        at, hidden = at - 1, 0
    return rows[-height:] if height else []


def _waiting(model: Model, width: int) -> list[Line]:
    """Draw the messages that are still to be sent, where they will stand."""
    rows: list[Line] = []
    for text in model.waiting:
        if not text.startswith("/"):
            rows += paint.wrap([("class:dim", paint.plain(words.safe(f"… {text}")))], width)
    return rows


def scroll(model: Model, lines: int, *, width: int, height: int) -> bool:
    """Move what is seen up by so many lines, or down where negative.

    Gives whether it came to an end on the way.
    """
    shown = model.open
    at, hidden = _edge(shown)
    if at < 0:
        return True
    hidden += lines
    while hidden < 0:
        at += 1
        if at >= len(shown.entries):
            shown.place = _end(shown)
            return True
        hidden += len(rows_of(model, at, width))
    while at >= 0 and hidden >= (count := len(rows_of(model, at, width))):
        at, hidden = at - 1, hidden - count
    top, top_hidden = _topmost(model, width, height)
    is_top = (at, -hidden) <= (top, -top_hidden)
    if is_top:
        at, hidden = top, top_hidden
    is_bottom = at == len(shown.entries) - 1 and hidden == 0
    shown.place = _end(shown) if is_bottom else Place(shown.entries[at].key, hidden)
    return is_top or is_bottom


def _end(shown: Conversation) -> Place | None:
    """Give the place of the last entry. Where more follows, it stays there as that is fetched."""
    return Place(shown.entries[-1].key) if shown.newer else None


def reveal(model: Model, *, width: int, height: int) -> None:
    """Move what is seen, if need be, so that the selected message is."""
    shown = model.open
    if shown.selected is None:
        shown.place = None
        return
    target = shown.index((shown.selected, 0))
    at, hidden = _edge(shown)
    if target > at:
        shown.place = Place((shown.selected, 0))
        return
    room = height + hidden
    for i in range(at, target - 1, -1):
        room -= len(rows_of(model, i, width))
        if room < 0:
            own = len(rows_of(model, target, width))
            # Its first row becomes the uppermost, or where it is longer than the screen, is seen.
            _put_on_top(model, target, width=width, height=max(height, own))
            return


def _put_on_top(model: Model, target: int, *, width: int, height: int) -> None:
    shown, left = model.open, height
    for i in range(target, len(shown.entries)):
        count = len(rows_of(model, i, width))
        if count >= left:
            shown.place = Place(shown.entries[i].key, count - left)
            return
        left -= count
    shown.place = None


def _edge(shown: Conversation) -> tuple[int, int]:
    """Give the lowest entry that is seen (-1: none), and how many rows of it are not."""
    if shown.place is None:
        return len(shown.entries) - 1, 0
    at = shown.index(shown.place.key)
    if at < len(shown.entries) and shown.entries[at].key == shown.place.key:
        return at, shown.place.hidden
    # It was dropped.
    return min(at, len(shown.entries) - 1), 0


def _topmost(model: Model, width: int, height: int) -> tuple[int, int]:
    """Give the edge above which one cannot scroll: the first row is the uppermost one then."""
    left = height
    entries = model.open.entries
    for i in range(len(entries)):
        count = len(rows_of(model, i, width))
        if count >= left:
            return i, count - left
        left -= count
    return len(entries) - 1, 0


# --- the list of chats


def chats(model: Model, width: int, height: int) -> list[Line]:
    """Draw the list of chats; the open one is always among those that are seen."""
    rows = model.listed()
    groups = [row.group for row in rows]
    at = groups.index(model.open.group) if model.open.group in groups else 0
    first = max(0, min(at - height // 2, len(rows) - height))
    return [_row(model, row, width) for row in rows[first : first + height]]


def _row(model: Model, row: Row, width: int) -> Line:
    marks = ("^" if row.pinned else "") + ("z" if row.silent else "")
    numbers = f"@{row.mentions} " if row.mentions else ""
    numbers += str(row.unread) if row.unread else "*" if row.marked else ""
    numbers = f" {numbers} " if numbers else " "
    room = max(1, width - len(numbers) - len(marks) - 1)
    name = paint.fitted(paint.plain(model.name(row.group)), room)
    base = "class:open" if row.group == model.open.group else ""
    loud = "class:mention" if row.mentions else "class:dim" if row.silent else "class:unread"
    return _styled([("class:dim", f" {marks}"), ("", name), (loud, numbers)], base)


def banner(model: Model, width: int) -> list[Line]:
    """Draw what stands above the conversation: its name, and the announcement in two rows."""
    shown = model.open
    if not shown.group:
        return [[("class:title", paint.fitted(" groupd", width))]]
    parts = [model.name(shown.group)]
    if shown.members is not None:
        parts.append(words.many(shown.members, "member"))
    if shown.pins:
        parts.append(f"{len(shown.pins)} pinned")
    rows: list[Line] = [[("class:title", paint.fitted(" " + " · ".join(parts), width))]]
    if shown.announcement:
        text = " ".join(paint.plain(words.safe(shown.announcement)).split())
        rows += paint.wrap([("class:announcement", f" {text}")], width)[:BANNER_ROWS]
    return rows


BANNER_ROWS: Final = 2
"""Rows of an announcement; all of it is in /info."""
