"""What the tests of the SDK share."""

from __future__ import annotations

import pytest
import trio

from tests.client.fake_server import FakeServer


@pytest.fixture
def server(nursery: trio.Nursery) -> FakeServer:
    """A server in memory. Tests that wait take ``autojump_clock`` as well."""
    return FakeServer(nursery)
