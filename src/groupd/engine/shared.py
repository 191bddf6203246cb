"""What all actors of a process share."""

from __future__ import annotations

from collections.abc import Callable

import attrs

from groupd.domain.base import Rules, StreamKey
from groupd.domain.links import LinkKeys
from groupd.engine.counts import Counts
from groupd.engine.feed import Feed
from groupd.engine.mail import Entry
from groupd.engine.outlet import Outlets
from groupd.engine.ports import Ports
from groupd.engine.quarantine import Quarantine
from groupd.engine.statistics import RecentStatistics
from groupd.engine.turns import Turns
from groupd.storage.log import Log


@attrs.define(eq=False, on_setattr=attrs.setters.frozen)
class Shared:
    """The log, the ports, the rules, and whom to tell of what."""

    log: Log
    ports: Ports
    rules: Rules = attrs.field(on_setattr=attrs.setters.NO_OP)
    """By which the next batch is decided. The hub alone puts others here."""
    links: LinkKeys
    outlets: Outlets
    turns: Turns
    note_deadline: Callable[[int | None], None]
    """Called with the deadline that an append has stored."""
    rouse: Callable[[bool], None]
    """Called when a batch is done; with True where followed records have been appended."""
    tell: Callable[[StreamKey, Entry], None]
    """Puts a request into another stream's mailbox. For accounts: a group tells nobody."""
    feed: Feed
    counts: Counts = attrs.field(factory=Counts)
    quarantine: Quarantine = attrs.field(factory=Quarantine)
    statistics: RecentStatistics = attrs.field(factory=RecentStatistics)
