"""A load test: everybody connects, groups are made, posts leave when they are due, all is checked.

Theory of operation. The loop is open: when each post is due is fixed beforehand, and a post that is
due is a task of its own, so that nothing the server does, or leaves undone, holds up the next one.
All latencies are measured from when a post was due. Who measures from the sending, and sends only
when the last answer is there, leaves out the very posts that would have met a stall: G. Tene, "How
NOT to Measure Latency", and his wrk2, which this follows.

What the load generator itself is late by is measured too (``Figures.lag``): it sends, reads and
checks in one process, so when it has too much to do, that shows there first.
"""

from __future__ import annotations

from collections.abc import Callable, Coroutine, Sequence
from contextlib import suppress
from functools import partial
from typing import Any, Final

import attrs
import trio

from groupd.client.ports import Ports
from groupd.config import CONTENT
from groupd.domain.account.create import Create
from groupd.domain.base import Request
from groupd.domain.group.admission import Withdraw
from groupd.domain.group.membership import Join, Leave
from groupd.domain.group.settings import Dissolve
from groupd.domain.queries import History
from groupd.engine.nursery import open_hidden_nursery
from groupd.errors import ConfigError, Disconnected, GroupdError, Rejected
from groupd.loadtest.figures import Counts, Figures
from groupd.loadtest.member import Member, Shared
from groupd.loadtest.plan import Load, Seats, Ticket, seats_of
from groupd.loadtest.reading import GroupLog, check
from groupd.loadtest.report import Report
from groupd.loadtest.schedule import due_times
from groupd.loadtest.text import Texts

UNDER_LOAD: Final = ("posting", "draining")
"""The phases in which posts are sent, or waited for."""
UNDER_WAY_MAX: Final = 50_000
"""Posts that wait for their answers; above it further ones are left out, and that is said."""
CONNECTING_MAX: Final = 200
"""Connections that are being made at once."""
ASKING_MAX: Final = 32
"""Groups that are made, joined or left at once."""
DRAIN_MAX_S: Final = 60.0
"""How long answers and deliveries may take after the last post."""
STALLED_S: Final = 5.0
"""And how long nothing at all may come."""
CLEAN_UP_MAX_S: Final = 30.0
LOOK_S: Final = 0.05
"""How often it is looked whether something that one waits for is there."""
SETTLE_LOOKS_MAX: Final = 1_200
"""Looks until all members have read how their groups were made: a minute."""
LATE_IN_A_ROW_MAX: Final = 16
"""Posts that are sent one after the other when they are late, before all else gets its turn."""


class LoadTest:
    """One run. What is public may be read while it runs."""

    def __init__(
        self, load: Load, tickets: Sequence[Ticket], *, url: str, ports: Ports, name: str
    ) -> None:
        """Prepare a run; ``name`` tells it from others: letters and digits.

        Raises ConfigError where there are too few tokens for the groups.
        """
        self.phase = "connecting"
        self.stopping = trio.Event()
        """Set it to end early, with a report of what there is."""
        self.left_behind: list[str] = []
        """Groups that could be neither dissolved nor left at the end."""
        self._load = load
        self._name = name
        self._seats = seats_of(load, len(tickets))
        self._shared = Shared(url, ports, Texts(name, load.size_bytes))
        self._users = [Member(ticket, self._shared) for ticket in self._used(tickets)]
        self._logs: list[GroupLog] = []
        self._made: list[tuple[Member, str]] = []
        self._joined: list[tuple[Member, str]] = []
        self._under_way = 0

    def _used(self, tickets: Sequence[Ticket]) -> Sequence[Ticket]:
        """Leave out those who are in no group."""
        return tickets[: 1 + max(place for seats in self._seats for place in seats.members)]

    @property
    def figures(self) -> Figures:
        """What has been counted so far."""
        return self._shared.figures

    @property
    def users_count(self) -> int:
        """How many users there are, each with a connection."""
        return len(self._users)

    @property
    def lost(self) -> int:
        """How many connections are not there while posts are sent and waited for."""
        return self.users_count - self.figures.connected if self.phase in UNDER_LOAD else 0

    async def run(self) -> Report:
        """Do all of it, and clean up behind it, also where it fails.

        Cancelled, it cleans up no more than takes no time: groups may be left behind then.

        Raises what stands in the way of posting: AuthError for a token, Disconnected where the
        server cannot be reached, Rejected where it does not let groups be made, ConfigError where
        two tokens are of one user.
        """
        async with open_hidden_nursery() as nursery:
            try:
                await self._connect(nursery)
                await self._found()
                in_time, seconds = await self._post(nursery)
                self.phase = "draining"
                await self._drain()
                report = self._report(in_time, seconds)
            finally:
                self.phase = "cleaning up"
                with trio.move_on_after(CLEAN_UP_MAX_S, shield=True):
                    await self._clean_up()
            nursery.cancel_scope.cancel()
        return report

    # --- before

    async def _connect(self, nursery: trio.Nursery) -> None:
        room = trio.Semaphore(CONNECTING_MAX)
        began_s = trio.current_time()

        async def arrive(member: Member) -> None:
            try:
                await member.until_connected()
            finally:
                room.release()

        async with open_hidden_nursery() as arriving:
            for place, member in enumerate(self._users):
                await trio.sleep_until(began_s + place / self._load.connect_rate_per_s)
                await room.acquire()
                if self.stopping.is_set():
                    return
                nursery.start_soon(member.run)
                arriving.start_soon(arrive, member)
        lines: dict[str, int] = {}
        for member in self._users:
            line = member.ticket.line
            if member.user in lines:
                raise ConfigError(
                    f"the token of line {line} is of the same user as that of line "
                    f"{lines[member.user]}; each must be another user's"
                )
            lines[member.user] = line

    async def _found(self) -> None:
        if self.stopping.is_set():
            return
        self.phase = "making groups"
        self._logs = [GroupLog("", self._shared.problems) for _ in self._seats]
        await _each(self._found_one, list(enumerate(self._seats)))
        self.phase = "settling"
        await _each(self._settle, list(enumerate(self._seats)))

    async def _found_one(self, one: tuple[int, Seats]) -> None:
        if self.stopping.is_set():
            return
        place, seats = one
        log, owner = self._logs[place], self._users[seats.owner]
        members = [self._users[place] for place in seats.members]
        if self._load.given:
            log.group = self._load.given[place]
            strangers = [each for each in members if log.group not in each.was_in]
        else:
            others = [each for each in members if each is not owner]
            most = CONTENT.members_per_create_max
            strangers = others[most:]
            request = Create(
                name=f"bench-{self._name}-{place}",
                members=tuple(each.user for each in others[:most]),
                # Whoever joins has to find it.
                discoverable=bool(strangers),
            )
            log.group = str((await owner.ask(request))["group"])
            self._made.append((owner, log.group))
        for member in members:
            member.follow(log)
        for member in strangers:
            await self._join(member, log.group)

    async def _join(self, member: Member, group: str) -> None:
        if self.stopping.is_set():
            return
        try:
            status = (await member.ask(Join(), group)).get("status")
        except Rejected as refusal:
            raise Disconnected(f"{member.user} cannot join group {group}: {refusal}") from refusal
        if status == "joined":
            self._joined.append((member, group))
        else:
            await member.ask(Withdraw(), group)
            raise Disconnected(
                f"{member.user} cannot join group {group} by itself: it is {status}; "
                "let an admin approve, or set its join_policy to open"
            )

    async def _settle(self, one: tuple[int, Seats]) -> None:
        """Wait until all members have read the group up to here, and begin to set it down."""
        place, seats = one
        if self.stopping.is_set():
            return
        log, owner = self._logs[place], self._users[seats.owner]
        head = int((await owner.ask(History(limit=1), log.group))["head"])
        members = [self._users[place] for place in seats.members]
        readings = [each.readings[log.group] for each in members]
        for _ in range(SETTLE_LOOKS_MAX):
            if all(each.taken >= head for each in readings):
                break
            await trio.sleep(LOOK_S)
        else:
            raise Disconnected(
                f"a member does not hear of group {log.group}, though it was added: "
                f"{', '.join(each.user for each in readings if each.taken < head):.200}; "
                f"is there room for another group, and have they not blocked {owner.user}?"
            )
        log.begin(max(each.taken for each in readings) + 1)

    # --- posting

    async def _post(self, nursery: trio.Nursery) -> tuple[Counts, float]:
        """Post all that is due; give the counts at the end, and the seconds until then."""
        load, shared, counts = self._load, self._shared, self.figures.counts
        self.phase = "posting"
        shared.began_s = trio.current_time()
        late_in_a_row = 0
        times = due_times(load.rate_per_s, load.for_ms, arrivals=load.arrivals, seed=load.seed)
        for number, due_us in enumerate(times):
            if due_us > shared.now_us():
                late_in_a_row = 0
                await self._until(due_us)
            else:
                late_in_a_row += 1
                if late_in_a_row % LATE_IN_A_ROW_MAX == 0:
                    await trio.lowlevel.checkpoint()
            if self.stopping.is_set():
                break
            self.figures.lag.record(shared.now_us() - due_us)
            counts.due += 1
            shared.acknowledged.append(0)
            if self._under_way >= UNDER_WAY_MAX:
                counts.skipped += 1
            else:
                self._under_way += 1
                nursery.start_soon(self._post_one, number, due_us)
        else:
            await self._until(load.for_ms * 1_000)
        return attrs.evolve(counts), shared.now_us() / 1e6

    async def _until(self, time_us: int) -> None:
        with trio.move_on_at(self._shared.began_s + time_us / 1e6):
            await self.stopping.wait()

    async def _post_one(self, number: int, due_us: int) -> None:
        turn, group = divmod(number, len(self._logs))
        members = self._seats[group].members
        member = self._users[members[turn % len(members)]]
        try:
            await member.post(self._logs[group], number, due_us)
        finally:
            self._under_way -= 1

    async def _drain(self) -> None:
        """Wait for what is under way, for as long as anything comes."""
        before: Counts | None = None
        changed_s = trio.current_time()
        with trio.move_on_after(DRAIN_MAX_S):
            while not self._is_drained():
                now_s, counts = trio.current_time(), attrs.evolve(self.figures.counts)
                if counts != before:
                    before, changed_s = counts, now_s
                elif now_s - changed_s >= STALLED_S:
                    return
                await trio.sleep(LOOK_S)

    def _is_drained(self) -> bool:
        return not self._under_way and all(
            reading.taken >= reading.log.last_acknowledged
            for member in self._users
            for reading in member.readings.values()
        )

    # --- after

    def _report(self, in_time: Counts, seconds: float) -> Report:
        load, shared, counts = self._load, self._shared, self.figures.counts
        # Copies, since what still comes must not change it.
        problems = attrs.evolve(shared.problems, shown=list(shared.problems.shown))
        if all(log.base for log in self._logs):
            readings = [one for member in self._users for one in member.readings.values()]
            shared.problems = problems
            for log in self._logs:
                log.problems = problems
            check(self._logs, readings, shared.acknowledged, problems)
        final = attrs.evolve(counts)
        return Report(
            url=shared.url,
            settings=attrs.asdict(load),
            connections=len(self._users),
            groups=len(self._seats),
            members=len(self._seats[0].members),
            seconds=seconds,
            wanted_per_s=load.rate_per_s,
            stopped_early=self.stopping.is_set() and seconds * 1_000 < load.for_ms,
            in_time=in_time,
            figures=attrs.evolve(self.figures, counts=final),
            unanswered=final.due - final.skipped - final.acknowledged - final.refused,
            lost=self.lost,
            problems=problems,
            server_limits=self._users[0].limits,
        )

    async def _clean_up(self) -> None:
        for member in self._users:
            member.leave()
        made = {group for _owner, group in self._made}
        requests: list[tuple[Member, Request, str]] = [
            *((owner, Dissolve(), group) for owner, group in self._made),
            *((member, Leave(), group) for member, group in self._joined if group not in made),
        ]
        # They are said in the summary, unless they are taken out below.
        self.left_behind = [group for _member, _request, group in requests]
        async with open_hidden_nursery() as nursery:
            nursery.start_soon(self._give_up_on_who_is_gone, nursery.cancel_scope)
            await _each(self._ask_at_last, requests)
            nursery.cancel_scope.cancel()

    async def _ask_at_last(self, one: tuple[Member, Request, str]) -> None:
        member, request, group = one
        # Of an error there is nothing else to be done.
        with suppress(GroupdError):
            await member.ask(request, group)
            self.left_behind.remove(group)

    async def _give_up_on_who_is_gone(self, scope: trio.CancelScope) -> None:
        """Cancel what waits for a server to which nobody has had a connection for ``STALLED_S``."""
        seen_s = trio.current_time()
        while trio.current_time() - seen_s < STALLED_S:
            if self.figures.connected:
                seen_s = trio.current_time()
            await trio.sleep(LOOK_S)
        scope.cancel()


async def _each(work: Callable[[Any], Coroutine[Any, Any, None]], items: Sequence[Any]) -> None:
    """Do something for each of them, ``ASKING_MAX`` at a time; the first error ends all."""
    room = trio.Semaphore(ASKING_MAX)

    async def one(item: Any) -> None:
        try:
            await work(item)
        finally:
            room.release()

    async with open_hidden_nursery() as nursery:
        for item in items:
            await room.acquire()
            nursery.start_soon(partial(one, item))
