"""Which methods and which kinds of event there are. A new one adds its line here."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

from groupd.domain import queries
from groupd.domain.account.create import Create
from groupd.domain.account.hearing import Added, HasDissolved, HasLeft
from groupd.domain.account.state import Account, Disowned, Owned
from groupd.domain.base import ACCOUNT, GROUP, Event, Request
from groupd.domain.group import board, info, links, membership, messages, settings
from groupd.domain.group.state import Group
from groupd.domain.stream import Stream

STATES: Final[Mapping[str, type[Stream]]] = MappingProxyType({GROUP: Group, ACCOUNT: Account})
"""Kind of stream -> the class of its state."""

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
