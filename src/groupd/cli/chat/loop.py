"""The loop: what is typed is done, line by line, while what happens is shown."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Final, TypeAlias

import trio

from groupd.cli.chat import typed, words
from groupd.cli.chat.chats import use
from groupd.cli.chat.person import Chat
from groupd.cli.chat.table import COMMANDS
from groupd.cli.chat.typed import Unclear
from groupd.client import AccountEvent, GroupEvent, Signal, StoreChanged
from groupd.errors import Disconnected, Rejected

ReadLine: TypeAlias = Callable[[], Awaitable[str | None]]

NEWS_MAX: Final = 500
"""How far back in the user's own log it is looked for what still waits for an answer."""
_ANSWERS: Final = {"invited": "accept_invite", "transfer_offered": "accept_transfer"}
"""What waits for an answer -> the method that would say yes."""


async def talk(chat: Chat, read_line: ReadLine) -> None:
    """Chat until the input ends or ``/quit``. ``read_line`` gives None at the end."""
    async with trio.open_nursery() as nursery:
        nursery.start_soon(_listen, chat)
        nursery.start_soon(_watch, chat)
        await _begin(chat)
        while not chat.done:
            line = await read_line()
            if line is None:
                break
            chat.display.done(line, well=await take(chat, line.strip()))
        nursery.cancel_scope.cancel()


# --- hearing


async def _listen(chat: Chat) -> None:
    """Show what happens, and who is typing."""
    async for event in chat.client.events():
        if isinstance(event, GroupEvent):
            _rename(chat, event)
            chat.hear(event)
        elif isinstance(event, AccountEvent):
            chat.heard = max(chat.heard, event.seq)
            await _tell(chat, event)
            chat.display.own(chat, event)
        elif isinstance(event, Signal):
            chat.display.signalled(chat, event)
        elif isinstance(event, StoreChanged):
            chat.display.restored(chat)
            chat.say("The server was restored from a backup: what you have seen may be gone.")


def _rename(chat: Chat, event: GroupEvent) -> None:
    changes = event.fields.get("changes", {}) if event.kind == "updated" else event.fields
    if event.kind in ("created", "updated") and changes.get("name"):
        chat.names[event.group] = str(changes["name"])
    elif event.fields.get("direct") or event.fields.get("via") == "direct":
        pair = (event.user, *event.fields.get("direct", ()), str(event.fields.get("member", "")))
        others = [user for user in pair if user not in ("", chat.client.user)]
        chat.names.setdefault(event.group, others[0] if others else event.group)


async def _tell(chat: Chat, event: AccountEvent) -> None:
    """Print what has happened to the user, and what they may type next."""
    group = str(event.fields.get("group", ""))
    try:
        if event.kind in words.LET_IN:
            await chat.learn()
        name = await chat.name(group) if group else ""
        text = words.account_sentence(event, name)
        if event.kind == "added" and group in chat.directs:
            text = f"{name} talks with you alone: /use {name}"
        # What was asked on this very terminal was answered there.
        if text and not (event.kind == "requested" and chat.latest.get("requested") == group):
            chat.say(text)
        chat.latest[event.kind] = group
        if event.kind in words.PUT_OUT:
            await chat.learn()
    except Rejected as refusal:
        chat.refuse(refusal)


async def _watch(chat: Chat) -> None:
    """Say when the connection is lost, and when it is back."""
    while True:
        await chat.client.until_disconnected()
        chat.display.connected(chat, is_open=False)
        await chat.client.until_connected()
        chat.display.connected(chat, is_open=True)


# --- speaking


async def _begin(chat: Chat) -> None:
    """Greet, tell what waits for an answer, and open the group if there is only one."""
    await chat.learn()
    chat.say(f"You are {chat.client.user}. /help lists what can be typed.")
    await _news(chat)
    if len(chat.mine) == 1:
        await use(chat, next(iter(chat.mine)))
    elif chat.mine:
        await chat.display.begin(chat)
    else:
        chat.say("You are in no group yet: /create NAME, /search WORDS, or /join with a code.")


async def _news(chat: Chat) -> None:
    """Tell of invitations and offers that are open: they may have come while nobody listened."""
    head = (await chat.client.account_history(limit=1))["head"]
    chat.heard = max(chat.heard, head)
    page = await chat.client.account_history(after=max(0, head - NEWS_MAX), limit=NEWS_MAX)
    events = [AccountEvent.from_wire(event) for event in page["events"]]
    latest = {event.fields.get("group", ""): event for event in events if "at" in event.fields}
    for group, event in latest.items():
        method = _ANSWERS.get(event.kind)
        if method is None or (event.kind == "invited" and group in chat.mine):
            continue
        try:
            is_open = (await chat.client.explain(method, group=group))["allowed"]
        except Rejected:
            continue
        if is_open:
            await _tell(chat, event)


async def take(chat: Chat, line: str) -> bool:
    """Do what a line says; refusals are shown in words. Give whether it is done."""
    if not line:
        return True
    try:
        await chat.display.typed(chat)
        if line.startswith("/"):
            word, rest = typed.halves(line[1:])
            command = COMMANDS.get(word)
            if command is None:
                raise Unclear(f"There is no /{word}; /help lists what there is.")
            await command.do(chat, rest)
        else:
            await chat.client.post(chat.here(), text=line, mentions=typed.mentions(line))
    except Rejected as refusal:
        chat.refuse(refusal)
    except Unclear as error:
        chat.say(str(error))
    except Disconnected:
        chat.say("The connection was lost again and again: it may be done or not. /history says.")
    else:
        return True
    return False
