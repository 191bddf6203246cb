"""The SDK: a client in Python for a server that runs elsewhere.

``connect`` is for programs on trio. For others import ``groupd.client.blocking`` or
``groupd.client.aio``.
"""

from groupd.client.backoff import Backoff
from groupd.client.client import CLIENT_NAME, Client, connect
from groupd.client.events import (
    AccountEvent,
    ClientEvent,
    EventStream,
    GroupEvent,
    Signal,
    StoreChanged,
)
from groupd.client.limits import ClientLimits
from groupd.client.ports import Ports
from groupd.client.system import system_ports
from groupd.client.tokens import Token

__all__ = [
    "CLIENT_NAME",
    "AccountEvent",
    "Backoff",
    "Client",
    "ClientEvent",
    "ClientLimits",
    "EventStream",
    "GroupEvent",
    "Ports",
    "Signal",
    "StoreChanged",
    "Token",
    "connect",
    "system_ports",
]
