"""The published table of who may do what is what a hub does."""

from __future__ import annotations

import pytest

from groupd.domain.catalog import REQUESTS
from tests.access.scene import SAMPLES, STATES
from tests.access.table import PAGE, Row, outcomes, render
from tests.engine.rig import play

NOT_ABOUT_A_GROUP = {
    *("hello", "ping", "groups", "chats", "sync", "users", "account_history", "create"),
    *("search", "nearby", "profile", "direct", "block", "unblock", "blocks"),
    *("changes", "ack", "consumers", "forget_consumer"),
}
"""Methods without a group in which somebody could have a part."""


@pytest.fixture(scope="module")
def live() -> dict[str, Row]:
    return play(lambda: outcomes("live"))


@pytest.mark.parametrize("state", STATES)
def test_a_hub_does_what_the_published_table_says(state: str, live: dict[str, Row]) -> None:
    known = {"live": live}
    if state not in known:
        known[state] = play(lambda: outcomes(state))
    published = PAGE.read_text("utf-8")
    for part in render(known).split("\n## ")[1:]:
        assert f"\n## {part.rstrip()}\n" in published


def test_every_method_about_a_group_has_a_row() -> None:
    operators = {method for method, cls in REQUESTS.items() if cls.operator}
    asked = {method for method, _params in SAMPLES.values()}
    assert asked == REQUESTS.keys() - operators - NOT_ABOUT_A_GROUP
