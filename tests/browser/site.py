"""A real server for browsers, and people in front of it."""

from __future__ import annotations

import json
import os
import random
import shutil
import signal
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, suppress
from pathlib import Path
from typing import Any, Final

import httpx

from groupd.client import blocking
from groupd.domain.base import Identity
from tests.e2e.process import GROUPD, PATIENCE_S, environment

ROOT: Final = Path(__file__).parent.parent.parent
CHROMIUM: Final = shutil.which("chromium") or shutil.which("chromium-browser")
AXE: Final = ROOT / "build" / "web" / "node_modules" / "axe-core" / "axe.min.js"
HOUR_MS: Final = 3_600_000
NAMES: Final = {"xiaoyu": "小雨", "mei": "王梅", "lin": "Lin", "eve": "Eve"}


def free_port() -> int:
    """Give a port that nobody has, for a server that comes back to it.

    It is none of those that the kernel hands out, so that nobody gets it meanwhile.
    """
    for port in random.sample(range(20_000, 30_000), 100):
        with socket.socket() as sock, suppress(OSError):
            sock.bind(("127.0.0.1", port))
            return port
    raise AssertionError("no port is free")


class Site:
    """A server process that listens for browsers and for other clients."""

    def __init__(self, directory: Path) -> None:
        self.data = directory / "data"
        self._config = directory / "groupd.toml"
        # The tests of a module share the people.
        self._config.write_text("[plans.ordinary]\ngroups_owned_max = 100\n")
        self._log = directory / "log"
        self.web = f"http://127.0.0.1:{free_port()}"
        self.tcp = f"tcp://127.0.0.1:{free_port()}"
        self.host = f"http://127.0.0.1:{free_port()}"
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Start it, and wait until it serves."""
        command = [str(GROUPD), "serve", "--config", str(self._config), "--data", str(self.data)]
        command += ["--listen", self.tcp, "--web", self.web, "--no-rate-limits"]
        command += ["--host-api", self.host]
        begun = self._log.stat().st_size if self._log.exists() else 0
        with self._log.open("ab") as log:
            self._process = subprocess.Popen(
                command, cwd=ROOT, env=environment(), stdout=log, stderr=log
            )
        deadline = time.monotonic() + PATIENCE_S
        while b'"serving"' not in (said := self._log.read_bytes()[begun:]):
            assert self._process.poll() is None, said.decode()
            assert time.monotonic() < deadline, said.decode()
            time.sleep(0.05)

    def kill(self) -> None:
        """End it as a power failure would. May be repeated."""
        if self._process is not None:
            os.kill(self._process.pid, signal.SIGKILL)
            self._process.wait()
            self._process = None

    def disconnect(self, user: str) -> None:
        """End all sessions of somebody, as an operator may."""
        command = [str(GROUPD), "disconnect", user, "--data", str(self.data)]
        subprocess.run(command, env=environment(), check=True, capture_output=True, timeout=60)

    def revoke(self, user: str) -> None:
        """Have all tokens of somebody refused that were made so far."""
        command = [str(GROUPD), "revoke", user, "--data", str(self.data)]
        subprocess.run(command, env=environment(), check=True, capture_output=True, timeout=60)

    def hellos(self, user: str) -> int:
        """Count how often somebody has come in."""
        lines = self._log.read_text().splitlines()
        return sum('"event":"hello"' in line and f'"user":"{user}"' in line for line in lines)

    def token(self, user: str, **claims: Any) -> str:
        """Issue a token as the host application would."""
        from groupd.app import make_token
        from groupd.config import Config

        identity = Identity(user, **{"name": NAMES.get(user, user), **claims})
        return make_token(Config(data=str(self.data)), identity, expires_in_ms=HOUR_MS)

    def client(self, user: str) -> AbstractContextManager[blocking.Client]:
        """Connect over TCP."""
        return blocking.connect(self.tcp, token=self.token(user), timeout_ms=30_000)

    def say_as_host(self, group: str, text: str) -> None:
        """Post as the host application does: for itself, and in nobody's name."""
        command = [str(GROUPD), "key", "make", "browser-tests", "--data", str(self.data)]
        made = subprocess.run(
            command, env=environment(), check=True, capture_output=True, text=True, timeout=60
        )
        headers = {"authorization": f"Bearer {made.stdout.strip()}"}
        body = {"as": "system", "group": group, "text": text}
        deadline = time.monotonic() + PATIENCE_S
        # The server looks for new keys twice a second.
        while (said := httpx.post(f"{self.host}/v1/post", json=body, headers=headers)).is_error:
            assert said.status_code == 401, said.text
            assert time.monotonic() < deadline, said.text
            time.sleep(0.05)

    def shared(self, name: str, owner: str = "xiaoyu") -> str:
        """Make a link into a group of somebody's, and give its code."""
        with self.client(owner) as client:
            group = next(row["group"] for row in client.groups()["groups"] if row["name"] == name)
            return str(client.share_link(group, channel="wechat")["code"])

    def found(self, name: str, owner: str = "xiaoyu", **params: Any) -> str:
        """Found a group, and give its id."""
        with self.client(owner) as client:
            return str(client.create(name=name, **params)["group"])


@contextmanager
def running(directory: Path) -> Iterator[Site]:
    """Run a server until the end of the block."""
    site = Site(directory)
    site.start()
    try:
        yield site
    finally:
        site.kill()


def words_of(log: list[dict[str, Any]]) -> str:
    """Write down what a browser has complained of."""
    return json.dumps(log, ensure_ascii=False, indent=1)
