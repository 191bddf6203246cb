"""``groupd health``: whether a server can serve, asked by a command."""

from __future__ import annotations

from http.server import BaseHTTPRequestHandler, HTTPServer
from threading import Thread

import pytest

from groupd.cli import health
from groupd.config import Config, MetricsConfig
from groupd.errors import ConfigError
from tests.e2e.process import Groupd


async def test_a_server_says_by_a_command_whether_it_can_serve(groupd: Groupd) -> None:
    config = groupd.directory / "groupd.toml"
    config.write_text('[metrics]\nlisten = "http://127.0.0.1:0"\n')
    async with groupd.serving(None, "--config", str(config)) as server:
        (url,) = [line["metrics"] for line in server.log() if line["event"] == "serving"]
        config.write_text(f'[metrics]\nlisten = "{url}"\n')
        done = await groupd.run("health", "--config", config)
        assert (done.returncode, done.stdout) == (0, "ready\n")
        await server.kill()
        done = await groupd.run("health", "--config", config)
        assert done.returncode == 1
        assert url in done.stdout


class Draining(BaseHTTPRequestHandler):
    """A server that answers, and cannot serve."""

    def do_GET(self) -> None:
        self.send_response(503 if self.path == "/readyz" else 200)
        self.end_headers()
        self.wfile.write(b"draining\n" + b"x" * 10_000)

    def log_message(self, *_: object) -> None:
        pass


def test_one_that_answers_and_cannot_serve_is_not_ready() -> None:
    with HTTPServer(("127.0.0.1", 0), Draining) as server:
        thread = Thread(target=server.handle_request)
        thread.start()
        url = f"http://127.0.0.1:{server.server_port}"
        is_ready, said = health.ask(Config(metrics=MetricsConfig(listen=url)))
        thread.join()
    assert not is_ready
    assert said.startswith("draining")
    assert len(said) <= health.ANSWER_MAX_BYTES


def test_where_there_is_nobody_to_ask_that_is_said() -> None:
    with pytest.raises(ConfigError, match=r"metrics\.listen"):
        health.ask(Config())
