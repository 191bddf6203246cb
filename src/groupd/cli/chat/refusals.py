"""Refusals in words: why something was not done, and what to do about it."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

from groupd.cli.chat.words import span, time_of
from groupd.errors import REASONS, Rejected

HINTS: Final[Mapping[str, str]] = MappingProxyType(
    {
        "not_member": "/join it first.",
        "role": "/members says who may.",
        "owner_leaves": "/transfer USER, or /dissolve.",
        "invite_only": "Ask a member for a /link or to /invite you.",
        "invites_off": "Its admins may: /members.",
        "recalled": "/history shows what is there.",
        "link_expired": "Ask for a new one.",
        "link_revoked": "Ask for a new one.",
        "link_used_up": "Ask for a new one.",
        "decided": "/requests shows who still waits.",
        "blocked": "/blocks lists whom you block.",
        "direct": "It is for groups: /create NAME.",
        "group_full": "Somebody has to leave first.",
        "unavailable": "Try again in a moment.",
        "not_found": "/chats, /members and /history say what there is.",
    }
)
"""Reason or code -> what a person may do about it."""

_SAID_BETTER: Final = ("role", "decided", "link_expired", "link_revoked", "link_used_up")
"""Reasons whose published words tell a person more than the message does."""


def in_words(error: Rejected) -> str:
    """Say why something was refused, and what to do about it."""
    details = error.details
    reason = str(details.get("reason", ""))
    why = REASONS[reason].partition(";")[0] if reason in _SAID_BETTER else error.message
    parts = [f"Not done: {why}."]
    if "until_ms" in details:
        parts.append(f"Until {time_of(details['until_ms'])}.")
    if "retry_after_ms" in details:
        parts.append(f"Try again in {span(details['retry_after_ms'])}.")
    if "used" in details:
        parts.append(f"({details.get('quota')}: {details['used']} of {details.get('limit')})")
    hint = HINTS.get(reason) or HINTS.get(error.code)
    if hint and "retry_after_ms" not in details:
        parts.append(hint)
    return " ".join(parts)
