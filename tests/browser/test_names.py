"""People are called by their names, whenever those come."""

from __future__ import annotations

import re

from tests.browser.conftest import Enter
from tests.browser.person import open_chat
from tests.browser.site import Site


def test_who_joins_by_a_link_learns_what_the_others_are_called(enter: Enter, site: Site) -> None:
    group = site.found("新朋友")
    with site.client("xiaoyu") as xiaoyu:
        xiaoyu.post(group, text="欢迎")
    page = enter("lin", more=f"&code={site.shared('新朋友')}")
    invitation = page.get_by_role("dialog", name="新朋友")
    invitation.get_by_text("Shared by 小雨").wait_for(timeout=5_000)
    invitation.get_by_role("button", name="Join").click()
    message = page.locator(".log .message", has_text="欢迎")
    message.locator(".name", has_text="小雨").wait_for()
    page.locator(".log .line", has_text="小雨 made the group").wait_for()


def test_who_is_met_again_is_asked_for_again(enter: Enter, site: Site) -> None:
    group = site.found("旧群", owner="anna", members=["mei", "eve"])
    with site.client("mei") as mei:
        mei.post(group, text="再见")
        mei.leave(group)
    page = enter("eve")
    open_chat(page, "旧群")
    message = page.locator(".log .message", has_text="再见")
    # Nothing is told of whoever is in no group of one's own.
    message.locator(".name", has_text="mei").wait_for()
    site.found("重逢", owner="mei", members=["eve"])
    open_chat(page, "重逢")
    page.locator(".log .line", has_text="王梅 made the group").wait_for()
    open_chat(page, "旧群")
    message.locator(".name", has_text="王梅").wait_for()


def test_who_asks_to_join_is_called_by_their_name(enter: Enter, site: Site) -> None:
    group = site.found("请进", join_policy="approval")
    page = enter("xiaoyu")
    open_chat(page, "请进")
    with site.client("eve") as eve:
        eve.join(group)
    page.locator(".log .line", has_text=re.compile("Eve asks to join")).wait_for()
    page.reload()
    page.wait_for_selector('.side[data-state="live"]')
    open_chat(page, "请进")
    page.locator(".log .line", has_text=re.compile("Eve asks to join")).wait_for()


def test_who_types_is_called_by_their_name(enter: Enter, site: Site) -> None:
    with site.client("mei"):
        pass  # So that she has a name.
    group = site.found("还没说话", members=["mei"])
    with site.client("xiaoyu") as xiaoyu:
        for number in range(60):  # So that no event of hers is on the page.
            xiaoyu.post(group, text=f"line {number}")
    page = enter("xiaoyu")
    open_chat(page, "还没说话")
    with site.client("mei") as mei:
        mei.typing(group)
        page.locator(".bar .typing", has_text="王梅 is typing").wait_for(timeout=4_000)
