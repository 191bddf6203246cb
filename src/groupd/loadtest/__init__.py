"""A load test for a server that runs elsewhere: ``groupd bench``.

``LoadTest`` does one run and gives a ``Report``. docs/guide/load-testing.md says what is measured,
and how.
"""

from groupd.loadtest.plan import Load, Ticket, read_tickets
from groupd.loadtest.report import Report
from groupd.loadtest.run import LoadTest

__all__ = ["Load", "LoadTest", "Report", "Ticket", "read_tickets"]
