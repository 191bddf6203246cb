"""Find out who may do what, and write it as a page: ``python -m tests.access.table``."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final

from tests.access.scene import (
    CALLERS,
    DIRECT_CALLERS,
    DIRECT_STATES,
    SAMPLES,
    STATES,
    Scene,
    ask,
    build,
    copy_of,
    open_scene,
)
from tests.engine.rig import play

PAGE: Final = Path(__file__).parent.parent.parent / "proto" / "access.md"

Row = Mapping[str, str]
"""Caller -> outcome."""

INTRODUCTION: Final = """\
# Who may do what

One table for each state of a group: a row for each thing to do, a column for each kind of caller.
`ok` is a success, `pending` and `invited` are successes that others have to complete; anything
else is the `reason` of the refusal, or its `code` where that carries no reason (see
[Errors](groupd.md#errors)). A test makes every one of these calls and compares.

The callers: a **stranger** is not in the group; one who is **banned**; one who is **waiting** for
the decision on their join request; one who is **invited**; a **member**; one who is **muted**; the
**heir**, a member to whom the group is offered; an **admin**; an admin who is muted; the **owner**.
"""


async def outcomes(state: str) -> dict[str, Row]:
    """Make every call in a group of this state, each on a copy of it."""
    scene = await build(state)
    callers = DIRECT_CALLERS if state in DIRECT_STATES else tuple(CALLERS)
    return {
        row: {caller: await _outcome(scene, row, CALLERS[caller]) for caller in callers}
        for row in SAMPLES
    }


async def _outcome(scene: Scene, row: str, user: str) -> str:
    method, sample = SAMPLES[row]
    async with open_scene(copy_of(scene).store, scene.state) as hub:
        return await ask(hub, user, method, scene.params(sample, user), scene.group)


def page() -> str:
    """Give the whole page."""
    known = {state: play(lambda state=state: outcomes(state)) for state in STATES}
    return render(known)


def render(known: Mapping[str, Mapping[str, Row]]) -> str:
    """Give the page of what is known; after the first state only what differs from it."""
    parts = [INTRODUCTION]
    first = next(iter(known))
    for state, rows in known.items():
        parts.append(f"## {state.replace('_', ' ').capitalize()}\n\n{STATES[state]}")
        shown = rows
        if state != first:
            base = known[first]
            shown = {
                row: cells
                for row, cells in rows.items()
                if any(base[row][caller] != outcome for caller, outcome in cells.items())
            }
            differs = f"What differs from the {first} one:" if shown else "Nothing differs."
            parts[-1] += f" {differs}"
        if shown:
            parts.append(_table(shown))
    return "\n\n".join(parts).replace("\n\n\n", "\n\n") + "\n"


def _table(rows: Mapping[str, Row]) -> str:
    columns = ["", *next(iter(rows.values()))]
    lines = [columns, ["---"] * len(columns)]
    lines += [
        [f"`{row}`" if row in METHODS else row, *cells.values()] for row, cells in rows.items()
    ]
    return "\n".join(_line(line) for line in lines)


def _line(cells: Sequence[str]) -> str:
    return f"| {' | '.join(cells)} |"


METHODS: Final = frozenset(method for method, _params in SAMPLES.values())


if __name__ == "__main__":
    PAGE.write_text(page(), "utf-8")
