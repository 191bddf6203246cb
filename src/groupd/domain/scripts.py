"""Which characters are words, which are signs, and which show nothing, in the scripts of the world.

Ranges of code points, to stand between the brackets of a regular expression.
"""

from __future__ import annotations

from typing import Final

SIGNS: Final = (
    "\u0e00-\u0eff"  # Thai, Lao
    "\u1000-\u109f\ua9e0-\ua9ff\uaa60-\uaa7f"  # Myanmar
    "\u1100-\u11ff\ua960-\ua97f\uac00-\ud7ff"  # Hangul
    "\u1780-\u17ff"  # Khmer
    "\u2e80-\u2fdf\u3005-\u3007\u3021-\u3029\u3038-\u303b"  # Ideographs: radicals, marks, numerals
    "\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff\U00020000-\U0003ffff"
    "\u3040-\u30ff\u31f0-\u31ff\U0001aff0-\U0001b16f"  # Kana
    "\u3100-\u318f\u31a0-\u31bf"  # Bopomofo, and Hangul that stands alone
)
"""The blocks of the scripts that put no spaces between words: each character stands for itself."""

ACCENTS: Final = (
    "\u0300-\u036f\u1ab0-\u1aff\u1dc0-\u1dff\u20d0-\u20ff\ufe00-\ufe0f\ufe20-\ufe2f"
    "\U000e0100-\U000e01ef"
)
"""General accents, and variation selectors. Marks of a single script are not in these blocks."""
