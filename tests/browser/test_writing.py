"""What one writes: how long it may be, how it is shown, and whom it calls."""

from __future__ import annotations

from tests.browser.conftest import Enter
from tests.browser.person import open_chat, wait_for_text
from tests.browser.site import Site


def test_a_long_text_is_counted_as_the_server_counts_and_never_cut(
    enter: Enter, site: Site
) -> None:
    site.found("长文")
    page = enter("xiaoyu")
    open_chat(page, "长文")
    box = page.get_by_role("textbox", name="Write a message")
    box.focus()
    page.keyboard.insert_text("👍" * 3_000)
    box.press("Enter")
    wait_for_text(page, "👍" * 3_000)

    page.keyboard.insert_text("x" * 5_003)
    excess = page.locator(".composer").get_by_text("3 characters too many")
    excess.wait_for()
    assert len(box.input_value()) == 5_003
    box.press("Enter")
    assert len(box.input_value()) == 5_003
    assert page.get_by_role("button", name="Send").is_disabled()
    box.press("Backspace")
    box.press("Backspace")
    page.locator(".composer").get_by_text("1 character too many").wait_for()
    box.press("Backspace")
    excess.wait_for(state="hidden")
    box.press("Enter")
    wait_for_text(page, "x" * 5_000)
    assert box.input_value() == ""


def test_a_name_that_is_too_long_is_not_cut(enter: Enter, site: Site) -> None:
    page = enter("lin")
    page.get_by_role("button", name="New group").click()
    form = page.get_by_role("dialog")
    name = form.get_by_label("Name of the group")
    name.focus()
    page.keyboard.insert_text("👍" * 61)
    form.get_by_role("button", name="Make").click()
    assert name.evaluate("field => field.validationMessage") == "1 character too many"
    name.press("Backspace")
    form.get_by_role("button", name="Make").click()
    page.get_by_role("heading", name="👍" * 60).wait_for()


def test_the_field_grows_with_a_text_without_breaks(enter: Enter, site: Site) -> None:
    group = site.found("一口气")
    with site.client("xiaoyu") as xiaoyu:
        for number in range(40):
            xiaoyu.post(group, text=f"line {number}")
    page = enter("xiaoyu")
    open_chat(page, "一口气")
    wait_for_text(page, "line 39")
    box = page.get_by_role("textbox", name="Write a message")
    height = "box => box.clientHeight"
    low = box.evaluate(height)
    box.fill("说来话长，" * 60)
    high = box.evaluate(height)
    assert high > 2 * low
    box.fill("说来话长，" * 600)
    assert high <= box.evaluate(height) <= page.evaluate("innerHeight") * 0.4
    # What is said last stays in sight.
    page.wait_for_function(
        """() => {
            const { scrollHeight, scrollTop, clientHeight } = document.querySelector(".log");
            return scrollHeight - scrollTop - clientHeight < 5;
        }""",
        timeout=1_000,
    )
    # What was begun is as high when one comes back to it.
    box.fill("说来话长，" * 60)
    site.found("别处")
    open_chat(page, "别处")
    page.wait_for_function(
        f"low => ({height})(document.querySelector('textarea')) === low", arg=low
    )
    open_chat(page, "一口气")
    page.wait_for_function(
        f"high => ({height})(document.querySelector('textarea')) === high", arg=high
    )
    box.fill("")
    assert box.evaluate(height) == low


def test_a_name_is_offered_right_after_a_chinese_character(enter: Enter, site: Site) -> None:
    site.found("叫人", members=["mei"])
    page = enter("xiaoyu")
    open_chat(page, "叫人")
    box = page.get_by_role("textbox", name="Write a message")
    box.press_sequentially("你好@me")
    page.get_by_role("option", name="mei").wait_for()
    box.fill("")
    box.press_sequentially("write to someone@me")
    page.wait_for_timeout(300)
    assert page.get_by_role("option").count() == 0
