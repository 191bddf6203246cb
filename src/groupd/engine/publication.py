"""What a batch has become for those who read the stream: its frames, and what changes in them.

Placement rules: bytes and views alone. Who reads, and when, is the outlet's.
"""

from __future__ import annotations

import attrs

from groupd.domain.base import Audience, StreamKey
from groupd.engine.peer import lagged_frame


@attrs.frozen
class Move:
    """What one frame changes in what one user reads."""

    index: int
    """Of the frame."""
    user: str
    view: Audience | None
    """What they read after it; None for nothing."""
    lets_in: bool
    """False where it changes nothing for somebody who reads nothing yet."""


@attrs.define
class Publication:
    """The frames of one batch, ready to go."""

    last_seq: int
    frames: list[bytes]
    masked: dict[int, bytes] = attrs.field(factory=dict)
    """Index of an admins' frame -> what other members get in its place."""
    moves: list[Move] = attrs.field(factory=list)
    can_wait: bool = False
    """Whether all of it may leave a moment after it was answered."""

    @property
    def is_same_for_all(self) -> bool:
        """Say whether everybody gets all frames, and goes on reading as before."""
        return not self.moves and not self.masked

    @property
    def size_bytes(self) -> int:
        """Measure the frames together."""
        return sum(map(len, self.frames))

    def merge(self, later: Publication) -> None:
        """Append what was published after this."""
        offset = len(self.frames)
        self.last_seq = later.last_seq
        self.can_wait &= later.can_wait
        self.frames += later.frames
        self.masked |= {offset + index: frame for index, frame in later.masked.items()}
        self.moves += [attrs.evolve(move, index=offset + move.index) for move in later.moves]

    def chunk(self, view: Audience, start: int = 0, end: int | None = None) -> bytes:
        """Join the frames from ``start`` to ``end`` as a reader of this view sees them."""
        frames = self.frames[start:end]
        if self.masked and view < Audience.ADMINS:
            for index, frame in self.masked.items():
                if start <= index < start + len(frames):
                    frames[index - start] = frame
        return b"".join(frames)

    def cut(self, user: str, view: Audience | None) -> tuple[bytes, Audience | None]:
        """Give what one moved user gets, and their view afterwards.

        Somebody who is let in reads from that frame on; whoever is taken out reads it as the last.
        """
        parts, start = [], 0
        for move in self.moves:
            if move.user != user or (view is None and not move.lets_in):
                continue
            edge = move.index if view is None else move.index + 1
            if view is not None:
                parts.append(self.chunk(view, start, edge))
            start, view = edge, move.view
        if view is not None:
            parts.append(self.chunk(view, start))
        return b"".join(parts), view

    def farewell(self, stream: StreamKey, user: str) -> bytes:
        """Give what remains to be said to a user who is taken out and has missed things."""
        index = max(move.index for move in self.moves if move.user == user)
        seq = self.last_seq - len(self.frames) + 1 + index
        return lagged_frame(stream, seq - 1) + self.chunk(Audience.MEMBERS, index, index + 1)
