"""A batch, and the ledger that it writes: what the decisions of one batch know of each other."""

from __future__ import annotations

from typing import Any

import pytest

from groupd.config import PLANS
from groupd.domain.account.create import Create
from groupd.domain.base import GROUP, Audience, Command, Identity
from groupd.domain.catalog import EVENTS
from groupd.domain.group.edits import Edit
from groupd.domain.group.membership import Join
from groupd.domain.group.messages import Post
from groupd.domain.group.recalls import Recall
from groupd.domain.projection import Holdings, Mention, Spoke
from groupd.engine.batch import Batch, publication_of
from groupd.engine.ledger import Ledger, project
from groupd.engine.mail import Entry
from groupd.engine.waiting import Waiter
from groupd.errors import Rejected
from groupd.testing.fakes import START_MS
from groupd.wire import codec
from tests.engine.rig import hub_on
from tests.strategies import uuid7

CROWDED = Holdings(joined=PLANS["ordinary"].groups_joined_max)


def entry(user: str, request: Command, request_id: str = "", **given: Any) -> Entry:
    return Entry(Identity(user), request, request_id, Waiter(), 0, **given)


def answers(batch: Batch) -> list[Any]:
    return [answer.code if isinstance(answer, Rejected) else answer for _, answer in batch.answers]


class Desk:
    """Groups that are in no store: each batch goes on where the one before has ended."""

    def __init__(self, shared: Any) -> None:
        self.shared = shared
        account = Ledger.empty(Identity("olga").account)
        _own, group = self.decide(account, entry("olga", Create(name="Tea"))).appends()
        self.ledger = Ledger.empty(group.stream)
        for record in group.records:
            self.ledger.replay(record)

    def decide(self, ledger: Ledger, *entries: Entry) -> Batch:
        batch = Batch(ledger, self.shared, START_MS)
        assert batch.decide(entries, woken=False) == len(entries)
        return batch

    def serve(self, *entries: Entry) -> Batch:
        return self.decide(self.ledger, *entries)


@pytest.fixture
async def desk() -> Any:
    async with hub_on() as hub:
        yield Desk(hub._shared)


async def test_what_one_caller_has_does_not_count_for_the_next(desk: Desk) -> None:
    batch = desk.serve(
        entry("mia", Join(), holdings=CROWDED), entry("bob", Join()), entry("mia", Post("hi"))
    )
    assert answers(batch)[::2] == ["quota_exceeded", "forbidden"]
    assert batch.records[0].user == "bob"


async def test_each_record_has_the_request_id_of_its_own_request(desk: Desk) -> None:
    ids = [uuid7(START_MS, number) for number in range(2)]
    batch = desk.serve(
        entry("olga", Post("one"), ids[0]),
        entry("olga", Post("two")),
        entry("olga", Post("3"), ids[1]),
    )
    assert [record.request_id for record in batch.records] == [ids[0], "", ids[1]]
    assert [codec.decode_entries(record.header).get("id", "") for record in batch.records] == [
        ids[0],
        "",
        ids[1],
    ]


async def test_a_message_can_be_edited_and_recalled_in_the_batch_that_posts_it(
    desk: Desk,
) -> None:
    seq = desk.ledger.state.seq + 1
    batch = desk.serve(
        entry("olga", Post("hi")),
        entry("olga", Edit(seq=seq, text="ho")),
        entry("olga", Recall(seq=seq)),
        entry("olga", Edit(seq=seq, text="he")),
    )
    assert answers(batch)[-1] == "conflict"
    (append,) = batch.appends()
    assert tuple(append.erase) == (seq, seq + 1)


async def test_of_new_messages_only_the_latest_are_known_and_those_that_were_asked_for(
    desk: Desk,
) -> None:
    desk.serve(*(entry("olga", Post(f"{number}")) for number in range(20)))
    fetched, head = desk.ledger.fetched, desk.ledger.state.seq
    card = fetched.message(head - 15)
    assert card is not None
    assert (card.user, card.time_ms, card.kind) == ("olga", START_MS, "posted")
    desk.ledger.trim(10)
    assert [seq for seq in range(head + 2) if fetched.message(seq)] == [
        head - 15,
        *range(head - 4, head + 1),
    ]
    assert fetched.message(head - 15) is card


async def test_only_what_reactors_look_at_rouses_them(desk: Desk) -> None:
    assert not desk.serve(entry("olga", Post("hi"))).is_followed
    assert desk.serve(entry("bob", Join())).is_followed


async def test_of_all_that_a_member_said_the_index_hears_of_the_last(desk: Desk) -> None:
    head = desk.ledger.state.seq
    batch = desk.serve(
        entry("bob", Join()),
        entry("olga", Post("one")),
        entry("bob", Post("two")),
        entry("olga", Post("three", mentions=("bob",))),
    )
    (append,) = batch.appends()
    assert list(append.changes)[-3:] == [
        Mention(("bob",), head + 4),
        Spoke("olga", head + 4),
        Spoke("bob", head + 3),
    ]
    one_by_one = [change for record in append.records for change in project(append.stream, record)]
    assert [change for change in one_by_one if type(change) is Spoke] == [
        Spoke("olga", head + 2),
        Spoke("bob", head + 3),
        Spoke("olga", head + 4),
    ]


async def test_what_only_admins_may_read_is_masked_also_where_its_kind_is_not_known(
    desk: Desk,
) -> None:
    (written,) = desk.serve(entry("olga", Post("psst"))).records
    stored = written._replace(kind="of_a_later_version", audience=int(Audience.ADMINS))
    event = codec.decode_event(EVENTS[GROUP], stored)
    publication = publication_of(desk.ledger.stream, [stored], [event])
    assert b"psst" in publication.chunk(Audience.ADMINS)
    assert b"psst" not in publication.chunk(Audience.MEMBERS)
