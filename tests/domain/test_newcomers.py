"""Whatever strangers, members and admins do at once: what holds of members, requests and links."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import attrs
from hypothesis import given, settings
from hypothesis import strategies as st

from groupd.config import CONTENT, Limits, Plan
from groupd.domain.base import Command, Role
from groupd.domain.group.admission import Approve, Decline, Withdraw
from groupd.domain.group.invitations import AcceptInvite, DeclineInvite, Invite
from groupd.domain.group.links import ShareLink
from groupd.domain.group.membership import Join, Leave
from groupd.domain.group.moderation import BanUser, Unban
from groupd.domain.group.settings import Update
from groupd.errors import Rejected
from tests.domain.bench import Table, World

DAY_MS = 86_400_000
WEEK_MS = CONTENT.request_lasts_ms
STRANGERS = ("sam", "sue", "sid", "sol")
CAP = 5


@attrs.frozen
class Step:
    """Somebody tries something, some time after the step before."""

    user: str
    make: Callable[[Table], Command]
    pass_ms: int
    wakes: bool


def moves() -> Iterator[tuple[str, Callable[[Table], Command]]]:
    """Give who tries what, so often as it shall come."""

    def plain(command: Command) -> Callable[[Table], Command]:
        return lambda table: command

    def by_link(number: int) -> Callable[[Table], Command]:
        return lambda table: Join(code=table.code(number))

    for user in STRANGERS:
        yield from ((user, plain(Join())) for _ in range(3))
        yield from ((user, by_link(number)) for number in (1, 2, 2, 3))
        for own in (Withdraw(), AcceptInvite(), AcceptInvite(), DeclineInvite(), Leave()):
            yield user, plain(own)
        for admin in ("olga", "adam"):
            yield from ((admin, plain(Approve(user))) for _ in range(3))
            yield admin, plain(Decline(user))
        yield from ((insider, plain(Invite(user))) for insider in ("adam", "mia"))
    for policy in ("open", "approval", "approval", "invite_only"):
        yield "olga", plain(Update(join_policy=policy))
    yield from (("olga", plain(command)) for command in (BanUser("sam"), Unban("sam")))


def steps() -> st.SearchStrategy[Step]:
    return st.builds(
        lambda move, pass_ms, wakes: Step(move[0], move[1], pass_ms, wakes),
        st.sampled_from(tuple(moves())),
        st.sampled_from((0, 0, 0, 0, 0, 1, DAY_MS // 2, DAY_MS, 3 * DAY_MS, WEEK_MS)),
        st.booleans(),
    )


def played(drawn: list[Step], *, direct_add_below: int) -> Table:
    plan = Plan(members_max=CAP, direct_add_below=direct_add_below)
    world = World(
        plans={"ordinary": plan}, limits=attrs.evolve(Limits(), request_cooldown_ms=DAY_MS)
    )
    table = world.found("olga", join_policy="approval")
    table.admit("adam", Role.ADMIN)
    table.admit("mia")
    table.act("olga", ShareLink(uses_max=2))
    table.act("adam", ShareLink(uses_max=1, approval=True))
    table.act("mia", ShareLink(expires_in_ms=9 * DAY_MS))
    for step in drawn:
        world.now_ms += step.pass_ms
        if step.wakes:
            table.wake()
        before = table.state.hash()
        try:
            table.act(step.user, step.make(table))
        except Rejected:
            assert table.state.hash() == before
        check(table)
    return table


def check(table: Table) -> None:
    state, now_ms = table.state, table.world.now_ms
    assert len(state.members) <= CAP
    inside, asking, invited = set(state.members), set(state.requests), set(state.invitations)
    assert not inside & asking
    assert not inside & invited
    assert not asking & invited
    for link in state.links.values():
        assert link.uses_max is None or link.uses <= link.uses_max
    deadline_ms = table.deadline_ms()
    assert bool(table.due()) == (deadline_ms is not None and deadline_ms <= now_ms)
    since = [waiting.at_ms for waiting in state.requests.values()]
    since += [invitation.at_ms for invitation in state.invitations.values()]
    assert not since or (deadline_ms is not None and deadline_ms <= min(since) + WEEK_MS)


def audit(table: Table) -> None:
    """Follow the log alone, and compare what has come of it with the state."""
    inside, asking, uses = set[str](), dict[str, int](), dict[int, int]()
    for record in table.book.records:
        event: Any = table.book.event(record.seq)
        user = getattr(event, "member", "") or record.user
        age_ms = record.time_ms - asking.get(user, record.time_ms)
        if record.kind == "requested":
            assert user not in asking
            assert user not in inside
            asking[user] = record.time_ms
        elif record.kind == "joined":
            assert user not in inside
            assert event.via != "approval" or (user in asking and age_ms < WEEK_MS)
            asking.pop(user, None)
            inside.add(user)
            if event.link is not None:
                uses[event.link] = uses.get(event.link, 0) + 1
        elif record.kind in ("declined", "withdrawn", "request_expired"):
            assert user in asking, "a request ends once"
            assert record.kind != "declined" or age_ms < WEEK_MS
            assert (record.kind == "request_expired") <= (age_ms >= WEEK_MS)
            del asking[user]
        elif record.kind in ("left", "banned"):
            inside.discard(user)
            asking.pop(user, None)
        assert len(inside) <= CAP
    assert inside == set(table.state.members)
    assert asking.keys() == table.state.requests.keys()
    assert uses == {n: link.uses for n, link in table.state.links.items() if link.uses}


@settings(max_examples=150)
@given(
    drawn=st.lists(steps(), min_size=20, max_size=50), direct_add_below=st.sampled_from((0, 0, 4))
)
def test_whatever_is_asked_and_decided_each_request_ends_once_and_nobody_is_too_many(
    drawn: list[Step], direct_add_below: int
) -> None:
    table = played(drawn, direct_add_below=direct_add_below)
    audit(table)
    assert table.book.replayed(restart_at={5, 12}) == table.state
    table.world.now_ms += WEEK_MS
    table.wake()
    assert not table.state.requests
    assert not table.state.invitations
    audit(table)
