"""People chat in browsers, with each other and with those who use another client."""

from __future__ import annotations

from typing import Any

from groupd.client import blocking
from tests.browser.conftest import Enter
from tests.browser.person import (
    act,
    choose,
    lose_pictures,
    open_chat,
    say,
    show_pictures,
    texts,
    wait_for_text,
    wait_for_texts,
)
from tests.browser.site import Site

CARDS: list[dict[str, Any]] = [
    {"type": "video", "title": "西湖清晨", "url": "https://v.example/1", "duration_ms": 65_000},
    {"type": "live", "title": "新茶直播", "url": "https://l.example/1", "host": "阿杰"},
    {
        "type": "goods",
        "title": "龙井 50g",
        "price": 12_800,
        "currency": "CNY",
        "original_price": 16_800,
    },
    {"type": "link", "title": "路线图", "url": "https://a.example/map"},
    {"type": "image", "url": "https://p.example/1.jpg"},
    {"type": "file", "name": "报名表.xlsx", "url": "https://f.example/1", "size_bytes": 48_211},
    {"type": "place", "name": "断桥", "lat": 30.25, "lon": 120.15, "address": "北山街"},
    {"type": "from_the_future", "title": "something new", "url": "https://x.example"},
]
"""One of each type, and one of a type that this page does not know."""


def test_two_browsers_and_a_tcp_client_chat(enter: Enter, site: Site) -> None:
    group = site.found("三个人", members=["mei", "lin"])
    left, right = enter("xiaoyu"), enter("mei")
    for page in (left, right):
        open_chat(page, "三个人")
    with site.client("lin") as lin, lin.events() as heard:
        say(left, "hello")
        say(right, "你好 👋")
        lin.post(group, text="over TCP")
        said = [next(e for e in heard if getattr(e, "kind", "") == "posted") for _ in range(3)]
    expected = [event.fields["text"] for event in said]
    assert sorted(expected) == ["hello", "over TCP", "你好 👋"]
    for page in (left, right):
        wait_for_texts(page, expected)


def test_typing_and_unread_are_seen(enter: Enter, site: Site) -> None:
    group = site.found("数一数", members=["eve", "lin"])
    other = site.found("别处", members=["eve"])
    page = enter("eve")
    open_chat(page, "别处")
    with site.client("xiaoyu") as xiaoyu:
        xiaoyu.post(group, text="一")
        xiaoyu.post(group, text="二 @Eve", mentions=["eve"])
        row = page.locator(".chats li", has_text="数一数")
        row.get_by_text("2 unread").wait_for(state="attached")
        row.get_by_text("you are mentioned").wait_for(state="attached")
        assert page.title() == "(2) groupd"
        xiaoyu.typing(other)
        page.locator(".bar .typing", has_text="小雨 is typing").wait_for()
    open_chat(page, "数一数")
    page.locator(".message.calls").wait_for()
    row.locator(".badge").wait_for(state="detached")
    page.wait_for_function("() => document.title === 'groupd'")
    with site.client("eve") as eve:
        (listed,) = [each for each in eve.chat_list if each["group"] == group]
        assert (listed["unread"], listed["mentions"]) == (0, 0)


def test_what_was_said_before_is_fetched_as_one_scrolls_back(enter: Enter, site: Site) -> None:
    group = site.found("很长", members=["mei"])
    expected = [f"line {number}" for number in range(130)]
    with site.client("mei") as mei:
        for text in expected:
            mei.post(group, text=text)
    page = enter("xiaoyu")
    open_chat(page, "很长")
    wait_for_text(page, "line 129")
    for _ in range(8):
        page.locator(".log").evaluate("log => { log.scrollTop = 0; }")
        page.wait_for_timeout(150)
    wait_for_texts(page, expected)
    page.get_by_text("The beginning").wait_for()
    with site.client("mei") as mei:
        mei.post(group, text="meanwhile")
    page.get_by_role("button", name="New messages").click()
    wait_for_text(page, "meanwhile")


def test_what_is_said_can_be_answered_liked_edited_recalled_and_pinned(
    enter: Enter, site: Site
) -> None:
    group = site.found("动手", members=["mei"])
    mine, other = enter("xiaoyu"), enter("mei")
    for page in (mine, other):
        open_chat(page, "动手")
    say(mine, "first")
    say(mine, "second")
    wait_for_texts(other, ["first", "second"])

    act(other, "first", "Like")
    act(other, "first", "Reply")
    say(other, "an answer")
    mine.get_by_role("button", name="👍: 1").wait_for()
    mine.locator(".quote", has_text="first").wait_for()
    mine.get_by_role("button", name="1 reply").click()
    mine.get_by_role("dialog").get_by_text("an answer").wait_for()
    mine.keyboard.press("Escape")

    choose(mine, "second", "Edit")
    box = mine.get_by_role("textbox", name="Write a message")
    assert box.input_value() == "second"
    box.fill("second, better")
    box.press("Enter")
    wait_for_text(other, "second, better")
    choose(mine, "first", "Pin")
    other.get_by_role("button", name="Pinned messages").click()
    other.get_by_role("dialog").get_by_text("first").wait_for()
    other.keyboard.press("Escape")
    choose(mine, "second, better", "Recall")
    other.get_by_text("This message was recalled", exact=True).first.wait_for()
    assert "second, better" not in texts(other)

    with site.client("xiaoyu") as xiaoyu:
        xiaoyu.announce(group, text="周六八点，断桥见")
    banner = other.locator(".banner")
    banner.get_by_text("周六八点").wait_for()
    banner.get_by_role("button", name="Got it").click()
    banner.wait_for(state="hidden")


def test_a_mention_is_completed_and_counted(enter: Enter, site: Site) -> None:
    group = site.found("点名", members=["mei", "lin"])
    page = enter("xiaoyu")
    open_chat(page, "点名")
    box = page.get_by_role("textbox", name="Write a message")
    with site.client("mei"):
        pass  # So that she has a name.
    box.press_sequentially("hi @mei")
    page.get_by_role("option", name="mei").wait_for()
    box.press("Enter")
    box.press_sequentially("here?")
    box.press("Enter")
    page.locator(".message .mention").wait_for()
    with site.client("mei") as mei:
        (listed,) = [each for each in mei.chat_list if each["group"] == group]
        assert listed["mentions"] == 1


def test_cards_are_shown(enter: Enter, site: Site) -> None:
    group = site.found("卡片", members=["mei"])
    with site.client("mei") as mei:
        for card in CARDS:
            mei.post(group, card=card)
    page = enter("xiaoyu")
    open_chat(page, "卡片")
    page.locator(".message .card").nth(len(CARDS) - 1).wait_for()
    for words in ("1:05", "阿杰", "CN¥128.00", "48.2 kB", "北山街", "something new"):
        page.locator(".message .card", has_text=words).wait_for()
    for link in page.locator(".message a.card").all():
        assert link.get_attribute("rel") == "noopener noreferrer"


def test_what_the_app_itself_says_has_a_name(enter: Enter, site: Site) -> None:
    group = site.found("通知", members=["mei"])
    page = enter("mei")
    open_chat(page, "通知")
    site.say_as_host(group, "订单已发货")
    wait_for_text(page, "订单已发货")
    message = page.locator(".log .message", has_text="订单已发货")
    assert message.locator(".name").inner_text() == "The server"
    page.wait_for_function(
        'document.getElementById("live").textContent === "The server: 订单已发货"'
    )


def test_a_thread_shows_cards_as_the_chat_does(enter: Enter, site: Site) -> None:
    group = site.found("回复卡片", members=["mei"])
    with site.client("mei") as mei:
        root = mei.post(group, text="what have you got?")["seq"]
        for card in CARDS:
            mei.post(group, card=card, reply_to=root)
        early = mei.post(group, text="an early form", reply_to=root)["seq"]
        mei.edit(group, seq=early, text="a later form")
    page = enter("xiaoyu")
    show_pictures(page)
    open_chat(page, "回复卡片")
    page.get_by_role("button", name=f"{len(CARDS) + 1} replies").click()
    thread = page.get_by_role("dialog")
    thread.locator(".message").nth(len(CARDS) + 1).wait_for()
    shown = thread.locator(".message .card")
    assert shown.all_inner_texts() == page.locator(".log .message .card").all_inner_texts()
    assert shown.count() == len(CARDS)
    assert thread.locator("a.card img").count() == 1
    thread.get_by_text("a later form").wait_for()
    # Who replies to what stands above.
    assert thread.locator(".quote").count() == 0


def test_pictures_that_do_not_load_leave_words(enter: Enter, site: Site) -> None:
    picture = "https://p.example/group.png"
    group = site.found("没有图", members=["eve"], picture=picture)
    eve = site.token("eve", picture="https://p.example/eve.png")
    with blocking.connect(site.tcp, token=eve, timeout_ms=30_000) as client:
        client.post(group, card={"type": "image", "url": "https://p.example/big.jpg"})
        client.post(
            group,
            card={
                "type": "image",
                "url": "https://p.example/full.jpg",
                "thumbnail": "https://p.example/small.jpg",
            },
        )
        link = {"type": "link", "title": "路线图", "url": "https://a.example/map"}
        client.post(group, card={**link, "picture": "https://p.example/map.png"})
    page = enter("xiaoyu")
    lose_pictures(page)
    open_chat(page, "没有图")
    for address in ("https://p.example/big.jpg", "https://p.example/full.jpg"):
        card = page.get_by_role("link", name=f"Picture {address}")
        card.wait_for()
        assert card.get_attribute("href") == address
        assert "Picture" in card.inner_text()
    page.get_by_role("link", name="Link 路线图").wait_for()
    page.wait_for_function("() => document.querySelector('.app img') === null")
    assert page.locator(".bar .avatar").inner_text() == "没"
    assert page.locator(".message .avatar").first.inner_text() == "E"
    page.get_by_role("button", name="Members").click()
    page.get_by_role("dialog").get_by_text("Eve", exact=True).wait_for()
    page.wait_for_function("() => document.querySelector('dialog img') === null")


def test_a_group_is_made_shared_asked_for_and_joined(enter: Enter, site: Site) -> None:
    owner = enter("xiaoyu")
    owner.get_by_role("button", name="New group").click()
    form = owner.get_by_role("dialog")
    form.get_by_label("Name of the group").fill("新茶上市")
    form.get_by_label("Who may join").select_option("approval")
    form.get_by_role("button", name="Make").click()
    owner.get_by_role("heading", name="新茶上市").wait_for()

    owner.get_by_role("button", name="Share").click()
    owner.get_by_role("dialog").get_by_label("An admin lets people in").check()
    owner.get_by_role("dialog").get_by_role("button", name="Make a link").click()
    url = owner.locator(".shared .url")
    url.wait_for()
    address = url.input_value()
    assert address.startswith(f"{site.web}/g/")
    owner.keyboard.press("Escape")

    guest = enter("lin", more=f"&code={address.rpartition('/')[2]}")
    guest.get_by_role("dialog", name="新茶上市").get_by_role("button", name="Ask to join").click()
    guest.get_by_text("You asked to join").first.wait_for()
    owner.get_by_role("button", name="1 asks to join").click()
    owner.get_by_role("dialog").get_by_role("button", name="Let in: Lin").click()
    owner.keyboard.press("Escape")
    open_chat(guest, "新茶上市")
    say(guest, "thank you")
    wait_for_text(owner, "thank you")

    another = enter("mei")
    another.get_by_role("button", name="Find and join groups").click()
    another.get_by_role("dialog").get_by_role("searchbox").fill("新茶")
    another.keyboard.press("Enter")
    another.get_by_role("dialog").get_by_role("button", name="Ask to join: 新茶上市").click()
    owner.get_by_role("button", name="1 asks to join").click()
    owner.get_by_role("dialog").get_by_role("button", name="Decline: 王梅").click()
    owner.keyboard.press("Escape")
    owner.get_by_role("button", name="Members").click()
    people = owner.get_by_role("dialog").locator(".person .title")
    people.first.wait_for()
    assert sorted(people.all_inner_texts()) == ["Lin", "小雨"]


def test_what_is_refused_can_be_sent_again_or_discarded(enter: Enter, site: Site) -> None:
    group = site.found("禁言", members=["mei"])
    page = enter("mei")
    open_chat(page, "禁言")
    with site.client("xiaoyu") as xiaoyu:
        xiaoyu.slow_mode(group, interval_ms=3_600_000)
        say(page, "one")
        say(page, "two")
        page.get_by_text("Not sent: Slow mode").wait_for()
        xiaoyu.slow_mode(group, interval_ms=0)
        page.get_by_role("button", name="Try again").click()
        wait_for_texts(page, ["one", "two"])
        xiaoyu.mute_all(group)
        page.get_by_text("Only admins may speak now.").wait_for()
        assert page.get_by_role("textbox", name="Write a message").is_disabled()
