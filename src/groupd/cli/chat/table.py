"""All commands, by theme: the one table that is obeyed, and that ``/help`` prints.

A command is a function of the chat and of what was typed after the word, in the file of its theme.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from types import MappingProxyType
from typing import Final, TypeAlias

import attrs
from rich.markup import escape
from rich.table import Table

from groupd.cli.chat import chats, coming, group, messages, order
from groupd.cli.chat.person import Chat
from groupd.cli.chat.typed import Unclear

Do: TypeAlias = Callable[[Chat, str], Awaitable[None]]


@attrs.frozen
class Command:
    """One command: what follows its word, what it is for, and what does it."""

    arguments: str
    meaning: str
    do: Do


async def help_(chat: Chat, rest: str) -> None:
    """List the commands, or those whose word or meaning has what is asked for."""
    asked = rest.removeprefix("/").casefold()
    table = Table(box=None, show_header=False, pad_edge=False)
    for theme, commands in THEMES.items():
        found = [
            (f"/{word} {command.arguments}".strip(), command.meaning)
            for word, command in commands.items()
            if asked in word or asked in command.meaning.casefold()
        ]
        if found:
            table.add_row(f"[bold]{theme}[/]")
            for typed, meaning in found:
                table.add_row(f"  {escape(typed)}", escape(meaning))
    if not table.row_count:
        raise Unclear(f"No command has to do with {rest!r}; /help lists all.")
    chat.draw(table)


async def quit_(chat: Chat, rest: str) -> None:
    """End."""
    chat.done = True


THEMES: Final[Mapping[str, Mapping[str, Command]]] = MappingProxyType(
    {
        "Your chats": {
            "chats": Command(
                "", "list your chats: pinned ones first, then the latest", chats.chats
            ),
            "use": Command("NAME", "talk in this group", chats.use),
            "direct": Command("USER", "talk with one person alone", chats.direct),
            "pin-chat": Command("[off]", "pin this chat to the top of your list", chats.pin_chat),
            "dnd": Command("[off]", "do not be disturbed by this chat", chats.dnd),
            "mark": Command("[off]", "mark this chat as unread", chats.mark),
        },
        "People": {
            "users": Command("USER...", "look up people of your groups", chats.users),
            "profile": Command("USER", "look at somebody, and the groups they show", chats.profile),
            "show": Command("[off]", "show this group on your profile", chats.show),
            "block": Command("USER", "no direct chats with this user", chats.block),
            "unblock": Command("USER", "end that", chats.unblock),
            "blocks": Command("", "list whom you block", chats.blocks),
        },
        "Finding and joining": {
            "search": Command("WORDS", "find groups by words of their name", coming.search),
            "nearby": Command("LAT LON [KM]", "find groups around a place", coming.nearby),
            "join": Command("CODE|URL|GROUP [MESSAGE]", "join, or ask to be let in", coming.join),
            "withdraw": Command("[GROUP]", "take your request to join back", coming.withdraw),
            "accept": Command("[GROUP]", "accept an invitation", coming.accept),
            "refuse": Command("[GROUP]", "decline an invitation", coming.refuse),
            "leave": Command("", "leave this group", coming.leave),
        },
        "Letting others in": {
            "invite": Command("USER", "invite somebody, or add them at once", coming.invite),
            "link": Command(
                "[CHANNEL] [approval=yes] [uses=N] [expires=7d]", "make a share link", coming.link
            ),
            "share": Command(
                "[CHANNEL] [approval=yes] [uses=N] [expires=7d]",
                "make a share link, and draw it for cameras",
                coming.share,
            ),
            "links": Command("", "list the share links", coming.links),
            "revoke": Command("CODE", "end a share link", coming.revoke),
            "requests": Command("", "list who waits to be let in", coming.requests),
            "approve": Command("USER", "let them in", coming.approve),
            "decline": Command("USER", "do not let them in", coming.decline),
        },
        "Messages": {
            "history": Command("[N]", "show the last N events", messages.history),
            "reply": Command("N TEXT", "reply to message N", messages.reply),
            "thread": Command("N", "show message N and its replies", messages.thread),
            "edit": Command("N TEXT", "word your message N anew", messages.edit),
            "edits": Command("N", "show what message N was before", messages.edits),
            "recall": Command("N", "take message N back, for everybody", messages.recall),
            "typing": Command("", "let the others see that you are typing", messages.typing),
            "react": Command("N EMOJI", "react to message N", messages.react),
            "like": Command("N", "like message N", messages.like),
            "unreact": Command("N EMOJI", "take a reaction back", messages.unreact),
            "reactors": Command("N EMOJI", "list who has reacted so", messages.reactors),
            "card": Command("TYPE name=value ...", "post a card, such as goods", messages.card),
        },
        "This group": {
            "create": Command("NAME", "found a group", group.create),
            "info": Command("[GROUP]", "show its card, board and statistics", group.info),
            "members": Command("", "list who is here", group.members),
            "nick": Command("[NAME]", "go by another name here", group.nick),
            "announce": Command("TEXT", "set the announcement", group.announce),
            "ack": Command("", "confirm that you have seen the announcement", group.ack),
            "announcements": Command("", "list the earlier ones, too", group.announcements),
            "pin": Command("N", "put message N on the board", group.pin),
            "unpin": Command("N", "take message N off the board", group.unpin),
            "update": Command(
                "name=value ...", "change settings; `/update` lists them", group.update
            ),
            "dissolve": Command("", "end this group for all, if you own it", group.dissolve),
        },
        "Order": {
            "role": Command("USER admin|member", "make somebody an admin, or not", order.role),
            "transfer": Command("USER", "offer them the group", order.transfer),
            "accept-transfer": Command("[GROUP]", "take the offered group over", order.accept),
            "refuse-transfer": Command("[GROUP]", "decline it, or take it back", order.refuse),
            "kick": Command("USER [MESSAGE]", "take somebody out; they may come back", order.kick),
            "ban": Command("USER [1h] [MESSAGE]", "keep somebody out", order.ban),
            "unban": Command("USER", "end a ban", order.unban),
            "bans": Command("", "list the bans", order.bans),
            "mute": Command("USER 10m", "let somebody say nothing for a time", order.mute),
            "unmute": Command("USER", "let them speak again", order.unmute),
            "mute-all": Command("[off]", "let only admins speak", order.mute_all),
            "slow": Command("30s|off", "one message of each member in a time", order.slow),
        },
        "This client": {
            "explain": Command(
                "METHOD [name=value ...]", "which rules let you or not", order.explain
            ),
            "help": Command("[WORD]", "list the commands", help_),
            "quit": Command("", "end", quit_),
        },
    }
)

COMMANDS: Final[Mapping[str, Command]] = MappingProxyType(
    {word: command for commands in THEMES.values() for word, command in commands.items()}
)
