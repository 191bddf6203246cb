"""The servers that groupd is compared with: one file for each protocol."""

from __future__ import annotations

from typing import Final

from bench.peers.base import Peer
from bench.peers.irc import InspIRCd, NgIRCd
from bench.peers.mosquitto import Mosquitto
from bench.peers.nats import Nats
from bench.peers.redis import Redis
from bench.peers.reference import PaddedReference, Reference
from bench.peers.xmpp import Ejabberd, Prosody

PEERS: Final[dict[str, Peer]] = {
    peer.name: peer
    for peer in (
        Redis(),
        Nats(),
        Mosquitto(),
        InspIRCd(),
        NgIRCd(),
        Ejabberd(),
        Prosody(),
        Reference(),
        PaddedReference(),
    )
}
"""By name, in the order of the table."""
