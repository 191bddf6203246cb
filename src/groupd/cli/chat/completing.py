"""What could be meant by what is typed: commands, groups, methods, and people.

Placement rules: pure, from a text and a model to candidates.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Final

import attrs

from groupd.cli.chat.model import Model
from groupd.cli.chat.order import explained
from groupd.cli.chat.table import COMMANDS

CANDIDATES_MAX: Final = 50
"""Candidates shown at once: who wants others types more."""

_MENTION: Final = re.compile(r"(?:^|\s)@(\S*)$")
_ARGUMENT: Final = re.compile(r"/(\S+)\s+(\S*)$")
_USERS: Final = "USER"
_REST: Final = re.compile(r"/use\s+(.*)$")
ALL: Final = "all"


@attrs.frozen
class Candidate:
    """A text that may stand instead of the last ``length`` characters, and what it is."""

    text: str
    length: int
    meaning: str


def candidates(model: Model, before: str) -> list[Candidate]:
    """Give what the text before the cursor could go on as, the most likely first."""
    found: list[Candidate] = []
    for candidate in _all(model, before):
        found.append(candidate)
        if len(found) == CANDIDATES_MAX:
            break
    return found


def _all(model: Model, before: str) -> Iterator[Candidate]:
    mention = _MENTION.search(before)
    argument = _ARGUMENT.match(before)
    group = _REST.match(before)
    if before.startswith("/") and not any(c.isspace() for c in before):
        yield from _commands(before)
    elif group is not None:
        yield from _groups(model, group[1])
    elif mention is not None:
        yield from _people(model, mention[1], "@")
        if ALL.startswith(mention[1]) and not before.startswith("/"):
            yield Candidate(f"@{ALL} ", len(mention[1]) + 1, "everybody here")
    elif argument is not None and argument[1] == "explain":
        for method in explained():
            if method.startswith(argument[2]):
                yield Candidate(method, len(argument[2]), "")
    elif argument is not None and _takes_user(argument[1]):
        yield from _people(model, argument[2], "")


def _takes_user(word: str) -> bool:
    return word in COMMANDS and COMMANDS[word].arguments.startswith(_USERS)


def _commands(before: str) -> Iterator[Candidate]:
    for word, command in COMMANDS.items():
        if word.startswith(before[1:]):
            blank = " " if command.arguments else ""
            yield Candidate(f"/{word}{blank}", len(before), command.meaning)


def _groups(model: Model, typed: str) -> Iterator[Candidate]:
    for row in model.listed():
        name = model.name(row.group)
        if typed.casefold() in name.casefold():
            yield Candidate(name, len(typed), f"{row.unread} unread" if row.unread else "")


def _people(model: Model, typed: str, sign: str) -> Iterator[Candidate]:
    asked = typed.casefold()
    for user, name in model.open.people.items():
        is_other = user != model.me
        if is_other and (user.casefold().startswith(asked) or name.casefold().startswith(asked)):
            yield Candidate(f"{sign}{user} ", len(typed) + len(sign), model.who(user))
