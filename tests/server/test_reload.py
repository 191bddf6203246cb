"""What a running server takes over from a new configuration, with everybody staying connected."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import attrs
import pytest
from structlog.testing import capture_logs
from trio.testing import MockClock

from groupd.auth import KeyRings, TokenVerifier, issue_token
from groupd.config import PLANS, AuthConfig, Config, Limits, Plan, TlsConfig
from groupd.domain.base import Identity
from groupd.domain.word_list import WordList
from groupd.errors import ConfigError
from groupd.server.certificates import client_context, server_context
from groupd.server.reload import RELOADED, Credentials, Reloader, differences, merge
from groupd.server.tls import HandshakeFailed, secure
from groupd.testing.links import link_pair
from tests.certificates import HOSTS, authority, make_certificate
from tests.e2e.raw import RawClient
from tests.server.bench import SECRET, Bench, open_bench, settled
from tests.server.headers import tcp

OTHER_SECRET = "another secret for tests, long enough"
RUNNING = Config(auth=AuthConfig(secret=SECRET))


@pytest.fixture
def logged() -> Iterator[list[Any]]:
    with capture_logs() as lines:
        yield lines


async def load(config: Config) -> Credentials:
    verifier = TokenVerifier(config.auth, token_max_bytes=4_096, default_plan=config.default_plan)
    return Credentials(verify=verifier.verify)


def reloader(bench: Bench, written: Callable[[], Config], running: Config = RUNNING) -> Reloader:
    async def read() -> Config:
        return written()

    return Reloader(bench.server, running, KeyRings(), read=read, load=load)


async def reloaded(bench: Bench, **changes: Any) -> bool:
    return await reloader(bench, lambda: attrs.evolve(RUNNING, **changes)).reload()


# --- what reaches whom


async def test_a_plan_holds_for_the_next_decision_of_who_is_in_already(
    autojump_clock: MockClock,
) -> None:
    async with open_bench() as bench:
        ann, bob = await bench.enter("ann"), await bench.enter("bob")
        group = await bench.found(ann, bob)
        plans = {**PLANS, "ordinary": Plan(members_max=2, groups_owned_max=1)}
        assert await reloaded(bench, plans=plans)
        eve = await bench.enter("eve")
        assert (await eve.refusal("join", group=group)).code == "group_full"
        assert (await ann.refusal("create", name="Two")).code == "quota_exceeded"
        # Nobody was disconnected, and nobody is removed.
        assert (await ann.ask("post", group=group, text="still here"))["seq"]
        assert await bob.event("posted")
        assert await reloaded(bench)
        assert (await eve.ask("join", group=group))["status"] == "joined"


async def test_a_new_plan_can_be_used_and_one_that_is_gone_is_the_default(
    autojump_clock: MockClock,
) -> None:
    async with open_bench() as bench:
        newcomer = bench.connect()
        token = bench.token("ann", plan="school")
        assert (await newcomer.refusal("hello", token=token)).code == "bad_request"
        assert await reloaded(bench, plans={**PLANS, "school": Plan(groups_owned_max=9)})
        await newcomer.hello(token)
        assert await reloaded(bench)
        for number in range(4):
            await newcomer.ask("create", name=f"Group {number}")
        assert (await newcomer.refusal("create", name="Five")).code == "quota_exceeded"


async def test_categories_are_those_that_are_written_now(autojump_clock: MockClock) -> None:
    async with open_bench() as bench:
        ann = await bench.enter("ann")
        assert await reloaded(bench, categories=("tea",))
        assert (await ann.refusal("create", name="x", category="cars")).code == "bad_request"
        assert (await ann.ask("create", name="x", category="tea"))["group"]
        assert (await bench.connect().hello(bench.token("bob")))["categories"] == ["tea"]


async def test_a_key_is_believed_from_the_next_hello_on(autojump_clock: MockClock) -> None:
    async with open_bench() as bench:
        ann = await bench.enter("ann")
        assert await reloaded(bench, auth=AuthConfig(secret=OTHER_SECRET))
        assert await ann.ask("ping")
        assert (await bench.connect().refusal("hello", token=bench.token("bob"))).code == (
            "unauthenticated"
        )
        token = issue_token(
            OTHER_SECRET,
            Identity(user="bob", plan=""),
            now_ms=bench.ports.clock.now_ms(),
            expires_in_ms=60_000,
            audience="groupd",
        )
        assert (await bench.connect().hello(token))["user"] == "bob"


async def test_a_trusted_proxy_is_one_from_its_next_connection_on(
    autojump_clock: MockClock,
) -> None:
    async with open_bench() as bench:
        assert await reloaded(bench, trusted_proxies=("10.0.0.9",))
        theirs, ours = link_pair(peers=("10.0.0.9", "server"))
        bench.server.meet(ours)
        theirs.try_send(tcp("203.0.113.7"))
        client = RawClient(theirs)
        await client.hello(bench.token("ann"))
        assert bench.server._addresses == {"203.0.113.7": 1}
        await client.close()


async def test_the_next_handshake_shows_the_new_certificate_and_the_last_one_stands(
    autojump_clock: MockClock, tmp_path: Path
) -> None:
    files = []
    for name in ("old", "new"):
        (tmp_path / name).mkdir()
        files.append(make_certificate(tmp_path / name))
    old, new = (client_context(authority(each)) for each in files)
    config = attrs.evolve(RUNNING, tls=files[0], listen=("tls://127.0.0.1:1",))

    async def load_both(merged: Config) -> Credentials:
        return attrs.evolve(await load(merged), tls=server_context(merged.tls))

    async def read() -> Config:
        return attrs.evolve(config, tls=files[1])

    async with open_bench() as bench:
        server = bench.server
        server.take_over(config, verify=server.services.verify, tls=server_context(config.tls))

        async def entered(context: Any) -> RawClient:
            theirs, ours = link_pair(peers=("10.0.0.1", "server"))
            assert server.tls is not None
            server.meet(ours, server.tls)
            client = RawClient(await secure(theirs, context, host=HOSTS[0]))
            bench.clients.append(client)
            await client.hello(bench.token("ann"))
            return client

        first = await entered(old)
        assert await Reloader(server, config, KeyRings(), read=read, load=load_both).reload()
        assert await first.ask("ping")
        with pytest.raises(HandshakeFailed):
            await entered(old)
        assert await (await entered(new)).ask("ping")


async def test_a_word_is_refused_from_the_next_decision_on_and_the_rest_stands(
    autojump_clock: MockClock, logged: list[Any]
) -> None:
    async with open_bench() as bench:
        ann, bob = await bench.enter("ann"), await bench.enter("bob")
        group = await bench.found(ann, bob)
        listed = [WordList.of(["casino"]), WordList.of(["casino"]), None]

        async def load_words(config: Config) -> Credentials:
            return attrs.evolve(await load(config), words=listed.pop(0))

        async def read() -> Config:
            return RUNNING

        reloads = Reloader(bench.server, RUNNING, KeyRings(), read=read, load=load_words)
        said = await ann.ask("post", group=group, text="casino")
        assert await reloads.reload()
        refusal = await ann.refusal("post", group=group, text="To the CA SI NO, ca-si-no!")
        assert (refusal.code, refusal.details["reason"]) == ("forbidden", "words")
        page = await bob.ask("history", group=group, after=said["seq"] - 1)
        assert [event["text"] for event in page["events"]] == ["casino"]
        assert await reloads.reload()
        assert await reloads.reload()
        assert (await ann.ask("post", group=group, text="casino"))["seq"] == said["seq"] + 1
        changes = [line["changed"] for line in logged if line["event"] == "reloaded"]
        assert changes == [["words.files"], [], ["words.files"]]
        assert "casino" not in str(logged)


# --- what is wrong, and what is left out


async def test_a_configuration_that_is_wrong_changes_nothing_and_says_why_once(
    autojump_clock: MockClock, logged: list[Any]
) -> None:
    async with open_bench() as bench:
        ann = await bench.enter("ann")
        before = bench.server.services.verify, bench.hub.rules

        def refused() -> Config:
            raise ConfigError("groupd.toml: expected int @ $.plans.ordinary.members_max, got x")

        assert not await reloader(bench, refused).reload()
        # The plans are in order, and are not taken over without the rest.
        plans = {**PLANS, "ordinary": Plan(members_max=1)}
        assert not await reloaded(bench, plans=plans, auth=AuthConfig(secret="short"))
        assert (bench.server.services.verify, bench.hub.rules) == before
        assert await ann.ask("ping")
        lines = [line for line in logged if line["event"].startswith("reload")]
        assert [line["event"] for line in lines] == ["reload_refused"] * 2
        assert [line["log_level"] for line in lines] == ["error"] * 2
        assert "members_max" in lines[0]["reason"]
        assert "auth.secret" in lines[1]["reason"]
        assert SECRET not in str(lines)


@pytest.mark.parametrize(
    "error",
    [
        PermissionError(13, "Permission denied"),
        UnicodeDecodeError("utf-8", b"\xff", 0, 1, "invalid start byte"),
    ],
)
async def test_a_file_that_cannot_be_read_ends_nothing(
    autojump_clock: MockClock, logged: list[Any], error: Exception
) -> None:
    async with open_bench() as bench:

        def unreadable() -> Config:
            raise error

        assert not await reloader(bench, unreadable).reload()
        assert [line["event"] for line in logged if "reload" in line["event"]] == ["reload_refused"]


async def test_what_cannot_be_taken_over_is_named_and_the_rest_is(
    autojump_clock: MockClock, logged: list[Any]
) -> None:
    # As where the process may open fewer files than were asked for.
    async with open_bench(limits={"connections_max": 50}) as bench:
        limits = bench.hub.rules.limits
        assert await reloaded(
            bench,
            listen=("tcp://127.0.0.1:1",),
            data="elsewhere",
            limits=Limits(rate_per_s=7),
            categories=("tea",),
            plans={**PLANS, "school": Plan()},
        )
        (done,) = [line for line in logged if line["event"] == "reloaded"]
        assert done["changed"] == ["categories", "plans.school"]
        (warning,) = [line for line in logged if line["event"] == "reload_left_out"]
        assert warning["log_level"] == "warning"
        assert warning["settings"] == ["data", "limits.rate_per_s", "listen"]
        assert bench.hub.rules.limits == limits
        assert bench.hub.rules.categories == ("tea",)


async def test_a_second_reload_says_what_has_changed_since_the_first(
    autojump_clock: MockClock, logged: list[Any]
) -> None:
    async with open_bench() as bench:
        written = [("tea",), ("tea",), ()]
        reloads = reloader(bench, lambda: attrs.evolve(RUNNING, categories=written.pop(0)))
        for _ in range(3):
            assert await reloads.reload()
        changes = [line["changed"] for line in logged if line["event"] == "reloaded"]
        assert changes == [["categories"], [], ["categories"]]


def test_a_listener_that_goes_on_keeps_its_certificate() -> None:
    running = Config(listen=("tls://127.0.0.1:1",), tls=TlsConfig(certificate="c", key="k"))
    with pytest.raises(ConfigError, match="tls"):
        merge(running, Config())


def test_every_setting_is_either_taken_over_or_left_out() -> None:
    names = {field.name for field in attrs.fields(Config)}
    assert set(RELOADED) <= names
    changed = Config(
        listen=("tcp://127.0.0.1:1",),
        data="elsewhere",
        memory=True,
        rate_limits=False,
        log_level="debug",
        limits=Limits(rate_per_s=7),
    )
    left_out = {name.partition(".")[0] for name in differences(Config(), changed)}
    # Those that are not tried here have listeners, or tasks, of their own.
    assert set(RELOADED) | left_out | {"metrics", "host", "web", "webhooks"} == names
    assert differences(merge(Config(), changed), changed) == differences(Config(), changed)


async def test_reloading_while_they_come_and_go_loses_nobody(autojump_clock: MockClock) -> None:
    async with open_bench(delay=lambda: 3) as bench:
        ann = await bench.enter("ann")
        group = await bench.found(ann)
        reloads = reloader(bench, lambda: attrs.evolve(RUNNING, categories=("tea",)))
        for number in range(20):
            bench.nursery.start_soon(reloads.reload)
            await ann.ask("post", group=group, text=str(number))
        await settled()
        page = await ann.ask("history", group=group, limit=500)
        texts = [event["text"] for event in page["events"] if event["kind"] == "posted"]
        assert texts == [str(number) for number in range(20)]
