"""Words that nobody may say: how a text is read, and whether one of them is in it.

A text and the entries of a list are read in the same way:

1. Compatibility forms and letter case are folded (NFKC, case folding), so that full width and
   half width, circled and mathematical letters are the same.
2. What shows nothing is not there: zero-width characters, soft hyphens, variation selectors, and
   general accents that belong to no letter. An accent that makes another letter stays: ``año`` is
   not ``ano``.
3. A character of a script that puts no spaces between words (Chinese, kana, Hangul, Thai ...) is
   a *sign*. A run of other letters, digits and their marks is a *word*. All else is a *gap*:
   spaces, punctuation, emoji and other symbols.
4. A reading has signs side by side, whatever gap was between them, and each word between two
   spaces.

An entry is in a text if its reading is in the text's: so signs match inside of sentences, words
match whole words only, and the words of a phrase may have any gap between them. A text is also
read as if gaps without white space inside of words were not there (``b-a.d``), and as if single
letters in a row were one word (``b a d``).

What is not seen through: letters of other scripts or digits that look alike, repeated letters,
white space within a word that is not taken apart wholly, traditional for simplified Chinese.
Each is a way to write it that a list may have as an entry.

Placement rules: nothing in here knows of files, requests or groups. ``wording.py`` has the rule.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable, Iterable
from functools import cache
from typing import Final, NamedTuple

import attrs
from ahocorasick_rs import AhoCorasick

from groupd.domain.scripts import ACCENTS, SIGNS

ENTRY_MAX: Final = 100
"""Code points of one entry."""

_BMP: Final = range(0x10000)
# Beyond it no table is asked: blocks of scripts are taken whole. What is left out are symbols.
_FAR_WORDS: Final = (
    "\U00010000-\U0001afef\U0001b170-\U0001cfff\U0001d400-\U0001d7ff\U0001e000-\U0001efff"
)
_FAR_SIGNS: Final = "\U0001aff0-\U0001b16f\U00020000-\U0003ffff"
_FAR_HIDDEN: Final = "\U000e0000-\U000e0fff"
_FAR_UNFOLDED: Final = (
    "\U00010000-\U0001efff\U0001f100-\U0001f2ff\U0001fb00-\U0001fbff\U0002f800-\U0002fa1f"
    "\U000e0000-\U000e0fff"
)
_FILLERS: Final = "\u115f\u1160\u17b4\u17b5\u3164\uffa0"
"""Letters and marks that show nothing."""
_JAMO: Final = range(0x1100, 0x1200)
"""Parts of Hangul syllables: letters that compose with those beside them."""

_PILED_UP: Final = 31
"""Marks in a row from which on they are no part of a letter. To put many in order takes a time
that grows with their square; a post's own text never has so many, a card of the app's own may."""


def _inner(gap: str, word: str) -> re.Pattern[str]:
    """Give what finds gaps before words, each begun once: so many in a row take no longer."""
    return re.compile(f"{gap}(?<!{gap}.){gap}*+(?={word})")


# Of ASCII, which most texts are: the same as for all others, only faster.
_PLAIN: Final = bytes(ord(chr(n).lower()) if chr(n).isalnum() else 32 for n in range(128)) * 2
_PLAIN_INNER: Final = _inner(r"[^A-Za-z0-9\s]", "[A-Za-z0-9]")
_SINGLE_LETTERS: Final = re.compile(" [^ ] (?: [^ ] )+")
# What may be between the signs and words of an entry. Of another character whoever writes a list
# may believe that it is looked for.
_NOT_IN_AN_ENTRY: Final = re.compile(r"[^\w\s.'’·・-]|_")


class _Patterns(NamedTuple):
    """What a text is folded and taken apart with."""

    piled: re.Pattern[str]
    """Far too many marks."""
    unfolded: re.Pattern[str]
    """What letter case is not all that folding changes of, or what shows nothing."""
    hidden: re.Pattern[str]
    """What shows nothing."""
    units: re.Pattern[str]
    """A run of signs, or a word."""
    inner: re.Pattern[str]
    """A gap without white space before a word."""
    sign: re.Pattern[str]


def _make_patterns() -> _Patterns:
    """Read the classes of characters off Python's own table, in a tenth of a second."""
    is_sign, is_accent = re.compile(f"[{SIGNS}]").match, re.compile(f"[{ACCENTS}]").match
    hidden: list[int] = []
    signs: list[int] = []
    words: list[int] = []
    marks: list[int] = []
    unfolded: list[int] = []
    for code in _BMP:
        character = chr(code)
        kind = unicodedata.category(character)
        if kind == "Cf" or character in _FILLERS or is_accent(character):
            hidden.append(code)
        elif kind[0] in "LMN":
            (signs if is_sign(character) else words).append(code)
        if kind[0] == "M":
            marks.append(code)
        # A mark may compose with the letter before it, and case folding may leave accents behind.
        cased = character.casefold()
        is_part = kind[0] == "M" or code in _JAMO or any(map(is_accent, cased))
        if is_part or (_folded(character) != cased and _matters(character)):
            unfolded.append(code)
    all_signs, all_words = _ranges(signs) + _FAR_SIGNS, _ranges(words) + _FAR_WORDS
    return _Patterns(
        piled=re.compile(f"[{_ranges(marks)}]{{{_PILED_UP},}}"),
        unfolded=re.compile(f"[{_ranges(sorted({*unfolded, *hidden}))}{_FAR_UNFOLDED}]"),
        hidden=re.compile(f"[{_ranges(hidden)}{_FAR_HIDDEN}]+"),
        units=re.compile(f"[{all_signs}]+|[{all_words}]+"),
        inner=_inner(rf"[^\s{all_signs}{all_words}]", f"[{all_words}]"),
        sign=re.compile(f"[{all_signs}]"),
    )


def _folded(text: str) -> str:
    text = unicodedata.normalize("NFKC", text).casefold()
    return unicodedata.normalize("NFKC", text)


def _matters(character: str) -> bool:
    """Say whether a character, or what it is folded to, is more than a gap."""
    parts = (character, *_folded(character))
    return any(unicodedata.category(part)[0] in "LMN" for part in parts)


def _ranges(codes: list[int]) -> str:
    """Give rising code points as ranges of a regular expression."""
    found: list[list[int]] = []
    for code in codes:
        if found and code == found[-1][1] + 1:
            found[-1][1] = code
        else:
            found.append([code, code])
    return "".join(f"\\U{first:08x}-\\U{last:08x}" for first, last in found)


_patterns: Final[Callable[[], _Patterns]] = cache(_make_patterns)
"""Gives the patterns, made with the first list: a server without one needs none."""


def _fold(text: str) -> str:
    patterns = _patterns()
    if patterns.unfolded.search(text) is None:
        # Nearly all texts. Full-width punctuation alone would make NFKC most of the work.
        return text.casefold()
    return patterns.hidden.sub("", _folded(patterns.piled.sub("", text)))


def _read_plain(text: str) -> str:
    words = text.encode().translate(_PLAIN).split()
    return f" {b'  '.join(words).decode()} " if words else ""


def _read(folded: str) -> str:
    patterns = _patterns()
    is_sign = patterns.sign.match
    units = patterns.units.findall(folded)
    return "".join([unit if is_sign(unit) else f" {unit} " for unit in units])


def reading(text: str) -> str:
    """Give a text as it is compared: signs side by side, each word between two spaces."""
    return _read_plain(text) if text.isascii() else _read(_fold(text))


def readings(text: str) -> list[str]:
    """Give all that a text may say: its reading, and those without what was put into words."""
    if text.isascii():
        first = _read_plain(text)
        closed = _PLAIN_INNER.sub("", text)
        found = [first] if len(closed) == len(text) else [first, _read_plain(closed)]
    else:
        folded = _fold(text)
        first = _read(folded)
        # Without a space there is no word in it.
        closed = _patterns().inner.sub("", folded) if " " in first else folded
        found = [first] if len(closed) == len(folded) else [first, _read(closed)]
    if _SINGLE_LETTERS.search(first):
        found.append(_SINGLE_LETTERS.sub(_spelled, first))
    return found


def _spelled(letters: re.Match[str]) -> str:
    return f" {letters[0].replace(' ', '')} "


def fault_of(entry: str) -> str | None:
    """Say what is wrong with an entry of a list, or None where it can be looked for."""
    if len(entry) > ENTRY_MAX:
        return f"expected at most {ENTRY_MAX} characters, got {len(entry)}"
    strange = _NOT_IN_AN_ENTRY.search(_without_marks(entry))
    if strange is not None:
        return f"{strange[0]!r} is never looked for: write the word with letters and digits only"
    return None if reading(entry) else "there is no letter or digit in it"


def _without_marks(entry: str) -> str:
    """Leave out what belongs to letters, or shows nothing."""
    return "".join(
        character for character in entry if unicodedata.category(character)[0] not in ("M", "C")
    )


@attrs.frozen
class WordList:
    """Words and phrases that nobody may say. A value: it never changes, and is equal to its like.

    ``entries`` are their readings. Made by ``of``; that takes a while for many.
    """

    entries: frozenset[str] = attrs.field(repr=lambda entries: f"<{len(entries)}>")
    _found: Callable[[str], object] = attrs.field(init=False, eq=False, repr=False)

    def __attrs_post_init__(self) -> None:
        assert "" not in self.entries, "an empty entry is in every text"
        _patterns()  # Now, and not when the first text is waiting for them.
        automaton = AhoCorasick(sorted(self.entries))
        object.__setattr__(self, "_found", automaton.find_matches_as_indexes)

    @classmethod
    def of(cls, entries: Iterable[str]) -> WordList:
        """Make a list of entries that have no fault."""
        return cls(frozenset(map(reading, entries)))

    def is_in(self, text: str) -> bool:
        """Say whether any entry is in a text."""
        # No entry goes over a line break, so each reading is looked through by itself.
        return bool(self._found("\n".join(readings(text))))
