"""What of the host's a group is bound to: a shop, a creator, an order's goods.

Only the host knows what its names mean, so it alone binds, by calls of the host API; nobody else
has a method for it. What happens to such a thing reaches all groups that are bound to it: see
``orders.py`` and ``lives.py``. A group is found by its binding in the index (``BINDING``).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar, Final

import attrs

from groupd.config import CONTENT
from groupd.domain import fields
from groupd.domain.base import (
    Audience,
    Command,
    Context,
    Decision,
    Event,
    LiveQuery,
    Record,
    Role,
    Rule,
    Unchanged,
)
from groupd.domain.group.state import Group
from groupd.domain.projection import BINDING, Change, DropTie, PutTie
from groupd.errors import Rejected

BINDINGS_MAX: Final = 20
"""Of one group."""


def binding_field() -> Any:
    """Make the field for the host's own name of something."""
    return fields.name(CONTENT.ref_max)


@attrs.frozen
class Bound(Event):
    """The group is bound to something of the host's from now on."""

    kind = "bound"
    audience = Audience.ADMINS

    binding: str = ""

    def apply(self, state: Group, record: Record) -> None:
        """Note the binding."""
        state.bindings.setdefault(self.binding, record.seq)

    def project(self, record: Record) -> Sequence[Change]:
        """Let the group be found by it."""
        return (PutTie(BINDING, self.binding, record.seq),)


@attrs.frozen
class Unbound(Event):
    """The group is not bound to it any more."""

    kind = "unbound"
    audience = Audience.ADMINS

    binding: str = ""

    def apply(self, state: Group, record: Record) -> None:
        """Forget the binding."""
        state.bindings.pop(self.binding, None)

    def project(self, record: Record) -> Sequence[Change]:
        """Let the group be found by it no more."""
        return (DropTie(BINDING, self.binding),)


def _refuse_more(state: Group, context: Context, request: Any) -> Rejected | None:
    used = len(state.bindings)
    if used < BINDINGS_MAX or request.binding in state.bindings:
        return None
    return Rejected(
        "quota_exceeded",
        f"a group is bound to {BINDINGS_MAX} things at most",
        quota="bindings",
        limit=BINDINGS_MAX,
        used=used,
    )


@attrs.frozen
class Bind(Command):
    """Bind the group to something of the host's. The host's own; no client can send it."""

    method = "bind"
    by_system = True
    min_role = Role.OWNER
    in_direct = False
    rules = (Rule("bindings_max", "contract", _refuse_more, lambda state, context: BINDINGS_MAX),)

    binding: str = binding_field()

    def decide(self, state: Group, context: Context) -> Decision:
        """Bind it once."""
        seq = state.bindings.get(self.binding)
        return [Bound(self.binding)] if seq is None else Unchanged({"seq": seq})


@attrs.frozen
class Unbind(Command):
    """End a binding. The host's own; no client can send it."""

    method = "unbind"
    by_system = True
    min_role = Role.OWNER
    in_direct = False

    binding: str = binding_field()

    def decide(self, state: Group, context: Context) -> Decision:
        """End it, if there is one; if not, the answer has the head of the log."""
        if self.binding in state.bindings:
            return [Unbound(self.binding)]
        return Unchanged({"seq": state.seq})


@attrs.frozen
class Bindings(LiveQuery):
    """List what the group is bound to. The host's own; no client can send it."""

    method = "bindings"
    by_system = True
    min_role = Role.OWNER
    in_direct = False
    result: ClassVar = {"bindings": "list[string]"}

    def ask(self, state: Group, context: Context) -> dict[str, Any]:
        """Give them in the order in which they were made."""
        return {"bindings": list(state.bindings)}
