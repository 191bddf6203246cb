"""Node, as far as there is one."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path
from typing import Final

import pytest

ROOT: Final = Path(__file__).parent.parent.parent
CLIENT: Final = ROOT / "clients" / "js"
STATIC: Final = ROOT / "src" / "groupd" / "web" / "static"
NODE: Final = shutil.which("node")
NODE_MIN: Final = 20
DEADLINE_S: Final = 300


def _version() -> int:
    if NODE is None:
        return 0
    said = subprocess.run([NODE, "--version"], capture_output=True, text=True, check=False).stdout
    return int(said.removeprefix("v").partition(".")[0] or 0)


WEB: Final = "build/web/node_modules/axe-core/axe.min.js"
"""What make would install from npm for the tests in a browser."""

needs_node = pytest.mark.skipif(_version() < NODE_MIN, reason=f"no Node {NODE_MIN} or newer")

needs_npm = pytest.mark.skipif(
    not (shutil.which("npm") and shutil.which("make")), reason="no npm, or no make"
)


def run(command: list[str], home: Path, *, cwd: Path = ROOT) -> subprocess.CompletedProcess[str]:
    """Run a program to its end; what npm keeps is kept in ``home``."""
    return subprocess.run(
        command,
        cwd=cwd,
        env={**os.environ, "npm_config_cache": str(home / "npm"), "npm_config_offline": "true"},
        capture_output=True,
        text=True,
        timeout=DEADLINE_S,
        check=False,
    )


def install_package(folder: Path) -> Path:
    """Pack the client as make does, and install it into an app, without a network; give the app."""
    # -o: what is not installed for the tests is not fetched for this one.
    made = run(["make", "-o", WEB, "js-client", f"PACKED={folder / 'packed'}"], folder)
    assert made.returncode == 0, made.stdout + made.stderr
    (package,) = (folder / "packed").glob("*.tgz")
    app = folder / "app"
    app.mkdir()
    (app / "package.json").write_text('{"name": "app", "private": true, "type": "module"}')
    command = ["npm", "install", "--offline", "--no-audit", "--no-fund", "--prefix", str(app)]
    installed = run([*command, str(package)], folder)
    assert installed.returncode == 0, installed.stdout + installed.stderr
    return app


def run_node(*arguments: str | Path, cwd: Path = ROOT) -> str:
    """Run Node to its end, and give what it printed."""
    assert NODE is not None
    done = subprocess.run(
        [NODE, *map(str, arguments)],
        cwd=cwd,
        capture_output=True,
        text=True,
        timeout=DEADLINE_S,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout
