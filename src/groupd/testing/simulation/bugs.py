"""Bugs planted on purpose: the test of the simulator is that it finds each of them.

Each takes something away that the real code does, by patching it from here for as long as the bug
is planted; the server has no switch for any of them. ``docs/reliability.md`` lists them with the
seeds that it took to find them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any, Final
from unittest import mock

import attrs

from groupd.domain.base import Receipt, StreamKey
from groupd.domain.exactly_once import RequestMemory
from groupd.domain.group import parts
from groupd.domain.group.recalls import Recalled
from groupd.domain.group.state import Group
from groupd.engine import actor, batch, hub, loading, outlet, roster
from groupd.engine.gathering import Gathering
from groupd.engine.ledger import Ledger
from groupd.engine.peer import Peer
from groupd.engine.publication import Publication
from groupd.storage import sqlite_file
from groupd.storage.port import Write
from groupd.storage.rounds import Done, Job
from groupd.testing.simulation import log as sim_log
from groupd.testing.simulation.scenario import PLAN, PLAN_NAME, Scenario
from groupd.wire import rpc

SKIP_EVERY: Final = 25
"""Deliveries of which one is skipped, where that is the bug."""

Patch = Callable[[], Any]


def _acknowledge_before_durable() -> Any:
    def begin(self: sim_log.SimLog, write: Write, done: Done) -> None:
        done(None)
        self._add(Job(write, None))

    return mock.patch.object(sim_log.SimLog, "begin", begin)


def _no_fsync_at_commit() -> Any:
    settings = tuple(
        ("synchronous", "normal", 1) if name == "synchronous" else (name, value, expected)
        for name, value, expected in sqlite_file._SETTINGS
    )
    return mock.patch.object(sqlite_file, "_SETTINGS", settings)


def _no_request_ids_at_all() -> Any:
    return mock.patch.object(RequestMemory, "recall", _give_nothing)


def _ids_lost_with_a_snapshot() -> Any:
    return mock.patch.object(RequestMemory, "load", classmethod(lambda cls, _plain: cls()))


def _ids_not_replayed() -> Any:
    real = Ledger.replay

    def replay(self: Ledger, record: Any) -> None:
        real(self, record._replace(request_id=""))

    return mock.patch.object(Ledger, "replay", replay)


def _a_delivery_skipped() -> Any:
    count = 0

    def push_all(peers: Iterable[Peer], stream: StreamKey, chunk: bytes) -> None:
        nonlocal count
        for one in peers:
            count += 1
            if count % SKIP_EVERY:
                one.push(stream, chunk)

    return mock.patch.object(outlet, "push_all", push_all)


def _removed_members_go_on_reading() -> Any:
    real = batch.publication_of

    def publication_of(*args: Any) -> Publication:
        made = real(*args)
        made.moves = [move for move in made.moves if move.view is not None]
        return made

    return mock.patch.multiple(
        "groupd.engine.batch", publication_of=publication_of
    ), mock.patch.object(loading, "publication_of", publication_of)


def _an_old_connection_unsubscribes_the_new_one() -> Any:
    real = hub.Hub.part

    def part(self: hub.Hub, one: Peer, caller: Any) -> None:
        for other in tuple(self.outlets.roster.peers((caller.tenant, caller.user))):
            real(self, other, caller)
        real(self, one, caller)

    return mock.patch.object(hub.Hub, "part", part)


def _a_greeting_misses_what_changes_meanwhile() -> Any:
    def watch(_self: roster.Roster, _peer: Peer) -> Mapping[StreamKey, Any]:
        return {}

    return mock.patch.object(roster.Roster, "watch", watch)


def _lagging_is_not_said() -> Any:
    real = Peer.take

    def take(self: Peer) -> bytes:
        self._lagging.clear()
        return real(self)

    return mock.patch.object(Peer, "take", take)


def _a_failed_append_stays_in_memory() -> Any:
    async def keep(_self: actor.Actor) -> None:
        pass

    return mock.patch.object(actor.Actor, "_reload", keep)


def _one_member_too_many() -> Any:
    real = Scenario.config
    roomy = attrs.evolve(PLAN, members_max=PLAN.members_max + 1)

    def config(self: Scenario) -> Any:
        return attrs.evolve(real(self), plans={PLAN_NAME: roomy})

    return mock.patch.object(Scenario, "config", config)


def _links_work_for_ever() -> Any:
    return mock.patch.object(parts.Link, "dead_reason", _give_nothing)


def _recalled_bodies_of_others_go_too() -> Any:
    real = Recalled.erases

    def erases(self: Recalled) -> Any:
        return (*real(self), max(1, self.message - 1))

    return mock.patch.object(Recalled, "erases", erases)


def _a_snapshot_forgets_pins() -> Any:
    real = Group.dump

    def dump(self: Group, *, erasable: bool = True) -> Any:
        plain = real(self, erasable=erasable)
        if erasable:
            plain[9] = [[], plain[9][1]]
        return plain

    return mock.patch.object(Group, "dump", dump)


def _a_partial_send_repeats_a_byte() -> Any:
    real = Peer.push

    def push(self: Peer, stream: StreamKey, chunk: bytes) -> None:
        kept = self._keep

        def keep(data: bytes) -> None:
            kept(chunk[len(chunk) - len(data) - 1 :] if 0 < len(data) < len(chunk) else data)

        with mock.patch.object(Peer, "_keep", lambda _self, data: keep(data)):
            real(self, stream, chunk)

    def push_all(peers: Iterable[Peer], stream: StreamKey, chunk: bytes) -> None:
        for one in peers:
            push(one, stream, chunk)

    return mock.patch.object(outlet, "push_all", push_all)


def _reads_are_behind_answers() -> Any:
    def settled_seq(self: outlet.Outlets, stream: StreamKey) -> int | None:
        one = self.get(stream)
        return None if one is None else one.published_seq

    return mock.patch.object(outlet.Outlets, "settled_seq", settled_seq)


def _what_gathers_is_overtaken() -> Any:
    real = Gathering.add

    def add(self: Gathering, publication: Publication, now_s: float) -> Publication | None:
        due = real(self, publication, now_s)
        if due is publication or due is None:
            return due
        self.kept = Publication(due.last_seq, due.frames[: -len(publication.frames)])
        return publication

    return mock.patch.object(Gathering, "add", add)


def _requests_of_a_read_are_reversed() -> Any:
    real = rpc.Unframer.feed

    def feed(self: rpc.Unframer, data: bytes) -> list[rpc.Message]:
        messages = real(self, data)
        is_asked = all(isinstance(message, rpc.Request) for message in messages)
        return messages[::-1] if is_asked else messages

    return mock.patch.object(rpc.Unframer, "feed", feed)


def _the_first_receipt_is_another_ones() -> Any:
    real = RequestMemory.recall

    def recall(self: RequestMemory, *args: Any, **more: Any) -> Receipt | None:
        receipt = real(self, *args, **more)
        return None if receipt is None else receipt._replace(seq=receipt.seq + 1)

    return mock.patch.object(RequestMemory, "recall", recall)


BUGS: Final[Mapping[str, Patch]] = {
    "acknowledge-before-durable": _acknowledge_before_durable,
    "no-fsync-at-commit": _no_fsync_at_commit,
    "no-request-ids": _no_request_ids_at_all,
    "ids-lost-with-a-snapshot": _ids_lost_with_a_snapshot,
    "ids-not-replayed": _ids_not_replayed,
    "retry-answered-wrongly": _the_first_receipt_is_another_ones,
    "delivery-skipped": _a_delivery_skipped,
    "removed-go-on-reading": _removed_members_go_on_reading,
    "lagging-not-said": _lagging_is_not_said,
    "failed-append-kept": _a_failed_append_stays_in_memory,
    "one-member-too-many": _one_member_too_many,
    "links-work-for-ever": _links_work_for_ever,
    "others-erased-too": _recalled_bodies_of_others_go_too,
    "snapshot-forgets-pins": _a_snapshot_forgets_pins,
    "partial-send-repeats": _a_partial_send_repeats_a_byte,
    "reads-behind-answers": _reads_are_behind_answers,
    "gathered-is-overtaken": _what_gathers_is_overtaken,
    "requests-reversed": _requests_of_a_read_are_reversed,
}
"""Name -> what plants it. Each is found within 150 seeds."""
ELUSIVE: Final[Mapping[str, Patch]] = {
    "old-unsubscribes-new": _an_old_connection_unsubscribes_the_new_one,
    "greeting-misses-news": _a_greeting_misses_what_changes_meanwhile,
}
"""Those that take more seeds than that: what the simulator is still too kind for."""


def _give_nothing(*_args: Any, **_more: Any) -> None:
    """Be in place of what gives something."""


@contextmanager
def planted(name: str | None) -> Iterator[None]:
    """Have a bug in groupd for as long as the block runs; None for none."""
    if name is None:
        yield
        return
    patches = {**BUGS, **ELUSIVE}[name]()
    with _all_of(patches if isinstance(patches, tuple) else (patches,)):
        yield


@contextmanager
def _all_of(patches: Iterable[Any]) -> Iterator[None]:
    rest = list(patches)
    if not rest:
        yield
        return
    with rest[0], _all_of(rest[1:]):
        yield
