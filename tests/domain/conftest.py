"""What the tests of the rules start from."""

from __future__ import annotations

import pytest

from groupd.domain.base import Role
from tests.domain.bench import Table, World


@pytest.fixture
def world() -> World:
    return World()


@pytest.fixture
def table(world: World) -> Table:
    """A group of olga's, with adam as admin and mia as member. Sam is a stranger."""
    table = world.found("olga")
    table.admit("adam", Role.ADMIN)
    table.admit("mia")
    return table
