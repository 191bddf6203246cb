"""Chromium, a server, and people with a window each."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, TypeAlias

import pytest

from tests.browser.site import CHROMIUM, Site, running

try:
    from playwright.sync_api import Browser, Page, sync_playwright
except ImportError:  # Then all tests here are skipped, with the word below.
    sync_playwright = None  # type: ignore[assignment]

PATIENCE_MS = 20_000
Enter: TypeAlias = Callable[..., Any]


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    missing = (
        "playwright is not installed: make test-web"
        if sync_playwright is None
        else "chromium is not installed: make test-web"
        if CHROMIUM is None
        else ""
    )
    for item in items:
        if missing and Path(__file__).parent in item.path.parents:
            item.add_marker(pytest.mark.skip(reason=missing))


@pytest.fixture(scope="session")
def browser() -> Iterator[Browser]:
    """Chromium, without a window."""
    with sync_playwright() as playwright:
        chromium = playwright.chromium.launch(
            executable_path=CHROMIUM, args=["--no-sandbox", "--disable-dev-shm-usage"]
        )
        yield chromium
        chromium.close()


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    """A server that the tests of a module share; each has people and groups of its own."""
    with running(tmp_path_factory.mktemp("site")) as site:
        yield site


@pytest.fixture
def enter(browser: Browser, site: Site) -> Iterator[Enter]:
    """Let somebody open the chat; gives their page. What a page complains of fails the test."""
    complaints: list[str] = []
    contexts = []

    def enter(
        user: str,
        *,
        more: str = "",
        server: Site = site,
        may_complain: bool = False,
        **options: Any,
    ) -> Page:
        context = browser.new_context(**{"locale": "en-US", **options})
        contexts.append(context)
        context.set_default_timeout(PATIENCE_MS)
        page = context.new_page()
        page.on("pageerror", lambda error: complaints.append(f"{user}: {error}"))
        page.on(
            "console",
            lambda message: (
                complaints.append(f"{user}: {message.text}")
                if message.type == "error" and not (may_complain or _is_expected(message.text))
                else None
            ),
        )
        page.goto(f"{server.web}/chat#token={server.token(user)}{more}")
        page.wait_for_selector('.side[data-state="live"]')
        return page

    yield enter
    for context in contexts:
        context.close()
    assert complaints == []


def _is_expected(complaint: str) -> bool:
    """Say whether a complaint is of the network, which tests take away and pictures do not have."""
    return "WebSocket connection" in complaint or "Failed to load resource" in complaint
