"""What the host has said of a user when it was asked, as a value that rules read.

A clause of an entry condition that no claim of the token answers is a question to the host's
backend. It is asked before the decision (``engine/asking.py``), and what came of it is handed in,
as claims are.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

import attrs

HOST: Final = "host"
"""It was asked just now, for one clause at least."""
CACHE: Final = "cache"
"""It has said so a moment ago."""
VERDICT: Final = "verdict"
"""It has not answered in time, and the configuration says what holds then."""
CLAIMS: Final = "claims"
"""Nothing was asked: the token answers it all."""


@attrs.frozen
class Answers:
    """The host's answers for one user and one group."""

    holds: Mapping[str, bool] = attrs.field(factory=dict)
    """Key of a clause (``conditions.clause_key``) -> whether it holds."""
    by: str = CLAIMS
    """``host``, ``cache``, ``verdict`` or ``claims``."""
    admits: bool | None = None
    """Whether who comes in about whom the host has not said enough; None where there is no host
    to ask: then a claim that is missing meets no clause, and that is all."""


NO_ANSWERS: Final = Answers()
