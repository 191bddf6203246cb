"""Running a target many times, and keeping what it finds.

The input of an execution follows from target, seed and number alone, so any one can be made again,
and processes can share the numbers among them.
"""

from __future__ import annotations

import json
import time
import traceback
from collections.abc import Callable, Iterator
from hashlib import sha256
from pathlib import Path
from random import Random
from typing import Final

import attrs

from tests.fuzz.target import Target

FOLDER: Final = Path(__file__).parent / "findings"
SLOW_S: Final = 1.0
"""An input that takes longer than this, three times in a row, is a finding."""

SHOWN_MAX_BYTES: Final = 500
"""Longer inputs are not shown, only kept."""


@attrs.frozen
class Finding:
    """An input that a target did not stand."""

    target: str
    data: bytes
    what: str
    """The exception, and the place in the code that raised it."""
    origin: str = ""
    """How it was made."""
    waits_for: str = ""
    """What has to be mended first; empty where that was done."""
    details: str = attrs.field(default="", eq=False, repr=False)

    @property
    def key(self) -> tuple[str, str]:
        """Give what two findings of one bug have in common."""
        return self.target, self.what

    def reproduce(self) -> str:
        """Give a command that shows it again."""
        command = f"python -m tests.fuzz.run {self.target}"
        if len(self.data) <= SHOWN_MAX_BYTES:
            return f"{command} --hex {self.data.hex()}"
        return f"{command} --file FILE  # {len(self.data):,} bytes; {self.origin}"


def input_of(target: Target, seed: int, number: int) -> bytes:
    """Make the input of one execution."""
    return target.make(Random(f"{target.name} {seed} {number}"))


def attempt(target: Target, data: bytes, origin: str = "") -> Finding | None:
    """Run a target once; give what that finds."""
    begin = time.perf_counter()
    try:
        target.run(data)
    except Exception as error:
        return Finding(target.name, data, _place_of(error), origin, details=traceback.format_exc())
    took_s = time.perf_counter() - begin
    if took_s > SLOW_S:
        took_s = min(took_s, *(_time_of(target, data) for _ in range(2)))
        if took_s > SLOW_S:
            return Finding(target.name, data, f"it takes {took_s:.0f} s", origin)
    return None


def _time_of(target: Target, data: bytes) -> float:
    begin = time.perf_counter()
    target.run(data)
    return time.perf_counter() - begin


def _place_of(error: BaseException) -> str:
    frames = traceback.extract_tb(error.__traceback__)
    last = frames[-1]
    text = (
        str(error).splitlines()[0][:120] if isinstance(error, AssertionError) and str(error) else ""
    )
    where = f"{Path(last.filename).name}, {last.name}"
    return f"{type(error).__name__} in {where}" + (f": {text}" if text else "")


def fuzz(
    target: Target,
    numbers: range,
    *,
    seed: int = 0,
    until_s: float | None = None,
    passed: Callable[[int], None] = lambda count: None,
) -> Iterator[Finding]:
    """Run a target for some numbers, or until a time of ``time.monotonic``; give each finding.

    ``passed`` is told now and then how many were run since it was told last.
    """
    told = 0
    for done, number in enumerate(numbers, 1):
        found = attempt(target, input_of(target, seed, number), f"seed {seed}, number {number}")
        if found is not None:
            yield found
        if done % 100 == 0:
            passed(done - told)
            told = done
            if until_s is not None and time.monotonic() > until_s:
                return
    passed(len(numbers) - told)


def shorten(target: Target, finding: Finding, tries_max: int = 2_000) -> Finding:
    """Take bytes out of a finding for as long as it finds the same."""
    best, tries = finding, 0
    size = len(finding.data) // 2
    while size and tries < tries_max:
        start = 0
        while start < len(best.data) and tries < tries_max:
            tries += 1
            data = best.data[:start] + best.data[start + size :]
            found = attempt(target, data, finding.origin + ", shortened")
            if found is not None and found.key == finding.key:
                best = found
            else:
                start += size
        size //= 2
    return best


# --- what was found before


def save(finding: Finding, folder: Path = FOLDER) -> Path:
    """Keep a finding, for the tests to replay."""
    folder.mkdir(exist_ok=True)
    path = folder / f"{finding.target}-{sha256(finding.data).hexdigest()[:8]}.json"
    content = {
        "target": finding.target,
        "what": finding.what,
        "origin": finding.origin,
        "waits_for": finding.waits_for,
        "hex": finding.data.hex(),
    }
    path.write_text(json.dumps(content, indent=1, ensure_ascii=False) + "\n", "utf-8")
    return path


def load(path: Path) -> Finding:
    """Read a finding that was kept."""
    content = json.loads(path.read_text("utf-8"))
    return Finding(data=bytes.fromhex(content.pop("hex")), **content)


def kept(folder: Path = FOLDER) -> list[tuple[str, Finding]]:
    """Give all findings that were kept, each with its name, in the order of the names."""
    return [(path.stem, load(path)) for path in sorted(folder.glob("*.json"))]
