"""What was recalled is in no file any more, and all else is as it was."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Final

import pytest
from trio.testing import wait_all_tasks_blocked

from groupd.domain.base import GROUP, Command, Identity, StreamKey
from groupd.domain.catalog import AGGREGATES, EVENTS
from groupd.domain.group.board import Announce, PinMessage
from groupd.domain.group.edits import Edit
from groupd.domain.group.messages import Post
from groupd.domain.group.reactions import React
from groupd.domain.group.recalls import Recall
from groupd.engine.hub import Hub
from groupd.engine.ledger import project
from groupd.storage.log import open_log
from groupd.storage.port import Store
from groupd.storage.sqlite import SqliteStore
from groupd.storage.verify import verify, verify_index
from groupd.wire import codec
from tests.domain.bench import erased
from tests.engine.rig import Answers, GateLog, group_key, hub_on, new_store, records_of, settle
from tests.strategies import NOW_MS, uuid7

SECRETS: Final = ("the gate code is 4711", "no, it is 4712", "and the alarm is off", "暗号是七")


def grep(directory: Path, words: Sequence[bytes]) -> set[bytes]:
    """Give those of some words that stand in any file of the directory."""
    files = [file.read_bytes() for file in directory.rglob("*") if file.is_file()]
    assert files
    return {word for word in words if any(word in content for content in files)}


def state_hash(store: Store, stream: StreamKey) -> bytes:
    """Give the hash of the state that a replay of the whole log comes to."""
    state = AGGREGATES[GROUP].state()
    for record in records_of(store, stream):
        state.apply(record, codec.decode_event(EVENTS[GROUP], record))
    return state.hash()


@pytest.mark.parametrize("threaded", [False, True])
async def test_a_recalled_message_and_its_edits_are_in_no_file(
    tmp_path: Path, *, threaded: bool
) -> None:
    def store() -> SqliteStore:
        return SqliteStore.open(tmp_path, new_id=lambda: "one")

    card = {"type": "link", "url": "https://a.example/", "title": SECRETS[2]}
    words = [text.encode() for text in SECRETS]
    hashes: list[bytes] = []

    async def act(hub: Hub, user: str, group: str, command: Command, number: int) -> int:
        hashes.append(codec.request_hash(command))
        caller = hub.act_as(user)
        answer = await caller.call(command, group=group, id=uuid7(NOW_MS, number))
        seq: int = answer["seq"]
        return seq

    async with open_log(store, threaded=threaded) as log:
        async with hub_on(log) as hub:
            group = (await hub.act_as("olga").create("Tea", members=["mia"]))["group"]
            seq = await act(hub, "mia", group, Post(text=SECRETS[0], mentions=["olga"]), 1)
            await act(hub, "mia", group, Edit(seq, text=SECRETS[1], card=card), 2)
            said = await act(hub, "olga", group, Announce(SECRETS[3]), 3)
            await act(hub, "olga", group, PinMessage(seq), 4)
            await act(hub, "olga", group, React(seq, "👍"), 5)
        # The hub has left with a snapshot, which holds the hashes of these requests.
        await log.read(lambda store: store.checkpoint())
        assert grep(tmp_path, words) == set(words)
        assert grep(tmp_path, hashes) == set(hashes)

        stream = group_key(group)
        before = await log.read(
            lambda store: [record.chain for record in records_of(store, stream)]
        )
        async with hub_on(log) as hub:
            await hub.act_as("mia").call(Recall(seq), group=group)
            await hub.act_as("olga").call(Recall(said), group=group)
            await wait_all_tasks_blocked(0.05)
            await log.read(lambda store: store.checkpoint())
            # The hub still runs: the snapshot went with what was erased.
            assert grep(tmp_path, words) == set()
            assert grep(tmp_path, hashes[:3]) == set()
            page = await hub.act_as("olga").history(group, after=0)
            kinds = {event["seq"]: event["kind"] for event in page["events"]}
            assert [kinds[one] for one in (seq, seq + 1, said)] == ["erased"] * 3
            shown = await hub.act_as("olga").info(group)
            assert (shown["pins"], "announcement" in shown) == ([], False)

        def check(store: Store) -> None:
            assert list(verify(store, stream)) == []
            assert list(verify_index(store, project)) == []
            chains = [record.chain for record in records_of(store, stream)]
            assert chains[: len(before)] == before
            snapshot = store.snapshot(stream)
            assert snapshot is not None
            live = AGGREGATES[GROUP].state.load(codec.unpack(snapshot.state))
            assert live.hash() == state_hash(store, stream)
            dump = list(store.dump_index())
            store.rebuild_index(project)
            assert list(store.dump_index()) == dump

        await log.read(check)
    assert grep(tmp_path, words) == set()


async def test_what_is_recalled_before_it_was_written_is_erased_too() -> None:
    """A post and its recall in one batch."""
    log = GateLog(new_store())
    async with hub_on(log) as hub:
        olga = hub.act_as("olga")
        group = (await olga.create("Tea"))["group"]
        await settle()
        answers = Answers()
        for tag, command in enumerate((Post(text="secret"), Edit(3, text="other"), Recall(3))):
            hub.submit(
                Identity("olga"), command,
                group=group, request_id="", replies=answers, tag=tag,
            )  # fmt: skip
        await settle()
        assert answers.codes == ["ok"] * 3
        records = records_of(log.store, group_key(group))
        assert [record.body for record in records[2:4]] == [None, None]
        assert records[2] == erased(records[2])
        assert list(verify(log.store, group_key(group))) == []
