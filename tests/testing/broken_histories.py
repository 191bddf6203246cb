"""The good history, broken by hand in one place each: what a server with a bug would have left.

A function changes a draft. ``BROKEN`` has, for each, the violation that it must cause, and what
that implies and may be named with it.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

import attrs

from groupd.testing.history import Entry
from tests.testing.good_history import Draft, G, H, Item, id_of

Break = Callable[[Draft], None]


def put_row(draft: Draft, **row: Any) -> None:
    """Append a record to the log of G, which nobody has seen yet."""
    log = draft.log()
    last = log[-1]
    n = last["n"] + (row["kind"] in ("posted", "announced"))
    row = {"time_ms": last["time_ms"], "id": "", "n": n, "body": {}, **row}
    log.append({"seq": last["seq"] + 1, **row})


# --- the log


def a_seq_is_missing(draft: Draft) -> None:
    # Nobody was ever answered or pushed it: a gap that only the log shows.
    seq = draft.log()[-1]["seq"]
    put_row(draft, user="bob", kind="reacted", body={"message": 5})
    draft.log()[-1]["seq"] = seq + 2


def the_log_does_not_begin_with_created(draft: Draft) -> None:
    draft.log(H)[0]["kind"] = "updated"


def time_falls(draft: Draft) -> None:
    put_row(draft, user="bob", kind="reacted", body={"message": 5}, time_ms=1)


def a_count_is_wrong(draft: Draft) -> None:
    draft.log()[-1]["n"] += 1


def a_post_is_stored_twice(draft: Draft) -> None:
    put_row(draft, user="bob", kind="posted", id=id_of(32), body={"text": "in doubt"})


def one_create_founds_two_groups(draft: Draft) -> None:
    of = draft.request(1)
    again = draft.insert(draft.request(10), of.entry)
    records = [{**row, "body": dict(row["body"]), "seq": row["seq"]} for row in draft.log()[:2]]
    other = "Z" * 16
    draft.insert(
        draft.request(10), Entry(0, "ann", "ok", "create", {}, {"group": other, "seq": 1}, 1), again
    )
    store = draft.find("log", lambda args: True)
    draft.insert(
        store,
        attrs.evolve(store.entry, args={"stream": ["group", "", other], "records": records}),
    )
    # What the second founding would have pushed.
    for row in records:
        header = {name: row[name] for name in ("seq", "time_ms", "user", "kind", "id")}
        event = {"group": other, **header, **row["body"]}
        draft.insert(
            draft.request(10),
            Entry(0, "ann", "info", "event", {"user": "ann", "event": event}, {}, 1),
        )
    hellos = [i for i in draft.items if i.entry.op == "hello" and i.entry.type == "ok"]
    last = [item for item in hellos if item.entry.process == "ann"][-1]
    lines = last.entry.result["groups"]
    extra = {"group": other, "role": "owner", "head": 2, "read": 2, "unread": 0, "mentions": 0}
    draft.answer(last, groups=[*lines, extra])


def a_body_goes_without_an_event(draft: Draft) -> None:
    draft.row(13)["body"] = None


def what_was_recalled_is_kept(draft: Draft) -> None:
    draft.row(11)["body"] = {"text": "two", "mentions": ["ann"]}


def an_edit_of_it_is_kept(draft: Draft) -> None:
    draft.row(14)["body"] = {"message": draft.seq(11), "text": "two!"}


def a_recall_forgets_an_edit(draft: Draft) -> None:
    draft.row(23)["body"] = {"message": draft.seq(11)}
    draft.row(14)["body"] = {"message": draft.seq(11), "text": "two!"}
    for item in draft.items:
        event = item.entry.args.get("event", {})
        if event.get("kind") == "recalled":
            del event["edits"]
        for shown in item.entry.result.get("events", ()):
            if shown["kind"] == "recalled":
                del shown["edits"]
            if shown["seq"] == draft.seq(14):
                shown |= {"kind": "edited", "id": id_of(14), **draft.row(14)["body"]}


def a_stored_header_changes(draft: Draft) -> None:
    draft.row(12)["time_ms"] += 1


def a_later_dump_has_another_body(draft: Draft) -> None:
    store = draft.find("log", lambda args: args["stream"][2] == H)
    earlier = [dict(row, body={"name": "other"}) for row in draft.log(H)[:1]]
    args = {"stream": ["group", "acme", H], "records": earlier}
    draft.insert(store, attrs.evolve(store.entry, args=args))


def a_restart_loses_a_stored_record(draft: Draft) -> None:
    store = draft.find("log", lambda args: args["stream"][2] == H)
    more = {**draft.log(H)[-1], "seq": 4, "kind": "posted", "id": ""}
    args = {"stream": ["group", "acme", H], "records": [*draft.log(H), more]}
    draft.insert(store, attrs.evolve(store.entry, args=args))


# --- answers


def an_acknowledged_post_is_lost(draft: Draft) -> None:
    draft.log().pop()


def an_answer_names_another_seq(draft: Draft) -> None:
    draft.answer(draft.request(10, "ok"), seq=draft.seq(12))


def an_answer_names_another_time(draft: Draft) -> None:
    draft.answer(draft.request(10, "ok"), time_ms=1)


def a_post_without_an_id_is_given_anothers_seq(draft: Draft) -> None:
    answer = draft.find("post", lambda args: args["text"] == "five", "ok")
    draft.answer(answer, seq=draft.seq(10))


def an_old_id_answers_for_new_content(draft: Draft) -> None:
    again = draft.find("post", lambda args: args["text"] == "in doubt", "ok").of
    assert again is not None
    draft.note(again, text="something else")


def what_is_stored_was_never_sent(draft: Draft) -> None:
    # The only attempt has no answer, and the log has something else under its id.
    put_row(draft, user="ann", kind="posted", id=id_of(33), body={"text": "not this"})


def a_refused_post_takes_effect(draft: Draft) -> None:
    outcome, error = draft.request(33, "info"), {"code": "rate_limited", "message": "no"}
    outcome.entry = attrs.evolve(outcome.entry, type="fail", result=error)
    put_row(draft, user="ann", kind="posted", id=id_of(33), body={"text": "never stored"})


def a_retry_is_refused(draft: Draft) -> None:
    answers = [i for i in draft.items if i.entry.type == "ok" and i.of is not None]
    retry = next(i for i in answers if i.of and i.of.entry.args.get("id") == id_of(32))
    error = {"code": "forbidden", "reason": "role", "message": "no"}
    retry.entry = attrs.evolve(retry.entry, type="fail", result=error)


def a_later_post_comes_first(draft: Draft) -> None:
    # Sent only when the one that follows it in the log was acknowledged.
    sent, answered = draft.request(30), draft.request(30, "ok")
    draft.items.remove(sent)
    draft.insert(draft.request(36), sent.entry)
    draft.items.remove(answered)
    answered.of = draft.request(30)
    draft.items.insert(draft.items.index(draft.request(36)), answered)


def pipelined_posts_change_places(draft: Draft) -> None:
    one, other = draft.request(12), draft.request(13)
    draft.swap(one, other)


def somebody_never_said_that(draft: Draft) -> None:
    put_row(draft, user="bob", kind="posted", id=id_of(99), body={"text": "hi"})


# --- pushes


def what_was_pushed_is_not_stored(draft: Draft) -> None:
    last = draft.log()[-1]["seq"] + 1
    push = draft.push_of("ann", last - 1)
    event = {**push.args["event"], "seq": last, "id": id_of(98)}
    args = {**push.entry.args, "event": event}
    draft.items.append(Item(attrs.evolve(push.entry, args=args), None))


def a_push_was_another_record(draft: Draft) -> None:
    push = draft.push_of("bob", draft.seq(10))
    draft.note(push, event={**push.args["event"], "id": id_of(97), "time_ms": 5})


def a_head_is_beyond_the_log(draft: Draft) -> None:
    lagged = draft.find("lagged", lambda args: True)
    draft.note(lagged, head=1_000)


def a_push_has_another_text(draft: Draft) -> None:
    push = draft.push_of("bob", draft.seq(10))
    draft.note(push, event={**push.args["event"], "text": "won"})


def two_saw_different_texts_before_it_was_erased(draft: Draft) -> None:
    push = draft.push_of("ann", draft.seq(11))
    draft.note(push, event={**push.args["event"], "text": "too"})


def a_push_has_another_header(draft: Draft) -> None:
    push = draft.push_of("bob", draft.seq(10))
    draft.note(push, event={**push.args["event"], "user": "cleo"})


def a_push_is_missing(draft: Draft) -> None:
    draft.remove(draft.push_of("cleo", draft.seq(12)))


def a_joiner_misses_the_beginning(draft: Draft) -> None:
    draft.remove(draft.push_of("gus", draft.seq(21)))


def a_push_comes_twice(draft: Draft) -> None:
    push = draft.push_of("cleo", draft.seq(12))
    draft.insert(push, push.entry)


def two_pushes_change_places(draft: Draft) -> None:
    draft.swap(draft.push_of("cleo", draft.seq(12)), draft.push_of("cleo", draft.seq(13)))


def a_lag_is_not_told(draft: Draft) -> None:
    draft.remove(draft.find("lagged", lambda args: True))


def a_lag_goes_back(draft: Draft) -> None:
    draft.note(draft.find("lagged", lambda args: True), head=3)


def a_push_comes_before_hello(draft: Draft) -> None:
    push = draft.push_of("bob", draft.seq(10))
    push.entry = attrs.evolve(push.entry, connection=99)


def the_last_push_never_comes(draft: Draft) -> None:
    draft.remove(draft.push_of("bob", draft.seq(38)))


def a_reconnected_one_hears_nothing(draft: Draft) -> None:
    for item in list(draft.items):
        if item.entry.op == "event" and item.entry.connection == 13:
            draft.remove(item)


def a_client_never_comes_back(draft: Draft) -> None:
    healed = draft.find("healed", lambda args: True)
    hello = Entry(0, "ida", "invoke", "hello", {"user": "ida"}, {}, 50)
    draft.insert(draft.items[draft.items.index(healed) + 1], hello)


def a_request_is_never_answered(draft: Draft) -> None:
    draft.remove(draft.request(36, "ok"))


# --- who reads


def a_leaver_hears_more(draft: Draft) -> None:
    push = draft.push_of("bob", draft.seq(30))
    args = {**push.entry.args, "user": "gus"}
    draft.insert(push, attrs.evolve(push.entry, process="gus", connection=6, args=args))


def one_taken_out_hears_more(draft: Draft) -> None:
    push = draft.push_of("bob", draft.seq(30))
    args = {**push.entry.args, "user": "eve"}
    draft.insert(push, attrs.evolve(push.entry, process="eve", connection=5, args=args))


def a_leaver_reads_on(draft: Draft) -> None:
    refusal = draft.find("history", lambda args: args["user"] == "gus", "fail")
    answer = {"events": [], "head": draft.seq(30), "floor": 1, "more": False}
    refusal.entry = attrs.evolve(refusal.entry, type="ok", result=answer)


def one_who_waits_hears_of_it(draft: Draft) -> None:
    push = draft.push_of("bob", draft.seq(19))
    args = {**push.entry.args, "user": "eve"}
    draft.insert(push, attrs.evolve(push.entry, process="eve", connection=5, args=args))


def a_stranger_hears_of_it(draft: Draft) -> None:
    push = draft.push_of("bob", draft.seq(10))
    args = {**push.entry.args, "user": "gus"}
    draft.insert(push, attrs.evolve(push.entry, process="gus", connection=6, args=args))


def a_stranger_is_listed(draft: Draft) -> None:
    hello = draft.find("hello", lambda args: args["user"] == "hal", "ok")
    line = {"group": G, "role": "member", "head": draft.seq(21)}
    draft.answer(hello, groups=[line])


def a_plain_member_reads_what_is_for_admins(draft: Draft) -> None:
    seq = draft.seq(16)
    draft.note(draft.push_of("bob", seq), event=draft.push_of("ann", seq).args["event"])


def an_admin_gets_it_hidden(draft: Draft) -> None:
    seq = draft.seq(16)
    draft.note(draft.push_of("ann", seq), event=draft.push_of("bob", seq).args["event"])


def a_message_is_shown_as_erased(draft: Draft) -> None:
    push = draft.push_of("bob", draft.seq(10))
    event = {n: push.args["event"][n] for n in ("group", "seq", "time_ms", "user")}
    draft.note(push, event={**event, "kind": "erased"})


def page_of(draft: Draft, user: str) -> Any:
    return draft.find("history", lambda args: args["user"] == user and "after" in args, "ok")


def full_page(draft: Draft) -> Any:
    return draft.find("history", lambda args: "after" not in args, "ok")


def what_was_recalled_is_shown(draft: Draft) -> None:
    page = full_page(draft)
    events = list(page.entry.result["events"])
    events[draft.seq(11) - 1] = draft.push_of("ann", draft.seq(11)).args["event"]
    draft.answer(page, events=events)


def a_page_has_a_gap(draft: Draft) -> None:
    page = full_page(draft)
    events = list(page.entry.result["events"])
    del events[6]
    draft.answer(page, events=events)


def a_page_ends_too_soon(draft: Draft) -> None:
    page = page_of(draft, "ann")
    draft.answer(page, events=page.entry.result["events"][:-1])


def a_page_has_another_text(draft: Draft) -> None:
    page = full_page(draft)
    events = list(page.entry.result["events"])
    events[draft.seq(10) - 1] = {**events[draft.seq(10) - 1], "text": "won"}
    draft.answer(page, events=events)


def a_page_has_another_floor(draft: Draft) -> None:
    draft.answer(full_page(draft), floor=2)


def a_page_is_older_than_what_was_answered(draft: Draft) -> None:
    page = page_of(draft, "ann")
    draft.answer(page, events=[], head=draft.seq(11), more=False)


# --- who does


def row_by(user: str, kind: str, **body: Any) -> Break:
    """Give what appends one more record to the log of G, which nobody has seen yet."""

    def change(draft: Draft) -> None:
        put_row(draft, user=user, kind=kind, body=body)

    change.__name__ = f"{user or 'the server'} may not: {kind}"
    return change


def a_muted_member_posts(draft: Draft) -> None:
    put_row(draft, user="cleo", kind="muted", body={"member": "bob", "until_ms": 2**50})
    put_row(draft, user="bob", kind="posted", body={"text": "hm"})


def a_plain_member_posts_though_all_are_muted(draft: Draft) -> None:
    put_row(draft, user="cleo", kind="all_muted", body={"on": True})
    put_row(draft, user="bob", kind="posted", body={"text": "hm"})


def a_plain_member_ignores_slow_mode(draft: Draft) -> None:
    put_row(draft, user="cleo", kind="slow_mode_set", body={"interval_ms": 2**50})
    put_row(draft, user="bob", kind="posted", body={"text": "hm"})


def a_banned_user_joins(draft: Draft) -> None:
    put_row(draft, user="cleo", kind="banned", body={"member": "hal"})
    put_row(draft, user="cleo", kind="updated", body={"changes": {"join_policy": "open"}})
    put_row(draft, user="hal", kind="joined", body={"via": "search"})


def a_link_is_used_too_often(draft: Draft) -> None:
    put_row(draft, user="hal", kind="joined", body={"via": "link", "link": 1})


def a_revoked_link_still_works(draft: Draft) -> None:
    put_row(draft, user="ann", kind="link_made", body={"link": 2})
    put_row(draft, user="ann", kind="link_revoked", body={"link": 2})
    put_row(draft, user="hal", kind="joined", body={"via": "link", "link": 2})


def something_happens_after_the_end(draft: Draft) -> None:
    log = draft.log(H)
    body = {"text": "still here"}
    log.append({**log[-1], "seq": 4, "kind": "posted", "id": "", "n": 1, "body": body})


def there_are_two_owners(draft: Draft) -> None:
    put_row(draft, user="cleo", kind="role_set", body={"member": "bob", "role": "owner"})


def the_owner_is_gone(draft: Draft) -> None:
    put_row(draft, user="cleo", kind="left", body={})


def too_many_are_let_in(draft: Draft) -> None:
    config = draft.find("config", lambda args: True)
    draft.note(config, members_max={"ordinary": 4})


def too_many_are_pinned(draft: Draft) -> None:
    put_row(draft, user="cleo", kind="pinned", body={"message": draft.seq(10)})


def an_heir_owns_too_many(draft: Draft) -> None:
    config = draft.find("config", lambda args: True)
    draft.note(config, groups_owned_max={"ordinary": 0})


def a_user_is_in_too_many(draft: Draft) -> None:
    config = draft.find("config", lambda args: True)
    draft.note(config, groups_joined_max={"ordinary": 0})


# --- refusals


def a_group_of_another_tenant_answers(draft: Draft) -> None:
    refusal = draft.find("info", lambda args: args.get("group") == H, "fail")
    refusal.entry = attrs.evolve(refusal.entry, type="ok", result={"group": H, "name": "h"})


def a_group_of_another_tenant_refuses(draft: Draft) -> None:
    refusal = draft.find("info", lambda args: args.get("group") == H, "fail")
    draft.answer(refusal, code="forbidden", reason="not_member")


def an_event_of_another_tenant_is_pushed(draft: Draft) -> None:
    push = draft.push_of("dan", 2, H)
    args = {"user": "ann", "event": push.args["event"]}
    draft.insert(
        draft.request(10), attrs.evolve(push.entry, process="ann", connection=1, args=args)
    )


def a_hidden_group_shows_itself(draft: Draft) -> None:
    before = draft.request(10)
    asked = draft.insert(
        before, Entry(0, "dot", "invoke", "post", {"user": "dot", "tenant": "acme", "group": H})
    )
    error = {"code": "forbidden", "reason": "not_member", "message": "no"}
    draft.insert(before, Entry(0, "dot", "fail", "post", {}, error), asked)


def a_member_is_told_to_be_none(draft: Draft) -> None:
    refusal = draft.find("pin", lambda args: args["user"] == "bob", "fail")
    draft.answer(refusal, reason="not_member")


def there_was_room(draft: Draft) -> None:
    config = draft.find("config", lambda args: True)
    draft.note(config, members_max={"ordinary": 6})


# --- numbers, states, resources


def hello_of_bob(draft: Draft) -> Any:
    """Give the hello after bob's first reconnect."""
    hellos = [
        item
        for item in draft.items
        if item.entry.op == "hello" and item.entry.type == "ok" and item.entry.connection == 8
    ]
    return hellos[0]


def change_line(draft: Draft, **changes: Any) -> None:
    hello = hello_of_bob(draft)
    (line,) = hello.entry.result["groups"]
    draft.answer(hello, groups=[{**line, **{k: line[k] + v for k, v in changes.items()}}])


def a_count_of_unread_is_wrong(draft: Draft) -> None:
    change_line(draft, unread=1)


def a_count_of_mentions_is_wrong(draft: Draft) -> None:
    change_line(draft, mentions=1)


def a_cursor_goes_back(draft: Draft) -> None:
    change_line(draft, read=-2)


def a_cursor_is_too_far(draft: Draft) -> None:
    change_line(draft, read=1)


def read_answers_with_a_wrong_count(draft: Draft) -> None:
    draft.answer(draft.find("read", lambda args: True, "ok"), unread=7)


def a_replay_gives_another_state(draft: Draft) -> None:
    draft.note(draft.find("state", lambda args: True), replayed="bb")


def tasks_are_left(draft: Draft) -> None:
    draft.note(draft.find("resources", lambda args: args["when"] == "after"), tasks=5)


def an_outbox_grows(draft: Draft) -> None:
    entry = Entry(0, "server", "info", "resources", {"when": "during", "outbox_bytes": 2_000_000})
    draft.insert(draft.request(10), entry)


UNSEEN: Final = frozenset({"never-caught-up", "never-asked"})
"""What follows where a record is put at the end of the log that nobody was pushed or asked for."""

BROKEN: Final[tuple[tuple[str, Break, frozenset[str]], ...]] = (
    ("seq-gap", a_seq_is_missing, UNSEEN),
    (
        "seq-gap",
        the_log_does_not_begin_with_created,
        frozenset({"header-changed", "role-at-commit", "no-owner", "two-owners"}),
    ),
    ("time-fell", time_falls, UNSEEN),
    ("count-wrong", a_count_is_wrong, frozenset()),
    ("twice", a_post_is_stored_twice, UNSEEN),
    ("twice", one_create_founds_two_groups, frozenset({"too-many-groups"})),
    ("erased-without-event", a_body_goes_without_an_event, frozenset()),
    ("recalled-kept", what_was_recalled_is_kept, frozenset()),
    ("recalled-kept", an_edit_of_it_is_kept, frozenset()),
    ("recalled-kept", a_recall_forgets_an_edit, frozenset()),
    ("header-changed", a_stored_header_changes, frozenset({"ack-elsewhere"})),
    ("body-changed", a_later_dump_has_another_body, frozenset()),
    ("lost", a_restart_loses_a_stored_record, frozenset()),
    ("lost", an_acknowledged_post_is_lost, frozenset({"published-not-durable"})),
    ("ack-elsewhere", an_answer_names_another_seq, frozenset()),
    ("ack-elsewhere", an_answer_names_another_time, frozenset()),
    ("ack-elsewhere", a_post_without_an_id_is_given_anothers_seq, frozenset()),
    ("other-content", an_old_id_answers_for_new_content, frozenset()),
    ("other-content", what_is_stored_was_never_sent, UNSEEN),
    ("refused-took-effect", a_refused_post_takes_effect, UNSEEN),
    ("retry-refused", a_retry_is_refused, frozenset()),
    ("reordered", a_later_post_comes_first, frozenset()),
    ("pipelined-reordered", pipelined_posts_change_places, frozenset()),
    ("never-asked", somebody_never_said_that, UNSEEN),
    ("published-not-durable", what_was_pushed_is_not_stored, frozenset()),
    ("published-not-durable", a_push_was_another_record, frozenset()),
    ("published-not-durable", a_head_is_beyond_the_log, frozenset({"push-not-rising"})),
    ("push-differs", a_push_has_another_text, frozenset()),
    ("push-differs", two_saw_different_texts_before_it_was_erased, frozenset()),
    ("header-changed", a_push_has_another_header, frozenset()),
    ("push-gap", a_push_is_missing, frozenset()),
    ("push-gap", a_joiner_misses_the_beginning, frozenset()),
    ("push-not-rising", a_push_comes_twice, frozenset()),
    ("push-not-rising", two_pushes_change_places, frozenset({"push-gap"})),
    ("push-gap", a_lag_is_not_told, frozenset()),
    ("push-not-rising", a_lag_goes_back, frozenset({"push-gap"})),
    ("before-hello", a_push_comes_before_hello, frozenset({"push-gap"})),
    ("never-caught-up", the_last_push_never_comes, frozenset()),
    ("never-caught-up", a_reconnected_one_hears_nothing, frozenset()),
    ("never-caught-up", a_client_never_comes_back, frozenset()),
    ("never-answered", a_request_is_never_answered, frozenset()),
    ("after-leaving", a_leaver_hears_more, frozenset()),
    ("after-leaving", one_taken_out_hears_more, frozenset()),
    ("after-leaving", a_leaver_reads_on, frozenset({"history-differs"})),
    ("pending-received", one_who_waits_hears_of_it, frozenset()),
    ("stranger-received", a_stranger_hears_of_it, frozenset()),
    ("stranger-received", a_stranger_is_listed, frozenset()),
    ("audience-leak", a_plain_member_reads_what_is_for_admins, frozenset()),
    ("wrongly-masked", an_admin_gets_it_hidden, frozenset()),
    ("wrongly-masked", a_message_is_shown_as_erased, frozenset()),
    ("erased-shown", what_was_recalled_is_shown, frozenset()),
    ("history-differs", a_page_has_a_gap, frozenset()),
    ("history-differs", a_page_ends_too_soon, frozenset()),
    ("history-differs", a_page_has_another_text, frozenset()),
    ("history-differs", a_page_has_another_floor, frozenset()),
    ("stale-read", a_page_is_older_than_what_was_answered, frozenset()),
    ("stranger-posted", row_by("hal", "posted", text="hi"), UNSEEN),
    ("stranger-posted", row_by("gus", "reacted", message=5), UNSEEN),
    ("stranger-posted", row_by("", "posted", text="hi"), UNSEEN),
    ("role-at-commit", row_by("bob", "pinned", message=5), UNSEEN | {"over-quota"}),
    ("role-at-commit", row_by("ann", "dissolved"), UNSEEN),
    ("role-at-commit", row_by("ann", "kicked", member="cleo"), UNSEEN | {"no-owner"}),
    ("role-at-commit", row_by("bob", "recalled", message=5), UNSEEN | {"recalled-kept"}),
    ("muted-spoke", a_muted_member_posts, UNSEEN),
    ("muted-spoke", a_plain_member_posts_though_all_are_muted, UNSEEN),
    ("muted-spoke", a_plain_member_ignores_slow_mode, UNSEEN),
    ("banned-joined", a_banned_user_joins, UNSEEN),
    ("member-twice", row_by("cleo", "joined", via="added", member="bob"), UNSEEN),
    ("no-way-in", row_by("hal", "joined", via="search"), UNSEEN),
    ("no-way-in", row_by("hal", "joined", via="invite"), UNSEEN),
    ("no-way-in", row_by("cleo", "joined", via="approval", member="hal"), UNSEEN),
    ("no-way-in", a_revoked_link_still_works, UNSEEN),
    ("link-overused", a_link_is_used_too_often, UNSEEN),
    ("after-dissolved", something_happens_after_the_end, UNSEEN),
    ("two-owners", there_are_two_owners, UNSEEN),
    ("no-owner", the_owner_is_gone, UNSEEN),
    ("too-many-members", too_many_are_let_in, frozenset()),
    ("over-quota", too_many_are_pinned, UNSEEN),
    ("too-many-groups", an_heir_owns_too_many, frozenset()),
    ("too-many-groups", a_user_is_in_too_many, frozenset()),
    ("tenant-leak", a_group_of_another_tenant_answers, frozenset()),
    ("tenant-leak", a_group_of_another_tenant_refuses, frozenset()),
    ("tenant-leak", an_event_of_another_tenant_is_pushed, frozenset()),
    ("existence-leak", a_hidden_group_shows_itself, frozenset()),
    ("refused-wrongly", a_member_is_told_to_be_none, frozenset()),
    ("refused-wrongly", there_was_room, frozenset()),
    ("unread-wrong", a_count_of_unread_is_wrong, frozenset()),
    ("unread-wrong", a_count_of_mentions_is_wrong, frozenset()),
    ("unread-wrong", a_cursor_is_too_far, frozenset()),
    ("cursor-back", a_cursor_goes_back, frozenset({"unread-wrong"})),
    ("unread-wrong", read_answers_with_a_wrong_count, frozenset()),
    ("state-differs", a_replay_gives_another_state, frozenset()),
    ("leak", tasks_are_left, frozenset()),
    ("outbox-over", an_outbox_grows, frozenset()),
)
