"""What only the operator may ask, over the socket in the data directory.

That socket's file mode is its authentication: whoever may read the store may ask it questions. So
``groupd log``, ``check`` and ``backup`` work beside a running server, which holds the files.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final, Protocol, TypeAlias

import trio

from groupd.config import Config, Limits
from groupd.domain.base import ACCOUNT, GROUP, SERVER, Identity, StreamKey
from groupd.domain.fields import refuse
from groupd.domain.queries import (
    OperatorBackup,
    OperatorCheck,
    OperatorLog,
)
from groupd.domain.sessions import OperatorDisconnect, OperatorRevoke
from groupd.domain.watching import OPERATOR, OperatorAudit, OperatorConsumers
from groupd.engine.audit import read_audit
from groupd.engine.feed import Feed
from groupd.engine.hub import Hub
from groupd.engine.ledger import project
from groupd.engine.mail import Behalf
from groupd.engine.waiting import Waiter
from groupd.errors import Rejected
from groupd.server.services import Services
from groupd.storage.audit_port import PutAudit
from groupd.storage.backup import REST_FACTOR, back_up
from groupd.storage.log import Log
from groupd.storage.port import Store
from groupd.storage.verify import WHOLE, StoreCheck
from groupd.version import VERSION
from groupd.wire import codec
from groupd.wire.codec import Encoded

RECORDS_PER_CALL: Final = 20_000
"""After how many records, about, one call of ``operator_check`` answers."""

WHAT_MAX: Final = 300
"""Characters that are told of one problem: a damaged value may be long."""

OperatorRequest: TypeAlias = (
    OperatorLog | OperatorCheck | OperatorBackup | OperatorAudit | OperatorConsumers
)
"""What can be asked of a store, also where no server runs."""
SessionRequest: TypeAlias = OperatorRevoke | OperatorDisconnect
"""What can be asked of a running server alone."""
REQUESTS: Final = (
    *(OperatorLog, OperatorCheck, OperatorBackup, OperatorAudit, OperatorConsumers),
    *(OperatorRevoke, OperatorDisconnect),
)


class Cut(Protocol):
    """Ends the sessions of a user, and gives how many; see ``Services.cut``."""

    def __call__(
        self, tenant: str, user: str, message: str, *, before_ms: int | None = None
    ) -> int:
        """End them; with ``before_ms``, those alone that have shown an older token."""
        ...


async def serve(
    log: Log,
    config: Config,
    request: OperatorRequest,
    *,
    now_ms: int,
    rests: bool,
    feed: Feed | None = None,
) -> Mapping[str, Any] | Encoded:
    """Serve a request of the operator's. ``rests`` where others use the log at the same time.

    ``feed`` is that of the hub that runs, which knows what is wrong with its consumers.
    """
    match request:
        case OperatorLog():
            return await page_log(log, config.limits, request)
        case OperatorCheck():
            return await check_some(log, request, rests=rests)
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
        case OperatorAudit():
            page = await read_audit(
                log,
                request.tenant,
                group=request.group,
                user=request.user,
                key=request.key,
                before=request.before,
                limit=request.limit,
            )
            return page.shown()
        case OperatorConsumers():
            return await list_consumers(feed or Feed(log=log, limits=config.limits), request)


async def list_consumers(feed: Feed, request: OperatorConsumers) -> Mapping[str, Any]:
    """List the consumers of all tenants."""
    found = await feed.all_consumers(after=request.after, limit=request.limit + 1)
    listed = found[: request.limit]
    shown = [{"tenant": each.tenant, **each.shown()} for each in listed]
    if len(found) > len(listed):
        return {"consumers": shown, "next": listed[-1].mark}
    return {"consumers": shown}


async def check_some(log: Log, request: OperatorCheck, *, rests: bool) -> Mapping[str, Any]:
    """Verify the streams after ``after``, about ``RECORDS_PER_CALL`` records' worth.

    Each stream is checked with its index, in small reads between which writers go on; what is
    compared is compared as of one such read (``storage/verify/stream.py``). The last call also
    looks for what belongs to no stream. With ``rests`` there is a rest after each read, as long as
    that took, so that a check takes no more than its half of the store; without, nobody else needs
    it, and the last call also checks the form of the files, in one read.

    Cancelled, it ends with the read that is under way.
    """
    after = None if request.after is None else StreamKey(*request.after)
    check = StoreCheck(after, project, RECORDS_PER_CALL, with_file=not rests)
    for read in check.reads():
        began = trio.current_time()
        await log.read(read)
        await trio.sleep((trio.current_time() - began) * REST_FACTOR if rests else 0)
    result: dict[str, Any] = {"streams": check.streams, "records": check.records}
    if check.following is not None:
        result["next"] = list(check.following)
    result["problems"] = [
        {
            "stream": [] if problem.stream == WHOLE else list(problem.stream),
            "seq": problem.seq,
            "what": problem.what[:WHAT_MAX],
        }
        for problem in check.problems
    ]
    return result


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
            hub = services.hub.on_behalf(Behalf(OPERATOR, "revoke"))
            return await revoke(hub, request.tenant, request.user, request.before_ms, services.cut)
        case OperatorDisconnect():
            hub = services.hub.on_behalf(Behalf(OPERATOR, "disconnect"))
            return await disconnect(hub, request.tenant, request.user, services.cut)


class _Revoking(Waiter):
    """Ends a user's sessions in the moment in which it is durable that their tokens are revoked.

    Whoever asked for it may be gone by then.
    """

    def __init__(self, cut: Cut, account: StreamKey) -> None:
        super().__init__()
        self.sessions = 0
        self._cut = cut
        self._account = account

    def respond(self, tag: int, result: Mapping[str, Any]) -> None:
        """Take the answer of the account, and end the sessions."""
        self.sessions = self._cut(
            self._account.tenant,
            self._account.key,
            "the token was revoked",
            before_ms=result["before_ms"],
        )
        super().respond(tag, result)


async def revoke(
    hub: Hub, tenant: str, user: str, before_ms: int | None, cut: Cut
) -> Mapping[str, Any]:
    """Believe no token of a user's that was issued before a time, by default now; durable.

    Ends the sessions that have shown one, by ``cut``; those with a newer token go on. Cancelled, it
    may still take effect, and then all of it. Raises Rejected.
    """
    account = Identity(user=user, tenant=tenant).account
    revoking = _Revoking(cut, account)
    hub.revoke(account, before_ms, revoking)
    result = await revoking.wait()
    return {"before_ms": result["before_ms"], "sessions": revoking.sessions}


async def disconnect(hub: Hub, tenant: str, user: str, cut: Cut) -> Mapping[str, Any]:
    """End all sessions of a user; they may come again, with any token that is good.

    They end at once, whatever the store does. It is answered when the audit says so, too; raises
    LogUnavailable where that cannot be written: then doing it again is what writes it.
    """
    ended = cut(tenant, user, "an operator has ended the session")
    if hub.behalf is not None:
        account = Identity(user=user, tenant=tenant).account
        entry = hub.behalf.entry(account, time_ms=hub.ports.clock.now_ms(), user=SERVER)
        await hub.log.write(PutAudit([entry]))
    return {"sessions": ended}
