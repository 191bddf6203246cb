"""The demo's sign-in page: where an app would ask who somebody is, here one says it oneself.

Whoever has scanned the QR code of a group comes by here, chooses a name, and goes on with a token.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Final

from groupd.cli.demo.scenes import NEWCOMERS
from groupd.server.http import HttpRequest, HttpResponse, plain
from groupd.web.html import document, tag
from groupd.web.languages import CHINESE, ENGLISH, language_of
from groupd.web.share import HTML, page_head
from groupd.web.site import SECURITY, Page

PATH: Final = "/demo"
WORDS: Final[Mapping[str, Mapping[str, str]]] = MappingProxyType(
    {
        ENGLISH: {
            "title": "Who would you like to be?",
            "text": "In your own app, this is where people sign in. In the demo, choose a name.",
        },
        CHINESE: {
            "title": "你想以谁的身份进入？",
            "text": "在你自己的应用里，用户会在这里登录。演示中请选一个名字。",
        },
    }
)


def door(make_token: Callable[[str], str]) -> Page:
    """Give the page. ``make_token`` gives a user's."""

    async def answer(request: HttpRequest, rest: str) -> HttpResponse:
        if rest:
            return plain(404, f"there is only {PATH}", **SECURITY)
        language = language_of(request.headers.get("accept-language", ""))
        words = WORDS[language]
        names = (
            tag("a", name, href=f"/chat#token={make_token(user)}", class_="join")
            for user, name in NEWCOMERS.items()
        )
        body = [
            tag(
                "main",
                tag("h1", words["title"]),
                tag("p", words["text"], class_="text"),
                tag("nav", *names, class_="names", aria_label=words["title"]),
            )
        ]
        page = document(language, page_head(words["title"]), body)
        # It has tokens in it.
        headers = {**SECURITY, "vary": "accept-language", "cache_control": "no-store"}
        return HttpResponse(200, page, HTML, headers)

    return answer
