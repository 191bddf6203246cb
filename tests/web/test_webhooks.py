"""Webhooks: every event once and in order, also where the receiver fails half of the time."""

from __future__ import annotations

import hashlib
import hmac
from base64 import b64decode, b64encode
from collections.abc import Mapping
from typing import Any, Final

import orjson
import pytest
import trio
from trio.testing import MockClock

from groupd.config import WebhookConfig
from groupd.engine.hub import Hub
from groupd.errors import ConfigError, Rejected
from groupd.testing.fakes import fake_ports
from groupd.web.webhooks import Webhook
from tests.engine.rig import hub_on, new_store

SECRET: Final = "whsec_" + b64encode(bytes(range(32))).decode()
URL: Final = "https://shop.example/hook"


class Receiver:
    """An endpoint that takes each message once, and fails as it is told to."""

    def __init__(self, *statuses: int | OSError | None) -> None:
        self.statuses = list(statuses)
        """Of the next posts; None takes its time. Then all are taken."""
        self.posts: list[tuple[dict[str, str], bytes]] = []
        self.seen: dict[str, Any] = {}

    async def post(self, url: str, headers: Mapping[str, str], body: bytes) -> int:
        assert url == URL
        self.posts.append((dict(headers), body))
        status = self.statuses.pop(0) if self.statuses else 204
        if isinstance(status, OSError):
            raise status
        if status is None:
            await trio.sleep_forever()
        assert status is not None
        if status < 300:
            self.seen.setdefault(headers["webhook-id"], orjson.loads(body))
        return status

    def texts(self) -> list[str]:
        events = [each["data"]["event"] for each in self.seen.values()]
        return [event["text"] for event in events if event["kind"] == "posted"]


def hook_on(hub: Hub, receiver: Receiver, **config: Any) -> Webhook:
    given = {"name": "shop", "url": URL, "secret": SECRET, **config}
    return Webhook(WebhookConfig(**given), feed=hub.feed, ports=fake_ports(), post=receiver.post)


async def test_a_receiver_that_fails_half_of_the_time_has_every_event_once_and_in_order(
    autojump_clock: MockClock,
) -> None:
    receiver = Receiver(*([503, 200, OSError("refused"), 204] * 20))
    async with hub_on(new_store()) as hub, trio.open_nursery() as nursery:
        nursery.start_soon(hook_on(hub, receiver).run)
        ann = hub.act_as("ann")
        group = (await ann.create("Tea"))["group"]
        for number in range(12):
            await ann.post(group, text=f"post {number}")
        await trio.sleep(600)
        assert receiver.texts() == [f"post {number}" for number in range(12)]
        assert len(receiver.posts) > len(receiver.seen)
        (consumer,) = await hub.feed.consumers("")
        assert (consumer.name, consumer.lag, consumer.last_error) == ("webhook.shop", 0, None)
        nursery.cancel_scope.cancel()


async def test_each_message_is_signed_and_a_retry_has_the_same_id(
    autojump_clock: MockClock,
) -> None:
    receiver = Receiver(500)
    async with hub_on(new_store()) as hub, trio.open_nursery() as nursery:
        nursery.start_soon(hook_on(hub, receiver, kinds=("created",)).run)
        group = (await hub.act_as("ann").create("Tea"))["group"]
        await trio.sleep(60)
        (first, _), (second, body) = receiver.posts
        assert first["webhook-id"] == second["webhook-id"] == f"group/{group}/1"
        signed = f"{second['webhook-id']}.{second['webhook-timestamp']}.".encode() + body
        key = b64decode(SECRET.removeprefix("whsec_"))
        digest = b64encode(hmac.new(key, signed, hashlib.sha256).digest()).decode()
        assert second["webhook-signature"] == f"v1,{digest}"
        told = orjson.loads(body)
        assert told["type"] == "group.created"
        assert told["data"]["event"]["name"] == "Tea"
        nursery.cancel_scope.cancel()


async def test_a_stuck_endpoint_harms_nobody_and_says_what_is_wrong(
    autojump_clock: MockClock,
) -> None:
    stuck, well = Receiver(*[None] * 1_000), Receiver()
    async with hub_on(new_store()) as hub, trio.open_nursery() as nursery:
        nursery.start_soon(hook_on(hub, stuck, name="stuck").run)
        nursery.start_soon(hook_on(hub, well, name="well").run)
        ann = hub.act_as("ann")
        group = (await ann.create("Tea"))["group"]
        began = trio.current_time()
        await ann.post(group, text="hello")
        assert trio.current_time() == began
        await trio.sleep(3_600)
        assert well.texts() == ["hello"]
        shown = {each.name: each for each in await hub.feed.consumers("")}
        assert shown["webhook.well"].lag == 0
        assert shown["webhook.stuck"].lag > 0
        assert shown["webhook.stuck"].last_error == "no answer within 15000 ms"
        # Pauses grow to five minutes: some 20 attempts in an hour, and not thousands.
        assert 10 < len(stuck.posts) < 40
        nursery.cancel_scope.cancel()


async def test_nobody_but_its_endpoint_moves_a_webhook_or_takes_it_away(
    autojump_clock: MockClock,
) -> None:
    receiver = Receiver(*[503] * 8)
    async with hub_on(new_store()) as hub, trio.open_nursery() as nursery:
        nursery.start_soon(hook_on(hub, receiver).run)
        ann = hub.act_as("ann")
        group = (await ann.create("Tea"))["group"]
        await ann.post(group, text="one")
        await trio.sleep(1)
        page = await hub.feed.read("", "webhook.shop", limit=100)
        assert page.cursor is not None
        with pytest.raises(Rejected, match="only its endpoint moves it"):
            await hub.feed.ack("", "webhook.shop", page.cursor)
        with pytest.raises(Rejected, match="only its endpoint moves it"):
            await hub.feed.forget("", "webhook.shop")
        await trio.sleep(600)
        assert receiver.texts() == ["one"]
        nursery.cancel_scope.cancel()


async def test_what_was_told_before_a_crash_is_told_on_after_it(autojump_clock: MockClock) -> None:
    store, receiver = new_store(), Receiver()
    async with hub_on(store) as hub, trio.open_nursery() as nursery:
        nursery.start_soon(hook_on(hub, receiver).run)
        ann = hub.act_as("ann")
        group = (await ann.create("Tea"))["group"]
        await ann.post(group, text="one")
        await trio.sleep(5)
        nursery.cancel_scope.cancel()
    async with hub_on(store) as hub, trio.open_nursery() as nursery:
        await hub.act_as("ann").post(group, text="two")
        nursery.start_soon(hook_on(hub, receiver).run)
        await trio.sleep(5)
        nursery.cancel_scope.cancel()
    assert receiver.texts() == ["one", "two"]


@pytest.mark.parametrize(
    "wrong",
    [
        {"name": ""},
        {"name": "A b"},
        {"url": ""},
        {"url": "ftp://x"},
        {"url": "https://x:y/"},
        {"secret": ""},
        {"secret": "whsec_"},
        {"secret": "whsec_AAAA"},
        {"secret": SECRET.removeprefix("whsec_")},
        {"secret": "whsec_" + "*" * 40},
    ],
)
def test_a_webhook_that_makes_no_sense_is_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(ConfigError, match=f"{next(iter(wrong))}: expected"):
        WebhookConfig(**{"name": "shop", "url": URL, "secret": SECRET, **wrong})
