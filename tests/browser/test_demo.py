"""What somebody does who has never seen groupd: the demo, by its addresses, in two browsers."""

from __future__ import annotations

import os
import re
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.browser.person import open_chat, wait_for_text
from tests.browser.site import ROOT, free_port
from tests.e2e.process import GROUPD, PATIENCE_S, environment

PHONE = {"viewport": {"width": 390, "height": 844}, "has_touch": True, "is_mobile": True}
ADDRESSES = 4


@pytest.fixture
def demo(tmp_path: Path) -> Iterator[dict[str, str]]:
    """Run it; gives what it prints: the addresses by what is in them. It ends by a hang-up."""
    command = [str(GROUPD), "demo", "--web", f"http://127.0.0.1:{free_port()}"]
    process = subprocess.Popen(
        command,
        cwd=ROOT,
        env={**environment(), "TMPDIR": str(tmp_path)},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    assert process.stdout is not None
    found: list[str] = []
    for line in process.stdout:
        found += re.findall(r"^http://\S+#token=\S+", line)
        if len(found) == ADDRESSES:
            break
    assert len(found) == ADDRESSES, found
    chat, friend, console, share = found
    yield {"chat": chat, "friend": friend, "console": console, "share": share}
    # As when the window is closed in which it was tried.
    os.kill(process.pid, signal.SIGHUP)
    process.communicate(timeout=PATIENCE_S)
    assert process.returncode == 0
    assert list(tmp_path.iterdir()) == [], "what it has made is gone"


def test_a_stranger_comes_in_by_the_qr_code_and_is_let_in(
    browser: Any, demo: dict[str, str]
) -> None:
    here = browser.new_context(locale="en-US").new_page()
    here.goto(demo["chat"])
    open_chat(here, "周末徒步 Weekend hikes")

    # What the QR code says: the address without any token.
    phone = browser.new_context(locale="zh-CN", **PHONE).new_page()
    phone.goto(demo["share"].partition("#")[0])
    phone.get_by_role("link", name="申请加入").click()
    phone.get_by_text("有人邀请你加入群聊").wait_for()
    phone.get_by_role("link", name="登录").click()
    phone.get_by_role("heading", name="你想以谁的身份进入？").wait_for()
    phone.get_by_role("link", name="Ben").click()
    phone.get_by_role("button", name="申请加入").click()

    here.get_by_role("button", name=re.compile("asks? to join")).click()
    row = here.get_by_role("dialog").locator("li", has_text="Ben")
    row.get_by_role("button", name="Let in").click()
    here.keyboard.press("Escape")

    open_chat(phone, "周末徒步 Weekend hikes")
    box = phone.get_by_role("textbox", name="输入消息")
    box.fill("谢谢，周六见")
    box.press("Enter")
    wait_for_text(here, "谢谢，周六见")
    for page in (here, phone):
        page.context.close()
