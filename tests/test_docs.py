"""What the documentation says exists, and what exists is documented."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import attrs
import pytest

from groupd.config import (
    REQUEST_COST_MAX,
    AuthConfig,
    ConditionsConfig,
    Config,
    HostConfig,
    IssuerConfig,
    Limits,
    MetricsConfig,
    Plan,
    TlsConfig,
    WebConfig,
    WebhookConfig,
    WordsConfig,
)
from groupd.domain.account.state import Account as AccountState
from groupd.domain.catalog import REQUESTS
from groupd.domain.group.state import Group as GroupState
from groupd.storage.export_file import EXPORT_VERSION
from groupd.storage.port import FORMAT
from groupd.storage.sqlite_schema import MIGRATIONS
from groupd.version import VERSION

ROOT = Path(__file__).parent.parent
TABLES = ("auth", "tls", "metrics", "host", "web", "limits", "plans", "webhooks", "words")
MADE = {".venv", "build", "node_modules"}
"""What is not ours, or is made from ours."""
PAGES = sorted(path for path in ROOT.glob("**/*.md") if MADE.isdisjoint(path.parts))


def _documented() -> dict[str, str]:
    """Give each setting that docs/configuration.md names in a table, with its default."""
    found: dict[str, str] = {}
    text = (ROOT / "docs" / "configuration.md").read_text()
    # Some of their names are names elsewhere, too.
    for heading, prefix in (
        (r"## `\[metrics\]`", "metrics."),
        (r"## `\[host\]`", "host."),
        (r"## `\[host.conditions\]`", "conditions."),
        (r"## `\[web\]`", "web."),
        (r"## `\[\[webhooks", "webhooks."),
        (r"## `\[words\]`", "words."),
        (r"### `\[\[auth", "issuers."),
    ):
        text = re.sub(
            rf"^{heading}.*?(?=^## )",
            lambda match, prefix=prefix: re.sub(  # type: ignore[misc]
                r"(?<=[|,]) `(?=[a-z_]+`[^|\n]*\|)", f" `{prefix}", match[0]
            ),
            text,
            flags=re.MULTILINE | re.DOTALL,
        )
    for names, default in re.findall(r"^\| (`[a-z`_., ]+`) \| ([^|]*) \|", text, re.MULTILINE):
        words = re.findall(r"`([a-z_.]+)`", names)
        defaults = re.split(r", (?=[\dn`])", default.strip()) if len(words) > 1 else [default]
        found |= dict(zip(words, defaults, strict=True))
    return found


def _settings() -> dict[str, Any]:
    """Give each setting that exists, with its default."""
    config = Config()
    found = {
        field.name: getattr(config, field.name)
        for field in attrs.fields(Config)
        if field.name not in TABLES
    }
    for values in (AuthConfig(), TlsConfig(), Plan(), Limits()):
        found |= attrs.asdict(values)
    issuer = {field.name: field.default for field in attrs.fields(IssuerConfig)} | {"claims": {}}
    own = {
        "metrics": attrs.asdict(MetricsConfig()),
        "host": {
            name: value
            for name, value in attrs.asdict(HostConfig()).items()
            if name != "conditions"
        },
        "conditions": attrs.asdict(ConditionsConfig()),
        "web": attrs.asdict(WebConfig()),
        "words": attrs.asdict(WordsConfig()),
        "issuers": issuer,
        "webhooks": {field.name: field.default for field in attrs.fields(WebhookConfig)},
    }
    for table, values in own.items():
        found |= {f"{table}.{name}": value for name, value in values.items()}
    return found


def test_every_setting_is_documented_and_every_documented_one_exists() -> None:
    assert _documented().keys() == _settings().keys()


@pytest.mark.parametrize("name", sorted(_settings()))
def test_the_documented_default_is_the_default(name: str) -> None:
    value, shown = _settings()[name], _documented()[name].strip().strip("`")
    if value is None:
        assert shown == "none"
    elif isinstance(value, bool | str):
        expected = str(value).lower() if isinstance(value, bool) else value
        assert shown.strip('"') == expected
    elif isinstance(value, int):
        assert int(shown.replace(",", "")) == value
    elif isinstance(value, dict):
        assert shown == "{}"
        assert not value
    else:
        assert shown == str(list(value)).replace("'", '"')


@pytest.mark.parametrize("page", PAGES, ids=lambda path: path.name)
def test_links_between_pages_lead_somewhere(page: Path) -> None:
    for target in re.findall(r"\]\(([^)#]+)(?:#[^)]*)?\)", page.read_text()):
        if "://" not in target:
            assert (page.parent / target).exists(), f"{page.name} links to {target}"


def test_the_page_on_upgrades_has_the_numbers_of_this_version() -> None:
    text = (ROOT / "docs" / "upgrade.md").read_text()
    (row,) = [line for line in text.splitlines() if line.startswith(f"| {VERSION} |")]
    _, store, snapshots, exports, _, protocol = [cell.strip() for cell in row.strip("|").split("|")]
    older = [str(number) for number in range(min(MIGRATIONS), FORMAT)]
    assert store == f"writes {FORMAT}, reads {', '.join(older)} and {FORMAT}"
    assert snapshots == f"{GroupState.version}, {AccountState.version}"
    versions = [str(number) for number in range(1, EXPORT_VERSION)]
    assert exports == f"writes {EXPORT_VERSION}, reads {', '.join(versions)} and {EXPORT_VERSION}"
    assert protocol == "1"


def test_the_readme_runs_only_make_targets_and_commands_that_exist() -> None:
    text = (ROOT / "README.md").read_text()
    targets = set(re.findall(r"^([a-z]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    assert set(re.findall(r"(?<!key )\bmake ([a-z]+)\b", text)) <= targets
    for path in re.findall(r"\b(examples/\w+\.py)", text):
        assert (ROOT / path).exists()


def test_the_files_that_the_architecture_names_exist() -> None:
    text = (ROOT / "docs" / "architecture.md").read_text()
    for path in re.findall(r"`?\b((?:[a-z_]+/)+[a-z_]+\.py)\b", text):
        assert (ROOT / "src" / "groupd" / path).exists() or (ROOT / path).exists(), path


def test_every_method_has_a_name_that_stays() -> None:
    # Names are permanent: one may be added to this list, none taken away.
    assert set(REQUESTS) >= {
        *("hello", "ping", "groups", "sync", "users", "account_history"),
        *("create", "info", "update", "dissolve", "join", "leave", "members"),
        *("post", "history", "read", "announce", "pin", "unpin"),
        *("share_link", "open_link", "revoke_link"),
    }


def test_the_dearest_request_costs_what_the_limits_are_checked_against() -> None:
    assert max(cls.cost for cls in REQUESTS.values()) == REQUEST_COST_MAX
