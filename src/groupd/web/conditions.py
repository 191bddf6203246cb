"""Asking the host about entry conditions: one signed POST for somebody who wants to come in.

    POST url   {"tenant", "user", "group", "clauses": [{"claim": "bought", "has": "tea"}, ...]}
    answer     {"holds": [true, ...]}        for each clause, in their order

Headers and signature are those of webhooks. All of it has one deadline, the waiting for a turn
included; who is not answered for in time is what the configuration says, and nobody else waits for
it. What was answered is believed for a moment, in bounded memory.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any, Final, TypeAlias

import orjson
import structlog
import trio

from groupd.config import ConditionsConfig
from groupd.domain.answers import CACHE, HOST, VERDICT, Answers
from groupd.domain.base import Identity
from groupd.domain.group.conditions import clause_key
from groupd.engine.ports import Ports
from groupd.web.webhooks import signature

log = structlog.get_logger()

ANSWER_MAX_BYTES: Final = 65_536

Question: TypeAlias = Callable[[str, Mapping[str, str], bytes], Awaitable[tuple[int, bytes]]]
"""Posts a body with headers to a URL, gives status and body of the answer; raises OSError."""

_Key: TypeAlias = tuple[str, str, str, str]
"""Tenant, group, user, clause."""


class HostConditions:
    """Asks the host which clauses a user meets. ``ask`` is an ``AskHost`` of the engine."""

    def __init__(
        self, config: ConditionsConfig, *, key: bytes, ports: Ports, question: Question
    ) -> None:
        assert config.url is not None, "who is not to be asked is not made"
        self._url = config.url
        self._config = config
        self._key = key
        self._ports = ports
        self._question = question
        self._turns = trio.CapacityLimiter(config.calls_max)
        self._cache: OrderedDict[_Key, tuple[bool, float]] = OrderedDict()
        # The oldest first. Each is believed for as long, so the oldest also ends first.
        self._admits = config.verdict == "admit"

    @property
    def cached(self) -> int:
        """Count the answers that are kept."""
        return len(self._cache)

    async def ask(
        self, caller: Identity, group: str, clauses: Sequence[Mapping[str, Any]]
    ) -> Answers:
        """Give which clauses the host says that the caller meets, or what holds without it.

        Takes no longer than the deadline, and raises nothing. Cancelled, it hangs up.
        """
        keys = [clause_key(clause) for clause in clauses]
        known = self._known(caller, group, keys)
        asked = [
            (key, clause) for key, clause in zip(keys, clauses, strict=True) if key not in known
        ]
        if not asked:
            return Answers(known, by=CACHE, admits=self._admits)
        said = await self._said(caller, group, [clause for _key, clause in asked])
        if said is None:
            return Answers(known, by=VERDICT, admits=self._admits)
        fresh = {key: holds for (key, _clause), holds in zip(asked, said, strict=True)}
        self._keep(caller, group, fresh)
        return Answers(known | fresh, by=HOST, admits=self._admits)

    # --- asking

    async def _said(
        self, caller: Identity, group: str, clauses: Sequence[Mapping[str, Any]]
    ) -> list[bool] | None:
        """Ask, and give the answers in the order of the clauses; None where there are none."""
        fault = f"no answer within {self._config.deadline_ms} ms"
        with trio.move_on_after(self._config.deadline_ms / 1_000):
            try:
                async with self._turns:
                    status, body = await self._post(caller, group, clauses)
                said = _said_in(body, len(clauses)) if status == 200 else None
                if said is not None:
                    return said
                fault = f"the answer is {status}" if status != 200 else "the answer has no `holds`"
            except OSError as error:
                fault = str(error) or type(error).__name__
        log.warning("host_not_answering", group=group, user=caller.user, error=fault)
        return None

    async def _post(
        self, caller: Identity, group: str, clauses: Sequence[Mapping[str, Any]]
    ) -> tuple[int, bytes]:
        body = orjson.dumps(
            {
                "tenant": caller.tenant,
                "user": caller.user,
                "group": group,
                "clauses": [dict(clause) for clause in clauses],
            }
        )
        id_, now_s = self._ports.new_reference(), self._ports.clock.now_ms() // 1_000
        headers = {
            "content-type": "application/json",
            "webhook-id": f"condition/{id_}",
            "webhook-timestamp": str(now_s),
            "webhook-signature": signature(self._key, f"condition/{id_}", now_s, body),
        }
        return await self._question(self._url, headers, body)

    # --- believing

    def _known(self, caller: Identity, group: str, keys: Sequence[str]) -> dict[str, bool]:
        now_s = trio.current_time()
        known = {}
        for key in keys:
            kept = self._cache.get((caller.tenant, group, caller.user, key))
            if kept is not None and now_s < kept[1]:
                known[key] = kept[0]
        return known

    def _keep(self, caller: Identity, group: str, fresh: Mapping[str, bool]) -> None:
        now_s = trio.current_time()
        until_s = now_s + self._config.cache_ms / 1_000
        for key, holds in fresh.items():
            place = (caller.tenant, group, caller.user, key)
            self._cache[place] = holds, until_s
            self._cache.move_to_end(place)
        while self._cache:
            place, (_holds, ends_s) = next(iter(self._cache.items()))
            if ends_s > now_s and len(self._cache) <= self._config.cache_max:
                return
            del self._cache[place]


def _said_in(body: bytes, count: int) -> list[bool] | None:
    """Read ``holds`` of an answer; None where it makes no sense."""
    try:
        answer = orjson.loads(body)
    except orjson.JSONDecodeError:
        return None
    said = answer.get("holds") if isinstance(answer, dict) else None
    if not isinstance(said, list) or len(said) != count:
        return None
    return said if all(type(holds) is bool for holds in said) else None
