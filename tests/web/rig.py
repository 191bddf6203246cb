"""A host API over a hub in memory: what a backend asks, and what it gets."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any, Final

import attrs
import orjson

from groupd.config import HostConfig
from groupd.engine.hub import Hub
from groupd.server.http import HttpRequest
from groupd.server.operator import Cut
from groupd.web import openapi
from groupd.web.calls import HostApi
from groupd.web.keys import SCOPES, KeyRing, make_key
from groupd.web.sessions import cut_nobody
from tests.engine.rig import hub_on, new_store

SECRET: Final = "s" * 43


@attrs.frozen
class Answer:
    status: int
    body: Any
    headers: dict[str, str]

    @property
    def code(self) -> str:
        return str(self.body["error"]["code"])


@attrs.define(eq=False)
class Backend:
    """Somebody with a key."""

    hub: Hub
    api: HostApi
    shown: str

    async def call(self, method: str, body: Any = None, **params: Any) -> Answer:
        """Ask for a method; ``as_`` is ``as``, and ``body`` the whole body in place of all."""
        if "as_" in params:
            params["as"] = params.pop("as_")
        data = orjson.dumps(params) if body is None else body
        return await self.request("POST", f"/v1/{method}", data)

    async def ok(self, method: str, **params: Any) -> dict[str, Any]:
        answer = await self.call(method, **params)
        assert answer.status == 200, answer
        found: dict[str, Any] = answer.body
        return found

    async def request(self, verb: str, path: str, body: bytes = b"") -> Answer:
        headers = {"authorization": f"Bearer {self.shown}"} if self.shown else {}
        response = await self.api.handle(
            HttpRequest(method=verb, path=path, headers=headers, body=body)
        )
        return Answer(response.status, orjson.loads(response.body), dict(response.headers))


@asynccontextmanager
async def open_backend(
    *,
    scopes: tuple[str, ...] = tuple(SCOPES),
    tenant: str = "",
    rate_limits: bool = True,
    cut: Cut = cut_nobody,
    **config: int,
) -> AsyncIterator[Backend]:
    key, shown = make_key("shop", tenant=tenant, scopes=scopes, secret=SECRET)
    async with hub_on(new_store()) as hub:
        api = HostApi(
            hub,
            KeyRing([key]),
            HostConfig(**config),
            openapi=openapi.document(),
            has_rate_limits=rate_limits,
            cut=cut,
        )
        yield Backend(hub, api, shown)
