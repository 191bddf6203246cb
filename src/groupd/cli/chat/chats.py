"""Commands about what is the user's own: the list of chats, profiles, blocks."""

from __future__ import annotations

from typing import Any

from groupd.cli.chat import messages, typed, words
from groupd.cli.chat.person import Chat
from groupd.cli.chat.words import time_of
from groupd.client import GroupEvent


async def chats(chat: Chat, rest: str) -> None:
    """List the chats as an app would: pinned ones first, then the latest."""
    table = chat.table("", "chat", "unread>", "@>", "when", "last message", "group")
    after = ""
    while True:
        page = await chat.client.chats(after=after)
        for row in page["chats"]:
            _list(chat, table, row)
        after = page.get("next", "")
        if not after:
            break
    chat.draw(table)
    mentions = words.many(page["mentions"], "mention")
    chat.say(f"{page['unread']} unread, {mentions}. ^ is pinned, z silent, * marked as unread.")


def _list(chat: Chat, table: Any, row: dict[str, Any]) -> None:
    chat.note(row)
    marks = ("^" if row["chat_pinned"] else "") + ("z" if row["do_not_disturb"] else "")
    unread = str(row["unread"] or ("*" if row["marked_unread"] else ""))
    last, when = "", ""
    if "last" in row:
        newest = {name: row.get("edited", {}).get(name) for name in ("text", "card")}
        event = GroupEvent.from_wire(row["last"] | (newest if "edited" in row else {}))
        last, when = f"{event.user}: {words.plain(event)}", time_of(event.time_ms)
    name = chat.names[row["group"]]
    chat.row(table, marks, name, unread, row["mentions"] or "", when, last, row["group"])


async def use(chat: Chat, rest: str) -> None:
    """Talk in a group, and see what was said there lately."""
    group = chat.find(rest)
    chat.enter(group)
    await messages.history(chat, "")


async def direct(chat: Chat, rest: str) -> None:
    """Open the direct chat with somebody."""
    user = typed.user(rest)
    made = await chat.client.direct(user)
    await chat.learn()
    chat.names.setdefault(made["group"], user)
    chat.directs.add(made["group"])
    chat.enter(made["group"])
    await messages.history(chat, "")


async def pin_chat(chat: Chat, rest: str) -> None:
    """Pin the chat to the top of the list."""
    await chat.change_own(chat.client.pin_chat(chat.here(), pinned=typed.switch(rest)))


async def dnd(chat: Chat, rest: str) -> None:
    """Silence the chat: its messages leave the total."""
    await chat.change_own(chat.client.do_not_disturb(chat.here(), on=typed.switch(rest)))


async def mark(chat: Chat, rest: str) -> None:
    """Mark the chat as unread, as a reminder."""
    await chat.change_own(chat.client.mark_unread(chat.here(), on=typed.switch(rest)))


async def show(chat: Chat, rest: str) -> None:
    """Show the group on one's profile."""
    await chat.change_own(chat.client.show_group(chat.here(), shown=typed.switch(rest)))


# --- people


async def users(chat: Chat, rest: str) -> None:
    """Look up users that the person shares a group with."""
    found = (await chat.client.users(typed.users(rest)))["users"]
    if not found:
        chat.say("You share no group with any of them; /profile USER looks at anybody.")
        return
    table = chat.table("user", "name", "picture")
    for person in found:
        chat.row(table, person["user"], person["name"], person["picture"])
    chat.draw(table)


async def profile(chat: Chat, rest: str) -> None:
    """Look at somebody, and at the groups that they show."""
    person = await chat.client.profile(typed.user(rest))
    chat.say(
        f"{person['user']}, {person['name'] or 'of no known name'} {person['picture']}".strip()
    )
    if not person["groups"]:
        chat.say("They show no groups.")
        return
    table = chat.table("group", "name", "members>", "joined by")
    for card in person["groups"]:
        chat.names[card["group"]] = card["name"]
        chat.row(table, card["group"], card["name"], card["members"], card["join_policy"])
    chat.draw(table)
    chat.say("/join GROUP joins one, or asks to.")


async def block(chat: Chat, rest: str) -> None:
    """Block somebody."""
    await chat.change_own(chat.client.block(typed.user(rest)))


async def unblock(chat: Chat, rest: str) -> None:
    """End a block."""
    await chat.change_own(chat.client.unblock(typed.user(rest)))


async def blocks(chat: Chat, rest: str) -> None:
    """List whom the user blocks."""
    table = chat.table("user", "name")
    after = ""
    while True:
        page = await chat.client.blocks(after=after)
        for person in page["users"]:
            chat.row(table, person["user"], person["name"])
        after = page.get("next", "")
        if not after:
            break
    if table.row_count:
        chat.draw(table)
    else:
        chat.say("You block nobody.")
