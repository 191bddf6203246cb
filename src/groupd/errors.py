"""Every exception groupd raises on purpose, and the closed lists of the wire contract.

    GroupdError
    ├── Rejected              the rules refused; expected; code and details go to the caller
    ├── ProtocolError         the bytes or the order of messages are wrong
    │   ├── LocalProtocolError    we misused the protocol: a bug on this side
    │   └── RemoteProtocolError   the peer did: say goodbye and close
    ├── LogError              the store
    │   ├── LogConflict           someone else wrote, or claimed the name first
    │   ├── LogUnavailable        nothing was written; trying again may help
    │   ├── LogBroken             the outcome is unknown: the process must end
    │   └── LogCorrupt            what is stored is not what was written
    ├── AuthError             a token that proves nothing
    │   ├── UnknownKey        its issuer may have published the key since
    │   └── KeysUnavailable   its issuer's keys cannot be had now
    ├── ConfigError           a setting is wrong; names its path and the expected type
    └── Disconnected          the SDK lost its server and may not try again

A bug is an ``assert`` and not in this tree.
"""

from __future__ import annotations

from typing import Any, Final

CODES: Final[dict[str, tuple[str, ...]]] = {
    "bad_request": ("field",),
    "unknown_method": (),
    "unauthenticated": (),
    "forbidden": ("reason",),
    "not_found": (),
    "conflict": ("reason",),
    "quota_exceeded": ("quota", "limit", "used"),
    "group_full": ("limit",),
    "muted": ("until_ms",),
    "rate_limited": ("retry_after_ms",),
    "stale_id": ("time_ms", "oldest_ms"),
    "too_large": ("limit_bytes",),
    "unavailable": ("retry_after_ms",),
    "internal": ("reference",),
}
"""Code -> the details that it always carries. Closed: clients switch on these."""

REASONS: Final[dict[str, str]] = {
    # forbidden
    "not_member": "only members of the group may do this",
    "role": "the caller's role in the group is too low; `required` names the role",
    "rank": "the other member's role is not below the caller's",
    "owner_leaves": "an owner cannot leave; dissolve the group, or hand it over first",
    "invite_only": "this group is joined by invitation or link only",
    "invites_off": "members of this group may not invite; its admins may",
    "not_invited": "the caller has no invitation to this group",
    "founders_min": "the plan wants more invited friends; see `required` and `got`",
    "condition": "the caller does not meet the group's entry condition; `clause` names which part",
    "banned": "the user is banned from this group",
    "all_muted": "only admins may speak in this group now",
    "author": "only the message's author may do this",
    "too_late": "the time for this is over; `limit_ms` says how long it was",
    "direct": "a direct chat has no such thing",
    "blocked": "one of the two has blocked the other",
    "yourself": "this cannot be done to oneself",
    "scope": "the token or the service key may not do this; `required` names the scope",
    "words": "a text has a word in it that is not allowed on this server; `field` names the text",
    # conflict
    "id_reused": "the request id was used before, with other content",
    "state": "the group is dissolved, or what this is about is over",
    "decided": "somebody else has decided this before",
    "recalled": "the message was recalled",
    "ref_taken": "another user's group has this `ref`",
    "link_expired": "the link's time is over",
    "link_revoked": "the link was revoked",
    "link_used_up": "the link was used as often as it may be",
    # rate_limited
    "connections": "too many connections of this user or address",
    "slow_mode": "the group lets each member speak once in a while only",
    "cooldown": "a join request was declined not long ago",
}
"""Reason -> what it means to a person. Published in ``proto/``; only added to."""


class GroupdError(Exception):
    """The root of everything groupd raises on purpose."""


class Rejected(GroupdError):
    """The rules refused a request; nothing has changed.

    ``code`` is one of ``CODES``; ``details`` are the fields that go to the caller beside
    ``code`` and ``message``.
    """

    def __init__(self, code: str, message: str, /, **details: Any) -> None:
        assert code in CODES, code
        super().__init__(code, message)
        self.code = code
        self.message = message
        self.details = details

    def __str__(self) -> str:
        extra = "".join(f" {name}={value!r}" for name, value in self.details.items())
        return f"{self.code}: {self.message}{extra}"

    def to_wire(self) -> dict[str, Any]:
        """Give the error map of PROTOCOL section 1."""
        return {"code": self.code, "message": self.message, **self.details}

    @classmethod
    def from_wire(cls, error: dict[str, Any]) -> Rejected:
        """Rebuild what a server sent; a code this version does not know becomes ``internal``."""
        details = {k: v for k, v in error.items() if k not in ("code", "message")}
        code, message = str(error.get("code")), str(error.get("message", ""))
        if code not in CODES:
            return cls("internal", message, reference="", unknown_code=code)
        return cls(code, message, **details)


class ProtocolError(GroupdError):
    """The conversation broke the protocol."""


class LocalProtocolError(ProtocolError):
    """This side misused the protocol; a bug in the calling code."""


class RemoteProtocolError(ProtocolError):
    """The peer's bytes are not this protocol. ``code`` and the message go into its goodbye."""

    def __init__(self, code: str, message: str) -> None:
        assert code in CODES, code
        super().__init__(message)
        self.code = code
        self.message = message


class LogError(GroupdError):
    """The store did not do what was asked."""


class LogConflict(LogError):
    """Somebody else appended to the stream, or claimed the same name; nothing was written."""


class LogUnavailable(LogError):
    """The store cannot take this now (a full disk, say); it rolled back and nothing was written."""


class LogBroken(LogError):
    """The store failed with an unknown outcome; no later answer could be trusted."""


class LogCorrupt(LogError):
    """What was read back is not what was written, or is of a format this version cannot read."""


class AuthError(GroupdError):
    """A token that proves nothing: malformed, unsigned, expired, or for somebody else."""


class UnknownKey(AuthError):
    """No key that is known now can check the token, and ``issuer`` may have published one since.

    ``issuer`` is its name in the configuration; empty for that of ``[auth]`` itself.
    """

    def __init__(self, message: str, *, issuer: str) -> None:
        super().__init__(message)
        self.issuer = issuer


class KeysUnavailable(AuthError):
    """The keys that an issuer publishes cannot be had: it does not answer, or not with keys."""


class ConfigError(GroupdError):
    """A setting is wrong. The message names its path and the expected type."""


class Disconnected(GroupdError):
    """The connection is gone and the SDK was closed or told not to reconnect."""
