"""The share page of a link: what a phone shows that has never heard of groupd.

Placement rules:
- It is whole without a script. What it shows is what the owner has made public: the hub is asked as
  somebody who is in no group.
- A link that was withdrawn looks like one that never was, in words and in status.
"""

from __future__ import annotations

import io
import re
from collections.abc import Mapping
from contextlib import suppress
from typing import Any, Final

import attrs
import segno
import trio

from groupd.config_web import SHARE_PATH, WebConfig
from groupd.domain.base import Identity
from groupd.domain.group.info import Info
from groupd.domain.group.links import OpenLinkInWords
from groupd.domain.links import CODE_LENGTH
from groupd.domain.queries import Profile
from groupd.engine.hub import Hub
from groupd.errors import LogError, Rejected
from groupd.server.http import HttpRequest, HttpResponse
from groupd.web.html import Child, Element, document, tag
from groupd.web.languages import CONDITIONS, LOCALES, WORDS, language_of
from groupd.wire.codec import Encoded

HTML: Final = "text/html; charset=utf-8"
QR: Final = "/qr.svg"
NOBODY: Final = "\0"
"""Whom the hub is asked as. No token can be for such a user."""
AT_ONCE: Final = 16
"""Pages that are under way at the same time; the others wait."""
WAITING_MAX: Final = 500
"""Pages that wait; one more is told to come again."""
RETRY_S: Final = 2
DESCRIPTION_MAX: Final = 200
"""Characters of a description that go into what others show of the page."""
STATUS: Final[Mapping[str, tuple[str, int]]] = {
    "link_expired": ("expired", 410),
    "link_used_up": ("expired", 410),
    "state": ("over", 410),
}
"""Reason -> what is said, and the status. Any other: as if there were no such link."""

_CODE: Final = re.compile(rf"[A-Za-z0-9_-]{{{CODE_LENGTH}}}")
_HOST: Final = re.compile(r"[A-Za-z0-9.-]+(:[0-9]+)?|\[[0-9A-Fa-f:.]+\](:[0-9]+)?")
_PICTURE: Final = re.compile(r"https://[^\s\"'<>]+")


class _Gone(Exception):
    """A link that nobody is let in by; ``words`` say why."""

    def __init__(self, words: str, status: int) -> None:
        super().__init__(words)
        self.words, self.status = words, status


@attrs.frozen
class _Shared:
    """What a link is for."""

    group: Mapping[str, Any]
    status: str
    sharer: str
    stats: Mapping[str, Any]


class SharePage:
    """Answers ``/g/CODE`` and ``/g/CODE/qr.svg``."""

    def __init__(self, hub: Hub, config: WebConfig, headers: Mapping[str, str]) -> None:
        self._hub = hub
        self._config = config
        self._headers = {**headers, "vary": "accept-language"}
        self._turns = trio.CapacityLimiter(AT_ONCE)

    async def answer(self, request: HttpRequest, rest: str) -> HttpResponse:
        """Answer a GET."""
        code = rest.removesuffix(QR)
        language = language_of(request.headers.get("accept-language", ""))
        base = self._config.public_url or _base_of(request, self._config)
        url = f"{base}{SHARE_PATH}{code}"
        try:
            shared = await self._look_up(code, language)
        except _Gone as gone:
            headers = {"retry_after": str(RETRY_S)} if gone.status == 503 else {}
            page = _sorry(language, gone.words)
            return HttpResponse(gone.status, page, HTML, {**self._headers, **headers})
        if rest.endswith(QR):
            return HttpResponse(200, qr_svg(url), "image/svg+xml", self._headers)
        return HttpResponse(200, _page(language, shared, code, url), HTML, self._headers)

    async def _look_up(self, code: str, language: str) -> _Shared:
        """Ask what a link is for; raises _Gone."""
        if not _CODE.fullmatch(code):
            raise _Gone("gone", 404)
        if self._turns.statistics().tasks_waiting >= WAITING_MAX:
            raise _Gone("busy", 503)
        async with self._turns:
            for tenant in self._config.tenants:
                try:
                    return await self._look_up_in(tenant, code, language)
                except Rejected as error:
                    if error.code != "not_found":
                        raise _gone(error) from None
                except LogError:
                    raise _Gone("busy", 503) from None
        raise _Gone("gone", 404)

    async def _look_up_in(self, tenant: str, code: str, language: str) -> _Shared:
        nobody = Identity(user=NOBODY, tenant=tenant)
        opening = OpenLinkInWords(code=code, words=CONDITIONS[language])
        shown = _plain(await self._hub.read(nobody, opening, group=None))
        if shown["status"] in STATUS:
            raise _Gone(*STATUS[shown["status"]])
        stats: Mapping[str, Any] = {}
        with suppress(Rejected):  # Strangers may learn of it by the link alone.
            group = shown["group"]["group"]
            stats = _plain(await self._hub.read(nobody, Info.parse({}), group=group)).get(
                "stats", {}
            )
        sharer = ""
        with suppress(Rejected):  # Of whom nothing is known.
            profile = Profile.parse({"user": shown["sharer"]})
            sharer = _plain(await self._hub.read(nobody, profile, group=None)).get("name", "")
        return _Shared(shown["group"], shown["status"], sharer, stats)


def _plain(result: Mapping[str, Any] | Encoded) -> Mapping[str, Any]:
    return result.decode() if isinstance(result, Encoded) else result


def _gone(error: Rejected) -> _Gone:
    if error.code in ("unavailable", "rate_limited"):
        return _Gone("busy", 503)
    return _Gone(*STATUS.get(str(error.details.get("reason")), ("gone", 404)))


def _base_of(request: HttpRequest, config: WebConfig) -> str:
    """Give scheme and host by which somebody came; of a host that is none, nothing."""
    host, scheme = request.headers.get("host", ""), "https" if config.is_protected else "http"
    return f"{scheme}://{host}" if _HOST.fullmatch(host) else ""


def qr_svg(text: str) -> bytes:
    """Draw a QR code, dark on white whatever is around it."""
    out = io.BytesIO()
    segno.make_qr(text, error="m").save(
        out, kind="svg", xmldecl=False, light="#fff", dark="#000", border=4, omitsize=True
    )
    return out.getvalue()


# --- the page


def _page(language: str, shared: _Shared, code: str, url: str) -> bytes:
    words, group = WORDS[language], shared.group
    name, is_full = str(group["name"]), shared.status == "group_full"
    one = "member" if group["members"] == 1 else "members"
    members = words[one].format(count=f"{group['members']:,}")
    category = str(group["category"])
    under = f"{category} · {members}" if category else members
    short = str(group["description"])[:DESCRIPTION_MAX] or under
    picture = str(group["picture"])
    has_picture = bool(_PICTURE.fullmatch(picture))
    head = [
        *page_head(name),
        tag("meta", name="description", content=short),
        *(
            tag("meta", property=f"og:{key}", content=value)
            for key, value in (
                ("type", "website"),
                ("title", name),
                ("description", short),
                ("url", url),
                ("locale", LOCALES[language]),
            )
        ),
        *([tag("meta", property="og:image", content=picture)] if has_picture else []),
        tag("meta", name="twitter:card", content="summary"),
        tag("meta", name="twitter:title", content=name),
        tag("meta", name="twitter:description", content=short),
        tag("script", src="/share.js", defer=""),
    ]
    avatar = (
        tag("img", src=picture, alt="", class_="avatar", referrerpolicy="no-referrer")
        if has_picture
        else tag("div", name[:1] or "#", class_="avatar letter", aria_hidden="true")
    )
    condition, description = group.get("condition"), str(group["description"])
    if is_full:
        way_in = tag(
            "p", tag("strong", words["full"]), tag("br"), words["full_hint"], class_="notice"
        )
    else:
        label = words["ask" if shared.status == "pending" else "join"]
        way_in = tag("a", label, href=f"/chat#code={code}", class_="join", id="join")
    body = [
        tag(
            "main",
            avatar,
            tag("p", *_around(words["shared"], shared.sharer), class_="invited")
            if shared.sharer
            else None,
            tag("h1", name, dir="auto"),
            tag(
                "p",
                *((tag("bdi", category, dir="auto"), " · ") if category else ()),
                members,
                class_="under",
            ),
            tag("p", description, class_="text", dir="auto") if description else None,
            _stats(words, shared.stats),
            tag("p", *_around(words["condition"], str(condition)), class_="text")
            if condition
            else None,
            way_in,
            tag(
                "figure",
                tag("img", src=f"{SHARE_PATH}{code}{QR}", alt=words["qr"], class_="qr"),
                tag("figcaption", words["scan"]),
            ),
        )
    ]
    return document(language, head, body)


def _around(words: str, text: str) -> tuple[Child, ...]:
    """Put what somebody wrote into the hole of a sentence, so that it turns nothing around it."""
    before, after = re.split(r"\{\w*\}", words)
    return before, tag("bdi", text, dir="auto"), after


def _stats(words: Mapping[str, str], stats: Mapping[str, Any]) -> Element | None:
    members = stats.get("members") or 0
    shown = [
        words[name].format(**{field: value})
        for name, field, value in (
            ("active", "count", stats.get("active")),
            ("yesterday", "count", stats.get("messages_yesterday")),
            ("women", "percent", _percent(stats.get("women"), members)),
            ("age", "years", stats.get("average_age")),
        )
        # Nothing is no news: of a new group all of it would be zero.
        if value
    ]
    return tag("ul", *(tag("li", text) for text in shown), class_="stats") if shown else None


def _percent(part: int | None, whole: int) -> int | None:
    return None if part is None or not whole else round(100 * part / whole)


def _sorry(language: str, what: str) -> bytes:
    words = WORDS[language]
    body = [
        tag(
            "main",
            tag("div", "?", class_="avatar letter", aria_hidden="true"),
            tag("h1", words[what]),
            tag("p", words[f"{what}_hint"], class_="text"),
        )
    ]
    return document(language, page_head(words[what]), body)


def page_head(title: str) -> list[Element]:
    """Give what stands in the head of each page that the server makes."""
    return [
        tag("meta", charset="utf-8"),
        tag("meta", name="viewport", content="width=device-width, initial-scale=1"),
        tag("meta", name="robots", content="noindex"),
        tag("meta", name="color-scheme", content="light dark"),
        tag("title", title),
        tag("link", rel="stylesheet", href="/share.css"),
        tag("link", rel="icon", type="image/svg+xml", href="/chat/icon.svg"),
    ]
