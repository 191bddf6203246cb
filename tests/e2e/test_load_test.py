"""``groupd bench`` against a real server over loopback, for a second or two."""

from __future__ import annotations

import os
import signal
from pathlib import Path
from typing import Any

import orjson
import trio

from tests.certificates import authority, make_certificate
from tests.e2e.process import PATIENCE_S, Done, Groupd, Process
from tests.test_load_testing import COMMANDS, words_of

MEMBERS = 20


async def tokens_file(groupd: Groupd, server: Process, count: int = MEMBERS) -> Path:
    done = await groupd.run("tokens", "make", "--count", str(count), "--data", server.data)
    assert done.returncode == 0, done.stderr
    path = groupd.directory / "tokens"
    path.write_text(done.stdout)
    return path


def options(server: Process, tokens: Path, **more: str) -> list[str]:
    given = {"target": server.url, "tokens": str(tokens), "rate": "50", "for": "2s", **more}
    return ["bench", *(word for name, value in given.items() for word in (f"--{name}", value))]


async def bench(groupd: Groupd, server: Process, tokens: Path, **more: str) -> Done:
    return await groupd.run(*options(server, tokens, **more))


async def groups_of(server: Process, user: str) -> list[dict[str, Any]]:
    async with server.enter(user) as client:
        return list((await client.ask("groups"))["groups"])


async def test_a_small_run_is_correct_and_leaves_nothing(groupd: Groupd) -> None:
    async with groupd.serving(None, "--memory") as server:
        tokens = await tokens_file(groupd, server)
        result, drawing = groupd.directory / "result.json", groupd.directory / "latency.svg"
        done = await bench(groupd, server, tokens, groups="2", json=str(result), svg=str(drawing))
        assert done.returncode == 0, done.stdout + done.stderr
        assert "correct: each of 100 acknowledged posts reached each of 10 members" in done.stdout
        assert "Traceback" not in done.stderr
        plain = orjson.loads(result.read_bytes())
        assert plain["correct"] is True
        assert plain["counts"]["acknowledged"] == 100
        assert plain["counts"]["delivered"] == 1_000
        assert plain["delivery_us"]["corrected"]["count"] == 1_000
        assert drawing.read_text().startswith("<svg")
        assert await groups_of(server, "bench-1") == []
        assert server.complaints() == []


async def test_a_group_that_is_there_is_joined_and_left(groupd: Groupd) -> None:
    async with groupd.serving(None, "--memory") as server, server.enter("ann") as ann:
        group = (await ann.ask("create", name="Tea"))["group"]
        tokens = await tokens_file(groupd, server, 5)
        done = await bench(groupd, server, tokens, group=group)
        assert done.returncode == 0, done.stdout + done.stderr
        assert "reached each of 5 members" in done.stdout
        members = (await ann.ask("members", group=group))["members"]
        assert [each["user"] for each in members] == ["ann"]


async def test_over_tls_with_chance_arrivals(groupd: Groupd) -> None:
    files = make_certificate(groupd.directory)
    tls = ["--tls-cert", str(files.certificate), "--tls-key", str(files.key)]
    listen = ["--listen", "tls://127.0.0.1:0"]
    async with groupd.serving(None, "--memory", *tls, *listen) as server:
        (serving,) = [entry for entry in server.log() if entry["event"] == "serving"]
        server.url = next(url for url in serving["urls"] if url.startswith("tls://"))
        tokens = await tokens_file(groupd, server, 5)
        done = await bench(groupd, server, tokens, ca=str(authority(files)), arrivals="poisson")
        assert done.returncode == 0, done.stdout + done.stderr
        untrusted = await bench(groupd, server, tokens)
        assert untrusted.returncode == 1
        assert untrusted.stderr.count("\n") == 1


async def test_rate_limits_are_met_and_named(groupd: Groupd) -> None:
    config = groupd.directory / "slow.toml"
    config.write_text("[limits]\nrate_per_s = 5\nrate_burst = 20\n")
    async with groupd.serving(None, "--memory", "--config", str(config)) as server:
        tokens = await tokens_file(groupd, server, 2)
        done = await bench(groupd, server, tokens)
        assert "were refused as rate_limited" in done.stdout
        assert "groupd serve --no-rate-limits" in done.stdout
        # What was acknowledged has arrived all the same.
        assert done.returncode == 0, done.stdout


async def test_ctrl_c_ends_it_early_with_a_report(groupd: Groupd) -> None:
    async with groupd.serving(None, "--memory") as server:
        tokens = await tokens_file(groupd, server, 4)
        out, err = groupd.directory / "out", groupd.directory / "err"
        words = options(server, tokens, **{"for": "10m"})
        launcher = groupd._launcher
        pid = launcher.start(*words, cwd=groupd.directory, out=out, err=err)
        async with server.enter("bench-1", events=True) as client:
            with trio.fail_after(PATIENCE_S):
                await client.event("posted")
        os.kill(pid, signal.SIGINT)
        assert await launcher.ended(pid) == 0, out.read_text() + err.read_text()
        assert "stopped after" in out.read_text()
        assert "correct: each of" in out.read_text()
        assert await groups_of(server, "bench-1") == []


async def test_what_cannot_begin_is_one_line(groupd: Groupd) -> None:
    async with groupd.serving(None, "--memory") as server:
        tokens = await tokens_file(groupd, server, 3)
        lines = tokens.read_text().splitlines()
        tokens.write_text("\n".join([*lines[:2], f"{lines[2][:-4]}AAAA"]))
        done = await bench(groupd, server, tokens)
        assert (done.returncode, done.stderr.count("\n")) == (1, 1)
        assert "the token of line 3 is refused" in done.stderr
        assert await groups_of(server, "bench-1") == []
    gone = await bench(groupd, server, tokens)
    assert (gone.returncode, gone.stderr.count("\n")) == (1, 1)
    assert "nobody answers there" in gone.stderr
    wrong = await groupd.run("bench", "--target", "tcp://127.0.0.1:1")
    assert wrong.returncode == 2


async def test_the_first_run_of_the_guide_works(groupd: Groupd) -> None:
    serve, make, load = COMMANDS[:3]
    options = words_of(serve)[1:]
    async with groupd.serving(None, "--memory", *options) as server:
        made = await groupd.run(*words_of(make), "--data", server.data)
        assert made.stdout.count("\n") == 200
        (groupd.directory / make.partition("> ")[2]).write_text(made.stdout)
        done = await groupd.run(
            *words_of(load.replace("tcp://127.0.0.1:7400", server.url).replace("30s", "1s"))
        )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "correct: each of 50 acknowledged posts reached each of 200 members" in done.stdout
