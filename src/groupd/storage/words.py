"""How names are split for the search, so that every store finds the same.

A name becomes a row of tokens:

1. It is folded: compatibility forms and letter case (NFKC, case folding), then accents go
   (``Café`` is ``cafe``). Only general combining marks are taken off; the vowel signs and voicing
   marks that some scripts are written with stay.
2. Characters of scripts that put no spaces between words (Chinese, kana, Hangul, Bopomofo, Thai,
   Lao, Khmer, Myanmar), emoji and other symbols are each a token of their own: a *sign*.
3. A run of other letters and digits is one token: a *word*.
4. Everything else (spaces, punctuation) separates. Characters that show nothing (joiners,
   variation selectors) are not there at all.

A query is split in the same way, and a name matches when it has all of it:

- an unbroken run of signs must stand in the name just so: adjacent, in order;
- a word must be the beginning of a word of the name;
- where they stand to each other is all the same.

So ``西湖`` finds ``杭州西湖徒步`` and not ``西安湖边``, ``sha run`` finds ``Running Shanghai``,
and ``5公里 run`` finds ``Run 5公里``. A query without any token finds nothing.

The tables of Unicode are those of Python: what a later version of it classifies anew (nothing but
newly assigned characters, so far) is split anew when the index is rebuilt.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator, Sequence
from typing import Final

import attrs

from groupd.domain.scripts import ACCENTS, SIGNS

_DROPPED: Final = re.compile(f"[{ACCENTS}]")
_SIGNS: Final = re.compile(f"[{SIGNS}]")


def fold(text: str) -> str:
    """Give a text as the search sees it: without case, accents and what shows nothing."""
    text = unicodedata.normalize("NFKC", text).casefold()
    text = _DROPPED.sub("", unicodedata.normalize("NFKD", text))
    text = "".join(character for character in text if unicodedata.category(character) != "Cf")
    return unicodedata.normalize("NFC", text)


def is_sign(token: str) -> bool:
    """Say whether a token is a single character that stands for itself, and no word."""
    return _is_sign(token[0])


def _is_sign(character: str) -> bool:
    # A code point that is not assigned yet is most likely a new emoji.
    kind = unicodedata.category(character)
    return kind[0] == "S" or kind == "Cn" or (kind[0] in "LMN" and bool(_SIGNS.match(character)))


def _stretches(text: str) -> Iterator[list[str]]:
    """Give the tokens of each stretch between two separators."""
    stretch: list[str] = []
    in_word = False
    for character in fold(text):
        if _is_sign(character):
            stretch.append(character)
            in_word = False
        elif unicodedata.category(character)[0] in "LMN":
            if in_word:
                stretch[-1] += character
            else:
                stretch.append(character)
            in_word = True
        else:
            if stretch:
                yield stretch
            stretch, in_word = [], False
    if stretch:
        yield stretch


def split(name: str) -> list[str]:
    """Give the tokens of a name, in order."""
    return [token for stretch in _stretches(name) for token in stretch]


def whole(name: str) -> str:
    """Give what two names have in common that are equal to the search."""
    return " ".join(split(name))


@attrs.frozen
class Query:
    """What somebody looks for, split."""

    phrases: Sequence[Sequence[str]]
    """Runs of signs."""
    prefixes: Sequence[str]
    """Words, or their beginnings."""
    whole: str
    """What a name is that equals the query; empty for a query that finds nothing."""

    @classmethod
    def of(cls, text: str) -> Query:
        """Split a query."""
        phrases: list[list[str]] = []
        prefixes = []
        for stretch in _stretches(text):
            run: list[str] = []
            for token in stretch:
                if not is_sign(token):
                    prefixes.append(token)
                    run = []
                elif run:
                    run.append(token)
                else:
                    run = [token]
                    phrases.append(run)
        return cls(phrases, prefixes, whole(text))

    def matches(self, tokens: Sequence[str]) -> bool:
        """Say whether a name with these tokens has all that is looked for."""
        return (
            bool(self.whole)
            and all(any(token.startswith(prefix) for token in tokens) for prefix in self.prefixes)
            and all(_has_run(tokens, phrase) for phrase in self.phrases)
        )


def _has_run(tokens: Sequence[str], run: Sequence[str]) -> bool:
    first, count = run[0], len(run)
    return any(
        token == first and tokens[place : place + count] == run
        for place, token in enumerate(tokens)
    )


def terms(name: str, category: str) -> list[str]:
    """Give all that a group is found by, in letters and digits, whatever the script.

    The hex digits of the UTF-8 of each token, in order, led by ``x``; then of the whole name, led
    by ``y``; of the category, if any, led by ``z``; and ``t``, which every group has. The first
    letters of a word are the first digits of its term.
    """
    made = [f"x{token.encode().hex()}" for token in split(name)]
    made.append(f"y{whole(name).encode().hex()}")
    if category:
        made.append(f"z{category.encode().hex()}")
    return [*made, "t"]
