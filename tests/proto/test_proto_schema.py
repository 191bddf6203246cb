"""What is published is what there is: schema, prose and code say the same, both ways."""

from __future__ import annotations

import ast
import json
import re
import sys
from collections import Counter
from collections.abc import Iterator, Mapping
from functools import cache
from pathlib import Path
from typing import Any, Final

import pytest

import groupd
from groupd.domain.cards import CHECKS
from groupd.errors import CODES, REASONS
from groupd.testing.schema import as_json, main, schema
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
    # The fields of cards have types of their own.
    parts_but_cards = {name: part for name, part in SCHEMA.items() if name != "cards"}
    shown = set(re.findall(r'"type": "((?:[^"\\]|\\.)*)"', json.dumps(parts_but_cards)))
    shown |= {notification["params"] for notification in SCHEMA["notifications"].values()}
    parts = (re.sub(r'\\"\w*\\"', "", text) for text in shown)
    return {word for part in parts for word in re.findall(r"\w+", part)} - {"list", "map", "or"}


def test_every_type_that_is_used_is_explained_and_every_one_explained_is_used() -> None:
    assert used_types() <= SCHEMA["types"].keys()
    assert SCHEMA["types"].keys() - used_types() <= {"map", "error"}
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
    if "scope" in spec:
        return f"Whoever's token has the scope `{spec['scope']}`"
    if spec["min_role"] is not None:
        return {"member": "Members", "admin": "Admins and the owner", "owner": "The owner"}[
            spec["min_role"]
        ]
    return {
        "server": "Anybody with a token",
        "account": "Every user",
        "group or account": "Every user",
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


REFUSALS: Final[Mapping[str, tuple[str, str]]] = {
    "not_dissolved": ("conflict", "state"),
    "not_direct": ("forbidden", "direct"),
    "role": ("forbidden", "not_member"),
    "member": ("not_found", ""),
    "chats_pinned_max": ("quota_exceeded", ""),
    "groups_shown_max": ("quota_exceeded", ""),
    "not_yourself": ("forbidden", "yourself"),
    "blocks_max": ("quota_exceeded", ""),
    "not_blocked": ("forbidden", "blocked"),
    "ref_free": ("conflict", "ref_taken"),
    "founders_min": ("forbidden", "founders_min"),
    "groups_owned_max": ("quota_exceeded", ""),
    "groups_joined_max": ("quota_exceeded", ""),
    "directs_max": ("quota_exceeded", ""),
    "link": ("conflict", "link_used_up"),
    "banned": ("forbidden", "banned"),
    "join_policy": ("forbidden", "invite_only"),
    "condition": ("forbidden", "condition"),
    "cooldown": ("rate_limited", "cooldown"),
    "requests_max": ("quota_exceeded", ""),
    "members_max": ("group_full", ""),
    "owner_leaves": ("forbidden", "owner_leaves"),
    "member_invites": ("forbidden", "invites_off"),
    "target_banned": ("forbidden", "banned"),
    "invitations_max": ("quota_exceeded", ""),
    "invited": ("forbidden", "not_invited"),
    "waits": ("not_found", ""),
    "muted": ("muted", ""),
    "all_muted": ("forbidden", "all_muted"),
    "slow_mode": ("rate_limited", "slow_mode"),
    "links_max": ("quota_exceeded", ""),
    "names_member": ("not_found", ""),
    "admins_max": ("quota_exceeded", ""),
    "offered": ("conflict", "state"),
    "may_decline": ("conflict", "state"),
    "names_oneself": ("forbidden", "role"),
    "rank": ("forbidden", "rank"),
    "bans_max": ("quota_exceeded", ""),
    "words": ("forbidden", "words"),
}
"""Rule -> what it refuses with. That of ``exists`` is said once for all methods."""


@pytest.mark.parametrize("method", SCHEMA["methods"])
def test_what_the_rules_of_a_method_refuse_is_among_its_errors(method: str) -> None:
    spec = SCHEMA["methods"][method]
    wanted = {REFUSALS[rule] for rule in spec["rules"] if rule != "exists"}
    if spec["min_role"] not in (None, "member"):
        wanted.add(("forbidden", "role"))
    assert wanted <= errors_of(method)
    # And no method is said to be refused in direct chats that is not.
    assert (("forbidden", "direct") in errors_of(method)) is ("not_direct" in spec["rules"])


def test_every_rule_is_documented() -> None:
    rows = table(sections(3, CHAPTERS["Groups and logs"])["Explaining refusals"], "rule")
    rules = {rule for spec in SCHEMA["methods"].values() for rule in spec["rules"]}
    assert rows.keys() == rules
    assert REFUSALS.keys() == rules - {"exists"}


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


# --- cards


def test_every_type_of_card_is_documented_with_its_fields() -> None:
    text = sections(3, CHAPTERS["Groups and logs"])["Cards"]
    found = {
        name.removeprefix("Card ").strip("`"): table(part, "field")
        for name, part in sections(4, text).items()
    }
    assert list(found) == list(SCHEMA["cards"])
    for kind, fields in SCHEMA["cards"].items():
        assert list(found[kind]) == list(fields)
        for name, spec in fields.items():
            row = found[kind][name]
            assert row["form"] == f"`{spec['type']}`"
            assert row["required"] == ("yes" if spec["required"] else "no")
            assert row["meaning"]
    forms = {name: row["meaning"] for name, row in table(text, "form").items()}
    assert forms == SCHEMA["card_fields"]
    assert forms.keys() == CHECKS.keys()


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
        # One that is there or not comes as ``**``; the server's answers show that it is published.
        given = {keyword.arg for keyword in node.keywords if keyword.arg is not None}
        assert given >= set(CODES[code]), ast.unparse(node)
        assert given <= SCHEMA["codes"][code]["details"].keys(), ast.unparse(node)
        seen.add(code)
    assert CODES.keys() == seen


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


def anchors(text: str) -> list[str]:
    """Give where the headings of a page can be linked to; one that comes again gets a number."""
    found: list[str] = []
    seen: Counter[str] = Counter()
    for heading in re.findall(r"^#+ (.*)$", re.sub(r"```.*?```", "", text, flags=re.DOTALL), re.M):
        plain = re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-")
        found.append(f"{plain}-{seen[plain]}" if seen[plain] else plain)
        seen[plain] += 1
    return found


@pytest.mark.parametrize("name", ["groupd.md", "README.md"])
def test_every_link_leads_somewhere(name: str) -> None:
    targets = {file.name: set(anchors(file.read_text("utf-8"))) for file in PROTO.glob("*.md")}
    for link in re.findall(r"\]\(([^)\s]+)\)", (PROTO / name).read_text("utf-8")):
        if link.startswith("https://"):
            continue
        file, _, place = link.partition("#")
        assert not file or (PROTO / file).exists(), link
        assert not place or place in targets[file or name], link


def test_the_table_of_contents_lists_every_heading_in_order() -> None:
    listed = re.findall(r"^ *- \[(.*)\]\(#(.*)\)", PROSE.partition("\n## ")[0], re.M)
    text = re.sub(r"```.*?```", "", PROSE, flags=re.DOTALL)
    headings = zip(re.findall(r"^(#+) (.*)$", text, re.M), anchors(PROSE), strict=True)
    assert listed == [(name, place) for (level, name), place in headings if len(level) in (2, 3)]


def test_the_readme_names_every_vector_file_and_no_other() -> None:
    readme = (PROTO / "README.md").read_text("utf-8")
    assert set(words(sections(3, readme))) == {file.name for file in PROTO.glob("vectors/*")}
