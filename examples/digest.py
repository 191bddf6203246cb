"""An asyncio program: it listens to the groups of its user and prints a digest now and then.

    python examples/digest.py --token $(groupd token alice) --every 60

What is heard goes through a queue to a second task, as it would to a web socket or a database.
"""

import argparse
import asyncio
from collections import Counter

from groupd.client import GroupEvent, aio

WAITING_MAX = 1_000


async def main(server: str, token: str, every_s: float, digests: int = 0) -> None:
    """Listen until cancelled, or until so many digests were printed."""
    waiting: asyncio.Queue[GroupEvent] = asyncio.Queue(WAITING_MAX)
    async with aio.connect(server, token=token) as client:
        events = client.events()
        print(f"{client.user} is listening", flush=True)
        listening = asyncio.create_task(listen(events, waiting))
        try:
            await print_digests(waiting, every_s, digests)
        finally:
            listening.cancel()


async def listen(events: aio.EventStream, waiting: asyncio.Queue[GroupEvent]) -> None:
    """Hand on what is said. When the queue is full this waits, and the client fetches later."""
    async for event in events:
        if isinstance(event, GroupEvent) and event.kind == "posted":
            await waiting.put(event)


async def print_digests(waiting: asyncio.Queue[GroupEvent], every_s: float, digests: int) -> None:
    """Print who said how much since the last time, if anybody said anything."""
    printed = 0
    while not digests or printed < digests:
        said = Counter([who(await waiting.get())])
        try:
            async with asyncio.timeout(every_s):
                while True:
                    said[who(await waiting.get())] += 1
        except TimeoutError:
            pass
        print(", ".join(f"{name}: {count}" for name, count in sorted(said.items())), flush=True)
        printed += 1


def who(event: GroupEvent) -> str:
    """Name the author, and where."""
    return f"{event.user} in {event.group}"


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description="Prints who says how much.")
    parser.add_argument("--server", default="tcp://127.0.0.1:7400")
    parser.add_argument("--token", required=True)
    parser.add_argument("--every", type=float, default=60, metavar="SECONDS")
    options = parser.parse_args()
    asyncio.run(main(options.server, options.token, options.every))
