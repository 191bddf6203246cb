"""The reading side of one connection: when it is read from, how much at once, and whole messages.

A session that asks for more than its rate is given a rest after each read, and less is read then:
to refuse a request costs the server as much as to serve a small one, and costs the client nothing.
What it has sent meanwhile waits in the kernel, until the client cannot send any more either.
"""

from __future__ import annotations

from collections.abc import Callable

import trio

from groupd.errors import RemoteProtocolError
from groupd.server.link import Link
from groupd.server.services import Services
from groupd.wire import rpc


class Intake:
    """Reads a link, which it does not own. ``ready`` is called when something can be read.

    A link is watched from ``watch`` until ``unwatch``, but for its rests.
    """

    __slots__ = (
        "_deadlines",
        "_is_over_rate",
        "_is_resting",
        "_is_wanted",
        "_is_watched",
        "_limits",
        "_link",
        "_read_bytes",
        "_ready",
        "_unframer",
        "half_since_s",
    )

    def __init__(self, link: Link, services: Services, ready: Callable[[], None]) -> None:
        self._link, self._ready = link, ready
        self._limits, self._deadlines = services.limits, services.deadlines
        self._unframer = rpc.Unframer(services.frame_limits)
        self._read_bytes = services.limits.frame_before_hello_max_bytes
        self._is_wanted = self._is_watched = self._is_resting = self._is_over_rate = False
        self.half_since_s = trio.current_time()
        """Since when the frame that has only begun waits for its rest."""

    @property
    def has_half_a_frame(self) -> bool:
        """Say whether a frame has begun and not ended."""
        return self._unframer.partial or self._link.has_half

    @property
    def error(self) -> RemoteProtocolError | None:
        """What is wrong with the bytes; nothing after them can be understood."""
        return self._unframer.error

    def take_larger_frames(self) -> None:
        """Read as much at once as from somebody who is known."""
        self._unframer.frame_max_bytes = self._limits.frame_max_bytes
        self._read_bytes = self._limits.read_size_bytes

    def watch(self) -> None:
        """Call ``ready`` whenever something can be read."""
        self._is_wanted = True
        if not self._is_watched and not self._is_resting:
            self._is_watched = True
            self._link.watch(self._ready)

    def unwatch(self) -> None:
        """Call nothing more. May be repeated."""
        self._is_wanted = False
        self._let_be()

    def close(self) -> None:
        """Let go of who is called, for good: what was frozen must not end as a cycle."""
        self.unwatch()
        self._ready = _nobody

    def read(self) -> list[rpc.Message] | None:
        """Read once: the messages that this completes, in their order; None at the end.

        Raises LinkBroken.
        """
        size = self._limits.rest_read_bytes if self._is_over_rate else self._read_bytes
        was_half = self.has_half_a_frame
        data = self._link.try_receive(size)
        messages: list[rpc.Message] = []
        if data:
            self._is_over_rate = False
            messages = self._unframer.feed(data)
        elif data is not None:
            return None
        if self.has_half_a_frame and (messages or not was_half):
            # What is left over is a frame that has only begun.
            self.half_since_s = trio.current_time()
        return messages

    # --- rests

    def slow_down(self) -> None:
        """Note that what was read asks for more than the user's rate."""
        self._is_over_rate = True

    def rest(self) -> None:
        """Let the link be for a while, if what was read asks for too much."""
        if self._is_over_rate and not self._is_resting:
            self._is_resting = True
            self._let_be()
            self._deadlines.add(trio.current_time() + self._limits.rest_ms / 1_000, self._resume)

    def _resume(self) -> None:
        self._is_resting = False
        if self._is_wanted:
            self.watch()

    def _let_be(self) -> None:
        if self._is_watched:
            self._is_watched = False
            self._link.unwatch()


def _nobody() -> None:
    """Be called when nobody reads any more."""
