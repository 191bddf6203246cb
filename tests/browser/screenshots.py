"""Takes pictures of the chat for the documentation: ``python -m tests.browser.screenshots``.

The people, groups and words are made up here; pictures come out in docs/screenshots.
"""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path
from typing import Any, Final

from tests.browser.person import open_chat
from tests.browser.site import CHROMIUM, ROOT, Site, running

OUT: Final = ROOT / "docs" / "screenshots"
GROUP: Final = "周末徒步 · 西湖"
CHART_MS: Final = 4_000
"""How long the console has to draw some seconds."""
WIDE: Final = {"viewport": {"width": 1180, "height": 760}}
PHONE: Final = {
    "viewport": {"width": 390, "height": 780},
    "device_scale_factor": 2,
    "is_mobile": True,
    "has_touch": True,
}


def play(site: Site) -> None:
    """Let people talk, as they would."""
    people = {"mei": "王梅", "lin": "林晨", "jie": "阿杰", "anna": "Anna"}
    tea = site.found("新茶品鉴", members=["lin", "jie"])
    site.found("羽毛球 周三晚", members=["mei"])
    group = site.found(
        GROUP, members=list(people), category="户外", description="每周末，走一段山路。"
    )

    def as_(user: str) -> Any:
        from groupd.client import blocking

        token = site.token(user, name=people.get(user, "小雨"))
        return blocking.connect(site.tcp, token=token, timeout_ms=30_000)

    for user in people:
        with as_(user):
            pass
    with as_("xiaoyu") as xiaoyu, as_("mei") as mei, as_("lin") as lin, as_("anna") as anna:
        xiaoyu.announce(group, text="周六八点，断桥东头集合。带水，穿防滑鞋。")
        first = mei.post(group, text="这周走哪条线？")["seq"]
        xiaoyu.post(group, text="宝石山 → 黄龙洞 → 北高峰，大约 9 公里。", reply_to=first)
        place = {"type": "place", "name": "断桥残雪", "lat": 30.258, "lon": 120.147}
        xiaoyu.post(group, card={**place, "address": "杭州市西湖区北山街"})
        lin.post(group, text="我八点到。有人要一起带茶吗？🍵")
        said = anna.post(group, text="Count me in! First time in Hangzhou 🙌")["seq"]
        for person in (xiaoyu, mei, lin):
            person.react(group, seq=said, reaction="👍")
        mei.react(group, seq=said, reaction="🎉")
        goods = {"type": "goods", "title": "明前龙井 50g 试饮装", "price": 12_800}
        lin.post(group, card={**goods, "currency": "CNY", "original_price": 16_800})
        mei.post(group, text="@小雨 记得发集合照片 📷", mentions=["xiaoyu"])
        xiaoyu.pin(group, seq=first + 1)
        lin.post(tea, text="今年的头采到了")


def take(site: Site, out: Path) -> None:
    """Take the pictures."""
    from playwright.sync_api import sync_playwright

    out.mkdir(parents=True, exist_ok=True)
    with sync_playwright() as playwright:
        chromium = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])

        def enter(**options: Any) -> Any:
            context = chromium.new_context(**{"locale": "zh-CN", **options})
            page = context.new_page()
            page.goto(f"{site.web}/chat#token={site.token('xiaoyu')}")
            page.wait_for_selector('.side[data-state="live"]')
            page.locator(".chats button", has_text=GROUP).wait_for()
            return page

        def shoot(page: Any, name: str) -> None:
            page.wait_for_timeout(600)
            page.screenshot(path=str(out / f"{name}.png"))
            print(out / f"{name}.png")

        for scheme in ("light", "dark"):
            page = enter(color_scheme=scheme, **WIDE)
            open_chat(page, GROUP)
            shoot(page, f"chat-{scheme}")
            if scheme == "light":
                page.locator('.bar [data-act="share"]').click()
                page.locator('dialog button[type="submit"]').click()
                page.locator(".shared .url").wait_for()
                page.locator(".shared img.qr, img.qr").first.wait_for()
                shoot(page, "chat-share")
        page = enter(**PHONE)
        shoot(page, "chat-phone-list")
        open_chat(page, GROUP)
        shoot(page, "chat-phone")
        page = enter(**WIDE, locale="en-US")
        open_chat(page, GROUP)
        shoot(page, "chat-english")
        page = chromium.new_context(locale="zh-CN", **PHONE).new_page()
        page.goto(f"{site.web}/g/{site.shared(GROUP)}")
        shoot(page, "share-phone")
        page = chromium.new_context(locale="zh-CN", **WIDE).new_page()
        page.goto(f"{site.web}/console#token={site.token('operator', scope='operator')}")
        page.locator("svg").first.wait_for()
        page.wait_for_timeout(CHART_MS)
        shoot(page, "console")
        chromium.close()


def main() -> None:
    """Take them, into the folder that is named."""
    if CHROMIUM is None:
        sys.exit("chromium is not installed: make test-web")
    with tempfile.TemporaryDirectory() as directory, running(Path(directory)) as site:
        play(site)
        take(site, Path(sys.argv[1]) if sys.argv[1:] else OUT)


if __name__ == "__main__":
    main()
