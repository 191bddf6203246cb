"""``groupd config``: what it says of a configuration, and that its TOML gives the same again."""

from __future__ import annotations

import io
import json
import tomllib
from pathlib import Path
from typing import Any

import attrs
import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.console import Console

from groupd.cli.configuration import SECRET_SHOWN, as_toml, check, show
from groupd.config import PLANS, AuthConfig, Config, Limits, MetricsConfig, Plan, TlsConfig
from groupd.config_file import Written, load_config, read_config
from groupd.errors import ConfigError
from tests.certificates import make_certificate

SECRET = "0123456789abcdef0123456789abcdef"

NAMES = st.text(st.characters(exclude_categories=["Cs"]), max_size=12)
NUMBERS = st.integers(1, 10**9)


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "groupd.toml"


def said(function: Any, *arguments: Any, terminal: bool = False) -> str:
    out = io.StringIO()
    function(*arguments, Console(file=out, force_terminal=terminal, width=120, color_system=None))
    return out.getvalue()


def configurations() -> st.SearchStrategy[Config]:
    """Give configurations with something else in them in every kind of setting."""
    return st.builds(
        Config,
        data=NAMES,
        memory=st.booleans(),
        link_url=NAMES.map(lambda text: text + "{code}"),
        categories=st.lists(NAMES, max_size=3).map(tuple),
        trusted_proxies=st.lists(st.ip_addresses().map(str), max_size=3).map(tuple),
        auth=st.builds(AuthConfig, audience=NAMES.filter(bool), leeway_s=st.integers(0, 100)),
        tls=st.one_of(st.just(TlsConfig()), st.builds(TlsConfig, certificate=NAMES, key=NAMES)),
        metrics=st.builds(MetricsConfig, connections_max=NUMBERS),
        limits=st.builds(Limits, rate_per_s=NUMBERS, sweep_ms=NUMBERS),
        plans=st.dictionaries(NAMES, st.builds(Plan, members_max=NUMBERS), max_size=3).map(
            lambda plans: {**PLANS, **plans}
        ),
    )


# --- as TOML


@given(configurations())
def test_what_is_printed_gives_the_same_configuration_again(
    tmp_path_factory: pytest.TempPathFactory, config: Config
) -> None:
    file = tmp_path_factory.getbasetemp() / "printed.toml"
    file.write_bytes(as_toml(Written(config, {})).encode())
    assert load_config(file, {}, {}) == config


def test_each_setting_is_there_once_with_where_it_comes_from(file: Path) -> None:
    file.write_text('data = "/var/lib/groupd"\n[plans.school]\nmembers_max = 60\n')
    printed = said(show, file, {"GROUPD_LIMITS__RATE_PER_S": "7"}).splitlines()
    assert f'data = "/var/lib/groupd"  # {file}' in printed
    assert "rate_per_s = 7  # GROUPD_LIMITS__RATE_PER_S" in printed
    assert 'log_level = "info"  # default' in printed
    school = printed[printed.index("[plans.school]") :]
    assert school[1:3] == ["groups_owned_max = 4  # default", f"members_max = 60  # {file}"]
    names = [line.partition(" = ")[0] for line in printed if " = " in line]
    for cls in (Limits, MetricsConfig):
        assert {field.name for field in attrs.fields(cls)} <= {*names, "listen"}


def test_a_secret_is_said_to_be_there_and_not_shown(file: Path) -> None:
    file.write_text(f'[auth]\nsecret = "{SECRET}"\n')
    for terminal in (True, False):
        printed = said(show, file, {}, terminal=terminal)
        assert SECRET not in printed
        assert "set, and not shown" in printed
    again = load_config_of(said(show, file, {}), file)
    assert attrs.evolve(again, auth=AuthConfig(secret=SECRET)) == load_config(
        None, {"GROUPD_AUTH_SECRET": SECRET}, {}
    )


def load_config_of(text: str, file: Path) -> Config:
    file.write_text(text)
    return load_config(file, {}, {})


def test_the_name_of_a_file_begins_no_line_of_its_own(tmp_path: Path) -> None:
    file = tmp_path / "a\nmemory = true"
    file.write_text('data = "x"')
    assert load_config_of(said(show, file, {}), tmp_path / "again") == Config(data="x")


def test_what_is_in_no_table_stands_before_all_that_is() -> None:
    @attrs.frozen
    class Odd:
        auth: AuthConfig = attrs.field(factory=AuthConfig)
        last: int = 1

    lines = as_toml(Written(Odd(), {})).splitlines()  # type: ignore[arg-type]
    assert lines[0] == "last = 1  # default"


# --- as a table


def test_a_terminal_gets_a_table(file: Path) -> None:
    file.write_text('categories = ["[bold]tea"]')
    printed = said(show, file, {}, terminal=True)
    line = next(line for line in printed.splitlines() if "categories" in line)
    assert '["[bold]tea"]' in line
    assert "plans.school" not in printed
    assert "plans.ordinary.members_max" in printed


# --- checking


def test_what_is_in_order_is_said_to_be(file: Path, tmp_path: Path) -> None:
    files = make_certificate(tmp_path)
    file.write_text(
        f'[auth]\nsecret = "{SECRET}"\n'
        f'[tls]\ncertificate = "{files.certificate}"\nkey = "{files.key}"\n'
    )
    assert f"{file} is in order: 3 settings" in said(check, file, {})


def test_without_a_file_the_environment_is_checked() -> None:
    assert "the environment says is in order: 1 settings" in said(check, None, {"GROUPD_DATA": "x"})
    with pytest.raises(ConfigError, match=r"nowhere\.pem"):
        said(check, None, {"GROUPD_AUTH__PUBLIC_KEYS": '["nowhere.pem"]'})


@pytest.mark.parametrize(
    ("text", "named"),
    [
        ("memory = 1", "expected bool @ $.memory, got 1"),
        ("limits = 1\nlisten = 1", "$.limits"),
        ('[auth]\nsecret = "short"', "auth.secret"),
        ('[auth]\npublic_keys = ["nowhere.pem"]', "nowhere.pem"),
        ('[tls]\ncertificate = "nowhere.pem"\nkey = "k.pem"', "nowhere.pem"),
        ('[words]\nfiles = ["nowhere.txt"]', "words.files: nowhere.txt: No such file"),
        ('trusted_proxies = ["10.0.0.1/8"]', "trusted_proxies"),
        ('trusted_proxies = ["proxy.example"]', "trusted_proxies"),
    ],
)
def test_what_a_server_would_refuse_is_named(file: Path, text: str, named: str) -> None:
    file.write_text(text)
    with pytest.raises(ConfigError) as caught:
        said(check, file, {})
    assert named in str(caught.value)


def test_a_line_of_a_word_list_that_cannot_be_used_is_named(file: Path, tmp_path: Path) -> None:
    listed = tmp_path / "words.txt"
    listed.write_text("tea\nf*ck\n")
    file.write_text(f'[words]\nfiles = ["{listed}"]\n')
    with pytest.raises(ConfigError) as caught:
        said(check, file, {})
    assert f"{listed}, line 2" in str(caught.value)
    listed.write_text("tea\n")
    assert "is in order: 1 settings" in said(check, file, {})


def test_who_has_written_a_setting_is_known_to_the_setting() -> None:
    written = read_config(None, {"GROUPD_DATA": "x"}, {"log_level": "debug", "memory": None})
    origins = {setting.path: setting.origin for setting in written.settings()}
    assert origins["data",] == "GROUPD_DATA"
    assert origins["log_level",] == "command line"
    assert origins["memory",] is None


def test_tables_of_an_array_are_shown_without_their_secrets(tmp_path: Path) -> None:
    secret = "whsec_" + "A" * 32
    file = tmp_path / "groupd.toml"
    hook = {"name": "shop", "url": "https://shop.example/hook", "kinds": ["posted"]}
    lines = [f"{name} = {json.dumps(value)}" for name, value in hook.items()]
    file.write_text("\n".join(["[[webhooks]]", *lines, f'secret = "{secret}"', ""]))
    shown = as_toml(read_config(file, {}, {}))
    assert secret not in shown
    # A comment, since a server would refuse what stands there in place of the secret.
    assert shown.startswith("# Secrets are not shown. Fill them in")
    assert "#   webhooks" in shown.splitlines()
    assert load_config_of(shown, file) == Config()
    (line,) = (line for line in shown.splitlines() if line.startswith("# webhooks = "))
    (table,) = tomllib.loads(line.removeprefix("# "))["webhooks"]
    assert hook.items() <= table.items()
    assert table["secret"] == SECRET_SHOWN
    filled = shown.replace("# webhooks = ", "webhooks = ").replace(SECRET_SHOWN, secret)
    assert load_config_of(filled, file).webhooks[0].secret == secret


def test_where_there_is_no_secret_nothing_has_to_be_filled_in() -> None:
    assert "Fill them in" not in as_toml(Written(Config(), {}))
