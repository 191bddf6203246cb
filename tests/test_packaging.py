"""What is shipped: the wheel, the image and the unit have in them what they need."""

from __future__ import annotations

import configparser
import json
import os
import re
import shutil
import subprocess
import sys
from fnmatch import fnmatch
from pathlib import Path
from typing import Final

import pytest

from groupd.cli.main import app
from groupd.config import Limits
from groupd.config_file import load_config
from groupd.server.descriptors import RESERVED_DESCRIPTORS
from tests.e2e.process import GROUPD

ROOT: Final = Path(__file__).parent.parent
DEADLINE_S: Final = 120
INSTALLED: Final = "/opt/groupd/bin/groupd"


# --- the wheel

BUILT: Final = """
import json
from setuptools import Distribution

distribution = Distribution({"script_name": "setup.py"})
distribution.parse_config_files()
build = distribution.get_command_obj("build_py")
build.ensure_finalized()
print(json.dumps(build.get_outputs(include_bytecode=False)))
"""
"""What a wheel would have in it, beside what is compiled, without compiling anything."""


def test_the_wheel_has_every_file_of_the_package(tmp_path: Path) -> None:
    leave_out = shutil.ignore_patterns("__pycache__", "*.so", "*.c", "*.egg-info")
    shutil.copytree(ROOT / "src", tmp_path / "src", ignore=leave_out)
    for name in ("pyproject.toml", "MANIFEST.in", "README.md", "LICENSE"):
        shutil.copy(ROOT / name, tmp_path / name)
    there = {path for path in (tmp_path / "src").rglob("*") if path.is_file()}
    done = subprocess.run(
        [sys.executable, "-c", BUILT],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=DEADLINE_S,
        check=True,
    )
    # Setuptools says on its way what it does.
    built = json.loads(done.stdout.splitlines()[-1])
    # Below build/lib, whose name has the platform in it.
    shipped = {Path(*Path(path).parts[2:]) for path in built}
    assert {path.relative_to(tmp_path / "src") for path in there} == shipped
    assert Path("groupd/py.typed") in shipped


def test_every_pyx_is_compiled() -> None:
    named = set(re.findall(r'sources = \["([^"]+)"\]', (ROOT / "pyproject.toml").read_text()))
    there = {str(path.relative_to(ROOT)) for path in (ROOT / "src").rglob("*.pyx")}
    assert named == there


# --- the image


def instructions() -> list[tuple[str, str]]:
    """Give the instructions of the Dockerfile, each on one line."""
    text = re.sub(r"^#.*\n", "", (ROOT / "Dockerfile").read_text(), flags=re.MULTILINE)
    lines = [line for line in text.replace("\\\n", " ").splitlines() if line.strip()]
    return [(line.split(None, 1)[0], line.split(None, 1)[1]) for line in lines]


def stages() -> list[list[tuple[str, str]]]:
    found: list[list[tuple[str, str]]] = []
    for name, value in instructions():
        if name == "FROM":
            found.append([])
        found[-1].append((name, value))
    return found


def of(stage: list[tuple[str, str]], name: str) -> list[str]:
    return [value for each, value in stage if each == name]


def test_what_compiles_is_not_what_runs() -> None:
    build, run = stages()
    assert {value.split()[0] for value in of(build, "FROM") + of(run, "FROM")} == {
        "python:3.11-slim"
    }
    assert "gcc" in str(build)
    assert "apt-get" not in str(run)
    assert "pip " not in str(run)
    assert of(run, "COPY") == ["--from=build /opt/groupd /opt/groupd"]


def test_dependencies_of_the_image_are_those_of_the_lock() -> None:
    installs = [value for value in of(stages()[0], "RUN") if "pip install" in value]
    assert len(installs) == 2
    assert "--require-hashes --requirement requirements.lock" in installs[0]
    assert "--no-deps --no-build-isolation" in installs[1]


def test_the_image_runs_as_nobody_in_particular_and_keeps_one_volume() -> None:
    run = stages()[1]
    names = [name for name, _ in run]
    (user,) = of(run, "USER")
    assert f"--uid {user} " in str(of(run, "RUN"))
    assert int(user) > 0
    assert names.index("USER") < names.index("ENTRYPOINT")
    assert not any(name == "RUN" for name in names[names.index("USER") :])
    (volume,) = of(run, "VOLUME")
    assert environment_of_the_image()["GROUPD_DATA"] == volume


HADOLINT: Final = shutil.which(
    "hadolint", path=f"{Path(sys.executable).parent}:{os.environ['PATH']}"
)


@pytest.mark.skipif(HADOLINT is None, reason="there is no hadolint here")
def test_hadolint_has_nothing_to_say_of_the_image() -> None:
    done = subprocess.run(
        [str(HADOLINT), "--no-color", str(ROOT / "Dockerfile")],
        capture_output=True,
        text=True,
        timeout=DEADLINE_S,
        check=False,
    )
    assert (done.returncode, done.stdout) == (0, "")


def environment_of_the_image() -> dict[str, str]:
    (line,) = of(stages()[1], "ENV")
    return dict(word.split("=", 1) for word in line.split())


def test_the_image_is_configured_as_a_server_understands() -> None:
    run = stages()[1]
    config = load_config(None, environment_of_the_image(), {})
    assert [f"tcp://0.0.0.0:{port}" for port in of(run, "EXPOSE")] == list(config.listen)
    (health,) = re.findall(r"CMD (\[.*\])", of(run, "HEALTHCHECK")[0])
    assert json.loads(health) == ["groupd", "health"]
    assert config.metrics.listen is not None
    entry = json.loads(of(run, "ENTRYPOINT")[0]) + json.loads(of(run, "CMD")[0])
    for command in (entry, json.loads(health)):
        assert command[0] == "groupd"
        app.parse_args(command[1:], exit_on_error=False, print_error=False)


def test_what_the_image_is_made_of_is_sent_to_the_engine_and_nothing_else() -> None:
    patterns = [
        line
        for line in (ROOT / ".dockerignore").read_text().splitlines()
        if line and not line.startswith("#")
    ]

    def is_sent(path: str) -> bool:
        parts = Path(path).parts
        above = ["/".join(parts[: n + 1]) for n in range(len(parts))]
        sent = True
        # The last pattern that fits a file, or a directory that it is in, decides.
        for pattern in patterns:
            bare = pattern.lstrip("!").removeprefix("**/")
            names = [*above, *parts] if "**/" in pattern else above
            if any(fnmatch(name, bare) for name in names):
                sent = pattern.startswith("!")
        return sent

    copied = [source for value in of(stages()[0], "COPY") for source in value.split()[:-1]]
    assert copied
    for source in copied:
        assert (ROOT / source).exists()
        assert is_sent(source), source
    for path in ("src/groupd/app.py", "src/groupd/py.typed", "src/groupd/native/frames.pyx"):
        assert is_sent(path)
    for path in (
        *(".git/config", "groupd-data/secret", ".venv/bin/python", "tests/conftest.py", "key.pem"),
        *("src/groupd/native/frames.so", "src/groupd/native/frames.c"),
        "src/groupd/__pycache__/app.cpython-311.pyc",
    ):
        assert not is_sent(path), path


# --- the unit


def unit() -> configparser.ConfigParser:
    parser = configparser.ConfigParser(strict=False, interpolation=None)
    parser.optionxform = str  # type: ignore[assignment]
    parser.read(ROOT / "packaging" / "groupd.service")
    return parser


@pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="there is no systemd here")
def test_systemd_understands_the_unit(tmp_path: Path) -> None:
    text = (ROOT / "packaging" / "groupd.service").read_text()
    file = tmp_path / "groupd.service"
    # It looks whether the commands are there.
    file.write_text(text.replace(INSTALLED, str(GROUPD)))
    done = subprocess.run(
        ["systemd-analyze", "verify", str(file)],
        capture_output=True,
        text=True,
        timeout=DEADLINE_S,
        check=False,
        env={**os.environ, "SYSTEMD_COLORS": "0"},
    )
    # What it says of other units of this machine is not ours.
    assert "groupd.service" not in done.stderr
    assert done.returncode == 0 or done.stderr


def test_the_unit_has_room_and_time_for_what_the_server_does() -> None:
    service = unit()["Service"]
    limits = Limits()
    assert int(service["LimitNOFILE"]) >= limits.connections_max + RESERVED_DESCRIPTORS
    assert int(service["TimeoutStopSec"]) * 1_000 > limits.drain_deadline_ms
    assert service["Environment"] == f"GROUPD_DATA=/var/lib/{service['StateDirectory']}"


def test_the_unit_runs_commands_that_exist_as_its_own_user() -> None:
    text = (ROOT / "packaging" / "groupd.service").read_text()
    commands = re.findall(rf"^Exec\w+={INSTALLED} (.+)$", text, re.MULTILINE)
    assert len(commands) == 3
    for command in commands:
        app.parse_args(command.split(), exit_on_error=False, print_error=False)
    assert "ExecReload=/bin/kill -HUP $MAINPID" in text
    user = unit()["Service"]["User"]
    assert user != "root"
    assert f"\nu {user} " in (ROOT / "packaging" / "groupd.sysusers").read_text()
