"""The requests that read committed state: one function for each, and ``READS`` names them.

A read asks the store once, for the caller's standing and for the data, so both are of one moment;
it goes no further than what is published, so nothing is seen twice. Events are spliced as they
are stored.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

from groupd.domain.base import Query
from groupd.domain.feeding import Ack, Changes, Consumers, ForgetConsumer
from groupd.domain.group.board import Announcements
from groupd.domain.group.info import Info
from groupd.domain.group.links import OpenLink, OpenLinkInWords
from groupd.domain.group.messages import Typing
from groupd.domain.queries import (
    AccountHistory,
    Blocks,
    Chats,
    Edits,
    Groups,
    History,
    Members,
    Messages,
    Nearby,
    Profile,
    Reactors,
    Read,
    Search,
    Sync,
    Thread,
    Users,
)
from groupd.engine.reads import feeding, finding, group, log, messages, own, people, signals
from groupd.engine.reads.common import Reader, Result

READS: Final[Mapping[type[Query], Reader]] = MappingProxyType(
    {
        History: log.history,
        Sync: log.sync,
        Announcements: log.announcements,
        Messages: messages.messages,
        Thread: messages.thread,
        Reactors: messages.reactors,
        Edits: messages.edits,
        Typing: signals.typing,
        Info: group.info,
        OpenLink: group.open_link,
        OpenLinkInWords: group.open_link,
        Members: people.members,
        Users: people.users,
        Profile: people.profile,
        Blocks: people.blocks,
        Search: finding.search,
        Nearby: finding.nearby,
        Groups: own.groups,
        Chats: own.chats,
        AccountHistory: own.account_history,
        Read: own.read,
        Changes: feeding.changes,
        Ack: feeding.ack,
        Consumers: feeding.consumers,
        ForgetConsumer: feeding.forget_consumer,
    }
)
"""Query -> who serves it. Those of the session (``hello``, ``ping``) are the server's."""

__all__ = ["READS", "Reader", "Result"]
