"""What people have really said: the conversations of the package ``chitchat-dataset``.

It is no dependency of groupd's: whoever wants them installs it (``groupd[examples]``).
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from importlib import resources
from typing import TypeAlias

Conversation: TypeAlias = Sequence[tuple[str, str]]
"""Speaker and text, in order."""


def conversations() -> Iterator[Conversation]:
    """Give them by the time of their first word; raises ModuleNotFoundError without the package."""
    data = json.loads(resources.files("chitchat_dataset").joinpath("dataset.json").read_text())
    found = []
    for conversation in data.values():
        said = [said for turn in conversation["messages"] for said in turn if said["text"].strip()]
        said.sort(key=lambda one: one["timestamp"])
        if said:
            lines = [(one["sender"], printable(one["text"])) for one in said]
            found.append((said[0]["timestamp"], lines))
    found.sort(key=lambda pair: pair[0])
    return (lines for _time, lines in found)


def printable(text: str) -> str:
    """Leave out control characters, which no chat takes."""
    return "".join(sign for sign in text if sign.isprintable() or sign in "\n\t")
