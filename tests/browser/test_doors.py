"""The ways into a group: shared, copied, looked for, asked for."""

from __future__ import annotations

from typing import Any

from tests.browser.conftest import Enter
from tests.browser.person import open_chat
from tests.browser.site import Site


def make_link(page: Any) -> str:
    """Make a link into the open group; gives what is shown."""
    page.get_by_role("button", name="Share").click()
    page.get_by_role("dialog").get_by_role("button", name="Make a link").click()
    url = page.locator(".shared .url")
    url.wait_for()
    return str(url.input_value())


def look_for(page: Any, query: str) -> None:
    """Look for a group."""
    page.get_by_role("button", name="Find and join groups").click()
    page.get_by_role("dialog").get_by_role("searchbox").fill(query)
    page.keyboard.press("Enter")


def test_a_link_into_a_group_with_approval_asks_for_it(enter: Enter, site: Site) -> None:
    site.found("要同意", join_policy="approval")
    site.found("不用同意")
    page = enter("xiaoyu")
    for name, needs in (("要同意", True), ("不用同意", False)):
        open_chat(page, name)
        page.get_by_role("button", name="Share").click()
        tick = page.get_by_role("dialog").get_by_label("An admin lets people in")
        assert tick.is_checked() is needs
        page.keyboard.press("Escape")


def test_a_link_is_copied_where_there_is_no_clipboard_to_ask(enter: Enter, site: Site) -> None:
    site.found("局域网")
    page = enter("xiaoyu")
    open_chat(page, "局域网")
    # As it is over plain HTTP, on any address but the machine's own.
    page.evaluate("Object.defineProperty(navigator, 'clipboard', { value: undefined })")
    address = make_link(page)
    copy = page.get_by_role("dialog").get_by_role("button", name="Copy")
    copy.click()
    page.locator(".toast", has_text="Copied").wait_for()
    page.evaluate("document.execCommand = () => false")
    copy.click()
    page.locator(".toast", has_text="It could not be copied").wait_for()
    assert copy.evaluate("button => button === document.activeElement")
    page.keyboard.press("Escape")
    box = page.get_by_role("textbox", name="Write a message")
    box.focus()
    page.keyboard.press("Control+v")
    assert box.input_value() == address


def test_a_share_address_is_known_whatever_follows_the_code(enter: Enter, site: Site) -> None:
    site.found("有尾巴")
    code = site.shared("有尾巴")
    page = enter("lin")
    for address in (
        f"{site.web}/g/{code}#token={'x' * 300}",
        f"{site.web}/g/{code}/?from=wechat",
        f"{site.web}/chat#code={code}",
    ):
        look_for(page, address)
        page.get_by_role("dialog", name="有尾巴").wait_for()
        page.keyboard.press("Escape")


def test_who_is_declined_is_told_by_which_group(enter: Enter, site: Site) -> None:
    group = site.found("谢绝", join_policy="approval")
    page = enter("lin")
    look_for(page, "谢绝")
    page.get_by_role("dialog").get_by_role("button", name="Ask to join: 谢绝").click()
    page.locator(".toast", has_text="You asked to join").wait_for()
    page.keyboard.press("Escape")
    with site.client("xiaoyu") as xiaoyu:
        xiaoyu.decline(group, user="lin")
    page.locator(".toast", has_text="You were not let into 谢绝.").wait_for()


def test_what_was_said_last_is_in_the_list_after_joining(enter: Enter, site: Site) -> None:
    group = site.found("有话在先")
    with site.client("xiaoyu") as xiaoyu:
        xiaoyu.post(group, text="先来的话")
    page = enter("lin")
    look_for(page, "有话在先")
    page.get_by_role("dialog").get_by_role("button", name="Join: 有话在先").click()
    page.locator(".chats .glimpse", has_text="先来的话").wait_for()


def test_escape_leaves_the_search_at_the_first_press(enter: Enter) -> None:
    page = enter("lin")
    look_for(page, "nothing of that name")
    page.get_by_role("dialog").get_by_text("No group was found").wait_for()
    page.keyboard.press("Escape")
    page.get_by_role("dialog").wait_for(state="detached", timeout=3_000)


def test_one_is_one_in_english(enter: Enter, site: Site) -> None:
    group = site.found("独自")
    with site.client("xiaoyu") as xiaoyu:
        seq = xiaoyu.post(group, text="a question")["seq"]
        xiaoyu.post(group, text="an answer", reply_to=seq)
    page = enter("xiaoyu")
    open_chat(page, "独自")
    page.locator(".bar").get_by_text("1 member", exact=True).wait_for()
    page.get_by_role("button", name="1 reply", exact=True).wait_for()
