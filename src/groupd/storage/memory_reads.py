"""Reading the index of a memory store, together with its records."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Mapping, Sequence

import attrs

from groupd.domain.base import GROUP, Card, Record, StreamKey
from groupd.domain.projection import (
    Chat,
    Found,
    GroupCard,
    Holdings,
    MemberRow,
    Membership,
    Near,
    Numbers,
    Profile,
    Statistics,
)
from groupd.storage import memory_search
from groupd.storage.index import first_since, last_countable
from groupd.storage.memory_index import AccountIndex, GroupIndex, MemoryIndex
from groupd.storage.memory_stream import MemoryStream


@attrs.frozen(eq=False)
class MemoryReads:
    """Answers what a store is asked of its index."""

    _streams: Mapping[StreamKey, MemoryStream]
    _index: MemoryIndex

    # --- groups and people

    def group(self, tenant: str, group: str) -> GroupCard | None:
        """Give a group's card."""
        return self._card(StreamKey(GROUP, tenant, group))

    def group_of_ref(self, tenant: str, ref: str) -> GroupCard | None:
        """Give the live group that has this ``ref``."""
        stream = self._index.holders.get((tenant, ref))
        return self._card(stream) if stream is not None else None

    def holdings(self, tenant: str, user: str) -> Holdings:
        """Give what a user owns and is in."""
        who = (tenant, user)
        owned = self._index.owned_by.get(who, set())
        joined = [
            *self._index.groups_of.get(who, set()),
            *self._index.requests_of.get(who, set()),
        ]
        return Holdings(
            sorted(stream.key for stream in owned if self._counts(stream)),
            sum(self._counts(stream) for stream in joined),
            sum(self._is_direct(stream) for stream in self._live_groups(tenant, user)),
        )

    def membership(self, tenant: str, user: str, group: str) -> Membership | None:
        """Give one user's place in one group."""
        return self._membership(StreamKey(GROUP, tenant, group), user)

    def memberships(self, tenant: str, user: str, after: str, limit: int) -> Sequence[Membership]:
        """List a user's live groups, by group."""
        streams = sorted(self._live_groups(tenant, user))
        rows = (self._membership(stream, user) for stream in streams if stream.key > after)
        return list(itertools.islice(filter(None, rows), limit))

    def members(self, tenant: str, group: str, after: str, limit: int) -> Sequence[MemberRow]:
        """List a group's members by user id."""
        members = self._group(StreamKey(GROUP, tenant, group)).members
        rows = []
        for user in sorted(user for user in members if user > after)[:limit]:
            row, profile = members[user], self._profile(tenant, user)
            rows.append(
                MemberRow(
                    user,
                    profile.name or row.name,
                    row.role,
                    row.joined_ms,
                    picture=profile.picture,
                    nickname=row.nickname,
                    muted_until_ms=row.muted_until_ms,
                )
            )
        return rows

    def acquainted(self, tenant: str, user: str, users: Sequence[str]) -> Sequence[MemberRow]:
        """Give those of ``users`` that share a live group with ``user``, or are that user."""
        mine = self._live_groups(tenant, user)
        found = []
        for other in sorted(set(users)):
            shared = [
                (self._index.groups[stream].members[other].joined_ms, stream)
                for stream in mine
                if other in self._index.groups[stream].members
            ]
            if shared or other == user:
                profile = self._profile(tenant, other)
                name = profile.name
                if shared and not name:
                    _joined_ms, latest = max(shared)
                    name = self._index.groups[latest].members[other].name
                found.append(MemberRow(other, name, 0, 0, picture=profile.picture))
        return found

    def profile(self, tenant: str, user: str) -> Profile | None:
        """Give a user's profile, or None for one who was never seen."""
        return self._account(tenant, user).profile

    def revoked_before_ms(self, tenant: str, user: str) -> int:
        """Give before which time a user's tokens are revoked; 0 for none."""
        return self._account(tenant, user).revoked_before_ms

    def shown(self, tenant: str, user: str) -> Sequence[GroupCard]:
        """List the groups on a user's profile, by group."""
        chats = self._account(tenant, user).chats
        cards = (
            self._card(stream)
            for stream in sorted(self._live_groups(tenant, user))
            if chats.get(stream.key, Chat()).shown
        )
        return [card for card in cards if card is not None and card.discoverable]

    def blockers(self, tenant: str, user: str, other: str) -> Sequence[str]:
        """Give which of two users have blocked the other, sorted."""
        pairs = {(user, other), (other, user)}
        return sorted(who for who, whom in pairs if whom in self._account(tenant, who).blocks)

    def blocks(self, tenant: str, user: str, after: str, limit: int) -> Sequence[str]:
        """List whom a user has blocked, by user id."""
        blocks = self._account(tenant, user).blocks
        return sorted(other for other in blocks if other > after)[:limit]

    # --- messages

    def numbers(self, tenant: str, user: str, upto: Mapping[str, int]) -> Mapping[str, Numbers]:
        """Give what is new to a user in each of the groups."""
        numbers = {}
        for key, head in upto.items():
            group = self._group(StreamKey(GROUP, tenant, key))
            if user in group.members:
                stream = self._streams[StreamKey(GROUP, tenant, key)]
                numbers[key] = _numbers(stream, group, user, min(head, len(stream.records)))
        return numbers

    def messages(self, stream: StreamKey, seqs: Sequence[int]) -> Mapping[int, Card]:
        """Give the cards of those of the records that exist."""
        found = self._streams.get(stream)
        if found is None:
            return {}
        group = self._group(stream)
        cards = {}
        for seq in seqs:
            record = found.record(seq)
            if record is not None:
                cards[seq] = Card(
                    user=record.user,
                    time_ms=record.time_ms,
                    kind=record.kind,
                    recalled=group.recalls.get(seq, 0),
                    edits=list(group.edits.get(seq, ())),
                    reactions={
                        reaction: len(users)
                        for reaction, users in group.reactions.get(seq, {}).items()
                    },
                    replies=len(group.replies.get(seq, ())),
                )
        return cards

    def reactions_of(
        self, stream: StreamKey, user: str, seqs: Sequence[int]
    ) -> Mapping[int, Mapping[str, int]]:
        """Give a user's reactions: message -> reaction -> seq of the event."""
        group = self._group(stream)
        found = {}
        for message in seqs:
            to_it = group.reactions.get(message, {})
            mine = {reaction: users[user] for reaction, users in to_it.items() if user in users}
            if mine:
                found[message] = mine
        return found

    def reactors(
        self, stream: StreamKey, message: int, reaction: str, after: str, limit: int
    ) -> Sequence[str]:
        """List who has reacted so to a message, by user id."""
        users = self._group(stream).reactions.get(message, {}).get(reaction, {})
        return sorted(user for user in users if user > after)[:limit]

    def replies(self, stream: StreamKey, message: int, after: int, limit: int) -> Sequence[Record]:
        """List the replies to a message, in order."""
        found = self._streams.get(stream)
        if found is None:
            return ()
        seqs = self._group(stream).replies.get(message, ())
        records = (found.record(seq) for seq in seqs if seq > after)
        return list(itertools.islice(filter(None, records), limit))

    def statistics(
        self, tenant: str, group: str, *, active_since_ms: int, from_ms: int, until_ms: int
    ) -> Statistics:
        """Count a group's members and its messages in a span of time."""
        key = StreamKey(GROUP, tenant, group)
        stream, found = self._streams.get(key), self._group(key)
        if stream is None:
            return Statistics(0, 0, 0, 0, 0, 0)

        def first(since_ms: int) -> int:
            return first_since(stream.time_at, head=len(stream.records), since_ms=since_ms)

        profiles = [self._profile(tenant, user) for user in found.members]
        years = [profile.birth_year for profile in profiles if profile.birth_year is not None]
        active_from, begin = first(active_since_ms), first(from_ms)
        end = max(begin, first(until_ms))
        recalled = sum(begin <= message < end for message in found.recalls)
        return Statistics(
            members=len(found.members),
            women=sum(profile.gender == "female" for profile in profiles),
            active=sum(found.spoke.get(user, 0) >= active_from for user in found.members),
            birth_years=len(years),
            birth_year_sum=sum(years),
            messages=stream.n_at(end - 1) - stream.n_at(begin - 1) - recalled,
        )

    # --- the search

    def search(
        self,
        tenant: str,
        *,
        query: str,
        category: str,
        near: Near | None,
        after: Found | None,
        limit: int,
    ) -> Sequence[Found]:
        """Find live, discoverable groups: by words of their name, category, and place."""
        return memory_search.find(
            self._can_be_found(tenant),
            query=query,
            category=category,
            near=near,
            after=after,
            limit=limit,
        )

    def _can_be_found(self, tenant: str) -> Iterator[Found]:
        for key, group in self._index.groups.items():
            if key.tenant == tenant and group.card is not None and group.card.can_be_found:
                card = self._card(key)
                assert card is not None
                yield Found(card, self._streams[key].number)

    # --- what the others use

    def _group(self, stream: StreamKey) -> GroupIndex:
        return self._index.groups.get(stream) or GroupIndex()

    def _account(self, tenant: str, user: str) -> AccountIndex:
        return self._index.accounts.get((tenant, user)) or AccountIndex()

    def _profile(self, tenant: str, user: str) -> Profile:
        return self._account(tenant, user).profile or Profile()

    def _counts(self, stream: StreamKey) -> bool:
        card = self._group(stream).card
        return card is not None and card.counts

    def _is_direct(self, stream: StreamKey) -> bool:
        card = self._index.groups[stream].card
        return card is not None and card.direct

    def _live_groups(self, tenant: str, user: str) -> list[StreamKey]:
        streams = self._index.groups_of.get((tenant, user), ())
        return [
            stream
            for stream in streams
            if (card := self._index.groups[stream].card) is not None and not card.dissolved
        ]

    def _card(self, stream: StreamKey) -> GroupCard | None:
        group = self._group(stream)
        if group.card is None:
            return None
        head = len(self._streams[stream].records)
        return group.card.of(stream.key, head=head, members=len(group.members))

    def _membership(self, stream: StreamKey, user: str) -> Membership | None:
        group = self._group(stream)
        if group.card is None or user not in group.members:
            return None
        row = group.members[user]
        return Membership(
            group=stream.key,
            name=group.card.name,
            picture=group.card.picture,
            role=row.role,
            joined_seq=row.joined_seq,
            floor=row.floor,
            head=len(self._streams[stream].records),
            dissolved=group.card.dissolved,
            direct=group.card.direct,
            muted_until_ms=row.muted_until_ms,
            chat=self._account(stream.tenant, user).chats.get(stream.key, Chat()),
        )


def _numbers(stream: MemoryStream, group: GroupIndex, user: str, upto: int) -> Numbers:
    read = max(
        group.members[user].joined_seq, stream.cursors.get(user, 0), group.spoke.get(user, 0)
    )
    read = min(read, upto)
    mentioned = group.mentioned(user, read, upto)
    recalled = sum(read < message <= upto and seq <= upto for message, seq in group.recalls.items())
    last = last_countable(stream.n_at, upto)
    return Numbers(
        read=read,
        unread=stream.n_at(upto) - stream.n_at(read) - recalled,
        mentions=sum(stream.records[seq - 1].user != user for seq in mentioned),
        last_seq=last,
        last_edit=max((seq for seq in group.edits.get(last, ()) if seq <= upto), default=0),
    )
