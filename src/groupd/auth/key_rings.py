"""Keeps the keys that issuers publish: fetched in good time, and never more often than that.

Theory of operation. Each set that is published at a URL has a ring, and each ring has a task, the
only one that fetches and the only one that changes the set. It fetches every ``refresh_s``; after
a failure sooner, and then less and less soon. Somebody whose token names an unknown key can have
the next fetch brought forward (``renew``), but not within ``GAP_S`` of the last one, and all who
wait share one: a flood of unknown keys is one fetch in ten seconds. What comes in takes the place
of the whole set, so a key that its issuer has removed is refused from then on. What cannot be
fetched stays as it was for ``keep_s``, and is then believed no longer.

How a URL is fetched is the caller's (``http_keys.py`` does it); the clock is trio's.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterator, Sequence
from typing import Final, TypeAlias

import structlog
import trio

from groupd.auth.keys import KeySet, published_keys
from groupd.errors import KeysUnavailable

log = structlog.get_logger()

GAP_S: Final = 10.0
"""What lies at least between two fetches of a URL."""
RETRY_S: Final = 10.0
"""When to try again after a first failure; twice as long after each further one."""
FETCH_DEADLINE_S: Final = 5.0
"""For one fetch, whatever it waits for. Less than a client has for its ``hello``."""
ANSWER_MAX_BYTES: Final = 262_144
"""Of an answer; a usual set of keys has some 2 kB."""

Fetch: TypeAlias = Callable[[str], Awaitable[bytes]]
"""Gives what stands at a URL; raises KeysUnavailable. It need not watch the time."""


class KeyRing:
    """The keys of one issuer that publishes them. ``run`` is its task."""

    def __init__(self, keys: KeySet, fetch: Fetch, *, refresh_s: float, keep_s: float) -> None:
        assert keys.url is not None
        self.keys = keys
        self._url = keys.url
        self._fetch = fetch
        self._refresh_s = refresh_s
        self._keep_s = keep_s
        self._wanted = trio.Event()
        self._tried = trio.Event()
        self._is_trying = False
        self._tried_at_s = float("-inf")
        self._good_at_s: float | None = None
        self.failures = 0
        """Fetches that have failed, one after the other, up to now."""

    @property
    def age_s(self) -> float | None:
        """Give how old the answer is that is believed now; None where there is none."""
        return None if self._good_at_s is None else trio.current_time() - self._good_at_s

    async def renew(self) -> None:
        """Have the keys fetched now, unless that was only just done.

        Cancelled, the fetch goes on. Raises KeysUnavailable where no key of the issuer's is known.
        """
        if not self._is_trying and trio.current_time() - self._tried_at_s >= GAP_S:
            self._wanted.set()
        if self._is_trying or self._wanted.is_set():
            await self._tried.wait()
        if not self.keys.fetched:
            raise KeysUnavailable("the keys of the token's issuer cannot be had now")

    async def run(self) -> None:
        """Fetch, and go on fetching, until cancelled."""
        while True:
            await self._try()
            with trio.move_on_after(self._pause_s()):
                await self._wanted.wait()

    def _pause_s(self) -> float:
        if not self.failures:
            return self._refresh_s
        pause_s = min(RETRY_S * 2.0 ** min(self.failures - 1, 30), self._refresh_s)
        age_s = self.age_s
        # To be there when they get too old.
        return pause_s if age_s is None else max(0.0, min(pause_s, self._keep_s - age_s))

    async def _try(self) -> None:
        self._wanted, self._is_trying = trio.Event(), True
        try:
            with trio.fail_after(FETCH_DEADLINE_S):
                data = await self._fetch(self._url)
            self._take(data)
        except trio.TooSlowError:
            self._miss(f"no answer within {FETCH_DEADLINE_S:g} s")
        except KeysUnavailable as error:
            self._miss(str(error))
        finally:
            self._is_trying = False
            self._tried_at_s = trio.current_time()
            self._tried.set()
            self._tried = trio.Event()

    def _take(self, data: bytes) -> None:
        fetched, faults = published_keys(data)
        before = [(each.kid, each.key.as_dict(private=False)) for each in self.keys.fetched]
        after = [(each.kid, each.key.as_dict(private=False)) for each in fetched]
        self.keys.fetched = fetched
        self._good_at_s = trio.current_time()
        if before != after or self.failures:
            log.info("keys_fetched", **self._who, kids=[each.kid for each in fetched])
            for fault in faults:
                log.warning("key_unusable", **self._who, reason=fault)
        self.failures = 0

    def _miss(self, reason: str) -> None:
        self.failures += 1
        age_s = self.age_s
        shown = {"reason": reason, "age_s": None if age_s is None else round(age_s)}
        log.warning("keys_not_fetched", **self._who, **shown)
        if age_s is not None and age_s >= self._keep_s:
            self.keys.fetched, self._good_at_s = (), None
            log.error("keys_dropped", **self._who, **shown)

    @property
    def _who(self) -> dict[str, str]:
        return {"issuer": self.keys.issuer, "url": self._url}


class KeyRings:
    """The rings of all issuers that publish their keys; none, where none does."""

    def __init__(self, rings: Sequence[KeyRing] = ()) -> None:
        self._rings = {ring.keys.issuer: ring for ring in rings}
        self._replaced = trio.Event()

    def __iter__(self) -> Iterator[KeyRing]:
        return iter(self._rings.values())

    def replace(self, other: KeyRings) -> None:
        """Have the rings of another in place of these; whoever runs these runs those then."""
        self._rings = other._rings
        self._replaced.set()

    async def renew(self, issuer: str) -> None:
        """Have the keys of an issuer fetched again; see ``KeyRing.renew``."""
        ring = self._rings.get(issuer)
        if ring is None:
            raise KeysUnavailable("its issuer is none of the configured ones any more")
        await ring.renew()

    async def run(self) -> None:
        """Run all of them until cancelled."""
        while True:
            self._replaced = trio.Event()
            async with trio.open_nursery() as nursery:
                for ring in self:
                    nursery.start_soon(ring.run)
                await self._replaced.wait()
                nursery.cancel_scope.cancel()
