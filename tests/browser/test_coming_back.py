"""Lost connections and servers that were killed: nothing is shown twice, and nothing is lost."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from tests.browser.conftest import Enter
from tests.browser.person import open_chat, say, wait_for_text, wait_for_texts
from tests.browser.site import Site, running


def test_a_killed_server_loses_nothing_and_shows_nothing_twice(
    enter: Enter, tmp_path: Path
) -> None:
    with running(tmp_path) as site:
        group = site.found("不丢", members=["mei", "lin"])
        left, right = enter("xiaoyu", server=site), enter("mei", server=site)
        for page in (left, right):
            open_chat(page, "不丢")
        say(left, "before")
        wait_for_texts(right, ["before"])
        site.kill()
        left.get_by_text("No connection").first.wait_for()
        say(left, "while it was gone 1")
        say(left, "while it was gone 2")
        left.locator(".message.pending").nth(1).wait_for()
        site.start()
        with site.client("lin") as lin:
            lin.post(group, text="from elsewhere")
        for page in (left, right):
            page.locator(".message.pending").first.wait_for(state="detached")
            wait_for_text(page, "while it was gone 2")
            wait_for_text(page, "from elsewhere")
        with site.client("lin") as lin:
            events = lin.history(group)["events"]
        expected = [event["text"] for event in events if event["kind"] == "posted"]
        assert sorted(expected) == [
            *("before", "from elsewhere", "while it was gone 1", "while it was gone 2")
        ]
        for page in (left, right):
            wait_for_texts(page, expected)


def test_a_session_that_was_ended_is_begun_anew(enter: Enter, tmp_path: Path) -> None:
    with running(tmp_path) as site:
        group = site.found("断线", members=["mei"])
        page = enter("mei", server=site)
        open_chat(page, "断线")
        with site.client("xiaoyu") as xiaoyu:
            expected = []
            for round_ in range(3):
                xiaoyu.post(group, text=f"here {round_}")
                wait_for_text(page, f"here {round_}")
                site.disconnect("mei")
                xiaoyu.post(group, text=f"away {round_}")
                expected += [f"here {round_}", f"away {round_}"]
                wait_for_text(page, f"away {round_}")
            wait_for_texts(page, expected)
            assert site.hellos("mei") >= 4


def test_a_reload_sends_what_was_not_answered_once(enter: Enter, tmp_path: Path) -> None:
    with running(tmp_path) as site:
        group = site.found("重载", members=["mei"])
        page = enter("mei", server=site)
        open_chat(page, "重载")
        site.kill()
        say(page, "just before the reload")
        page.locator(".message.pending").wait_for()
        # The page comes from the server, so that is back first.
        site.start()
        page.reload()
        page.wait_for_selector('.side[data-state="live"]')
        open_chat(page, "重载")
        wait_for_texts(page, ["just before the reload"])
        with site.client("xiaoyu") as xiaoyu:
            events = xiaoyu.history(group)["events"]
            assert [e["kind"] for e in events].count("posted") == 1


def sign_out_after(enter: Enter, site: Site, chat: str, text: str) -> Any:
    """Have mei say something without a server, and her token be over when there is one again."""
    page = enter("mei", server=site, may_complain=True)
    open_chat(page, chat)
    site.kill()
    say(page, text)
    page.locator(".message.pending").wait_for()
    site.revoke("mei")
    site.start()
    page.get_by_role("alert").get_by_text("no longer valid").wait_for()
    return page


def test_who_is_signed_out_meanwhile_says_it_after_the_next_sign_in(
    enter: Enter, tmp_path: Path
) -> None:
    with running(tmp_path) as site:
        group = site.found("续上", members=["mei"])
        page = sign_out_after(enter, site, "续上", "said without a server")
        page.goto(f"{site.web}/chat#token={site.token('mei')}")
        # They are where they were, and it is said once.
        wait_for_texts(page, ["said without a server"])
        page.locator(".message.pending").first.wait_for(state="detached")
        with site.client("xiaoyu") as xiaoyu:
            events = xiaoyu.history(group)["events"]
            assert [e["kind"] for e in events].count("posted") == 1


def test_what_somebody_has_said_is_not_said_by_another(enter: Enter, tmp_path: Path) -> None:
    with running(tmp_path) as site:
        group = site.found("不冒名", members=["mei", "lin"])
        page = sign_out_after(enter, site, "不冒名", "from mei")
        page.goto(f"{site.web}/chat#token={site.token('lin')}")
        open_chat(page, "不冒名")
        say(page, "from lin")
        wait_for_texts(page, ["from lin"])
        with site.client("xiaoyu") as xiaoyu:
            events = xiaoyu.history(group)["events"]
            assert [e["user"] for e in events if e["kind"] == "posted"] == ["lin"]
