"""A real server whose system calls fail, one of them, by the hand of ``strace``.

Border: it says what became of a server and of what was acknowledged; what should have become of it
is for ``test_storage_errors.py`` and ``error_loop.py``, by ``verdict``.

Only calls on the store's own files count, and for each sort of call apart: the first, the second
and so on of one thread. ``--seccomp-bpf`` leaves all other calls at full speed, and with ``-D`` the
process that was started is the server itself, so its pid and its exit code are its own.
"""

from __future__ import annotations

import copy
import re
import shutil
import subprocess
from pathlib import Path
from typing import Final

import attrs
import trio

from groupd.errors import Rejected
from tests.crash.clients import LOST, note_pushes, whole_log
from tests.crash.commands import Server, Wrapped, check, starting
from tests.crash.compare import problems
from tests.crash.recording import Asked, Connection, Map, Recording
from tests.e2e.process import Launcher, now_id
from tests.e2e.raw import RawClient, dial

SORTS: Final = ("pwrite64", "fdatasync", "fsync", "pread64", "openat", "ftruncate", "unlink")
ERRORS: Final = ("EIO", "ENOSPC")
STORE_FILES: Final = ("", "groupd.sqlite3", "groupd.sqlite3-wal", "groupd.sqlite3-journal",
                      "secret", "link-keys.json")  # fmt: skip
ALL_FILES: Final = ("fsync",)
"""Sorts that are counted on all files: new ones are synced under names that are drawn."""
POSTS: Final = 12
ATTEMPTS_MAX: Final = 20
"""How often an intent that is refused for now is sent again."""
RETRY_S: Final = 0.05
PATIENCE_S: Final = 10.0
"""How long the end of a server is waited for that has stopped answering."""


def why_not() -> str:
    """Say why nothing can be traced here; nothing where it can."""
    if shutil.which("strace") is None:
        return "strace is not installed"
    probe = ["strace", "-D", "-f", "-qq", "--seccomp-bpf", "-e", "inject=fsync:error=EIO", "true"]
    done = subprocess.run(probe, capture_output=True, text=True, timeout=30, check=False)
    return "" if done.returncode == 0 else f"strace may not trace here: {done.stderr[:200]}"


@attrs.frozen
class Case:
    """Which call fails, and how."""

    sort: str
    error: str
    number: int
    """From 1."""
    is_old: bool
    """The store has been used before, and its server was killed; else there is none yet."""
    files: tuple[str, ...] = STORE_FILES
    """Calls on these are counted: names in the data directory, the empty one for itself."""

    def __str__(self) -> str:
        age = "old" if self.is_old else "new"
        return f"{self.sort}-{self.error}-{self.number}-{age}"


@attrs.define
class Outcome:
    """What became of it."""

    was_met: bool
    """Whether the call was made at all."""
    call: str = ""
    """The line of the trace."""
    exit_code: int | None = None
    """None where the server went on until it was told to stop; then ``stop_code`` is set."""
    stop_code: int | None = None
    ended_after_s: float = 0.0
    """From the failed call to the end of the process."""
    last_words: list[str] = attrs.field(factory=list)
    has_traceback: bool = False
    refusals: list[Rejected] = attrs.field(factory=list)
    wrong: list[str] = attrs.field(factory=list)
    """What was lost, doubled or damaged, after a start without the tracer."""


class Conversation:
    """One client that asks one thing after the other, as long as there is a server."""

    def __init__(self, recording: Recording, group: str = "") -> None:
        self.recording = recording
        self.group = group
        self.refusals: list[Rejected] = []
        self._create_id = now_id()

    async def hold(self, server: Server) -> bool:
        """Say all of it; gives whether it came to its end."""
        try:
            async with dial(server.url) as client:
                await client.hello(server.token("ann"))
                await self._hold(client)
        except LOST:
            return False
        return True

    async def _hold(self, client: RawClient) -> None:
        heads = {place["group"]: place["head"] for place in client.greeting["groups"]}
        connection = self.recording.connected("ann", heads)
        if not self.group:
            founded = await self._insist(client, "create", name="Tea", id=self._create_id)
            self.group = founded["group"]
        for asked in [asked for asked in self.recording.asked if asked.is_open]:
            await self._change(client, connection, asked)
        for number in range(POSTS):
            text = f"{number} " + "tea " * (600 if number % 3 == 0 else 3)
            posted = await self._new(client, connection, "post", text=text.strip())
            if number % 4 == 1 and posted is not None:
                await self._new(client, connection, "recall", seq=posted["seq"])
            await self._insist(client, "history", group=self.group, before=2 + number * 7)

    async def _new(
        self, client: RawClient, connection: Connection, method: str, **params: object
    ) -> Map | None:
        params |= {"group": self.group, "id": now_id()}
        asked = self.recording.invoke("ann", method, params)
        await self._change(client, connection, asked)
        return asked.result

    async def _change(self, client: RawClient, connection: Connection, asked: Asked) -> None:
        for _ in range(ATTEMPTS_MAX):
            self.recording.sending(asked, connection)
            outcome = await client.outcome(await client.send(asked.method, **asked.params))
            note_pushes(client, connection, self.recording)
            if not isinstance(outcome, Rejected):
                self.recording.ok(asked, outcome)
                return
            self.refusals.append(outcome)
            self.recording.fail(asked, outcome)
            if outcome.code != "unavailable":
                return
            await trio.sleep(RETRY_S)

    async def _insist(self, client: RawClient, method: str, **params: object) -> Map:
        outcome: Map | Rejected = Rejected("unavailable", "")
        for _ in range(ATTEMPTS_MAX):
            outcome = await client.outcome(await client.send(method, **params))
            if not isinstance(outcome, Rejected):
                return outcome
            self.refusals.append(outcome)
            await trio.sleep(RETRY_S)
        raise EOFError(f"{method} was refused {ATTEMPTS_MAX} times: {outcome}")


@attrs.define
class OldStore:
    """A data directory that was used and left by a kill; each case works on a copy of it."""

    data: Path
    group: str
    recording: Recording

    @classmethod
    async def make(cls, launcher: Launcher, directory: Path) -> OldStore:
        """Make one in a directory."""
        conversation = Conversation(Recording())
        async with starting(launcher, directory / "data", directory) as server:
            await server.started()
            assert await conversation.hold(server)
            assert await conversation.hold(server)
        return cls(directory / "data", conversation.group, conversation.recording)


async def fail_at_rest(
    case: Case, launcher: Launcher, directory: Path, *, old: OldStore, patience_s: float
) -> Outcome:
    """Let one call fail while nobody speaks: the server's own work on the store at rest."""
    data, trace = directory / "data", directory / "trace"
    shutil.copytree(old.data, data, ignore=shutil.ignore_patterns("*.sock"))
    conversation = Conversation(copy.deepcopy(old.recording), old.group)
    tracer = Wrapped(_words(case, data, trace))
    outcome = Outcome(was_met=False)
    try:
        async with starting(tracer, data, directory) as server:
            if await server.serves():
                with trio.move_on_after(patience_s):
                    outcome.exit_code = await server.ends()
        outcome.last_words = server.last_words()
        outcome.has_traceback = server.has_traceback()
    finally:
        tracer.close()
    _read_trace(trace, server.pid, outcome)
    outcome.wrong = await _look(conversation, launcher, data, directory, is_old=True)
    return outcome


async def fail_one(case: Case, launcher: Launcher, directory: Path, *, old: OldStore) -> Outcome:
    """Let one call fail while somebody speaks, then start again and look at everything."""
    data, trace = directory / "data", directory / "trace"
    if case.is_old:
        shutil.copytree(old.data, data, ignore=shutil.ignore_patterns("*.sock"))
        conversation = Conversation(copy.deepcopy(old.recording), old.group)
    else:
        conversation = Conversation(Recording())
    tracer = Wrapped(_words(case, data, trace))
    outcome = Outcome(was_met=False)
    try:
        async with starting(tracer, data, directory) as server:
            if await server.serves() and await conversation.hold(server):
                outcome.stop_code = await server.terminate()
            else:
                with trio.move_on_after(PATIENCE_S):
                    outcome.exit_code = await server.ends()
        outcome.last_words = server.last_words()
        outcome.has_traceback = server.has_traceback()
    finally:
        tracer.close()
    _read_trace(trace, server.pid, outcome)
    outcome.refusals = conversation.refusals
    outcome.wrong += await _look(conversation, launcher, data, directory, is_old=case.is_old)
    return outcome


def _words(case: Case, data: Path, trace: Path) -> list[str | Path]:
    paths: list[str | Path] = []
    if case.sort not in ALL_FILES or case.files != STORE_FILES:
        for name in case.files:
            paths += ["-P", data / name]
    return [
        *("strace", "-D", "-f", "-q", "-y", "-ttt", "--seccomp-bpf", "-o", trace, *paths),
        *("-e", f"trace={case.sort}", "-e", "signal=none"),
        *("-e", f"inject={case.sort}:error={case.error}:when={case.number}"),
    ]


_LINE: Final = re.compile(r"(\d+) +(\d+\.\d+) (.*)")


def _read_trace(trace: Path, pid: int, outcome: Outcome) -> None:
    failed_at = ended_at = 0.0
    for line in trace.read_text(errors="replace").splitlines():
        found = _LINE.match(line)
        if found is None:
            continue
        what = found[3]
        if "(INJECTED)" in what and not outcome.was_met:
            outcome.was_met, failed_at, outcome.call = True, float(found[2]), what[:300]
        if int(found[1]) == pid and what.startswith("+++ "):
            ended_at = float(found[2])
    outcome.ended_after_s = ended_at - failed_at if outcome.was_met else 0.0


async def _look(
    conversation: Conversation, launcher: Launcher, data: Path, directory: Path, *, is_old: bool
) -> list[str]:
    """Start without the tracer; say what is not as it should be."""
    recording, wrong = conversation.recording, []
    if is_old:
        found = await check(launcher, data, directory)
        wrong += [f"check of the files: {found}"] if found else []
    async with starting(launcher, data, directory) as server:
        if not await server.serves():
            return [*wrong, f"it does not start again: {server.last_words()}"]
        await conversation.hold(server)
        async with server.enter("ann", events=False) as client:
            log = await whole_log(client, conversation.group)
        wrong += problems(recording, {conversation.group: log})
        found = await check(launcher, data, directory)
        wrong += [f"check beside the server: {found}"] if found else []
        wrong += [str(entry) for entry in server.complaints()]
    return wrong


MUST_END: Final = ("pwrite64", "fdatasync", "fsync")
"""Sorts after whose failure nobody knows what is on the disk."""
_ON_THE_STORE: Final = re.compile(r"groupd\.sqlite3(-wal)?>")
"""The files that hold what was acknowledged. The rollback journal serves only while a new store is
made, and of its own syncs of the directory SQLite drops the errors: groupd syncs that itself."""


def verdict(case: Case, outcome: Outcome, *, within_s: float = 1.0) -> list[str]:
    """Say what a server should have done otherwise; nothing where it did well."""
    wrong = list(outcome.wrong)
    if not outcome.was_met:
        return wrong
    if outcome.has_traceback:
        wrong.append("it has shown a traceback")
    refused = {refusal.code for refusal in outcome.refusals}
    if refused - {"unavailable"}:
        wrong.append(f"it has refused with {refused}")
    code = outcome.exit_code if outcome.exit_code is not None else outcome.stop_code
    if code is None:
        wrong.append("it has stopped answering, and lives")
    elif code < 0:
        wrong.append(f"it was ended by signal {-code}")
    is_unknown = case.sort in MUST_END and bool(_ON_THE_STORE.search(outcome.call))
    # SQLite takes a write that found no room back; of a sync it cannot.
    is_unknown &= case.error == "EIO" or case.sort != "pwrite64"
    if outcome.exit_code is None and code == 0 and is_unknown:
        wrong.append("it went on after an error whose outcome nobody knows")
    if outcome.exit_code == 0:
        wrong.append("it has ended with exit code 0")
    if code:
        if not outcome.last_words or not outcome.last_words[-1].startswith("groupd: "):
            wrong.append(f"its last line is no clear one: {outcome.last_words[-3:]}")
        elif len(outcome.last_words) > 1:
            wrong.append(f"it has ended with {len(outcome.last_words)} lines")
        if outcome.ended_after_s > within_s:
            wrong.append(f"it has ended after {outcome.ended_after_s:.2f} s")
    return wrong
