"""The rule on words that nobody may say: which texts of a request it looks at, and whom it binds.

The list is configured (``Rules.words``) and read by decisions alone: what was said before stands,
and a replay asks no list. The app itself (``SERVER``) may say what it likes.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from groupd.domain.base import SERVER, Context, Request, Rule
from groupd.domain.cards import texts_of
from groupd.errors import Rejected


def words_in(*names: str) -> Rule:
    """Make the rule for a kind of request: nothing that is listed stands in these fields of it.

    A field is a text, a list of texts or a card. The refusal names the field, and never the word.
    """

    def refuse(state: Any, context: Context, request: Request) -> Rejected | None:
        words = context.rules.words
        if words is None or context.caller.user == SERVER:
            return None
        for name in names:
            if any(map(words.is_in, _texts(getattr(request, name)))):
                return Rejected(
                    "forbidden",
                    f"{name}: it has a word in it that is not allowed here",
                    reason="words",
                    field=name,
                )
        return None

    return Rule("words", "server", refuse)


def _texts(value: Any) -> Iterable[str]:
    """Give what people read of a field. What was not given has nothing to read."""
    if not value:
        return ()
    if isinstance(value, str):
        return (value,)
    return texts_of(value) if isinstance(value, Mapping) else value
