"""Posting to a real socket: what is sent arrives, and what goes wrong is an OSError."""

from __future__ import annotations

import ssl

import pytest
import trio

from groupd.server.addresses import listener_url, open_listeners
from groupd.server.http import HttpLimits, HttpRequest, HttpResponse, HttpServer, plain
from groupd.web.conditions import ANSWER_MAX_BYTES
from groupd.web.posting import http_post, http_question


async def test_a_post_arrives_and_its_status_comes_back(nursery: trio.Nursery) -> None:
    got: list[HttpRequest] = []

    async def handle(request: HttpRequest) -> HttpResponse:
        got.append(request)
        return plain(302, "elsewhere", location="/other") if len(got) > 1 else plain(202, "thanks")

    listeners = open_listeners("tcp://127.0.0.1:0", 5)
    url = listener_url(listeners[0]).replace("tcp://", "http://", 1) + "/hook"
    nursery.start_soon(HttpServer(handle, HttpLimits()).listen, listeners)
    post = http_post(ssl.create_default_context())
    with trio.fail_after(30):
        assert await post(url, {"webhook-id": "group/G/1"}, b"{}") == 202
        assert await post(url, {}, b"") == 302, "and is not followed"
    assert (got[0].method, got[0].path, got[0].body) == ("POST", "/hook", b"{}")
    assert got[0].headers["webhook-id"] == "group/G/1"
    assert len(got) == 2


async def test_a_question_has_its_answer_which_is_bounded(nursery: trio.Nursery) -> None:
    size = 20

    async def handle(request: HttpRequest) -> HttpResponse:
        assert request.headers["accept-encoding"] == "identity"
        return HttpResponse(200, b"x" * size, "application/json")

    listeners = open_listeners("tcp://127.0.0.1:0", 5)
    url = listener_url(listeners[0]).replace("tcp://", "http://", 1)
    nursery.start_soon(HttpServer(handle, HttpLimits()).listen, listeners)
    ask = http_question(ssl.create_default_context())
    with trio.fail_after(30):
        assert await ask(url, {}, b"{}") == (200, b"x" * 20)
        size = ANSWER_MAX_BYTES
        assert len((await ask(url, {}, b"{}"))[1]) == ANSWER_MAX_BYTES
        size = ANSWER_MAX_BYTES + 1
        with pytest.raises(OSError, match="longer than"):
            await ask(url, {}, b"{}")


async def test_where_nobody_answers_it_is_an_error_of_the_system() -> None:
    listeners = open_listeners("tcp://127.0.0.1:0", 5)
    url = listener_url(listeners[0]).replace("tcp://", "http://", 1)
    listeners[0].close()
    with trio.fail_after(30), pytest.raises(OSError, match="ConnectError"):
        await http_question(ssl.create_default_context())(url, {}, b"")
    with trio.fail_after(30), pytest.raises(OSError, match="ConnectError"):
        await http_post(ssl.create_default_context())(url, {}, b"")
