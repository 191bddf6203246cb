"""What is measured: each scenario is a row of numbers, and nothing here runs anything."""

from __future__ import annotations

from typing import Final

import attrs

MEMBERS_MIN: Final = 2
MEMBERS_MAX: Final = 500
"""What one ``create`` takes."""


@attrs.frozen
class Scenario:
    """How many groups of how many members, and who posts how fast.

    With ``posts_per_s`` 0 each poster keeps ``in_flight`` posts unanswered, so the server is
    always busy; else posts leave at that rate, whatever the answers do. Without posters the
    connections idle, and their memory is what is measured.
    """

    name: str
    title: str
    groups: int = 1
    members: int = 200
    posters: int = 0
    """Of each group. One member at least stays silent."""
    in_flight: int = 1
    posts_per_s: int = 0

    @property
    def idle(self) -> bool:
        """Say whether nobody posts."""
        return self.posters == 0

    def resized(self, members: int) -> Scenario:
        """Give the same with another number of members, of whom at most half post."""
        if not MEMBERS_MIN <= members <= MEMBERS_MAX:
            raise ValueError(f"expected {MEMBERS_MIN} to {MEMBERS_MAX} members, got {members}")
        return attrs.evolve(self, members=members, posters=min(self.posters, members // 2))


SCENARIOS: Final = {
    scenario.name: scenario
    for scenario in (
        Scenario("a", "1 group of 200, 10 posters x 10 in flight", posters=10, in_flight=10),
        Scenario("a1", "1 group of 200, 10 posters x 1 in flight", posters=10),
        Scenario("b", "20 groups of 50, 2 posters x 1 in flight", groups=20, members=50, posters=2),
        Scenario("d", "1 group of 200, 50 posts/s", posters=10, posts_per_s=50),
        Scenario("g", "5 groups of 200, all idle", groups=5),
    )
}
DEFAULT: Final = ("a", "a1", "d", "g")
