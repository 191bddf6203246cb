"""The protocol's methods as calls that block: the same as ``Calls``, with nothing to await."""

from __future__ import annotations

import functools
from collections.abc import Callable, Coroutine
from typing import Any, Concatenate, ParamSpec, TypeVar

from groupd.domain.base import Request
from groupd.engine.calls import Calls

P = ParamSpec("P")
T = TypeVar("T")


class _AtOnce(Calls):
    """Calls whose transport blocks, so that their coroutines end at their first step."""

    def __init__(self, ask: Callable[[Request, str | None, str | None], dict[str, Any]]) -> None:
        self._ask = ask

    async def call(
        self, request: Request, *, group: str | None = None, id: str | None = None
    ) -> dict[str, Any]:
        """Have a request served."""
        return self._ask(request, group, id)


def _blocking(
    method: Callable[Concatenate[Any, P], Coroutine[Any, Any, T]],
) -> Callable[Concatenate[BlockingCalls, P], T]:
    """Give the method of ``BlockingCalls`` that is this one of ``Calls``."""

    def call(self: BlockingCalls, /, *args: P.args, **kwargs: P.kwargs) -> T:
        coroutine = method(_AtOnce(self._ask), *args, **kwargs)
        try:
            coroutine.send(None)
        except StopIteration as done:
            result: T = done.value
            return result
        raise AssertionError("a call has waited for something else than its transport")

    functools.update_wrapper(call, method)
    return call


class BlockingCalls:
    """``groupd.engine.calls.Calls`` for a transport that blocks. A test compares the two."""

    def _ask(self, request: Request, group: str | None, id: str | None) -> dict[str, Any]:
        raise NotImplementedError

    ping = _blocking(Calls.ping)
    changes = _blocking(Calls.changes)
    ack = _blocking(Calls.ack)
    consumers = _blocking(Calls.consumers)
    forget_consumer = _blocking(Calls.forget_consumer)
    groups = _blocking(Calls.groups)
    chats = _blocking(Calls.chats)
    sync = _blocking(Calls.sync)
    account_history = _blocking(Calls.account_history)
    pin_chat = _blocking(Calls.pin_chat)
    do_not_disturb = _blocking(Calls.do_not_disturb)
    mark_unread = _blocking(Calls.mark_unread)
    show_group = _blocking(Calls.show_group)
    users = _blocking(Calls.users)
    profile = _blocking(Calls.profile)
    block = _blocking(Calls.block)
    unblock = _blocking(Calls.unblock)
    blocks = _blocking(Calls.blocks)
    explain = _blocking(Calls.explain)

    create = _blocking(Calls.create)
    direct = _blocking(Calls.direct)
    info = _blocking(Calls.info)
    update = _blocking(Calls.update)
    dissolve = _blocking(Calls.dissolve)
    search = _blocking(Calls.search)
    nearby = _blocking(Calls.nearby)

    join = _blocking(Calls.join)
    withdraw = _blocking(Calls.withdraw)
    leave = _blocking(Calls.leave)
    members = _blocking(Calls.members)
    set_nickname = _blocking(Calls.set_nickname)
    requests = _blocking(Calls.requests)
    approve = _blocking(Calls.approve)
    decline = _blocking(Calls.decline)
    invite = _blocking(Calls.invite)
    accept_invite = _blocking(Calls.accept_invite)
    decline_invite = _blocking(Calls.decline_invite)
    share_link = _blocking(Calls.share_link)
    open_link = _blocking(Calls.open_link)
    links = _blocking(Calls.links)
    revoke_link = _blocking(Calls.revoke_link)

    post = _blocking(Calls.post)
    edit = _blocking(Calls.edit)
    edits = _blocking(Calls.edits)
    recall = _blocking(Calls.recall)
    react = _blocking(Calls.react)
    unreact = _blocking(Calls.unreact)
    reactors = _blocking(Calls.reactors)
    messages = _blocking(Calls.messages)
    thread = _blocking(Calls.thread)
    typing = _blocking(Calls.typing)
    history = _blocking(Calls.history)
    read = _blocking(Calls.read)
    announce = _blocking(Calls.announce)
    acknowledge = _blocking(Calls.acknowledge)
    announcements = _blocking(Calls.announcements)
    pin = _blocking(Calls.pin)
    unpin = _blocking(Calls.unpin)

    set_role = _blocking(Calls.set_role)
    transfer = _blocking(Calls.transfer)
    accept_transfer = _blocking(Calls.accept_transfer)
    decline_transfer = _blocking(Calls.decline_transfer)
    kick = _blocking(Calls.kick)
    ban = _blocking(Calls.ban)
    unban = _blocking(Calls.unban)
    bans = _blocking(Calls.bans)
    mute = _blocking(Calls.mute)
    unmute = _blocking(Calls.unmute)
    mute_all = _blocking(Calls.mute_all)
    slow_mode = _blocking(Calls.slow_mode)
