"""Founding a group: decided in the founder's account, because the quota is the account's.

The account's ``owned`` and the group's first events are appended atomically; the group has no
actor yet, so nobody else can write to it.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

import attrs

from groupd.config import CONTENT
from groupd.domain import fields
from groupd.domain.account.state import Account, Disowned, Owned
from groupd.domain.base import (
    ACCOUNT,
    GROUP,
    Command,
    Context,
    Decision,
    Event,
    Founding,
    Needs,
    Receipt,
    Role,
    StreamKey,
    Unchanged,
)
from groupd.domain.group.membership import Joined
from groupd.domain.group.settings import (
    JOIN_POLICIES,
    Created,
    check_join_policy,
    check_time_zone,
    refuse_unknown_category,
)
from groupd.domain.group.state import SETTINGS
from groupd.errors import Rejected


@attrs.frozen
class Create(Command):
    """Found a group. Its caller is the owner; ``members`` are added at once."""

    method = "create"
    cost = 5
    addressed = ACCOUNT
    min_role = None
    result: ClassVar = {"group": "group", "seq": "seq"}

    name: str = fields.name(CONTENT.name_max)
    picture: str = fields.name(CONTENT.picture_max, default="", min_chars=0)
    category: str = fields.name(CONTENT.category_max, default="", min_chars=0)
    description: str = fields.text(CONTENT.description_max, default="", min_chars=0)
    location: Mapping[str, float] | None = fields.custom(
        fields.location_of, "location", default=None
    )
    members: tuple[str, ...] = fields.users(CONTENT.members_per_create_max, default=())
    join_policy: str = fields.custom(
        check_join_policy, "enum", default="open", options=JOIN_POLICIES
    )
    member_invites: bool = fields.boolean(default=True)
    discoverable: bool = fields.boolean(default=True)
    history: str = fields.choice("all", "joined", default="all")
    time_zone: str = fields.custom(check_time_zone, "time_zone", default="UTC")
    ref: str | None = fields.name(CONTENT.ref_max, default=None)
    data: Mapping[str, Any] | None = fields.value_map(CONTENT.data_max_bytes, default=None)

    def needs(self, state: Account) -> Needs:
        """Fetch who has the ``ref``, and whether the groups owned are still that."""
        refs = () if self.ref is None else (self.ref,)
        return Needs(groups=tuple(state.owned), refs=refs)

    def decide(self, state: Account, context: Context) -> Decision:
        """Found the group, if the quota has room after groups that are over are dropped."""
        caller = context.caller
        existing = self._existing(state, context)
        if existing is not None:
            return Unchanged({"group": existing, "seq": 1})
        refuse_unknown_category(self.category, context)
        plan = context.rules.plan(caller.plan)
        friends = tuple(user for user in self.members if user != caller.user)
        if len(friends) < plan.founders_min:
            raise Rejected(
                "forbidden",
                f"the plan {caller.plan} founds a group with at least {plan.founders_min} friends",
                reason="founders_min",
                required=plan.founders_min,
                got=len(friends),
            )
        gone = [group for group in state.owned if _is_gone(group, context)]
        used = len(state.owned) - len(gone)
        if used >= plan.groups_owned_max:
            limit = plan.groups_owned_max
            raise Rejected(
                "quota_exceeded",
                f"the plan {caller.plan} has room for {limit} groups",
                quota="groups_owned",
                limit=limit,
                used=used,
            )
        if len(friends) + 1 > plan.members_max:
            limit = plan.members_max
            raise Rejected("group_full", f"a group has room for {limit} members", limit=limit)
        group = context.new_group()
        founding = Founding(
            StreamKey(GROUP, context.stream.tenant, group), self._founded(friends, context)
        )
        return [Owned(group, self.ref), *(Disowned(old) for old in gone), founding]

    def answer(self, receipt: Receipt, context: Context) -> dict[str, Any]:
        """Give the group that was founded, and the seq of its first event."""
        return {"group": str(receipt.value), "seq": 1}

    def _existing(self, state: Account, context: Context) -> str | None:
        """Give the caller's group that has the ``ref`` already."""
        if self.ref is None:
            return None
        for group, ref in state.owned.items():
            if ref == self.ref and not _is_gone(group, context):
                return group
        card = context.fetched.refs.get(self.ref)
        if card is None:
            return None
        if card.owner != context.caller.user:
            raise Rejected("conflict", "another user's group has this ref", reason="ref_taken")
        return card.group

    def _founded(self, friends: tuple[str, ...], context: Context) -> list[Event]:
        given = {name: getattr(self, name) for name in SETTINGS}
        return [
            Created(**given, ref=self.ref, plan=context.caller.plan),
            Joined(via="created", name=context.caller.name, role=Role.OWNER.label),
            *(Joined(via="added", member=user) for user in friends),
        ]


def _is_gone(group: str, context: Context) -> bool:
    """Say whether a listed group is dissolved, or has another owner by now.

    A group that the index does not know (it was founded in this very batch) is still there.
    """
    card = context.fetched.groups.get(group)
    return card is not None and (card.dissolved or card.owner != context.caller.user)
