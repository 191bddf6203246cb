"""What of the rules is configured, as a value: handed to each decision with its context."""

from __future__ import annotations

from collections.abc import Mapping

import attrs

from groupd.config import Limits, Plan
from groupd.domain.word_list import WordList


@attrs.frozen
class Rules:
    """The configured part of the rules. Read by ``decide``, never by ``apply``."""

    limits: Limits
    plans: Mapping[str, Plan]
    default_plan: str
    categories: tuple[str, ...] = ()
    link_url: str = "groupd://join/{code}"
    owner_leaves: str = "refused"
    words: WordList | None = None
    """What nobody may say; None where there is no such list. ``wording.py`` asks it."""

    def plan(self, name: str) -> Plan:
        """Give the named plan; one that is configured no longer counts as the default."""
        return self.plans.get(name) or self.plans[self.default_plan]
