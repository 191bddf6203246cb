"""How names are split, and what a query matches."""

from __future__ import annotations

import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from groupd.storage.words import Query, is_sign, split, terms, whole


@pytest.mark.parametrize(
    ("name", "tokens"),
    [
        ("西湖", ["西", "湖"]),
        ("Running Club", ["running", "club"]),
        ("Café ÉCOLE", ["cafe", "ecole"]),
        ("ＡＢＣ１２", ["abc12"]),
        ("5公里Run群", ["5", "公", "里", "run", "群"]),
        ("Straße", ["strasse"]),
        ("ガガーリン", ["ガ", "ガ", "ー", "リ", "ン"]),
        ("ｶﾞ", ["ガ"]),
        ("か\u3099", ["が"]),
        ("한국어", ["한", "국", "어"]),
        ("ไทย", ["ไ", "ท", "ย"]),
        ("ที่", ["ท", "ี", "่"]),
        ("ខ្មែរ", ["ខ", "្", "ម", "ែ", "រ"]),
        ("हिन्दी समूह", ["हिन्दी", "समूह"]),
        ("Ёлка", ["елка"]),
        ("İstanbul", ["istanbul"]),
        ("❤️🏃", ["❤", "🏃"]),
        ("👨\u200d👩", ["👨", "👩"]),
        ("so\u00adft", ["soft"]),
        ("C++ & C#", ["c", "+", "+", "c"]),
        ("snake_case-word", ["snake", "case", "word"]),
        ("西湖·Hall（2）", ["西", "湖", "hall", "2"]),
        ("\U0001fae8", ["\U0001fae8"]),
        ("  !?。、 ", []),
        ("", []),
    ],
)
def test_a_name_is_split_into_words_and_signs(name: str, tokens: list[str]) -> None:
    assert split(name) == tokens


@given(st.text())
def test_what_was_split_is_split_no_further(name: str) -> None:
    tokens = split(name)
    assert split(" ".join(tokens)) == tokens


@given(st.text())
def test_writing_a_name_otherwise_changes_nothing(name: str) -> None:
    for form in ("NFC", "NFD", "NFKC", "NFKD"):
        assert split(unicodedata.normalize(form, name)) == split(name)


@given(st.text(st.sampled_from("西湖群ab5 ·é❤"), max_size=12), st.data())
def test_a_name_is_found_by_any_part_of_it(name: str, data: st.DataObject) -> None:
    tokens = split(name)
    if tokens:
        assert Query.of(name).matches(tokens)
        assert Query.of(data.draw(st.sampled_from(tokens))).matches(tokens)
        word = next((token for token in tokens if not is_sign(token)), None)
        if word is not None:
            assert Query.of(word[: data.draw(st.integers(1, len(word)))]).matches(tokens)


@pytest.mark.parametrize(
    ("query", "name", "matches"),
    [
        ("西湖", "杭州西湖徒步", True),
        ("西湖", "西安湖边", False),
        ("西 湖", "湖西", True),
        ("西湖", "西·湖", True),
        ("西湖", "西a湖", False),
        ("sha run", "Running Shanghai", True),
        ("un", "Running", False),
        ("run西湖", "西湖 Running", True),
        ("湖r西", "西湖 Running", True),
        ("群群", "群", False),
        ("run run", "Run", True),
        ("", "Hall", False),
        ("!", "!", False),
    ],
)
def test_a_query_matches_what_has_all_of_it(query: str, name: str, matches: bool) -> None:
    assert Query.of(query).matches(split(name)) is matches


def test_names_are_equal_that_have_the_same_tokens() -> None:
    assert whole("西湖 Run!") == whole("西 湖·RUN")
    assert whole("西湖Run") != whole("Run西湖")
    assert Query.of("CAFÉ 湖").whole == whole("Café 湖")


def test_terms_are_letters_and_digits_and_keep_the_order() -> None:
    assert terms("Ab 西", "fun") == ["x6162", "xe8a5bf", "y616220e8a5bf", "z66756e", "t"]
    assert terms("!", "") == ["y", "t"]


@given(st.text(), st.text())
def test_no_script_makes_a_term_that_a_tokenizer_would_cut(name: str, category: str) -> None:
    made = terms(name, category)
    assert all(term.isascii() and term.isalnum() for term in made)
