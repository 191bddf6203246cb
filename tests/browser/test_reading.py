"""What is read, and what becomes of it while one looks."""

from __future__ import annotations

import pytest

from tests.browser.conftest import Enter
from tests.browser.person import open_chat, wait_for_text
from tests.browser.site import Site


def test_whoever_goes_to_the_end_has_read_what_is_there(enter: Enter, site: Site) -> None:
    group = site.found("读到底", members=["mei"])
    with site.client("mei") as mei:
        for number in range(60):
            mei.post(group, text=f"line {number}")
    page = enter("xiaoyu")
    open_chat(page, "读到底")
    wait_for_text(page, "line 59")
    row = page.locator(".chats li", has_text="读到底")
    row.locator(".badge").wait_for(state="detached")
    page.locator(".log").evaluate("log => { log.scrollTop = 700; }")
    page.get_by_role("button", name="To the latest").wait_for()
    with site.client("mei") as mei:
        seq = mei.post(group, text="meanwhile")["seq"]
    row.get_by_text("1 unread").wait_for(state="attached")
    page.get_by_role("button", name="New messages").click()
    row.locator(".badge").wait_for(state="detached", timeout=5_000)
    with site.client("xiaoyu") as xiaoyu:
        (listed,) = [each for each in xiaoyu.chat_list if each["group"] == group]
        assert listed["read"] == seq


def test_a_live_that_is_over_is_shown_as_over(enter: Enter, site: Site) -> None:
    group = site.found("直播间", members=["mei"])
    page = enter("xiaoyu")
    open_chat(page, "直播间")
    live = {
        "type": "live",
        "title": "新茶直播",
        "url": "https://l.example/1",
        "starts_at_ms": 1_700_000_000_000,
    }
    with site.client("mei") as mei:
        seq = mei.post(group, card={**live, "state": "on"})["seq"]
        card = page.locator(".message .card", has_text="新茶直播")
        card.get_by_text("Begins").wait_for()
        over = {**live, "state": "ended", "ended_ms": 1_700_000_600_000}
        mei.edit(group, seq=seq, card=over)
    card.get_by_text("Live, over").wait_for()
    card.get_by_text("Ended").wait_for()
    assert "Begins" not in card.inner_text()
    assert "●" not in card.inner_text()
    page.locator(".chats li", has_text="直播间").get_by_text("[Live, over] 新茶直播").wait_for()


@pytest.mark.parametrize(
    ("end", "words"),
    [
        ("kick", "You were taken out of 散场 kick. Until next time"),
        ("ban", "You were banned from 散场 ban."),
        ("dissolve", "散场 dissolve is dissolved."),
    ],
)
def test_a_chat_that_is_over_closes_with_a_word(
    enter: Enter, site: Site, end: str, words: str
) -> None:
    group = site.found(f"散场 {end}", members=["mei"])
    page = enter("mei")
    open_chat(page, f"散场 {end}")
    with site.client("xiaoyu") as xiaoyu:
        if end == "kick":
            xiaoyu.kick(group, user="mei", message="Until next time")
        elif end == "ban":
            xiaoyu.ban(group, user="mei")
        else:
            xiaoyu.dissolve(group)
    page.locator(".toast", has_text=words).wait_for()
    page.locator(".hint").wait_for()
