"""What only the operator may ask, over the socket in the data directory.

That socket's file mode is its authentication: whoever may read the store may ask it questions. So
``groupd log``, ``check`` and ``backup`` work beside a running server, which holds the files.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any, Final, TypeAlias

from groupd.config import Config, Limits
from groupd.domain.base import ACCOUNT, GROUP, Identity, StreamKey
from groupd.domain.fields import refuse
from groupd.domain.queries import (
    OperatorBackup,
    OperatorCheck,
    OperatorLog,
)
from groupd.domain.sessions import OperatorDisconnect, OperatorRevoke
from groupd.engine.ledger import project
from groupd.engine.waiting import Waiter
from groupd.errors import Rejected
from groupd.server.services import Services
from groupd.storage.backup import REST_FACTOR, back_up
from groupd.storage.log import Log
from groupd.storage.port import Head, Problem, Store
from groupd.storage.verify import BEGINNING, SLICE, Place, check_slice, verify_index
from groupd.version import VERSION
from groupd.wire import codec
from groupd.wire.codec import Encoded

RECORDS_PER_CALL: Final = 20_000
"""After how many records, about, one call of ``operator_check`` answers."""


OperatorRequest: TypeAlias = OperatorLog | OperatorCheck | OperatorBackup
"""What can be asked of a store, also where no server runs."""
SessionRequest: TypeAlias = OperatorRevoke | OperatorDisconnect
"""What can be asked of a running server alone."""
REQUESTS: Final = (
    *(OperatorLog, OperatorCheck, OperatorBackup),
    *(OperatorRevoke, OperatorDisconnect),
)


async def serve(
    log: Log, config: Config, request: OperatorRequest, *, now_ms: int, rests: bool
) -> Mapping[str, Any] | Encoded:
    """Serve a request of the operator's. ``rests`` where others use the log at the same time."""
    match request:
        case OperatorLog():
            return await page_log(log, config.limits, request)
        case OperatorCheck():
            return await check_some(log, request)
        case OperatorBackup():
            if not request.directory.startswith("/") or "\0" in request.directory:
                raise refuse("directory", "expected the absolute path of a directory")
            made = await back_up(
                log,
                Path(config.data),
                Path(request.directory),
                time_ms=now_ms,
                version=VERSION,
                rest_factor=REST_FACTOR if rests else 0,
            )
            return {"pages": made.pages, "size_bytes": made.size_bytes}


async def check_some(log: Log, request: OperatorCheck) -> Mapping[str, Any]:
    """Verify the streams after ``after``, about ``RECORDS_PER_CALL`` records' worth.

    Each slice is a read of its own, so writers go on in between. The last call also compares the
    index with the records; for that moment writers wait.
    """
    after = None if request.after is None else StreamKey(*request.after)
    records, streams = 0, 0
    problems: list[Problem] = []
    following: StreamKey | None = None
    for stream in await log.read(partial(_streams_after, after)):
        if records >= RECORDS_PER_CALL:
            break
        place: Place | None = BEGINNING
        while place is not None:
            found, place = await log.read(partial(_check, stream, place))
            problems += found
        head = await log.read(partial(_head, stream))
        records += 0 if head is None else head.seq
        streams += 1
        following = stream
    result: dict[str, Any] = {"streams": streams, "records": records}
    if following is None:
        problems += await log.read(lambda store: verify_index(store, project))
    else:
        result["next"] = list(following)
    result["problems"] = [
        {"stream": list(problem.stream), "seq": problem.seq, "what": problem.what}
        for problem in problems
    ]
    return result


def _streams_after(after: StreamKey | None, store: Store) -> Sequence[StreamKey]:
    return store.streams(after, SLICE)


def _head(stream: StreamKey, store: Store) -> Head | None:
    return store.head(stream)


def _check(stream: StreamKey, place: Place, store: Store) -> tuple[Sequence[Problem], Place | None]:
    return check_slice(store, stream, place)


async def page_log(log: Log, limits: Limits, request: OperatorLog) -> Encoded:
    """Give a page of any stream, with what only admins see."""
    kind = ACCOUNT if request.account else GROUP
    stream = StreamKey(kind, request.tenant, request.group)
    max_bytes = limits.page_max_bytes

    def read(store: Store) -> bytes:
        head = store.head(stream)
        if head is None:
            raise Rejected("not_found", f"no {kind} {request.group!r}")
        piece = store.read(stream, request.after, request.limit, max_bytes)
        shown = [codec.event_map(record) for record in piece.records]
        return codec.encode_map(
            [
                ("events", codec.encode_array(shown)),
                ("head", codec.pack(head.seq)),
                ("more", codec.pack(piece.more)),
            ]
        )

    return Encoded(await log.read(read))


# --- users


async def serve_users(services: Services, request: SessionRequest) -> Mapping[str, Any]:
    """Serve a request of the operator's about a user; raises Rejected."""
    match request:
        case OperatorRevoke():
            return await revoke(services, request.tenant, request.user, request.before_ms)
        case OperatorDisconnect():
            return disconnect(services, request.tenant, request.user)


class _Revoking(Waiter):
    """Ends a user's sessions in the moment in which it is durable that their tokens are revoked.

    Whoever asked for it may be gone by then.
    """

    def __init__(self, services: Services, account: StreamKey) -> None:
        super().__init__()
        self.sessions = 0
        self._services = services
        self._account = account

    def respond(self, tag: int, result: Mapping[str, Any]) -> None:
        """Take the answer of the account, and end the sessions."""
        self.sessions = self._services.cut(
            self._account.tenant,
            self._account.key,
            "the token was revoked",
            before_ms=result["before_ms"],
        )
        super().respond(tag, result)


async def revoke(
    services: Services, tenant: str, user: str, before_ms: int | None
) -> Mapping[str, Any]:
    """Believe no token of a user's that was issued before a time, by default now; durable.

    Ends the sessions that have shown one; those with a newer token go on. Cancelled, it may still
    take effect, and then all of it. Raises Rejected.
    """
    account = Identity(user=user, tenant=tenant).account
    revoking = _Revoking(services, account)
    services.hub.revoke(account, before_ms, revoking)
    result = await revoking.wait()
    return {"before_ms": result["before_ms"], "sessions": revoking.sessions}


def disconnect(services: Services, tenant: str, user: str) -> Mapping[str, Any]:
    """End all sessions of a user; they may come again, with any token that is good."""
    return {"sessions": services.cut(tenant, user, "an operator has ended the session")}
