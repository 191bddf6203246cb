from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from groupd.errors import ConfigError
from groupd.loadtest.plan import TOKEN_MAX_BYTES, USERS_MAX, Load, read_tickets, seats_of

TOKEN = "eyJh.eyJz-_.c2ln"


def load(**settings: Any) -> Load:
    return Load(**{"rate_per_s": 10.0, "for_ms": 10_000, **settings})


WRONG: dict[str, dict[str, Any]] = {
    "--rate": {"rate_per_s": 0.0},
    "--rate: expected 0.1 to 50,000.0 posts/s, got 60,000.0": {"rate_per_s": 60_000.0},
    "--for": {"for_ms": 0},
    "--for: expected 1,000 to 86,400,000 ms": {"for_ms": 86_400_001},
    "--groups": {"groups": 0},
    "--members": {"members": 0},
    "--size: expected 64 to 5,000 bytes, got 63": {"size_bytes": 63},
    "--seed": {"seed": -1},
    "--connect-rate": {"connect_rate_per_s": 0},
    "at most 5,000,000 posts": {"rate_per_s": 5_000.0, "for_ms": 1_000_001},
    "--group: .* each once": {"given": ("G", "G")},
}


@pytest.mark.parametrize("words", WRONG)
def test_what_is_too_much_is_refused_by_its_option(words: str) -> None:
    with pytest.raises(ConfigError, match=words):
        load(**WRONG[words])


def test_tokens_stand_alone_or_after_a_user() -> None:
    text = f"# users\n\n{TOKEN}1\nann\t{TOKEN}2\r\n"
    assert [(each.line, each.token) for each in read_tickets(text, "T")] == [
        (3, f"{TOKEN}1"),
        (4, f"{TOKEN}2"),
    ]


BAD = {
    "no token": ("hello", r"T, line 1: expected a token, .* got 'hello'"),
    "a second one that is none": (f"{TOKEN}\nann {TOKEN}", "T, line 2"),
    "an endless one": (f"{TOKEN}{'x' * TOKEN_MAX_BYTES}", "T, line 1"),
    "one twice": (f"{TOKEN}\n\n{TOKEN}", "T, line 3: the token of line 1 again"),
    "nothing": ("\n# none\n", "there is no token in it"),
    "too many": ("\n".join(f"{TOKEN}{n}" for n in range(USERS_MAX + 1)), "at most 20,000 tokens"),
}


@pytest.mark.parametrize("what", BAD)
def test_a_bad_file_of_tokens_is_refused_by_its_line(what: str) -> None:
    text, words = BAD[what]
    with pytest.raises(ConfigError, match=words):
        read_tickets(text, "T")


def test_a_bad_token_is_not_shown_whole() -> None:
    with pytest.raises(ConfigError) as caught:
        read_tickets("my-secret-password-that-is-no-token", "T")
    assert "password" not in str(caught.value)
    assert TOKEN not in repr(read_tickets(TOKEN, "T"))


def test_all_users_are_shared_out_where_nothing_else_is_said() -> None:
    assert [list(each.members) for each in seats_of(load(groups=2), 10)] == [
        [0, 1, 2, 3, 4],
        [5, 6, 7, 8, 9],
    ]


def test_groups_of_all_users_have_different_owners() -> None:
    seats = seats_of(load(groups=3, members=4), 4)
    assert [each.owner for each in seats] == [0, 1, 2]


def test_too_few_users_are_refused() -> None:
    with pytest.raises(ConfigError, match=r"--members: 11 members .* and there are 10"):
        seats_of(load(members=11), 10)


def test_more_places_than_can_be_followed_are_refused() -> None:
    with pytest.raises(ConfigError, match=r"at most 200,000 places in all, got 200,200"):
        seats_of(load(groups=1_001, members=200), 200)


@given(st.integers(1, 40), st.integers(1, 30), st.integers(30, 60))
def test_everybody_in_a_group_is_somebody_else_and_its_owner_is_in_it(
    groups: int, members: int, users: int
) -> None:
    seats = seats_of(load(groups=groups, members=members), users)
    assert len(seats) == groups
    for each in seats:
        assert len(set(each.members)) == members
        assert each.owner in each.members
        assert all(0 <= place < users for place in each.members)
    owned = [each.owner for each in seats]
    assert max(map(owned.count, owned)) <= (groups - 1) // members + 1
