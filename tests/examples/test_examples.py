"""The examples do what they say, against a real server in a process of its own."""

from __future__ import annotations

import asyncio
import importlib.util
import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from urllib.parse import urlsplit

import attrs
import pytest
import trio

import groupd
from groupd.app import make_token
from groupd.client import EventStream, aio
from groupd.domain.base import Identity

EXAMPLES = Path(__file__).parent.parent.parent / "examples"
PATIENCE_S = 60


@attrs.frozen
class Server:
    """A server, its URL, and where it keeps its data."""

    url: str
    data: Path

    def token(self, user: str) -> str:
        """Issue a token as the host application would."""
        config = groupd.Config(data=str(self.data))
        return make_token(config, Identity(user, name=user), expires_in_ms=3_600_000)


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """Run a server on a free port."""
    data = tmp_path_factory.mktemp("examples") / "data"
    command = [Path(sys.executable).with_name("groupd"), "serve", "--data", data]
    process = subprocess.Popen(
        [*map(str, command), "--listen", "tcp://127.0.0.1:0"], stderr=subprocess.PIPE
    )
    assert process.stderr is not None
    try:
        for line in process.stderr:
            if b'"serving"' in line:
                yield Server(json.loads(line)["urls"][0], data)
                break
    finally:
        process.terminate()
        process.communicate(timeout=PATIENCE_S)


def run(example: str, *arguments: str) -> str:
    """Run an example to its end and give what it printed."""
    done = subprocess.run(
        [sys.executable, str(EXAMPLES / example), *arguments],
        capture_output=True,
        text=True,
        timeout=PATIENCE_S,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def test_the_raw_client_has_40_lines_and_does_all_that_a_user_first_tries(server: Server) -> None:
    assert len((EXAMPLES / "raw_client.py").read_text().splitlines()) <= 40
    where = urlsplit(server.url)
    said = run(
        "raw_client.py",
        str(where.hostname),
        str(where.port),
        server.token("rawa"),
        server.token("rawb"),
    )
    kinds = [line.split()[1] for line in said.splitlines() if line[0].isdigit()]
    assert kinds == ["created", "joined", "link_made", "joined", "posted", "announced", "pinned"]
    assert "你好" in said


def test_the_embedded_hub_keeps_its_groups_in_a_directory(tmp_path: Path) -> None:
    data = str(tmp_path / "hub")
    first = run("embed_hub.py", data)
    assert "5 announced" in first
    assert "quota_exceeded" in first
    # The `ref` of the class is known the second time, so it is the same group, and its log goes on.
    assert "7 announced" in run("embed_hub.py", data)


def load(example: str) -> ModuleType:
    """Import an example: they stand beside each other, not in a package."""
    spec = importlib.util.spec_from_file_location(example, EXAMPLES / f"{example}.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_the_bot_welcomes_and_answers(server: Server) -> None:
    bot = load("bot")

    async def main() -> list[str]:
        async with groupd.connect(server.url, token=server.token("host")) as host:
            made = await host.create("Games")
            code = (await host.share_link(made["group"]))["code"]
            heard = []
            async with trio.open_nursery() as nursery:
                events = host.events()
                nursery.start_soon(bot.main, server.url, server.token("dice"), code, 2)
                async for event in events:
                    if not isinstance(event, groupd.client.GroupEvent):
                        continue
                    if event.kind == "joined" and event.user == "dice":
                        await host.post(made["group"], text="!dice")
                        await host.post(made["group"], text="!help")
                    elif event.kind == "posted" and event.user == "dice":
                        heard.append(event.fields["text"])
                        if len(heard) == 2:
                            break
            return heard

    rolled, helped = trio.run(main)
    assert rolled.startswith("You rolled ")
    assert "!seen" in helped


def test_the_moderator_decides_by_its_rules(
    server: Server, capsys: pytest.CaptureFixture[str]
) -> None:
    moderator = load("moderator")

    async def main() -> None:
        async with (
            groupd.connect(server.url, token=server.token("keeper")) as owner,
            groupd.connect(server.url, token=server.token("ann")) as ann,
            groupd.connect(server.url, token=server.token("bob")) as bob,
        ):
            made = await owner.create("Quiet", join_policy="approval", members=["guard"])
            group = made["group"]
            await owner.set_role(group, "guard", role="admin")
            # One has asked before the moderator came.
            await ann.join(group, message="I am fond of silence")
            heard = ann.events()
            async with trio.open_nursery() as nursery:
                nursery.start_soon(moderator.main, server.url, server.token("guard"), "casino", 4)
                await kind(heard, "joined")
                await bob.join(group, message="hi")
                await ann.post(group, "Come to my CASINO")
                await kind(heard, "muted")
                with pytest.raises(groupd.Rejected, match="muted"):
                    await ann.post(group, "sorry")
                await owner.post(group, "casino is a word that I may use")
            events = (await ann.history(group))["events"]
            assert [event["user"] for event in events if event["kind"] == "erased"] == ["ann"]

    trio.run(main)
    said = capsys.readouterr().out
    for line in ("approved ann", "declined bob", "muted ann", "keeper said it, but "):
        assert line in said


async def kind(stream: EventStream, wanted: str) -> None:
    """Read on to an event of a group of that kind."""
    async for event in stream:
        if isinstance(event, groupd.client.GroupEvent) and event.kind == wanted:
            return


def test_the_shop_counts_likes_and_comments(
    server: Server, capsys: pytest.CaptureFixture[str]
) -> None:
    shop = load("shop")

    async def main() -> None:
        async with (
            groupd.connect(server.url, token=server.token("shop")) as owner,
            groupd.connect(server.url, token=server.token("customer")) as customer,
        ):
            group = (await owner.create("Shop", ref="tea-shop"))["group"]
            seqs = [await shop.show(owner, group, goods) for goods in shop.GOODS]
            code = (await owner.share_link(group, channel="poster"))["code"]
            await customer.join(code=code)
            for _ in range(2):  # A like is one per user.
                await customer.react(group, seqs[0], reaction="like")
            await customer.post(group, "Is it fresh?", reply_to=seqs[0])
            await owner.post(group, "Of this spring", reply_to=seqs[0])
            assert [row[1:] for row in await shop.count(owner, group, seqs)] == [(1, 2), (0, 0)]

    trio.run(main)
    assert "came by the poster: 1" in capsys.readouterr().out
    # Run as it is meant to be, it finds its group again.
    said = run("shop.py", "--server", server.url, "--token", server.token("shop"), "--wait", "0")
    assert "customers type: /join " in said
    assert said.count("0 likes, 0 comments") == 2
    assert "came by the poster: 1" in said


def test_the_notice_is_said_once_a_day_in_each_group(server: Server) -> None:
    async def groups() -> list[str]:
        async with groupd.connect(server.url, token=server.token("baker")) as baker:
            return [(await baker.create(name))["group"] for name in ("Bread", "Cake")]

    async def said(group: str) -> list[str]:
        async with groupd.connect(server.url, token=server.token("baker")) as baker:
            events = (await baker.history(group))["events"]
            return [event["text"] for event in events if event["kind"] == "posted"]

    made = trio.run(groups)
    arguments = ["--server", server.url, "--token", server.token("baker"), "Closed on Monday"]
    # Twice, as when the first run was killed and nobody knows how far it had come.
    first, second = run("notice.py", *arguments), run("notice.py", *arguments)
    assert first == second
    for group in made:
        assert group in first
        assert trio.run(said, group) == ["Closed on Monday"]


def test_the_digest_counts_what_is_said(server: Server, capsys: pytest.CaptureFixture[str]) -> None:
    digest = load("digest")

    async def main() -> str:
        async with aio.connect(server.url, token=server.token("reader")) as reader:
            group = (await reader.create("News"))["group"]
            task = asyncio.create_task(
                digest.main(server.url, server.token("reader"), every_s=0.5, digests=1)
            )
            said = ""
            while "is listening" not in said:
                await asyncio.sleep(0.01)
                said += capsys.readouterr().out
            for text in ("one", "two", "three"):
                await reader.post(group, text)
            await task
            return group

    group = asyncio.run(main())
    assert f"reader in {group}: 3" in capsys.readouterr().out


def test_a_replay_of_real_conversations_reaches_everybody_exactly(server: Server) -> None:
    pytest.importorskip("chitchat_dataset", reason="the package chitchat-dataset is not installed")
    options = ["--messages", "60", "--members", "8", "--server", server.url]
    said = run("replay.py", *options, "--data", str(server.data))
    assert "Every member holds exactly the group's log." in said
