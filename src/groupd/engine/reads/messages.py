"""Reads of single messages: as they are now, their edits, their replies, their reactions.

The index is as of the newest record, and a read shows nothing beyond what is published. So what
the records in between have changed is taken back first (``Unpublished``): there are few or none.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterable, Sequence
from typing import Any, Final

import attrs

from groupd.domain.base import Card, Identity, Record, Role, StreamKey
from groupd.domain.catalog import EVENTS
from groupd.domain.group.messages import MESSAGE_KINDS, Posted
from groupd.domain.group.reactions import Reacted, Unreacted
from groupd.domain.projection import Membership
from groupd.domain.queries import Edits, Messages, Reactors, Thread
from groupd.engine.directory import Directory
from groupd.engine.listing import view_of
from groupd.engine.peer import Peer
from groupd.engine.reads.common import Result, standing
from groupd.errors import Rejected
from groupd.storage.port import Store
from groupd.wire import codec
from groupd.wire.codec import Encoded

_PAGE: Final = 1_000
_KINDS_COUNTED: Final = (Posted.kind, Reacted.kind, Unreacted.kind)


@attrs.define
class Unpublished:
    """What records beyond the published head have changed of some messages' numbers."""

    replies: Counter[int] = attrs.field(factory=Counter)
    """Message -> how many replies came."""
    before: dict[tuple[int, str, str], bool] = attrs.field(factory=dict)
    """(message, user, reaction) -> whether it was there before; ``after`` likewise."""
    after: dict[tuple[int, str, str], bool] = attrs.field(factory=dict)

    @classmethod
    def read(cls, store: Store, stream: StreamKey, head: int) -> Unpublished:
        """Collect it from all records after ``head``."""
        found, more = cls(), True
        while more:
            piece = store.read(stream, head, _PAGE)
            for record in piece.records:
                head = record.seq
                if record.kind in _KINDS_COUNTED:
                    found._take(record, codec.decode_event(EVENTS[stream.kind], record))
            more = piece.more
        return found

    def _take(self, record: Record, event: Any) -> None:
        if isinstance(event, Posted):
            self.replies[event.reply_to] += 1
        else:
            what = (event.message, record.user, event.reaction)
            self.before.setdefault(what, isinstance(event, Unreacted))
            self.after[what] = isinstance(event, Reacted)

    def numbers(self, seq: int, card: Card) -> tuple[dict[str, int], int]:
        """Give the reactions and the number of replies to a message as of the published head."""
        tallies = Counter(card.reactions)
        for (message, _user, reaction), was in self.before.items():
            if message == seq and not card.recalled:
                tallies[reaction] += was - self.after[message, _user, reaction]
        return {key: tallies[key] for key in sorted(tallies) if tallies[key]}, (
            card.replies - self.replies[seq]
        )

    def reactions_of(self, seq: int, user: str, reactions: Collection[str]) -> list[str]:
        """Give a user's reactions to a message as of the published head."""
        own = set(reactions)
        for (message, who, reaction), was in self.before.items():
            if (message, who) == (seq, user):
                (own.add if was else own.discard)(reaction)
        return sorted(own)

    def users(self, seq: int, reaction: str) -> tuple[set[str], set[str]]:
        """Give who has reacted so only since, and who has taken it back since."""
        came: set[str] = set()
        gone: set[str] = set()
        for (message, user, what), was in self.before.items():
            if (message, what) == (seq, reaction) and was != self.after[message, user, what]:
                (gone if was else came).add(user)
        return came, gone


def _head(place: Membership, published: int | None) -> int:
    return place.head if published is None else min(place.head, published)


def _find(store: Store, stream: StreamKey, place: Membership, seq: int, head: int) -> Card:
    """Give the card of a message that the caller may read; raises ``not_found``."""
    card = None
    if place.floor <= seq <= head:
        card = store.messages(stream, (seq,)).get(seq)
    if card is None or card.kind not in MESSAGE_KINDS:
        raise Rejected("not_found", f"no message {seq}")
    return card


def _fitting(
    records: Iterable[Record], place: Membership, max_bytes: int
) -> tuple[Sequence[bytes], bool]:
    """Encode as many events as fit, and at least one; says whether any were left over."""
    shown: list[bytes] = []
    size = 0
    for record in records:
        event = codec.shown_map(record, view_of(place.role))
        size += len(event)
        if shown and size > max_bytes:
            return shown, True
        shown.append(event)
    return shown, False


async def messages(
    directory: Directory, caller: Identity, stream: StreamKey, query: Messages, peer: Peer | None
) -> Result:
    """Show some messages as they are now."""
    shared = directory.shared
    published = shared.outlets.settled_seq(stream)
    max_bytes = shared.rules.limits.page_max_bytes

    def read(store: Store) -> bytes:
        place = standing(store, stream, caller)
        head = _head(place, published)
        seqs = sorted(seq for seq in query.seqs if place.floor <= seq <= head)
        cards = store.messages(stream, seqs)
        own = store.reactions_of(stream, caller.user, seqs)
        later = Unpublished.read(store, stream, head)
        shown: list[bytes] = []
        size, more = 0, False
        for seq in seqs:
            card = cards.get(seq)
            if card is None or card.kind not in MESSAGE_KINDS:
                continue
            entries = _shown(store, stream, place, seq, card, head)
            reactions, replies = later.numbers(seq, card)
            mine = later.reactions_of(seq, caller.user, own.get(seq, {}))
            entries += [
                ("reactions", codec.pack(reactions)),
                ("mine", codec.pack(mine if not card.recalled else [])),
                ("replies", codec.pack(replies)),
            ]
            message = codec.encode_map(entries)
            size += len(message)
            if shown and size > max_bytes:
                more = True
                break
            shown.append(message)
        return codec.encode_map(
            [
                ("messages", codec.encode_array(shown)),
                ("head", codec.pack(head)),
                ("more", codec.pack(more)),
            ]
        )

    return Encoded(await shared.log.read(read))


def _shown(
    store: Store, stream: StreamKey, place: Membership, seq: int, card: Card, head: int
) -> list[tuple[str, bytes]]:
    """Give what one message says: its event, its newest form, and whether it was recalled."""
    edits = [edit for edit in card.edits if edit <= head]
    event, *newest = (
        codec.shown_map(record, view_of(place.role))
        for record in store.pick(stream, [seq, *edits[-1:]])
    )
    entries = [("seq", codec.pack(seq)), ("event", event)]
    if newest:
        entries.append(("edited", newest[0]))
    if 0 < card.recalled <= head:
        entries.append(("recalled", codec.pack(card.recalled)))
    return entries


async def edits(
    directory: Directory, caller: Identity, stream: StreamKey, query: Edits, peer: Peer | None
) -> Result:
    """Page a message and its edits."""
    shared = directory.shared
    published = shared.outlets.settled_seq(stream)

    def read(store: Store) -> bytes:
        place = standing(store, stream, caller)
        head = _head(place, published)
        card = _find(store, stream, place, query.seq, head)
        if place.role < Role.ADMIN and card.user != caller.user:
            raise Rejected(
                "forbidden",
                "only admins and its author see what a message was",
                reason="role",
                required=Role.ADMIN.label,
            )
        seqs = [seq for seq in (query.seq, *card.edits) if query.after < seq <= head]
        shown, more = _fitting(store.pick(stream, seqs), place, shared.rules.limits.page_max_bytes)
        return codec.encode_map([("events", codec.encode_array(shown)), ("more", codec.pack(more))])

    return Encoded(await shared.log.read(read))


async def thread(
    directory: Directory, caller: Identity, stream: StreamKey, query: Thread, peer: Peer | None
) -> Result:
    """Page the replies to a message."""
    shared = directory.shared
    published = shared.outlets.settled_seq(stream)

    def read(store: Store) -> bytes:
        place = standing(store, stream, caller)
        head = _head(place, published)
        card = _find(store, stream, place, query.seq, head)
        found = store.replies(stream, query.seq, query.after, query.limit + 1)
        records = [record for record in found if record.seq <= head]
        shown, more = _fitting(records[: query.limit], place, shared.rules.limits.page_max_bytes)
        _reactions, replies = Unpublished.read(store, stream, head).numbers(query.seq, card)
        return codec.encode_map(
            [
                ("events", codec.encode_array(shown)),
                ("more", codec.pack(more or len(records) > query.limit)),
                ("replies", codec.pack(replies)),
            ]
        )

    return Encoded(await shared.log.read(read))


async def reactors(
    directory: Directory, caller: Identity, stream: StreamKey, query: Reactors, peer: Peer | None
) -> Result:
    """List who has reacted in one way to a message."""
    shared = directory.shared
    published = shared.outlets.settled_seq(stream)

    def read(store: Store) -> Result:
        place = standing(store, stream, caller)
        head = _head(place, published)
        card = _find(store, stream, place, query.seq, head)
        came, gone = Unpublished.read(store, stream, head).users(query.seq, query.reaction)
        # As many more as are taken out again, and one that says whether there are further ones.
        count = query.limit + len(came) + 1
        listed = store.reactors(stream, query.seq, query.reaction, query.after, count)
        users = set(listed) - came
        if not card.recalled:
            end = listed[-1] if len(listed) == count else None
            users |= {user for user in gone if user > query.after and (end is None or user <= end)}
        shown = sorted(users)
        result: dict[str, Any] = {"users": shown[: query.limit]}
        if len(shown) > query.limit:
            result["next"] = shown[query.limit - 1]
        return result

    return await shared.log.read(read)
