"""Every kind of event has a sentence, or is left out on purpose."""

from __future__ import annotations

import io
import string
from typing import Any

import attrs
import pytest
from rich.console import Console

from groupd.cli.chat import refusals, words
from groupd.cli.chat.group import SETTINGS
from groupd.cli.chat.table import COMMANDS
from groupd.client import AccountEvent, GroupEvent
from groupd.domain.base import ACCOUNT, GROUP
from groupd.domain.catalog import EVENTS
from groupd.domain.group import parts
from groupd.errors import CODES, REASONS, Rejected


def event(kind: str, **fields: Any) -> GroupEvent:
    return GroupEvent("0123456789ABCDEF", 7, 1_750_000_000_000, "bob", kind, None, fields)


def printed(markup: str) -> str:
    out = io.StringIO()
    Console(file=out, width=200).print(markup, highlight=False, emoji=False, end="")
    return out.getvalue()


@pytest.mark.parametrize("kind", EVENTS[GROUP])
def test_every_kind_of_a_group_has_a_sentence_or_is_silent(kind: str) -> None:
    assert (kind in words.GROUP_WORDS) is not (kind in words.SILENT), kind


@pytest.mark.parametrize("kind", EVENTS[ACCOUNT])
def test_every_kind_of_an_account_has_a_sentence_or_is_silent(kind: str) -> None:
    assert (kind in words.ACCOUNT_WORDS) is not (kind in words.ACCOUNT_SILENT), kind


def test_no_sentence_is_kept_for_a_kind_that_there_is_not() -> None:
    shown = {"hidden", "erased"}  # How the server shows what it does not show.
    assert {*words.GROUP_WORDS, *words.SILENT} - shown == set(EVENTS[GROUP])
    assert {*words.ACCOUNT_WORDS, *words.ACCOUNT_SILENT} == set(EVENTS[ACCOUNT])


@pytest.mark.parametrize("kind", EVENTS[GROUP])
def test_a_sentence_bears_fields_that_are_missing_or_of_their_defaults(kind: str) -> None:
    """A newer server may leave out what this one sends."""
    for fields in ({}, defaults(EVENTS[GROUP][kind])):
        assert printed(words.sentence(event(kind, **fields), "ann")) is not None


def defaults(cls: type) -> dict[str, Any]:
    made = cls()
    return {field.name: getattr(made, field.name) for field in attrs.fields(cls)}


@pytest.mark.parametrize("kind", EVENTS[ACCOUNT])
def test_an_accounts_sentence_bears_fields_that_are_missing(kind: str) -> None:
    for fields in ({}, defaults(EVENTS[ACCOUNT][kind])):
        said = words.account_sentence(AccountEvent(1, 1, kind, None, fields), "Tea")
        assert "{" not in said
        assert bool(said) == (kind in words.ACCOUNT_WORDS and kind != "chat_set")


def test_a_kind_of_a_newer_server_is_told_by_its_name() -> None:
    assert printed(words.sentence(event("waved"), "ann")) == "waved"


def test_who_reads_is_called_you() -> None:
    kicked = event("kicked", member="ann", message="enough")
    assert printed(words.sentence(kicked, "ann")) == "has taken you out: enough"
    assert printed(words.sentence(kicked, "eve")) == "has taken ann out: enough"


def test_what_users_write_is_neither_markup_nor_control() -> None:
    text = "[red]:bomb:[/] \x1b[2J\u202e\N{FAMILY}\N{ZERO WIDTH JOINER}\\"
    said = printed(words.sentence(event("posted", text=text), "ann"))
    assert said.startswith("[red]:bomb:[/] ")
    assert "\x1b" not in said
    assert "\u202e" not in said
    card = {"type": "[b]", "title": "[/]\x07"}
    assert printed(words.sentence(event("posted", card=card), "ann")) == "[[b]] [/]"


def test_a_card_is_told_by_its_type_and_title() -> None:
    goods = event("posted", text="Look:", card={"type": "goods", "title": "Green tea", "price": 1})
    assert printed(words.sentence(goods, "ann")) == "Look: [goods] Green tea"
    assert words.plain(goods) == "Look: [goods] Green tea"


@pytest.mark.parametrize(
    ("time_ms", "said"),
    [
        (1, "1 s"),
        (30_000, "30 s"),
        (60_000, "1 min"),
        (90_000, "90 s"),
        (600_000, "10 min"),
        (3_600_000, "1 h"),
        (86_400_000, "1 day"),
        (7 * 86_400_000, "7 days"),
    ],
)
def test_a_length_of_time_is_told_in_its_largest_unit(time_ms: int, said: str) -> None:
    assert words.span(time_ms) == said


@pytest.mark.parametrize("code", CODES)
def test_a_refusal_says_what_is_wrong(code: str) -> None:
    details: dict[str, Any] = dict.fromkeys(CODES[code], 1)
    assert refusals.in_words(Rejected(code, "so it is", **details)).startswith("Not done: ")


@pytest.mark.parametrize("reason", REASONS)
def test_a_reason_is_said_in_the_words_that_are_published(reason: str) -> None:
    said = refusals.in_words(Rejected("forbidden", "so it is", reason=reason))
    assert "so it is" in said or REASONS[reason].partition(";")[0] in said
    assert set(refusals.HINTS) <= {*REASONS, *CODES}


def test_a_hint_names_commands_that_there_are() -> None:
    kinds = words.ACCOUNT_WORDS
    told = [words.account_sentence(AccountEvent(1, 1, kind, None, {}), "Tea") for kind in kinds]
    for text in (*refusals.HINTS.values(), *told):
        for word in text.split():
            if word.startswith("/"):
                assert word[1:].rstrip(string.punctuation) in COMMANDS, text


def test_every_setting_can_be_typed() -> None:
    assert set(SETTINGS) == {field.name for field in attrs.fields(parts.Settings)}
