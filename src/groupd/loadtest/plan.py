"""What a load test is told: its settings, the tokens of its users, who is in which group. Pure.

Each bound stands here by name. What is wrong is a ConfigError that names the option.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from typing import Any, Final

import attrs

from groupd.errors import ConfigError
from groupd.loadtest.schedule import ARRIVALS
from groupd.loadtest.text import SIZE_MAX_BYTES, SIZE_MIN_BYTES

RATE_MAX_PER_S: Final = 50_000.0
FOR_MAX_MS: Final = 24 * 3_600_000
POSTS_MAX: Final = 5_000_000
"""Posts of a run. Of each, 16 bytes are kept to check it by."""
USERS_MAX: Final = 20_000
"""Tokens, each of which is a connection: as many as a server takes by default."""
GROUPS_MAX: Final = 10_000
MEMBERS_MAX: Final = 20_000
READINGS_MAX: Final = 200_000
"""Groups times members: each is followed by itself."""
CONNECT_RATE_MAX_PER_S: Final = 5_000
SEED_MAX: Final = 2**63 - 1
TOKEN_MAX_BYTES: Final = 4_096
"""A server takes no larger one, since a hello has to fit a frame of so many bytes."""
TOKENS_FILE_MAX_BYTES: Final = USERS_MAX * (TOKEN_MAX_BYTES + 128)

_TOKEN: Final = re.compile(r"[\w-]+\.[\w-]+\.[\w-]*", re.ASCII)
_SHOWN: Final = 12
"""Characters of a bad token that are shown: it may be somebody's password."""


def _within(
    option: str, low: float, high: float, unit: str = ""
) -> Callable[[Any, Any, Any], None]:
    def check(_load: object, _field: object, value: float) -> None:
        if not low <= value <= high:
            raise ConfigError(f"{option}: expected {low:,} to {high:,}{unit}, got {value:,}")

    return check


@attrs.frozen(kw_only=True)
class Load:
    """What is asked of a load test. Raises ConfigError where it is more than the bounds above."""

    rate_per_s: float = attrs.field(validator=_within("--rate", 0.1, RATE_MAX_PER_S, " posts/s"))
    """Posts a second, of all groups together."""
    for_ms: int = attrs.field(validator=_within("--for", 1_000, FOR_MAX_MS, " ms"))
    groups: int = attrs.field(default=1, validator=_within("--groups", 1, GROUPS_MAX))
    """How many are made; unless some are given."""
    given: tuple[str, ...] = ()
    """Groups that are there already, to be joined."""
    members: int | None = attrs.field(
        default=None,
        validator=attrs.validators.optional(_within("--members", 1, MEMBERS_MAX)),
    )
    """Of each group; by default all users, shared out."""
    size_bytes: int = attrs.field(
        default=100, validator=_within("--size", SIZE_MIN_BYTES, SIZE_MAX_BYTES, " bytes")
    )
    arrivals: str = attrs.field(default="constant", validator=attrs.validators.in_(ARRIVALS))
    seed: int = attrs.field(default=1, validator=_within("--seed", 0, SEED_MAX))
    connect_rate_per_s: int = attrs.field(
        default=200, validator=_within("--connect-rate", 1, CONNECT_RATE_MAX_PER_S, " a second")
    )

    def __attrs_post_init__(self) -> None:
        posts = self.rate_per_s * self.for_ms / 1_000
        if posts > POSTS_MAX:
            raise ConfigError(
                f"--rate, --for: expected at most {POSTS_MAX:,} posts in all, got {posts:,.0f}"
            )
        if len(self.given) > GROUPS_MAX or len(set(self.given)) != len(self.given):
            raise ConfigError(f"--group: expected at most {GROUPS_MAX:,}, each once")


@attrs.frozen
class Ticket:
    """A user's token, and the line of the file that it stands on."""

    line: int
    token: str = attrs.field(repr=False)


def read_tickets(text: str, source: str) -> list[Ticket]:
    """Read a file of tokens: on each line a token, or a user, a tab and a token.

    Empty lines and those that begin with # are passed over. Raises ConfigError, with ``source``
    and the line, where a line is something else, or a token stands there twice.
    """
    tickets: list[Ticket] = []
    lines_of: dict[str, int] = {}
    for line, words in enumerate(text.splitlines(), 1):
        if not words.strip() or words.startswith("#"):
            continue
        token = words.rpartition("\t")[2].strip()
        if not _TOKEN.fullmatch(token) or len(token) > TOKEN_MAX_BYTES:
            raise ConfigError(
                f"{source}, line {line}: expected a token, or a user, a tab and a token; "
                f"got {token[:_SHOWN]!r} ..."
            )
        if token in lines_of:
            raise ConfigError(
                f"{source}, line {line}: the token of line {lines_of[token]} again; "
                "each must be another user's"
            )
        lines_of[token] = line
        tickets.append(Ticket(line, token))
    if not tickets:
        raise ConfigError(f"{source}: there is no token in it")
    if len(tickets) > USERS_MAX:
        raise ConfigError(f"{source}: expected at most {USERS_MAX:,} tokens, got {len(tickets):,}")
    return tickets


@attrs.frozen
class Seats:
    """Who is in a group, by place in the list of users."""

    owner: int
    """Who makes it."""
    members: Sequence[int]
    """The owner among them."""


def seats_of(load: Load, users: int) -> list[Seats]:
    """Share users out to groups; raises ConfigError where there are too few.

    The groups take turns at the list of users, which begins anew where it is used up. Of its
    members, who owns the fewest groups so far owns a group, since a plan allows a few only.
    """
    groups = len(load.given) or load.groups
    members = load.members or max(1, min(users, users // groups))
    if members > users:
        raise ConfigError(
            f"--members: {members:,} members of a group need as many tokens, and there are "
            f"{users:,}"
        )
    if groups * members > READINGS_MAX:
        raise ConfigError(
            f"--groups, --members: expected at most {READINGS_MAX:,} places in all, "
            f"got {groups * members:,}"
        )
    seats, owned = list[Seats](), [0] * users
    for start in range(0, groups * members, members):
        places = [(start + place) % users for place in range(members)]
        owner = min(places, key=owned.__getitem__)
        owned[owner] += 1
        seats.append(Seats(owner, places))
    return seats
