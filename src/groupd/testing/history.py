"""What clients asked and saw in one run, and what the store held in the end: a history.

A recorder appends to it, ``groupd.testing.checker`` reads it. Simulation, kill -9 and soak runs
write the same form, one JSON object in a line. It knows the form only: what a history says of a
server is the checker's to judge. Like the checker it imports nothing of the server.

The order of the entries is the order in which things happened: of two entries, the earlier one was
over before the later one began. ``time`` is for people and for liveness.

Requests are two entries, ``invoke`` and then ``ok``, ``fail`` or ``info``, which names the first by
its number (``of``). ``args`` are ``{user, tenant?, **params}``: ``user`` is who asks, so a
parameter that the protocol itself calls ``user`` is recorded as ``whom``; ``invoke`` sees to that.

| type | of a request | without one |
|---|---|---|
| ``invoke`` | it was sent | |
| ``ok`` | ``result`` is the answer | |
| ``fail`` | refused; ``result`` is ``{code, reason?, message, ...}`` | |
| ``info`` | nobody knows: the connection was lost, or time was up | something was seen |

What is seen without a request, by ``op``:

| op | process | args |
|---|---|---|
| ``connected``, ``disconnected`` | a client | |
| ``event`` | a client | ``user, tenant?, event``: a map, as it was pushed |
| ``account_event`` | a client | ``user, tenant?, event`` |
| ``lagged`` | a client | ``user, tenant?, group, head`` |
| ``goodbye`` | a client | ``code`` |
| ``crash``, ``restart`` | ``server`` | |
| ``healed`` | ``server`` | all faults are over; from here on liveness counts |
| ``log`` | ``store`` | ``stream: [kind, tenant, key], records: [record]`` |
| ``state`` | ``store`` | ``stream, live, replayed, from_snapshot``: hashes in hexadecimal |
| ``resources`` | ``server`` | ``when: before or after, tasks, descriptors, links, outbox_bytes`` |
| ``config`` | ``server`` | limits that the counters need: see the checker |

A record is ``{seq, time_ms, user, kind, id, n, body}``: ``id`` is empty where the request had none,
``n`` counts messages so far, and ``body`` has the event's own fields as they are pushed, or is null
where it was erased. A stream may be dumped several times, such as after each restart.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, Final

import attrs

ENTRIES_MAX: Final = 5_000_000
"""Entries of one history; a longer run is to be recorded in several."""
LINE_MAX_BYTES: Final = 256 * 1024 * 1024
"""One line of a file. The longest ones are dumps of a whole log."""
TYPES: Final = ("invoke", "ok", "fail", "info")


class HistoryError(ValueError):
    """This is no history: the message says where and why."""


@attrs.frozen(slots=True)
class Entry:
    """One thing that happened. Frozen; the maps in it are not to be changed either."""

    time: int
    """Microseconds on the run's own clock; never falls."""
    process: str
    """Which client; or ``server``, ``store``."""
    type: str
    op: str
    args: Mapping[str, Any] = attrs.field(factory=dict)
    result: Mapping[str, Any] = attrs.field(factory=dict)
    connection: int = 0
    """Which connection of the run; 0 for none. A number is never used for two connections."""
    of: int = 0
    """The number of the ``invoke`` that this is the outcome of; 0 for none."""

    def __attrs_post_init__(self) -> None:
        if self.type not in TYPES:
            raise HistoryError(f"type is {self.type!r}, expected one of {', '.join(TYPES)}")
        if not self.op:
            raise HistoryError("op is empty")


class History:
    """An append-only list of entries, numbered from 1. One task, or one at a time, appends."""

    def __init__(self, now_us: Callable[[], int]) -> None:
        """Begin an empty history; ``now_us`` is the run's own clock, in microseconds."""
        self._now_us = now_us
        self._entries: list[Entry] = []

    def __len__(self) -> int:
        return len(self._entries)

    def __iter__(self) -> Iterator[Entry]:
        return iter(self._entries)

    def __getitem__(self, number: int) -> Entry:
        """Give the entry of this number, from 1."""
        if not 1 <= number <= len(self._entries):
            raise IndexError(number)
        return self._entries[number - 1]

    def append(self, entry: Entry) -> int:
        """Take an entry as it is, and give its number.

        Raises HistoryError where there are ``ENTRIES_MAX``, where time falls, or where ``of`` names
        no ``invoke``. That a request has one outcome only is for the checker to see.
        """
        entries = self._entries
        if len(entries) >= ENTRIES_MAX:
            raise HistoryError(f"a history has at most {ENTRIES_MAX} entries")
        if entries and entry.time < entries[-1].time:
            raise HistoryError(f"time falls from {entries[-1].time} to {entry.time}")
        if entry.of and not (
            1 <= entry.of <= len(entries) and entries[entry.of - 1].type == "invoke"
        ):
            raise HistoryError(f"of is {entry.of}, which is no invoke")
        entries.append(entry)
        return len(entries)

    def invoke(
        self,
        process: str,
        op: str,
        params: Mapping[str, Any] | None = None,
        *,
        user: str,
        tenant: str = "",
        connection: int = 0,
    ) -> int:
        """Note a request just before it is sent; give the number for its outcome.

        ``params`` are those of the protocol, without the token.
        """
        args = {name: value for name, value in (params or {}).items() if name != "token"}
        if "user" in args:
            args["whom"] = args.pop("user")
        args["user"] = user
        if tenant:
            args["tenant"] = tenant
        return self.append(
            Entry(self._now_us(), process, "invoke", op, args, connection=connection)
        )

    def ok(self, of: int, result: Mapping[str, Any]) -> int:
        """Note that the request ``of`` was answered with a result."""
        return self._outcome(of, "ok", result)

    def fail(self, of: int, error: Mapping[str, Any]) -> int:
        """Note that the request ``of`` was answered with an error: a map with its ``code``."""
        return self._outcome(of, "fail", error)

    def info(self, of: int, why: str = "") -> int:
        """Note that nobody will know what became of the request ``of``."""
        return self._outcome(of, "info", {"why": why} if why else {})

    def note(self, process: str, op: str, *, connection: int = 0, **args: Any) -> int:
        """Note what was seen without a request."""
        return self.append(Entry(self._now_us(), process, "info", op, args, connection=connection))

    def _outcome(self, of: int, outcome: str, result: Mapping[str, Any]) -> int:
        asked = self[of]
        entry = Entry(
            *(self._now_us(), asked.process, outcome, asked.op),
            result=result,
            connection=asked.connection,
            of=of,
        )
        return self.append(entry)

    def to_jsonl(self, path: Path) -> None:
        """Write the history into a file, in place of what was there. OSError passes through."""
        with path.open("w", encoding="utf-8") as file:
            for entry in self._entries:
                plain = attrs.asdict(entry, recurse=False, filter=_differs)
                file.write(json.dumps(plain, ensure_ascii=False, separators=(",", ":")) + "\n")

    @classmethod
    def from_jsonl(cls, path: Path) -> History:
        """Read a history back. What is appended to it later has the time of its last entry.

        Raises HistoryError with the line that is wrong; OSError passes through.
        """
        history = cls(lambda: history[len(history)].time if len(history) else 0)
        with path.open("rb") as file:
            for number in range(1, ENTRIES_MAX + 2):
                line = file.readline(LINE_MAX_BYTES + 1)
                if not line:
                    break
                try:
                    history.append(_parsed(line))
                except (HistoryError, UnicodeDecodeError, RecursionError) as error:
                    raise HistoryError(f"line {number}: {error}") from None
        return history


_SHAPES: Final[Mapping[str, type]] = {
    **dict.fromkeys(("time", "connection", "of"), int),
    **dict.fromkeys(("process", "type", "op"), str),
    **dict.fromkeys(("args", "result"), dict),
}


def _differs(field: attrs.Attribute[Any], value: Any) -> bool:
    return bool(value) or field.default is attrs.NOTHING


def _parsed(line: bytes) -> Entry:
    if len(line) > LINE_MAX_BYTES:
        raise HistoryError(f"a line has at most {LINE_MAX_BYTES} bytes")
    try:
        plain = json.loads(line)
    except json.JSONDecodeError as error:
        raise HistoryError(f"no JSON: {error}") from None
    if not isinstance(plain, dict):
        raise HistoryError("no JSON object")
    for name, value in plain.items():
        shape = _SHAPES.get(name)
        if shape is None:
            raise HistoryError(f"{name} is no field of an entry")
        if type(value) is not shape:
            raise HistoryError(f"{name} is {value!r:.60}, expected {shape.__name__}")
    missing = [name for name in ("time", "process", "type", "op") if name not in plain]
    if missing:
        raise HistoryError(f"{missing[0]} is missing")
    return Entry(**plain)
