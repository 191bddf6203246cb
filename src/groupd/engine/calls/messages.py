"""The calls about what is said: posts, and what becomes of them."""

# `id` is the protocol's word, and permanent.

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, cast

from groupd.config import CONTENT
from groupd.domain.group.board import Acknowledge, Announce, Announcements, PinMessage, Unpin
from groupd.domain.group.edits import Edit
from groupd.domain.group.messages import Post, Typing
from groupd.domain.group.reactions import React, Unreact
from groupd.domain.group.recalls import Recall
from groupd.domain.queries import Edits, History, Messages, Reactors, Read, Thread
from groupd.engine.calls.asker import Asker
from groupd.engine.results import (
    AnnouncementsResult,
    EditsResult,
    EmptyResult,
    HistoryResult,
    MessagesResult,
    PostResult,
    ReactorsResult,
    ReadResult,
    SeqResult,
    ThreadResult,
)


class MessageCalls(Asker):
    """Calls about what is said: posts, and what becomes of them."""

    async def post(
        self,
        group: str,
        text: str = "",
        *,
        card: Mapping[str, Any] | None = None,
        reply_to: int | None = None,
        mentions: Sequence[str] = (),
        id: str | None = None,
    ) -> PostResult:
        """Say something to all members. ``mentions`` are users, or the word ``all``."""
        request = Post(
            text=text,
            card=card,
            reply_to=reply_to,
            mentions=mentions if isinstance(mentions, str) else tuple(mentions),
        )
        return cast(PostResult, await self.call(request, group=group, id=id))

    async def edit(
        self,
        group: str,
        seq: int,
        *,
        text: str = "",
        card: Mapping[str, Any] | None = None,
        mentions: Sequence[str] = (),
        id: str | None = None,
    ) -> SeqResult:
        """Word a post of one's own anew. What is left out is gone; what it replies to stays."""
        request = Edit(
            seq=seq,
            text=text,
            card=card,
            mentions=mentions if isinstance(mentions, str) else tuple(mentions),
        )
        return cast(SeqResult, await self.call(request, group=group, id=id))

    async def edits(self, group: str, seq: int, *, after: int = 0) -> EditsResult:
        """Page a message and its edits, oldest first. For admins, and for its author."""
        request = Edits(seq=seq, after=after)
        return cast(EditsResult, await self.call(request, group=group))

    async def recall(self, group: str, seq: int, *, id: str | None = None) -> SeqResult:
        """Take a message back: one's own soon after, or as an admin those of lower roles."""
        request = Recall(seq=seq)
        return cast(SeqResult, await self.call(request, group=group, id=id))

    async def react(
        self, group: str, seq: int, *, reaction: str, id: str | None = None
    ) -> SeqResult:
        """React to a message: with an emoji, or with a word such as "like"."""
        request = React(seq=seq, reaction=reaction)
        return cast(SeqResult, await self.call(request, group=group, id=id))

    async def unreact(
        self, group: str, seq: int, *, reaction: str, id: str | None = None
    ) -> SeqResult:
        """Take a reaction back. Also who may not speak now may do so."""
        request = Unreact(seq=seq, reaction=reaction)
        return cast(SeqResult, await self.call(request, group=group, id=id))

    async def reactors(
        self, group: str, seq: int, *, reaction: str, after: str = "", limit: int = 200
    ) -> ReactorsResult:
        """List who has reacted in one way to a message, by user id."""
        request = Reactors(seq=seq, reaction=reaction, after=after, limit=limit)
        return cast(ReactorsResult, await self.call(request, group=group))

    async def messages(self, group: str, seqs: Sequence[int]) -> MessagesResult:
        """Look at messages as they are now: newest form, reactions, number of replies.

        Left out are those that do not exist or that the caller may not read. ``more`` says that the
        answer would have been too large: ask again for the seqs after its last message.
        """
        request = Messages(seqs=tuple(seqs))
        return cast(MessagesResult, await self.call(request, group=group))

    async def thread(
        self, group: str, seq: int, *, after: int = 0, limit: int = 50
    ) -> ThreadResult:
        """Page the replies to a message, oldest first. On a card they are its comments."""
        request = Thread(seq=seq, after=after, limit=limit)
        return cast(ThreadResult, await self.call(request, group=group))

    async def typing(self, group: str) -> EmptyResult:
        """Let the others see that the caller is typing. Nothing is kept of it.

        In a large group nobody is told.
        """
        request = Typing()
        return cast(EmptyResult, await self.call(request, group=group))

    async def history(
        self,
        group: str,
        *,
        after: int | None = None,
        before: int | None = None,
        limit: int = CONTENT.history_page,
    ) -> HistoryResult:
        """Page a group's log, forward with ``after`` or backward with ``before``.

        With neither, the newest events; the events of a page are always in rising order.
        """
        request = History(after=after, before=before, limit=limit)
        return cast(HistoryResult, await self.call(request, group=group))

    async def read(self, group: str, seq: int) -> ReadResult:
        """Move the caller's read cursor forward. It never moves back."""
        request = Read(seq=seq)
        return cast(ReadResult, await self.call(request, group=group))

    async def announce(self, group: str, text: str, *, id: str | None = None) -> SeqResult:
        """Say something that stays at the top, until the next one."""
        request = Announce(text=text)
        return cast(SeqResult, await self.call(request, group=group, id=id))

    async def acknowledge(self, group: str, seq: int, *, id: str | None = None) -> SeqResult:
        """Confirm that one has seen the announcement ``seq``."""
        request = Acknowledge(seq=seq)
        return cast(SeqResult, await self.call(request, group=group, id=id))

    async def announcements(
        self, group: str, *, limit: int = CONTENT.history_page
    ) -> AnnouncementsResult:
        """List the announcements that are kept, the current one first."""
        request = Announcements(limit=limit)
        return cast(AnnouncementsResult, await self.call(request, group=group))

    async def pin(self, group: str, seq: int, *, id: str | None = None) -> SeqResult:
        """Put the message ``seq`` on the group's pin board."""
        request = PinMessage(seq=seq)
        return cast(SeqResult, await self.call(request, group=group, id=id))

    async def unpin(self, group: str, seq: int, *, id: str | None = None) -> SeqResult:
        """Take the message ``seq`` off the pin board."""
        request = Unpin(seq=seq)
        return cast(SeqResult, await self.call(request, group=group, id=id))
