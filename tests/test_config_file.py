"""The configuration is read strictly, from three places, and says all that is wrong with it."""

from __future__ import annotations

import inspect
from pathlib import Path
from typing import Any

import attrs
import pytest

from groupd.config import (
    CONTENT,
    PLANS,
    AuthConfig,
    ConditionsConfig,
    Config,
    HostConfig,
    Limits,
    Plan,
    TlsConfig,
)
from groupd.config_file import load_config
from groupd.errors import ConfigError

SECRET = "0123456789abcdef0123456789abcdef"


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "groupd.toml"


def wrong(file: Path | None, text: str = "", **environ: str) -> list[str]:
    """Give the lines of the error, without the folder of the file."""
    if file is not None:
        file.write_text(text)
    with pytest.raises(ConfigError) as caught:
        load_config(file, environ, {})
    message = str(caught.value)
    return (message if file is None else message.replace(str(file), file.name)).splitlines()


# --- the layers


def test_nothing_said_means_the_defaults() -> None:
    assert load_config(None, {}, {}) == Config()


def test_a_file_may_set_everything(file: Path) -> None:
    file.write_text(
        f"""
        listen = ["tcp://127.0.0.1:7400", "tls://0.0.0.0:7443", "unix:///run/groupd.sock"]
        data = "/var/lib/groupd"
        memory = true
        categories = ["food", "美食"]
        [auth]
        secret = "{SECRET}"
        public_keys = ["keys.json"]
        leeway_s = 5
        [tls]
        certificate = "cert.pem"
        key = "key.pem"
        [host.conditions]
        url = "https://shop.example/conditions"
        secret_file = "secret"
        verdict = "admit"
        [limits]
        frame_max_bytes = 100_000
        """
    )
    assert load_config(file, {}, {}) == Config(
        listen=("tcp://127.0.0.1:7400", "tls://0.0.0.0:7443", "unix:///run/groupd.sock"),
        data="/var/lib/groupd",
        memory=True,
        categories=("food", "美食"),
        auth=AuthConfig(secret=SECRET, public_keys=("keys.json",), leeway_s=5),
        tls=TlsConfig(certificate="cert.pem", key="key.pem"),
        host=HostConfig(
            conditions=ConditionsConfig(
                url="https://shop.example/conditions", secret_file="secret", verdict="admit"
            )
        ),
        limits=Limits(frame_max_bytes=100_000),
    )


def test_the_environment_goes_over_the_file_and_the_command_line_over_both(file: Path) -> None:
    file.write_text('data = "file"\nlog_level = "file"\nlink_url = "file{code}"')
    environ = {"GROUPD_DATA": "environment", "GROUPD_LOG_LEVEL": "debug"}
    config = load_config(file, environ, {"data": "command line", "listen": None})
    assert (config.data, config.log_level, config.link_url) == (
        "command line", "debug", "file{code}",
    )  # fmt: skip
    assert config.listen == Config().listen


def test_the_environment_is_read_by_the_type_of_the_setting() -> None:
    environ = {
        "GROUPD_AUTH_SECRET": SECRET,
        "GROUPD_AUTH__AUDIENCE": "8",
        "GROUPD_LISTEN": "tcp://127.0.0.1:1, unix:///run/groupd.sock",
        "GROUPD_CATEGORIES": "",
        "GROUPD_MEMORY": "TRUE",
        "GROUPD_RATE_LIMITS": "0",
        "GROUPD_LIMITS__FRAME_MAX_BYTES": "70000",
        "GROUPD_PLANS__CIRCLE__MEMBERS_MAX": "60000",
        "PATH": "/bin",
    }
    config = load_config(None, environ, {})
    assert config.auth == AuthConfig(secret=SECRET, audience="8")
    assert config.listen == ("tcp://127.0.0.1:1", "unix:///run/groupd.sock")
    assert (config.categories, config.memory, config.rate_limits) == ((), True, False)
    assert config.limits.frame_max_bytes == 70_000
    assert config.plans["circle"] == attrs.evolve(PLANS["circle"], members_max=60_000)


def test_variables_of_others_with_our_prefix_are_left_alone() -> None:
    environ = {
        "GROUPD_SERVICE_HOST": "10.0.0.1",
        "GROUPD_SERVICE_PORT_RPC": "7400",
        "GROUPD_PORT": "tcp://10.0.0.1:7400",
        "GROUPD_PORT_7400_TCP_ADDR": "10.0.0.1",
        "GROUPD_TOKEN": "for groupd chat",
        "GROUPD_CONFIG": "groupd.toml",
    }
    assert load_config(None, environ, {}) == Config()


# --- plans


def test_a_plan_in_a_file_changes_the_ready_made_one(file: Path) -> None:
    file.write_text("[plans.douyin]\nmembers_max = 300\n[plans.class]\npins_max = 5")
    plans = load_config(file, {}, {}).plans
    assert plans == {
        **PLANS,
        "douyin": Plan(members_max=300, founders_min=2),
        "class": Plan(pins_max=5),
    }


def test_the_ready_made_plans_stay_as_they_are(file: Path) -> None:
    before = dict(PLANS)
    file.write_text("[plans.ordinary]\nmembers_max = 1")
    load_config(file, {}, {})
    assert before == PLANS


def test_the_default_plan_may_be_one_from_the_file(file: Path) -> None:
    file.write_text('default_plan = "class"\n[plans.class]')
    assert load_config(file, {}, {}).default_plan == "class"
    assert wrong(file, 'default_plan = "clas"') == [
        "groupd.toml: no plan 'clas' in plans @ $.default_plan"
    ]


# --- what is refused


def test_the_file_the_path_and_the_type_are_named(file: Path) -> None:
    assert wrong(file, '[limits]\nframe_max_bytes = "big"') == [
        'groupd.toml: expected int @ $.limits.frame_max_bytes, got "big"'
    ]


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("data = 5", "expected str @ $.data, got 5"),
        ("memory = 1", "expected bool @ $.memory, got 1"),
        ('memory = "true"', 'expected bool @ $.memory, got "true"'),
        ('listen = "tcp://127.0.0.1:1"', 'expected array @ $.listen, got "tcp://127.0.0.1:1"'),
        ('listen = ["a", 5]', "expected str @ $.listen[1], got 5"),
        ("limits = 5", "expected table @ $.limits, got 5"),
        ("data = {}", "expected str @ $.data, got a table"),
        ("[limits]\nbatch_max = true", "expected int @ $.limits.batch_max, got true"),
        ("[limits]\nbatch_max = 5.0", "expected int @ $.limits.batch_max, got 5.0"),
        ("[limits]\nbatch_max = 0", "expected a number above 0, got 0 @ $.limits.batch_max"),
        (
            "[limits]\nids_window_ms = 9007199254740992",
            "expected at most 9007199254740991, got 9007199254740992 @ $.limits.ids_window_ms",
        ),
        (
            "[limits]\naccept_backlog = 2147483648",
            "expected at most 2147483647, got 2147483648 @ $.limits.accept_backlog",
        ),
        ("[plans]\nx = 5", "expected table @ $.plans.x, got 5"),
        ('[plans.x]\npins_max = "5"', 'expected int @ $.plans.x.pins_max, got "5"'),
        ("dta = 5", "no such setting @ $.dta, did you mean data?"),
        ("[limits]\nbatchmax = 5", "no such setting @ $.limits.batchmax, did you mean batch_max?"),
        ("[plans.x]\nzzz = 5", "no such setting @ $.plans.x.zzz"),
        ('data = "a\\u001bb"\nmemory = "\\u001b[2J"', 'expected bool @ $.memory, got "\\x1b[2J"'),
    ],
)
def test_nothing_is_coerced_or_ignored(file: Path, text: str, problem: str) -> None:
    assert wrong(file, text) == [f"groupd.toml: {problem}"]


def test_all_that_is_wrong_is_said_at_once(file: Path) -> None:
    lines = wrong(
        file,
        'data = 5\nmemory = "no"\n[limits]\nbatch_max = -1\nmailbox_max = -2\n[plans.x]\ny = 1',
        GROUPD_LIMITS__IDS_MAX="many",
        GROUPD_LIMIT="5",
    )
    assert sorted(lines) == [
        "GROUPD_LIMIT: no such setting, did you mean GROUPD_RATE_LIMITS?",
        'GROUPD_LIMITS__IDS_MAX: expected int, got "many" @ $.limits.ids_max',
        "groupd.toml: expected a number above 0, got -1 @ $.limits.batch_max",
        "groupd.toml: expected a number above 0, got -2 @ $.limits.mailbox_max",
        'groupd.toml: expected bool @ $.memory, got "no"',
        "groupd.toml: expected str @ $.data, got 5",
        "groupd.toml: no such setting @ $.plans.x.y",
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("variable", "value", "problem"),
    [
        ("GROUPD_AUTH_SECERT", "x", "no such setting, did you mean GROUPD_AUTH_SECRET?"),
        ("GROUPD_LIMITS", "5", "no such setting, did you mean GROUPD_RATE_LIMITS?"),
        ("GROUPD_DATA__X", "5", "no such setting, did you mean GROUPD_DATA?"),
        ("GROUPD_ZZZZZZZZ", "5", "no such setting"),
        ("GROUPD_MEMORY", "maybe", 'expected true or false, got "maybe" @ $.memory'),
        ("GROUPD_LIMITS__IDS_MAX", "1e3", 'expected int, got "1e3" @ $.limits.ids_max'),
        ("GROUPD_LIMITS__IDS_MAX", "-1", "expected a number above 0, got -1 @ $.limits.ids_max"),
    ],
)
def test_a_wrong_variable_is_named(variable: str, value: str, problem: str) -> None:
    assert wrong(None, **{variable: value}) == [f"{variable}: {problem}"]


def test_a_wrong_option_of_the_command_line_is_named() -> None:
    with pytest.raises(ConfigError, match=r"^command line: expected str @ \$\.data, got 5$"):
        load_config(None, {}, {"data": 5})


def test_a_secret_is_in_no_error(file: Path) -> None:
    assert wrong(file, "[auth]\nsecret = 12345") == ["groupd.toml: expected str @ $.auth.secret"]


def test_a_file_that_is_no_toml_is_named(file: Path, tmp_path: Path) -> None:
    assert wrong(file, "data = ")[0].startswith("groupd.toml: not TOML: Invalid value (at")
    file.write_bytes(b"\xff\xfe")
    with pytest.raises(ConfigError, match=r"groupd\.toml: not TOML"):
        load_config(file, {}, {})
    with pytest.raises(ConfigError, match=r"absent\.toml: No such file"):
        load_config(tmp_path / "absent.toml", {}, {})
    with pytest.raises(ConfigError, match="Is a directory"):
        load_config(tmp_path, {}, {})


# --- TLS


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        (
            'listen = ["TLS://0.0.0.0:7443"]',
            "configuration: expected certificate and key, since listen has TLS://0.0.0.0:7443; "
            "name the two PEM files here, or with --tls-cert and --tls-key @ $.tls",
        ),
        (
            '[tls]\ncertificate = "cert.pem"',
            "groupd.toml: expected the file that belongs to certificate @ $.tls.key",
        ),
        (
            '[tls]\nkey = "key.pem"',
            "groupd.toml: expected the file that belongs to key @ $.tls.certificate",
        ),
        ("[tls]\nkey = 5\ncertificate = 'x'", "groupd.toml: expected str @ $.tls.key, got 5"),
    ],
)
def test_tls_needs_a_certificate_and_its_key(file: Path, text: str, complaint: str) -> None:
    assert wrong(file, text) == [complaint]


def test_the_environment_may_name_the_certificate(file: Path) -> None:
    file.write_text('listen = ["tls://0.0.0.0:7443"]')
    environ = {"GROUPD_TLS__CERTIFICATE": "cert.pem", "GROUPD_TLS__KEY": "key.pem"}
    assert load_config(file, environ, {}).tls == TlsConfig(certificate="cert.pem", key="key.pem")


# --- the limits themselves


@pytest.mark.parametrize("cls", [Plan, Limits, type(CONTENT)])
def test_every_limit_is_a_positive_number(cls: type[attrs.AttrsInstance]) -> None:
    for field in attrs.fields(cls):
        least = 0 if field.name in ("founders_min", "direct_add_below") else 1
        with pytest.raises((ConfigError, ValueError), match=field.name):
            cls(**{field.name: least - 1})


@pytest.mark.parametrize(
    ("values", "relation"),
    [
        ({"frame_before_hello_max_bytes": 65_537}, "frame_before_hello_max_bytes"),
        ({"batch_max": 8_193}, "batch_max <= mailbox_max"),
        ({"ids_max": 1}, "ids_max >= 2"),
        ({"rate_burst": 19}, "rate_burst >= 20"),
        ({"map_max": 64}, "sync_groups_max < map_max"),
        ({"mailbox_max": 1_024}, "requests_open_max < mailbox_max"),
        ({"frame_max_bytes": 32_000}, "the largest post fits a frame"),
        ({"frame_max_bytes": 49_000}, "the largest create fits a frame"),
        ({"array_max": 499}, "members_per_create_max <= array_max"),
        ({"page_max_bytes": 262_145}, "a page fits the backlog"),
        ({"backlog_max_bytes": 262_143}, "a page fits the backlog"),
    ],
)
def test_limits_that_do_not_fit_together_are_refused(
    file: Path, values: dict[str, int], relation: str
) -> None:
    with pytest.raises(ConfigError, match=relation):
        Limits(**values)
    lines = wrong(file, "[limits]\n" + "\n".join(f"{key} = {v}" for key, v in values.items()))
    assert len(lines) == 1
    assert lines[0].startswith("groupd.toml: expected ")
    assert lines[0].endswith(" @ $.limits")
    assert relation in lines[0]


def test_every_relation_between_limits_is_tried_above() -> None:
    relations = inspect.getsource(Limits.__attrs_post_init__).count("holds(") - 1
    tried: Any = test_limits_that_do_not_fit_together_are_refused
    cases = next(m for m in tried.pytestmark if m.name == "parametrize").args[1]
    assert relations == len({relation for _, relation in cases})


def test_what_one_setting_needs_of_another_is_said(file: Path) -> None:
    assert wrong(file, 'link_url = "https://example.com"') == [
        "groupd.toml: expected a URL with {code} in it @ $.link_url"
    ]


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("listen = []", "expected at least one URL, such as tcp://127.0.0.1:7400 @ $.listen"),
        (
            'listen = ["udp://x:1"]',
            "expected tcp://HOST:PORT, tls://HOST:PORT or unix:///PATH, got 'udp://x:1' @ $.listen",
        ),
        (
            'listen = ["tcp://127.0.0.1:99999"]',
            "expected tcp://HOST:PORT, tls://HOST:PORT or unix:///PATH, "
            "got 'tcp://127.0.0.1:99999' @ $.listen",
        ),
        ('log_level = "loud"', "expected one of debug, info, warning, error @ $.log_level"),
    ],
)
def test_what_cannot_be_listened_on_or_logged_is_named(
    file: Path, text: str, complaint: str
) -> None:
    assert wrong(file, text) == [f"groupd.toml: {complaint}"]


ISSUERS = """
[[auth.issuers]]
issuer = "shop"
tenant = "shop"
jwks_url = "https://shop.example/keys"
claims = { user = "uid" }

[[auth.issuers]]
issuer = "game"
audience = "game-chat"
public_keys = ["a.pem", "b.pem"]
"""


def test_issuers_are_read_from_a_file(file: Path) -> None:
    file.write_text(ISSUERS)
    shop, game = load_config(file, {}, {}).auth.issuers
    assert (shop.issuer, shop.tenant, shop.claims) == ("shop", "shop", {"user": "uid"})
    assert shop.jwks_url == "https://shop.example/keys"
    assert (game.audience, game.tenant, game.public_keys) == ("game-chat", "", ("a.pem", "b.pem"))


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("[[auth.issuers]]\nsecret = 'x'", "expected what its tokens say in iss"),
        ("[[auth.issuers]]\nissuer = 'a'", "expected a secret, public_keys or jwks_url with it"),
        ("[[auth.issuers]]\nissuer = 5", "expected str @ $.auth.issuers[0].issuer, got 5"),
        ("[[auth.issuers]]\nissuer = 'a'\nkeys = 5", "no such setting"),
        ("[auth]\nissuers = ['a']", "expected table @ $.auth.issuers"),
        ("[auth]\njwks_url = 'http://shop.example/keys'", "expected https://HOST/PATH"),
        ("[auth]\njwks_refresh_s = 0", "expected a number above 0"),
        ("[auth]\njwks_keep_s = 5", "expected at least jwks_refresh_s"),
    ],
)
def test_what_is_wrong_with_issuers_is_named(file: Path, text: str, complaint: str) -> None:
    (said,) = wrong(file, text)
    assert complaint in said


def test_the_secret_of_an_issuer_is_never_repeated(file: Path) -> None:
    (said,) = wrong(file, "[[auth.issuers]]\nissuer = 'a'\nsecret = 12345")
    assert "12345" not in said
    file.write_text("[[auth.issuers]]\nissuer = 'a'\nsecret = 'a secret that nobody sees'")
    assert "nobody sees" not in repr(load_config(file, {}, {}))
