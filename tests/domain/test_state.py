"""A group as a whole: what holds whatever several users do. Who may do what: ``tests/access``."""

from __future__ import annotations

from itertools import pairwise

import attrs
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from groupd.config import Limits, Plan
from groupd.domain.base import ACCOUNT, GROUP, Role, StreamKey, Unknown
from groupd.domain.group.board import Announce, PinMessage
from groupd.domain.group.info import Info
from groupd.domain.group.links import ShareLink
from groupd.domain.group.membership import Join, Leave
from groupd.domain.group.messages import Post
from groupd.domain.group.settings import Dissolve, Update
from groupd.domain.group.state import Group
from groupd.domain.stream import Stream
from groupd.errors import Rejected
from groupd.wire import codec
from tests import strategies
from tests.domain.bench import (
    GROUP_IDS,
    KEYS,
    Table,
    World,
    erased,
    outcome,
    reloaded,
    verify_chain,
)
from tests.strategies import NOW_MS, Step, uuid7


def test_a_group_that_is_both_hidden_and_dissolved_does_not_exist_to_strangers(
    table: Table,
) -> None:
    table.act("olga", Update(discoverable=False))
    table.act("olga", Dissolve())
    for request in (Info(), Join(), Post(text="hi"), Update(name="x")):
        assert table.refuse("sam", request).code == "not_found"


def test_what_no_group_is_named_as_is_not_found(world: World) -> None:
    for request in (Info(), Join(), Post(text="hi"), Dissolve()):
        with pytest.raises(Rejected) as caught:
            Table(world, "NO SUCH GROUP ID").act("ann", request)
        assert caught.value.to_wire() == {"code": "not_found", "message": "no such group"}


# --- whatever several users do

FIRST_GROUP = GROUP_IDS.format(1)
CODES = tuple(str(KEYS.code("", FIRST_GROUP, number, "k1")) for number in (1, 2, 3))
WRONG = (CODES[0][:-2] + "AA", FIRST_GROUP, "x")

SMALL = {"ordinary": Plan(groups_owned_max=2, members_max=4, pins_max=2, links_max=2)}


def played(steps: list[Step], *, ids_max: int = 1_000, hidden: bool = False) -> Table:
    """Give a small group with something in it, after several users have done, or tried, this."""
    limits = attrs.evolve(Limits(), ids_max=ids_max)
    world = World(limits=limits, plans=SMALL)
    table = world.found("ann", members=["bob"], discoverable=not hidden)
    table.admit("dora", Role.ADMIN)
    said = [table.act("bob", Post(text="hi"))["seq"] for _ in range(2)]
    table.act("dora", PinMessage(said[0]))
    table.act("ann", Announce("周六停业"))
    table.act("bob", ShareLink(uses_max=1))
    for step in steps:
        world.now_ms += step.pass_ms
        play(table, step)
        check(table)
    return table


def play(table: Table, step: Step) -> str:
    """Do one step, and give its outcome."""
    table.wake()
    request_id = "" if step.id_ago_ms is None else uuid7(NOW_MS - step.id_ago_ms, step.id_tail)
    before = table.state.hash()
    try:
        table.act(step.user, step.command, request_id)
    except Rejected as error:
        assert table.state.hash() == before, "a refusal has changed something"
        return outcome(error)
    return "ok"


def check(table: Table) -> None:
    """Check what holds after every step."""
    state = table.state
    assert 1 <= len(state.members) <= 4
    owners = [user for user, member in state.members.items() if member.role is Role.OWNER]
    assert owners == [state.owner]
    assert len(state.pins) <= 2
    assert len(list(state.live_links(table.world.now_ms))) <= 2
    for link in state.links.values():
        assert link.uses_max is None or link.uses <= link.uses_max
    assert len(state.memory.receipts) <= table.world.limits.ids_max
    deadline_ms = table.deadline_ms()
    assert bool(table.due()) == (deadline_ms is not None and deadline_ms <= table.world.now_ms)
    said = state.announcement
    assert said is None or said.acknowledged.keys() <= state.members.keys()


dialogues = strategies.dialogues(st.sampled_from(CODES + WRONG))


@settings(max_examples=60)
@given(steps=dialogues, hidden=st.booleans(), ids_max=st.sampled_from((2, 5, 1_000)))
def test_seqs_are_gapless_times_never_fall_and_the_chain_holds(
    steps: list[Step], hidden: bool, ids_max: int
) -> None:
    records = played(steps, hidden=hidden, ids_max=ids_max).book.records
    assert [record.seq for record in records] == list(range(1, len(records) + 1))
    assert all(a.time_ms <= b.time_ms for a, b in pairwise(records))
    counts = [0, *(record.n for record in records)]
    for before, record in zip(counts, records, strict=False):
        assert record.n == before + (record.kind in ("posted", "announced"))
    verify_chain(records)


@settings(max_examples=60)
@given(
    steps=dialogues,
    restart_at=st.sets(st.integers(1, 25)),
    ids_max=st.sampled_from((2, 5, 1_000)),
)
def test_a_replay_equals_the_live_state_also_by_way_of_snapshots(
    steps: list[Step], restart_at: set[int], ids_max: int
) -> None:
    table = played(steps, ids_max=ids_max)
    replayed = table.book.replayed(restart_at=restart_at)
    assert replayed == table.state
    assert replayed.hash() == table.state.hash()


@settings(max_examples=40)
@given(steps=dialogues, restart_before=st.sets(st.integers(0, 30)))
def test_a_restart_in_the_middle_changes_no_outcome(
    steps: list[Step], restart_before: set[int]
) -> None:
    one, other = played([]), played([])
    for number, step in enumerate(steps):
        if number in restart_before:
            other.restart()
        for table in (one, other):
            table.world.now_ms += step.pass_ms
        assert play(one, step) == play(other, step)
    assert one.book.records == other.book.records


@settings(max_examples=40)
@given(steps=dialogues, data=st.data())
def test_erased_posts_change_neither_the_state_hash_nor_the_chain(
    steps: list[Step], data: st.DataObject
) -> None:
    table = played(steps)
    gone = data.draw(st.sets(st.sampled_from(table.book.records).map(lambda record: record.seq)))
    records = [
        erased(record) if record.seq in gone and record.kind == "posted" else record
        for record in table.book.records
    ]
    verify_chain(records)
    assert table.book.replayed(records=records).hash() == table.state.hash()


@settings(max_examples=40)
@given(steps=dialogues, step=strategies.steps(st.sampled_from(CODES)))
def test_a_repeated_request_changes_nothing_and_gets_the_same_answer(
    steps: list[Step], step: Step
) -> None:
    table = played(steps)
    request_id = table.world.new_id()
    try:
        first = table.act(step.user, step.command, request_id)
    except Rejected:
        return
    before, head = table.state.hash(), table.seq
    remembered = (step.user, request_id) in table.state.memory.receipts
    if remembered:
        assert table.act(step.user, step.command, request_id) == first
        table.restart()
        assert table.act(step.user, step.command, request_id) == first
    assert (table.state.hash(), table.seq) == (before, head)


MOVES = ("create", "create", "dissolve", "hear")


@settings(max_examples=40)
@given(
    moves=st.lists(st.tuples(st.sampled_from(("ann", "bob")), st.sampled_from(MOVES)), max_size=30)
)
def test_quotas_are_exact_over_all_interleavings(moves: list[tuple[str, str]]) -> None:
    world = World(plans=SMALL)
    live: dict[str, list[str]] = {"ann": [], "bob": []}
    for user, move in moves:
        if move == "create":
            full = len(live[user]) == 2
            try:
                live[user].append(world.found(user).group)
                refused = False
            except Rejected as error:
                refused = error.code == "quota_exceeded"
            assert refused == full
        elif move == "dissolve" and live[user]:
            Table(world, live[user].pop(0)).act(user, Dissolve())
        elif move == "hear":
            world.spread()
    for user, groups in live.items():
        book = world.book(StreamKey(ACCOUNT, "", user))
        assert set(groups) <= set(world.account(user).owned)
        assert book.replayed(restart_at={2, 3}) == book.state


# --- events by themselves

short_dialogues = strategies.dialogues(st.sampled_from(CODES), min_size=0, max_size=6)


@pytest.mark.parametrize("stream", [GROUP, ACCOUNT])
@settings(max_examples=80)
@given(data=st.data())
def test_any_event_applies_to_any_state_and_the_state_survives_a_snapshot(
    stream: str, data: st.DataObject
) -> None:
    world = World()
    key = StreamKey(stream, "", FIRST_GROUP)
    if stream == GROUP:
        table = played(data.draw(short_dialogues))
        world, key = table.world, table.book.stream
    book = world.book(key)
    for event in data.draw(st.lists(strategies.all_events(stream), max_size=12)):
        world.write(book, event, data.draw(strategies.users()))
        event.views(book.records[-1])
        event.project(book.records[-1])
        event.receipt_value()
    again = reloaded(book.state)
    assert again.hash() == book.state.hash()
    assert again == book.state
    assert book.replayed() == book.state


def test_an_event_of_a_later_version_changes_only_the_head(table: Table) -> None:
    table.happen(Unknown(kind="poll_opened", fields={"question": "去哪?"}), "mia")
    assert table.book.event() == Unknown("poll_opened", {"question": "去哪?"})
    before: Stream = Group(
        **{f.name: getattr(table.state, f.name) for f in attrs.fields(Group) if f.init}
    )
    table.happen(Unknown(kind="poll_closed"))
    assert table.state == attrs.evolve(before, seq=before.seq + 1)


def test_a_snapshot_is_a_copy(table: Table) -> None:
    table.act("olga", Announce("一"))
    table.act("olga", Announce("二"))
    dumped, packed = table.state.dump(), codec.pack(table.state.dump())
    table.act("olga", Announce("三"))
    table.act("olga", PinMessage(table.seq))
    table.act("mia", Leave())
    assert codec.pack(dumped) == packed
