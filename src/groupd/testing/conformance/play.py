"""Goes through scenarios, one after the other, and gives a verdict on each."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import attrs

from groupd.testing.conformance.scenarios import Scenario
from groupd.testing.conformance.stage import ScriptedServer
from groupd.testing.conformance.visit import Wrong


@attrs.frozen
class Verdict:
    """What came of a scenario."""

    name: str
    about: str
    wrong: Wrong | None
    """None where all was right."""

    @property
    def is_right(self) -> bool:
        """Whether all was right."""
        return self.wrong is None


async def play(
    stage: ScriptedServer,
    scenarios: Sequence[type[Scenario]],
    *,
    tell: Callable[[Verdict], None] = lambda verdict: None,
) -> list[Verdict]:
    """Play scenarios and give a verdict on each; ``tell`` hears of it as soon as it is found.

    After one that went wrong the client begins the next with a new connection, so that it can
    recover. Where nobody has come to the first one, the others are not waited for. Connections
    must be given to ``stage.serve`` meanwhile.
    """
    verdicts: list[Verdict] = []
    for scenario in scenarios:
        wrong = None
        try:
            if verdicts and not stage.was_visited:
                raise Wrong(expected="a connection and a hello", got="nothing so far")
            await scenario().play(stage)
        except Wrong as found:
            wrong = found
            if stage.visit is not None:
                await stage.visit.cut()
        verdicts.append(Verdict(scenario.name, scenario.about, wrong))
        tell(verdicts[-1])
    return verdicts
