"""Posts to the host: the part of webhooks, and of questions, that httpx does."""

from __future__ import annotations

import ssl
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager

import httpx
import trio

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
            return response.status_code, await _read(response)

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


async def _read(response: httpx.Response) -> bytes:
    pieces, size = [], 0
    with trio.CancelScope() as reading:
        async for piece in response.aiter_raw():
            size += len(piece)
            if size <= ANSWER_MAX_BYTES:
                pieces.append(piece)
            else:
                # Not by leaving the loop: httpx's generators are closed from within alone.
                reading.cancel()
    if size > ANSWER_MAX_BYTES:
        raise OSError(f"the answer is longer than {ANSWER_MAX_BYTES} bytes")
    return b"".join(pieces)
