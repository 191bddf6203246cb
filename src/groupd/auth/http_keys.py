"""Fetches what stands at a URL, over HTTPS or from this machine: the one user of httpx.

Placement rules: what an answer means, how long it may take and when to ask again is for
``key_rings.py``. Here an answer is bounded, comes from the host that was named and from no other,
and httpx's errors become ``KeysUnavailable``.
"""

from __future__ import annotations

import ssl
from collections.abc import Callable, Sequence

import httpx
import trio

from groupd.auth.key_rings import ANSWER_MAX_BYTES, Fetch, KeyRing, KeyRings
from groupd.auth.keys import KeySet
from groupd.config import AuthConfig
from groupd.errors import KeysUnavailable


def http_key_rings(
    published: Sequence[KeySet], config: AuthConfig, trust: Callable[[], ssl.SSLContext]
) -> KeyRings:
    """Give what keeps these sets of keys, from their URLs; ``trust`` is called if there are any."""
    if not published:
        return KeyRings()
    fetch = http_fetch(trust())
    refresh_s, keep_s = config.jwks_refresh_s, config.jwks_keep_s
    return KeyRings(
        [KeyRing(keys, fetch, refresh_s=refresh_s, keep_s=keep_s) for keys in published]
    )


def http_fetch(context: ssl.SSLContext) -> Fetch:
    """Give what fetches URLs; ``context`` says whom to trust. Cancelled, it hangs up.

    No redirect is followed: where the keys are is for the configuration to say and not for
    whoever answers there. No proxy and no password of the environment is used.
    """

    async def fetch(url: str) -> bytes:
        headers = {"accept": "application/json", "accept-encoding": "identity"}
        try:
            async with (
                # Its times are unbounded here, because who calls has a deadline for all of it.
                httpx.AsyncClient(verify=context, trust_env=False, timeout=None) as client,
                client.stream("GET", url, headers=headers) as response,
            ):
                return await _read(response)
        except (httpx.HTTPError, httpx.InvalidURL, ssl.SSLError) as error:
            raise KeysUnavailable(f"{type(error).__name__}: {_reason(error)}") from None

    return fetch


async def _read(response: httpx.Response) -> bytes:
    if response.is_redirect:
        raise KeysUnavailable("the answer is a redirect; name the place itself")
    if response.status_code != 200:
        raise KeysUnavailable(f"the answer is {response.status_code}")
    body = await read_bounded(response, ANSWER_MAX_BYTES)
    if body is None:
        raise KeysUnavailable(f"the answer is longer than {ANSWER_MAX_BYTES} bytes")
    return body


async def read_bounded(response: httpx.Response, max_bytes: int) -> bytes | None:
    """Read an answer as it comes; None where it is longer than that.

    As it comes: something that is small only while it is compressed is not let in.
    """
    pieces, size = [], 0
    with trio.CancelScope() as reading:
        async for piece in response.aiter_raw():
            size += len(piece)
            if size <= max_bytes:
                pieces.append(piece)
            else:
                # Not by leaving the loop: httpx's generators are closed from within alone.
                reading.cancel()
    return None if size > max_bytes else b"".join(pieces)


def _reason(error: BaseException) -> str:
    """Give what an error says, or what its cause does: of TLS only that has words."""
    cause: BaseException | None = error
    while cause is not None and not str(cause):
        cause = cause.__cause__ or cause.__context__
    return str(cause)
