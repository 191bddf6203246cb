"""Posts to endpoints: the part of webhooks that httpx does."""

from __future__ import annotations

import ssl
from collections.abc import Mapping

import httpx

from groupd.web.webhooks import Post


def http_post(context: ssl.SSLContext) -> Post:
    """Give what posts; ``context`` says whom to trust. Cancelled, it hangs up.

    No redirect is followed, and no proxy or password of the environment is used. Of an answer only
    the status is read.
    """

    async def post(url: str, headers: Mapping[str, str], body: bytes) -> int:
        try:
            async with (
                # Who calls has a deadline for all of it.
                httpx.AsyncClient(verify=context, trust_env=False, timeout=None) as client,
                client.stream("POST", url, headers=dict(headers), content=body) as response,
            ):
                return response.status_code
        except (httpx.HTTPError, httpx.InvalidURL, ssl.SSLError) as error:
            raise OSError(f"{type(error).__name__}: {error}") from error

    return post
