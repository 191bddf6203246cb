"""Some thousand malformed inputs for each target, the same ones each time; and the fuzzer itself.

``run.py`` does the same for hours, with other seeds.
"""

from __future__ import annotations

from pathlib import Path
from random import Random
from typing import Any

import attrs
import msgpack
import pytest

from groupd.domain.base import GROUP
from groupd.domain.catalog import EVENTS
from groupd.errors import LogCorrupt, Rejected
from groupd.wire import codec, rpc
from tests.fuzz import loop
from tests.fuzz.corpus import METHODS, VALUES, message_of
from tests.fuzz.loop import Finding, attempt, fuzz, input_of, kept, save, shorten
from tests.fuzz.mutate import INPUT_MAX_BYTES, encode, malform
from tests.fuzz.received import _read
from tests.fuzz.run import shares
from tests.fuzz.stored import sample
from tests.fuzz.target import Target, check_refusal
from tests.fuzz.targets import TARGETS

SHOWN_MAX = 3


def test_executions_are_shared_among_the_targets() -> None:
    assert shares(2_000_000, 10) == [200_000] * 10
    assert shares(7, 1) == [7]
    assert (shares(25, 10), sum(shares(25, 10))) == ([2] * 5 + [3] * 5, 25)
    assert shares(3, 10) == [1] * 10, "each has at least one"


@pytest.mark.parametrize("name", TARGETS)
def test_a_target_stands_malformed_input(name: str) -> None:
    target, found = TARGETS[name], dict[tuple[str, str], Finding]()
    awaited = {finding.key for _name, finding in kept() if finding.waits_for}
    for finding in fuzz(target, range(target.in_ci)):
        if finding.key not in awaited:
            found.setdefault(finding.key, finding)
        if len(found) == SHOWN_MAX:
            break
    shown = [f"{f.what}\n{f.origin}\n{f.reproduce()}\n{f.details}" for f in found.values()]
    assert not found, "\n".join(shown)


def known() -> list[object]:
    """Give what was found before. What is not mended yet must go on failing until it is."""
    return [
        pytest.param(
            finding,
            id=name,
            marks=pytest.mark.xfail(bool(finding.waits_for), reason=finding.waits_for, strict=True),
        )
        for name, finding in kept()
    ]


@pytest.mark.parametrize("finding", known())
def test_what_was_found_once_is_mended(finding: Finding) -> None:
    again = attempt(TARGETS[finding.target], finding.data)
    assert again is None, again.details


@pytest.mark.parametrize(
    "body",
    [b"", b"\x01", b"\x01\xa4text\xa5hi", b"\x01\xc1", b"\x01\x05\x05", b"\x01\xa4text\xa1\xff"],
)
def test_bytes_that_make_no_sense_are_log_corrupt(body: bytes) -> None:
    _stream, records = sample(GROUP)
    posted = next(record for record in records if record.kind == "posted")
    with pytest.raises(LogCorrupt):
        codec.decode_event(EVENTS[GROUP], posted._replace(body=body))


# --- the fuzzer


def test_an_input_can_be_made_again_from_its_number() -> None:
    for target in TARGETS.values():
        made = [input_of(target, 3, number) for number in range(20)]
        assert made == [input_of(target, 3, number) for number in range(20)]
        assert made != [input_of(target, 4, number) for number in range(20)]


def test_what_is_mutated_is_a_valid_request_of_every_method() -> None:
    for method in METHODS:
        stream = b"".join(encode(message_of(Random(n), method)) for n in range(5))
        messages = rpc.Unframer(rpc.FrameLimits(2**20, 1_024, 128)).feed(stream)
        assert [message.method for message in messages] == [method] * 5  # type: ignore[union-attr]


def test_mutation_makes_what_is_whole_and_what_is_not() -> None:
    verdicts = {"whole": 0, "half": 0, "bad_request": 0, "too_large": 0}
    for number in range(3_000):
        random = Random(number)
        data = malform(random, message_of(random, random.choice(METHODS)), VALUES)
        assert len(data) <= INPUT_MAX_BYTES
        ((_messages, pending, error),) = _read([data], 4_096)
        verdict = error[0] if error else "half" if pending else "whole"
        verdicts[verdict] += 1
    assert min(verdicts.values()) > 50, verdicts


def test_structures_are_encoded_as_msgpack_encodes_them() -> None:
    values: list[Any] = [[1, "é" * 40, {"a": [None, True, 1.5]}], [[]] * 70_000]
    for value in (*values, {str(n): n for n in range(40)}):
        assert encode(value) == msgpack.packb(value)


SOUND = Target("sound", "it stands all", lambda random: random.randbytes(4), lambda data: None)


def _break(data: bytes) -> None:
    if b"\x07" in data:
        raise KeyError("seven")


def test_what_a_target_raises_is_found_with_its_place_and_number() -> None:
    target = attrs.evolve(SOUND, run=_break)
    found = list(fuzz(target, range(2_000), seed=5))
    assert found
    assert {finding.what for finding in found} == {"KeyError in test_fuzz.py, _break"}
    seed, number = (int(word.split()[1]) for word in found[0].origin.split(", "))
    assert input_of(target, seed, number) == found[0].data


def test_a_finding_is_shortened_to_the_bytes_that_matter() -> None:
    target = attrs.evolve(SOUND, run=_break)
    found = attempt(target, bytes(range(200)))
    assert found is not None
    assert shorten(target, found).data == b"\x07"


def test_an_input_that_takes_too_long_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(loop, "SLOW_S", 0.0)
    found = attempt(SOUND, b"")
    assert found is not None
    assert found.what.startswith("it takes")


def test_a_finding_is_kept_and_read_again(tmp_path: Path) -> None:
    finding = Finding("frames", b"\0\xff", "KeyError in x", "seed 1, number 2", "patience")
    path = save(finding, tmp_path)
    assert kept(tmp_path) == [(path.stem, finding)]


def test_a_refusal_without_what_its_code_promises_is_found() -> None:
    def refuse(data: bytes) -> None:
        check_refusal(Rejected("bad_request", "without a field"))

    assert attempt(attrs.evolve(SOUND, run=refuse), b"") is not None
