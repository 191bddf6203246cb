"""A link over another link: what TLS and WebSocket have in common.

Placement rules:
- How bytes look below is ``_wrap`` and ``_unwrap`` of a subclass; here is what becomes of them.
- What carries them is any ``Link``; nothing here knows sockets.

Theory of operation. Nothing here waits: what the link below has received is unwrapped whole, and
what is sent is wrapped and handed to the link below. Bytes that are wrapped and find no room below
count as not sent: the caller keeps them and offers them again, as it does with any link that was
full, and is told that they were sent once what they became has left. Thus every backlog stays
where it is bounded, with the caller, and what is held here is one piece.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from typing import ClassVar, Final

import trio

from groupd.server.link import Link, LinkBroken

PIECE_BYTES: Final = 65_536
"""What is comfortable for one send of the link below."""
HELD_MAX_BYTES: Final = 2 * PIECE_BYTES
"""What may wait beside a piece: what the layer itself has to say meanwhile."""


class LayeredLink:
    """A link whose bytes look otherwise on their way. It owns the link below.

    A ``send_all`` that is cancelled has torn something in two: the link is broken then.
    """

    __slots__ = (
        "_below",
        "_broken",
        "_early_bytes",
        "_has_ended",
        "_has_said_end",
        "_held",
        "_is_sending",
        "_ready",
        "_unread",
        "is_clear",
        "peer",
    )

    piece_bytes: ClassVar[int] = PIECE_BYTES
    """How much is wrapped at once."""
    talks_too_much: ClassVar[str] = "the peer asks for more answers than it reads"
    """What is said where more than ``HELD_MAX_BYTES`` of the layer's own wait."""

    def __init__(self, below: Link) -> None:
        self.peer = below.peer
        self._below = below
        self._held = b""
        # How much of what comes next has been wrapped before.
        self._early_bytes = 0
        self._is_sending = self._has_said_end = self._has_ended = False
        self._broken = ""
        self.is_clear = True
        """Whether what is sent now is the next on its way. Kept, and not asked for, because whoever
        sends to many asks each of them."""
        self._ready: Callable[[], None] | None = None
        self._unread: bytes | None = None

    # --- what a subclass says

    def wrap(self, data: bytes | memoryview) -> bytes:
        """Give what a piece is below. Raises LinkBroken."""
        raise NotImplementedError

    def _unwrap(self, data: bytes) -> bytes | None:
        """Take what has come below, ``b""`` for the end; give all of it that has come whole.

        Gives ``b""`` at the end, and sets ``_has_ended`` then; None if nothing has come whole.
        Raises LinkBroken.
        """
        raise NotImplementedError

    def _farewell(self, code: str) -> bytes:
        """Give what says that no more will come, and why, as ``send_eof`` was told."""
        raise NotImplementedError

    # --- sending

    def _settle(self) -> None:
        """Keep ``is_clear`` true to what it says: after all that it depends on has changed."""
        self.is_clear = not (
            self._held
            or self._early_bytes
            or self._is_sending
            or self._has_said_end
            or self._broken
        )

    def _break(self, reason: str) -> LinkBroken:
        """Send and receive nothing more; gives the error to raise. The first reason counts."""
        self._broken = self._broken or reason
        self._settle()
        return LinkBroken(self._broken)

    def hold(self, rest: bytes, size: int) -> None:
        """Have what is left of a piece of ``size`` bytes whose beginning has left; it goes next.

        For who wraps and sends in this link's place. What is offered next must begin with the
        piece.
        """
        self._held, self._early_bytes = rest, size
        self._settle()

    def try_send(self, data: bytes | memoryview) -> int:
        """Send what can leave at once. See ``Link``."""
        if self._broken or self._has_said_end:
            raise LinkBroken(self._broken or "sending after the end")
        if self._is_sending or (self._held and not self._push_held()):
            return 0
        size, taken = len(data), 0
        if self._early_bytes:
            taken = min(self._early_bytes, size)
            self._early_bytes -= taken
            self._settle()
        while taken < size:
            # All of it as the object that it is: the layer may have wrapped it for others before.
            is_whole = not taken and size <= self.piece_bytes
            piece = data if is_whole else data[taken : taken + self.piece_bytes]
            wrapped = self.wrap(piece)
            sent = self._below.try_send(wrapped)
            if sent != len(wrapped):
                self.hold(wrapped[sent:], len(piece))
                break
            taken += len(piece)
        return taken

    @property
    def send(self) -> Callable[[bytes], int]:
        """Give ``try_send``. See ``Link``."""
        return self.try_send

    async def send_all(self, data: bytes) -> None:
        """Send everything. See ``Link``."""
        await trio.lowlevel.checkpoint()
        if self._is_sending:
            raise trio.BusyResourceError("another task is sending")
        rest = memoryview(data)
        while True:
            rest = rest[self.try_send(rest) :]
            if not self._held:
                return
            await self._send_held()

    def _push_held(self) -> bool:
        """Send what is held, and say whether nothing is held any more."""
        self._held = self._held[self._below.try_send(self._held) :]
        self._settle()
        return not self._held

    async def _send_held(self) -> None:
        """Wait until what is held has left."""
        data, self._held = self._held, b""
        self._is_sending = True
        self._settle()
        try:
            await self._below.send_all(data)
        except BaseException:
            self._break("sending was cut short")
            raise
        finally:
            self._is_sending = False
            self._settle()

    def _say(self, data: bytes) -> None:
        """Send what the layer itself has to say, behind what is held; raises LinkBroken."""
        if not data:
            return
        self._held += data
        if len(self._held) > HELD_MAX_BYTES + self._early_bytes:
            raise self._break(self.talks_too_much)
        if self._is_sending:
            self._settle()
        else:
            self._push_held()

    # --- receiving

    @property
    def has_half(self) -> bool:
        """Say whether half a frame has come. See ``Link``."""
        return self._below.has_half

    async def receive_some(self, max_bytes: int) -> bytes:
        """Wait for bytes and give them. See ``Link``, and ``try_receive`` for how many."""
        data = self._take_unread()
        if data is not None:
            await trio.lowlevel.checkpoint()
            return data
        while data is None:
            data = self._take(await self._below.receive_some(max_bytes))
        return data

    def try_receive(self, max_bytes: int) -> bytes | None:
        """Give bytes that are there. See ``Link``.

        They may be more than were asked for: what has come whole is given whole, since nobody is
        called for what stays behind here.
        """
        data = self._take_unread()
        if data is not None:
            return data
        if self._broken:
            raise LinkBroken(self._broken)
        came = self._below.try_receive(max_bytes)
        return None if came is None else self._take(came)

    def _take_unread(self) -> bytes | None:
        """Give what needs no reading: bytes that are unwrapped, or the end; None if there is none.

        What is there is given even if the link has broken since.
        """
        data, self._unread = self._unread, None
        if data is None and self._has_ended:
            return b""
        return data

    def _take(self, came: bytes) -> bytes | None:
        if self._broken:
            raise LinkBroken(self._broken)
        return self._unwrap(came)

    def watch(self, ready: Callable[[], None]) -> None:
        """Call ``ready`` while there is something to read. See ``Link``.

        It may be called before this returns, for what the link below will not tell of.
        """
        self._ready = ready
        self._below.watch(self._on_readable)
        if self._unread is not None or self._has_ended or self._broken:
            ready()

    def _on_readable(self) -> None:
        if self._ready is not None:
            self._ready()
        # The end may have come with the last bytes, and the link below still be open.
        if self._has_ended and self._ready is not None:
            self._ready()

    def unwatch(self) -> None:
        """Call nothing more. See ``Link``."""
        self._ready = None
        self._below.unwatch()

    # --- the end

    def send_eof(self, code: str = "") -> None:
        """Tell the peer that no more will come. See ``Link``."""
        self._say_end(code)
        self._below.send_eof()

    async def aclose(self) -> None:
        """Close this link and the one below. See ``Link``."""
        self._say_end()
        self._unread, self._has_ended = None, False
        self._break("this link is closed")
        self._ready = None
        await self._below.aclose()

    def _say_end(self, code: str = "") -> None:
        """Say the end in the layer's own words, if what was said before it has left whole."""
        if self._has_said_end:
            return
        self._has_said_end = True
        self._settle()
        if self._held or self._is_sending or self._broken:
            return
        with suppress(LinkBroken):  # Nobody may be there to hear it.
            self._below.try_send(self._farewell(code))
