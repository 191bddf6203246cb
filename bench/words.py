"""What a word list costs each post: ``python -m bench.words``.

Lists of made-up words, half in Latin letters and half Chinese, and texts of 100 characters without
any of them, as nearly all posts are. Chance is seeded, so two runs look through the same.
"""

from __future__ import annotations

import random
import sys
import time
from collections.abc import Callable, Sequence
from typing import Final

from groupd.domain.word_list import WordList

SIZES: Final = (100, 10_000, 100_000)
TEXTS: Final = 200
CHARACTERS: Final = 100
ROUNDS: Final = 50
_LETTERS: Final = "aabcdeeefghiilmnooprrsstttuw"
# Common ones: what is posted shares its characters with what is listed.
_SIGNS: Final = range(0x4E00, 0x4E00 + 3_000)


def words(count: int, draw: random.Random) -> list[str]:
    """Draw the entries of a list."""
    latin = ["".join(draw.choices(_LETTERS, k=draw.randint(4, 9))) for _ in range(count // 2)]
    chinese = ["".join(map(chr, draw.choices(_SIGNS, k=draw.randint(3, 5)))) for _ in latin]
    return latin + chinese


def plain(draw: random.Random) -> str:
    """Draw a sentence in Latin letters."""
    said = ""
    while len(said) < CHARACTERS:
        said += "".join(draw.choices(_LETTERS, k=draw.randint(2, 8))) + draw.choice("   , ")
    return said[:CHARACTERS]


def chinese(draw: random.Random) -> str:
    """Draw a sentence of Chinese characters, with a comma now and then."""
    return "".join(
        "，" if draw.random() < 0.1 else chr(draw.choice(_SIGNS)) for _ in range(CHARACTERS)
    )


def microseconds(known: WordList, texts: Sequence[str], rounds: int) -> float:
    """Give the shortest time over some rounds for one text, in microseconds."""
    best_ns = sys.maxsize
    for _ in range(rounds):
        began_ns = time.perf_counter_ns()
        for text in texts:
            known.is_in(text)
        best_ns = min(best_ns, time.perf_counter_ns() - began_ns)
    return best_ns / len(texts) / 1_000


def main(sizes: Sequence[int] = SIZES, rounds: int = ROUNDS) -> None:
    """Measure lists of several sizes, and print a table."""
    kinds: dict[str, Callable[[random.Random], str]] = {"Latin": plain, "Chinese": chinese}
    print(f"{'entries':>9}  {'made in':>10}  " + "  ".join(f"{kind:>10}" for kind in kinds))
    for size in sizes:
        draw = random.Random(size)
        entries = words(size, draw)
        WordList.of(["warm up 你"])
        began_ns = time.perf_counter_ns()
        known = WordList.of(entries)
        made_ms = (time.perf_counter_ns() - began_ns) / 1e6
        texts = {kind: _clean(known, make, draw) for kind, make in kinds.items()}
        costs = (microseconds(known, some, rounds) for some in texts.values())
        print(f"{size:>9,}  {made_ms:>7.0f} ms  " + "  ".join(f"{cost:>7.2f} us" for cost in costs))


def _clean(known: WordList, make: Callable[[random.Random], str], draw: random.Random) -> list[str]:
    found: list[str] = []
    while len(found) < TEXTS:
        text = make(draw)
        if not known.is_in(text):
            found.append(text)
    return found


if __name__ == "__main__":
    main()
