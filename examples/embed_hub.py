"""Group chat inside your own trio program, with no server and no socket.

    python examples/embed_hub.py [DATA_DIRECTORY]

With a directory the groups are still there the next time; without one they live in memory.
"""

import sys

import trio

import groupd


async def main(data: str | None = None) -> None:
    """Let a teacher and two pupils talk."""
    async with groupd.open_hub(data) as hub:
        teacher, pupil = hub.act_as("ms-li", name="李老师"), hub.act_as("bo", name="Bo")
        made = await teacher.create("Class 3", members=["bo", "mei"], ref="class-3")
        group = made["group"]
        async with pupil.events() as events:
            await teacher.announce(group, "Homework: page 12")
            await pupil.post(group, text="Which exercises?", mentions=["ms-li"])
            heard = 0
            async for push in events:
                event = push.params
                if push.method == "event":
                    print(event["seq"], event["kind"], event["user"], event.get("text", ""))
                    heard += 1
                if heard == 2:
                    break
        for row in (await teacher.groups())["groups"]:
            print(f"{row['name']}: {row['unread']} unread, {row['mentions']} mentions")
        # A limit is an error with a code, and nothing has happened.
        try:
            for number in range(5):
                await pupil.create(f"Club {number}")
        except groupd.Rejected as refusal:
            print(refusal)


if __name__ == "__main__":
    trio.run(main, sys.argv[1] if sys.argv[1:] else None)
