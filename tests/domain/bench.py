"""A small world without an engine: commands decide, events become records, records apply.

It makes records with the functions of ``wire/codec`` and keeps them, so that a test can replay
them. Its index is the sum of the live states. Nothing in here is durable, concurrent or fast.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from hashlib import sha256
from typing import Any, Final

import attrs
import msgpack
import pytest

from groupd.config import PLANS, Limits, Plan
from groupd.domain.account.create import Create
from groupd.domain.account.hearing import Hear, heard_by
from groupd.domain.account.state import Account
from groupd.domain.answers import NO_ANSWERS, Answers
from groupd.domain.base import (
    GROUP,
    SERVER,
    Card,
    Command,
    Context,
    Event,
    Fetched,
    Founding,
    Identity,
    LiveQuery,
    Needs,
    Person,
    Receipt,
    Record,
    Role,
    Rules,
    StreamKey,
    Unchanged,
)
from groupd.domain.catalog import AGGREGATES, EVENTS
from groupd.domain.group.membership import Joined
from groupd.domain.group.state import Group
from groupd.domain.links import LinkKeys
from groupd.domain.projection import Chat, GroupCard, Holdings, Membership, Tie
from groupd.domain.stream import Stream
from groupd.domain.word_list import WordList
from groupd.errors import Rejected
from groupd.storage.memory_index import MemoryIndex
from groupd.wire import codec
from tests.strategies import NOW_MS, uuid7

KEYS: Final = LinkKeys({"k1": b"1" * 32, "k2": b"2" * 32}, current="k1")
GROUP_IDS: Final = "G{:015d}"


def outcome(refusal: Rejected) -> str:
    """Give a refusal in short: its code, and the reason if it has one."""
    reason = refusal.details.get("reason")
    return refusal.code if reason is None else f"{refusal.code}: {reason}"


@attrs.define
class Book:
    """One stream: its state, and the records that it is the sum of."""

    stream: StreamKey
    state: Stream
    records: list[Record] = attrs.field(factory=list)

    @property
    def chain(self) -> bytes:
        return self.records[-1].chain if self.records else codec.GENESIS

    def write(
        self,
        event: Event,
        *,
        user: str,
        now_ms: int,
        limits: Limits,
        request_id: str = "",
        request_hash: bytes = b"",
    ) -> Record:
        """Make the next record, apply it and keep it."""
        state = self.state
        seq, n = state.seq + 1, state.n + event.countable
        forget = state.memory.overdue(now_ms, limits)
        header = codec.RecordWriter(self.stream).header(seq, now_ms, user, event.kind, request_id)
        salt = sha256(b"salt" + header).digest()[: codec.SALT_BYTES]
        body = codec.encode_body(event)
        inner = codec.inner_hash(salt, request_hash, body)
        chain = codec.chain_hash(
            self.chain, header, audience=event.audience, n=n, forget=forget, inner=inner
        )
        record = Record(
            seq=seq,
            time_ms=now_ms,
            kind=event.kind,
            user=user,
            request_id=request_id,
            audience=event.audience,
            n=n,
            forget=forget,
            followed=event.followed,
            header=header,
            salt=salt,
            request_hash=request_hash,
            body=body,
            inner=inner,
            chain=chain,
        )
        state.apply(record, event)
        self.records.append(record)
        for gone in event.erases():
            self.records[gone - 1] = erased(self.records[gone - 1])
        return record

    def event(self, seq: int = -1) -> Event:
        """Give the event at ``seq``, or the newest, as the log has it."""
        record = self.records[-1 if seq == -1 else seq - 1]
        return codec.decode_event(EVENTS[self.stream.kind], record)

    def replayed(self, *, restart_at: Collection[int] = (), records: Any = None) -> Stream:
        """Give the state as rebuilt from the records, by way of snapshots at some seqs."""
        state = AGGREGATES[self.stream.kind].state()
        for record in self.records if records is None else records:
            state.apply(record, codec.decode_event(EVENTS[self.stream.kind], record))
            if record.seq in restart_at:
                state = reloaded(state)
        return state


def reloaded(state: Stream) -> Stream:
    """Give the state as it comes back from a snapshot."""
    return type(state).load(codec.unpack(codec.pack(state.dump())))


def erased(record: Record) -> Record:
    """Give a record as it is after its content has gone."""
    return record._replace(salt=b"", request_hash=b"", body=None)


def verify_chain(records: Collection[Record]) -> None:
    """Check a stream's hash chain, and the inner hashes of what is not erased."""
    previous = codec.GENESIS
    for record in records:
        if record.body is not None:
            inner = codec.inner_hash(record.salt, record.request_hash, record.body)
            assert record.inner == inner
        previous = codec.chain_hash(
            previous,
            record.header,
            audience=record.audience,
            n=record.n,
            forget=record.forget,
            inner=record.inner,
        )
        assert record.chain == previous


@attrs.define
class World:
    """All streams of one server, and its clock, which moves only when a test says so."""

    limits: Limits = attrs.field(factory=Limits)
    plans: Mapping[str, Plan] = attrs.field(factory=lambda: dict(PLANS))
    categories: tuple[str, ...] = ()
    owner_leaves: str = "refused"
    words: WordList | None = None
    answers: Answers = NO_ANSWERS
    """What the host says of whoever asks."""
    now_ms: int = NOW_MS
    books: dict[StreamKey, Book] = attrs.field(factory=dict)
    ids_made: int = 0
    groups_made: int = 0
    order: list[tuple[StreamKey, int]] = attrs.field(factory=list)
    """All records in the order in which they were made."""

    def new_id(self) -> str:
        """Make a request id, as a client does once for each intent."""
        self.ids_made += 1
        return uuid7(self.now_ms, self.ids_made)

    def new_group(self) -> str:
        self.groups_made += 1
        return GROUP_IDS.format(self.groups_made)

    def book(self, stream: StreamKey) -> Book:
        """Give a stream's book; one that does not exist yet is empty and not kept."""
        return self.books.get(stream) or Book(stream, AGGREGATES[stream.kind].state())

    def account(self, user: str) -> Account:
        state = self.book(Identity(user).account).state
        assert isinstance(state, Account)
        return state

    # --- asking

    def act(
        self,
        caller: str | Identity,
        command: Command,
        *,
        group: str | None = None,
        request_id: str = "",
    ) -> dict[str, Any]:
        """Do what the engine does with a command: remembered? allowed? decide, write, answer."""
        caller = Identity(caller) if isinstance(caller, str) else caller
        book = self.book(command.address(group, caller))
        context = self.context(book, caller, command, request_id)
        request_hash = b""
        if request_id:
            request_hash = codec.request_hash(command)
            receipt = book.state.memory.recall(
                caller.user, request_id, request_hash, self.now_ms, self.limits
            )
            if receipt is not None:
                return checked(command, command.answer(receipt, context))
        book.state.guard(command, context)
        decision = command.decide(book.state, context)
        if isinstance(decision, Unchanged):
            return checked(command, decision.result)
        receipts = []
        for item in decision:
            founding = isinstance(item, Founding)
            target = self.book(item.stream) if founding else book
            for event in item.events if founding else (item,):
                record = self.write(target, event, caller.user, request_id, request_hash)
                if target is book:
                    value = event.receipt_value()
                    receipts.append(Receipt(request_hash, record.seq, record.time_ms, value))
        return checked(command, command.answer(receipts[0], context))

    def write(
        self,
        book: Book,
        event: Event,
        user: str,
        request_id: str = "",
        request_hash: bytes = b"",
    ) -> Record:
        """Let an event happen now."""
        self.books[book.stream] = book
        record = book.write(
            event,
            user=user,
            now_ms=self.now_ms,
            limits=self.limits,
            request_id=request_id,
            request_hash=request_hash,
        )
        self.order.append((book.stream, record.seq))
        return record

    def ask(
        self, caller: str | Identity, query: LiveQuery, *, group: str | None = None
    ) -> dict[str, Any]:
        """Put a question to the live state of a stream."""
        caller = Identity(caller) if isinstance(caller, str) else caller
        book = self.book(query.address(group, caller))
        context = self.context(book, caller, query)
        book.state.guard(query, context)
        return checked(query, query.ask(book.state, context))

    def context(
        self, book: Book, caller: Identity, request: Command | LiveQuery, request_id: str = ""
    ) -> Context:
        needs = request.needs(book.state, caller)
        return Context(
            stream=book.stream,
            caller=caller,
            now_ms=self.now_ms,
            rules=Rules(
                self.limits,
                self.plans,
                "ordinary",
                self.categories,
                owner_leaves=self.owner_leaves,
                words=self.words,
            ),
            links=KEYS,
            new_group=self.new_group,
            fetched=self.fetch(book, needs),
            request_id=request_id,
            holdings=self.holdings(request.counted(caller).key),
            answers=self.answers,
        )

    def fetch(self, book: Book, needs: Needs) -> Fetched:
        cards = [self.card(found) for found in self._groups()]
        known = self.messages(book, {user for _seq, user in needs.reactions})
        return Fetched(
            messages={seq: known.messages[seq] for seq in needs.messages if seq in known.messages},
            reactions={pair: known.reactions.get(pair, {}) for pair in needs.reactions},
            groups={card.group: card for card in cards if card.group in needs.groups},
            refs={card.ref: card for card in cards if card.ref in needs.refs and card.ref},
            users={
                user: Person(self.account(user).profile, self.holdings(user))
                for user in needs.users
            },
            memberships={pair: self.membership(*pair) for pair in needs.memberships},
            blocks={
                pair: sorted(
                    user
                    for user, other in (pair, pair[::-1])
                    if other in self.account(user).blocked
                )
                for pair in needs.blocks
            },
            ties={tie: self.tie(book, *tie) for tie in needs.ties},
        )

    def tie(self, book: Book, kind: str, name: str) -> Tie | None:
        """Give what ties a group to something of the host's, from all of its records."""
        index = MemoryIndex()
        for record in book.records:
            index.apply(book.stream, book.event(record.seq).project(record))
        return index.groups[book.stream].ties.get((name, kind)) if book.records else None

    def messages(self, book: Book, users: Collection[str] = ()) -> Fetched:
        """Give what there is to know of all messages of a group, and of the users' reactions."""
        known = Fetched()
        for record in book.records:
            event = book.event(record.seq)
            known.messages[record.seq] = Card(record.user, record.time_ms, record.kind)
            known.reactions |= {(record.seq, user): {} for user in users}
            if event.touches:
                event.touch(known, record)
        return known

    def holdings(self, user: str) -> Holdings:
        """Give what a user owns and is in."""
        live = {
            book.stream.key: state
            for book in self._groups()
            if isinstance(state := book.state, Group) and not state.dissolved and not state.direct
        }
        return Holdings(
            owned=sorted(group for group, state in live.items() if state.owner == user),
            joined=sum(user in state.members or user in state.requests for state in live.values()),
            directs=sum(
                isinstance(book.state, Group)
                and bool(book.state.direct)
                and user in book.state.members
                for book in self._groups()
            ),
        )

    def membership(self, group: str, user: str) -> Membership | None:
        """Give a user's place in a group."""
        book = self.books.get(StreamKey(GROUP, "", group))
        if book is None or not isinstance(book.state, Group) or user not in book.state.members:
            return None
        state, member = book.state, book.state.members[user]
        return Membership(
            group=group,
            name=state.settings.name,
            picture=state.settings.picture,
            role=member.role,
            joined_seq=member.joined_seq,
            floor=member.floor,
            head=state.seq,
            dissolved=state.dissolved,
            direct=bool(state.direct),
            muted_until_ms=member.muted_until_ms,
            chat=self.account(user).chats.get(group, Chat()),
        )

    def _groups(self) -> list[Book]:
        return [book for book in self.books.values() if book.stream.kind == GROUP]

    def card(self, book: Book) -> GroupCard:
        state = book.state
        assert isinstance(state, Group)
        return GroupCard(
            group=book.stream.key,
            name=state.settings.name,
            picture=state.settings.picture,
            owner=state.owner,
            ref=None if state.dissolved else state.ref,
            dissolved=state.dissolved,
            discoverable=state.settings.discoverable,
            head=state.seq,
            category=state.settings.category,
            description=state.settings.description,
            location=state.settings.location,
            join_policy=state.settings.join_policy,
            created_ms=state.created_ms,
            direct=bool(state.direct),
            members=len(state.members),
        )

    # --- what else happens in a server

    def found(
        self, caller: str | Identity = "ann", *, request_id: str = "", **settings: Any
    ) -> Table:
        """Found a group, and give it to work with."""
        command = Create(**{"name": "邻里群", **settings})
        group = self.act(caller, command, request_id=request_id)["group"]
        return Table(self, group)

    def spread(self) -> None:
        """Let every account hear of what has happened in the groups, as the reactor does."""
        for stream, seq in tuple(self.order):
            if stream.kind != GROUP:
                continue
            record, event = self.books[stream].records[seq - 1], self.books[stream].event(seq)
            for user, make in heard_by(event, record):
                news = make(group=stream.key, at=seq, by=record.user)
                for hearer in Table(self, stream.key).state.members if user is None else (user,):
                    self.act(hearer, Hear(news, hearer))


def checked(request: Command | LiveQuery, result: Mapping[str, Any]) -> dict[str, Any]:
    """Check an answer against what its request promises, and give it as a client gets it."""
    promised = {name for name, kind in request.result.items() if not kind.endswith("?")}
    allowed = set(request.result)
    if not isinstance(request, Hear):
        assert promised <= result.keys() <= allowed, (request.method, result)
    decoded: dict[str, Any] = msgpack.unpackb(codec.pack(result))
    return decoded


@attrs.define
class Table:
    """One group, and those around it."""

    world: World
    group: str

    @property
    def book(self) -> Book:
        return self.world.books[StreamKey(GROUP, "", self.group)]

    @property
    def state(self) -> Group:
        state = self.book.state
        assert isinstance(state, Group)
        return state

    @property
    def seq(self) -> int:
        return self.state.seq

    def act(
        self, caller: str | Identity, request: Command | LiveQuery, request_id: str = ""
    ) -> dict[str, Any]:
        """Ask for something in this group, and give the answer."""
        if isinstance(request, LiveQuery):
            return self.world.ask(caller, request, group=self.group)
        return self.world.act(caller, request, group=self.group, request_id=request_id)

    def refuse(
        self, caller: str | Identity, request: Command | LiveQuery, request_id: str = ""
    ) -> Rejected:
        """Give the refusal of a request; fails if it is none, or if anything has changed."""
        before = self.state.hash()
        with pytest.raises(Rejected) as caught:
            self.act(caller, request, request_id)
        assert self.state.hash() == before
        return caught.value

    def admit(self, user: str, role: Role = Role.MEMBER) -> None:
        """Make somebody a member with a role, by the event alone."""
        self.happen(Joined(via="added", member=user, role=role.label))

    def happen(self, event: Event, user: str = SERVER) -> Record:
        """Let something happen that no command has asked for."""
        return self.world.write(self.book, event, user)

    def deadline_ms(self) -> int | None:
        """Give the time of the stream's next deadline."""
        return AGGREGATES[GROUP].deadline_ms(self.state)

    def due(self) -> list[Event]:
        """Give what the group has to do by itself now."""
        return list(AGGREGATES[GROUP].due(self.state, self.world.now_ms))

    def wake(self) -> list[Event]:
        """Let the group look at its deadlines."""
        due = self.due()
        for event in due:
            self.happen(event)
        return due

    def code(self, link: int) -> str:
        """Give the code of a link."""
        code = KEYS.code("", self.group, link, "k1")
        assert code is not None
        return code

    def restart(self) -> None:
        """Go on from a snapshot, as an actor does that had left memory."""
        self.book.state = reloaded(self.state)
