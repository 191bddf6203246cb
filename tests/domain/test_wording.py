"""Who may not say what, and where, with a list of words."""

from __future__ import annotations

from typing import Any

import pytest

from groupd.domain.account.create import Create
from groupd.domain.base import SERVER, Command, Identity
from groupd.domain.group.board import Announce
from groupd.domain.group.edits import Edit
from groupd.domain.group.messages import Post
from groupd.domain.group.nicknames import SetNickname
from groupd.domain.group.settings import Update
from groupd.domain.policy import Explain
from groupd.domain.word_list import WordList
from groupd.errors import Rejected
from tests.domain.bench import Table, World

WORDS = WordList.of(["casino", "赌博"])
GOODS = {"type": "goods", "title": "Tea", "price": 1, "currency": "CNY"}


@pytest.fixture
def table(table: Table) -> Table:
    table.world.words = WORDS
    return table


@pytest.mark.parametrize(
    ("command", "field"),
    [
        (Post(text="To the CASINO!"), "text"),
        (Post(text="去赌 博"), "text"),
        (Post(card={**GOODS, "title": "Casino chips"}), "card"),
        (
            Post(
                text="look",
                card={"type": "link", "url": "https://x.example", "description": "赌博"},
            ),
            "card",
        ),
        (Post(card={"type": "game", "name": "casino"}), "card"),
        (Announce(text="casino tonight"), "text"),
        (Update(name="Casino"), "name"),
        (Update(description="a casino"), "description"),
        (SetNickname(nickname="casino"), "nickname"),
        (SetNickname(nickname="casino", user="mia"), "nickname"),
    ],
)
def test_a_listed_word_is_refused_and_the_field_is_named(
    table: Table, command: Command, field: str
) -> None:
    refusal = table.refuse("adam", command)
    assert refusal.code == "forbidden"
    assert refusal.details == {"reason": "words", "field": field}
    assert "casino" not in refusal.message.lower()
    assert "赌" not in refusal.message


@pytest.mark.parametrize(
    "command",
    [
        Post(text="occasino is no word"),
        Post(text="", card={"type": "link", "url": "https://casino.example/x"}),
        Post(card={"type": "game", "data": "casino"}),
        Update(picture="https://x.example/casino.png"),
        SetNickname(nickname=""),
    ],
)
def test_what_nobody_reads_and_what_only_contains_it_is_not(table: Table, command: Command) -> None:
    table.act("adam", command)


def test_an_edit_is_looked_through_as_a_post_is(table: Table) -> None:
    seq = table.act("mia", Post(text="tea"))["seq"]
    refusal = table.refuse("mia", Edit(seq=seq, text="casino"))
    assert refusal.details == {"reason": "words", "field": "text"}


def test_a_group_is_not_founded_with_such_a_name(world: World) -> None:
    world.words = WORDS
    for command in (Create(name="Casino"), Create(name="x", description="赌博")):
        with pytest.raises(Rejected) as caught:
            world.act("ann", command)
        assert caught.value.details["reason"] == "words"
    assert not world.books


def test_a_group_that_is_there_is_still_found_by_its_ref(world: World) -> None:
    made = world.act("ann", Create(name="Casino", ref="c"))
    world.words = WORDS
    assert world.act("ann", Create(name="Casino", ref="c"))["group"] == made["group"]


def test_the_app_itself_may_say_it(table: Table) -> None:
    table.act(Identity(SERVER), Post(text="no casino here"))
    table.act(Identity(SERVER), Announce(text="no casino here"))
    table.act(Identity(SERVER), Update(description="no casino here"))


def test_what_was_said_before_stands_and_a_retry_gets_its_first_answer(table: Table) -> None:
    world = table.world
    world.words = None
    said, request_id = Post(text="casino"), world.new_id()
    first = table.act("mia", said, request_id=request_id)
    world.words = WORDS
    assert table.act("mia", said, request_id=request_id) == first
    assert table.refuse("mia", said).details["reason"] == "words"
    assert table.book.replayed() == table.state


def explained(table: Table, method: str, **params: Any) -> dict[str, Any]:
    asked = {"method": method, **({"params": params} if params else {})}
    answer = table.act("mia", Explain.parse(asked))
    return next(rule for rule in answer["rules"] if rule["rule"] == "words")


def test_explain_shows_the_rule_and_not_the_list(table: Table) -> None:
    assert explained(table, "post") == {"rule": "words", "source": "server", "verdict": "holds"}
    assert explained(table, "post", text="casino") == {
        "rule": "words",
        "source": "server",
        "verdict": "refuses",
        "code": "forbidden",
        "reason": "words",
    }


def test_every_command_that_says_something_to_all_has_the_rule() -> None:
    for command in (Post, Edit, Announce, Update, Create, SetNickname):
        assert any(rule.name == "words" for rule in command.rules)
