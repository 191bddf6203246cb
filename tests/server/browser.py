"""The other side of a WebSocket: what a browser does, over any link."""

from __future__ import annotations

from websockets.client import ClientProtocol
from websockets.protocol import OPEN
from websockets.server import ServerProtocol
from websockets.uri import parse_uri

from groupd.server.link import Link
from groupd.server.websocket import Framing, WebSocketLink

FRAME_MAX_BYTES = 1 << 22


class Masking(Framing):
    """Makes the messages of a client: masked, each with another mask."""

    def __init__(self, protocol: ClientProtocol) -> None:
        super().__init__()
        self._protocol = protocol

    def message(self, data: bytes | memoryview) -> bytes:
        """Put bytes into a message."""
        self._protocol.send_binary(bytes(data))
        return b"".join(self._protocol.data_to_send())


def websockets(
    client: Link, server: Link, *, frame_max_bytes: int = FRAME_MAX_BYTES
) -> tuple[WebSocketLink, WebSocketLink]:
    """Give the two ends of a WebSocket that has been agreed to; its client's end first."""
    speaks = ClientProtocol(parse_uri("ws://groupd.example/ws"), state=OPEN, max_size=None)
    answers = ServerProtocol(state=OPEN, max_size=(None, frame_max_bytes))
    return (
        WebSocketLink(client, speaks, Masking(speaks)),
        WebSocketLink(server, answers, Framing()),
    )
