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
