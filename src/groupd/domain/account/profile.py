"""Who a user is: their name, picture and the like, as their token last had them.

The host application owns this; groupd keeps a copy, so that others see a face beside a message
and a group can be counted. The copy is renewed when a token differs from it.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar

import attrs

from groupd.domain.account.state import Account
from groupd.domain.base import (
    ACCOUNT,
    Command,
    Context,
    Decision,
    Event,
    Identity,
    Receipt,
    Record,
    Unchanged,
)
from groupd.domain.projection import Change, Profile, PutProfile


@attrs.frozen
class Profiled(Event):
    """The user has a new profile, whole."""

    kind = "profiled"
    stream_kind = ACCOUNT

    name: str = ""
    picture: str = ""
    plan: str = ""
    gender: str = ""
    birth_year: int | None = None

    def _profile(self) -> Profile:
        return Profile(self.name, self.picture, self.plan, self.gender, self.birth_year)

    def apply(self, state: Account, record: Record) -> None:
        """Keep it."""
        state.profile = self._profile()

    def project(self, record: Record) -> Sequence[Change]:
        """Show it to others."""
        return (PutProfile(*attrs.astuple(self._profile())),)


def profile_of(caller: Identity, known: Profile) -> Profile:
    """Give the profile that a token says. What it leaves out stays as it was ``known``."""
    return Profile(
        name=caller.name or known.name,
        picture=caller.picture or known.picture,
        plan=caller.plan,
        gender=caller.gender or known.gender,
        birth_year=known.birth_year if caller.birth_year is None else caller.birth_year,
    )


@attrs.frozen
class Introduce(Command):
    """Renew an account's copy of the profile. The server's own; no client can send it."""

    method = "introduce"
    addressed = ACCOUNT
    min_role = None
    result: ClassVar = {}

    profile: Profile

    def decide(self, state: Account, context: Context) -> Decision:
        """Take it where it differs."""
        if self.profile == state.profile:
            return Unchanged({})
        return [Profiled(*attrs.astuple(self.profile))]

    def answer(self, receipt: Receipt, context: Context) -> dict[str, Any]:
        """Answer nothing."""
        return {}
