"""Request ids: PROTOCOL section 2, and DESIGN section 4."""

from __future__ import annotations

from hashlib import sha256
from typing import Any

import attrs
import msgpack
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from groupd.config import Limits
from groupd.domain import exactly_once
from groupd.domain.account.create import Create
from groupd.domain.base import Receipt, Request
from groupd.domain.catalog import REQUESTS
from groupd.domain.exactly_once import RequestMemory
from groupd.domain.fields import ordered, request_id_ms
from groupd.domain.group.board import PinMessage
from groupd.domain.group.membership import Join, Leave
from groupd.domain.group.messages import Post
from groupd.domain.group.settings import Dissolve, Update
from groupd.errors import Rejected
from groupd.wire import codec
from tests import strategies
from tests.domain.bench import Table, erased, outcome
from tests.strategies import HOUR_MS, NOW_MS, request_ids, uuid7

LIMITS = Limits()
HASH = b"h" * 16


def test_the_same_id_gets_the_same_result_and_changes_nothing(table: Table) -> None:
    request_id = table.world.new_id()
    first = table.act("mia", Post(text="hi"), request_id)
    head, state = table.seq, table.state.hash()
    table.world.now_ms += HOUR_MS
    assert table.act("mia", Post(text="hi"), request_id) == first
    assert (table.seq, table.state.hash()) == (head, state)


def test_the_same_id_with_other_content_is_refused(table: Table) -> None:
    request_id = table.world.new_id()
    table.act("mia", Post(text="hi"), request_id)
    for other in (Post(text="ho"), Leave(), Post(text="hi", mentions=["adam"])):
        assert outcome(table.refuse("mia", other, request_id)) == "conflict: id_reused"


def test_two_users_may_have_the_same_id(table: Table) -> None:
    request_id = table.world.new_id()
    first = table.act("mia", Post(text="hi"), request_id)
    assert table.act("adam", Post(text="ho"), request_id)["seq"] == first["seq"] + 1


def test_a_user_may_have_the_same_id_in_two_groups(table: Table) -> None:
    request_id = table.world.new_id()
    other = table.world.found("mia")
    table.act("mia", Post(text="hi"), request_id)
    assert other.act("mia", Post(text="ho"), request_id)["seq"] == other.seq


def test_an_id_in_the_other_case_is_the_same_id(table: Table) -> None:
    request_id = uuid7(table.world.now_ms, 0xABCDEF)
    first = table.act("mia", Post(text="hi"), request_id.upper())
    assert table.book.records[-1].request_id == request_id.upper()
    assert table.act("mia", Post(text="hi"), request_id) == first
    table.restart()
    assert table.act("mia", Post(text="hi"), request_id.upper()) == first


def test_without_an_id_each_send_counts(table: Table) -> None:
    seqs = [table.act("mia", Post(text="hi"))["seq"] for _ in range(2)]
    assert seqs == [table.seq - 1, table.seq]
    assert not table.state.memory.receipts


def test_a_request_that_changed_nothing_is_judged_anew(table: Table) -> None:
    seq = table.act("mia", Post(text="hi"))["seq"]
    table.act("adam", PinMessage(seq))
    request_id = table.world.new_id()
    table.act("adam", PinMessage(seq), request_id)
    assert not table.state.memory.receipts
    table.act("adam", Update(name="别的"), request_id)


def test_a_refused_request_is_judged_anew(table: Table) -> None:
    request_id = table.world.new_id()
    table.refuse("sam", Post(text="hi"), request_id)
    table.act("sam", Join())
    table.act("sam", Post(text="hi"), request_id)


def test_a_retry_after_leaving_still_gets_the_first_answer(table: Table) -> None:
    posting, leaving = table.world.new_id(), table.world.new_id()
    posted = table.act("mia", Post(text="hi"), posting)
    left = table.act("mia", Leave(), leaving)
    assert table.act("mia", Post(text="hi"), posting) == posted
    assert table.act("mia", Leave(), leaving) == left


def test_a_retry_after_the_end_of_the_group_still_gets_the_first_answer(table: Table) -> None:
    ids = [table.world.new_id() for _ in range(3)]
    posted = table.act("mia", Post(text="hi"), ids[0])
    joined = table.act("sam", Join(), ids[1])
    over = table.act("olga", Dissolve(), ids[2])
    assert table.act("mia", Post(text="hi"), ids[0]) == posted
    assert table.act("sam", Join(), ids[1]) == joined
    assert table.act("olga", Dissolve(), ids[2]) == over


def test_a_retry_after_joining_leaving_and_a_restart_gets_the_first_answer(table: Table) -> None:
    request_id = table.world.new_id()
    first = table.act("sam", Join(), request_id)
    table.act("sam", Leave())
    table.restart()
    assert table.act("sam", Join(), request_id) == first
    assert "sam" not in table.state.members


def test_a_retry_with_its_map_in_another_order_is_the_same_request(table: Table) -> None:
    request_id = table.world.new_id()
    card: dict[str, Any] = {"type": "poll", "a": 1, "b": {"c": 1, "d": [{"e": 1, "f": 2}]}}
    other = {"b": {"d": [{"f": 2, "e": 1}], "c": 1}, "a": 1, "type": "poll"}
    first = table.act("mia", Post(card=card), request_id)
    assert table.act("mia", Post(card=other), request_id) == first
    other["a"] = True
    assert outcome(table.refuse("mia", Post(card=other), request_id)) == "conflict: id_reused"


def test_a_retry_that_spells_out_defaults_is_the_same_request() -> None:
    spelt = {"text": "hi", "mentions": [], "card": None, "reply_to": None, "unknown": 7}
    assert codec.request_hash(Post.parse(spelt)) == codec.request_hash(Post(text="hi"))
    assert codec.request_hash(Post(text="ho")) != codec.request_hash(Post(text="hi"))
    assert codec.request_hash(Leave()) != codec.request_hash(Dissolve())


@pytest.mark.parametrize("cls", REQUESTS.values(), ids=lambda cls: cls.method)
@settings(max_examples=20)
@given(data=st.data())
def test_what_is_hashed_is_the_method_and_the_parameters_with_all_keys_sorted(
    cls: type[Request], data: st.DataObject
) -> None:
    request = data.draw(strategies.requests(cls))
    asked = msgpack.packb([request.method, ordered(request.params())])
    assert codec.request_hash(request) == sha256(asked).digest()[:16]


@pytest.mark.parametrize(
    ("request_", "hexadecimal"),
    [
        (Post("hi", reply_to=3, mentions=("bob",)), "76a2c1337e0c3a96aa462200104b5205"),
        (
            Create(name="Tea", data={"b": 1, "a": [True, None]}, members=("bob",)),
            "1c36aeaa883dbd317c06086c53777c6d",
        ),
    ],
)
def test_a_retry_still_matches_what_an_earlier_version_has_stored(
    request_: Request, hexadecimal: str
) -> None:
    assert codec.request_hash(request_).hex() == hexadecimal


def test_a_retry_after_the_content_was_erased_and_a_restart_gets_the_first_answer(
    table: Table,
) -> None:
    request_id = table.world.new_id()
    first = table.act("mia", Post(text="hi"), request_id)
    book = table.book
    book.records[-1] = erased(book.records[-1])
    book.state = book.replayed()
    assert table.act("mia", Post(text="hi"), request_id) == first


def remembering(count: int) -> RequestMemory:
    memory = RequestMemory()
    for number in range(1, count + 1):
        memory.remember("ann", uuid7(NOW_MS, number), Receipt(HASH, 2 * number, NOW_MS, None))
    return memory


@given(st.integers(0, 6), st.lists(st.integers(0, 15), max_size=4))
def test_erasing_takes_the_hashes_of_those_records_and_nothing_else(
    count: int, seqs: list[int]
) -> None:
    memory, before = remembering(count), remembering(count)
    memory.erase(seqs)
    for now, was in zip(memory.receipts, before.receipts, strict=True):
        kept = was[2]._replace(request_hash=b"") if was[2].seq in seqs else was[2]
        assert now == (*was[:2], kept)


# --- the window


@pytest.mark.parametrize(
    ("age_ms", "is_stale"),
    [
        (25 * HOUR_MS, True),
        (24 * HOUR_MS, True),
        (24 * HOUR_MS - 1, False),
        (0, False),
        (-5 * 60_000, False),
        (-5 * 60_000 - 1, True),
    ],
)
def test_an_id_is_taken_for_24_hours_and_up_to_5_minutes_ahead(
    table: Table, age_ms: int, is_stale: bool
) -> None:
    request_id = uuid7(NOW_MS - age_ms)
    if is_stale:
        error = table.refuse("mia", Post(text="hi"), request_id)
        assert error.code == "stale_id"
        assert error.details == {"time_ms": NOW_MS, "oldest_ms": NOW_MS - 24 * HOUR_MS + 1}
    else:
        table.act("mia", Post(text="hi"), request_id)


def test_the_oldest_ms_of_the_refusal_is_the_oldest_that_is_taken(table: Table) -> None:
    oldest = table.refuse("mia", Post(text="hi"), uuid7(0)).details["oldest_ms"]
    assert table.refuse("mia", Post(text="hi"), uuid7(oldest - 1)).code == "stale_id"
    table.act("mia", Post(text="hi"), uuid7(oldest))


@pytest.mark.parametrize(
    "wrong",
    [
        "x",
        "0190163d-8694-4bcd-8c3e-3c8b8b5c2d1e",
        "0190163d-8694-7bcd-7c3e-3c8b8b5c2d1e",
        "0190163d86947bcd8c3e3c8b8b5c2d1e",
        "{0190163d-8694-7bcd-8c3e-3c8b8b5c2d1e}",
        "0190163d-8694-7bcd-8c3e-3c8b8b5c2d1e\n",
        "٠190163d-8694-7bcd-8c3e-3c8b8b5c2d1e",
    ],
)
def test_what_is_no_uuid7_is_a_bad_request(table: Table, wrong: str) -> None:
    assert table.refuse("mia", Post(text="hi"), wrong).details == {"field": "id"}


@given(request_ids(NOW_MS), st.integers(0, 2**48 - 1), st.integers(0, 2**74 - 1))
def test_the_time_in_an_id_is_read_back(drawn: str, time_ms: int, tail: int) -> None:
    assert request_id_ms(uuid7(time_ms, tail)) == time_ms
    assert NOW_MS - 23 * HOUR_MS <= request_id_ms(drawn) <= NOW_MS


# --- forgetting


def test_a_day_later_an_id_is_forgotten_and_its_retry_is_stale(table: Table) -> None:
    old = uuid7(NOW_MS)
    table.act("mia", Post(text="hi"), old)
    table.world.now_ms += 24 * HOUR_MS
    table.act("mia", Post(text="later"))
    assert table.book.records[-1].forget == 1
    assert not table.state.memory.receipts
    assert table.state.memory.forgotten == {"mia": NOW_MS}
    assert table.refuse("mia", Post(text="hi"), old).code == "stale_id"


def test_just_before_that_it_is_remembered(table: Table) -> None:
    old = uuid7(NOW_MS)
    first = table.act("mia", Post(text="hi"), old)
    table.world.now_ms += 24 * HOUR_MS - 1
    table.act("mia", Post(text="later"))
    assert table.act("mia", Post(text="hi"), old) == first


def test_an_id_from_the_future_stays_refused_when_its_time_comes_after_it_was_forgotten(
    table: Table,
) -> None:
    ahead = uuid7(NOW_MS + 5 * 60_000)
    table.act("mia", Post(text="hi"), ahead)
    table.world.now_ms += 24 * HOUR_MS
    table.act("mia", Post(text="later"))
    assert not table.state.memory.receipts
    assert table.refuse("mia", Post(text="hi"), ahead).code == "stale_id"


def test_over_the_bound_the_oldest_is_forgotten_and_stale_for_ever(table: Table) -> None:
    table.world.limits = attrs.evolve(LIMITS, ids_max=3)
    ids = [uuid7(NOW_MS + number) for number in range(5)]
    table.world.now_ms = NOW_MS + 10
    for request_id in ids:
        table.act("mia", Post(text="hi"), request_id)
    assert [key[1] for key in table.state.memory.receipts] == ids[2:]
    assert table.state.memory.forgotten == {"mia": NOW_MS + 1}
    for request_id in (*ids[:2], uuid7(NOW_MS + 1, 99)):
        error = table.refuse("mia", Post(text="hi"), request_id)
        assert (error.code, error.details["oldest_ms"]) == ("stale_id", NOW_MS + 2)
    table.restart()
    assert table.refuse("mia", Post(text="hi"), ids[0]).code == "stale_id"


def test_forgetting_an_older_id_later_does_not_bring_a_newer_one_back(table: Table) -> None:
    table.world.limits = attrs.evolve(LIMITS, ids_max=2)
    newer, older = uuid7(NOW_MS), uuid7(NOW_MS - HOUR_MS)
    for request_id in (newer, older, uuid7(NOW_MS + 1), uuid7(NOW_MS + 2)):
        table.act("mia", Post(text="hi"), request_id)
    assert not {newer, older} & {key[1] for key in table.state.memory.receipts}
    assert table.state.memory.forgotten == {"mia": NOW_MS}
    assert table.refuse("mia", Post(text="hi"), newer).code == "stale_id"


def test_one_whose_clock_is_ahead_makes_only_their_own_ids_stale(table: Table) -> None:
    table.world.limits = attrs.evolve(LIMITS, ids_max=3)
    for number in range(4):
        table.act("mia", Post(text="hi"), uuid7(NOW_MS + 4 * 60_000 + number))
    assert table.refuse("mia", Post(text="now"), table.world.new_id()).code == "stale_id"
    assert table.act("olga", Post(text="now"), table.world.new_id())["status"] == "posted"


def test_where_too_many_lost_an_id_the_longest_silent_share_one_time(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(exactly_once, "FORGOTTEN_USERS_MAX", 2)
    memory = RequestMemory()
    for number, user in enumerate(("ann", "bob", "cy", "ann")):
        memory.remember(user, uuid7(NOW_MS + number), Receipt(HASH, number + 1, NOW_MS, None))
    memory.forget(4)
    assert (dict(memory.forgotten), memory.forgotten_ms) == (
        {"cy": NOW_MS + 2, "ann": NOW_MS + 3},
        NOW_MS + 1,
    )
    with pytest.raises(Rejected, match="stale_id"):
        memory.recall("dan", uuid7(NOW_MS + 1, 9), HASH, NOW_MS, LIMITS)


def test_who_lost_an_id_last_keeps_a_time_of_their_own(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(exactly_once, "FORGOTTEN_USERS_MAX", 2)
    memory = RequestMemory()
    for number, user in enumerate(("ann", "bob", "ann", "cy")):
        memory.remember(user, uuid7(NOW_MS + number), Receipt(HASH, number + 1, NOW_MS, None))
    memory.forget(4)
    assert list(memory.forgotten.items()) == [("ann", NOW_MS + 2), ("cy", NOW_MS + 3)]
    assert memory.forgotten_ms == NOW_MS + 1


def test_a_lowered_bound_is_reached_two_at_a_time(table: Table) -> None:
    for _ in range(9):
        table.act("mia", Post(text="hi"), table.world.new_id())
    table.world.limits = attrs.evolve(LIMITS, ids_max=3)
    sizes = []
    for _ in range(8):
        table.world.now_ms += 1
        table.act("mia", Post(text="hi"), table.world.new_id())
        assert table.book.records[-1].forget <= 2
        sizes.append(len(table.state.memory.receipts))
    assert sizes == [8, 7, 6, 5, 4, 3, 3, 3]


def test_replaying_under_other_limits_forgets_the_same(table: Table) -> None:
    table.world.limits = attrs.evolve(LIMITS, ids_max=2)
    for _ in range(6):
        table.act("mia", Post(text="hi"), table.world.new_id())
        table.world.now_ms += 9 * HOUR_MS
    assert table.book.replayed().hash() == table.state.hash()


@attrs.define
class Client:
    """What somebody who sends requests with ids knows of them."""

    memory: RequestMemory = attrs.field(factory=RequestMemory)
    took_effect: set[tuple[str, str]] = attrs.field(factory=set)
    seq: int = 0

    def send(self, user: str, request_id: str, now_ms: int, limits: Limits) -> str:
        try:
            receipt = self.memory.recall(user, request_id, HASH, now_ms, limits)
        except Rejected as error:
            return error.code
        if receipt is not None:
            return "again"
        self.seq += 1
        self.memory.forget(self.memory.overdue(now_ms, limits))
        self.memory.remember(user, request_id, Receipt(HASH, self.seq, now_ms, None))
        assert (user, request_id) not in self.took_effect, "it took effect twice"
        self.took_effect.add((user, request_id))
        return "new"


@given(
    sends=st.lists(
        st.tuples(
            st.sampled_from(("ann", "bob")),
            st.sampled_from((-26, -2, -1, 0)),
            st.integers(0, 2),
            st.sampled_from((0, 0, 1, HOUR_MS, 7 * HOUR_MS)),
        ),
        min_size=10,
        max_size=40,
    ),
    ids_max=st.integers(2, 5),
)
def test_no_id_ever_takes_effect_twice_in_bounded_memory(
    sends: list[tuple[str, int, int, int]], ids_max: int
) -> None:
    limits = attrs.evolve(LIMITS, ids_max=ids_max)
    client, now_ms = Client(), NOW_MS
    for user, hours, tail, pass_ms in sends:
        now_ms += pass_ms
        # Ids are made at fixed times, so that old ones are sent again and again.
        client.send(user, uuid7(NOW_MS + hours * HOUR_MS, tail), now_ms, limits)
        assert len(client.memory.receipts) <= ids_max
        assert RequestMemory.load(codec.unpack(codec.pack(client.memory.dump()))) == client.memory
