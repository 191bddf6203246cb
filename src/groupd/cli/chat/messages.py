"""Commands about messages: reading them, and what becomes of them."""

from __future__ import annotations

from typing import Any, Final

from groupd.cli.chat import typed, words
from groupd.cli.chat.person import Chat
from groupd.client import GroupEvent

HISTORY_MAX: Final = 500
LIKE: Final = "like"


async def history(chat: Chat, rest: str) -> None:
    """Show the latest events, and mark them read."""
    chat.here()
    await chat.display.latest(chat, min(typed.number(rest), HISTORY_MAX) if rest else None)


async def reply(chat: Chat, rest: str) -> None:
    """Reply to a message."""
    seq, text = chat.message_and_text(rest, "what to reply")
    mentioned = typed.mentions(text)
    await chat.client.post(chat.here(), text=text, reply_to=seq, mentions=mentioned)


async def thread(chat: Chat, rest: str) -> None:
    """Show a message and its replies."""
    seq, group = chat.message(rest), chat.here()
    shown = await chat.client.messages(group, [seq])
    events = [message["event"] for message in shown["messages"]]
    after, replies = 0, 0
    while True:
        page = await chat.client.thread(group, seq, after=after)
        replies = page["replies"]
        events += page["events"]
        if not page["more"] or not page["events"] or len(events) > HISTORY_MAX:
            break
        after = page["events"][-1]["seq"]
    await chat.show_page(events)
    chat.say(f"{words.many(replies, 'reply', 'replies')}. /reply {seq} TEXT adds one.")


async def edit(chat: Chat, rest: str) -> None:
    """Word one's own message anew. A card that it has stays."""
    seq, text = chat.message_and_text(rest, "the new text")
    found = (await chat.client.messages(chat.here(), [seq]))["messages"]
    now: dict[str, Any] = found[0].get("edited", found[0]["event"]) if found else {}
    await chat.client.edit(chat.here(), seq, text=text, card=now.get("card"))


async def edits(chat: Chat, rest: str) -> None:
    """Show what a message was before, oldest first."""
    seq, after = chat.message(rest), 0
    while True:
        page = await chat.client.edits(chat.here(), seq, after=after)
        for event in page["events"]:
            chat.show(GroupEvent.from_wire(event))
        if not page["more"] or not page["events"]:
            break
        after = page["events"][-1]["seq"]


async def recall(chat: Chat, rest: str) -> None:
    """Take a message back."""
    await chat.client.recall(chat.here(), chat.message(rest))


async def typing(chat: Chat, rest: str) -> None:
    """Let the others see that one is typing: here lines come whole, so it is said on purpose."""
    await chat.client.typing(chat.here())


async def react(chat: Chat, rest: str) -> None:
    """React to a message."""
    seq, reaction = chat.message_and_text(rest, "an emoji, or a word such as like,")
    await chat.change_here(chat.client.react(chat.here(), seq, reaction=reaction))


async def like(chat: Chat, rest: str) -> None:
    """Like a message."""
    await chat.change_here(chat.client.react(chat.here(), chat.message(rest), reaction=LIKE))


async def unreact(chat: Chat, rest: str) -> None:
    """Take a reaction back."""
    seq, reaction = chat.message_and_text(rest, "the reaction")
    await chat.client.unreact(chat.here(), seq, reaction=reaction)


async def reactors(chat: Chat, rest: str) -> None:
    """List who has reacted in one way."""
    seq, reaction = chat.message_and_text(rest, "the reaction")
    page = await chat.client.reactors(chat.here(), seq, reaction=reaction)
    more = " and others" if "next" in page else ""
    chat.say(f"{reaction} by {', '.join(page['users']) or 'nobody'}{more}")


async def card(chat: Chat, rest: str) -> None:
    """Post a card."""
    await chat.client.post(chat.here(), card=typed.card(rest))
