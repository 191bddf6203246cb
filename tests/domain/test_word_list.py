"""How a text is read, and which words are found in it however they are written."""

from __future__ import annotations

import time
import unicodedata
from collections.abc import Sequence

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from groupd.domain.word_list import ENTRY_MAX, WordList, fault_of, reading, readings

HIDDEN = "\u200b\u200d\u2060\ufeff\u00ad\ufe0f\u200e"
GAPS = " .,-_*!?|~\t\n　，。！、·🙂$"
INNER_GAPS = "".join(char for char in GAPS if not char.isspace())
SIGNS = "赌博加微信习近茶のはวน한"
LETTERS = "abcdeåñжд"
WIDE = {chr(code): chr(code + 0xFEE0) for code in range(0x21, 0x7F)}


def is_in(text: str, *entries: str) -> bool:
    return WordList.of(entries).is_in(text)


# --- what is found


@pytest.mark.parametrize(
    ("entry", "text"),
    [
        ("ass", "what an ASS!"),
        ("ass", "ass"),
        ("ass", "(ass)"),
        ("ass", "Ａｓｓ"),
        ("ass", "ⓐⓢⓢ"),
        ("ass", "𝐚𝖘𝓼"),
        ("ass", "a\u200bs\u00ads"),
        ("ass", "a\u0336s\u0336s\u0336"),
        ("ass", "a.s.s"),
        ("ass", "well, a-s-s"),
        ("ass", "a_s*s"),
        ("ass", "a s s"),
        ("ass", "you a   s.\ns you"),
        ("ass", "你ass吗"),
        ("free money", "get FREE   money now"),
        ("free money", "free-money"),
        ("free-money", "free money"),
        ("free money", "free ... money"),
        ("straße", "STRASSE"),
        ("赌博", "来赌博吧"),
        ("赌博", "来赌 博吧"),
        ("赌博", "赌🙂博"),
        ("赌博", "赌\n博"),
        ("赌博", "赌\u200b，博"),
        ("ガチャ", "ｶﾞﾁｬ"),
        ("加v信", "请加 Ｖ 信"),
        ("加v", "请加v吗"),
        ("กขค", "xกขคx"),
        ("कमल", "वह कमल है"),
        ("año", "un Año"),
        ("año", "un An\u0303o"),
        ("qq123", "QQ 号 qq123。"),
        ("ǆ", "Ǆ"),
    ],
)
def test_a_word_is_found_however_it_is_written(entry: str, text: str) -> None:
    assert is_in(text, entry)


@pytest.mark.parametrize(
    ("entry", "text"),
    [
        ("ass", "first class"),
        ("ass", "assess"),
        ("ass", "ass1"),
        ("ass", "as school"),
        ("ass", "as, so"),
        ("anus", "an US citizen"),
        ("anus", "an us"),
        ("ano", "un año"),
        ("free money", "free your money"),
        ("free money", "freemoney"),
        ("free money", "carefree moneybags"),
        ("赌博", "博赌"),
        ("赌博", "赌x博"),
        ("赌博", ""),
        ("加v", "请加vip"),
        ("कल", "काल"),
        ("ass", "...!!! 🙂"),
        ("ab", "a 好 b"),
    ],
)
def test_what_only_looks_like_it_is_not(entry: str, text: str) -> None:
    assert not is_in(text, entry)


# --- the form in which texts are compared


def test_a_reading_has_signs_side_by_side_and_each_word_between_two_spaces() -> None:
    assert reading("Free, money!") == " free  money "
    assert reading("你 好，world 吗") == "你好 world 吗"
    assert reading(" ?! ") == ""


texts = st.text(st.sampled_from(LETTERS + LETTERS.upper() + SIGNS + GAPS + HIDDEN + "12"))


@given(texts)
def test_reading_a_reading_changes_nothing(text: str) -> None:
    assert reading(reading(text)) == reading(text)


@given(texts)
def test_plain_texts_are_read_as_all_others_are(text: str) -> None:
    plain = "".join(char for char in text if char.isascii())
    # A sign far away makes it go the long way.
    long_way = [read.removesuffix("茶") for read in readings(plain + "\n茶")]
    assert readings(plain)[0] == long_way[0]
    assert set(readings(plain)) == set(long_way)


def the_long_way(text: str) -> list[str]:
    """Read a text with all steps of folding: what shows nothing is among what wants them."""
    return readings(f"{text}\u200b")


@given(st.text(max_size=20))
def test_texts_that_need_little_folding_are_read_as_with_all_of_it(text: str) -> None:
    if not text.isascii():
        assert readings(text) == the_long_way(text)


def test_every_character_is_read_the_same_both_ways_whatever_is_before_it() -> None:
    for code in (*range(0x80, 0xD800), *range(0xE000, 0x14000), *range(0x1F000, 0x20000)):
        text = f"e{chr(code)}b 가{chr(code)}"
        assert readings(text) == the_long_way(text), hex(code)


@given(texts, st.data())
def test_case_width_and_what_shows_nothing_make_no_difference(
    text: str, data: st.DataObject
) -> None:
    text = unicodedata.normalize("NFC", text)
    disguised = ""
    for char in text:
        char = data.draw(st.sampled_from([char, char.upper(), char.lower(), WIDE.get(char, char)]))
        disguised += char + data.draw(st.sampled_from(["", *HIDDEN]))
    assert reading(disguised) == reading(text)


# --- properties of matching

words = st.text(st.sampled_from("abcåж"), min_size=1, max_size=4)
runs = st.text(st.sampled_from("赌博加微信"), min_size=1, max_size=4)
gaps = st.text(st.sampled_from(GAPS), min_size=1, max_size=3)
entries = st.lists(st.one_of(words, runs), min_size=1, max_size=3).map(" ".join)


@given(entries, texts, texts, st.data())
def test_an_entry_is_found_with_any_gaps_and_whatever_is_around_it(
    entry: str, before: str, after: str, data: st.DataObject
) -> None:
    parts = [data.draw(gaps) if char == " " else char for char in entry]
    between = data.draw(st.sampled_from(["", *HIDDEN]))
    text = f"{before} {between.join(parts)} {after}"
    assert is_in(text, entry)


@given(runs, texts, texts, st.data())
def test_signs_are_found_with_anything_but_words_between_them(
    run: str, before: str, after: str, data: st.DataObject
) -> None:
    text = before + "".join(sign + data.draw(st.just("") | gaps) for sign in run) + after
    assert is_in(text, run)


@given(words, st.data())
def test_a_word_is_found_with_punctuation_inside_and_when_it_is_spelled(
    word: str, data: st.DataObject
) -> None:
    inner = st.text(st.sampled_from(INNER_GAPS), max_size=2)
    assert is_in("".join(letter + data.draw(inner) for letter in word), word)
    assert is_in("".join(letter + data.draw(gaps) for letter in word), word)


@given(words, st.sampled_from("xyz9ø"), st.booleans())
def test_a_word_within_a_longer_one_is_not_found(word: str, more: str, is_before: bool) -> None:
    assert not is_in(more + word if is_before else word + more, word)


def units_of(text: str) -> list[str]:
    """Take a reading apart: signs one by one, words whole."""
    found: list[str] = []
    for part in text.split(" "):
        if part and all(char in SIGNS for char in part):
            found += part
        elif part:
            found.append(part)
    return found


def stands_in(part: Sequence[str], whole: Sequence[str]) -> bool:
    places = range(len(whole) - len(part) + 1)
    return any(list(whole[place : place + len(part)]) == list(part) for place in places)


@given(st.lists(entries, min_size=1, max_size=5), texts)
@example(["a", "a a"], "a a")
@example(["赌", "赌博"], "加赌博")
def test_the_automaton_finds_what_comparing_unit_by_unit_does(listed: list[str], text: str) -> None:
    expected = any(
        stands_in(units_of(reading(entry)), units_of(read))
        for entry in listed
        for read in readings(text)
    )
    assert is_in(text, *listed) is expected


# --- lists


def test_lists_are_equal_that_look_for_the_same_and_show_no_word() -> None:
    assert WordList.of(["Tea", "赌博"]) == WordList.of(["赌 博", "ｔｅａ"])
    assert WordList.of(["tea"]) != WordList.of(["teas"])
    assert "tea" not in repr(WordList.of(["tea"]))


@pytest.mark.parametrize(
    ("entry", "fault"),
    [
        ("a$$", "'$' is never looked for"),
        ("f*ck", "'*' is never looked for"),
        ("a_b", "'_' is never looked for"),
        ("🙂", "is never looked for"),
        ("-.-", "no letter or digit"),
        ("\u200b", "no letter or digit"),
        ("x" * (ENTRY_MAX + 1), f"at most {ENTRY_MAX} characters"),
    ],
)
def test_an_entry_that_would_find_something_else_has_a_fault(entry: str, fault: str) -> None:
    assert fault in str(fault_of(entry))


@pytest.mark.parametrize(
    "entry", ["tea", "e-mail", "don't", "Mr. X", "约翰·史密斯", "हिन्दी", "año", "ไทย"]
)
def test_words_of_any_script_have_none(entry: str) -> None:
    assert fault_of(entry) is None
    assert is_in(f"so: {entry}!", entry)


def test_thousands_of_words_are_found_each_and_nothing_else() -> None:
    listed = [f"word{number}x" for number in range(2_000)]
    listed += [
        f"{chr(0x4E00 + n)}{chr(0x5E00 + n * 7 % 4_000)}{chr(0x4E00 + n)}" for n in range(2_000)
    ]
    known = WordList.of(listed)
    assert all(known.is_in(f"say {entry}.") for entry in listed)
    assert not known.is_in("word2001x, word1 x 一二三")


def test_a_long_text_of_single_letters_is_read_in_bounded_pieces() -> None:
    found = readings("a b-" * 1_250)
    assert len(found) <= 3
    assert sum(map(len, found)) <= 4 * 5_000


@pytest.mark.parametrize(
    "text",
    ["!" * 40_000, "！" * 40_000, "e" + "\u0301\u0316" * 20_000, "a " * 20_000, "\u200b" * 40_000],
)
def test_what_is_repeated_takes_time_in_proportion(text: str) -> None:
    known = WordList.of(["tea"])
    began = time.process_time()
    assert not known.is_in(text)
    # With the square of the length it is some ten seconds.
    assert time.process_time() - began < 1


def test_letters_with_far_too_many_marks_are_still_those_letters() -> None:
    assert is_in("t" + "\u0301\u0316" * 2_000 + "ea", "tea")
