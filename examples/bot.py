"""A bot: it welcomes who joins its groups, and answers `!dice`, `!seen USER` and `!help`.

    python examples/bot.py --token $(groupd token dicebot) [--server tcp://127.0.0.1:7400]

Add it to a group by its user id (`create` with `members`), or let it join by a share link's code:
    python examples/bot.py --token ... --join CODE
"""

import argparse
import random

import trio

import groupd
from groupd.client import GroupEvent

HELP = "!dice rolls a die. !seen USER says when somebody spoke last. !help says this."


async def main(server: str, token: str, join: str | None = None, answers: int = 0) -> None:
    """Answer until cancelled, or until ``answers`` have been given."""
    seen: dict[tuple[str, str], int] = {}
    given = 0
    async with groupd.connect(server, token=token) as client:
        stream = client.events()
        if join is not None:
            await client.join(code=join)
        print(f"{client.user} is listening", flush=True)
        async for event in stream:
            # Bots never answer themselves: two of them would never stop.
            if not isinstance(event, GroupEvent) or event.user == client.user:
                continue
            reply = answer(event, seen)
            if reply is not None:
                await client.post(event.group, text=reply, reply_to=reply_to(event))
                given += 1
            if given and given == answers:
                return


def answer(event: GroupEvent, seen: dict[tuple[str, str], int]) -> str | None:
    """Say what an event is answered with, if with anything."""
    if event.kind == "joined":
        name = event.fields.get("name") or event.fields.get("member") or event.user
        return f"Welcome, {name}! {HELP}"
    if event.kind != "posted":
        return None
    text = event.fields.get("text", "")
    before = seen.get((event.group, text.removeprefix("!seen ").strip()))
    seen[event.group, event.user] = event.time_ms
    if text.startswith("!seen "):
        return "Not lately." if before is None else f"{(event.time_ms - before) // 1000} s ago."
    return {"!dice": f"You rolled {random.randint(1, 6)}.", "!help": HELP}.get(text)


def reply_to(event: GroupEvent) -> int | None:
    """Only messages can be replied to."""
    return event.seq if event.kind == "posted" else None


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description="A groupd bot.")
    parser.add_argument("--server", default="tcp://127.0.0.1:7400")
    parser.add_argument("--token", required=True)
    parser.add_argument("--join", metavar="CODE")
    options = parser.parse_args()
    trio.run(main, options.server, options.token, options.join)
