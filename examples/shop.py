"""A shop's back office: it shows goods in its group, and counts what people make of them.

    python examples/shop.py --token $(groupd token shop) [--wait 30]

Its customers join by the code that it prints. In `groupd chat` they like what they see with
`/react N like`, and comment on it with `/reply N TEXT`.
"""

import argparse
from typing import Any

import trio

import groupd

GOODS = (
    {"title": "Longjing green tea, 100 g 龙井", "price": 8_800},
    {"title": "Yixing teapot 紫砂壶", "price": 36_000},
)
"""Prices are in the minor unit: 8,800 fen are 88 yuan."""


async def main(server: str, token: str, wait_s: float = 30) -> list[tuple[str, int, int]]:
    """Show the goods, wait for customers, and give (title, likes, comments) of each."""
    async with groupd.connect(server, token=token) as client:
        # The same `ref` is the same group, however often this is run.
        made = await client.create("Tea shop 茶叶店", ref="tea-shop")
        group = made["group"]
        shown = [await show(client, group, goods) for goods in GOODS]
        code = (await client.share_link(group, channel="poster"))["code"]
        print(f"customers type: /join {code}", flush=True)
        await trio.sleep(wait_s)
        return await count(client, group, shown)


async def show(client: groupd.Client, group: str, goods: dict[str, Any]) -> int:
    """Post goods as a card, and pin it where there is room; gives the message's seq."""
    card = {"type": "goods", "currency": "CNY", "url": "https://example.org/shop", **goods}
    seq = (await client.post(group, card=card))["seq"]
    try:
        await client.pin(group, seq)
    except groupd.Rejected as refusal:
        if refusal.code != "quota_exceeded":
            raise
    return seq


async def count(client: groupd.Client, group: str, seqs: list[int]) -> list[tuple[str, int, int]]:
    """Look at the goods as they are now: a like is one per user, comments are replies."""
    counted = []
    for message in (await client.messages(group, seqs))["messages"]:
        title = message["event"]["card"]["title"]
        likes, comments = message["reactions"].get("like", 0), message["replies"]
        print(f"{title}: {likes} likes, {comments} comments", flush=True)
        counted.append((title, likes, comments))
    joins = (await client.info(group)).get("links", {}).get("joins_by_channel", {})
    print(f"came by the poster: {joins.get('poster', 0)}", flush=True)
    return counted


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description="A shop in a groupd group.")
    parser.add_argument("--server", default="tcp://127.0.0.1:7400")
    parser.add_argument("--token", required=True)
    parser.add_argument("--wait", type=float, default=30, help="Seconds until it counts.")
    options = parser.parse_args()
    trio.run(main, options.server, options.token, options.wait)
