"""What people see on the full screen of ``groupd chat``, and what their keys do."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

import pytest

from groupd.cli.chat import terminal
from groupd.cli.chat.full import PAGE
from groupd.cli.chat.view import View
from groupd.client import GroupEvent
from groupd.errors import Rejected
from tests.cli.cinema import (
    CTRL_C,
    CTRL_D,
    CTRL_N,
    ENTER,
    PAGE_DOWN,
    PAGE_UP,
    TAB,
    UP,
    Cinema,
    Seat,
    on_screens,
)


async def tea(cinema: Cinema, *others: str) -> list[Seat]:
    """Let Alice found a group, and the others join it and open it."""
    alice = await cinema.seat("alice")
    alice.enters("/create Tea 茶")
    shown = await alice.sees("Founded Tea 茶: ")
    group = shown.split("Founded Tea 茶: ")[1][:16]
    people = [alice]
    for user in others:
        person = await cinema.seat(user)
        person.enters(f"/join {group}")
        await person.sees("Tea 茶 · ")
        people.append(person)
    return people


async def wait_until_left(seat: Seat) -> None:
    async with asyncio.timeout(20):
        await seat.left


@on_screens
async def test_two_people_talk_in_any_script(cinema: Cinema) -> None:
    alice, bob = await tea(cinema, "bob")
    alice.enters("你好，鲍勃！")
    await bob.sees("alice 你好，鲍勃！")
    bob.enters("hello 爱丽丝 👍")
    shown = await alice.sees("bob hello 爱丽丝 👍")
    assert "2 members" in shown
    # Each is there once, and the input is empty again.
    assert shown.count("你好，鲍勃！") == 1
    assert shown.splitlines()[-1].strip() == ">"


@on_screens
async def test_the_list_shows_what_is_unread_and_reading_takes_it_away(cinema: Cinema) -> None:
    alice, bob = await tea(cinema, "bob")
    bob.enters("/create Quiet place")
    await bob.sees("Founded Quiet place")
    alice.enters("one", "two @bob")
    await bob.until(lambda shown: "@1 2" in _listed(shown, "Tea 茶"))
    bob.enters("/use Tea")
    shown = await bob.sees("alice two @bob", "── new")
    assert shown.index("── new") < shown.index("alice one")
    await bob.until(lambda shown: "@" not in _listed(shown, "Tea 茶"))
    # It is the server who knows: another screen of the same person has nothing unread.
    again = await cinema.seat("bob")
    await again.until(lambda shown: "Tea 茶" in shown and "@" not in _listed(shown, "Tea 茶"))


def _listed(shown: str, name: str) -> str:
    """Give the row of a chat in the list at the left."""
    rows = [line.partition("│")[0] for line in shown.splitlines() if "│" in line]
    return next((row for row in rows if name in row), "")


@on_screens
async def test_page_up_shows_history_to_the_first_event(cinema: Cinema) -> None:
    _, bob = await tea(cinema, "bob")
    group = bob.view.model.open.group
    await cinema.post("alice", group, (f"message {number} ." for number in range(250)))
    await bob.sees("message 249 .")
    bob.enters("/history")
    await bob.until(lambda _: _entries(bob) == PAGE, "a page")
    # What is too far off is dropped, and comes again on the way back.
    bob.view.model.open.entries_max = 2 * PAGE
    seen = await _turn_pages(bob, PAGE_UP, "has founded the group")
    assert _entries(bob) == 2 * PAGE
    assert "message 249 ." not in bob.shown
    assert all(f"message {number} ." in seen for number in range(250))
    assert bob.shown.count("message 0 .") == 1
    seen = await _turn_pages(bob, PAGE_DOWN, "message 249 .")
    assert all(f"message {number} ." in seen for number in range(20, 250))
    # Where it ends, it goes on by itself.
    await cinema.post("alice", group, ["and on"])
    await bob.sees("and on")


def _entries(seat: Seat) -> int:
    return len(seat.view.model.open.entries)


def _held(seat: Seat) -> tuple[int, int]:
    return seat.view.model.open.low, seat.view.model.open.high


async def _turn_pages(seat: Seat, key: str, end: str) -> str:
    """Press a key until something is seen; give all that was seen on the way."""
    seen = seat.shown
    while end not in seat.shown:
        before, held = seat.shown, _held(seat)
        after = await seat.presses(key)
        seen += after
        if after == before:
            # It is at the end of what is there: more of it is on its way.
            await seat.until(lambda _, held=held: _held(seat) != held, end)
    return seen


@on_screens
async def test_a_lost_connection_is_told_and_nothing_is_lost_or_shown_twice(
    cinema: Cinema,
) -> None:
    alice, bob = await tea(cinema, "bob")
    alice.enters("before")
    await bob.sees("alice before")
    cinema.cut(bob)
    await bob.sees("reconnecting")
    alice.enters("meanwhile")
    await alice.sees("alice meanwhile")
    bob.enters("typed while offline")
    shown = await bob.sees("typed while offline", "1 line to be sent")
    assert "meanwhile" not in shown
    cinema.pass_time(60)
    await alice.sees("bob typed while offline")
    await bob.until(lambda shown: "to be sent" not in shown and "reconnecting" not in shown)
    shown = await bob.sees("alice before", "alice meanwhile", "bob typed while offline")
    for text in ("before", "meanwhile", "typed while offline"):
        assert shown.count(text) == 1, shown


@on_screens
async def test_what_others_write_neither_moves_the_cursor_nor_colours(cinema: Cinema) -> None:
    """Whatever a server lets pass."""
    (alice,) = await tea(cinema)
    view = alice.view
    begin = len(alice.screen.raw)
    text = "a\x1b[2Jb\x07c\u202ed [red]e[/] \x1b]0;title\x07\x9b31mf"
    group = view.model.open.group
    event = GroupEvent(group, 90, 1_750_000_000_000, "b\x1b[5mb", "posted", None, {"text": text})
    cinema.in_trio(lambda: view.model.hear(event))
    cinema.in_trio(view.redraw)
    await alice.sees("b␛[5mb a␛[2Jb␇c�d [red]e[/] ␛]0;title␇�31mf")
    written = alice.screen.raw[begin:]
    for sent in ("\x1b[2J", "\x07", "\u202e", "\x1b]0;", "\x9b", "\x1b[5m"):
        assert sent not in written, repr(sent)


@on_screens
async def test_several_lines_are_pasted_and_sent_as_one_message(cinema: Cinema) -> None:
    alice, bob = await tea(cinema, "bob")
    alice.pastes("first\r\nsecond\r第三")
    await alice.sees("> first", "  second", "  第三")
    alice.types(ENTER)
    shown = await bob.sees("alice first", "第三")
    seqs = [line for line in shown.splitlines() if "second" in line or "第三" in line]
    assert all("alice" not in line for line in seqs)


@on_screens
async def test_the_message_under_the_cursor_is_what_commands_are_about(cinema: Cinema) -> None:
    alice, bob = await tea(cinema, "bob")
    alice.enters("who is for tea?", "on Friday")
    await bob.sees("alice on Friday")
    bob.types(UP + UP)
    await bob.sees("message 4: /reply")
    bob.enters("/reply me!")
    await bob.sees("bob to 4: me!")
    await alice.sees("who is for tea? 1 reply")
    bob.types(UP + UP)
    await bob.sees("message 5: /reply")
    bob.enters("/like")
    await alice.sees("on Friday like 1")
    alice.types(UP + UP + UP)
    await alice.sees("message 4: /reply")
    alice.enters("/pin")
    await alice.sees("1 pinned", "has pinned message 4")
    alice.types(UP + UP)
    await alice.sees("message 5: /reply")
    alice.enters("/recall")
    shown = await bob.sees("alice (recalled)")
    assert "on Friday" not in shown


@on_screens
async def test_an_announcement_stands_above_the_conversation(cinema: Cinema) -> None:
    alice, bob = await tea(cinema, "bob")
    alice.enters("/announce Tasting on Friday 周五")
    shown = await bob.sees("alice announces: Tasting on Friday 周五")
    assert "Tasting on Friday 周五" in "".join(shown.splitlines()[:3])


@on_screens
async def test_typing_shows_in_the_status_line_and_goes(cinema: Cinema) -> None:
    alice, bob = await tea(cinema, "bob")
    alice.types("hm")
    await bob.sees("alice is typing")
    alice.types(ENTER)
    await bob.until(lambda shown: "is typing" not in shown, "no typing")


@on_screens
async def test_tab_completes_commands_and_people(cinema: Cinema) -> None:
    alice, bob = await tea(cinema, "bob")
    await alice.sees("2 members")
    alice.types("/anno" + TAB)
    await alice.sees("> /announce")
    alice.types(CTRL_C)
    await alice.until(lambda shown: "/announce" not in shown)
    alice.types("hello @b" + TAB)
    await alice.sees("> hello @bob")
    # The first one takes what is chosen in the menu, the second sends.
    alice.types(ENTER)
    alice.types("you" + ENTER)
    await bob.sees("alice hello @bob you")


@on_screens
async def test_a_refused_line_goes_back_to_where_it_was_typed(cinema: Cinema) -> None:
    alice, bob = await tea(cinema, "bob")
    alice.enters("/mute bob 10m")
    await bob.sees("has muted")
    bob.enters("but I have to say this")
    shown = await bob.sees("Not done: an admin has muted you")
    assert "> but I have to say this" in shown
    bob.types(CTRL_C)
    await bob.until(lambda shown: "I have to say" not in shown)
    bob.enters("/nonsense")
    await bob.sees("There is no /nonsense", "> /nonsense")


@on_screens
async def test_a_link_is_drawn_for_cameras(cinema: Cinema) -> None:
    alice = (await tea(cinema))[0]
    alice.enters("/share wechat")
    shown = await alice.sees("Others can scan it", "groupd://join/")
    assert "█" in shown
    assert "▀" in shown


@on_screens
async def test_ctrl_n_goes_through_the_chats(cinema: Cinema) -> None:
    alice = (await tea(cinema))[0]
    alice.enters("/create Second")
    await alice.sees("Founded Second")
    await alice.until(lambda shown: bool(_listed(shown, "Second") and _listed(shown, "Tea")))
    alice.types(CTRL_N)
    await alice.until(lambda shown: shown.splitlines()[0].rstrip().endswith("Tea 茶 · 1 member"))
    alice.types(CTRL_N)
    await alice.until(lambda shown: shown.splitlines()[0].rstrip().endswith("Second · 1 member"))


@on_screens
async def test_leaving_asks_again_while_something_is_not_sent(cinema: Cinema) -> None:
    alice, bob = await tea(cinema, "bob")
    cinema.cut(alice)
    await alice.sees("reconnecting")
    alice.enters("wait for me", "/quit")
    await alice.sees("1 line would not be sent")
    assert not alice.left.done()
    alice.types(CTRL_D)
    await wait_until_left(alice)
    bob.enters("/quit")
    await wait_until_left(bob)


@on_screens
async def test_a_narrow_screen_has_the_conversation_alone(cinema: Cinema) -> None:
    alice = await cinema.seat("alice", columns=28, rows=10)
    alice.enters("/create Tea", "一句很长很长的话，一行放不下，所以要换行。")
    shown = await alice.sees("换行。")
    assert "│" not in shown


def test_what_ends_the_chat_is_raised_and_no_screen_is_left() -> None:
    async def refused(ready: Callable[[View], None]) -> None:
        raise Rejected("unauthenticated", "the token has expired")

    with pytest.raises(Rejected, match="expired"):
        asyncio.run(terminal.beside(refused))
