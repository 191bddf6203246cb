"""What all calls need: somebody who takes a request and gives its result."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import Any

from groupd.domain.base import Request
from groupd.domain.fields import refuse


class Asker(ABC):
    """Has requests served: the SDK's ``Client`` over a connection, the hub's ``Caller`` without."""

    @abstractmethod
    async def call(
        self, request: Request, *, group: str | None = None, id: str | None = None
    ) -> dict[str, Any]:
        """Have ``request`` served, in ``group`` where it is addressed to one; give its result."""


def listed(users: Sequence[str], field: str) -> tuple[str, ...]:
    """Give the users as a request takes them. One string is a sequence too, of letters."""
    if isinstance(users, str):
        raise refuse(field, "expected a list of user ids, got one string")
    return tuple(users)
