"""Compares what clients were told with what the log says in the end.

Border: this is a small judge of its own, pure and apart from the server. It reads a ``Recording``
and the whole log of each group as ``history`` gives it, and says in sentences what is wrong.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from typing import Final

from tests.crash.recording import Asked, Map, Recording

CAUSES: Final = {
    "post": "posted",
    "join": "joined",
    "leave": "left",
    "recall": "recalled",
}
"""Method -> the kind of event that it leaves in the log."""
FOUNDING: Final = "created"
"""How those came in whose ``joined`` is a ``create``'s doing, with its id."""
PROBLEMS_MAX: Final = 100
"""Sentences that are given; more than a few say nothing new."""


def problems(recording: Recording, logs: Mapping[str, Sequence[Map]]) -> list[str]:
    """Say what is wrong, one sentence each; nothing where all is well.

    ``logs`` has every group that was spoken to, its events from the first to the last.
    """
    found = [
        *recording.notes,
        *_not_gapless(logs),
        *_not_answered(recording),
        *_lost_or_doubled(recording, logs),
        *_out_of_order(recording),
        *_unlike_what_was_pushed(recording, logs),
    ]
    return found[:PROBLEMS_MAX]


def _not_gapless(logs: Mapping[str, Sequence[Map]]) -> Iterator[str]:
    for group, events in logs.items():
        seqs = [event["seq"] for event in events]
        if seqs != list(range(1, len(seqs) + 1)):
            yield f"{group}: the seqs are not 1 to {len(seqs)}"
        times = [event["time_ms"] for event in events]
        if times != sorted(times):
            yield f"{group}: times fall"


def _not_answered(recording: Recording) -> Iterator[str]:
    for asked in recording.asked:
        if asked.refusal is not None:
            yield f"{_name(asked)} was refused: {asked.refusal}"
        elif asked.is_open:
            yield f"{_name(asked)} was sent again and never answered"


def _lost_or_doubled(recording: Recording, logs: Mapping[str, Sequence[Map]]) -> Iterator[str]:
    recalled = _recalled(logs)
    by_intent = {(asked.user, asked.group, asked.id): asked for asked in recording.asked}
    taken: Counter[tuple[str, str, str]] = Counter()
    for group, events in logs.items():
        for event in events:
            if event["kind"] in CAUSES.values() and "id" in event and event.get("via") != FOUNDING:
                intent = (event["user"], group, event["id"])
                taken[intent] += 1
                asked = by_intent.get(intent)
                if asked is None:
                    yield f"{group} {event['seq']} has an id that nobody sent"
                elif event["seq"] <= asked.above:
                    yield f"{_name(asked)} stands at {event['seq']}, sent after {asked.above}"
    for intent, count in taken.items():
        if count > 1:
            yield (
                f"{_name(by_intent[intent])} happened {count} times"
                if intent in by_intent
                else (f"{intent} happened {count} times")
            )
    for asked in recording.asked:
        if asked.result is not None:
            yield from _not_where_it_was(asked, logs.get(asked.group, ()), recalled)


def _recalled(logs: Mapping[str, Sequence[Map]]) -> set[tuple[str, int]]:
    """Give the messages that somebody took back: group and seq."""
    return {
        (group, event["message"])
        for group, events in logs.items()
        for event in events
        if event["kind"] == "recalled"
    }


def _not_where_it_was(
    asked: Asked, events: Sequence[Map], recalled: set[tuple[str, int]]
) -> Iterator[str]:
    assert asked.result is not None
    seq = asked.result["seq"]
    if not 1 <= seq <= len(events):
        yield f"{_name(asked)} was acknowledged at {seq} and is lost"
        return
    event = events[seq - 1]
    if asked.method == "post" and (asked.group, seq) in recalled:
        expected = {"kind": "erased", "user": asked.user}
    else:
        expected = {"kind": CAUSES[asked.method], "user": asked.user, "id": asked.id}
        if asked.method == "post":
            expected["text"] = asked.params["text"]
    if "time_ms" in asked.result:
        expected["time_ms"] = asked.result["time_ms"]
    differing = {key: event.get(key) for key in expected if event.get(key) != expected[key]}
    if differing:
        yield f"{_name(asked)} was acknowledged at {seq}, where now is {differing}"[:400]


def _out_of_order(recording: Recording) -> Iterator[str]:
    """Say where what one connection sent first came last."""
    answered = (asked for asked in recording.asked if asked.result is not None)
    last: dict[tuple[int, str], int] = {}
    for asked in sorted(answered, key=lambda asked: asked.sent):
        assert asked.result is not None
        where = (asked.sent[0], asked.group)
        seq = asked.result["seq"]
        if seq <= last.get(where, 0):
            yield f"{_name(asked)} stands at {seq}, what was sent before it at {last[where]}"
        last[where] = seq


def _unlike_what_was_pushed(
    recording: Recording, logs: Mapping[str, Sequence[Map]]
) -> Iterator[str]:
    recalled = _recalled(logs)
    for (group, seq), pushed in recording.events.items():
        events = logs.get(group, ())
        stored = events[seq - 1] if 1 <= seq <= len(events) else None
        if stored is None:
            yield f"{group} {seq} was pushed and is lost"
        elif (group, seq) in recalled:
            if stored["kind"] != "erased":
                yield f"{group} {seq} was recalled, and is there still"
        elif stored != pushed:
            yield f"{group} {seq} was pushed as {pushed}, and is {stored}"[:400]


def _name(asked: Asked) -> str:
    return f"{asked.method} {asked.id} of {asked.user} in {asked.group}"
