"""The host API: every method of the protocol as ``POST /v1/METHOD``, with JSON and a service key.

The body is the method's parameters, and ``as``: a user's id, a map with that and a profile, or
``"system"``. What a method means, and its limits, ids and errors, are those of the protocol: this
makes an ``Identity`` and a ``Request`` of what came, and JSON of what the engine says.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

import orjson
import structlog
import trio

from groupd.config import HostConfig
from groupd.domain.base import SERVER, Command, Identity, LiveQuery, Query
from groupd.domain.fields import refuse
from groupd.domain.queries import Hello, Ping
from groupd.engine.hub import Hub
from groupd.engine.mail import Behalf, unavailable
from groupd.engine.reads import READS
from groupd.errors import LogUnavailable, Rejected
from groupd.server.http import HttpRequest, HttpResponse
from groupd.server.methods import Call, understand
from groupd.server.operator import Cut
from groupd.server.rates import Bucket
from groupd.web.callers import SYSTEM, identity_of
from groupd.web.keys import KeyRing, ServiceKey
from groupd.web.own import OWN, Ending
from groupd.web.sessions import cut_nobody
from groupd.wire import rpc
from groupd.wire.codec import Encoded

log = structlog.get_logger()

JSON: Final = "application/json"
PATH: Final = "/v1/"
OPENAPI: Final = "/v1/openapi.json"
STATUS: Final[Mapping[str, int]] = {
    "bad_request": 400,
    "unauthenticated": 401,
    "forbidden": 403,
    "muted": 403,
    "not_found": 404,
    "unknown_method": 404,
    "conflict": 409,
    "quota_exceeded": 409,
    "group_full": 409,
    "stale_id": 409,
    "too_large": 413,
    "rate_limited": 429,
    "internal": 500,
    "unavailable": 503,
}
"""Code of an error -> HTTP status. The code says more, and is what to switch on."""


class HostApi:
    """The handler of the host listener. ``cut`` ends the sessions of users."""

    def __init__(
        self,
        hub: Hub,
        keys: KeyRing,
        config: HostConfig,
        *,
        openapi: bytes,
        has_rate_limits: bool,
        cut: Cut = cut_nobody,
    ) -> None:
        self._hub = hub
        self._keys = keys
        self._config = config
        self._openapi = openapi
        self._cut = cut
        self._has_rate_limits = has_rate_limits
        self._buckets: dict[str, Bucket] = {}

    async def handle(self, request: HttpRequest) -> HttpResponse:
        """Answer a request."""
        if request.path == OPENAPI:
            if request.method in ("GET", "HEAD"):
                return HttpResponse(200, self._openapi, JSON)
            return _refused(refuse("method", "GET this"), 405, allow="GET, HEAD")
        if not request.path.startswith(PATH):
            missing = Rejected("not_found", f"there are {PATH}METHOD and {OPENAPI}")
            return _refused(missing)
        if request.method != "POST":
            return _refused(refuse("method", "POST this"), 405, allow="POST")
        key = self._keys.find(request.headers.get("authorization", ""))
        if key is None:
            error = Rejected("unauthenticated", "expected Authorization: Bearer gk.NAME.SECRET")
            return _refused(error, www_authenticate="Bearer")
        try:
            return _answered(await self._serve(key, request.path.removeprefix(PATH), request.body))
        except Rejected as error:
            return _refused(error)
        except LogUnavailable as error:
            return _refused(unavailable(str(error)))

    async def _serve(self, key: ServiceKey, method: str, body: bytes) -> Mapping[str, Any]:
        params = _params_of(body)
        whose = params.pop("as", None)
        hub = self._hub.on_behalf(Behalf(key.name, method))
        own = OWN.get(method)
        if own is not None:
            for scope in own.scopes:
                _permit(key, scope, method)
            if whose not in (None, SYSTEM):
                raise refuse("as", f"{method} is asked by the app itself, and as nobody else")
            self._charge(key, own.cost(params))
            if "write" in own.scopes:
                self._note(key, SYSTEM, method, params.get("group"), None)
            if isinstance(own.serve, Ending):
                answer = await own.serve.serve(hub, key.tenant, params, self._cut)
            else:
                answer = await own.serve(hub, key.tenant, params)
            self._owe(key, own.owed(answer))
            return answer
        if method == Hello.method:
            raise Rejected("unknown_method", "there is no such method: a key says who asks")
        call = understand(rpc.Request(0, method, params), operator=False)
        request = call.request
        is_query = not isinstance(request, Command)
        self._charge(key, request.cost)
        _permit(key, "read" if is_query else "write", method)
        if isinstance(request, Ping):
            return {"time_ms": self._hub.ports.clock.now_ms()}
        if whose == SYSTEM:
            _permit(key, "system", method)
            if not request.by_system:
                raise refuse("as", f"{method} is asked as a user, and not as the system")
            caller = Identity(user=SERVER, tenant=key.tenant)
        else:
            caller = await identity_of(hub, key.tenant, whose)
        answer = await _ask(hub, caller, call)
        if not is_query:
            group = call.group or answer.get("group")
            self._note(key, caller.user or SYSTEM, method, group, answer.get("seq"))
        return answer

    @staticmethod
    def _note(key: ServiceKey, as_: str, method: str, group: Any, seq: Any) -> None:
        """Log who did what, on whose behalf."""
        log.info(
            "host_call",
            key=key.name,
            as_=as_,
            tenant=key.tenant,
            method=method,
            group=group,
            seq=seq,
        )

    def _bucket(self, key: ServiceKey) -> Bucket:
        bucket = self._buckets.get(key.name)
        if bucket is None:
            per_s, burst = self._config.rate_per_s, self._config.rate_burst
            bucket = Bucket.full(per_s=per_s, burst=burst, now_s=trio.current_time())
            self._buckets[key.name] = bucket
        return bucket

    def _owe(self, key: ServiceKey, cost: int) -> None:
        """Charge for what nobody knew the size of before it was done."""
        if cost and self._has_rate_limits:
            self._bucket(key).owe(cost)

    def _charge(self, key: ServiceKey, cost: int) -> None:
        if not self._has_rate_limits:
            return
        retry_after_ms = self._bucket(key).take(cost, trio.current_time())
        if retry_after_ms:
            raise Rejected("rate_limited", "too many requests", retry_after_ms=retry_after_ms)


async def _ask(hub: Hub, caller: Identity, call: Call) -> Mapping[str, Any]:
    request, group = call.request, call.group
    if isinstance(request, Query) and type(request) in READS:
        result = await hub.read(caller, request, group=group)
        return result.decode() if isinstance(result, Encoded) else result
    assert isinstance(request, Command | LiveQuery)
    return await hub.ask(caller, request, group=group, request_id=call.request_id)


def _permit(key: ServiceKey, scope: str, method: str) -> None:
    if scope not in key.scopes:
        message = f"{method} takes the scope {scope}, which the key {key.name} does not have"
        raise Rejected("forbidden", message, reason="scope", required=scope)


def http_refusal(status: int, text: str) -> HttpResponse:
    """Refuse what is no request yet, in the form of all refusals."""
    code = "too_large" if status == STATUS["too_large"] else "bad_request"
    return _refused(Rejected(code, text), status)


def _params_of(body: bytes) -> dict[str, Any]:
    try:
        params = orjson.loads(body or b"{}")
    except orjson.JSONDecodeError as error:
        raise Rejected("bad_request", f"the body is not JSON: {error}", field="") from None
    if not isinstance(params, dict):
        raise Rejected("bad_request", "expected the parameters as a JSON object", field="")
    return params


def _answered(answer: Mapping[str, Any]) -> HttpResponse:
    return HttpResponse(200, orjson.dumps(answer), JSON)


def _refused(error: Rejected, status: int | None = None, **headers: str) -> HttpResponse:
    retry_after_ms = error.details.get("retry_after_ms")
    if retry_after_ms is not None:
        headers["retry_after"] = str(-(-retry_after_ms // 1_000))
    body = orjson.dumps({"error": error.to_wire()})
    return HttpResponse(status or STATUS[error.code], body, JSON, headers)
