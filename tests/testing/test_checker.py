"""The checker finds every break of an invariant, names it, and is silent about a good history."""

from __future__ import annotations

import ast
import gc
import json
import re
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from types import FrameType
from typing import Any, Final

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import groupd.testing
from groupd.testing import checker
from groupd.testing.checker import check
from groupd.testing.checker_report import PER_INVARIANT_MAX, Report, said_alike, same
from groupd.testing.checker_run import prepare
from groupd.testing.history import Entry, History, HistoryError
from tests.testing.broken_histories import BROKEN, Break
from tests.testing.good_history import CODE, Draft, G, Item, Session, World, good_history, id_of

SOURCES: Final = sorted(Path(groupd.testing.__file__).parent.glob("checker*.py"))


def names_of(history: History) -> set[str]:
    return {violation.invariant for violation in check(history)}


def broken(change: Break) -> History:
    draft = Draft.of(good_history())
    change(draft)
    return draft.build()


# --- what it finds


def test_a_good_history_has_no_violation() -> None:
    assert check(good_history()) == []


def test_a_draft_that_nobody_changes_is_the_same_history() -> None:
    assert list(Draft.of(good_history()).build()) == list(good_history())


@pytest.mark.parametrize(
    ("name", "change", "implied"), BROKEN, ids=[change.__name__ for _, change, _ in BROKEN]
)
def test_a_broken_history_is_caught_and_named(
    name: str, change: Break, implied: frozenset[str]
) -> None:
    names = names_of(broken(change))
    assert name in names
    assert names <= {name} | implied


def test_the_table_lists_what_is_found_and_each_was_shown_to_be() -> None:
    rows = [line for line in (checker.__doc__ or "").splitlines() if line.startswith("| ``")]
    listed = {name for row in rows for name in re.findall(r"``([a-z-]+)``", row.split("|")[1])}
    assert listed == {name for name, _, _ in BROKEN}


def test_a_violation_says_where_to_look() -> None:
    (violation,) = check(broken(lambda draft: draft.remove(draft.push_of("cleo", 7))))
    assert violation.invariant == "push-gap"
    assert "cleo" in violation.message
    assert "seq 8 came where 7" in violation.message
    assert len(violation.entries) == 1


def test_of_one_invariant_no_more_than_the_limit_is_listed() -> None:
    world = World()
    world.append(("", G), "ann", "created")
    for _ in range(PER_INVARIANT_MAX + 20):
        world.append(("", G), "bob", "posted", text="hm")
    world.store()
    found = [v for v in check(world.history) if v.invariant == "stranger-posted"]
    assert len(found) == PER_INVARIANT_MAX == 100
    assert "there are more" in found[-1].message


# --- what it lets pass


def passes(change: Break) -> None:
    assert check(broken(change)) == []


def store_the_other(draft: Draft) -> None:
    """Of the two posts that nobody knows of, store the second, too."""
    row = {**draft.row(38), "user": "ann", "id": id_of(33), "body": {"text": "never stored"}}
    draft.log().append({**row, "seq": row["seq"] + 1, "n": row["n"] + 1})
    draft.remove(draft.find("healed", lambda args: True))  # Nobody was pushed it.


def test_what_nobody_knows_of_may_be_stored_or_not() -> None:
    # The good history has one of each; here both are stored.
    passes(store_the_other)


def test_a_founding_may_be_heard_of_before_it_is_asked_for_again() -> None:
    def lose_the_answer(draft: Draft) -> None:
        answer, before = draft.request(1, "ok"), draft.request(10)
        again = draft.insert(before, draft.request(1).entry)
        draft.insert(before, answer.entry, again)
        answer.entry = Entry(answer.entry.time, "ann", "info", "create")

    passes(lose_the_answer)


@pytest.mark.parametrize("code", ["unavailable", "internal"])
def test_an_error_after_which_nobody_can_know_is_no_refusal(code: str) -> None:
    def refuse(draft: Draft) -> None:
        store_the_other(draft)
        outcome = draft.request(33, "info")
        error = {"code": code, "message": "no", "retry_after_ms": 1}
        outcome.entry = Entry(outcome.entry.time, "ann", "fail", "post", {}, error, 1)

    passes(refuse)


def test_a_text_is_compared_in_its_composed_form() -> None:
    def decompose(draft: Draft) -> None:
        draft.note(draft.request(38), text="mercí"[:4] + "i\u0301")
        text = "merc\u00ed"
        draft.row(38)["body"]["text"] = text
        for user in ("ann", "bob", "cleo"):
            push = draft.push_of(user, draft.seq(38))
            draft.note(push, event={**push.args["event"], "text": text})

    passes(decompose)


def test_an_id_may_be_written_in_capitals() -> None:
    passes(lambda draft: draft.note(draft.request(10), id=id_of(10).upper()))


def test_a_page_may_be_cut_before_its_end() -> None:
    def cut(draft: Draft) -> None:
        page = draft.find("history", lambda args: "after" in args, "ok")
        draft.answer(page, events=page.entry.result["events"][:1], more=True)

    passes(cut)


def test_an_earlier_dump_may_hold_what_was_erased_since() -> None:
    def dump(draft: Draft) -> None:
        store = draft.find("log", lambda args: args["stream"][2] == G)
        rows = [dict(row) for row in draft.log()[:12]]
        rows[5]["body"] = {"text": "two", "mentions": ["ann"]}
        rows[9]["body"] = {"message": 6, "text": "two!"}
        args = {"stream": ["group", "", G], "records": rows}
        draft.insert(store, Entry(0, "store", "info", "log", args))

    passes(dump)


def test_without_healing_nobody_has_to_catch_up() -> None:
    def cut(draft: Draft) -> None:
        draft.remove(draft.find("healed", lambda args: True))
        draft.remove(draft.push_of("bob", draft.seq(38)))
        draft.remove(draft.request(38, "ok"))

    passes(cut)


def test_a_renewed_hello_changes_nothing_of_what_comes_next() -> None:
    def renew(draft: Draft) -> None:
        hello = draft.find("hello", lambda args: args["user"] == "cleo", "invoke")
        before = draft.request(19)
        again = draft.insert(before, hello.entry)
        head = draft.seq(18)
        line = {"group": G, "role": "admin", "head": head}
        answer = Entry(0, "cleo", "ok", "hello", {}, {"groups": [line]}, 3)
        draft.insert(before, answer, again)

    passes(renew)


def left_around_hello(*, leaves_first: bool) -> History:
    """Bob posts and leaves while, or after, a second connection of his is greeted.

    The greeting was subscribed when he posted, and its list was made when he had left.
    """
    world, key = World(), ("", G)
    world.connect("ann", 1)
    of = world.ask(1, "create", name="g", members=["bob"], id=id_of(1))
    world.append(key, "ann", "created", id_of(1), name="g", plan="ordinary")
    world.append(key, "ann", "joined", id_of(1), via="created", role="owner")
    world.append(key, "ann", "joined", id_of(1), via="added", member="bob")
    world.history.ok(of, {"group": G, "seq": 1})
    world.connect("bob", 2, **{G: 3})
    world.history.note("bob", "connected", connection=3)
    hello = world.history.invoke("bob", "hello", {"client": "test"}, user="bob", connection=3)
    answer = {"user": "bob", "account": {"head": 0}, "groups": []}
    if leaves_first:
        world.sessions[3] = Session("bob", "")
        post = world.ask(2, "post", group=G, text="bye", id=id_of(2))
        leave = world.ask(2, "leave", group=G, id=id_of(3))
        world.slow.add(3)
        posted = world.append(key, "bob", "posted", id_of(2), text="bye")
        left = world.append(key, "bob", "left", id_of(3))
        world.history.ok(hello, answer)
        world.roles[key]["bob"] = "member"
        for seq in (posted, left):
            world.push(3, key, seq)
        del world.roles[key]["bob"]
        world.posted(post, posted)
        world.history.ok(leave, {"seq": left})
    else:
        world.history.ok(hello, answer)
        world.sessions[3] = Session("bob", "")
        world.post(2, "still here", id_of(2))
        world.do(2, "leave", "left", {}, id=id_of(3))
    world.store()
    return world.history


def test_who_leaves_while_being_greeted_may_hear_of_it() -> None:
    assert check(left_around_hello(leaves_first=True)) == []


def test_who_leaves_after_being_greeted_must_have_been_told_where_the_group_stood() -> None:
    assert names_of(left_around_hello(leaves_first=False)) == {"push-gap"}


def test_pushes_of_an_account_are_compared_with_its_log() -> None:
    def push(seq: int) -> Callable[[Draft], None]:
        def change(draft: Draft) -> None:
            event = {"seq": seq, "time_ms": 5, "kind": "added", "group": G, "at": 3}
            args = {"user": "bob", "event": event}
            entry = Entry(0, "bob", "info", "account_event", args, {}, 2)
            draft.insert(draft.request(10), entry)
            row = {"seq": 1, "time_ms": 5, "user": "bob", "kind": "added", "id": "", "n": 0}
            dump = {"stream": ["account", "", "bob"], "records": [{**row, "body": {}}]}
            draft.items.append(Item(Entry(0, "store", "info", "log", dump), None))

        return change

    passes(push(1))
    assert names_of(broken(push(2))) == {"published-not-durable", "push-gap"}


# --- what the order of entries means


def test_who_knows_a_seq_knows_the_earlier_ones_and_none_comes_before_one_is_asked_for() -> None:
    world, key = World(), ("", G)
    world.append(key, "ann", "created", plan="ordinary")
    world.append(key, "ann", "joined", via="created", role="owner")
    world.connect("ann", 1)
    world.slow.add(1)
    before = world.history.note("ann", "connected", connection=2)
    asked = world.ask(1, "post", group=G, text="hi", id=id_of(1))
    world.append(key, "ann", "posted", id_of(1), text="hi")
    # Nobody asked for these, and of all four only the last one is ever seen.
    for link in (1, 2, 3):
        world.append(key, "", "link_revoked", link=link)
    seen = world.history.note("ann", "lagged", connection=1, user="ann", group=G, head=6)
    after = world.history.note("ann", "connected", connection=3)
    world.store()
    run = prepare(world.history, Report())
    assert (run.low(key, seen), run.low(key, after)) == (2, 6)
    assert (run.high(key, before), run.high(key, asked)) == (2, 6)


def is_free(one: Item, other: Item) -> bool:
    """Say whether two neighbours may change places: nothing else can tell which came first."""
    pair = (one.entry, other.entry)
    sent = {entry.type == "invoke" for entry in pair}
    connections = {entry.connection for entry in pair}
    return len(sent) == 1 and len(connections) == 2 and 0 not in connections


@settings(max_examples=60, deadline=None)
@given(
    st.sampled_from([None, *(change for _, change, _ in BROKEN)]),
    st.lists(st.integers(0, 400), max_size=200),
)
def test_the_order_of_independent_entries_does_not_matter(
    change: Break | None, places: list[int]
) -> None:
    draft = Draft.of(good_history())
    if change is not None:
        change(draft)
    expected = {(v.invariant, v.where) for v in check(draft.build())}
    items = draft.items
    for place in places:
        at = place % (len(items) - 1)
        if is_free(items[at], items[at + 1]):
            items[at], items[at + 1] = items[at + 1], items[at]
    assert {(v.invariant, v.where) for v in check(draft.build())} == expected


# --- how long it takes


def long_history(rounds: int) -> History:
    """Give a history of about 12 entries a round: posts, a read, a page, now and then a hello."""
    world = World()
    for connection, user in enumerate(("ann", "bob", "cleo"), 1):
        world.connect(user, connection)
    of = world.ask(1, "create", name="g", members=["bob", "cleo"], id=id_of(1))
    world.append(("", G), "ann", "created", id_of(1), name="g", plan="ordinary")
    world.append(("", G), "ann", "joined", id_of(1), via="created", role="owner")
    for user in ("bob", "cleo"):
        world.append(("", G), "ann", "joined", id_of(1), via="added", member=user)
    world.history.ok(of, {"group": G, "seq": 1})
    connection = 3
    for number in range(rounds):
        seq = world.post(1, "hi", id_of(10 + 2 * number))
        world.post(2, "ho", id_of(11 + 2 * number), mentions=["cleo"])
        of = world.ask(1, "read", group=G, seq=seq)
        world.history.ok(of, {"read": seq, "unread": 1, "mentions": 0})
        if number % 10 == 9:
            world.page(2, after=seq - 20)
        if number % 50 == 49:
            world.disconnect(connection)
            connection += 1
            world.connect("cleo", connection, **{G: 4})
    world.history.note("server", "healed")
    world.store()
    return world.history


def lines_run(work: Callable[[], Any]) -> int:
    """Count the lines of the checker that are run: its work, whatever the machine."""
    count = 0
    files = {str(file) for file in SOURCES}

    def trace(frame: FrameType, event: str, _argument: Any) -> Any:
        nonlocal count
        if frame.f_code.co_filename not in files:
            return None
        count += event == "line"
        return trace

    earlier = sys.gettrace()
    sys.settrace(trace)
    try:
        work()
    finally:
        sys.settrace(earlier)
    return count


def test_twice_the_history_is_twice_the_work() -> None:
    short, long = long_history(150), long_history(600)
    assert check(short) == check(long) == []
    lines = [lines_run(lambda history=history: check(history)) for history in (short, long)]
    assert lines[1] / lines[0] < 1.1 * len(long) / len(short)


def test_a_hundred_thousand_entries_are_checked() -> None:
    gc.disable()  # It would go through all that was built again and again.
    try:
        history = long_history(8_300)
        assert len(history) >= 100_000
        assert check(history) == []
    finally:
        gc.enable()


# --- files and the command


def test_a_history_survives_its_file(tmp_path: Path) -> None:
    history = good_history()
    history.to_jsonl(tmp_path / "history.jsonl")
    again = History.from_jsonl(tmp_path / "history.jsonl")
    assert list(again) == list(history)
    assert check(again) == []


@pytest.mark.parametrize(
    ("line", "why"),
    [
        ("{", "no JSON"),
        ("[]", "no JSON object"),
        ('{"time": 1, "process": "a", "type": "ok"}', "op is missing"),
        ('{"time": 1, "process": "a", "type": "yes", "op": "x"}', "type is 'yes'"),
        ('{"time": "1", "process": "a", "type": "ok", "op": "x"}', "time is '1'"),
        ('{"time": true, "process": "a", "type": "ok", "op": "x"}', "time is True"),
        ('{"time": 1, "process": "a", "type": "ok", "op": "x", "of": 9}', "of is 9"),
        ('{"time": 0, "process": "a", "type": "info", "op": "x"}', "time falls"),
        ('{"time": 1, "process": "a", "type": "info", "op": "x", "y": 1}', "y is no field"),
        ("[" * 100_000, "line 2"),
    ],
)
def test_a_line_that_is_none_is_told_by_its_number(tmp_path: Path, line: str, why: str) -> None:
    file = tmp_path / "history.jsonl"
    first = json.dumps({"time": 1, "process": "a", "type": "info", "op": "x"})
    file.write_text(f"{first}\n{line}\n", "utf-8")
    with pytest.raises(HistoryError, match=re.escape(why)) as caught:
        History.from_jsonl(file)
    assert str(caught.value).startswith("line 2")


def test_a_request_has_one_outcome() -> None:
    history = good_history()
    of = history.invoke("ann", "ping", user="ann")
    history.ok(of, {})
    history.ok(of, {})
    with pytest.raises(HistoryError, match="has an outcome already"):
        check(history)


def test_without_a_log_there_is_nothing_to_compare_with() -> None:
    with pytest.raises(HistoryError, match="no log of the store"):
        check(History(lambda: 0))


def test_the_token_is_not_recorded_and_whom_a_request_names_is() -> None:
    history = History(lambda: 0)
    number = history.invoke("ann", "kick", {"group": G, "user": "bob", "token": "t"}, user="ann")
    assert history[number].args == {"group": G, "whom": "bob", "user": "ann"}


def test_the_command_says_that_all_is_well(tmp_path: Path) -> None:
    file = tmp_path / "history.jsonl"
    good_history().to_jsonl(file)
    command = [sys.executable, "-m", "groupd.testing.checker", str(file)]
    result = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert (result.returncode, result.stderr) == (0, "")
    assert result.stdout.startswith("All is well in 2")


def test_the_command_shows_what_is_wrong_and_exits_with_1(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "history.jsonl"
    broken(lambda draft: draft.remove(draft.push_of("cleo", 7))).to_jsonl(file)
    monkeypatch.setattr(sys, "argv", ["checker", str(file)])
    with pytest.raises(SystemExit, match=r"^1$"):
        checker.main()
    assert "push-gap" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("arguments", "why"),
    [(["broken"], "line 1: no JSON"), (["nothing"], "No such file"), ([], "usage: ")],
)
def test_the_command_exits_with_2_on_bad_input(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    arguments: list[str],
    why: str,
) -> None:
    (tmp_path / "broken").write_text("{", "utf-8")
    monkeypatch.setattr(sys, "argv", ["checker", *(str(tmp_path / name) for name in arguments)])
    with pytest.raises(SystemExit, match=r"^2$"):
        checker.main()
    assert why in capsys.readouterr().err


# --- how it is written


def imports(source: str) -> Iterator[str]:
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            yield node.module or "."


def test_the_checker_is_written_apart_from_the_server() -> None:
    history = SOURCES[0].with_name("history.py")
    names = {name for file in (*SOURCES, history) for name in imports(file.read_text("utf-8"))}
    own = {name for name in names if name.startswith("groupd")}
    assert own <= {f"groupd.testing.{file.stem}" for file in (*SOURCES, history)}
    assert {name.partition(".")[0] for name in names - own} <= {
        *sys.stdlib_module_names,
        *("attrs", "rich"),
    }


def test_values_are_compared_as_clients_would() -> None:
    assert same({"a": [1, (2,)]}, {"a": (1, [2])})
    assert not same({"a": 1}, {"a": True})
    assert not same({"a": 1}, {"a": 1, "b": None})
    assert said_alike({"title": " x "}, {"title": "x", "n": None})
    assert len(CODE) == 38
