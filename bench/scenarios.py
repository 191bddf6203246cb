"""What is measured: each scenario is a row of numbers, and nothing here runs anything."""

from __future__ import annotations

from typing import Final

import attrs

MEMBERS_MIN: Final = 2
MEMBERS_MAX: Final = 1_000
"""Of a group that is measured."""
CROWD_MAX: Final = 15_000
"""Of those who are there beside it."""
CROWD_GROUP: Final = 200
"""Members of each of the crowd's groups, where it is more than one."""

FAN_OUT: Final = "fan-out"
IDLE: Final = "idle"
CIRCLE: Final = "circle"
STORM: Final = "storm"


@attrs.frozen
class Scenario:
    """How many groups of how many members, and who posts how fast.

    With ``posts_per_s`` 0 each poster keeps ``in_flight`` posts unanswered, so the server is
    always busy; else posts leave at that rate, whatever the answers do.
    """

    name: str
    title: str
    groups: int = 1
    members: int = 200
    posters: int = 0
    """Of each group. One member at least stays silent."""
    in_flight: int = 1
    posts_per_s: int = 0
    kind: str = FAN_OUT
    crowd: int = 0
    """How many others there are: idle, in one circle, or in groups that reconnect."""
    idle_groups: int = 0
    """How many groups without any session are founded."""
    peers: bool = False
    """Whether it can be asked of other servers."""

    def resized(self, members: int | None = None, crowd: int | None = None) -> Scenario:
        """Give the same with other numbers; at most half of the members post."""
        members = self.members if members is None else members
        crowd = self.crowd if crowd is None else min(crowd, self.crowd)
        if not MEMBERS_MIN <= members <= MEMBERS_MAX:
            raise ValueError(f"expected {MEMBERS_MIN} to {MEMBERS_MAX} members, got {members}")
        if self.crowd and not MEMBERS_MIN <= crowd <= CROWD_MAX:
            raise ValueError(f"expected a crowd of {MEMBERS_MIN} to {CROWD_MAX}, got {crowd}")
        return attrs.evolve(
            self,
            members=members,
            posters=min(self.posters, members // 2),
            crowd=crowd,
            idle_groups=min(self.idle_groups, crowd),
        )


def _steady(name: str, title: str, kind: str, crowd: int) -> Scenario:
    return Scenario(name, title, posters=10, posts_per_s=50, kind=kind, crowd=crowd)


SCENARIOS: Final = {
    scenario.name: scenario
    for scenario in (
        Scenario(
            "a", "1 group of 200, 10 posters x 10 in flight", posters=10, in_flight=10, peers=True
        ),
        Scenario("a1", "1 group of 200, 10 posters x 1 in flight", posters=10, peers=True),
        Scenario(
            *("b", "20 groups of 50, 10 posters x 10 in flight"),
            groups=20,
            members=50,
            posters=10,
            in_flight=10,
            peers=True,
        ),
        Scenario(
            *("b1", "20 groups of 50, 2 posters x 1 in flight"),
            groups=20,
            members=50,
            posters=2,
            peers=True,
        ),
        Scenario(
            *("c", "1 group of 1,000, 10 posters x 10 in flight"),
            members=1_000,
            posters=10,
            in_flight=10,
            peers=True,
        ),
        Scenario(
            *("c1", "1 group of 1,000, 10 posters x 1 in flight"),
            members=1_000,
            posters=10,
            peers=True,
        ),
        Scenario("d", "1 group of 200, 50 posts/s", posters=10, posts_per_s=50, peers=True),
        Scenario(
            *("e", "100 groups of 10, 5 posters x 1 in flight"),
            groups=100,
            members=10,
            posters=5,
            peers=True,
        ),
        _steady("f", "d beside a circle of 15,000 with 1 post/s and 10 joins/s", CIRCLE, 15_000),
        _steady("r", "d while 5,000 sessions reconnect", STORM, 5_000),
        Scenario(
            *("g", "5,000 idle connections, 1,000 idle groups"),
            members=CROWD_GROUP,
            kind=IDLE,
            crowd=5_000,
            idle_groups=1_000,
        ),
        Scenario("p", "1 group of 2, 1,000 posts in flight", members=2, posters=1, in_flight=1_000),
    )
}
DEFAULT: Final = ("a", "a1", "b", "d", "p")
WITH_PEERS: Final = ("a", "a1", "b", "c", "d", "e")
