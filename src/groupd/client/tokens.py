"""The token that a client shows, and when to get another one."""

from __future__ import annotations

import base64
from collections.abc import Awaitable, Callable
from typing import TypeAlias

import orjson

from groupd.errors import AuthError

Token: TypeAlias = str | Callable[[], Awaitable[str]]
"""One token for good, or where to get a fresh one.

Where that cannot be reached just now it raises OSError, such as ConnectionError or TimeoutError: a
client that was connected before asks again, after a pause. Whatever else it raises ends the client.
"""


class TokenSource:
    """Gives the token for the next ``hello``."""

    def __init__(self, token: Token) -> None:
        self._token = token

    @property
    def renewable(self) -> bool:
        """Whether asking again may give another token."""
        return not isinstance(self._token, str)

    async def get(self) -> str:
        """Give a token; raises AuthError, with its cause, where the application cannot make one."""
        if isinstance(self._token, str):
            return self._token
        try:
            return await self._token()
        # The callable is the application's: whatever it raises is told in the same way.
        except Exception as error:
            raise AuthError(f"no token: {error!r}") from error


def expiry_ms(token: str) -> int | None:
    """Read when a JWT expires, without believing it; None where it does not say."""
    try:
        payload = token.split(".")[1]
        claims = orjson.loads(base64.urlsafe_b64decode(payload + "=" * (-len(payload) % 4)))
        return int(claims["exp"] * 1_000)
    except (ValueError, LookupError, TypeError, OverflowError):
        return None
