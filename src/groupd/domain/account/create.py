"""Founding a group: decided in the founder's account, because the quota is the account's.

The account's ``owned`` and the group's first events are appended atomically; the group has no
actor yet, so nobody else can write to it.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar, Final

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
    Identity,
    Needs,
    Receipt,
    Request,
    Role,
    Rule,
    StreamKey,
    Unchanged,
)
from groupd.domain.group.conditions import check_conditions
from groupd.domain.group.invitations import Invited
from groupd.domain.group.membership import Joined
from groupd.domain.group.parts import SETTINGS
from groupd.domain.group.settings import (
    JOIN_POLICIES,
    Created,
    check_join_policy,
    check_time_zone,
    refuse_unknown_category,
)
from groupd.domain.wording import words_in
from groupd.errors import Rejected

# --- the rules


def _existing(state: Account, context: Context, ref: str | None) -> str | None:
    """Give the group that has the ``ref`` already, the caller's or another's."""
    if ref is None:
        return None
    for group, own in state.owned.items():
        if own == ref and not _is_gone(group, context):
            return group
    card = context.fetched.refs.get(ref)
    return None if card is None else card.group


def _is_gone(group: str, context: Context) -> bool:
    """Say whether a listed group is dissolved, or has another owner by now.

    A group that the index does not know (it was founded in this very batch) is still there.
    """
    card = context.fetched.groups.get(group)
    return card is not None and (card.dissolved or card.owner != context.caller.user)


def _refuse_ref(state: Account, context: Context, request: Request) -> Rejected | None:
    card = context.fetched.refs.get(getattr(request, "ref", None) or "")
    if card is None or card.owner == context.caller.user:
        return None
    return Rejected("conflict", "another user's group has this ref", reason="ref_taken")


def _is_made(state: Account, context: Context, request: Request) -> bool:
    """Say whether the answer is a group that is there already, so that no quota matters."""
    return _existing(state, context, getattr(request, "ref", None)) is not None


def _friends(request: Request, context: Context) -> tuple[str, ...]:
    members: tuple[str, ...] = getattr(request, "members", ())
    return tuple(user for user in members if user != context.caller.user)


def _refuse_few(state: Account, context: Context, request: Request) -> Rejected | None:
    caller, got = context.caller, len(_friends(request, context))
    required = context.rules.plan(caller.plan).founders_min
    if got >= required or _is_made(state, context, request):
        return None
    return Rejected(
        "forbidden",
        f"the plan {caller.plan} founds a group with at least {required} friends",
        reason="founders_min",
        required=required,
        got=got,
    )


def _live(state: Account, context: Context) -> set[str]:
    """Give the groups that the caller owns: those founded here, and those handed over to them.

    The account hears of the latter only later, and the index has not seen what this very batch
    founds; so both are asked.
    """
    founded = {group for group in state.owned if not _is_gone(group, context)}
    person = context.fetched.users.get(context.caller.user)
    return founded if person is None else founded.union(person.holdings.owned)


def _refuse_many(state: Account, context: Context, request: Request) -> Rejected | None:
    caller, used = context.caller, len(_live(state, context))
    limit = context.rules.plan(caller.plan).groups_owned_max
    if used < limit or _is_made(state, context, request):
        return None
    return Rejected(
        "quota_exceeded",
        f"the plan {caller.plan} has room for {limit} groups",
        quota="groups_owned",
        limit=limit,
        used=used,
    )


def _refuse_crowd(state: Account, context: Context, request: Request) -> Rejected | None:
    caller, person = context.caller, context.fetched.users.get(context.caller.user)
    if person is None or _is_made(state, context, request):
        return None
    used = person.holdings.joined + len(_live(state, context).difference(person.holdings.owned))
    limit = context.rules.plan(caller.plan).groups_joined_max
    if used < limit:
        return None
    return Rejected(
        "quota_exceeded",
        f"the plan {caller.plan} lets a user be in {limit} groups",
        quota="groups_joined",
        limit=limit,
        used=used,
    )


_WORDS: Final = words_in("name", "description")


def _refuse_words(state: Account, context: Context, request: Request) -> Rejected | None:
    if context.rules.words is None or _is_made(state, context, request):
        return None
    return _WORDS.refuse(state, context, request)


REF_FREE: Final = Rule("ref_free", "account", _refuse_ref)
FOUNDERS_MIN: Final = Rule(
    "founders_min",
    "plan",
    _refuse_few,
    lambda state, context: context.rules.plan(context.caller.plan).founders_min,
)
GROUPS_OWNED_MAX: Final = Rule(
    "groups_owned_max",
    "plan",
    _refuse_many,
    lambda state, context: context.rules.plan(context.caller.plan).groups_owned_max,
)
GROUPS_JOINED_MAX: Final = Rule(
    "groups_joined_max",
    "plan",
    _refuse_crowd,
    lambda state, context: context.rules.plan(context.caller.plan).groups_joined_max,
)


# --- the command


@attrs.frozen
class Create(Command):
    """Found a group. Its caller is the owner; ``members`` are added at once.

    Whose plan has no room for another group is invited instead; who has blocked the founder is
    left out.
    """

    method = "create"
    cost = 5
    addressed = ACCOUNT
    min_role = None
    result: ClassVar = {"group": "group", "seq": "seq"}
    rules: ClassVar = (
        *(REF_FREE, FOUNDERS_MIN, GROUPS_OWNED_MAX, GROUPS_JOINED_MAX),
        attrs.evolve(_WORDS, refuse=_refuse_words),
    )

    name: str = fields.name(CONTENT.name_max)
    picture: str = fields.picture(default="")
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
    conditions: Mapping[str, Any] | None = fields.custom(
        check_conditions, "condition", default=None
    )
    public_stats: bool = fields.boolean(default=False)
    ref: str | None = fields.name(CONTENT.ref_max, default=None)
    data: Mapping[str, Any] | None = fields.value_map(CONTENT.data_max_bytes, default=None)

    def needs(self, state: Account, caller: Identity) -> Needs:
        """Fetch who has the ``ref``, whether the groups owned are still that, and the friends."""
        return Needs(
            groups=tuple(state.owned),
            refs=() if self.ref is None else (self.ref,),
            users=(caller.user, *self.members),
            blocks=tuple((caller.user, friend) for friend in self.members),
        )

    def decide(self, state: Account, context: Context) -> Decision:
        """Found the group, and drop the places of groups that are over."""
        caller = context.caller
        existing = _existing(state, context, self.ref)
        if existing is not None:
            return Unchanged({"group": existing, "seq": 1})
        refuse_unknown_category(self.category, context)
        friends = _friends(self, context)
        limit = context.rules.plan(caller.plan).members_max
        if len(friends) + 1 > limit:
            raise Rejected("group_full", f"a group has room for {limit} members", limit=limit)
        gone = [group for group in state.owned if _is_gone(group, context)]
        group = context.new_group()
        founding = Founding(
            StreamKey(GROUP, context.stream.tenant, group), self._founded(friends, context)
        )
        return [Owned(group, self.ref), *(Disowned(old) for old in gone), founding]

    def answer(self, receipt: Receipt, context: Context) -> dict[str, Any]:
        """Give the group that was founded, and the seq of its first event."""
        return {"group": str(receipt.value), "seq": 1}

    def _founded(self, friends: tuple[str, ...], context: Context) -> list[Event]:
        given = {name: getattr(self, name) for name in SETTINGS}
        given["conditions"] = self.conditions or None
        return [
            Created(**given, ref=self.ref, plan=context.caller.plan),
            Joined(via="created", name=context.caller.name, role=Role.OWNER.label),
            *(
                _taken_along(friend, context)
                for friend in friends
                if friend not in context.fetched.blocks.get((context.caller.user, friend), ())
            ),
        ]


def _taken_along(friend: str, context: Context) -> Event:
    """Add a friend, or invite them where their plan has no room."""
    person = context.fetched.users.get(friend)
    profile = None if person is None else person.profile
    plan = context.rules.plan("" if profile is None else profile.plan)
    if person is not None and person.holdings.joined >= plan.groups_joined_max:
        return Invited(member=friend)
    return Joined(via="added", member=friend, name="" if profile is None else profile.name)
