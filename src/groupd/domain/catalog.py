"""Which methods and which kinds of event there are. A new one adds its line here."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from types import MappingProxyType
from typing import Any, Final

import attrs

from groupd.domain import console, feeding, policy, queries, sessions, watching
from groupd.domain.account import blocks, chats, profile, revocation
from groupd.domain.account.create import Create
from groupd.domain.account.hearing import HEARD
from groupd.domain.account.state import Account, Disowned, Owned
from groupd.domain.base import ACCOUNT, GROUP, Event, Request
from groupd.domain.group import (
    admission,
    bindings,
    board,
    deadlines,
    direct,
    edits,
    info,
    invitations,
    links,
    lives,
    membership,
    messages,
    moderation,
    nicknames,
    operated,
    orders,
    reactions,
    recalls,
    roles,
    settings,
)
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
            queries.Profile,
            queries.AccountHistory,
            queries.Chats,
            chats.PinChat,
            chats.DoNotDisturb,
            chats.MarkUnread,
            chats.ShowGroup,
            blocks.Block,
            blocks.Unblock,
            queries.Blocks,
            policy.Explain,
            # finding groups
            queries.Search,
            queries.Nearby,
            # a group
            Create,
            direct.Direct,
            info.Info,
            settings.Update,
            settings.Dissolve,
            membership.Join,
            membership.Leave,
            admission.Requests,
            admission.Approve,
            admission.Decline,
            admission.Withdraw,
            invitations.Invite,
            invitations.AcceptInvite,
            invitations.DeclineInvite,
            queries.Members,
            messages.Post,
            edits.Edit,
            queries.Edits,
            recalls.Recall,
            reactions.React,
            reactions.Unreact,
            queries.Reactors,
            queries.Messages,
            queries.Thread,
            messages.Typing,
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
            links.Links,
            roles.SetRole,
            roles.Transfer,
            roles.AcceptTransfer,
            roles.DeclineTransfer,
            nicknames.SetNickname,
            moderation.Kick,
            moderation.BanUser,
            moderation.Unban,
            moderation.Bans,
            moderation.Mute,
            moderation.Unmute,
            moderation.MuteAll,
            moderation.SlowMode,
            # the change feed
            feeding.Changes,
            feeding.Ack,
            feeding.Consumers,
            feeding.ForgetConsumer,
            # the operator
            queries.OperatorLog,
            queries.OperatorCheck,
            queries.OperatorBackup,
            sessions.OperatorRevoke,
            sessions.OperatorDisconnect,
            watching.OperatorAudit,
            watching.OperatorConsumers,
            console.OperatorFigures,
            console.OperatorGroups,
            operated.OperatorGroup,
            console.OperatorUsers,
            console.OperatorUser,
            console.OperatorExplain,
            operated.OperatorBan,
            operated.OperatorDissolve,
        )
    }
)
"""Method -> the class of its request. Names are permanent."""

_OF_ACCOUNTS: Final[tuple[type[Event], ...]] = (
    Owned,
    Disowned,
    profile.Profiled,
    chats.ChatSet,
    blocks.Blocked,
    blocks.Unblocked,
    revocation.Revoked,
    *HEARD,
)

EVENTS: Final[Mapping[str, Mapping[str, type[Event]]]] = MappingProxyType(
    {
        GROUP: MappingProxyType(
            {
                cls.kind: cls
                for cls in (
                    settings.Created,
                    membership.Joined,
                    membership.Left,
                    membership.Requested,
                    admission.Declined,
                    admission.Withdrawn,
                    admission.RequestExpired,
                    invitations.Invited,
                    invitations.InviteDeclined,
                    invitations.InviteExpired,
                    messages.Posted,
                    edits.Edited,
                    recalls.Recalled,
                    reactions.Reacted,
                    reactions.Unreacted,
                    board.Announced,
                    board.Acknowledged,
                    board.Pinned,
                    board.Unpinned,
                    links.LinkMade,
                    links.LinkRevoked,
                    settings.Updated,
                    settings.Dissolved,
                    roles.RoleSet,
                    roles.TransferOffered,
                    roles.TransferDeclined,
                    roles.TransferExpired,
                    roles.Transferred,
                    nicknames.Nicknamed,
                    moderation.Kicked,
                    moderation.Banned,
                    moderation.Unbanned,
                    moderation.Muted,
                    moderation.Unmuted,
                    moderation.AllMuted,
                    moderation.SlowModeSet,
                    bindings.Bound,
                    bindings.Unbound,
                    orders.Ordered,
                    lives.LiveStarted,
                    lives.LiveEnded,
                    operated.Operated,
                )
            }
        ),
        ACCOUNT: MappingProxyType({cls.kind: cls for cls in _OF_ACCOUNTS}),
    }
)
"""Kind of stream -> kind of event -> its class. Names are permanent."""
