"""Atheris as the driver: inputs led by the coverage of groupd's Python code. Never required.

    pip install atheris
    python -m tests.fuzz.run --engine atheris --seconds 60 frames

Atheris ends its process when it is done, so it runs in one of its own, which is this module run as
a script. There groupd must be imported under its eyes, and nothing of it before.
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from random import Random
from typing import Any, Final

EXECUTIONS_MAX: Final = 2**31 - 1
SPARE_S: Final = 60
"""How long starting and ending may take beside the time that was asked for."""
OWN_SHARE: Final = 0.5
"""Share of inputs that our own mutator makes anew; libFuzzer changes the rest from its corpus."""
SEEDS: Final = 300
"""Inputs that libFuzzer begins with."""


def run(name: str, *, executions: int, seconds: float | None, seed: int) -> Iterator[Any]:
    """Fuzz a target in a process with atheris; give what it has found, which is one at most."""
    from tests.fuzz.loop import attempt
    from tests.fuzz.targets import TARGETS

    with tempfile.TemporaryDirectory() as folder:
        corpus = Path(folder) / "corpus"
        corpus.mkdir()
        for number in range(SEEDS):
            data = TARGETS[name].make(Random(f"{name} {seed} {number}"))
            (corpus / f"{number}").write_bytes(data)
        arguments = [
            f"-artifact_prefix={folder}/", f"-seed={seed + 1}", "-max_len=70000", "-timeout=10",
            f"-runs={min(executions, EXECUTIONS_MAX)}", "-print_final_stats=1", str(corpus),
        ]  # fmt: skip
        if seconds is not None:
            arguments.insert(0, f"-max_total_time={seconds:.0f}")
            arguments[5] = "-runs=-1"
        command = [sys.executable, "-m", __name__, name, *arguments]
        subprocess.run(command, check=False, timeout=None if seconds is None else seconds + SPARE_S)
        for artifact in sorted(Path(folder).glob("*-*")):
            found = attempt(TARGETS[name], artifact.read_bytes(), "atheris")
            if found is not None:
                yield found


def main() -> None:
    """Be the process with atheris."""
    try:
        import atheris  # type: ignore[import-untyped]
    except ImportError:
        sys.exit("atheris is not installed: pip install atheris")
    name, *arguments = sys.argv[1:]
    with atheris.instrument_imports(include=["groupd"]):
        from tests.fuzz.targets import TARGETS
    target = TARGETS[name]

    def mutated(data: bytes, size_max: int, seed: int) -> bytes:
        random = Random(seed)
        if random.random() < OWN_SHARE:
            return target.make(random)[:size_max]
        made: bytes = atheris.Mutate(data, size_max)
        return made

    atheris.Setup([sys.argv[0], *arguments], target.run, custom_mutator=mutated)
    atheris.Fuzz()


if __name__ == "__main__":
    main()
