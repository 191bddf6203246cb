"""Share pages: what they show, to whom, in which language, and what they do not."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator
from typing import Any
from xml.etree import ElementTree

import pytest

import groupd
from groupd.config import Config, Plan
from groupd.config_web import WebConfig
from groupd.engine.hub import Hub
from groupd.server.http import HttpRequest, HttpResponse
from groupd.testing.fakes import FakeClock, fake_ports
from groupd.web import share
from groupd.web.languages import CHINESE, CONDITIONS, ENGLISH, WORDS, language_of
from groupd.web.share import SharePage
from tests.engine.rig import hub_on

PHONE = "zh-CN,zh;q=0.9,en;q=0.8"


@pytest.fixture
async def hub() -> AsyncIterator[Hub]:
    async with groupd.open_hub(config=Config(plans={"ordinary": Plan(members_max=2)})) as hub:
        yield hub


class Host:
    """A group with a link, and who looks at its page."""

    def __init__(self, hub: Hub, config: WebConfig | None = None) -> None:
        self.hub = hub
        self.alice = hub.act_as("alice", name="爱丽丝")
        self.page = SharePage(hub, config or WebConfig(), {"x_test": "here"})

    async def group(self, **settings: Any) -> str:
        named = {"name": "西湖徒步", "category": "运动", "description": "周末走一圈\n带水"}
        made = await self.alice.create(**(named | settings))
        return str(made["group"])

    async def link(self, group: str, **more: Any) -> str:
        return str((await self.alice.share_link(group, **more))["code"])

    async def get(self, path: str, language: str = "", host: str = "g.example") -> HttpResponse:
        headers = {"accept-language": language, "host": host}
        return await self.page.answer(HttpRequest("GET", f"/g/{path}", headers=headers), path)


def text_of(response: HttpResponse) -> str:
    return response.body.decode()


# --- what it shows


async def test_a_stranger_sees_what_the_group_is_and_who_shares_it(hub: Hub) -> None:
    host = Host(hub)
    code = await host.link(await host.group())
    response = await host.get(code)
    page = text_of(response)

    assert (response.status, response.content_type) == (200, "text/html; charset=utf-8")
    assert response.headers["x_test"] == "here"
    for shown in ("西湖徒步", "运动", "周末走一圈\n带水", "1 member<", "爱丽丝</bdi> invites you"):
        assert shown in page
    assert f'href="/chat#code={code}"' in page


async def test_a_pasted_link_unfolds(hub: Hub) -> None:
    host = Host(hub, WebConfig(public_url="https://chat.example.com"))
    code = await host.link(await host.group(picture="https://cdn.example.com/a.png"))
    page = text_of(await host.get(code))

    for name, value in (
        ("og:title", "西湖徒步"),
        ("og:url", f"https://chat.example.com/g/{code}"),
        ("og:image", "https://cdn.example.com/a.png"),
        ("og:type", "website"),
    ):
        assert f'<meta property="{name}" content="{value}">' in page
    assert '<meta name="twitter:card" content="summary">' in page


async def test_it_speaks_the_language_of_the_browser(hub: Hub) -> None:
    host = Host(hub)
    code = await host.link(await host.group())
    chinese, english = await host.get(code, PHONE), await host.get(code, "en-GB")

    assert '<html lang="zh-CN">' in text_of(chinese)
    assert "加入群聊" in text_of(chinese)
    assert "Join the group" in text_of(english)
    assert english.headers["vary"] == "accept-language"
    assert '<meta property="og:locale" content="zh_CN">' in text_of(chinese)
    assert '<meta property="og:locale" content="en_US">' in text_of(english)


async def test_words_of_people_run_in_their_own_direction(hub: Hub) -> None:
    host = Host(hub)
    host.alice = hub.act_as("alice", name="ليلى")
    condition = {"claim": "level", "is": 3, "label": "للأعضاء"}
    told = {"name": "مشي", "category": "رياضة", "description": "كل جمعة", "conditions": condition}
    page = text_of(await host.get(await host.link(await host.group(**told))))

    for element, text in (
        ("h1", "مشي"),
        ("bdi", "رياضة"),
        ("bdi", "ليلى"),
        ("bdi", "للأعضاء"),
    ):
        assert f'<{element} dir="auto">{text}</{element}>' in page
    assert re.search('<p [^>]*dir="auto"[^>]*>كل جمعة</p>', page)
    # The page's own words keep the page's direction.
    assert "</bdi> · 1 member</p>" in page


@pytest.mark.parametrize(
    ("language", "said"),
    [
        ("en", "fan_level at least 3 and not (region is CN or 三级 is 粉丝)"),
        (PHONE, "fan_level 不低于 3 且 不满足 (region 为 CN 或 三级 is 粉丝)"),
    ],
)
async def test_a_condition_is_said_in_the_language_and_the_owners_words_stay(
    hub: Hub, language: str, said: str
) -> None:
    host = Host(hub)
    owners = {"claim": "secret", "has": "code", "label": "三级 is 粉丝"}
    inner = {"not": {"any": [{"claim": "region", "is": "CN"}, owners]}}
    condition = {"all": [{"claim": "fan_level", "at_least": 3}, inner]}
    code = await host.link(await host.group(conditions=condition))
    page = text_of(await host.get(code, language))

    assert said in page
    assert "secret" not in page


@pytest.mark.parametrize(
    ("accepted", "language"),
    [
        ("", ENGLISH),
        ("zh", CHINESE),
        ("zh-TW;q=0.5,en;q=0.4", CHINESE),
        ("en,zh", ENGLISH),
        ("fr,zh;q=0.2", CHINESE),
        ("fr", ENGLISH),
        ("zh;q=nonsense", ENGLISH),
        (";;,,=", ENGLISH),
    ],
)
def test_the_language_is_the_one_that_is_wanted_most(accepted: str, language: str) -> None:
    assert language_of(accepted) == language


def test_everything_is_said_in_each_language() -> None:
    for said in (WORDS, CONDITIONS):
        names = {language: sorted(words) for language, words in said.items()}
        assert len({tuple(found) for found in names.values()}) == 1
        for name, text in said[ENGLISH].items():
            holes = re.findall(r"\{\w+\}", text)
            assert re.findall(r"\{\w+\}", said[CHINESE][name]) == holes


async def test_who_must_be_let_in_is_told_so(hub: Hub) -> None:
    host = Host(hub)
    code = await host.link(await host.group(), approval=True)

    assert "Ask to join" in text_of(await host.get(code))


async def test_statistics_are_shown_where_the_owner_says_so(hub: Hub) -> None:
    host = Host(hub)
    group = await host.group(discoverable=True)
    code = await host.link(group)
    assert 'class="stats"' not in text_of(await host.get(code))

    stats = {"members": 8, "active": 6, "women": 4, "average_age": 31.5}
    page = share._page(ENGLISH, share._Shared(CARD, "joined", "", stats), code, "")
    for shown in ("6 active this week", "50 % women", "31.5 years on average"):
        assert shown in page.decode()
    nothing = {"members": 8, "active": 0, "women": 0, "messages_yesterday": 0}
    page = share._page(ENGLISH, share._Shared(CARD, "joined", "", nothing), code, "")
    assert 'class="stats"' not in page.decode()


CARD = {"name": "n", "category": "", "description": "", "picture": "", "members": 8}


# --- links that let nobody in


async def test_a_link_that_was_withdrawn_looks_like_one_that_never_was(hub: Hub) -> None:
    host = Host(hub)
    group = await host.group()
    code = await host.link(group)
    await host.alice.revoke_link(code)
    revoked, unknown = await host.get(code), await host.get("A" * len(code))

    assert revoked == unknown
    assert revoked.status == 404
    assert "This link does not work." in text_of(revoked)


async def test_a_link_whose_time_is_over_says_so_unless_it_was_withdrawn_before() -> None:
    ports = fake_ports()
    assert isinstance(ports.clock, FakeClock)
    async with hub_on(ports=ports) as hub:
        host = Host(hub)
        group = await host.group()
        expiring, withdrawn = [await host.link(group, expires_in_ms=60_000) for _ in range(2)]
        await host.alice.revoke_link(withdrawn)
        ports.clock.jump(60_000)
        over, unknown = await host.get(expiring), await host.get("A" * len(expiring))
        assert over.status == 410
        assert "This link is no longer valid." in text_of(over)
        assert await host.get(withdrawn) == unknown


@pytest.mark.parametrize("path", ["", "x", "../etc/passwd", "a" * 5_000, "%00", "a/qr.svg"])
async def test_what_is_no_code_is_no_link(hub: Hub, path: str) -> None:
    assert (await Host(hub).get(path)).status == 404


async def test_a_link_that_is_used_up_says_so(hub: Hub) -> None:
    host = Host(hub)
    code = await host.link(await host.group(), uses_max=1)
    await hub.act_as("bob").join(code=code)
    response = await host.get(code, PHONE)

    assert response.status == 410
    assert "链接已失效" in text_of(response)


async def test_a_full_group_is_shown_without_a_way_in(hub: Hub) -> None:
    host = Host(hub)
    group = await host.group()
    code = await host.link(group)
    await hub.act_as("bob").join(code=code)
    response = await host.get(code)

    assert response.status == 200
    assert "This group is full." in text_of(response)
    assert "/chat#" not in text_of(response)


async def test_a_group_that_is_over_says_so(hub: Hub) -> None:
    host = Host(hub)
    group = await host.group()
    code = await host.link(group)
    await host.alice.dissolve(group)

    assert (await host.get(code)).status == 410


async def test_links_of_a_tenant_that_is_not_named_are_unknown(hub: Hub) -> None:
    other = Host(hub, WebConfig(tenants=("shop",)))
    code = await other.link(await other.group())

    assert (await other.get(code)).status == 404


# --- QR


async def test_the_qr_code_is_a_picture_of_the_address(hub: Hub) -> None:
    host = Host(hub)
    code = await host.link(await host.group())
    response = await host.get(f"{code}/qr.svg")

    assert (response.status, response.content_type) == (200, "image/svg+xml")
    assert ElementTree.fromstring(response.body).tag.endswith("svg")
    assert response.body == share.qr_svg(f"http://g.example/g/{code}")


async def test_the_address_is_protected_where_the_listener_is(hub: Hub) -> None:
    host = Host(hub, WebConfig(listen="https://127.0.0.1:7480"))
    code = await host.link(await host.group())

    assert f'content="https://g.example/g/{code}"' in text_of(await host.get(code))
    response = await host.get(f"{code}/qr.svg")
    assert response.body == share.qr_svg(f"https://g.example/g/{code}")


# --- what must not happen

NASTY = ("<script>alert(1)</script>", '" onload=alert(1) x="', "'><img src=x onerror=alert(1)>")


@pytest.mark.parametrize("nasty", NASTY)
async def test_no_text_becomes_markup(hub: Hub, nasty: str) -> None:
    host = Host(hub)
    group = await host.group(name=nasty, category=nasty, description=nasty, picture=nasty)
    page = text_of(await host.get(await host.link(group)))

    assert nasty not in page
    assert page.count("<script") == 1
    assert page.count("<img") == 1


@pytest.mark.parametrize("host_header", ["evil.example/x", "a b", '"><script>', "x\ny"])
async def test_a_host_that_is_none_is_not_repeated(hub: Hub, host_header: str) -> None:
    host = Host(hub)
    code = await host.link(await host.group())
    page = text_of(await host.get(code, host=host_header))

    assert f'<meta property="og:url" content="/g/{code}">' in page
