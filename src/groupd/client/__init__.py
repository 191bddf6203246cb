"""The SDK: a client in Python for a server that runs elsewhere."""

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
]
