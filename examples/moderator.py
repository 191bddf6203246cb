"""A moderator: it decides on join requests by a rule, and keeps an unwanted word out.

    python examples/moderator.py --token $(groupd token guard) [--word casino]

Make it an admin of a group: in `groupd chat`, /invite guard and /role guard admin. Who says in a
few words why they want to join is let in. Who uses the word has their message recalled, and is
muted for ten minutes.
"""

import argparse

import trio

import groupd
from groupd.client import GroupEvent

REASON_CHARS_MIN = 5
MUTE_MS = 10 * 60_000


async def main(server: str, token: str, word: str = "casino", decisions: int = 0) -> None:
    """Moderate until cancelled, or until so many ``decisions`` were made."""
    made = 0
    async with groupd.connect(server, token=token) as client:
        stream = client.events()
        for row in (await client.groups())["groups"]:
            if row["role"] != "member":
                made += await decide_waiting(client, row["group"])
        print(f"{client.user} is watching", flush=True)
        async for event in stream:
            if isinstance(event, GroupEvent):
                made += await moderate(client, event, word)
            if made >= decisions > 0:
                return


async def decide_waiting(client: groupd.Client, group: str) -> int:
    """Decide on those who have asked while nobody was watching."""
    waiting = (await client.requests(group))["requests"]
    for request in waiting:
        await decide(client, group, request["user"], request["message"])
    return len(waiting)


async def moderate(client: groupd.Client, event: GroupEvent, word: str) -> int:
    """Do what an event asks for; gives 1 where something was decided."""
    if event.kind == "requested":
        await decide(client, event.group, event.user, event.fields.get("message", ""))
        return 1
    if event.kind in ("posted", "edited") and word in event.fields.get("text", "").casefold():
        # Of an edit, the message that it belongs to.
        message = event.fields.get("message", event.seq)
        try:
            await client.recall(event.group, message)
            await client.mute(event.group, event.user, for_ms=MUTE_MS)
        except groupd.Rejected as refusal:
            # Only those below it: an owner may say what they like.
            print(f"{event.user} said it, but {refusal.message}", flush=True)
        else:
            print(f"recalled {message} and muted {event.user}", flush=True)
        return 1
    return 0


async def decide(client: groupd.Client, group: str, user: str, message: str) -> None:
    """Let in who gives a reason. Another admin may have been quicker, which is as well."""
    gives_reason = len(message) >= REASON_CHARS_MIN
    try:
        await (client.approve if gives_reason else client.decline)(group, user)
        print(f"{'approved' if gives_reason else 'declined'} {user}", flush=True)
    except groupd.Rejected as refusal:
        print(f"{user}: {refusal.message}", flush=True)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description="A moderator for groupd.")
    parser.add_argument("--server", default="tcp://127.0.0.1:7400")
    parser.add_argument("--token", required=True)
    parser.add_argument("--word", default="casino")
    options = parser.parse_args()
    trio.run(main, options.server, options.token, options.word)
