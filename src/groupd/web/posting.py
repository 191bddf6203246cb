"""Posts to the host: the part of webhooks, and of questions, that httpx does."""

from __future__ import annotations

import ssl
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager

import httpx

from groupd.auth.http_keys import read_bounded
from groupd.web.conditions import ANSWER_MAX_BYTES, Question
from groupd.web.webhooks import Post


def http_post(context: ssl.SSLContext) -> Post:
    """Give what posts; ``context`` says whom to trust. Cancelled, it hangs up.

    No redirect is followed, and no proxy or password of the environment is used. Of an answer only
    the status is read.
    """

    async def post(url: str, headers: Mapping[str, str], body: bytes) -> int:
        async with _posted(context, url, headers, body) as response:
            return response.status_code

    return post


def http_question(context: ssl.SSLContext) -> Question:
    """Give what posts and reads the answer; all else is as in ``http_post``."""

    async def ask(url: str, headers: Mapping[str, str], body: bytes) -> tuple[int, bytes]:
        # What is small only while it is compressed is not let in.
        headers = {**headers, "accept-encoding": "identity"}
        async with _posted(context, url, headers, body) as response:
            answer = await read_bounded(response, ANSWER_MAX_BYTES)
            if answer is None:
                raise OSError(f"the answer is longer than {ANSWER_MAX_BYTES} bytes")
            return response.status_code, answer

    return ask


@asynccontextmanager
async def _posted(
    context: ssl.SSLContext, url: str, headers: Mapping[str, str], body: bytes
) -> AsyncIterator[httpx.Response]:
    """Post, and give the answer to read; raises OSError for whatever goes wrong."""
    try:
        async with (
            # Who calls has a deadline for all of it.
            httpx.AsyncClient(verify=context, trust_env=False, timeout=None) as client,
            client.stream("POST", url, headers=dict(headers), content=body) as response,
        ):
            yield response
    except (httpx.HTTPError, httpx.InvalidURL, ssl.SSLError) as error:
        raise OSError(f"{type(error).__name__}: {error}") from error
