"""What all reads have in common: their shape, the caller's standing, and pages of a log."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from typing import Any

from groupd.domain.base import SERVER, Identity, Role, StreamKey
from groupd.domain.group.state import not_a_member
from groupd.domain.projection import Membership
from groupd.engine.directory import Directory
from groupd.engine.peer import Peer
from groupd.errors import Rejected
from groupd.storage.port import Page, Store
from groupd.wire import codec
from groupd.wire.codec import Encoded

Result = Mapping[str, Any] | Encoded
Reader = Callable[[Directory, Identity, StreamKey, Any, Peer | None], Awaitable[Result]]


def standing(store: Store, stream: StreamKey, caller: Identity) -> Membership:
    """Give the caller's place in a group; raises ``forbidden``, or ``not_found`` to strangers.

    The system reads what an owner does, from the beginning, but for direct chats.
    """
    if caller.user == SERVER:
        return _of_system(store, stream)
    place = store.membership(stream.tenant, caller.user, stream.key)
    if place is None:
        card = store.group(stream.tenant, stream.key)
        if card is None or not card.discoverable:
            raise Rejected("not_found", "no such group")
        raise not_a_member()
    return place


def _of_system(store: Store, stream: StreamKey) -> Membership:
    card = store.group(stream.tenant, stream.key)
    if card is None:
        raise Rejected("not_found", "no such group")
    if card.direct:
        raise Rejected("forbidden", "a direct chat has no such thing", reason="direct")
    return Membership(
        group=card.group,
        name=card.name,
        picture=card.picture,
        role=Role.OWNER,
        joined_seq=1,
        floor=1,
        head=card.head,
        dissolved=card.dissolved,
    )


def page_of(page: Page, *, head: int, floor: int, group: str | None = None) -> bytes:
    """Encode a page of a log; with its ``group`` where several come in one answer."""
    entries = [] if group is None else [("group", codec.pack(group))]
    entries += [
        ("events", codec.encode_array(page.events)),
        ("head", codec.pack(head)),
        ("floor", codec.pack(floor)),
        ("more", codec.pack(page.more)),
    ]
    return codec.encode_map(entries)
