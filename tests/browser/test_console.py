"""The console in a real browser: what operators see there and do, and what others do not."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest

site_module = pytest.importorskip("tests.browser.site", reason="there is no site to look at")

PATIENCE_MS = 20_000
HOSTILE = '<img src=x onerror="document.title=1">\'"&amp;<script>document.title=2</script>'

Look = Callable[..., Any]


@pytest.fixture
def look(browser: Any, site: Any) -> Iterator[Look]:
    """Open the console as somebody; what a page complains of fails the test."""
    complaints: list[str] = []
    contexts = []

    def look(user: str = "ops", *, scope: str = "operator", **options: Any) -> Any:
        context = browser.new_context(**{"locale": "en-US", **options})
        contexts.append(context)
        context.set_default_timeout(PATIENCE_MS)
        page = context.new_page()
        page.on("pageerror", lambda error: complaints.append(str(error)))
        page.on(
            "console",
            lambda said: complaints.append(said.text) if said.type == "error" else None,
        )
        page.goto(f"{site.web}/console#token={site.token(user, scope=scope)}")
        return page

    yield look
    for context in contexts:
        context.close()
    assert complaints == []


def found(site: Any, name: str, **params: Any) -> str:
    """Found a group whose owner has no other."""
    return str(site.found(name, **{"owner": owner_of(name), **params}))


def owner_of(name: str) -> str:
    return f"o-{name.encode().hex()}"[:40]


def go(page: Any, name: str) -> None:
    page.get_by_role("navigation").get_by_role("link", name=name).click()


def open_group(page: Any, name: str, tab: str = "") -> None:
    go(page, "Groups")
    page.get_by_role("link", name=name).click()
    page.get_by_role("heading", name=name, level=1).wait_for()
    if tab:
        page.get_by_role("tab", name=tab).click()


def test_figures_move_and_the_token_is_gone_from_the_address(look: Look, site: Any) -> None:
    page = look()
    posts = page.locator(".tiles div", has_text="Messages since the start").locator("dd")
    before = int(posts.inner_text())
    assert page.url == f"{site.web}/console#/overview"
    group = found(site, "数字", members=["mei"])
    with site.client("mei") as mei:
        for number in range(5):
            mei.post(group, text=f"{number}")
    page.wait_for_function(
        """wanted => [...document.querySelectorAll(".tiles div")].some(
            tile => tile.innerText.startsWith("Messages since the start")
                && tile.querySelector("dd").innerText === wanted)""",
        arg=str(before + 5),
    )
    chart = page.get_by_role("img", name="Messages per second")
    assert "highest" in chart.get_attribute("aria-label")
    # By keyboard, a chart says its values one by one.
    chart.focus()
    page.keyboard.press("ArrowLeft")
    said = page.locator(".chart", has_text="Messages per second").locator("output")
    assert ":" in said.inner_text()
    page.keyboard.press("Escape")
    assert ":" not in said.inner_text()


def test_who_is_no_operator_is_told_so_and_sees_nothing(look: Look, site: Any) -> None:
    page = look("mei", scope="")
    page.get_by_role("alert").get_by_text("does not make an operator").wait_for()
    assert page.get_by_role("navigation").count() == 0
    # And may try another token, without a new page.
    page.get_by_label("Operator's token").fill(site.token("ops", scope="operator"))
    page.get_by_role("button", name="Enter").click()
    page.get_by_role("heading", name="Overview").wait_for()
    page.get_by_role("button", name="Sign out").click()
    page.reload()
    page.get_by_label("Operator's token").wait_for()


def test_a_group_is_found_and_its_log_read_to_the_beginning(look: Look, site: Any) -> None:
    group = found(site, "很长的群", members=["mei"])
    with site.client("mei") as mei:
        for number in range(70):
            mei.post(group, text=f"line {number}")
    page = look()
    go(page, "Groups")
    page.get_by_label("Name, id, owner or ref").fill(group)
    page.get_by_role("button", name="Search").click()
    page.get_by_role("link", name="很长的群").click()
    page.get_by_role("tab", name="Log").click()
    page.get_by_text('{"text":"line 69"}').wait_for()
    page.get_by_role("button", name="Older events").click()
    page.get_by_text('{"text":"line 0"}').wait_for()
    rows = page.locator("table.log tbody tr")
    assert rows.count() == 73
    assert rows.last.locator("td").nth(3).inner_text() == "created"
    # Going back finds the search again.
    page.go_back()
    page.get_by_role("link", name="很长的群").wait_for()
    assert page.get_by_label("Name, id, owner or ref").input_value() == group


def test_a_member_is_banned_with_a_reason(look: Look, site: Any) -> None:
    group = found(site, "要封禁", members=["mei", "eve"])
    page = look()
    open_group(page, "要封禁", "Members")
    page.get_by_role("button", name="Ban: Eve").click()
    dialog = page.get_by_role("dialog")
    button = dialog.get_by_role("button", name="Ban", exact=True)
    assert button.is_disabled(), "there is no reason yet"
    page.keyboard.press("Escape")
    dialog.wait_for(state="detached")
    page.get_by_role("button", name="Ban: Eve").click()
    dialog.get_by_label("Reason").fill("sells tickets")
    button.click()
    page.get_by_text("Done: it stands in the log").wait_for()
    page.get_by_role("tab", name="Log").click()
    page.locator("td.text", has_text='"operator":"ops"').get_by_text("sells tickets").wait_for()
    with site.client(owner_of("要封禁")) as owner:
        events = owner.history(group)["events"]
    assert [event["kind"] for event in events[-2:]] == ["operated", "banned"]


def test_a_group_is_dissolved_only_by_its_id_and_a_reason(look: Look, site: Any) -> None:
    group = found(site, "要解散", members=["mei"])
    page = look()
    open_group(page, "要解散", "Acts")
    page.get_by_role("button", name="Dissolve…").click()
    dialog = page.get_by_role("dialog")
    button = dialog.get_by_role("button", name="Dissolve", exact=True)
    dialog.get_by_label("Reason").fill("scam")
    dialog.get_by_label(f"Type {group} to confirm").fill("要解散")
    assert button.is_disabled()
    dialog.get_by_label(f"Type {group} to confirm").fill(group)
    button.click()
    page.locator(".badge", has_text="dissolved").wait_for()
    assert page.get_by_role("tab", name="Acts").count() == 0
    with site.client(owner_of("要解散")) as owner:
        assert owner.info(group)["dissolved"] is True


def test_explain_says_what_stands_between_a_user_and_a_method(look: Look, site: Any) -> None:
    found(site, "解释", members=["mei"])
    page = look()
    open_group(page, "解释", "Explain")
    page.get_by_label("User").fill("mei")
    page.get_by_label("Method").fill("announce")
    page.get_by_role("button", name="Ask").click()
    page.get_by_text("Not allowed").wait_for()
    page.get_by_role("row", name="role").get_by_text("refuses").wait_for()


def test_tabs_are_changed_by_arrow_keys(look: Look, site: Any) -> None:
    found(site, "键盘", members=["mei"])
    page = look()
    open_group(page, "键盘", "Settings")
    page.keyboard.press("ArrowRight")
    selected = page.locator('[role=tab][aria-selected="true"]')
    assert selected.inner_text() == "Members"
    page.keyboard.press("End")
    assert selected.inner_text() == "Acts"
    assert page.evaluate("document.activeElement.innerText") == "Acts"


def test_a_user_is_found_with_their_groups(look: Look, site: Any) -> None:
    found(site, "王梅的群", owner="mei")
    page = look()
    go(page, "Users")
    page.get_by_label("Id or name").fill("王梅")
    page.get_by_role("button", name="Search").click()
    page.get_by_role("link", name="王梅").click()
    page.get_by_role("tab", name="Groups").click()
    page.get_by_role("link", name="王梅的群").click()
    page.get_by_role("heading", name="王梅的群", level=1).wait_for()


def test_what_users_write_is_shown_and_not_run(look: Look, site: Any) -> None:
    group = found(site, HOSTILE[:60], owner="eve", description=HOSTILE, members=["mei"])
    with site.client("eve") as eve:
        eve.post(group, text=HOSTILE, card={"type": HOSTILE[:32], "title": HOSTILE})
    page = look()
    go(page, "Groups")
    page.get_by_role("link", name=HOSTILE[:60]).click()
    page.get_by_text(HOSTILE).first.wait_for()
    page.get_by_role("tab", name="Log").click()
    page.locator("td.text", has_text="onerror").first.wait_for()
    assert page.title() not in ("1", "2")
    assert page.locator("img").count() == 0


def test_it_speaks_chinese_and_fits_a_phone(look: Look, site: Any) -> None:
    page = look(locale="zh-CN", viewport={"width": 360, "height": 740}, color_scheme="dark")
    page.get_by_role("heading", name="概览").wait_for()
    assert page.evaluate("document.documentElement.lang") == "zh-CN"
    for name in ("概览", "群", "用户"):
        go(page, name)
        page.get_by_role("heading", name=name, level=1).wait_for()
        assert page.evaluate("document.documentElement.scrollWidth <= innerWidth"), name
    page.get_by_role("button", name="English").click()
    page.get_by_role("heading", name="Users").wait_for()


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_it_has_no_serious_barrier(look: Look, site: Any, scheme: str) -> None:
    if not site_module.AXE.exists():
        pytest.skip("axe-core is not installed: make test-web")
    name = f"无障碍 {scheme}"
    found(site, name, members=["mei"])
    page = look(color_scheme=scheme, bypass_csp=True)
    page.locator(".tiles dd").first.wait_for()
    for step in ("", "Groups", "Settings", "Members", "Log", "Explain", "Acts", "dialog"):
        if step == "Groups":
            go(page, "Groups")
            page.get_by_role("link", name=name).wait_for()
        elif step == "Settings":
            page.get_by_role("link", name=name).click()
            page.get_by_role("tab", name="Settings").wait_for()
        elif step == "dialog":
            page.get_by_role("button", name="Dissolve…").click()
        elif step:
            page.get_by_role("tab", name=step).click()
        page.add_script_tag(path=str(site_module.AXE))
        judged = page.evaluate("axe.run()")
        serious = [
            (each["id"], [node["html"] for node in each["nodes"]])
            for each in judged["violations"]
            if each["impact"] in ("serious", "critical")
        ]
        assert serious == [], step
