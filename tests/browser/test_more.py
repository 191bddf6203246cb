"""Lists that are longer than a page: the rest is a button away."""

from __future__ import annotations

from typing import Any

from groupd.client import blocking
from tests.browser.conftest import Enter
from tests.browser.person import open_chat
from tests.browser.site import Site


def press_more(page: Any) -> None:
    """Ask for the next page, as one does without a mouse."""
    button = page.get_by_role("dialog").get_by_role("button", name="More", exact=True)
    button.focus()
    page.keyboard.press("Enter")


def wait_for_count(page: Any, selector: str, count: int) -> None:
    """Wait until so many are listed in the dialog."""
    page.wait_for_function(
        "([what, count]) => document.querySelectorAll(`dialog ${what}`).length === count",
        arg=[selector, count],
    )


def crowd(site: Site, name: str, count: int) -> str:
    """Make a group with many members, whose ids come after its owner's."""
    token = site.token("anna", plan="circle")
    with blocking.connect(site.tcp, token=token, timeout_ms=30_000) as anna:
        members = ["xiaoyu", *(f"user-{number:03}" for number in range(count - 2))]
        return str(anna.create(name=name, members=members)["group"])


def test_an_admin_sees_all_join_requests_and_decides_any(enter: Enter, site: Site) -> None:
    group = site.found("门外", join_policy="approval")
    for number in range(60):
        with site.client(f"guest-{number:02}") as guest:
            guest.join(group)
    page = enter("xiaoyu")
    open_chat(page, "门外")
    page.get_by_role("button", name="60 ask to join").click()
    wait_for_count(page, ".person", 50)
    press_more(page)
    wait_for_count(page, ".person", 60)
    dialog = page.get_by_role("dialog")
    assert dialog.get_by_role("button", name="More", exact=True).count() == 0
    # Who goes on by the keyboard goes on where the new ones begin.
    assert "guest-50" in page.evaluate("document.activeElement.textContent")
    names = dialog.locator(".person .title").all_inner_texts()
    assert names == [f"guest-{number:02}" for number in range(60)]
    dialog.get_by_role("button", name="Let in: guest-57").click()
    wait_for_count(page, ".person", 59)
    with site.client("guest-57") as guest:
        assert [row["group"] for row in guest.groups()["groups"]] == [group]


def test_all_members_are_listed(enter: Enter, site: Site) -> None:
    crowd(site, "人山人海", 501)
    page = enter("xiaoyu")
    open_chat(page, "人山人海")
    page.get_by_role("button", name="Members").click()
    wait_for_count(page, ".person", 500)
    assert "owner" in page.locator("dialog .person").first.inner_text()
    press_more(page)
    wait_for_count(page, ".person", 501)
    assert page.locator("dialog .person .title").last.inner_text() == "小雨"


def test_whoever_is_in_a_large_group_can_be_mentioned(enter: Enter, site: Site) -> None:
    crowd(site, "点到谁", 300)
    page = enter("xiaoyu")
    open_chat(page, "点到谁")
    page.get_by_role("textbox", name="Write a message").press_sequentially("@user-29")
    page.get_by_role("option", name="user-297").wait_for()


def test_all_groups_that_were_found_are_listed(enter: Enter, site: Site) -> None:
    for number in range(25):
        site.found(f"同名 {number}")
    page = enter("lin")
    page.get_by_role("button", name="Find and join groups").click()
    page.get_by_role("dialog").get_by_role("searchbox").fill("同名")
    page.keyboard.press("Enter")
    wait_for_count(page, ".person", 20)
    press_more(page)
    wait_for_count(page, ".person", 25)
    names = page.locator("dialog .person .title").all_inner_texts()
    assert sorted(names) == sorted(f"同名 {number}" for number in range(25))


def test_a_thread_is_read_to_its_end(enter: Enter, site: Site) -> None:
    group = site.found("长谈", members=["mei"])
    with site.client("mei") as mei:
        root = mei.post(group, text="a question")["seq"]
        for number in range(60):
            mei.post(group, text=f"answer {number}", reply_to=root)
    page = enter("xiaoyu")
    open_chat(page, "长谈")
    for _ in range(3):
        page.locator(".log").evaluate("log => { log.scrollTop = 0; }")
        page.wait_for_timeout(150)
    page.get_by_role("button", name="60 replies").click()
    wait_for_count(page, ".message", 51)
    press_more(page)
    wait_for_count(page, ".message", 61)
    texts = page.locator("dialog .message .text").all_inner_texts()
    assert texts == ["a question", *(f"answer {number}" for number in range(60))]


def test_a_page_that_does_not_come_can_be_asked_for_again(enter: Enter, site: Site) -> None:
    for number in range(21):
        site.found(f"再来 {number}")
    page = enter("lin", may_complain=True)
    page.get_by_role("button", name="Find and join groups").click()
    page.get_by_role("dialog").get_by_role("searchbox").fill("再来")
    page.keyboard.press("Enter")
    wait_for_count(page, ".person", 20)
    page.evaluate(
        """() => {
            const send = WebSocket.prototype.send;
            WebSocket.prototype.send = function (data) {
                WebSocket.prototype.send = send;
                const text = new TextDecoder("latin1").decode(data);
                data[text.indexOf("search")] = "x".charCodeAt(0);
                send.call(this, data);
            };
        }"""
    )
    press_more(page)
    again = page.get_by_role("dialog").get_by_role("button", name="Try again")
    again.click()
    wait_for_count(page, ".person", 21)


def test_what_is_refused_in_a_dialog_is_said_in_front_of_it(enter: Enter, site: Site) -> None:
    group = site.found("满座", join_policy="approval")
    with site.client("guest-1") as guest:
        guest.join(group)
    page = enter("xiaoyu")
    open_chat(page, "满座")
    page.get_by_role("button", name="1 asks to join").click()
    decline = page.get_by_role("dialog").get_by_role("button", name="Decline: guest-1")
    decline.wait_for()
    with site.client("guest-1") as guest:
        guest.withdraw(group)
    decline.click()
    # Behind it, it would be dimmed, and not be told to those who listen.
    page.locator("dialog .toast").wait_for()
    assert page.locator("dialog #live").inner_text()
    page.keyboard.press("Escape")
    page.locator("body > #toasts .toast").wait_for()
    assert page.locator("body > #live").count() == 1
