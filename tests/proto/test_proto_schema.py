"""What is published is what there is: schema, prose and code say the same, both ways."""

from __future__ import annotations

import ast
import json
import re
import sys
from collections.abc import Iterator, Mapping
from functools import cache
from pathlib import Path
from typing import Any, Final

import pytest

import groupd
from groupd.errors import CODES, REASONS
from groupd.testing.schema import as_json, main, problems, schema
from groupd.testing.vocabulary import SIGNALS, TESTS
from groupd.wire.rpc import FrameLimits, Unframer
from tests.proto.rig import PROTO

SCHEMA: Final = schema()
PROSE: Final = (PROTO / "groupd.md").read_text("utf-8")
SRC: Final = Path(groupd.__file__).parent

Row = Mapping[str, str]

# --- reading the prose


def sections(level: int, text: str) -> dict[str, str]:
    """Give heading -> text, for the headings of one level that are words of the protocol."""
    found: dict[str, str] = {}
    name, inside_code = "", False
    for line in text.splitlines():
        inside_code ^= line.startswith("```")
        heading = None if inside_code else re.match(r"(#+) (.*)", line)
        if heading and len(heading[1]) <= level:
            name = heading[2] if len(heading[1]) == level else ""
            assert name not in found, f"{name} has two headings"
            if name:
                found[name] = ""
        elif name:
            found[name] += line + "\n"
    return found


def words(found: Mapping[str, str]) -> dict[str, str]:
    """Keep the sections whose headings are words in backticks."""
    return {name.strip("`"): text for name, text in found.items() if name.startswith("`")}


def tables(text: str) -> Iterator[list[Row]]:
    """Give the tables of a text, each as rows of column -> cell."""
    for block in re.findall(r"(?:^\|.*\n)+", text, re.MULTILINE):
        head, _line, *rows = ([c.strip() for c in r.strip("|").split("|")] for r in _rows(block))
        yield [dict(zip(head, row, strict=True)) for row in rows]


def _rows(block: str) -> list[str]:
    # A bar inside backticks does not end a cell; there is none today.
    return block.strip().splitlines()


def table(text: str, column: str) -> dict[str, Row]:
    """Give the rows of the table that begins with ``column``, by what stands there."""
    for rows in tables(text):
        if rows and next(iter(rows[0])) == column:
            found = {row[column].strip("`"): row for row in rows}
            assert len(found) == len(rows), f"a row of {column} comes twice"
            return found
    return {}


CHAPTERS: Final = sections(2, PROSE)
METHODS: Final = words(
    sections(3, CHAPTERS["Methods"]) | sections(3, CHAPTERS["The operator's socket"])
)
ERROR_SECTIONS: Final = sections(3, CHAPTERS["Errors"])
EVENTS: Final = {
    "group": words(sections(4, sections(3, CHAPTERS["Events"])["In the log of a group"])),
    "account": words(sections(4, sections(3, CHAPTERS["Events"])["In the log of an account"])),
}


# --- the file


def test_the_schema_in_proto_is_the_one_that_the_code_makes() -> None:
    stored = (PROTO / "schema.json").read_text("utf-8")
    assert stored == as_json(), "proto/schema.json is not what the code says: run `make proto`"


def test_the_command_writes_the_schema(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "argv", ["schema", str(tmp_path)])
    main()
    assert (tmp_path / "schema.json").read_text("utf-8") == as_json()
    monkeypatch.setattr(sys, "argv", ["schema"])
    with pytest.raises(SystemExit, match="usage"):
        main()


def test_the_schema_is_text_that_people_can_read() -> None:
    text = as_json()
    assert text.endswith("}\n")
    assert "\\u" not in text
    assert json.loads(text) == SCHEMA


# --- types


def used_types() -> set[str]:
    """Give the names in all types that anything has, without lists, maps and literals."""
    shown = set(re.findall(r'"type": "((?:[^"\\]|\\.)*)"', json.dumps(SCHEMA)))
    shown |= {notification["params"] for notification in SCHEMA["notifications"].values()}
    parts = (re.sub(r'\\"\w*\\"', "", text) for text in shown)
    return {word for part in parts for word in re.findall(r"\w+", part)} - {"list", "map", "or"}


def test_every_type_that_is_used_is_explained_and_every_one_explained_is_used() -> None:
    assert used_types() <= SCHEMA["types"].keys()
    assert SCHEMA["types"].keys() - used_types() <= {"map", "any", "error"}
    assert all(word["says"].endswith(".") for word in SCHEMA["types"].values())


def test_what_is_no_shape_and_no_enumeration_can_be_told_by_a_function() -> None:
    depends = {"error_code", "reason", "event", "account_event", "error", "signal"}
    plain = {
        name
        for name, word in SCHEMA["types"].items()
        if "fields" not in word and "options" not in word
    }
    assert TESTS.keys() == plain - depends


def test_every_type_is_in_the_prose_with_its_fields() -> None:
    chapter = CHAPTERS["Types"]
    shapes = words(sections(3, chapter)) | {
        name: words(sections(3, CHAPTERS["Notifications"]))[name] for name in ("lagged", "goodbye")
    }
    listed = table(chapter, "type")
    assert shapes.keys() | listed.keys() == SCHEMA["types"].keys()
    assert not shapes.keys() & listed.keys()
    for name, row in listed.items():
        for option in SCHEMA["types"][name].get("options", ()):
            assert f"`{option}`" in row["meaning"], (name, option)
    for name, text in shapes.items():
        agree_on_types(SCHEMA["types"][name]["fields"], table(text, "field"), name)


def agree_on_types(specs: Mapping[str, Any], rows: Mapping[str, Row], where: str) -> None:
    """Compare fields and their rows: names, order, types, and which may be absent."""
    assert list(rows) == list(specs), where
    for field, spec in specs.items():
        shown = f"`{spec['type']}`" + ("?" if spec.get("optional") else "")
        assert rows[field]["type"] == shown, f"{where}.{field}"


# --- methods


def test_every_method_has_a_section_and_every_section_a_method() -> None:
    assert list(METHODS) == list(SCHEMA["methods"])


@pytest.mark.parametrize("method", SCHEMA["methods"])
def test_a_method_is_documented_as_it_is(method: str) -> None:
    spec, text = SCHEMA["methods"][method], METHODS[method]
    params = table(text, "param")
    assert list(params) == list(spec["params"])
    for name, param in spec["params"].items():
        row = params[name]
        assert row["type"] == f"`{param['type']}`", name
        assert row["default"] == shown_default(param), name
        assert row["bounds"] == shown_bounds(param), name
        assert row["meaning"], name
    agree_on_types(spec["result"], table(text, "result"), method)
    assert all(row["meaning"] for row in table(text, "result").values())
    assert f"Costs {spec['cost']}." in text
    assert ("Takes an `id`." in text) is spec["takes_id"]
    assert f"*{who(spec)}." in text


def shown_default(param: Mapping[str, Any]) -> str:
    if param["required"]:
        return "required"
    value = param.get("default")
    return "none" if value is None else f"`{json.dumps(value, ensure_ascii=False)}`"


def shown_bounds(param: Mapping[str, Any]) -> str:
    """Give bounds as the prose has them; the largest integer of all is no bound."""
    low, high = param.get("min"), param.get("max")
    if high == 2**53 - 1:
        high = None
    shown = [f"`{option}`" for option in param.get("options", ())]
    if low and high is not None:
        shown.append(f"{low:,} to {high:,}")
    elif high is not None:
        shown.append(f"at most {high:,}")
    elif low is not None:
        shown.append(f"at least {low:,}")
    if "max_bytes" in param:
        shown.append(f"at most {param['max_bytes']:,} bytes")
    return ", ".join(shown)


def who(spec: Mapping[str, Any]) -> str:
    """Give the beginning of the sentence that says who may call a method."""
    if spec["operator"]:
        return "The operator"
    if spec["min_role"] is not None:
        return {"member": "Members", "admin": "Admins and the owner", "owner": "The owner"}[
            spec["min_role"]
        ]
    return {
        "server": "Anybody with a token",
        "account": "Every user",
        "code": "Whoever holds the code",
        "group": "Everybody who can find the group"
        if spec["params"].get("group", {}).get("required", True)
        else "Everybody who can find the group, or holds a code",
    }[spec["addressed"]]


def errors_of(method: str) -> set[tuple[str, str]]:
    found: set[tuple[str, str]] = set()
    for rows in tables(METHODS[method]):
        if rows and "error" in rows[0]:
            found |= {(row["error"].strip("`"), row["reason"].strip("`")) for row in rows}
    return found


@pytest.mark.parametrize("method", SCHEMA["methods"])
def test_the_errors_of_a_method_are_codes_and_reasons_that_there_are(method: str) -> None:
    rows = table(ERROR_SECTIONS["Reasons"], "reason")
    for code, reason in errors_of(method):
        assert code in CODES
        assert not reason or rows[reason]["with"] == f"`{code}`"
        assert bool(reason) is ("reason" in CODES[code]) or code == "rate_limited"


EVERYWHERE: Final = {"bad_request", "unauthenticated", "stale_id", "unknown_method"}


def test_the_refusals_of_the_vectors_are_documented_with_their_methods() -> None:
    cases = json.loads((PROTO / "vectors" / "errors.json").read_text("utf-8"))["cases"]
    for case in cases:
        error = case["error"]
        wanted = (error["code"], error.get("reason", ""))
        if error["code"] in EVERYWHERE or wanted == ("conflict", "id_reused"):
            continue
        if wanted == ("not_found", "") and "group" in case["params"]:
            # Said once for all methods that name a group.
            continue
        assert wanted in errors_of(case["method"]), case["name"]


# --- events and notifications


@pytest.mark.parametrize("stream", SCHEMA["events"])
def test_every_kind_of_event_has_a_section_and_every_section_a_kind(stream: str) -> None:
    kinds = SCHEMA["events"][stream]
    assert list(EVENTS[stream]) == list(kinds)
    for kind, spec in kinds.items():
        text = EVENTS[stream][kind]
        rows = table(text, "field")
        assert list(rows) == list(spec["fields"]), kind
        for field, shown in spec["fields"].items():
            assert rows[field]["type"] == f"`{shown['type']}`", (kind, field)
            assert rows[field]["default"] == shown_default({"required": False, **shown})
            assert rows[field]["meaning"]
        assert ("Only admins read it." in text) is (spec["audience"] == "admins")
        assert ("Counts as unread." in text) is spec["countable"]


def test_the_header_of_events_is_documented() -> None:
    agree_on_types(SCHEMA["headers"]["group"], table(CHAPTERS["Events"], "field"), "header")


def test_the_forms_that_stand_for_events_are_documented() -> None:
    chapter = sections(3, CHAPTERS["Groups and logs"])["Hidden and erased events"]
    rows = table(chapter, "kind")
    assert rows.keys() == SCHEMA["forms"].keys()
    for form, spec in SCHEMA["forms"].items():
        assert rows[form]["fields"] == ", ".join(f"`{name}`" for name in spec["group"])


def test_every_notification_has_a_section_and_every_section_a_notification() -> None:
    found = words(sections(3, CHAPTERS["Notifications"]))
    assert list(found) == list(SCHEMA["notifications"])
    signals = table(found["signal"], "kind of signal")
    assert list(signals) == list(SCHEMA["signals"])
    for kind, row in signals.items():
        assert row["fields"] == ", ".join(f"`{name}`" for name in SCHEMA["signals"][kind]["fields"])


def test_the_server_sends_the_notifications_and_signals_that_are_published() -> None:
    sent = {
        node.args[0].value
        for node in calls(("notification_prefix", "encode_notification"))
        if node.args and isinstance(node.args[0], ast.Constant)
    }
    assert sent == SCHEMA["notifications"].keys()
    kinds = {
        keyword.value.value
        for node in calls(("signal_frame",))
        for keyword in node.keywords
        if keyword.arg == "kind" and isinstance(keyword.value, ast.Constant)
    }
    assert kinds == SIGNALS.keys()


# --- codes, reasons, limits


def test_every_code_is_documented_with_what_it_carries() -> None:
    rows = table(ERROR_SECTIONS["Codes"], "code")
    assert list(rows) == list(CODES)
    for code, spec in SCHEMA["codes"].items():
        named = set(re.findall(r"`(\w+)`", rows[code]["carries"]))
        assert named == spec["details"].keys(), code


def test_every_reason_is_documented() -> None:
    rows = table(ERROR_SECTIONS["Reasons"], "reason")
    assert list(rows) == list(REASONS)
    for reason, row in rows.items():
        assert "reason" in SCHEMA["codes"][row["with"].strip("`")]["details"], reason


def test_every_limit_of_content_is_documented() -> None:
    rows = table(CHAPTERS["All limits"], "limit")
    assert {name: row["value"] for name, row in rows.items()} == {
        name: f"{value:,}" for name, value in SCHEMA["content"].items()
    }


@cache
def trees() -> tuple[ast.Module, ...]:
    """Give the code of the server and the SDK."""
    files = sorted(SRC.rglob("*.py"))
    code = [file for file in files if file.relative_to(SRC).parts[0] != "testing"]
    return tuple(ast.parse(file.read_text("utf-8")) for file in code)


def calls(names: tuple[str, ...]) -> Iterator[ast.Call]:
    for tree in trees():
        for node in ast.walk(tree):
            if isinstance(node, ast.Call) and ast.unparse(node.func).rpartition(".")[2] in names:
                yield node


def test_every_refusal_in_the_code_carries_what_its_code_promises() -> None:
    seen = set()
    for node in calls(("Rejected",)):
        if not node.args or not isinstance(node.args[0], ast.Constant):
            continue
        code = node.args[0].value
        given = {keyword.arg for keyword in node.keywords}
        assert given >= set(CODES[code]), ast.unparse(node)
        assert given <= SCHEMA["codes"][code]["details"].keys(), ast.unparse(node)
        seen.add(code)
    # `muted` is the contract's, and for a feature that is still to come.
    assert CODES.keys() - seen == {"muted"}


def test_every_reason_is_given_somewhere() -> None:
    constants = {
        node.value
        for tree in trees()
        if not any(isinstance(n, ast.ClassDef) and n.name == "GroupdError" for n in tree.body)
        for node in ast.walk(tree)
        if isinstance(node, ast.Constant) and isinstance(node.value, str)
    }
    assert REASONS.keys() <= constants


# --- the prose itself


def test_every_example_in_bytes_is_a_vector() -> None:
    vectors = json.loads((PROTO / "vectors" / "good.json").read_text("utf-8"))
    known = {vector["hex"] for vector in vectors}
    examples = re.findall(r"```hex\n(.*?)```", PROSE, re.DOTALL)
    assert len(examples) >= 4
    for example in examples:
        data = bytes.fromhex(example)
        assert len(Unframer(FrameLimits(65_536, 1_024, 64)).feed(data)) == 1
        assert data.hex() in known


def anchor(heading: str) -> str:
    return re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-")


@pytest.mark.parametrize("name", ["groupd.md", "README.md"])
def test_every_link_leads_somewhere(name: str) -> None:
    targets = {
        file.name: {anchor(h) for h in re.findall(r"^#+ (.*)$", file.read_text("utf-8"), re.M)}
        for file in PROTO.glob("*.md")
    }
    for link in re.findall(r"\]\(([^)\s]+)\)", (PROTO / name).read_text("utf-8")):
        if link.startswith("https://"):
            continue
        file, _, place = link.partition("#")
        assert not file or (PROTO / file).exists(), link
        assert not place or place in targets[file or name], link


def test_the_table_of_contents_lists_every_heading_in_order() -> None:
    listed = re.findall(r"^ *- \[(.*)\]\(#", PROSE.partition("\n## ")[0], re.M)
    text = re.sub(r"```.*?```", "", PROSE, flags=re.DOTALL)
    assert listed == re.findall(r"^#{2,3} (.*)$", text, re.M)


def test_the_readme_names_every_vector_file_and_no_other() -> None:
    readme = (PROTO / "README.md").read_text("utf-8")
    assert set(words(sections(3, readme))) == {file.name for file in PROTO.glob("vectors/*")}


# --- the checker


EVENT: Final = {"group": "G" * 16, "seq": 1, "time_ms": 2, "user": "ann", "kind": "posted"}


@pytest.mark.parametrize(
    ("what", "value"),
    [
        ("result post", {"status": "posted", "seq": 1, "time_ms": 2}),
        ("result ping", {"time_ms": 0}),
        ("params ping", {}),
        ("params post", {"group": "G" * 16, "text": "好", "mentions": "all"}),
        ("params post", {"group": "G" * 16, "text": "好", "mentions": ["王芳"]}),
        ("event", EVENT),
        ("event", {**EVENT, "text": "好", "user": ""}),
        ("event", {"group": "G" * 16, "seq": 1, "time_ms": 2, "kind": "hidden"}),
        ("list[event or account_event]", [EVENT, {"seq": 1, "time_ms": 2, "kind": "owned"}]),
        ("notification lagged", {"group": "", "head": 5}),
        ("notification signal", {"group": "G" * 16, "user": "a", "kind": "read", "seq": 1}),
        ("error", {"code": "forbidden", "message": "", "reason": "role", "required": "admin"}),
        ("changes", {"location": None, "data": {"a": [1, None]}}),
        ("map[user, integer]", {"王芳": 3}),
    ],
)
def test_what_is_as_published_is_no_problem(what: str, value: Any) -> None:
    assert problems(what, value) == []
    assert problems(what, value, tolerant=True) == []


@pytest.mark.parametrize(
    ("what", "value", "wrong"),
    [
        ("result post", {"status": "posted", "seq": 1}, "post.time_ms: is missing"),
        ("result post", {"status": "posted", "time_ms": 1.0}, "post.time_ms: expected time_ms"),
        ("result post", {"status": "posted", "time_ms": True}, "post.time_ms: expected time_ms"),
        ("result post", ["posted"], "post: expected a map"),
        ("result history", {"events": [{}]}, "history.events[0]: expected a map with a known kind"),
        ("params pin", {"group": "G" * 16, "seq": 0}, "pin.seq: expected 1 to any, got 0"),
        ("params history", {"group": "G" * 16, "limit": 501}, "history.limit: expected 1 to 500"),
        ("params create", {"name": "a", "history": "none"}, "create.history: expected one of all"),
        ("event", {**EVENT, "seq": 0}, "event.seq: expected 1"),
        ("event", {**EVENT, "group": "short"}, "event.group: expected group"),
        ("event", {**EVENT, "text": None}, "event.text: expected text"),
        ("event", {"kind": "hidden", "group": "G" * 16, "time_ms": 2}, "event.seq: is missing"),
        ("account_event", EVENT, "account_event: expected a map with a known kind"),
        ("error", {"code": "muted", "message": ""}, "error.until_ms: is missing"),
        ("notification lagged", {"group": "G", "head": 5}, 'lagged.group: expected group or ""'),
        ("notification goodbye", {"code": "bad_request"}, "goodbye.message: is missing"),
        ("map[user, integer]", {"*": 3}, "map[user, integer], a key: expected user, got '*'"),
        ("id", "f47ac10b-58cc-4372-a567-0e02b2c3d479", "id: expected id"),
    ],
)
def test_a_problem_is_named_with_its_place(what: str, value: Any, wrong: str) -> None:
    assert any(line.startswith(wrong) for line in problems(what, value)), problems(what, value)
    assert problems(what, value, tolerant=True) or "known kind" in wrong


@pytest.mark.parametrize(
    ("what", "value"),
    [
        ("result ping", {"time_ms": 0, "zone": "UTC"}),
        ("event", {**EVENT, "kind": "sang"}),
        ("event", {**EVENT, "mood": "good"}),
        ("error", {"code": "eclipsed", "message": ""}),
        ("error", {"code": "conflict", "message": "", "reason": "mood"}),
        ("result post", {"status": "pondered", "time_ms": 0}),
        ("notification weather", {"sky": "clear"}),
    ],
)
def test_what_a_later_version_may_say_is_borne_on_demand(what: str, value: Any) -> None:
    assert problems(what, value)
    assert problems(what, value, tolerant=True) == []
