"""What people write runs nothing, wherever it is shown."""

from __future__ import annotations

import contextlib
from typing import Any

import httpx
import pytest

from groupd.errors import Rejected
from tests.browser.conftest import Enter
from tests.browser.person import open_chat
from tests.browser.site import Site

CORPUS = [
    "<script>window.ran=1</script>",
    "<img src=x onerror=window.ran=1>",
    "<svg onload=window.ran=1>",
    "\"><img src=x onerror='window.ran=1'>",
    "<iframe srcdoc='<script>parent.ran=1</script>'>",
    "<a href='javascript:window.ran=1'>x</a>",
    "<details open ontoggle=window.ran=1>",
    "<style>@import'javascript:window.ran=1'</style>",
    "</textarea><script>window.ran=1</script>",
    "{{constructor.constructor('window.ran=1')()}}",
    "${window.ran=1}",
    "javascript:window.ran=1",
    'https://x.example/"onmouseover=window.ran=1//',
    "&lt;script&gt;window.ran=1&lt;/script&gt;",
    "<math><mtext></form><form><mglyph><style></math><img src onerror=window.ran=1>",
    "__proto__",
]


@pytest.fixture
def written(site: Site) -> tuple[str, int]:
    """A group with the corpus in its texts, cards, names and settings; gives how many texts."""
    hostile = CORPUS[1]
    group = site.found(
        "XSS " + CORPUS[0][:50],
        members=["mei", "eve"],
        description=CORPUS[2],
        picture='x" onerror=1',
    )
    eve = site.token("eve", name=hostile[:60], picture='https://p.example/x"onerror="window.ran=1')
    from groupd.client import blocking

    with blocking.connect(site.tcp, token=eve, timeout_ms=30_000) as client:
        for text in CORPUS:
            client.post(group, text=text)
            for card in cards_of(text):
                # What the server refuses is not shown to anybody.
                with contextlib.suppress(Rejected):
                    client.post(group, card=card)
        client.set_nickname(group, nickname=CORPUS[4][:60])
        client.react(group, seq=client.history(group)["events"][-3]["seq"], reaction="<b>x</b>")
        with site.client("xiaoyu") as owner:
            owner.announce(group, text=CORPUS[1])
            first = next(
                e for e in owner.history(group, after=0)["events"] if e["kind"] == "posted"
            )
            owner.pin(group, seq=first["seq"])
    return group, len(CORPUS)


def cards_of(text: str) -> list[dict[str, Any]]:
    """Give cards with a text in each of their places."""
    return [
        {"type": "link", "url": "https://a.example/" + text, "title": text, "description": text},
        {"type": "video", "url": text, "title": text, "cover": text},
        {"type": "goods", "title": text, "price": 1, "currency": "CNY", "picture": text},
        {"type": "file", "name": text, "url": "https://f.example", "media_type": text},
        {"type": "place", "name": text, "lat": 1, "lon": 2, "address": text},
        {"type": text[:32], "title": text, "url": "https://x.example", "__proto__": {"x": text}},
        {"type": "constructor", "title": text},
    ]


def test_the_corpus_runs_nothing(enter: Enter, written: tuple[str, int]) -> None:
    page = enter("mei")
    open_chat(page, "XSS")
    for _ in range(6):
        page.locator(".log").evaluate("log => { log.scrollTop = 0; }")
        page.wait_for_timeout(150)
    for text in CORPUS:
        page.locator(".log .message .text").get_by_text(text, exact=True).first.wait_for()
    for name in ("Members", "Pinned messages", "About this chat"):
        page.get_by_role("button", name=name).click()
        page.get_by_role("dialog").locator(".body > *").first.wait_for()
        page.wait_for_timeout(100)
        page.keyboard.press("Escape")
    page.get_by_role("button", name="Find and join groups").click()
    page.get_by_role("dialog").get_by_role("searchbox").fill("XSS")
    page.keyboard.press("Enter")
    page.get_by_role("dialog").locator(".person").first.wait_for()
    page.keyboard.press("Escape")
    page.mouse.move(400, 300)
    assert page.evaluate("window.ran") is None
    assert page.evaluate("({}).x") is None
    # Nothing of it has become an element, and no address leads to a script.
    found = page.evaluate(
        """() => {
            const made = "script,iframe,svg:not(.sign),style,details,b,math,object";
            return document.body.querySelectorAll(made).length;
        }"""
    )
    assert found == 0
    for href in page.evaluate("[...document.querySelectorAll('a')].map(each => each.href)"):
        assert href.startswith(("https://", "http://"))


def test_the_page_may_load_nothing_of_elsewhere_and_run_nothing_inside(site: Site) -> None:
    answer = httpx.get(f"{site.web}/chat")
    assert answer.status_code == 200
    policy = answer.headers["content-security-policy"]
    assert "default-src 'none'" in policy
    assert "unsafe" not in policy
    assert answer.headers["referrer-policy"] == "no-referrer"
    assert answer.headers["x-content-type-options"] == "nosniff"
    assert "set-cookie" not in answer.headers


def test_the_policy_holds_in_the_browser(enter: Enter) -> None:
    page = enter("xiaoyu", may_complain=True)
    page.evaluate(
        """() => {
            const script = document.createElement("script");
            script.textContent = "window.ran = 1";
            document.body.append(script);
            const image = document.createElement("img");
            image.setAttribute("onerror", "window.ran = 1");
            document.body.append(image);
            image.src = "https://127.0.0.1:1/x";
        }"""
    )
    page.wait_for_timeout(300)
    assert page.evaluate("window.ran") is None
