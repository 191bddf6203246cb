"""A real server that asks the app whether somebody may come in, over HTTP, from this machine."""

from __future__ import annotations

import hashlib
import hmac
from base64 import b64encode

import orjson
import pytest
import trio

from groupd.server.addresses import listener_url, open_listeners
from groupd.server.http import HttpLimits, HttpRequest, HttpResponse, HttpServer
from tests.e2e.process import Groupd

KEY = bytes(range(32))
SECRET = "whsec_" + b64encode(KEY).decode()


class App:
    """A backend that knows who has bought what, and is down when it is told to be."""

    def __init__(self) -> None:
        self.buyers = {"bob"}
        self.is_down = False
        self.asked: list[str] = []

    async def handle(self, request: HttpRequest) -> HttpResponse:
        id_, at = request.headers["webhook-id"], request.headers["webhook-timestamp"]
        signed = f"{id_}.{at}.".encode() + request.body
        expected = b64encode(hmac.new(KEY, signed, hashlib.sha256).digest()).decode()
        assert request.headers["webhook-signature"] == f"v1,{expected}"
        question = orjson.loads(request.body)
        self.asked.append(question["user"])
        if self.is_down:
            await trio.sleep_forever()
        holds = [question["user"] in self.buyers for _clause in question["clauses"]]
        return HttpResponse(200, orjson.dumps({"holds": holds}), "application/json")


async def test_a_server_asks_the_app_and_holds_nobody_up(
    groupd: Groupd, nursery: trio.Nursery
) -> None:
    app, listeners = App(), open_listeners("tcp://127.0.0.1:0", 4)
    nursery.start_soon(HttpServer(app.handle, HttpLimits()).listen, listeners)
    url = listener_url(listeners[0]).replace("tcp://", "http://")
    secret, config = groupd.directory / "conditions.secret", groupd.directory / "groupd.toml"
    secret.write_text(f"{SECRET}\n")
    config.write_text(
        f'[host.conditions]\nurl = "{url}"\nsecret_file = "{secret}"\ndeadline_ms = 500\n'
    )
    async with (
        groupd.serving(None, "--config", str(config)) as server,
        server.enter_all(["ann", "bob", "cat", "dan"]) as (ann, bob, cat, dan),
    ):
        buyers = {"claim": "bought", "has": "tea", "label": "buyers"}
        group = (await ann.ask("create", name="Tea", conditions=buyers))["group"]
        assert (await bob.ask("join", group=group))["status"] == "joined"
        refused = await cat.refusal("join", group=group)
        assert refused.details == {
            "reason": "condition", "clause": "buyers", "answered_by": "host",
        }  # fmt: skip
        app.is_down = True
        joining = await dan.send("join", group=group)
        with trio.fail_after(0.4):
            await ann.ask("post", group=group, text="nobody waits")
        late = await dan.outcome(joining)
        assert getattr(late, "details", {})["answered_by"] == "verdict"
        assert app.asked == ["bob", "cat", "dan"]
        (said,) = [entry for entry in server.log() if entry["event"] == "host_not_answering"]
        assert (said["user"], said["error"]) == ("dan", "no answer within 500 ms")


@pytest.mark.parametrize("content", [None, "", "whsec_", "secret", "whsec_c2hvcnQ="])
async def test_without_its_secret_a_server_does_not_start(
    groupd: Groupd, content: str | None
) -> None:
    secret, config = groupd.directory / "conditions.secret", groupd.directory / "groupd.toml"
    if content is not None:
        secret.write_text(content)
    config.write_text(
        f'[host.conditions]\nurl = "https://shop.example"\nsecret_file = "{secret}"\n'
    )
    for command in (("serve", "--config", config), ("config", "check", config)):
        done = await groupd.run(*command)
        assert done.returncode == 1
        assert str(secret) in done.stderr
