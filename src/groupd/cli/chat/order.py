"""Commands about order: roles, handing over, who may speak, who has to go, and why not."""

from __future__ import annotations

from typing import Any, Final

from groupd.cli.chat import typed
from groupd.cli.chat.person import Chat
from groupd.cli.chat.typed import Unclear
from groupd.cli.chat.words import time_of
from groupd.domain.base import ACCOUNT, GROUP, Request
from groupd.domain.catalog import REQUESTS
from groupd.errors import REASONS

ROLES: Final = ("admin", "member")


async def role(chat: Chat, rest: str) -> None:
    """Make a member an admin, or an admin a plain member."""
    user, new = typed.user_and_text(rest)
    if new not in ROLES:
        raise Unclear(f"Expected admin or member after {user}.")
    await chat.change_here(chat.client.set_role(chat.here(), user, role=new))


async def transfer(chat: Chat, rest: str) -> None:
    """Offer the group to a member."""
    user = typed.user(rest)
    await chat.client.transfer(chat.here(), user)
    chat.say(f"It is yours until {user} accepts. /refuse-transfer takes the offer back.")


async def accept(chat: Chat, rest: str) -> None:
    """Take an offered group over."""
    await chat.client.accept_transfer(_offered(chat, rest))


async def refuse(chat: Chat, rest: str) -> None:
    """Decline an offered group, or take the offer back."""
    await chat.client.decline_transfer(_offered(chat, rest))


def _offered(chat: Chat, rest: str) -> str:
    group = rest or chat.latest.get("transfer_offered", "") or chat.group
    return chat.asked(group, "transfer_offered", "No group was offered to you lately.")


async def kick(chat: Chat, rest: str) -> None:
    """Take a member out."""
    user, message = typed.user_and_text(rest)
    await chat.client.kick(chat.here(), user, message=message)


async def ban(chat: Chat, rest: str) -> None:
    """Keep somebody out, for a time or for ever."""
    user, text = typed.user_and_text(rest)
    first, _, message = text.partition(" ")
    for_ms = typed.duration_ms(first) if typed.is_duration(first) else None
    said = text if for_ms is None else message.strip()
    await chat.client.ban(chat.here(), user, for_ms=for_ms, message=said)


async def unban(chat: Chat, rest: str) -> None:
    """End a ban."""
    await chat.client.unban(chat.here(), typed.user(rest))


async def bans(chat: Chat, rest: str) -> None:
    """List the bans that hold."""
    table = chat.table("user", "by", "since", "until")
    after = ""
    while True:
        page = await chat.client.bans(chat.here(), after=after)
        for row in page["bans"]:
            until = time_of(row["until_ms"]) if "until_ms" in row else "for ever"
            chat.row(table, row["user"], row["by"], time_of(row["at_ms"]), until)
        after = page.get("next", "")
        if not after:
            break
    if table.row_count:
        chat.draw(table)
    else:
        chat.say("Nobody is banned.")


async def mute(chat: Chat, rest: str) -> None:
    """Let a member say nothing for a time."""
    user, time = typed.user_and_text(rest)
    await chat.client.mute(chat.here(), user, for_ms=typed.duration_ms(time))


async def unmute(chat: Chat, rest: str) -> None:
    """Let a member speak again."""
    await chat.change_here(chat.client.unmute(chat.here(), typed.user(rest)))


async def mute_all(chat: Chat, rest: str) -> None:
    """Let only admins speak, or all again."""
    await chat.change_here(chat.client.mute_all(chat.here(), on=typed.switch(rest)))


async def slow(chat: Chat, rest: str) -> None:
    """Set how often a plain member may post."""
    interval_ms = 0 if rest == "off" else typed.duration_ms(rest)
    await chat.change_here(chat.client.slow_mode(chat.here(), interval_ms))


async def explain(chat: Chat, rest: str) -> None:
    """Show which rules stand between the user and a method, and what each says."""
    word, _, more = rest.partition(" ")
    method = word.replace("-", "_")
    cls = REQUESTS.get(method)
    if cls is None or not _is_explained(cls):
        raise Unclear(f"Expected a method: {', '.join(explained())}.")
    group = None if cls.addresses(ACCOUNT) else chat.here()
    params: dict[str, Any] = {name: typed.loose(text) for name, text in typed.pairs(more).items()}
    told = await chat.client.explain(method, group=group, params=params or None)
    table = chat.table("", "rule", "set by", "value", "why")
    for rule in told["rules"]:
        mark = "ok" if rule["verdict"] == "holds" else "no"
        why = REASONS.get(rule.get("reason", ""), rule.get("code", ""))
        chat.row(table, mark, rule["rule"], rule["source"], rule.get("value", ""), why)
    if table.row_count:
        chat.draw(table)
    chat.say(f"You may {'' if told['allowed'] else 'not '}{method}.")


def explained() -> list[str]:
    """Give the methods that have rules to show."""
    return [name for name, cls in REQUESTS.items() if _is_explained(cls)]


def _is_explained(cls: type[Request]) -> bool:
    """Say whether a method has rules to show: what goes to the server as a whole has none."""
    return cls.addresses(ACCOUNT) or cls.addresses(GROUP)
