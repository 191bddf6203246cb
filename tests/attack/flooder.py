"""Floods a server from a process of its own, so that whoever measures is not held up by it.

Run as a script it reads one line of JSON: where to connect, how often, and what to say first and
then again and again. It reads all answers and looks at none, until its standard input ends.
"""

from __future__ import annotations

import json
import selectors
import socket
import sys

READ_BYTES = 1_048_576


def flood(host: str, port: int, sessions: int, first: bytes, again: bytes) -> None:
    """Say the same on all connections, as fast as the server reads it."""
    waiting = selectors.DefaultSelector()
    waiting.register(sys.stdin, selectors.EVENT_READ)
    for _ in range(sessions):
        sock = socket.create_connection((host, port))
        sock.sendall(first)
        sock.setblocking(False)
        waiting.register(sock, selectors.EVENT_READ | selectors.EVENT_WRITE, bytearray())
    print("flooding", flush=True)
    while True:
        for key, events in waiting.select():
            if key.fileobj is sys.stdin:
                return
            assert isinstance(key.fileobj, socket.socket)
            sock, rest = key.fileobj, key.data
            if events & selectors.EVENT_READ and not sock.recv(READ_BYTES):
                waiting.unregister(sock)
            elif events & selectors.EVENT_WRITE:
                if not rest:
                    rest += again
                del rest[: sock.send(rest)]


if __name__ == "__main__":
    order = json.loads(sys.stdin.readline())
    flood(
        order["host"],
        order["port"],
        order["sessions"],
        bytes.fromhex(order["first"]),
        bytes.fromhex(order["again"]),
    )
