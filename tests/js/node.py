"""Node, as far as there is one."""

from __future__ import annotations

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


needs_node = pytest.mark.skipif(_version() < NODE_MIN, reason=f"no Node {NODE_MIN} or newer")


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
