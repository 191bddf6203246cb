"""Neovim speaks MessagePack-RPC itself: a client that knows nothing of groupd."""

from __future__ import annotations

import json
import os
import shutil
from pathlib import Path
from typing import Any

import pytest
import trio

from tests.e2e.process import Groupd

SCRIPT = Path(__file__).with_name("neovim.lua")


@pytest.mark.parametrize("events", ["no", "yes"])
@pytest.mark.skipif(shutil.which("nvim") is None, reason="Neovim (nvim) is not installed")
async def test_neovim_founds_a_group_and_chats(groupd: Groupd, tmp_path: Path, events: str) -> None:
    out = tmp_path / "told.json"
    async with groupd.serving() as server:
        environment = {
            **os.environ,
            "ADDRESS": server.url.removeprefix("tcp://"),
            "TOKEN": server.token("vim"),
            "EVENTS": events,
            "OUT": str(out),
            "HOME": str(tmp_path),
        }
        command = [
            "nvim",
            "--headless",
            "-u",
            "NONE",
            "-i",
            "NONE",
            "-n",
            "-c",
            f"luafile {SCRIPT}",
        ]
        with trio.fail_after(60):
            done = await trio.run_process(
                command, env=environment, capture_stdout=True, capture_stderr=True, check=False
            )
        told = json.loads(out.read_text())
        assert told["ok"], (told["result"], done.stderr, server.log())
        result: dict[str, Any] = told["result"]
        assert result["greeting"]["user"] == "vim"
        assert result["greeting"]["protocol"] == 1
        assert [post["seq"] for post in result["posted"]] == [3, 4, 5, 6, 7]
        history = result["history"]["events"]
        texts = [event["text"] for event in history if event["kind"] == "posted"]
        assert texts == [f"你好 {number}" for number in range(1, 6)]
        assert result["refused"]
        assert result["ping"]["time_ms"] >= result["greeting"]["time_ms"]
        # Pushes are notifications of methods that Neovim does not have; it complains, in vain.
        assert not [entry for entry in server.log() if entry["event"] == "goodbye"]
