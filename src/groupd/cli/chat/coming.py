"""Commands about coming into groups, and letting others in."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from groupd.cli.chat import chats, typed
from groupd.cli.chat.person import Chat
from groupd.cli.chat.qr import drawn
from groupd.cli.chat.typed import Unclear
from groupd.cli.chat.words import time_of
from groupd.domain.links import LinkKeys
from groupd.engine.results import JoinResult, SearchResult, ShareLinkResult
from groupd.errors import Rejected

KM_DEFAULT: Final = 5.0
METRES: Final = 1_000


# --- finding


async def search(chat: Chat, rest: str) -> None:
    """Find groups by words of their name."""
    if not rest:
        raise Unclear("Expected words of a group's name.")
    _list_found(chat, await chat.client.search(query=rest))


async def nearby(chat: Chat, rest: str) -> None:
    """Find groups around a place, the nearest first."""
    match rest.replace(",", " ").split():
        case [lat, lon]:
            km = KM_DEFAULT
        case [lat, lon, distance]:
            km = typed.degrees(distance)
        case _:
            raise Unclear("Expected a place, such as /nearby 31.23 121.47 5.")
    radius_m = max(1, round(km * METRES))
    found = await chat.client.nearby(typed.degrees(lat), lon=typed.degrees(lon), radius_m=radius_m)
    _list_found(chat, found)


def _list_found(chat: Chat, page: SearchResult) -> None:
    if not page["groups"]:
        chat.say("No such group can be found.")
        return
    table = chat.table("group", "name", "members>", "joined by", "category", "distance>")
    for card in page["groups"]:
        chat.names[card["group"]] = card["name"]
        away = f"{card['distance_m'] / METRES:.1f} km" if "distance_m" in card else ""
        chat.row(
            table,
            *(card["group"], card["name"], card["members"]),
            *(card["join_policy"], card["category"], away),
        )
    chat.draw(table)
    more = " There are more: say more of its name." if "next" in page else ""
    chat.say(f"/join GROUP joins one, or asks to.{more}")


# --- coming in


async def join(chat: Chat, rest: str) -> None:
    """Join by a code or a group's id; or ask to."""
    where, message = typed.halves(chat.known(rest))
    where = typed.code_in(where)
    if not where:
        raise Unclear("Expected a share link's code, or a group's id: /search finds some.")
    # The event may come before the answer, which says it better.
    chat.latest["requested"] = LinkKeys.group_of(where)
    try:
        if typed.is_group(where):
            joined = await chat.client.join(where, message=message)
        else:
            await _learn_name(chat, where)
            joined = await chat.client.join(code=where, message=message)
    except Rejected as refusal:
        if refusal.code != "not_found":
            raise
        # A name is known only of groups that were heard of since the program began.
        raise Unclear(f"No group and no link is {where!r}: /search WORDS finds groups.") from None
    await _come(chat, joined)


async def _learn_name(chat: Chat, code: str) -> None:
    try:
        card = (await chat.client.open_link(code))["group"]
        chat.names[card["group"]] = card["name"]
    except Rejected:
        # Joining says more exactly what is wrong.
        return


async def _come(chat: Chat, joined: JoinResult) -> None:
    group = joined["group"]
    if joined["status"] == "joined":
        await chat.learn()
        await chats.use(chat, group)
    else:
        name = await chat.name(group)
        chat.say(
            f"{name} lets people in by approval: you wait for its admins. /withdraw ends that."
        )


async def withdraw(chat: Chat, rest: str) -> None:
    """Take a join request back."""
    group = chat.asked(rest, "requested", "You have not asked to join a group lately.")
    await chat.client.withdraw(group)
    chat.say(f"You do not wait for {await chat.name(group)} any more.")


async def accept(chat: Chat, rest: str) -> None:
    """Accept an invitation."""
    group = chat.asked(rest, "invited", "Nobody has invited you lately.")
    chat.latest["requested"] = group
    await _come(chat, await chat.client.accept_invite(group))


async def refuse(chat: Chat, rest: str) -> None:
    """Decline an invitation."""
    group = chat.asked(rest, "invited", "Nobody has invited you lately.")
    await chat.client.decline_invite(group)
    chat.say(f"You have declined the invitation into {await chat.name(group)}.")


async def leave(chat: Chat, rest: str) -> None:
    """Leave the group; an event says so."""
    await chat.client.leave(chat.here())


# --- letting others in


async def invite(chat: Chat, rest: str) -> None:
    """Invite somebody, or add them at once."""
    user = typed.user(rest)
    invited = await chat.client.invite(chat.here(), user)
    said = {
        "joined": f"{user} is a member.",
        "invited": f"{user} is invited and may /accept.",
        "pending": f"{user} has asked to join: an admin may /approve {user}.",
    }
    chat.say(said.get(invited["status"], f"{user}: {invited['status']}"))


LINK_OPTIONS: Final[Mapping[str, typed.Reader]] = {
    "approval": typed.yes,
    "uses": typed.count,
    "expires": typed.duration_ms,
}
_CALLED: Final = {"approval": "approval", "uses": "uses_max", "expires": "expires_in_ms"}


async def link(chat: Chat, rest: str) -> None:
    """Make a share link."""
    made = await _make_link(chat, rest)
    chat.say(f"Others can type: /join {made['code']}")


async def share(chat: Chat, rest: str) -> None:
    """Make a share link, and draw its URL for cameras."""
    made = await _make_link(chat, rest)
    chat.draw(drawn(made["url"]))
    chat.say(f"Others can scan it, or type: /join {made['url']}")


async def _make_link(chat: Chat, rest: str) -> ShareLinkResult:
    words = rest.split()
    channel = words.pop(0) if words and "=" not in words[0] else ""
    given = typed.read_with(LINK_OPTIONS, typed.pairs(" ".join(words)))
    options: dict[str, Any] = {_CALLED[name]: value for name, value in given.items()}
    return await chat.client.share_link(chat.here(), channel=channel, **options)


async def links(chat: Chat, rest: str) -> None:
    """List the share links; plain members see their own."""
    table = chat.table("code", "channel", "by", "uses>", "state")
    before = None
    while True:
        page = await chat.client.links(chat.here(), before=before)
        for row in page["links"]:
            uses = f"{row['uses']}/{row['uses_max']}" if "uses_max" in row else row["uses"]
            state = row.get("dead", "by approval" if row["approval"] else "works")
            if "expires_at_ms" in row and "dead" not in row:
                state += f" until {time_of(row['expires_at_ms'])}"
            chat.row(table, row.get("code", ""), row["channel"], row["by"], uses, state)
        before = page.get("next")
        if before is None:
            break
    if table.row_count:
        chat.draw(table)
    else:
        chat.say("There are no share links: /link makes one.")


async def revoke(chat: Chat, rest: str) -> None:
    """End a share link."""
    await chat.client.revoke_link(typed.one_word(rest, "a link's code: /links lists them"))


async def requests(chat: Chat, rest: str) -> None:
    """List who waits to be let in."""
    table = chat.table("user", "name", "since", "by", "message")
    after = 0
    while True:
        page = await chat.client.requests(chat.here(), after=after)
        for row in page["requests"]:
            by = " of ".join(part for part in (row["via"], row["sharer"]) if part)
            chat.row(table, row["user"], row["name"], time_of(row["at_ms"]), by, row["message"])
        after = page.get("next", 0)
        if not after:
            break
    if table.row_count:
        chat.draw(table)
        chat.say("/approve USER or /decline USER.")
    else:
        chat.say("Nobody waits.")


async def approve(chat: Chat, rest: str) -> None:
    """Let somebody in who has asked."""
    await chat.client.approve(chat.here(), typed.user(rest))


async def decline(chat: Chat, rest: str) -> None:
    """Refuse somebody who has asked."""
    await chat.client.decline(chat.here(), typed.user(rest))
