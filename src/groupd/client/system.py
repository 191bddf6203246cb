"""The real world, as a client needs it: the machine's clock and randomness, sockets and TLS."""

from __future__ import annotations

import ssl
from functools import partial

from groupd.client.ports import Ports
from groupd.config import is_tls
from groupd.server.certificates import client_context
from groupd.server.tls import connect_link
from groupd.system import SystemClock, SystemRandomness


def system_ports(url: str, tls: ssl.SSLContext | None = None) -> Ports:
    """Give the ports of a client that runs on this machine and dials ``url``.

    ``tls`` says whom to trust where the URL is ``tls://``; without it, the system's authorities,
    which take a moment to read.
    """
    if tls is None and is_tls(url):
        tls = client_context()
    dial = partial(connect_link, tls=tls)
    return Ports(clock=SystemClock(), randomness=SystemRandomness(), dial=dial)
