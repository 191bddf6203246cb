"""What a server says of itself, and when it says that it is ready."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
import trio
import trio.testing
from joserfc.jwk import OKPKey

from groupd.app import open_store
from groupd.config import AuthConfig, Config, IssuerConfig, MetricsConfig
from groupd.config_file import load_config
from groupd.errors import ConfigError, LogBroken, LogUnavailable
from groupd.server.http import HttpRequest
from groupd.server.metrics import Collector, Text, write_process
from groupd.server.probes import Probes
from groupd.storage.counts import Histogram, RoundCounts
from groupd.storage.log import InlineLog, Log, open_log
from groupd.storage.memory import MemoryStore
from groupd.storage.port import PutPosition
from tests.auth.signing import jwk, jwks
from tests.server.bench import SECRET, Bench, open_bench, settled

ROOT = Path(__file__).parent.parent.parent
Samples = Mapping[str, float]


def parse(text: str) -> Samples:
    """Read the text format strictly; gives each sample by its name and labels."""
    found: dict[str, float] = {}
    family, kinds = "", dict[str, str]()
    assert text.endswith("\n")
    for line in text.splitlines():
        if line.startswith("# HELP "):
            family = line.split()[2]
            assert family not in kinds, f"{family} comes twice"
        elif line.startswith("# TYPE "):
            _hash, _type, name, kind = line.split()
            assert name == family
            kinds[name] = kind
        else:
            match = re.fullmatch(r'([a-z_]+)(\{(?:[a-z]+="[^"\n]*",?)+\})? (\S+)', line)
            assert match, line
            base = re.sub(r"_(bucket|sum|count)$", "", match[1])
            assert family in (match[1], base), line
            assert (kinds[family] == "counter") == family.endswith("_total"), family
            found[match[1] + (match[2] or "")] = float(match[3])
    return found


async def collected(bench: Bench, store_file: Path | None = None) -> Samples:
    return parse(await Collector(bench.server, store_file=store_file).collect())


async def test_what_happens_is_counted(autojump_clock: trio.testing.MockClock) -> None:
    async with open_bench() as bench:
        before = await collected(bench)
        ann, bob = await bench.enter("ann"), await bench.enter("bob")
        bench.connect()
        bench.connect(address="operator")
        group = await bench.found(ann, bob)
        at_work = await collected(bench)
        for number in range(5):
            await ann.ask("post", group=group, text=f"{number}")
        await ann.refusal("post", group="G" * 16, text="nowhere")
        await ann.refusal("no_such_method")
        await settled()
        after = await collected(bench)
    assert before["groupd_posts_total"] == 0
    assert after["groupd_posts_total"] == 5
    assert after["groupd_records_total"] - at_work["groupd_records_total"] == 5
    assert after["groupd_deliveries_total"] - at_work["groupd_deliveries_total"] == 10
    assert after["groupd_delivered_bytes_total"] - at_work["groupd_delivered_bytes_total"] > 500
    assert after['groupd_sessions{kind="user"}'] == 2
    assert after['groupd_sessions{kind="connecting"}'] == 1
    assert after['groupd_sessions{kind="operator"}'] == 1
    assert after["groupd_connections_total"] == 4
    assert after['groupd_refusals_total{code="not_found"}'] == 1
    assert after['groupd_refusals_total{code="unknown_method"}'] == 1
    assert after['groupd_refusals_total{code="internal"}'] == 0
    assert after["groupd_streams_awake"] >= 1
    assert after["groupd_streams_loading"] == 0
    assert after["groupd_streams_quarantined"] == 0
    assert after["groupd_store_up"] == 1
    assert after["groupd_reactor_waiting"] == 0


async def test_who_does_not_read_is_seen(autojump_clock: trio.testing.MockClock) -> None:
    async with open_bench() as bench:
        ann = await bench.enter("ann")
        group = await bench.found(ann)
        slow = bench.connect(capacity=4_000, address="10.0.0.2")
        await slow.hello(bench.token("bob"))
        await slow.ask("join", group=group)
        for _ in range(20):
            await ann.ask("post", group=group, text="x" * 1_000)
        waiting = await collected(bench)
        assert waiting["groupd_backlog_bytes"] > 10_000
        assert waiting["groupd_sessions_stalled"] == 1
        assert waiting["groupd_sessions_lagged"] == 0
        for _ in range(300):
            await ann.ask("post", group=group, text="x" * 1_000)
            await trio.sleep(0.1)
        assert (await collected(bench))["groupd_sessions_lagged"] == 1


async def test_a_connection_that_is_turned_away_is_counted(
    autojump_clock: trio.testing.MockClock,
) -> None:
    async with open_bench(limits={"connections_max": 1}) as bench:
        await bench.enter("ann")
        bench.connect()
        await settled()
        after = await collected(bench)
    assert after["groupd_connections_refused_total"] == 1
    assert after["groupd_sessions_max"] == 1


async def test_rounds_of_writes_are_counted_with_the_time_they_took(tmp_path: Path) -> None:
    async with open_log(lambda: open_store(tmp_path), threaded=True) as log:
        for number in range(3):
            await log.write(PutPosition("reactor", number))
        assert sum(log.counts.writes.counts) == sum(log.counts.commit_s.counts) == 3
        assert log.counts.writes.sum == 3
        assert 0 < log.counts.commit_s.sum < 60


def test_a_histogram_is_written_as_sums_up_to_each_bound() -> None:
    histogram = Histogram((1, 2.5))
    for value in (0.5, 1, 2, 3, 3):
        histogram.add(value)
    text = Text()
    text.histogram("some_seconds", "Some.", histogram)
    assert parse(str(text)) == {
        'some_seconds_bucket{le="1"}': 2,
        'some_seconds_bucket{le="2.5"}': 3,
        'some_seconds_bucket{le="+Inf"}': 5,
        "some_seconds_sum": 9.5,
        "some_seconds_count": 5,
    }


def test_a_label_cannot_break_out_of_its_quotes() -> None:
    text = Text()
    text.gauge("a", "b", 1, {"c": 'x"\n\\'})
    assert str(text).splitlines()[-1] == 'a{c="x\\"\\n\\\\"} 1'


def test_the_process_is_described_under_the_usual_names() -> None:
    text = Text()
    write_process(text)
    found = parse(str(text))
    assert found["process_resident_memory_bytes"] > 10_000_000
    assert 0 < found["process_open_fds"] <= found.get("process_max_fds", 1e9)
    assert found["process_cpu_seconds_total"] > 0


async def publish(url: str) -> bytes:
    return jwks(jwk(OKPKey.generate_key("Ed25519"), kid="one"))


async def test_published_keys_are_counted_and_have_an_age(
    autojump_clock: trio.testing.MockClock,
) -> None:
    answers = [b"not a set", await publish("")]

    async def fetch(url: str) -> bytes:
        return answers.pop()

    issuer = IssuerConfig(issuer="shop", jwks_url="https://shop.example/keys")
    auth = AuthConfig(secret=SECRET, issuers=(issuer,), jwks_refresh_s=100)
    async with open_bench(auth=auth, fetch=fetch) as bench:
        collector = Collector(bench.server, store_file=None, key_rings=bench.rings)
        await trio.sleep(101)
        found = parse(await collector.collect())
        assert found['groupd_jwks_keys{issuer="shop"}'] == 1
        assert found['groupd_jwks_age_seconds{issuer="shop"}'] == 101
        assert found['groupd_jwks_failures{issuer="shop"}'] == 1


async def test_every_metric_is_documented_and_every_documented_one_exists(
    autojump_clock: trio.testing.MockClock, tmp_path: Path
) -> None:
    publishing = AuthConfig(secret=SECRET, jwks_url="https://shop.example/keys")
    async with open_bench(auth=publishing, fetch=publish) as bench:
        await trio.testing.wait_all_tasks_blocked()
        collector = Collector(bench.server, store_file=tmp_path / "s", key_rings=bench.rings)
        text = await collector.collect()
    names = set(re.findall(r"^# TYPE (\w+)", text, re.MULTILINE))
    page = (ROOT / "docs" / "operations.md").read_text()
    assert set(re.findall(r"^\| `((?:groupd|process)_\w+)", page, re.MULTILINE)) == names


# --- probes


class StuckLog(Log):
    """A store that does not answer, or refuses."""

    def __init__(self, error: BaseException | None = None) -> None:
        self.id, self.counts, self._error = "s", RoundCounts(), error

    def begin(self, write: Any, done: Any) -> None:
        raise AssertionError

    async def read(self, query: Any) -> Any:
        if self._error is not None:
            raise self._error
        await trio.sleep_forever()


async def probe(log: Log, path: str, *, is_stopping: bool = False, method: str = "GET") -> Any:
    async def collect() -> str:
        return "metrics\n"

    probes = Probes(log, is_stopping=lambda: is_stopping, collect=collect)
    return await probes.handle(HttpRequest(method, path))


async def test_it_is_ready_when_the_store_answers_and_it_is_not_draining(
    autojump_clock: trio.testing.MockClock,
) -> None:
    log = InlineLog(MemoryStore("s"))
    got = await probe(log, "/readyz")
    assert (got.status, got.body) == (200, b"ready\n")
    got = await probe(log, "/readyz", is_stopping=True)
    assert (got.status, got.body) == (503, b"draining\n")
    got = await probe(StuckLog(), "/readyz")
    assert (got.status, got.body) == (503, b"the store has not answered within 1 s\n")
    assert trio.current_time() == pytest.approx(1, abs=0.1)
    for error in (LogUnavailable("closed"), LogBroken("gone")):
        got = await probe(StuckLog(error), "/readyz")
        assert got.status == 503
        assert got.body.startswith(b"the store refuses: ")


async def test_it_is_healthy_as_long_as_it_answers() -> None:
    for log in (InlineLog(MemoryStore("s")), StuckLog()):
        assert (await probe(log, "/healthz", is_stopping=True)).status == 200


async def test_other_paths_and_methods_are_refused() -> None:
    log = InlineLog(MemoryStore("s"))
    assert (await probe(log, "/")).status == 404
    refused = await probe(log, "/metrics", method="POST")
    assert (refused.status, refused.headers) == (405, {"allow": "GET, HEAD"})
    got = await probe(log, "/metrics")
    assert got.content_type.startswith("text/plain; version=0.0.4")


async def test_metrics_come_also_while_the_store_hangs(
    autojump_clock: trio.testing.MockClock,
) -> None:
    async with open_bench() as bench:
        bench.hub.log = StuckLog()
        found = await collected(bench)
    assert found["groupd_store_up"] == 0
    assert "groupd_reactor_waiting" not in found


# --- the setting


def test_there_are_no_metrics_unless_they_are_asked_for() -> None:
    assert Config().metrics.listen is None
    config = load_config(None, {"GROUPD_METRICS__LISTEN": "http://127.0.0.1:7401"}, {})
    assert config.metrics.listen == "http://127.0.0.1:7401"


@pytest.mark.parametrize(
    "url", ["127.0.0.1:7401", "tcp://127.0.0.1:7401", "http://x", "http://x:y", "http://x:1/path"]
)
def test_a_metrics_url_that_is_none_is_named(url: str) -> None:
    with pytest.raises(ConfigError, match="http://HOST:PORT"):
        MetricsConfig(listen=url)
