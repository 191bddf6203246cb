"""What people type into ``groupd chat``, and what they read."""

from __future__ import annotations

import pytest
from rich.cells import cell_len
from trio.testing import MockClock

from groupd.cli.chat.table import COMMANDS, THEMES
from groupd.config import PLANS, Plan
from tests.cli.rig import Person, Room, open_room
from tests.server.bench import settled

pytestmark = pytest.mark.usefixtures("autojump_clock")


async def tea(room: Room, *others: str) -> tuple[str, list[Person]]:
    """Let Alice found a group, and the others join it and open it."""
    alice = await room.seat("alice")
    group = (await alice.types("/create Tea 茶")).split("Tea 茶: ")[1].split(".")[0]
    people = [alice]
    for user in others:
        person = await room.seat(user)
        await person.types(f"/join {group}")
        people.append(person)
    for person in people:
        person.reads()
    return group, people


async def test_a_first_visit_says_what_to_type() -> None:
    async with open_room() as room:
        alice = await room.seat("alice")
        said = alice.reads()
        assert "You are alice." in said
        assert "/create NAME" in said
        assert "/nonsense" in await alice.types("/nonsense")
        assert "Choose a group first" in await alice.types("hello")
        await alice.types("/quit")
        assert alice.has_left.is_set()


async def test_every_command_is_in_the_help() -> None:
    async with open_room() as room:
        alice = await room.seat("alice")
        said = await alice.types("/help")
        for theme, commands in THEMES.items():
            assert theme in said
            for word, command in commands.items():
                assert f"/{word} {command.arguments}".strip() in said
                assert command.meaning in said
        assert sum(map(len, THEMES.values())) == len(COMMANDS)
        some = await alice.types("/help slow")
        assert "/slow" in some
        assert "/chats" not in some


async def test_no_command_fails_for_what_is_missing_or_wrong() -> None:
    """Whatever is typed after it, a command is refused in words or does something."""
    async with open_room() as room:
        _, (alice, _bob) = await tea(room, "bob")
        for word in COMMANDS:
            if word in ("quit", "leave", "dissolve"):
                continue
            for rest in ("", "5", "bob", "bob x=1 'y", "zzz 99999 off"):
                await alice.types(f"/{word} {rest}")
        await alice.types("/quit")
        assert alice.has_left.is_set()
        assert "Not done" in alice.screen.getvalue()


async def test_a_conversation() -> None:
    async with open_room() as room:
        _, (alice, bob) = await tea(room, "bob")
        assert "4 bob hello @alice" in await bob.types("hello @alice")
        assert "bob hello @alice" in alice.reads()
        assert "bob to 4: yes" in await bob.types("/reply 4 yes")
        assert "alice 👍 to message 4" in await alice.types("/react 4 👍")
        assert "bob has edited message 4: good morning" in await bob.types("/edit 4 good morning")
        alice.reads()
        said = await alice.types("/history")
        assert "bob good morning (edited) · 👍 1 (you) · 1 reply" in said
        assert "has edited" not in said
        thread = await alice.types("/thread 4")
        assert "bob to 4: yes" in thread
        assert "1 reply. /reply 4 TEXT" in thread
        assert "hello @alice" in await alice.types("/edits 4")
        assert "👍 by alice" in await alice.types("/reactors 4 👍")
        assert "has taken 👍 off message 4" in await alice.types("/unreact 4 👍")
        assert "alice has recalled message 4" in await alice.types("/recall 4")
        said = await bob.types("/history")
        # Its edit was erased with it, and is no message of its own.
        assert said.count("bob (recalled)") == 1


async def test_cards_and_the_board() -> None:
    async with open_room() as room:
        _, (alice, bob) = await tea(room, "bob")
        typed = "/card goods title='Green tea' price=1990 currency=CNY"
        assert "[goods] Green tea" in await alice.types(typed)
        assert "price is missing" in await alice.types("/card goods title=x")
        assert "has pinned message 4" in await alice.types("/pin 4")
        await alice.types("/announce Tasting on Friday")
        assert "You have seen announcement 6" in await bob.types("/ack")
        said = await alice.types("/info")
        for words in ("Tasting on Friday (seen by 1)", "4 alice: [goods] Green tea", "2 of 200"):
            assert words in said
        assert "alice announces: Tasting on Friday" in await bob.types("/announcements")
        assert "has unpinned message 4" in await alice.types("/unpin 4")


async def test_joining_by_approval() -> None:
    async with open_room() as room:
        group, (alice,) = await tea(room)
        changed = await alice.types("/update join_policy=approval")
        assert "has changed join_policy to approval" in changed
        bob = await room.seat("bob")
        assert "Tea 茶" in await bob.types("/search 茶")
        said = await bob.types(f"/join {group} I bring tea")
        assert "by approval: you wait for its admins" in said
        assert said.count("you wait") == 1
        assert "You wait to be let into" not in said
        assert 'bob asks to join: "I bring tea" /approve' in alice.reads()
        assert "I bring tea" in await alice.types("/requests")
        assert "alice has let bob in" in await alice.types("/approve bob")
        assert "alice has let you into Tea 茶: /use Tea 茶" in bob.reads()
        assert "Not done: somebody else has decided this" in await alice.types("/approve bob")
        assert "Now in Tea 茶." in await bob.types("/use Tea 茶")

        carol = await room.seat("carol")
        await carol.types(f"/join {group}")
        assert "You do not wait for Tea 茶 any more." in await carol.types("/withdraw")
        await carol.types(f"/join {group}")
        await alice.types("/decline carol")
        assert "Tea 茶 has declined your request" in carol.reads()
        assert "Try again in 1 day." in await carol.types(f"/join {group}")


async def test_an_invitation_that_came_while_nobody_listened_is_told() -> None:
    plans = PLANS | {"ordinary": Plan(direct_add_below=0)}
    async with open_room(plans=plans) as room:
        _, (alice,) = await tea(room)
        assert "bob is invited and may /accept" in await alice.types("/invite bob")
        bob = await room.seat("bob")
        assert "alice invites you into Tea 茶: /accept or /refuse" in bob.reads()
        assert "Now in Tea 茶." in await bob.types("/accept")
        await bob.types("/quit")
        again = await room.seat("bob")
        assert "invites you" not in again.reads()


async def test_links() -> None:
    async with open_room() as room:
        _, (alice,) = await tea(room)
        made = await alice.types("/link wechat uses=1 expires=1d")
        code = made.split("/join ")[1].split()[0]
        assert "has made a share link for wechat" in made
        bob = await room.seat("bob")
        assert "by a link of alice on wechat" in await bob.types(f"/join {code}")
        carol = await room.seat("carol")
        used_up = await carol.types(f"/join {code}")
        assert "Not done: the link was used as often as it may be. Ask for a new one." in used_up
        assert "1/1  link_used_up" in await alice.types("/links")
        assert "has revoked a share link" in await alice.types(f"/revoke {code}")


async def test_a_link_can_be_scanned_or_typed_as_its_url() -> None:
    async with open_room() as room:
        _, (alice,) = await tea(room)
        made = await alice.types("/share weibo uses=2")
        assert "█" in made
        url = made.split("or type: /join ")[1].split()[0]
        assert url.startswith("groupd://join/")
        bob = await room.seat("bob")
        assert "by a link of alice on weibo" in await bob.types(f"/join {url} hello")


async def test_who_is_named_in_a_reply_is_mentioned() -> None:
    async with open_room() as room:
        _, (alice, bob) = await tea(room, "bob")
        await alice.types("tea?", "/create Other")
        await bob.types("/reply 4 yes @alice")
        assert "1 unread, 1 mention." in await alice.types("/chats")


async def test_a_message_is_liked() -> None:
    async with open_room() as room:
        _, (alice, bob) = await tea(room, "bob")
        await alice.types("tea?")
        assert "like to message 4" in await bob.types("/like 4")
        # No cursor here: a message has to be named.
        assert "Expected the number of a message" in await bob.types("/like")


async def test_the_list_of_chats() -> None:
    async with open_room() as room:
        _, (alice, bob) = await tea(room, "bob")
        await bob.types("/create 一个名字很长的群聊天室", "hi", "/create Quiet", "/create Loud")
        await alice.types("hello @bob", "again")
        said = await bob.types("/use tea", "/pin-chat", "/use loud", "/dnd", "/chats")
        assert "Tea 茶 is pinned to the top of your chats." in said
        assert "Loud does not disturb you any more." in said
        rows = said[said.index("chat ") :].splitlines()
        assert rows[1].startswith("^  Tea 茶")
        assert "alice: again" in rows[1]
        assert any(row.startswith("z  Loud") for row in rows)
        # Chinese takes two columns for a character, and the columns stay straight.
        marks = [cell_len(row[: row.index("bob: hi")]) for row in rows if "bob: hi" in row]
        assert marks == [cell_len(rows[1][: rows[1].index("alice: again")])]
        assert "is marked as unread" in await bob.types("/mark")
        assert "is not pinned any more" in await bob.types("/use tea", "/pin-chat off")


async def test_reading_is_told_to_the_server() -> None:
    async with open_room() as room:
        _, (alice, bob) = await tea(room, "bob")
        await alice.types("one", "two")
        assert "one" in bob.reads()
        assert "0 unread" in await bob.types("/chats")


async def test_people() -> None:
    async with open_room() as room:
        _, (alice, bob) = await tea(room, "bob")
        assert "is shown on your profile" in await alice.types("/show")
        said = await bob.types("/profile alice")
        assert "alice, Alice" in said
        assert "Tea 茶" in said
        assert "Now with bob alone." in await alice.types("/direct bob")
        assert "alice talks with you alone: /use alice" in bob.reads()
        await alice.types("psst")
        assert "alice alice psst" in bob.reads()
        assert "You have blocked alice" in await bob.types("/block alice")
        assert "alice  Alice" in await bob.types("/blocks")
        assert "Not done: one of the two has blocked the other." in await alice.types("hey")
        assert "do not block alice any more" in await bob.types("/unblock alice")
        assert "You block nobody." in await bob.types("/blocks")


async def test_people_of_ones_groups() -> None:
    async with open_room() as room:
        _, (alice, _bob) = await tea(room, "bob")
        said = await alice.types("/users bob @alice carol")
        assert "bob    Bob" in said
        assert "alice  Alice" in said
        assert "carol" not in said
        assert "You share no group with any of them" in await alice.types("/users carol")
        assert "Expected users" in await alice.types("/users")


async def test_a_command_that_changes_nothing_says_so() -> None:
    async with open_room() as room:
        _, (alice, _bob) = await tea(room, "bob")
        nothing = "Nothing changed."
        for line in ("/dnd off", "/mark off", "/pin-chat off", "/show off", "/nick", "/slow off"):
            assert await alice.types(line) == nothing + "\n", line
        await alice.types("hello")
        for line in (
            *("/pin-chat", "/dnd", "/mark", "/show", "/block carol", "/unblock carol"),
            *("/nick Tea Queen", "/update name=Tea", "/pin 4", "/unpin 4", "/react 4 like"),
            *("/role bob admin", "/mute-all", "/slow 10s"),
        ):
            assert nothing not in await alice.types(line), line
            assert (await alice.types(line)).endswith(nothing + "\n"), line


async def test_a_name_that_was_never_heard_is_to_be_searched_first() -> None:
    async with open_room() as room:
        await tea(room)
        bob = await room.seat("bob")
        bob.reads()
        assert "/search WORDS finds groups" in await bob.types("/join Tea")
        assert "/search WORDS finds groups" in await bob.types("/join " + "x" * 38)
        await bob.types("/search tea")
        assert "Now in Tea 茶." in await bob.types("/join Tea 茶")


async def test_only_what_has_rules_is_offered_for_an_explanation() -> None:
    async with open_room() as room:
        _, (alice,) = await tea(room)
        offered = (await alice.types("/explain sing")).replace(".", ",").split(": ")[1].split(", ")
        assert {"post", "create", "direct", "join"} <= set(offered)
        assert not {"hello", "ping", "search", "nearby", "operator_log"} & set(offered)
        assert "Expected a method" in await alice.types("/explain ping")
        assert "You may direct." in await alice.types("/explain direct user=bob")


async def test_groups_near_a_place() -> None:
    async with open_room() as room:
        _, (alice,) = await tea(room)
        await alice.types("/update location=31.23,121.47")
        assert "Tea 茶" in await alice.types("/nearby 31.23 121.47")
        assert "No such group" in await alice.types("/nearby 39.9 116.4 10")
        await alice.types("/update location=")
        assert "No such group" in await alice.types("/nearby 31.23,121.47 1")


async def test_order() -> None:
    async with open_room() as room:
        group, (alice, bob, carol) = await tea(room, "bob", "carol")
        assert "has made bob an admin" in await alice.types("/role bob admin")
        assert "has muted carol until" in await bob.types("/mute carol 10m")
        assert "Not done: an admin has muted you. Until " in await carol.types("hi")
        assert "lets carol speak again" in await bob.types("/unmute carol")
        assert "one message in 30 s" in await bob.types("/slow 30s")
        await carol.types("hi")
        assert "Try again in 30 s" in await carol.types("hi again")
        assert "has ended the slow mode" in await bob.types("/slow off")
        assert "lets only admins speak" in await bob.types("/mute-all")
        assert "only admins may speak" in await carol.types("hi")
        assert "lets all members speak again" in await bob.types("/mute-all off")
        explained = await carol.types("/explain kick user=bob")
        assert "You may not kick." in explained
        assert "role in the group is too low" in explained
        assert "carol goes by Tea Queen here" in await carol.types("/nick Tea Queen")
        assert "Tea Queen (Carol)" in await bob.types("/members")

        carol.reads()
        await bob.types("/kick carol too loud")
        said = carol.reads()
        assert "bob has taken you out: too loud" in said
        assert "You may join again." in said
        assert "Choose another group" in said
        await carol.types(f"/join {group}")
        await bob.types("/ban carol 1h enough")
        assert "bob has banned you from Tea 茶." in carol.reads()
        assert "carol is banned from this group" in await carol.types(f"/join {group}")
        assert "carol  bob" in await bob.types("/bans")
        assert "has ended the ban of carol" in await bob.types("/unban carol")

        bob.reads()
        await alice.types("/transfer bob")
        assert "Tea 茶 is offered to you, to be its owner: /accept-transfer" in bob.reads()
        assert "Tea 茶 is yours now." in await bob.types("/accept-transfer")
        assert "bob owns Tea 茶 now; you are one of its admins." in alice.reads()
        await alice.types("/leave")
        await bob.types("/dissolve")
        assert "bob has dissolved Tea 茶." in bob.screen.getvalue()


async def test_a_lost_connection_is_told(autojump_clock: MockClock) -> None:
    async with open_room() as room:
        _, (alice, bob) = await tea(room, "bob")
        alice.links[-1].cut()
        await settled()
        assert "The connection is lost" in alice.reads()
        await bob.types("are you there?")
        autojump_clock.jump(60)
        await settled()
        said = alice.reads()
        assert "Connected again." in said
        assert "are you there?" in said
        assert "I am" in await alice.types("I am")


async def test_others_in_the_group_see_that_somebody_types() -> None:
    async with open_room() as room:
        _, (alice, bob) = await tea(room, "bob")
        bob.reads()
        await alice.types("/typing")
        assert "alice is typing" in bob.reads()
        assert "typing" not in alice.reads()
