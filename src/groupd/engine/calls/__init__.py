"""The calls that a user can make, one method for each method of the protocol, written once.

Two callers give them their transport: the SDK's ``Client`` over a connection, the hub's ``Caller``
without one. A call builds the request class, which checks the parameters, so a wrong one raises
Rejected ``bad_request`` here and never travels.

Two methods of the catalog have no call: ``hello`` is the transport's own, and the operator's are
no user's.
"""

from __future__ import annotations

from groupd.engine.calls.feeding import FeedCalls
from groupd.engine.calls.groups import GroupCalls
from groupd.engine.calls.membership import MembershipCalls
from groupd.engine.calls.messages import MessageCalls
from groupd.engine.calls.moderation import ModerationCalls
from groupd.engine.calls.own import OwnCalls


class Calls(OwnCalls, GroupCalls, MembershipCalls, MessageCalls, ModerationCalls, FeedCalls):
    """The protocol's methods as typed calls.

    The group comes first where a call has one, then what the call is about; the rest goes by
    name. What is left out keeps its default. ``id`` names an intent: the same id again gives the
    first result and changes nothing. All raise Rejected.
    """


__all__ = ["Calls"]
