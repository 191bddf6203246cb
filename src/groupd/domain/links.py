"""Share-link codes: derived, never stored.

A code is the group's id and the first 128 bits of HMAC-SHA256(server key; tenant, group, "link",
number), in base64url. So a retried ``share_link`` gets the same code, an admin can list links, and
an exported log leaks none. Keys have an id, which ``link_made`` stores, so that they can be
rotated while old links go on working.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
from collections.abc import Mapping
from functools import lru_cache
from typing import Final

import attrs

GROUP_ID_LENGTH: Final = 16
CODE_LENGTH: Final = GROUP_ID_LENGTH + 22


@lru_cache(maxsize=4_096)
def _tail(key: bytes, tenant: str, group: str, number: int) -> str:
    message = b"\0".join((tenant.encode(), group.encode(), b"link", str(number).encode()))
    digest = hmac.digest(key, message, hashlib.sha256)[:16]
    return base64.urlsafe_b64encode(digest).rstrip(b"=").decode()


@attrs.frozen(repr=False)
class LinkKeys:
    """The server's keys for link codes: ``current`` signs new links, all verify."""

    keys: Mapping[str, bytes]
    current: str

    def code(self, tenant: str, group: str, number: int, key_id: str) -> str | None:
        """Give the code of link ``number``, or None where its key is gone."""
        key = self.keys.get(key_id)
        return None if key is None else group + _tail(key, tenant, group, number)

    @staticmethod
    def group_of(code: str) -> str:
        """Give the group that a code is for; the code may still be wrong."""
        return code[:GROUP_ID_LENGTH]
