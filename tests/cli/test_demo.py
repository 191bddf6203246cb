"""The demo: it starts, there is something to see at each address, and it goes without a trace."""

from __future__ import annotations

import tempfile
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import attrs
import httpx
import pytest
import trio
from rich.console import Console

import groupd
from groupd.cli import demo
from groupd.cli.demo import door as demo_door
from groupd.cli.demo import scenes, stage
from groupd.cli.demo.scenes import SCENES, Announce, Ask, Like, PinUp, Say
from groupd.client import Client, GroupEvent
from groupd.domain.console import OperatorFigures
from groupd.errors import ConfigError
from groupd.server.http import HttpRequest

PATIENCE_S = 60
FAST = 200.0


def token_of(address: str) -> str:
    return address.partition("#token=")[2]


def entries(folder: Path) -> list[str]:
    return [path.name for path in folder.iterdir()]


@attrs.define
class Seen:
    """What a visitor has seen of the demo."""

    addresses: demo.Addresses
    pages: dict[str, httpx.Response]


async def visit(addresses: demo.Addresses) -> Seen:
    async with httpx.AsyncClient(timeout=PATIENCE_S) as browser:
        pages = {
            name: await browser.get(url.partition("#")[0])
            for name, url in (
                ("console", addresses.console),
                ("share", addresses.share),
                ("qr", f"{addresses.share}/qr.svg"),
            )
        }
    return Seen(addresses, pages)


@asynccontextmanager
async def playing(**options: Any) -> AsyncIterator[demo.Addresses]:
    """Run the demo for as long as the block; gives where to look."""
    stop, told = trio.Event(), trio.Event()
    given: list[demo.Addresses] = []

    def tell(addresses: demo.Addresses) -> None:
        given.append(addresses)
        told.set()

    async def run() -> None:
        await demo.run(web=None, data=None, tell=tell, stop=stop, handle_signals=False, **options)

    with trio.fail_after(PATIENCE_S):
        async with trio.open_nursery() as nursery:
            nursery.start_soon(run)
            await told.wait()
            yield given[0]
            stop.set()


async def test_the_demo_shows_four_groups_that_talk_and_then_is_gone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    async with playing(speed=FAST) as addresses:
        assert entries(tmp_path)
        seen = await visit(addresses)
        async with (
            groupd.connect(addresses.server, token=token_of(addresses.chat)) as you,
            groupd.connect(addresses.server, token=token_of(addresses.friend)) as friend,
            groupd.connect(addresses.server, token=token_of(addresses.console)) as operator,
        ):
            figures = await operator.call(OperatorFigures())
            assert figures["connections"] >= len(scenes.NAMES)
            yours = (await you.groups())["groups"]
            assert {each["name"] for each in yours} == {scene.settings["name"] for scene in SCENES}
            assert len((await friend.groups())["groups"]) == len(SCENES)
            await check_conversation(you)
    assert {name: page.status_code for name, page in seen.pages.items()} == {
        "console": 200,
        "share": 200,
        "qr": 200,
    }
    assert scenes.HIKES.settings["name"].split()[0] in seen.pages["share"].text
    assert not entries(tmp_path), "what it has made is gone"


async def check_conversation(you: Client) -> None:
    """Approve who waits, say something, and wait until they have answered."""
    (own,) = [each for each in (await you.groups())["groups"] if each["role"] == "owner"]
    group = own["group"]
    info = await you.info(group)
    assert info["pins"]
    assert info["announcement"]["text"]
    said = [e for e in (await you.history(group, limit=500))["events"] if e["kind"] == "posted"]
    scripted = [step for step in scenes.HIKES.before if isinstance(step, Say)]
    for event, step in zip(said, scripted, strict=False):
        assert (event["text"], "reply_to" in event) == (step.text, bool(step.to))
    events = you.events()
    waiting = (await you.requests(group))["requests"]
    assert "bo" in {each["user"] for each in waiting}
    await you.approve(group, "bo")
    mine = (await you.post(group, text="大家好"))["seq"]
    heard: Counter[str] = Counter()
    async for event in events:
        if isinstance(event, GroupEvent) and event.group == group:
            if event.kind == "posted" and event.user == "bo":
                heard["greeting"] += 1
            if event.kind == "posted" and event.fields.get("reply_to") == mine:
                heard["answer"] += 1
            if event.kind == "reacted" and event.fields["message"] == mine:
                heard["like"] += 1
        if set(heard) == {"greeting", "answer", "like"}:
            return


async def test_what_people_have_really_said_is_said_before_and_after_the_scenes() -> None:
    """As if members had said it: each speaker of a conversation is one of them, not a visitor."""
    talk = [
        [("a", f"{number}: hello"), ("b", f"{number}: hi"), ("a", f"{number}: how are you?")]
        for number in range(8)
    ]
    found: dict[str, list[tuple[str, str]]] = {}
    async with (
        playing(speed=5_000, talk=talk) as addresses,
        groupd.connect(addresses.server, token=token_of(addresses.chat)) as you,
    ):
        events = you.events()
        for row in (await you.groups())["groups"]:
            past = (await you.history(row["group"], limit=500))["events"]
            found[row["name"]] = [
                (each["user"], each["text"]) for each in past if each["kind"] == "posted"
            ]
        later: list[tuple[str, str]] = []
        while len(later) < 12:
            event = await anext(events)
            if isinstance(event, GroupEvent) and ": h" in event.fields.get("text", ""):
                later.append((event.user, event.fields["text"]))
    for number, scene in enumerate(SCENES):
        said = found[str(scene.settings["name"])][:3]
        assert [text for _user, text in said] == [text for _speaker, text in talk[number]]
        (first, second, third) = [user for user, _text in said]
        assert first == third != second
        assert {first, second} <= {*scene.members} - {*stage.VISITORS}
    assert {text for _user, text in later} == {text for lines in talk[4:] for _, text in lines}


async def test_a_directory_with_something_in_it_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "mine").write_text("x")
    with pytest.raises(ConfigError, match="not empty"):
        await demo.run(web=None, data=tmp_path, speed=FAST, tell=lambda addresses: None)


# --- what is said


def test_every_step_is_by_somebody_who_is_in_and_about_something_that_was_said() -> None:
    for scene in SCENES:
        marks: set[str] = set()
        for step in (*scene.before, *scene.live):
            if isinstance(step, Ask):
                assert step.who in scenes.GREETINGS
                assert step.who not in scene.members
                continue
            assert step.who in (scene.owner, *scene.members)
            if isinstance(step, Like | PinUp):
                assert step.mark in marks
            if isinstance(step, Say):
                assert not step.to or step.to in marks
                marks.add(step.mark)


def test_everybody_has_a_name_and_nobody_speaks_for_the_visitors() -> None:
    for scene in SCENES:
        assert {scene.owner, *scene.members} <= scenes.NAMES.keys()
        for step in (*scene.before, *scene.live):
            assert step.who in scenes.NAMES
            if step.who in stage.VISITORS:
                assert isinstance(step, Announce | PinUp)


def test_there_is_something_of_everything_in_both_languages() -> None:
    steps = [step for scene in SCENES for step in (*scene.before, *scene.live)]
    for kind in (Say, Like, Announce, PinUp, Ask):
        assert any(isinstance(step, kind) for step in steps)
    cards = {step.card["type"] for step in steps if isinstance(step, Say) and step.card}
    assert cards >= {"goods", "live", "link", "place", "file"}
    texts = [step.text for step in steps if isinstance(step, Say)]
    assert any(text.isascii() and text for text in texts)
    assert any("\u4e00" <= char <= "\u9fff" for text in texts for char in text)


def test_it_talks_for_some_minutes_and_no_longer() -> None:
    for scene in SCENES:
        assert 60 <= sum(map(stage.pause_s, scene.live)) <= 600


def test_every_address_stands_whole_on_a_line_to_be_copied(
    capsys: pytest.CaptureFixture[str],
) -> None:
    long = "http://127.0.0.1:7480/chat#token=" + "x" * 400
    demo.show(demo.Addresses(long, long + "1", long + "2", long + "3", "tcp://h:1"), Console())
    lines = capsys.readouterr().out.splitlines()
    assert {long, long + "1", long + "2", long + "3"} <= set(lines)


async def test_the_page_to_sign_in_has_a_token_for_each_newcomer() -> None:
    page = demo_door.door(lambda user: f"token-of-{user}")
    answer = await page(HttpRequest("GET", "/demo", headers={"accept-language": "zh"}), "")
    text = answer.body.decode()

    assert 'lang="zh-CN"' in text
    for user, name in scenes.NEWCOMERS.items():
        assert f'<a href="/chat#token=token-of-{user}" class="join">{name}</a>' in text
    assert answer.headers["cache_control"] == "no-store"
    assert (await page(HttpRequest("GET", "/demo/x"), "/x")).status == 404
