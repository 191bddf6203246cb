"""A client with nothing but msgpack and a socket: python raw_client.py HOST PORT TOKEN TOKEN."""

import socket
import sys
from typing import Any

import msgpack


class Client:
    def __init__(self, host: str, port: int, token: str) -> None:
        self.socket = socket.create_connection((host, port))
        self.unpacker, self.msgid = msgpack.Unpacker(), 0
        print(self.call("hello", token=token)["user"], "is here")

    def call(self, method: str, **params: object) -> Any:
        self.msgid += 1
        self.socket.sendall(msgpack.packb([0, self.msgid, method, [params]]))
        while True:
            for kind, *rest in self.unpacker:
                if kind == 1:  # A response: [1, msgid, error, result].
                    _msgid, error, result = rest
                    if error:
                        sys.exit(f"{method}: {error}")
                    return result
                print("  heard", rest)  # A notification: [2, method, [params]].
            self.unpacker.feed(self.socket.recv(65536) or sys.exit("the server has gone"))


host, port, *tokens = sys.argv[1:]
owner, friend = (Client(host, int(port), token) for token in tokens)
group = owner.call("create", name="Tea 茶")["group"]
print("joined:", friend.call("join", code=owner.call("share_link", group=group)["code"]))
post = friend.call("post", group=group, text="hello, 你好")
print("posted:", post)
owner.call("announce", group=group, text="Tasting on Friday")
owner.call("pin", group=group, seq=post["seq"])
for event in friend.call("history", group=group)["events"]:
    print(event["seq"], event["kind"], event["user"], event.get("text", ""))
owner.call("dissolve", group=group)
