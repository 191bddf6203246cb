"""What all actors of a process share."""

from __future__ import annotations

from collections.abc import Callable

import attrs

from groupd.domain.base import Rules
from groupd.domain.links import LinkKeys
from groupd.engine.outlet import Outlets
from groupd.engine.ports import Ports
from groupd.storage.log import Log


@attrs.frozen(eq=False)
class Shared:
    """The log, the ports, the rules, and whom to tell of what."""

    log: Log
    ports: Ports
    rules: Rules
    links: LinkKeys
    outlets: Outlets
    note_deadline: Callable[[int | None], None]
    """Called with the deadline that an append has stored."""
    rouse_reactors: Callable[[], None]
    """Called when followed records have been appended."""
