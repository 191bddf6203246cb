"""What a person does with the page, in their words."""

from __future__ import annotations

import base64
import re
from typing import Any, Final

PIXEL: Final = base64.b64decode(
    "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg=="
)
"""A picture of one point."""


def open_chat(page: Any, name: str) -> None:
    """Open a chat of the list by its name."""
    page.locator(".chats button", has_text=name).first.click()
    page.wait_for_selector(".log .message, .log .line")


def say(page: Any, text: str) -> None:
    """Write something and send it."""
    box = page.get_by_role("textbox", name="Write a message")
    box.fill(text)
    box.press("Enter")


def texts(page: Any) -> list[str]:
    """Give the texts of the messages that are shown, in their order."""
    found: list[str] = page.locator(".log .message .text").all_inner_texts()
    return found


def wait_for_texts(page: Any, expected: list[str]) -> None:
    """Wait until exactly these are shown, in this order."""
    page.wait_for_function(
        """expected => {
            const found = [...document.querySelectorAll(".log .message .text")];
            return JSON.stringify(found.map(each => each.innerText)) === JSON.stringify(expected);
        }""",
        arg=expected,
    )


def wait_for_text(page: Any, text: str) -> None:
    """Wait until a message of exactly this text is shown; the list of chats may have it, too."""
    whole = re.compile(rf"^{re.escape(text)}$")
    page.locator(".log .message .text", has_text=whole).first.wait_for()


def act(page: Any, text: str, name: str) -> None:
    """Use a button of a message."""
    # Another may quote it.
    whole = re.compile(rf"^{re.escape(text)}$")
    message = page.locator(".log .message", has=page.locator("p.text", has_text=whole)).last
    message.hover()
    message.get_by_role("button", name=name).first.click()


def choose(page: Any, text: str, name: str) -> None:
    """Choose something in the menu of a message."""
    act(page, text, "More")
    page.get_by_role("dialog").get_by_role("button", name=name, exact=True).click()


def show_pictures(page: Any) -> None:
    """Let every picture of elsewhere load."""
    page.route(
        re.compile(r"\.example/.*\.(jpg|png)$"),
        lambda route: route.fulfill(body=PIXEL, content_type="image/png"),
    )


def lose_pictures(page: Any) -> None:
    """Let no picture of elsewhere load."""
    page.route(re.compile(r"\.example/"), lambda route: route.abort())
