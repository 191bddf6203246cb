"""What the page for client authors says, against the code."""

from __future__ import annotations

import re
from pathlib import Path

from groupd.errors import CODES
from groupd.testing.conformance import SCENARIOS
from groupd.wire import rpc

PAGE = (Path(__file__).parent.parent / "docs" / "guide" / "client-authors.md").read_text("utf-8")
HEX = [bytes.fromhex(block) for block in re.findall(r"```hex\n(.*?)```", PAGE, re.DOTALL)]

HELLO = rpc.encode_request(1, "hello", {"token": "eyJ.e30.c2ln", "client": "tea/1.0"})
POST = rpc.encode_request(
    2,
    "post",
    {"group": "7Q2M9XK4T0BVHS8D", "text": "茶?", "id": "0197764f-5c00-7a31-8b1c-3d5e7f901234"},
)
ANSWER = rpc.encode_response(2, {"status": "posted", "seq": 41, "time_ms": 1_750_000_000_000})


def test_the_bytes_of_the_page_are_those_of_the_code() -> None:
    assert HEX == [HELLO, POST, ANSWER]


def test_the_explained_hello_is_the_same_bytes() -> None:
    (explained,) = re.findall(r"```text\n(94 .*?)```", PAGE, re.DOTALL)
    words = [
        word
        for line in explained.splitlines()
        for word in re.split(r"\s{2,}(?=\S* ?[^0-9a-f ])", line.strip(), maxsplit=1)[0].split()
        if re.fullmatch(r"(?:[0-9a-f]{2})+", word)
    ]
    assert bytes.fromhex("".join(words)) == HELLO


def test_the_scenarios_of_the_page_are_those_that_are_played() -> None:
    table = PAGE.partition("| scenario |")[2]
    assert re.findall(r"^\| `(\w+)` \|", table, re.MULTILINE) == [each.name for each in SCENARIOS]


def test_the_codes_of_the_page_exist() -> None:
    states = PAGE.partition("| state | input |")[2].partition("\n## ")[0]
    codes = {
        code for pair in re.findall(r"error `(\w+)`|goodbye` `(\w+)`", states) for code in pair
    }
    assert codes - {""} == {"unauthenticated", "unavailable", "rate_limited", "stale_id"}
    assert codes - {""} <= set(CODES)
