"""What lies in a mailbox: a request, who makes it, and where its answer goes."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final, Protocol

import attrs

from groupd.domain.answers import NO_ANSWERS, Answers
from groupd.domain.base import NO_HOLDINGS, Command, Identity, LiveQuery, StreamKey
from groupd.domain.projection import Holdings
from groupd.errors import Rejected
from groupd.storage.audit_port import AuditEntry

RETRY_AFTER_MS: Final = 1_000
"""What ``unavailable`` advises."""


class Replies(Protocol):
    """Where answers go. Both calls are synchronous; ``flush`` ends a batch's answers."""

    def respond(self, tag: int, result: Mapping[str, Any]) -> None:
        """Answer the request ``tag``."""
        ...

    def refuse(self, tag: int, error: Rejected) -> None:
        """Refuse the request ``tag``."""
        ...

    def flush(self) -> None:
        """Send what has been answered."""
        ...


@attrs.frozen
class Behalf:
    """With whose key something is changed, and by which call of theirs: what the audit has of it.

    What users do themselves, and the server of its own accord, has none.
    """

    key: str
    method: str

    def entry(
        self, stream: StreamKey, *, time_ms: int, user: str, seq: int = 0, about: str = ""
    ) -> AuditEntry:
        """Make the entry of a change. ``user`` is as whom, ``about`` whom the call names."""
        return AuditEntry(
            time_ms=time_ms,
            key=self.key,
            user=user,
            method=self.method,
            stream=stream,
            seq=seq,
            about=about,
        )


@attrs.define(eq=False)
class Entry:
    """One request in a mailbox, and where its answer goes. There, nobody changes it."""

    caller: Identity
    request: Command | LiveQuery
    request_id: str
    replies: Replies
    tag: int
    onward: StreamKey | None = None
    """Where it goes from the caller's account, for what passes through that."""
    holdings: Holdings = NO_HOLDINGS
    """What the user of that account has, as it has seen it."""
    behalf: Behalf | None = None
    """With whose key it is asked, for the audit."""
    answers: Answers = NO_ANSWERS
    """What the host has said of the caller, where it was asked."""

    def passed_on(self, replies: Replies, holdings: Holdings) -> Entry:
        """Give the same request as an account passes it on, with what its user has."""
        return Entry(
            *(self.caller, self.request, self.request_id, replies, 0),
            holdings=holdings,
            behalf=self.behalf,
            answers=self.answers,
        )


def unavailable(message: str) -> Rejected:
    """Make the refusal for what may work a moment later."""
    return Rejected("unavailable", message, retry_after_ms=RETRY_AFTER_MS)


def refuse_all(entries: Sequence[Entry], refusal: Rejected) -> None:
    """Refuse each of these requests, and send that."""
    for entry in entries:
        entry.replies.refuse(entry.tag, refusal)
        entry.replies.flush()


def bug(reference: str) -> Rejected:
    """Make the refusal for what went wrong on this side."""
    return Rejected("internal", "a bug, or a damaged log; it was logged", reference=reference)


def flush(answers: Iterable[tuple[Entry, object]]) -> None:
    """Send what has been answered of these requests."""
    for replies in {id(entry.replies): entry.replies for entry, _ in answers}.values():
        replies.flush()


@attrs.frozen
class Trouble:
    """A batch that came to nothing, and why."""

    entries: list[Entry]
    """Those that are not answered yet."""
    error: BaseException
    attempt: int = 1
