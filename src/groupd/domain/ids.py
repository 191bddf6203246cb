"""How the ids of groups look, and the one kind of them that is not drawn but derived."""

from __future__ import annotations

import hashlib
from typing import Final

ALPHABET: Final = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"
"""32 signs that nobody takes for one another; a group id is 16 of them, 80 random bits."""
ID_BYTES: Final = 16


def group_id(source: bytes) -> str:
    """Make a group id of ``ID_BYTES`` bytes."""
    return "".join(ALPHABET[byte & 31] for byte in source[:ID_BYTES])


def direct_id(tenant: str, user: str, other: str) -> str:
    """Give the id of the direct chat of two users: the same, whoever of them asks.

    So there can be only one of a pair, and finding it takes no index. Each part is led by its
    length, so that no two pairs read the same.
    """
    digest = hashlib.sha256()
    for part in ("direct", tenant, *sorted((user, other))):
        encoded = part.encode()
        digest.update(len(encoded).to_bytes(4, "big") + encoded)
    return group_id(digest.digest())
