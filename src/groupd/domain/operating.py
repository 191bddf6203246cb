"""Who operates a server, and whose groups they see.

Placement rules:
- Whoever reaches the socket in the data directory is an operator, of all tenants (``LOCAL``). Else
  it takes a token whose ``scope`` has the word ``operator``, for the tenant of that token, or
  ``operator:all``, for all tenants.
- A token may less than the socket: what reads or writes files of the machine, or looks at all
  tenants at once, is no matter of tokens. ``BY_TOKEN`` is the whole list of what is.
- To everybody else these methods do not exist.
"""

from __future__ import annotations

from typing import Final

import attrs

from groupd.domain.base import SERVER, Identity
from groupd.errors import Rejected

OPERATOR: Final = "operator"
"""The word of a token's ``scope`` that makes an operator of the token's tenant."""
OPERATOR_OF_ALL: Final = "operator:all"
"""The word that makes one of all tenants."""

BY_TOKEN: Final = frozenset(
    {
        *("operator_figures", "operator_groups", "operator_group", "operator_log"),
        *("operator_users", "operator_user", "operator_explain"),
        *("operator_ban", "operator_dissolve"),
    }
)
"""Methods of operators that a token is enough for."""


@attrs.frozen
class Authority:
    """What an operator may see."""

    name: str
    """Who they are: a user's id, or ``operator`` on the socket."""
    tenant: str | None
    """Whose groups they see; None for everybody's."""
    is_local: bool = False
    """True on the socket in the data directory."""

    def serves(self, method: str) -> bool:
        """Say whether a method of operators is theirs."""
        return self.is_local or method in BY_TOKEN

    def tenant_of(self, asked: str) -> str:
        """Give the tenant that a request is about.

        One that is left out is the operator's own; raises ``forbidden`` for a foreign one.
        """
        if self.tenant is None or asked == self.tenant:
            return asked
        if not asked:
            return self.tenant
        raise Rejected(
            "forbidden",
            "this token operates another tenant",
            reason="scope",
            required=OPERATOR_OF_ALL,
        )

    def as_system(self, tenant: str) -> Identity:
        """Give the caller as whom the operator acts: the server itself, by its operator's name."""
        return Identity(user=SERVER, tenant=tenant, name=self.name)


LOCAL: Final = Authority(OPERATOR, None, is_local=True)


def authority_of(caller: Identity) -> Authority | None:
    """Give what a token makes its user an operator of; None for everybody else."""
    words = caller.scope.split()
    if OPERATOR_OF_ALL in words:
        return Authority(caller.user, None)
    return Authority(caller.user, caller.tenant) if OPERATOR in words else None
