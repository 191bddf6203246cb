"""One good, rich history, told by a few helpers that stand in for a recorder and a server.

``World`` does only what the story needs: it appends to logs, pushes to the sessions at once, and
notes what a client would. That it tells the truth is what the test of the good history shows.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Mapping
from typing import Any, Final

import attrs

from groupd.testing.history import Entry, History

G: Final = "3FQ7ZK2M9T5XW8BC"
H: Final = "7Q2M9XK4T0BVHS8D"
CODE: Final = G + "c" * 22
HIDDEN_KINDS: Final = ("requested", "acknowledged", "transfer_offered")
START_MS: Final = 1_750_000_000_000


def id_of(number: int) -> str:
    return f"01977420-dc00-7abc-8def-{number:012d}"


@attrs.define
class Session:
    user: str
    tenant: str


@attrs.define
class World:
    now_us: int = 0
    history: History = attrs.field(init=False)
    logs: dict[tuple[str, str], list[dict[str, Any]]] = attrs.field(factory=dict)
    roles: dict[tuple[str, str], dict[str, str]] = attrs.field(factory=dict)
    sessions: dict[int, Session] = attrs.field(factory=dict)
    slow: set[int] = attrs.field(factory=set)
    erased: dict[tuple[tuple[str, str], int], int] = attrs.field(factory=dict)

    def __attrs_post_init__(self) -> None:
        self.history = History(self._tick)

    def _tick(self) -> int:
        self.now_us += 1_000
        return self.now_us

    # --- the server

    def append(self, key: tuple[str, str], user: str, kind: str, id: str = "", **body: Any) -> int:
        """Append one record, and push it."""
        log = self.logs.setdefault(key, [])
        roles = self.roles.setdefault(key, {})
        n = (log[-1]["n"] if log else 0) + (kind in ("posted", "announced"))
        row = {
            "seq": len(log) + 1,
            "time_ms": START_MS + self.now_us // 1_000,
            "user": user,
            "kind": kind,
            "id": id,
            "n": n,
            "body": body,
        }
        log.append(row)
        if kind == "created":
            roles[user] = "owner"
        if kind == "joined":
            roles[body.get("member", user)] = body.get("role", "member")
        if kind == "role_set":
            roles[body["member"]] = body["role"]
        if kind == "transferred":
            roles[body["former"]], roles[user] = "admin", "owner"
        for connection, session in self.sessions.items():
            if session.tenant == key[0] and session.user in roles and connection not in self.slow:
                self.push(connection, key, len(log))
        if kind in ("left", "kicked"):
            roles.pop(body.get("member", user))
        if kind == "recalled":
            for seq in (body["message"], *body.get("edits", ())):
                self.erased[key, seq] = len(log)
        return len(log)

    def shown(self, key: tuple[str, str], seq: int, user: str) -> dict[str, Any]:
        """Give a record as this user sees it."""
        row = self.logs[key][seq - 1]
        header = {"group": key[1], "seq": seq, "time_ms": row["time_ms"]}
        if row["kind"] in HIDDEN_KINDS and self.roles[key][user] == "member":
            return {**header, "kind": "hidden"}
        header["user"] = row["user"]
        if (key, seq) in self.erased:
            return {**header, "kind": "erased"}
        named = {"id": row["id"]} if row["id"] else {}
        return {**header, "kind": row["kind"], **named, **row["body"]}

    def push(self, connection: int, key: tuple[str, str], seq: int) -> None:
        session = self.sessions[connection]
        args = {"tenant": session.tenant} if session.tenant else {}
        event = self.shown(key, seq, session.user)
        self.history.note(
            session.user, "event", connection=connection, user=session.user, event=event, **args
        )

    # --- a client

    def connect(self, user: str, connection: int, tenant: str = "", **reads: int) -> None:
        """Connect and say hello; ``reads`` is group -> ``read`` of its line."""
        history = self.history
        history.note(user, "connected", connection=connection)
        params = {"client": "test"}
        of = history.invoke(user, "hello", params, user=user, tenant=tenant, connection=connection)
        lines = []
        for key, roles in self.roles.items():
            if key[0] == tenant and user in roles:
                lines.append(self._line(key, user, reads.get(key[1], 0)))
        history.ok(of, {"user": user, "account": {"head": 0}, "groups": lines})
        self.sessions[connection] = Session(user, tenant)

    def _line(self, key: tuple[str, str], user: str, read: int) -> dict[str, Any]:
        head = len(self.logs[key])
        unread = [
            row
            for row in self.logs[key][read:]
            if row["kind"] in ("posted", "announced") and (key, row["seq"]) not in self.erased
        ]
        mentions = [row for row in unread if user in row["body"].get("mentions", ())]
        numbers = {"read": read, "unread": len(unread), "mentions": len(mentions)}
        return {"group": key[1], "role": self.roles[key][user], "head": head, **numbers}

    def disconnect(self, connection: int) -> None:
        session = self.sessions.pop(connection)
        self.history.note(session.user, "disconnected", connection=connection)

    def ask(self, connection: int, op: str, **params: Any) -> int:
        session = self.sessions[connection]
        return self.history.invoke(
            *(session.user, op, params),
            user=session.user,
            tenant=session.tenant,
            connection=connection,
        )

    def refuse(self, connection: int, code: str, op: str, reason: str = "", **params: Any) -> None:
        error = {"code": code, "message": "no"} | ({"reason": reason} if reason else {})
        self.history.fail(self.ask(connection, op, **params), error)

    def post(self, connection: int, text: str, id: str = "", **more: Any) -> int:
        """Post into G, with or without an id, and give the seq."""
        named = {"id": id} if id else {}
        of = self.ask(connection, "post", group=G, text=text, **more, **named)
        seq = self.append(("", G), self.sessions[connection].user, "posted", id, text=text, **more)
        self.posted(of, seq)
        return seq

    def posted(self, of: int, seq: int) -> None:
        time_ms = self.logs["", G][seq - 1]["time_ms"]
        self.history.ok(of, {"status": "posted", "seq": seq, "time_ms": time_ms})

    def do(self, connection: int, op: str, kind: str, body: dict[str, Any], **params: Any) -> int:
        """Do something in G that makes one event, and give its seq."""
        of = self.ask(connection, op, group=G, **params)
        user = self.sessions[connection].user
        seq = self.append(("", G), user, kind, params.get("id", ""), **body)
        self.history.ok(of, {"seq": seq, "group": G} if op == "join" else {"seq": seq})
        return seq

    def page(self, connection: int, **asked: int) -> None:
        """Read a page of G's log; with ``after``, all of the rest."""
        user = self.sessions[connection].user
        of = self.ask(connection, "history", group=G, **asked)
        head = len(self.logs["", G])
        first = asked.get("after", 0) + 1
        last = min(head, asked.get("before", head + 1) - 1)
        events = [self.shown(("", G), seq, user) for seq in range(first, last + 1)]
        self.history.ok(of, {"events": events, "head": head, "floor": 1, "more": False})

    def store(self) -> None:
        """Dump all logs, and the hashes of the states."""
        for key, log in self.logs.items():
            records = copy.deepcopy(log)
            for row in records:
                if (key, row["seq"]) in self.erased:
                    row["body"] = None
            stream = ["group", *key]
            self.history.note("store", "log", stream=stream, records=records)
            self.history.note(
                *("store", "state"), stream=stream, live="aa", replayed="aa", from_snapshot="aa"
            )


def good_history() -> History:
    """Tell the story."""
    world = World()
    history, g, h = world.history, ("", G), ("acme", H)
    people = ("ann", "bob", "cleo", "dan", "eve", "gus")
    history.note(
        *("server", "config"),
        members_max={"ordinary": 5},
        pins_max={"ordinary": 1},
        admins_max={"ordinary": 1},
        groups_owned_max={"ordinary": 1},
        groups_joined_max={"ordinary": 2},
        plans=dict.fromkeys(people, "ordinary"),
        outbox_max_bytes=1_000_000,
        complete=True,
    )
    history.note("server", "resources", when="before", tasks=4, descriptors=9, outbox_bytes=0)
    for connection, user in enumerate(people, 1):
        world.connect(user, connection, "acme" if user == "dan" else "")

    # Two groups are founded, one of them hidden, in another tenant.
    of = world.ask(1, "create", name="g", members=["bob", "cleo"], id=id_of(1))
    world.append(g, "ann", "created", id_of(1), name="g", plan="ordinary")
    world.append(g, "ann", "joined", id_of(1), via="created", name="Ann", role="owner")
    world.append(g, "ann", "joined", id_of(1), via="added", member="bob")
    world.append(g, "ann", "joined", id_of(1), via="added", member="cleo")
    history.ok(of, {"group": G, "seq": 1})
    of = world.ask(4, "create", name="h", discoverable=False, id=id_of(2))
    world.append(h, "dan", "created", id_of(2), name="h", discoverable=False, plan="ordinary")
    world.append(h, "dan", "joined", id_of(2), via="created", role="owner")
    history.ok(of, {"group": H, "seq": 1})
    world.refuse(1, "not_found", "info", group=H)

    # They talk; bob sends two posts at once.
    world.post(1, "one", id_of(10))
    two = world.post(2, "two", id_of(11), mentions=["ann"])
    first = world.ask(2, "post", group=G, text="three", id=id_of(12))
    second = world.ask(2, "post", group=G, text="four", id=id_of(13))
    three = world.append(g, "bob", "posted", id_of(12), text="three")
    four = world.append(g, "bob", "posted", id_of(13), text="four")
    world.posted(second, four)
    world.posted(first, three)
    world.post(3, "five")
    edit = world.do(
        *(2, "edit", "edited", {"message": two, "text": "two!"}),
        seq=two,
        text="two!",
        id=id_of(14),
    )
    of = world.ask(2, "read", group=G, seq=edit)
    history.ok(of, {"read": edit, "unread": 0, "mentions": 0})

    # An admin, a pin, an announcement that bob has seen, and who only admins learn of.
    world.do(
        1, "set_role", "role_set", {"member": "cleo", "role": "admin"}, user="cleo", role="admin"
    )
    world.refuse(2, "forbidden", "pin", "role", group=G, seq=two)
    world.do(3, "pin", "pinned", {"message": three}, seq=three)
    news = world.do(3, "announce", "announced", {"text": "news"}, text="news", id=id_of(15))
    world.do(2, "acknowledge", "acknowledged", {"message": news}, seq=news, id=id_of(16))

    # Eve asks to join and waits; gus comes by a link; then the group is full.
    world.do(1, "update", "updated", {"changes": {"join_policy": "approval"}}, id=id_of(17))
    of = world.ask(5, "join", group=G, message="hi", id=id_of(18))
    seq = world.append(g, "eve", "requested", id_of(18), via="search", message="hi")
    history.ok(of, {"status": "pending", "group": G, "seq": seq})
    world.post(1, "who is eve?", id_of(19))
    world.do(3, "approve", "joined", {"via": "approval", "member": "eve"}, user="eve")
    of = world.ask(1, "share_link", group=G, uses_max=1, id=id_of(20))
    world.append(g, "ann", "link_made", id_of(20), link=1, key_id="k", uses_max=1)
    history.ok(of, {"code": CODE, "url": CODE})
    of = world.ask(6, "join", code=CODE, id=id_of(21))
    seq = world.append(g, "gus", "joined", id_of(21), via="link", link=1, sharer="ann")
    history.ok(of, {"status": "joined", "group": G, "seq": seq})
    world.connect("hal", 7)
    world.refuse(7, "group_full", "join", group=G, id=id_of(22))

    # Bob goes and comes back; what he has missed, he reads. Ann takes his post back meanwhile.
    head = len(world.logs[g])
    world.disconnect(2)
    world.do(1, "recall", "recalled", {"message": two, "edits": [edit]}, seq=two, id=id_of(23))
    world.post(6, "hello all", id_of(24), mentions=["bob"])
    world.connect("bob", 8, **{G: edit})
    world.page(8, after=head)
    world.page(8)

    # Ann is slow, and is told so.
    world.slow.add(1)
    world.post(8, "six", id_of(25))
    world.post(8, "seven", id_of(26))
    head = len(world.logs[g])
    history.note("ann", "lagged", connection=1, user="ann", group=G, head=head)
    world.slow.clear()
    world.post(8, "eight", id_of(27))
    world.page(1, after=head - 2)

    # Gus leaves and eve is taken out; they hear no more.
    world.do(6, "leave", "left", {}, id=id_of(28))
    world.do(3, "kick", "kicked", {"member": "eve"}, user="eve", id=id_of(29))
    world.post(1, "they are gone", id_of(30))
    world.refuse(6, "forbidden", "history", "not_member", group=G)
    world.refuse(5, "forbidden", "post", "not_member", group=G, text="?", id=id_of(31))

    # A crash. Of two posts nobody knows; one of them was stored, and is sent again.
    lost = world.ask(8, "post", group=G, text="in doubt", id=id_of(32))
    never = world.ask(1, "post", group=G, text="never stored", id=id_of(33))
    for connection in list(world.sessions):
        world.slow.add(connection)
    doubt = world.append(g, "bob", "posted", id_of(32), text="in doubt")
    history.note("server", "crash")
    history.info(lost, "the connection was cut")
    history.info(never, "the connection was cut")
    for connection in list(world.sessions):
        world.disconnect(connection)
    world.slow.clear()
    history.note("server", "restart")
    mine = doubt - 1
    for connection, user in enumerate(people, 11):
        read = {"ann": mine, "bob": doubt, "cleo": news}.get(user, 0)
        tenant = "acme" if user == "dan" else ""
        world.connect(user, connection, tenant, **{G: read, H: 2})
    again = world.ask(12, "post", group=G, text="in doubt", id=id_of(32))
    world.posted(again, doubt)
    world.page(11, after=mine)

    # All is mended. The group is handed over, the other one ends.
    history.note("server", "healed")
    world.do(11, "transfer", "transfer_offered", {"member": "cleo"}, user="cleo", id=id_of(34))
    world.do(13, "accept_transfer", "transferred", {"former": "ann"}, id=id_of(35))
    world.post(12, "to the new owner", id_of(36))
    of = world.ask(14, "dissolve", group=H, id=id_of(37))
    history.ok(of, {"seq": world.append(h, "dan", "dissolved", id_of(37))})
    world.now_us += 40_000_000
    world.post(13, "thanks", id_of(38))
    world.store()
    history.note("server", "resources", when="after", tasks=4, descriptors=9, outbox_bytes=0)
    return history


# --- breaking it


@attrs.define(eq=False)
class Item:
    """An entry that can be moved about: what it is the outcome of is kept by identity."""

    entry: Entry
    of: Item | None

    @property
    def args(self) -> dict[str, Any]:
        return dict(self.entry.args)


@attrs.define
class Draft:
    """A history that can be changed."""

    items: list[Item]

    @classmethod
    def of(cls, history: History) -> Draft:
        items: list[Item] = []
        for entry in history:
            items.append(Item(copy.deepcopy(entry), items[entry.of - 1] if entry.of else None))
        return cls(items)

    def build(self) -> History:
        """Number it again; times are made to rise."""
        history = History(lambda: 0)
        numbers: dict[Item, int] = {}
        time = 0
        for item in self.items:
            time = max(time, item.entry.time)
            of = 0 if item.of is None else numbers[item.of]
            numbers[item] = history.append(attrs.evolve(item.entry, time=time, of=of))
        return history

    def find(self, op: str, test: Callable[[Mapping[str, Any]], bool], how: str = "info") -> Item:
        """Give the first entry of this op, for outcomes by the args of their request."""
        for item in self.items:
            entry = item.entry
            args = entry.args if item.of is None else item.of.entry.args
            if entry.op == op and entry.type == how and test(args):
                return item
        raise LookupError(op)

    def push_of(self, user: str, seq: int, group: str = G) -> Item:
        return self.find(
            "event",
            lambda args: (
                args["user"] == user
                and args["event"]["seq"] == seq
                and args["event"]["group"] == group
            ),
        )

    def request(self, number: int, how: str = "invoke") -> Item:
        """Give the first request with this id, or its outcome."""
        id = id_of(number)
        for item in self.items:
            asked = item if item.of is None else item.of
            if asked.entry.args.get("id") == id and item.entry.type == how:
                return item
        raise LookupError(number)

    def log(self, group: str = G) -> list[dict[str, Any]]:
        """Give the records of a log, to be changed in place."""
        records: list[dict[str, Any]] = self.find(
            "log", lambda args: args["stream"][2] == group
        ).entry.args["records"]
        return records

    def row(self, number: int) -> dict[str, Any]:
        """Give the first record of a request."""
        return next(row for row in self.log() if row["id"] == id_of(number))

    def seq(self, number: int) -> int:
        seq: int = self.row(number)["seq"]
        return seq

    def remove(self, item: Item) -> None:
        self.items.remove(item)

    def swap(self, one: Item, other: Item) -> None:
        a, b = self.items.index(one), self.items.index(other)
        self.items[a], self.items[b] = other, one

    def insert(self, before: Item, entry: Entry, of: Item | None = None) -> Item:
        item = Item(attrs.evolve(entry, of=0), of)
        self.items.insert(self.items.index(before), item)
        return item

    def answer(self, item: Item, **changes: Any) -> None:
        """Change an answer."""
        item.entry = attrs.evolve(item.entry, result={**item.entry.result, **changes})

    def note(self, item: Item, **changes: Any) -> None:
        """Change what was observed or asked for."""
        item.entry = attrs.evolve(item.entry, args={**item.entry.args, **changes})
