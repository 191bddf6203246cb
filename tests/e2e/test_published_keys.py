"""A real server that fetches the keys of issuers over HTTP, from this machine."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import attrs
import pytest
import trio
from joserfc.jwk import OKPKey

from groupd.errors import Rejected
from groupd.server.addresses import listener_url, open_listeners
from groupd.server.http import HttpLimits, HttpRequest, HttpResponse, HttpServer
from tests.auth.signing import jwk, jwks, signed
from tests.e2e.process import Groupd, Process
from tests.e2e.raw import dial

OLD, NEW = OKPKey.generate_key("Ed25519"), OKPKey.generate_key("Ed25519")


@attrs.define
class Publisher:
    url: str
    answer: bytes = b""
    asked: int = 0

    async def handle(self, request: HttpRequest) -> HttpResponse:
        self.asked += 1
        return HttpResponse(200 if self.answer else 503, self.answer, "application/json")


@asynccontextmanager
async def publishing(answer: bytes) -> AsyncIterator[Publisher]:
    listeners = open_listeners("tcp://127.0.0.1:0", 4)
    publisher = Publisher(listener_url(listeners[0]).replace("tcp://", "http://"), answer)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(HttpServer(publisher.handle, HttpLimits()).listen, listeners)
        yield publisher
        nursery.cancel_scope.cancel()


def token(key: OKPKey, kid: str, **claims: object) -> str:
    now_s = int(time.time())
    said = {"sub": "ann", "aud": "groupd", "iss": "shop", "iat": now_s, "exp": now_s + 600}
    return signed(key, {**said, **claims}, kid=kid)


async def outcome(server: Process, given: str) -> str:
    """Give whom a server takes somebody for, or how it refuses them."""
    async with dial(server.url) as client:
        try:
            user: str = (await client.hello(given))["user"]
        except Rejected as refused:
            return refused.code
        return user


async def test_a_server_believes_what_an_issuer_publishes(groupd: Groupd) -> None:
    async with publishing(jwks(jwk(OLD, kid="old"))) as publisher:
        config = groupd.directory / "groupd.toml"
        config.write_text(
            f'[[auth.issuers]]\nissuer = "shop"\ntenant = "shop"\njwks_url = "{publisher.url}"\n'
        )
        async with groupd.serving(None, "--config", str(config)) as server:
            assert await outcome(server, token(OLD, "old")) == "ann"
            assert await outcome(server, token(OLD, "old", tenant="bank")) == "unauthenticated"
            assert await outcome(server, token(OLD, "old", iss="bank")) == "unauthenticated"
            assert publisher.asked == 1
            assert not (server.data / "secret").exists(), "nobody else is believed"
            assert server.complaints() == []
            assert [e["kids"] for e in server.log() if e["event"] == "keys_fetched"] == [["old"]]


async def test_a_server_starts_although_the_keys_cannot_be_had(groupd: Groupd) -> None:
    async with publishing(b"") as publisher:
        config = groupd.directory / "groupd.toml"
        config.write_text(f'[auth]\njwks_url = "{publisher.url}"\n')
        async with groupd.serving(None, "--config", str(config)) as server:
            assert await outcome(server, token(NEW, "new")) == "unavailable"
            (reason,) = {e["reason"] for e in server.log() if e["event"] == "keys_not_fetched"}
            assert reason == "the answer is 503"
            assert await server.terminate() == 0


@pytest.mark.parametrize("text", ["[auth]\njwks_url = 'http://192.0.2.1/keys'"])
async def test_keys_are_not_fetched_in_the_clear_from_elsewhere(groupd: Groupd, text: str) -> None:
    config = groupd.directory / "groupd.toml"
    config.write_text(text)
    done = await groupd.run("serve", "--config", config)
    assert done.returncode == 1
    assert "$.auth.jwks_url" in done.stderr
