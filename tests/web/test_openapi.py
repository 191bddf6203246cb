"""The description of the host API is one that tools understand, and the server keeps to it."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Final

import pytest
import trio

from groupd.domain.catalog import REQUESTS
from groupd.web import openapi
from groupd.web.own import OWN
from tests.e2e.process import Groupd
from tests.web.rig import open_backend

SCHEMATHESIS: Final = Path(sys.executable).with_name("schemathesis")
CHECKS: Final = "not_a_server_error,response_schema_conformance,content_type_conformance"
EXAMPLES: Final = 1
TAKES_MAX_S: Final = 240


def test_it_has_every_method_but_those_of_others() -> None:
    paths = openapi.as_plain()["paths"]
    methods = {name for name, cls in REQUESTS.items() if not cls.operator} - {"hello"}
    assert {path.removeprefix("/v1/") for path in paths} == methods | OWN.keys()


def test_every_reference_leads_somewhere() -> None:
    plain = openapi.as_plain()
    text = json.dumps(plain)
    names = {part.partition('"')[0] for part in text.split('"#/components/schemas/')[1:]}
    assert names <= plain["components"]["schemas"].keys()


async def test_it_is_served_to_everybody() -> None:
    async with open_backend() as shop:
        answer = await shop.request("GET", "/v1/openapi.json")
        assert answer.status == 200
        assert answer.body == json.loads(openapi.document())


@pytest.mark.skipif(not SCHEMATHESIS.exists(), reason="schemathesis is not installed")
async def test_no_call_that_it_describes_breaks_the_server_or_the_description(
    groupd: Groupd,
) -> None:
    host_api = ("--host-api", "http://127.0.0.1:0")
    async with groupd.serving(None, "--no-rate-limits", *host_api) as server:
        url = next(entry["host"] for entry in server.log() if entry["event"] == "serving")
        made = await groupd.run("key", "make", "fuzz", "--data", str(server.data))
        key = made.stdout.strip()
        await trio.sleep(1)  # The server looks at the file twice a second.
        command = [
            *(str(SCHEMATHESIS), "run", f"{url}/v1/openapi.json", "--checks", CHECKS),
            *("--header", f"Authorization: Bearer {key}", "--phases", "coverage"),
            *("--max-examples", str(EXAMPLES), "--generation-deterministic", "--no-color"),
            # It waits where nothing is new, for as long as it is asked to: see test_feed.py.
            *("--exclude-path", "/v1/changes"),
        ]
        with trio.fail_after(TAKES_MAX_S):
            done = await trio.run_process(
                command,
                check=False,
                capture_stdout=True,
                stderr=subprocess.STDOUT,
                cwd=groupd.directory,
            )
        shown = done.stdout.decode()
        assert done.returncode == 0, shown[-4_000:]
        assert " passed" in shown
        assert not server.complaints()


@pytest.mark.skipif(shutil.which("curl") is None, reason="curl is not installed")
async def test_a_shell_script_with_curl_alone_drives_a_shop_and_is_told_of_each_reply(
    groupd: Groupd,
) -> None:
    async with groupd.serving(None, "--host-api", "http://127.0.0.1:0") as server:
        url = next(entry["host"] for entry in server.log() if entry["event"] == "serving")
        made = await groupd.run("key", "make", "shop", "--data", str(server.data))
        await trio.sleep(1)
        script = Path(__file__).parent.parent.parent / "examples" / "shop.sh"
        done = await trio.run_process(
            ["bash", str(script), url, made.stdout.strip()],
            check=False,
            capture_stdout=True,
            stderr=subprocess.STDOUT,
        )
        shown = done.stdout.decode()
        assert done.returncode == 0, shown
        said = shown.splitlines()
        assert "200 customers joined" in said
        assert "the order card is there" in said
        (heard,) = [line for line in said if "replies were heard" in line]
        assert heard.startswith("30 replies were heard, ")
        assert " 0 of them again" not in heard, "it was killed between doing and saying so"
        assert "customer13 is out" in said
        # The card is the system's; each customer's joining is invited, and some accepted.
        assert "the audit has 1 of create" in said
        assert "the audit has 31 of post" in said
        assert "the audit has 1 of ban" in said
        assert not server.complaints()
