"""The sessions that want events, by user."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final

from groupd.domain.base import Audience, StreamKey
from groupd.engine.peer import Peer

User = tuple[str, str]
"""Tenant and user."""
NOBODY: Final[tuple[Peer, ...]] = ()


class Roster:
    """The sessions that want events, by user. Every outlet looks here when a view changes."""

    def __init__(self) -> None:
        self._peers: dict[User, list[Peer]] = {}
        self._news: dict[Peer, dict[StreamKey, Audience | None]] = {}

    def add(self, user: User, peer: Peer) -> None:
        """Count a session under its user; from now on joinings reach it."""
        self._peers.setdefault(user, []).append(peer)

    def remove(self, user: User, peer: Peer) -> None:
        """Forget a session. Forgetting it twice is not an error."""
        peers = self._peers.get(user, [])
        if peer in peers:
            peers.remove(peer)
            if not peers:
                del self._peers[user]
        self._news.pop(peer, None)

    def peers(self, user: User) -> Sequence[Peer]:
        """Give a user's sessions."""
        return self._peers.get(user, NOBODY)

    # While a session is being greeted it has read its memberships and is not subscribed yet.

    def watch(self, peer: Peer) -> Mapping[StreamKey, Audience | None]:
        """Collect the views that change for a session from now on: stream -> its view by then."""
        self._news[peer] = {}
        return self._news[peer]

    def unwatch(self, peer: Peer) -> None:
        """End ``watch``."""
        self._news.pop(peer, None)

    def note(self, peer: Peer, stream: StreamKey, view: Audience | None) -> None:
        """Tell whoever greets this session that its view of a stream has changed."""
        news = self._news.get(peer)
        if news is not None:
            news[stream] = view
