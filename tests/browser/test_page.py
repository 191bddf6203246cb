"""The page itself: the token, languages, a phone, the keyboard, and those who cannot see it."""

from __future__ import annotations

from typing import Any

import pytest

from groupd.client import blocking
from tests.browser.conftest import Enter
from tests.browser.person import lose_pictures, open_chat, say, wait_for_text
from tests.browser.site import AXE, Site, words_of

PHONE = {"viewport": {"width": 390, "height": 844}, "has_touch": True, "is_mobile": True}
SERIOUS = ("serious", "critical")


def test_the_token_leaves_the_address_and_stays_for_the_tab(enter: Enter, site: Site) -> None:
    page = enter("xiaoyu")
    assert page.url == f"{site.web}/chat"
    assert page.evaluate("document.cookie") == ""
    assert page.evaluate("localStorage.length") == 0
    page.reload()
    page.wait_for_selector('.side[data-state="live"]')


def test_without_a_token_the_page_says_how_to_get_one(browser: Any, site: Site) -> None:
    context = browser.new_context(locale="zh-CN")
    page = context.new_page()
    page.goto(f"{site.web}/chat")
    page.get_by_role("heading", name="请从你的应用进入").wait_for()
    assert page.evaluate("document.documentElement.lang") == "zh-CN"
    context.close()


def test_who_is_nobody_is_told_nothing_of_commands_where_the_machine_is_not_theirs(
    browser: Any, site: Site
) -> None:
    context = browser.new_context(locale="en-US")
    page = context.new_page()
    page.goto(f"{site.web}/chat")
    page.get_by_text("groupd token").wait_for()

    def answer(route: Any) -> None:
        url = route.request.url.replace("http://chat.example", site.web)
        route.fulfill(response=route.fetch(url=url))

    page.route("http://chat.example/**", answer)
    page.goto("http://chat.example/chat")
    page.get_by_role("heading", name="Come in with").wait_for()
    assert page.get_by_text("groupd token").count() == 0
    context.close()


def test_a_token_that_is_refused_is_dropped_with_a_word(browser: Any, site: Site) -> None:
    context = browser.new_context(locale="en-US")
    page = context.new_page()
    page.goto(f"{site.web}/chat#token=e30.e30.c2ln")
    page.get_by_role("alert").get_by_text("no longer valid").wait_for(timeout=30_000)
    page.get_by_role("button", name="Try again").click()
    page.get_by_role("heading", name="Come in with").wait_for()
    context.close()


def test_a_new_link_of_somebody_else_takes_their_place(enter: Enter, site: Site) -> None:
    page = enter("xiaoyu")
    token = site.token("mei")
    page.evaluate("token => { location.hash = `token=${token}`; }", token)
    page.wait_for_selector('.side[data-state="live"]')
    site.found("换人", owner="mei")
    page.locator(".chats button", has_text="换人").wait_for()


def test_an_invitation_that_is_opened_in_an_open_chat_is_shown(enter: Enter, site: Site) -> None:
    site.found("已开", owner="mei")
    site.found("邀请函", owner="lin")
    page = enter("mei")
    open_chat(page, "已开")
    page.goto(f"{site.web}/chat#code={site.shared('邀请函', 'lin')}")
    page.get_by_role("dialog").get_by_text("邀请函").first.wait_for()


def test_on_a_phone_there_is_one_column_and_a_way_back(enter: Enter, site: Site) -> None:
    site.found("手机", members=["mei"])
    page = enter("mei", **PHONE)
    assert page.locator(".pane").is_hidden()
    open_chat(page, "手机")
    assert page.locator(".side").is_hidden()
    say(page, "from a phone")
    wait_for_text(page, "from a phone")
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
    page.get_by_role("button", name="Back to the list").click()
    page.locator(".side").wait_for()
    open_chat(page, "手机")
    page.go_back()
    page.locator(".side").wait_for()


def test_the_list_is_as_wide_as_a_phone_whatever_a_chat_is_called(enter: Enter, site: Site) -> None:
    name = "西湖边上的老茶馆" * 7 + "周末见面"
    group = site.found(name, members=["mei"])
    with site.client("xiaoyu") as xiaoyu:
        xiaoyu.post(group, text="一" * 500)
    page = enter("mei", **PHONE)
    page.locator(".chats .glimpse", has_text="一一一").wait_for()
    assert page.evaluate("document.scrollingElement.scrollWidth") <= 390
    button = page.get_by_role("button", name="New group").bounding_box()
    assert button is not None
    assert button["x"] + button["width"] <= 390


def test_everything_is_reached_by_the_keyboard(enter: Enter, site: Site) -> None:
    site.found("键盘甲", owner="lin", members=["eve"])
    site.found("键盘乙", owner="lin", members=["eve"])
    page = enter("eve")
    page.locator(".chats button").nth(1).wait_for()
    page.keyboard.press("Control+k")
    page.keyboard.type("键盘")
    page.keyboard.press("ArrowDown")
    page.keyboard.press("ArrowDown")
    page.keyboard.press("ArrowUp")
    page.keyboard.press("Enter")
    page.locator(".chat .bar h2").wait_for()
    page.wait_for_function("() => document.activeElement.tagName === 'TEXTAREA'")
    page.keyboard.type("one")
    page.keyboard.press("Shift+Enter")
    page.keyboard.type("two")
    page.keyboard.press("Enter")
    page.locator(".message:not(.pending) .text", has_text="two").wait_for()
    page.locator(".log").focus()
    page.keyboard.press("ArrowUp")
    page.keyboard.press("Tab")
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.dataset.act") == "reply"
    page.keyboard.press("Enter")
    page.locator(".about", has_text="Reply to").wait_for()
    page.keyboard.press("Escape")
    page.locator(".about").wait_for(state="hidden")
    page.keyboard.press("Escape")
    page.locator(".hint").wait_for()
    assert page.evaluate("document.activeElement.closest('.chats') !== null")


def test_what_is_said_is_told_to_those_who_do_not_see_it(enter: Enter, site: Site) -> None:
    group = site.found("读屏", members=["mei"])
    page = enter("mei")
    open_chat(page, "读屏")
    with site.client("xiaoyu") as xiaoyu:
        xiaoyu.post(group, text="listen")
    page.locator("#live", has_text="小雨: listen").wait_for(state="attached")


KEEP_SAID = """() => {
    window.said = [];
    const live = document.getElementById("live");
    new MutationObserver(() => {
        window.said.push(live.textContent);
        window.shown = document.querySelector(".log").textContent;
    }).observe(live, {childList: true});
}"""
"""What is told, and what was shown when that was."""
LOSE_USERS = """() => {
    const send = WebSocket.prototype.send;
    WebSocket.prototype.send = function (data) {
        const text = new TextDecoder("latin1").decode(data);
        if (!text.includes("\u00a5users")) send.call(this, data);
    };
}"""
"""What is asked about users is never answered."""


def _with_a_stranger(site: Site, stranger: str) -> str:
    """Make a group where somebody is of whom the newest page of the log does not tell."""
    group = site.found(f"与 {stranger}", members=["lin", stranger])
    with site.client("lin") as lin:
        for number in range(60):
            lin.post(group, text=f"line {number}")
    return group


def _say(site: Site, user: str, group: str, text: str) -> None:
    token = site.token(user, name="周舟")
    with blocking.connect(site.tcp, token=token, timeout_ms=30_000) as client:
        client.post(group, text=text)


def test_what_a_stranger_says_is_told_with_their_name(enter: Enter, site: Site) -> None:
    group = _with_a_stranger(site, "zhou-1")
    page = enter("xiaoyu")
    open_chat(page, "与 zhou-1")
    wait_for_text(page, "line 59")
    page.evaluate(KEEP_SAID)
    _say(site, "zhou-1", group, "listen")
    with site.client("lin") as lin:
        lin.post(group, text="to that")
    page.wait_for_function("() => window.said.length === 2")
    assert page.evaluate("window.said") == ["周舟: listen", "Lin: to that"]


def test_a_name_that_does_not_come_is_not_waited_for_long(enter: Enter, site: Site) -> None:
    group = _with_a_stranger(site, "zhou-2")
    page = enter("xiaoyu")
    open_chat(page, "与 zhou-2")
    wait_for_text(page, "line 59")
    page.evaluate(KEEP_SAID)
    page.evaluate(LOSE_USERS)
    _say(site, "zhou-2", group, "listen")
    page.wait_for_function("() => window.said.length === 1")
    assert page.evaluate("window.said") == ["zhou-2: listen"]
    # It was waited for, since what is not waited for is told before it is drawn.
    assert "listen" in page.evaluate("window.shown")


@pytest.mark.skipif(not AXE.exists(), reason="axe-core is not installed: make test-web")
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_axe_finds_no_serious_violation(enter: Enter, site: Site, scheme: str) -> None:
    group = site.found(f"无障碍 {scheme}", members=["mei"])
    with site.client("mei") as mei:
        seq = mei.post(group, text="hello @小雨", mentions=["xiaoyu"])["seq"]
        mei.post(group, text="re", reply_to=seq)
        mei.react(group, seq=seq, reaction="👍")
        mei.post(group, card={"type": "link", "title": "x", "url": "https://a.example"})
        picture = {"type": "image", "url": "https://a.example/lost.png"}
        mei.post(group, card=picture, reply_to=seq)
        with site.client("xiaoyu") as xiaoyu:
            xiaoyu.announce(group, text="an announcement")
    page = enter("xiaoyu", color_scheme=scheme)
    lose_pictures(page)
    found = _axe(page)
    open_chat(page, f"无障碍 {scheme}")
    page.locator(".banner").wait_for()
    found += _axe(page)
    for button in (
        "2 replies",
        "Share",
        "Members",
        "About this chat",
        "New group",
        "Find and join groups",
    ):
        page.get_by_role("button", name=button).click()
        page.get_by_role("dialog").locator(".body > *").first.wait_for()
        found += _axe(page)
        page.keyboard.press("Escape")
    assert found == [], words_of(found)


def _axe(page: Any) -> list[dict[str, Any]]:
    page.evaluate(AXE.read_text())
    result: dict[str, Any] = page.evaluate("axe.run({resultTypes: ['violations']})")
    return [
        {"id": each["id"], "help": each["help"], "at": [node["html"] for node in each["nodes"][:3]]}
        for each in result["violations"]
        if each["impact"] in SERIOUS
    ]
