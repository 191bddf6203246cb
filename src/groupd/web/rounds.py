"""Going round the groups that something of the host's concerns: a page at a time, some at once.

A call does one page and says where the next begins, so no call is longer than its page, however
many groups are bound. Each group is asked by itself: what one refuses is told for that one, and
harms no other. Where a call was cut short, the same call again does what is left, because whatever
is done in a group is done once.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any, Final, TypeAlias

import structlog
import trio

from groupd.config import CONTENT
from groupd.domain.base import SERVER, Command, Identity
from groupd.domain.fields import clean_group, clean_int, clean_name, refuse
from groupd.domain.projection import BINDING, Tie
from groupd.engine.hub import Hub
from groupd.engine.mail import bug, unavailable
from groupd.errors import LogCorrupt, LogUnavailable, Rejected

log = structlog.get_logger()

GROUPS_PAGE: Final = 100
"""Groups in one call that does not say how many."""
GROUPS_PAGE_MAX: Final = 500
AT_ONCE: Final = 16
"""Of them that are under way at the same time."""

Outcome: TypeAlias = Mapping[str, Any]
Page: TypeAlias = tuple[Sequence[tuple[str, Tie]], Mapping[str, Any]]
"""Groups with their ties, and ``{next}`` where there are more."""


def clean_named(params: Mapping[str, Any], name: str) -> str:
    """Check the host's own name of something, such as a binding, an order or a live."""
    return clean_name(params.get(name), name, max_chars=CONTENT.ref_max)


async def page_of(
    hub: Hub, tenant: str, params: Mapping[str, Any], *, kind: str, name: str
) -> Page:
    """Give the page of the groups with a tie that ``after`` and ``limit`` ask for."""
    after, limit = params.get("after"), params.get("limit")
    after = "" if after is None else clean_group(after, "after")
    limit = GROUPS_PAGE if limit is None else clean_int(limit, "limit", low=1, high=GROUPS_PAGE_MAX)
    found = await hub.log.read(
        lambda store: store.ties.groups(tenant, kind, name, after, limit + 1)
    )
    more = {"next": found[limit - 1][0]} if len(found) > limit else {}
    return found[:limit], more


async def groups_meant(
    hub: Hub, tenant: str, params: Mapping[str, Any]
) -> tuple[Sequence[str], Mapping[str, Any]]:
    """Give the groups that a call means: those of a ``binding``, or ``groups`` themselves."""
    groups = params.get("groups")
    if groups is None:
        binding = clean_named(params, "binding")
        found, more = await page_of(hub, tenant, params, kind=BINDING, name=binding)
        return [group for group, _tie in found], more
    if params.get("binding") is not None:
        raise refuse("groups", "expected groups or binding, and not both")
    if not isinstance(groups, list) or not 1 <= len(groups) <= GROUPS_PAGE_MAX:
        raise refuse("groups", f"expected a list of 1 to {GROUPS_PAGE_MAX} groups")
    return list(dict.fromkeys(clean_group(group, "groups") for group in groups)), {}


async def in_each(
    hub: Hub, groups: Sequence[str], act: Callable[[str], Awaitable[Mapping[str, Any]]]
) -> list[Outcome]:
    """Do something in each group; give, in their order, what came of it or the ``error`` of it."""
    outcomes: list[Outcome] = [{}] * len(groups)
    turns = trio.CapacityLimiter(AT_ONCE)

    async def attempt(place: int, group: str) -> None:
        async with turns:
            try:
                outcomes[place] = {"group": group, **await act(group)}
            except Rejected as error:
                outcomes[place] = {"group": group, "error": error.to_wire()}
            except LogUnavailable as error:
                outcomes[place] = {"group": group, "error": unavailable(str(error)).to_wire()}
            except LogCorrupt:
                reference = hub.ports.new_reference()
                log.exception("group_unreadable", group=group, reference=reference)
                outcomes[place] = {"group": group, "error": bug(reference).to_wire()}

    async with trio.open_nursery() as nursery:
        for place, group in enumerate(groups):
            nursery.start_soon(attempt, place, group)
    return outcomes


async def as_system(hub: Hub, tenant: str, group: str, command: Command) -> Mapping[str, Any]:
    """Have a command of the host's own served; gives ``status`` and ``seq``, raises Rejected."""
    return await hub.ask(Identity(user=SERVER, tenant=tenant), command, group=group)
