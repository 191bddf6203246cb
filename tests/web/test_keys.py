"""Service keys: who has one, and what is kept of it."""

from __future__ import annotations

from pathlib import Path

import pytest
import trio
from hypothesis import given
from hypothesis import strategies as st
from trio.testing import MockClock

from groupd.config import Config
from groupd.data_files import (
    SERVICE_KEYS_EVERY_S,
    SERVICE_KEYS_FILE,
    add_service_key,
    follow_service_keys,
    remove_service_key,
    service_keys,
)
from groupd.errors import ConfigError
from groupd.web.keys import SCOPES, KeyRing, as_file, keys_of, make_key

names = st.from_regex(r"\A[a-z0-9][a-z0-9-]{0,31}\Z")
secrets = st.text(st.characters(codec="ascii", categories=["L", "N"]), min_size=20, max_size=50)
scopes = st.lists(st.sampled_from(tuple(SCOPES)), min_size=1)


@given(names, st.text(max_size=20), scopes, secrets)
def test_a_key_is_found_by_what_is_shown_of_it_and_by_nothing_else(
    name: str, tenant: str, may: list[str], secret: str
) -> None:
    key, shown = make_key(name, tenant=tenant, scopes=may, secret=secret)
    ring = KeyRing(keys_of(as_file([key]).encode()))
    assert ring.find(f"Bearer {shown}") == key
    assert ring.find(f"bearer {shown} ") == key
    for wrong in (shown, f"Basic {shown}", f"Bearer {shown}x", f"Bearer {shown[:-1]}", ""):
        assert ring.find(wrong) is None


@given(st.text())
def test_no_header_is_too_strange_to_be_refused(header: str) -> None:
    assert KeyRing().find(header) is None


def test_the_file_has_no_secret(tmp_path: Path) -> None:
    config = Config(data=str(tmp_path))
    shown = add_service_key(config, "shop", tenant="", scopes=("read",))
    path = tmp_path / SERVICE_KEYS_FILE
    assert shown.rpartition(".")[2] not in path.read_text()
    assert path.stat().st_mode & 0o777 == 0o600


@pytest.mark.parametrize("name", ["", "Shop", "a b", "x" * 33, "-a", "a.b", "茶"])
def test_a_name_is_plain(name: str) -> None:
    with pytest.raises(ConfigError, match="expected 1 to 32"):
        make_key(name, tenant="", scopes=("read",), secret="s")


def test_a_name_is_given_once_and_can_be_taken_away(tmp_path: Path) -> None:
    config = Config(data=str(tmp_path))
    add_service_key(config, "shop", tenant="", scopes=("read",))
    with pytest.raises(ConfigError, match="there is a key 'shop'"):
        add_service_key(config, "shop", tenant="", scopes=("read",))
    remove_service_key(config, "shop")
    assert service_keys(tmp_path) == []
    with pytest.raises(ConfigError, match="there is no key"):
        remove_service_key(config, "shop")


@pytest.mark.parametrize(
    "data", [b"", b"[]", b'{"keys": [{}]}', b'{"keys": 5}', b'{"keys": [5]}', b"\xff"]
)
def test_a_file_that_makes_no_sense_is_said_to(data: bytes) -> None:
    with pytest.raises(ConfigError, match="service keys"):
        keys_of(data)


async def test_a_running_server_takes_what_the_file_says(
    tmp_path: Path, autojump_clock: MockClock, nursery: trio.Nursery
) -> None:
    config, ring = Config(data=str(tmp_path)), KeyRing()
    nursery.start_soon(follow_service_keys, tmp_path, ring)
    await trio.sleep(2 * SERVICE_KEYS_EVERY_S)
    shown = add_service_key(config, "shop", tenant="", scopes=("read",))
    assert ring.find(f"Bearer {shown}") is None
    await trio.sleep(2 * SERVICE_KEYS_EVERY_S)
    assert ring.find(f"Bearer {shown}") is not None
    (tmp_path / SERVICE_KEYS_FILE).write_text("nonsense")
    await trio.sleep(2 * SERVICE_KEYS_EVERY_S)
    assert ring.find(f"Bearer {shown}") is not None, "those of before stay valid"
    (tmp_path / SERVICE_KEYS_FILE).unlink()
    await trio.sleep(2 * SERVICE_KEYS_EVERY_S)
    assert ring.find(f"Bearer {shown}") is None
