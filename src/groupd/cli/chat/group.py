"""Commands about the group as a whole: what it is, its board, its settings."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from rich.panel import Panel
from rich.table import Table
from rich.text import Text

from groupd.cli.chat import typed, words
from groupd.cli.chat.person import Chat
from groupd.cli.chat.typed import Unclear
from groupd.cli.chat.words import time_of
from groupd.client import GroupEvent
from groupd.engine.results import InfoResult

SETTINGS: Final[Mapping[str, typed.Reader]] = {
    "name": str,
    "picture": str,
    "category": str,
    "description": str,
    "location": typed.place,
    "join_policy": str,
    "member_invites": typed.yes,
    "discoverable": typed.yes,
    "history": str,
    "time_zone": str,
    "conditions": typed.json_map,
    "public_stats": typed.yes,
    "data": typed.json_map,
}
"""Setting -> how it is read when it is typed."""


async def create(chat: Chat, rest: str) -> None:
    """Found a group, and talk in it."""
    made = await chat.client.create(rest)
    chat.names[made["group"]] = rest
    chat.enter(made["group"])
    chat.say(f"Founded {rest}: {made['group']}. /share makes a link for others.")


async def dissolve(chat: Chat, rest: str) -> None:
    """End the group."""
    await chat.client.dissolve(chat.here())


async def update(chat: Chat, rest: str) -> None:
    """Change settings."""
    if not rest:
        raise Unclear(f"Expected name=value; there are: {', '.join(SETTINGS)}.")
    changes = typed.read_with(SETTINGS, typed.pairs(rest))
    await chat.change_here(chat.client.update(chat.here(), **changes))


async def nick(chat: Chat, rest: str) -> None:
    """Go by another name in this group; without one, by one's own again."""
    await chat.change_here(chat.client.set_nickname(chat.here(), rest))


async def members(chat: Chat, rest: str) -> None:
    """List the members."""
    table = chat.table("user", "name", "role", "since", "")
    after = ""
    while True:
        page = await chat.client.members(chat.here(), after=after)
        for row in page["members"]:
            muted = (
                f"muted until {time_of(row['muted_until_ms'])}" if "muted_until_ms" in row else ""
            )
            name = f"{row['nickname']} ({row['name']})" if "nickname" in row else row["name"]
            chat.row(table, row["user"], name, row["role"], time_of(row["joined_ms"]), muted)
        after = page.get("next", "")
        if not after:
            break
    chat.draw(table)


# --- the board


async def announce(chat: Chat, rest: str) -> None:
    """Set the announcement."""
    await chat.client.announce(chat.here(), rest)


async def ack(chat: Chat, rest: str) -> None:
    """Confirm that one has seen the announcement."""
    current = (await chat.client.info(chat.here())).get("announcement")
    if current is None:
        raise Unclear("There is no announcement.")
    await chat.client.acknowledge(chat.here(), current["seq"])
    chat.say(f"You have seen announcement {current['seq']}.")


async def announcements(chat: Chat, rest: str) -> None:
    """List the announcements, the current one first."""
    found = (await chat.client.announcements(chat.here()))["announcements"]
    for event in found:
        chat.show(GroupEvent.from_wire(event))
    if not found:
        chat.say("There are no announcements.")


async def pin(chat: Chat, rest: str) -> None:
    """Put a message on the board."""
    await chat.change_here(chat.client.pin(chat.here(), chat.message(rest)))


async def unpin(chat: Chat, rest: str) -> None:
    """Take a message off the board."""
    await chat.change_here(chat.client.unpin(chat.here(), chat.message(rest)))


# --- /info


async def info(chat: Chat, rest: str) -> None:
    """Show the group as its members see it, or another one by its id."""
    group = chat.known(rest) if rest else chat.here()
    shown = await chat.client.info(group)
    grid = Table.grid(padding=(0, 2))
    for label, value in _lines(shown):
        if value:
            grid.add_row(Text(label, "dim"), Text(words.safe(str(value))))
    title = Text(words.safe(_title(shown, chat.client.user)))
    chat.draw(Panel(grid, title=title, title_align="left"))


def _title(shown: InfoResult, me: str) -> str:
    others = [user for user in shown.get("direct", []) if user != me]
    return shown["name"] or (others[0] if others else shown["group"])


def _lines(shown: InfoResult) -> list[tuple[str, Any]]:
    return [
        ("group", shown["group"]),
        ("about", shown["description"]),
        ("category", shown["category"]),
        ("place", _pairs(shown.get("location", {}))),
        ("owner", shown["owner"]),
        ("members", _members(shown)),
        ("founded", time_of(shown["created_ms"])),
        ("joined by", shown["join_policy"]),
        ("condition", shown.get("condition")),
        ("you", _place(shown)),
        ("settings", _pairs({**shown.get("settings", {}), "conditions": ""})),
        ("order", _order(shown)),
        ("waiting", shown.get("requests")),
        ("offered to", shown.get("offer", {}).get("user")),
        ("announcement", _announcement(shown.get("announcement"))),
        ("pinned", "\n".join(_pinned(pin) for pin in shown.get("pins", []))),
        ("joins", _pairs(_joins(shown.get("links", {})))),
        ("statistics", _statistics(shown.get("stats", {}))),
    ]


def _pairs(values: Mapping[str, Any]) -> str:
    return ", ".join(f"{name}={value}" for name, value in values.items() if value not in ({}, ""))


def _members(shown: InfoResult) -> str:
    return (
        f"{shown['members']} of {shown['members_max']}"
        if "members_max" in shown
        else str(shown["members"])
    )


def _place(shown: InfoResult) -> str:
    if "role" not in shown:
        return "not a member"
    parts = [shown["role"]]
    if "nickname" in shown:
        parts.append(f"called {shown['nickname']}")
    if "muted_until_ms" in shown:
        parts.append(f"muted until {time_of(shown['muted_until_ms'])}")
    return ", ".join(parts)


def _order(shown: InfoResult) -> str:
    parts = ["only admins may speak"] if shown.get("all_muted") else []
    slow_ms = shown.get("slow_mode_ms", 0)
    if slow_ms:
        parts.append(f"one message in {words.span(slow_ms)}")
    if shown["dissolved"]:
        parts.append("dissolved")
    return ", ".join(parts)


def _announcement(current: Mapping[str, Any] | None) -> str:
    if current is None:
        return ""
    seen = f" (seen by {current['acknowledged']})" if "acknowledged" in current else ""
    return f"{current['seq']} {current['user']}: {current['text']}{seen}"


def _pinned(pin: Mapping[str, Any]) -> str:
    event = GroupEvent.from_wire(pin["event"])
    return f"{pin['seq']} {event.user}: {words.plain(event)}"


def _joins(links: Mapping[str, Any]) -> dict[str, Any]:
    by_channel = {
        name or "(no channel)": n for name, n in links.get("joins_by_channel", {}).items()
    }
    return by_channel | {f"by {user}": n for user, n in links.get("joins_by_sharer", {}).items()}


def _statistics(stats: Mapping[str, Any]) -> str:
    if not stats:
        return ""
    labels = {
        "messages": "messages",
        "messages_yesterday": "yesterday",
        "active": "active in 7 days",
        "women": "women",
        "average_age": "average age",
    }
    return ", ".join(f"{label} {stats[name]}" for name, label in labels.items() if name in stats)
