"""The comparison is compared: a sound run passes, and each way to be wrong is found."""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import Any, Final, TypeAlias

import pytest

from groupd.errors import Rejected
from tests.crash.compare import problems
from tests.crash.recording import Map, Recording

TEA: Final = "TEA"
Logs: TypeAlias = dict[str, list[Map]]
Break: TypeAlias = Callable[[Recording, Logs], object]


def event(seq: int, kind: str, user: str, **fields: Any) -> Map:
    return {"group": TEA, "seq": seq, "time_ms": 1_000 + seq, "user": user, "kind": kind, **fields}


def sound() -> tuple[Recording, Logs]:
    """Ann founds and posts; bob comes, posts and goes; the second post of ann is taken back."""
    log = [
        event(1, "created", "ann"),
        event(2, "joined", "ann", id="c", via="created"),
        event(3, "posted", "ann", id="a1", text="one"),
        event(4, "joined", "bob", id="b1", via="search"),
        event(5, "posted", "bob", id="b2", text="two"),
        event(6, "left", "bob", id="b3"),
        event(7, "posted", "ann", id="a2", text="three"),
        event(8, "recalled", "ann", id="a3", message=7),
        event(9, "posted", "ann", id="a4", text="nobody was told"),
    ]
    recording = Recording()
    ann = recording.connected("ann", {TEA: 2})
    bob = recording.connected("bob", None)
    for connection, method, id_, seq, params in (
        (ann, "post", "a1", 3, {"text": "one"}),
        (bob, "join", "b1", 4, {}),
        (bob, "post", "b2", 5, {"text": "two"}),
        (bob, "leave", "b3", 6, {}),
        (ann, "post", "a2", 7, {"text": "three"}),
        (ann, "recall", "a3", 8, {"seq": 7}),
    ):
        asked = recording.invoke(connection.user, method, {"group": TEA, "id": id_, **params})
        recording.sending(asked, connection)
        recording.ok(asked, {"seq": seq})
        recording.event(ann, copy.deepcopy(log[seq - 1]))
    recording.event(bob, copy.deepcopy(log[4]))
    for id_, text in (("a4", "nobody was told"), ("a5", "never came")):
        asked = recording.invoke("ann", "post", {"group": TEA, "id": id_, "text": text})
        recording.sending(asked, ann)
        recording.info(asked)
    log[6] = {key: log[6][key] for key in ("group", "seq", "time_ms", "user")} | {"kind": "erased"}
    return recording, {TEA: log}


def test_a_sound_run_passes() -> None:
    assert problems(*sound()) == []


def drop(seq: int) -> Break:
    return lambda recording, logs: logs[TEA].pop(seq - 1)


def cut(seq: int) -> Break:
    return lambda recording, logs: logs[TEA].__delitem__(slice(seq - 1, None))


def change(place: int, /, **fields: Any) -> Break:
    return lambda recording, logs: logs[TEA][place - 1].update(fields)


def append(kind: str, user: str, **fields: Any) -> Break:
    return lambda recording, logs: logs[TEA].append(event(10, kind, user, **fields))


def answer(number: int, **result: Any) -> Break:
    def give(recording: Recording, logs: Logs) -> None:
        asked = recording.asked[number]
        asked.given_up, asked.result = False, {**(asked.result or {}), **result}

    return give


def hear(seq: int, **fields: Any) -> Break:
    """Let ann hear an event of the log once more, or another one in its place."""

    def give(recording: Recording, logs: Logs) -> None:
        ann = recording.connected("ann", {TEA: 8})
        recording.event(ann, {**event(seq, "posted", "ann"), **fields})

    return give


def refuse(recording: Recording, logs: Logs) -> None:
    asked = recording.asked[-1]
    asked.given_up = False
    recording.fail(asked, Rejected("not_found", "no such group"))


def leave_open(recording: Recording, logs: Logs) -> None:
    recording.asked[-1].given_up = False


BREAKS: Final[dict[str, tuple[Break, str]]] = {
    "an acknowledged post is gone": (cut(7), "is lost"),
    "an event is missing in the middle": (drop(4), "the seqs are not"),
    "a seq is there twice": (change(5, seq=4), "the seqs are not"),
    "times fall": (change(9, time_ms=7), "times fall"),
    "a post has another text": (change(3, text="won"), "was acknowledged at 3"),
    "a post is somebody else's": (change(3, user="eve"), "was acknowledged at 3"),
    "a joining is no joining": (change(4, kind="requested"), "was acknowledged at 4"),
    "a post was acknowledged elsewhere": (answer(0, seq=5), "was acknowledged at 5"),
    "a post was acknowledged beyond the end": (answer(0, seq=12), "is lost"),
    "a post has another time": (answer(0, time_ms=7), "was acknowledged at 3"),
    "a retry happened again": (append("posted", "ann", id="a1", text="one"), "happened 2 times"),
    "one that was given up happened twice": (
        append("posted", "ann", id="a4", text="nobody was told"),
        "happened 2 times",
    ),
    "an id that nobody sent": (append("posted", "eve", id="e1", text="x"), "nobody sent"),
    "an id under another user": (append("posted", "bob", id="a5", text="x"), "nobody sent"),
    "one was refused for good": (refuse, "was refused"),
    "one was never answered": (leave_open, "never answered"),
    "a later request stands earlier": (change(3, id="a5"), "sent after 8"),
    "a connection's order is turned round": (answer(6, seq=3), "sent before it"),
    "a pushed event is gone": (hear(10), "was pushed and is lost"),
    "a pushed event has changed": (change(5, n=7), "was pushed as"),
    "an event was pushed in two forms": (hear(5, text="too"), "and later as"),
    "a recalled message is back": (change(7, kind="posted", text="three"), "is there still"),
    "a message is erased that nobody recalled": (change(5, kind="erased"), "was acknowledged at 5"),
    "an event was pushed again": (hear(5), "heard TEA 5 after 8"),
    "an event was passed over": (hear(11), "a silent gap"),
}


@pytest.mark.parametrize("way", BREAKS)
def test_what_is_wrong_is_found(way: str) -> None:
    recording, logs = sound()
    spoil, words = BREAKS[way]
    spoil(recording, logs)
    found = problems(recording, logs)
    assert any(words in line for line in found), found


def test_a_gap_that_was_announced_is_none() -> None:
    recording, logs = sound()
    ann = recording.connected("ann", {TEA: 3})
    recording.lagged(ann, TEA)
    recording.event(ann, copy.deepcopy(logs[TEA][5]))
    assert problems(recording, logs) == []
    recording.event(ann, copy.deepcopy(logs[TEA][8]))
    assert any("a silent gap" in line for line in problems(recording, logs))
