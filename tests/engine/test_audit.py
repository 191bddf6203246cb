"""What is changed with a key leaves one entry, with the append that it tells of, for a while."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import attrs
import trio
from trio.testing import MockClock

from groupd.config import Limits
from groupd.domain.base import ACCOUNT, GROUP, SERVER, Identity, StreamKey
from groupd.domain.catalog import REQUESTS
from groupd.engine.audit import DAY_MS, PRUNE_S, SCAN, SCANS_MAX, read_audit, shown_entry
from groupd.engine.hub import Hub
from groupd.engine.mail import Behalf
from groupd.errors import LogConflict, LogUnavailable
from groupd.server.operator import disconnect, revoke
from groupd.storage.audit_port import AuditEntry, PutAudit
from groupd.storage.port import Store
from groupd.testing.fakes import START_MS, FakeClock, fake_ports
from groupd.web.sessions import cut_nobody
from tests.engine.rig import GateLog, group_key, hub_on, kinds_of, new_store, outcome, settle
from tests.strategies import uuid7

ID = uuid7(START_MS, 1)


def with_key(hub: Hub, method: str, key: str = "shop") -> Hub:
    return hub.on_behalf(Behalf(key, method))


async def ask(
    hub: Hub, method: str, user: str, group: str | None = None, /, *, id: str = "", **params: Any
) -> Mapping[str, Any]:
    """Ask as a user, with a key."""
    request: Any = REQUESTS[method].parse(params)
    asked = with_key(hub, method)
    return await asked.ask(Identity(user), request, group=group, request_id=id)


def audit_of(store: Store) -> list[AuditEntry]:
    return [item.entry for item in store.audit.since(0, 1_000)]


def short(store: Store) -> list[tuple[str, str, str, int, str]]:
    return [
        (entry.method, entry.user, entry.stream.kind, entry.seq, entry.about)
        for entry in audit_of(store)
    ]


async def test_what_is_done_with_a_key_leaves_an_entry_and_what_users_do_leaves_none() -> None:
    store = new_store()
    async with hub_on(store) as hub:
        group = (await ask(hub, "create", "ann", name="Tea", members=["bob"]))["group"]
        await hub.act_as("bob").post(group, text="a user's own")
        seq = (await ask(hub, "post", SERVER, group, text="order 7"))["seq"]
        banned = (await ask(hub, "ban", SERVER, group, user="bob"))["seq"]
        assert short(store) == [
            ("create", "ann", GROUP, 1, ""),
            ("post", "", GROUP, seq, ""),
            ("ban", "", GROUP, banned, "bob"),
        ]
        assert {entry.stream for entry in audit_of(store)} == {group_key(group)}
        assert {entry.key for entry in audit_of(store)} == {"shop"}
        (record,) = store.pick(group_key(group), [banned])
        assert (audit_of(store)[-1].time_ms, record.kind) == (record.time_ms, "banned")


async def test_a_retry_a_refusal_and_what_changes_nothing_leave_none() -> None:
    store = new_store()
    async with hub_on(store) as hub:
        group = (await hub.act_as("ann").create("Tea"))["group"]
        first = await ask(hub, "post", "ann", group, text="once", id=ID)
        assert await ask(hub, "post", "ann", group, text="once", id=ID) == first
        assert await outcome(ask(hub, "post", "bob", group, text="a stranger")) != "ok"
        assert await outcome(ask(hub, "post", "ann", group, text="other", id=ID)) != "ok"
        await ask(hub, "pin", "ann", group, seq=first["seq"])
        await ask(hub, "pin", "ann", group, seq=first["seq"])
        await ask(hub, "info", "ann", group)
        assert [each[0] for each in short(store)] == ["post", "pin"]


async def test_what_passes_through_an_account_is_noted_once() -> None:
    store = new_store()
    async with hub_on(store) as hub:
        group = (await hub.act_as("ann").create("Tea"))["group"]
        joined = await ask(hub, "join", "bob", group)
        assert short(store) == [("join", "bob", GROUP, joined["seq"], "")]


async def test_a_profile_that_a_call_brings_is_noted_with_that_call() -> None:
    store = new_store()
    async with hub_on(store) as hub:
        await with_key(hub, "post").introduce(Identity("ann", name="安"))
        assert short(store) == [("post", "ann", ACCOUNT, 1, "")]
        await with_key(hub, "post").introduce(Identity("ann", name="安"))
        assert len(audit_of(store)) == 1


async def test_one_batch_has_the_entries_of_its_own_requests_alone() -> None:
    log = GateLog(new_store())
    async with hub_on(log) as hub:
        group = (await hub.act_as("ann").create("Tea"))["group"]
        await settle()
        log.shut()
        async with trio.open_nursery() as nursery:
            nursery.start_soon(hub.act_as("ann").post, group, "begins an append")
            await settle()
            nursery.start_soon(lambda: ask(hub, "post", "ann", group, text="with a key"))
            await settle()
            nursery.start_soon(hub.act_as("ann").post, group, "without")
            await settle()
            log.appends.clear()
            log.open()
        (write,) = log.appends
        assert len(write.appends[0].records) == 2
        assert [entry.seq for entry in write.appends[0].audit] == [4]


async def test_where_the_append_fails_there_is_no_entry_and_a_second_try_leaves_one() -> None:
    log = GateLog(new_store())
    async with hub_on(log) as hub:
        group = (await hub.act_as("ann").create("Tea"))["group"]
        await settle()
        log.failures.append(LogUnavailable("the disk is full"))
        assert await outcome(ask(hub, "post", "ann", group, text="x", id=ID)) == "unavailable"
        assert (audit_of(log.store), kinds_of(log.store, group_key(group))[2:]) == ([], [])
        log.failures.append(LogConflict("somebody else was faster"))
        await ask(hub, "post", "ann", group, text="x", id=ID)
        assert [each[0] for each in short(log.store)] == ["post"]


async def test_revoking_is_noted_in_the_account() -> None:
    store = new_store()
    async with hub_on(store) as hub:
        operator = with_key(hub, "revoke", "operator")
        revoked = await revoke(operator, "", "ann", None, cut_nobody)
        await revoke(operator, "", "ann", revoked["before_ms"], cut_nobody)
        await disconnect(with_key(hub, "disconnect", "operator"), "", "ann", cut_nobody)
        assert short(store) == [
            ("revoke", "", ACCOUNT, 1, ""),
            ("disconnect", "", ACCOUNT, 0, ""),
        ]


# --- reading


def note(seq: int, stream: StreamKey | None = None, **given: Any) -> AuditEntry:
    entry = AuditEntry(START_MS, "shop", "ann", "post", stream or group_key("G"), seq)
    return attrs.evolve(entry, **given)


async def seqs(hub: Hub, tenant: str = "", **wanted: Any) -> list[int]:
    """Read all pages."""
    found: list[int] = []
    before: int | None = None
    while True:
        page = await read_audit(hub.log, tenant, before=before, **wanted)
        found += [item.entry.seq for item in page.entries]
        before = page.next
        if before is None:
            return found


async def test_it_is_read_the_latest_first_whole_or_in_part() -> None:
    async with hub_on() as hub:
        await hub.log.write(
            PutAudit(
                [
                    note(1),
                    note(2, key="other"),
                    note(3, user=SERVER, about="bob"),
                    note(4, Identity("bob").account, user=SERVER),
                    note(5, group_key("H"), user="bob"),
                    note(6, StreamKey(GROUP, "tenant", "G")),
                ]
            )
        )
        assert await seqs(hub) == [5, 4, 3, 2, 1]
        assert await seqs(hub, limit=2) == [5, 4, 3, 2, 1]
        assert await seqs(hub, group="G") == [3, 2, 1]
        assert await seqs(hub, user="bob") == [5, 4, 3]
        assert await seqs(hub, user="ann") == [2, 1]
        assert await seqs(hub, user="bob", group="G") == [3]
        assert await seqs(hub, key="other") == [2]
        assert await seqs(hub, "tenant") == [6]
        assert await seqs(hub, "nobody") == []


async def test_one_call_reads_no_more_than_it_may_and_says_where_to_go_on() -> None:
    count = SCAN * SCANS_MAX
    async with hub_on() as hub:
        await hub.log.write(PutAudit([note(1, key="rare"), *(note(2) for _ in range(count))]))
        page = await read_audit(hub.log, "", key="rare")
        assert (page.entries, page.next) == ([], 2)
        page = await read_audit(hub.log, "", key="rare", before=page.next)
        assert ([item.entry.seq for item in page.entries], page.next) == ([1], None)


async def test_an_entry_says_as_whom_in_the_form_of_a_call() -> None:
    async with hub_on() as hub:
        consumer = StreamKey("consumer", "", "orders")
        entries = [note(0, consumer, user=SERVER), note(7, user="system", about="bob")]
        await hub.log.write(PutAudit(entries))
        items = (await read_audit(hub.log, "")).entries
        common = {"time_ms": START_MS, "key": "shop", "method": "post"}
        assert [shown_entry(item) for item in items] == [
            {"n": 2, **common, "as": {"user": "system"}, "group": "G", "seq": 7, "user": "bob"},
            {"n": 1, **common, "as": "system", "consumer": "orders"},
        ]


# --- pruning


def kept(store: Store) -> Sequence[int]:
    return [item.n for item in store.audit.since(0, 10_000)]


async def test_it_is_kept_for_some_days(autojump_clock: MockClock) -> None:
    store, ports = new_store(), fake_ports()
    assert isinstance(ports.clock, FakeClock)
    async with hub_on(store, ports=ports, limits=Limits(audit_keep_days=2)) as hub:
        await hub.log.write(PutAudit([note(1), note(2), note(3, time_ms=START_MS + DAY_MS)]))
        ports.clock.jump(2 * DAY_MS - 5 * 60_000)
        await trio.sleep(2 * PRUNE_S)
        assert kept(store) == [1, 2, 3]
        ports.clock.jump(6 * 60_000)
        await trio.sleep(2 * PRUNE_S)
        assert kept(store) == [3]
        ports.clock.jump(DAY_MS)
        await trio.sleep(2 * PRUNE_S)
        assert kept(store) == []
        await hub.log.write(PutAudit([note(4)]))
        assert kept(store) == [4]


async def test_no_more_than_so_many_entries_are_kept_and_they_go_in_slices(
    autojump_clock: MockClock,
) -> None:
    log = GateLog(new_store())
    async with hub_on(log, limits=Limits(audit_max=10)) as hub:
        await hub.log.write(PutAudit([note(each) for each in range(1_200)]))
        await trio.sleep(PRUNE_S + 1)
        assert kept(log.store) == list(range(1_191, 1_201))


async def test_a_damaged_entry_ends_nothing_and_goes_in_its_turn(autojump_clock: MockClock) -> None:
    store = new_store()
    async with hub_on(store) as hub:
        damaged: Any = "1750"
        await hub.log.write(PutAudit([note(1, time_ms=damaged), note(2)]))
        await trio.sleep(PRUNE_S + 1)
        assert kept(store) == [2]


async def test_a_store_that_takes_nothing_is_pruned_later(autojump_clock: MockClock) -> None:
    log = GateLog(new_store())
    async with hub_on(log, limits=Limits(audit_max=1)) as hub:
        await hub.log.write(PutAudit([note(1), note(2)]))
        log.read_failures.append(LogUnavailable("the disk is full"))
        await trio.sleep(PRUNE_S + 1)
        await trio.sleep(PRUNE_S + 1)
        assert kept(log.store) == [2]
