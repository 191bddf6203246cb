"""Which methods and which kinds of event there are. A new one adds its line here."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from types import MappingProxyType
from typing import Any, Final

import attrs

from groupd.domain import queries
from groupd.domain.account.create import Create
from groupd.domain.account.hearing import Added, HasDissolved, HasLeft
from groupd.domain.account.state import Account, Disowned, Owned
from groupd.domain.base import ACCOUNT, GROUP, Event, Request
from groupd.domain.group import board, deadlines, info, links, membership, messages, settings
from groupd.domain.group.state import Group
from groupd.domain.stream import Stream


@attrs.frozen
class Aggregate:
    """A kind of stream: the class of its state, and its deadlines."""

    state: type[Stream]
    deadline_ms: Callable[[Any], int | None] = lambda state: None
    """Gives the time at which ``due`` has something to say, or None."""
    due: Callable[[Any, int], Sequence[Event]] = lambda state, now_ms: ()
    """Gives the events that are due by a time. They are the server's own."""


AGGREGATES: Final[Mapping[str, Aggregate]] = MappingProxyType(
    {
        GROUP: Aggregate(Group, deadlines.deadline_ms, deadlines.due),
        ACCOUNT: Aggregate(Account),
    }
)
"""Kind of stream -> what the engine knows of it."""

REQUESTS: Final[Mapping[str, type[Request]]] = MappingProxyType(
    {
        cls.method: cls
        for cls in (
            # the session
            queries.Hello,
            queries.Ping,
            queries.Groups,
            queries.Sync,
            queries.Users,
            queries.AccountHistory,
            # a group
            Create,
            info.Info,
            settings.Update,
            settings.Dissolve,
            membership.Join,
            membership.Leave,
            queries.Members,
            messages.Post,
            queries.History,
            queries.Read,
            board.Announce,
            board.Acknowledge,
            board.Announcements,
            board.PinMessage,
            board.Unpin,
            links.ShareLink,
            links.OpenLink,
            links.RevokeLink,
            # the operator
            queries.OperatorLog,
            queries.OperatorCheck,
        )
    }
)
"""Method -> the class of its request. Names are permanent."""

EVENTS: Final[Mapping[str, Mapping[str, type[Event]]]] = MappingProxyType(
    {
        GROUP: MappingProxyType(
            {
                cls.kind: cls
                for cls in (
                    settings.Created,
                    membership.Joined,
                    membership.Left,
                    messages.Posted,
                    board.Announced,
                    board.Acknowledged,
                    board.Pinned,
                    board.Unpinned,
                    links.LinkMade,
                    links.LinkRevoked,
                    settings.Updated,
                    settings.Dissolved,
                )
            }
        ),
        ACCOUNT: MappingProxyType(
            {cls.kind: cls for cls in (Owned, Disowned, Added, HasLeft, HasDissolved)}
        ),
    }
)
"""Kind of stream -> kind of event -> its class. Names are permanent."""
