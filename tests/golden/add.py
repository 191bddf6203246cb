"""Add entries to ``events.json`` for the examples that have none: ``python -m tests.golden.add``.

See the package's docstring for why it never changes one.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

import attrs

from groupd.domain.account.blocks import Blocked, Unblocked
from groupd.domain.account.chats import ChatSet
from groupd.domain.account.hearing import (
    Added,
    HasApproved,
    HasBanned,
    HasDeclined,
    HasDeclinedInvite,
    HasDeclinedOffer,
    HasDissolved,
    HasInvited,
    HasKicked,
    HasLeft,
    HasOffered,
    HasRequested,
    HasTransferred,
    HasWithdrawn,
    InviteHasExpired,
    OfferHasExpired,
    RequestHasExpired,
)
from groupd.domain.account.profile import Profiled
from groupd.domain.account.revocation import Revoked
from groupd.domain.account.state import Disowned, Owned
from groupd.domain.base import GROUP, Event, StreamKey
from groupd.domain.group.admission import Declined, RequestExpired, Withdrawn
from groupd.domain.group.bindings import Bound, Unbound
from groupd.domain.group.board import Acknowledged, Announced, Pinned, Unpinned
from groupd.domain.group.edits import Edited
from groupd.domain.group.invitations import Invited, InviteDeclined, InviteExpired
from groupd.domain.group.links import LinkMade, LinkRevoked
from groupd.domain.group.lives import LiveEnded, LiveStarted
from groupd.domain.group.membership import Joined, Left, Requested
from groupd.domain.group.messages import Posted
from groupd.domain.group.moderation import (
    AllMuted,
    Banned,
    Kicked,
    Muted,
    SlowModeSet,
    Unbanned,
    Unmuted,
)
from groupd.domain.group.nicknames import Nicknamed
from groupd.domain.group.operated import Operated
from groupd.domain.group.orders import Ordered
from groupd.domain.group.reactions import Reacted, Unreacted
from groupd.domain.group.recalls import Recalled
from groupd.domain.group.roles import (
    RoleSet,
    TransferDeclined,
    TransferExpired,
    TransferOffered,
    Transferred,
)
from groupd.domain.group.settings import Created, Dissolved, Updated
from groupd.wire import codec

FILE: Final = Path(__file__).parent / "events.json"
GROUP_ID: Final = "3FQ7ZK2M9T5XW8BC"
OTHER_ID: Final = "H0J1N4P6R8S2V5Y7"

EXAMPLES: Final[Mapping[str, Event]] = {
    "created": Created(
        name="邻里群 🏘",
        picture="https://example.com/a.png",
        category="邻居",
        description="每周六八点\nSaturdays at 8",
        location={"lat": 31.25, "lon": 121.5},
        join_policy="invite_only",
        member_invites=False,
        discoverable=False,
        history="joined",
        time_zone="Asia/Shanghai",
        data={"shop": 7, "tags": ("a", None, True, 0.5)},
        ref="shop-7",
        plan="kuaishou",
    ),
    "created with defaults": Created(name="g", plan="ordinary"),
    "joined as the founder": Joined(via="created", name="安", role="owner"),
    "joined by being added": Joined(via="added", member="user-17"),
    "joined by a link": Joined(
        via="link", name="Émile", history="joined", link=3, channel="wechat", sharer="user-2"
    ),
    "left": Left(),
    "posted": Posted(text="大家好 👋"),
    "posted with everything": Posted(
        text="see this",
        card={"type": "goods", "price": 990_000_000_000, "off": -0.25, "pictures": ("a", "b")},
        reply_to=70_000,
        mentions=("user-2", "王芳"),
    ),
    "posted to all": Posted(text="!", mentions="all"),
    "announced": Announced(text="周六停业", dropped=1),
    "acknowledged": Acknowledged(message=300),
    "pinned": Pinned(message=5),
    "unpinned": Unpinned(message=5, dropped=2),
    "link_made": LinkMade(
        link=3,
        key_id="k1",
        channel="wechat",
        expires_at_ms=1_750_000_600_000,
        uses_max=100,
        dropped=(1, 2),
    ),
    "link_made without bounds": LinkMade(link=1, key_id="k1"),
    "link_revoked": LinkRevoked(link=3),
    "link_revoked by the server": LinkRevoked(link=4, reason="expired"),
    "updated": Updated(
        changes={
            "name": "新名",
            "location": None,
            "discoverable": False,
            "data": {"a": (1, {"b": None})},
        }
    ),
    "dissolved": Dissolved(),
    "owned": Owned(group=OTHER_ID, ref="shop-7"),
    "owned without a ref": Owned(group=OTHER_ID),
    "disowned": Disowned(group=OTHER_ID),
    "account added": Added(group=OTHER_ID, at=3, by="user-2"),
    "account left": HasLeft(group=OTHER_ID, at=90, by="user-1"),
    "account dissolved": HasDissolved(group=OTHER_ID, at=91, by="user-2"),
    "created with an entry condition": Created(
        name="粉丝群",
        join_policy="approval",
        conditions={
            "any": (
                {"claim": "fan_level", "at_least": 3, "label": "粉丝等级 3 级以上"},
                {"not": {"claim": "follows", "has": "user-9"}},
            )
        },
        public_stats=True,
        plan="circle",
    ),
    "created as a direct chat": Created(
        direct=("user-1", "王芳"),
        discoverable=False,
        member_invites=False,
        join_policy="invite_only",
    ),
    "joined by an approval": Joined(
        via="approval", name="小雨", member="user-17", link=3, channel="wechat", sharer="user-2"
    ),
    "joined while still muted": Joined(via="search", name="安", muted_until_ms=1_750_000_600_000),
    "left as the owner": Left(owned=True),
    "requested": Requested(
        name="小雨", message="我是王芳的同事", via="link", link=3, channel="qq", sharer="user-2"
    ),
    "declined": Declined(member="user-17", until_ms=1_750_086_400_000, dropped=1),
    "withdrawn": Withdrawn(),
    "request_expired": RequestExpired(member="user-17"),
    "invited": Invited(member="user-17", grants="pending"),
    "invite_declined": InviteDeclined(),
    "invite_expired": InviteExpired(member="user-17"),
    "edited": Edited(
        message=300, text="see this ✏", card={"type": "place", "lat": 31.25}, mentions=("user-2",)
    ),
    "recalled": Recalled(message=300, edits=(301, 70_000), dropped=1),
    "reacted": Reacted(message=300, reaction="👍"),
    "unreacted": Unreacted(message=300, reaction="👍"),
    "link_made by approval": LinkMade(link=4, key_id="k2", grants="pending"),
    "role_set": RoleSet(member="user-2", role="admin"),
    "transfer_offered": TransferOffered(member="user-2"),
    "transfer_declined": TransferDeclined(member="user-2"),
    "transfer_expired": TransferExpired(member="user-2"),
    "transferred": Transferred(former="user-2"),
    "nicknamed": Nicknamed(member="user-2", nickname="老王"),
    "kicked": Kicked(member="user-2", message="先冷静一下"),
    "banned": Banned(
        member="user-2", until_ms=1_750_086_400_000, message="广告", dropped=("user-8", "user-9")
    ),
    "unbanned": Unbanned(member="user-2"),
    "muted": Muted(member="user-2", until_ms=1_750_000_600_000),
    "unmuted": Unmuted(member="user-2"),
    "all_muted": AllMuted(on=True),
    "slow_mode_set": SlowModeSet(interval_ms=21_600_000),
    "operated": Operated(act="ban", member="user-2", reason="广告", operator="ops-1"),
    "profiled": Profiled(
        name="王芳",
        picture="https://example.com/b.png",
        plan="ordinary",
        gender="female",
        birth_year=1990,
    ),
    "chat_set": ChatSet(
        group=OTHER_ID,
        pinned_ms=1_750_000_000_000,
        do_not_disturb=True,
        marked_unread=False,
        shown=True,
    ),
    "chat_set unpinned": ChatSet(group=OTHER_ID, pinned_ms=0),
    "blocked": Blocked(other="user-9"),
    "unblocked": Unblocked(other="user-9"),
    "revoked": Revoked(before_ms=1_750_000_000_000),
    "account requested": HasRequested(group=OTHER_ID, at=5, by="user-1"),
    "account approved": HasApproved(group=OTHER_ID, at=6, by="user-2"),
    "account declined": HasDeclined(group=OTHER_ID, at=6, by="user-2"),
    "account withdrawn": HasWithdrawn(group=OTHER_ID, at=6, by="user-1"),
    "account invite_declined": HasDeclinedInvite(group=OTHER_ID, at=8, by="user-1"),
    "account request_expired": RequestHasExpired(group=OTHER_ID, at=6, by="user-2"),
    "account invited": HasInvited(group=OTHER_ID, at=7, by="user-2"),
    "account invite_expired": InviteHasExpired(group=OTHER_ID, at=8, by="user-2"),
    "account left and back": HasLeft(group=OTHER_ID, at=92, by="user-1", is_back=True),
    "account kicked": HasKicked(group=OTHER_ID, at=93, by="user-2", is_back=True),
    "account banned": HasBanned(group=OTHER_ID, at=94, by="user-2", is_back=True),
    "account dissolved and back": HasDissolved(group=OTHER_ID, at=95, by="user-2", is_back=True),
    "account transfer_offered": HasOffered(group=OTHER_ID, at=96, by="user-2"),
    "account transfer_declined": HasDeclinedOffer(group=OTHER_ID, at=97, by="user-1"),
    "account transfer_expired": OfferHasExpired(group=OTHER_ID, at=97, by="user-2"),
    "account transferred": HasTransferred(group=OTHER_ID, at=98, by="user-1", owned=True),
    "bound": Bound(binding="shop:42 茶"),
    "unbound": Unbound(binding="shop:42 茶"),
    "ordered": Ordered(member="user-5", order="o-1001", status="joined"),
    "ordered and invited": Ordered(member="user-5", order="o-1001"),
    "live_started": LiveStarted(live="l-7", message=300),
    "live_ended": LiveEnded(live="l-7", message=300),
}
"""Name -> example. Names are free, and never used again for another example."""


def meaning_of(event: Event) -> dict[str, Any]:
    """Give the fields of an event as JSON has them."""
    fields = {field.name: getattr(event, field.name) for field in attrs.fields(type(event))}
    meaning: dict[str, Any] = json.loads(json.dumps(fields))
    return meaning


def entry_for(name: str, event: Event, number: int) -> dict[str, Any]:
    """Make the entry of an example; its header has an id in every second one."""
    stream = StreamKey(event.stream_kind, "", GROUP_ID if event.stream_kind == GROUP else "user-1")
    header = {
        "seq": (number + 1) * 97,
        "time_ms": 1_750_000_000_000 + number,
        "user": "" if event == EXAMPLES["link_revoked by the server"] else "user-1",
        "kind": event.kind,
        "request_id": "01977420-dc00-7abc-8def-0123456789ab" if number % 2 else "",
    }
    return {
        "name": name,
        "stream": list(stream),
        "header": header,
        "event": meaning_of(event),
        "header_hex": codec.RecordWriter(stream).header(**header).hex(),
        "body_hex": codec.encode_body(event).hex(),
    }


def add() -> int:
    """Add what is missing; gives how many entries that was."""
    entries = json.loads(FILE.read_text("utf-8")) if FILE.exists() else []
    known = {entry["name"] for entry in entries}
    missing = [(name, event) for name, event in EXAMPLES.items() if name not in known]
    for number, (name, event) in enumerate(missing, len(entries)):
        entries.append(entry_for(name, event, number))
    FILE.write_text(json.dumps(entries, ensure_ascii=False, indent=1) + "\n", "utf-8")
    return len(missing)


if __name__ == "__main__":
    print(f"added {add()} entries to {FILE.name}")
