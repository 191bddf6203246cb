"""A scripted server that plays the hard moments to anybody's client, and says what it did wrong.

``groupd conformance`` runs it on a port; ``docs/guide/client-authors.md`` says what the client has
to do. Here is all but the port: ``ScriptedServer`` serves links, ``play`` goes through scenarios.
"""

from groupd.testing.conformance.play import Verdict, play
from groupd.testing.conformance.scenarios import SCENARIOS, Scenario
from groupd.testing.conformance.stage import ScriptedServer
from groupd.testing.conformance.visit import Wrong

__all__ = ["SCENARIOS", "Scenario", "ScriptedServer", "Verdict", "Wrong", "play"]
