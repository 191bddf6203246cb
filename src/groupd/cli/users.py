"""What an operator does to one user: ``groupd revoke`` and ``groupd disconnect``.

Both are asked of the running server. Where none is running there are no sessions to end, and
tokens are revoked in the files, for when one is.
"""

from __future__ import annotations

from datetime import UTC, datetime

from rich.console import Console
from rich.markup import escape

from groupd import app as composition
from groupd.cli.files import ask_server
from groupd.cli.operate import expect_store
from groupd.config import Config
from groupd.domain.base import StreamKey
from groupd.domain.sessions import OperatorDisconnect, OperatorRevoke
from groupd.domain.watching import OPERATOR
from groupd.engine.mail import Behalf
from groupd.engine.waiting import Waiter
from groupd.errors import LogUnavailable


async def revoke(config: Config, account: StreamKey, before_ms: int | None) -> bool:
    """Refuse a user's tokens from before a time, by default now, and say what came of it."""
    sessions: int | None = None
    async with ask_server(config) as running:
        if running is not None:
            request = OperatorRevoke(user=account.key, tenant=account.tenant, before_ms=before_ms)
            answer = await running.ask(request)
            before_ms, sessions = answer["before_ms"], answer["sessions"]
    if sessions is None:
        before_ms = await _revoke_in_files(config, account, before_ms)
    assert before_ms is not None
    when = datetime.fromtimestamp(before_ms / 1_000, UTC).strftime("%Y-%m-%d %H:%M:%S")
    ended = "No server is running." if sessions is None else f"Sessions ended: {sessions}."
    _print(f"Tokens of {account.key} from before {when} UTC are refused. {ended}")
    return True


async def _revoke_in_files(config: Config, account: StreamKey, before_ms: int | None) -> int:
    expect_store(config)
    async with composition.open_hub(config.data, config=config) as hub:
        waiter = Waiter()
        hub.on_behalf(Behalf(OPERATOR, "revoke")).revoke(account, before_ms, waiter)
        result: int = (await waiter.wait())["before_ms"]
        return result


async def disconnect(config: Config, account: StreamKey) -> bool:
    """End a user's sessions. Raises LogUnavailable where no server is running."""
    async with ask_server(config) as running:
        if running is None:
            raise LogUnavailable(
                f"no server is using {config.data}; name its directory with --data"
            )
        answer = await running.ask(OperatorDisconnect(user=account.key, tenant=account.tenant))
    _print(f"Sessions of {account.key} ended: {answer['sessions']}.")
    return True


def _print(text: str) -> None:
    Console(soft_wrap=True, emoji=False).print(escape(text), highlight=False)
