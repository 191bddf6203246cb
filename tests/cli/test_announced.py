"""What `groupd serve` says at its start: commands that work as they stand."""

from __future__ import annotations

import io
from pathlib import Path

import pytest
from rich.console import Console

from groupd.app import Running
from groupd.cli.main import _announce
from groupd.config import AuthConfig, Config
from groupd.config_auth import IssuerConfig

SECRET = "0123456789abcdef0123456789abcdef"
ISSUER = IssuerConfig(issuer="https://a.example", tenant="a", public_keys=("a.pem",))


def announced(config: Config, file: Path | None = None) -> str:
    out = io.StringIO()
    running = Running(["tcp://127.0.0.1:7400"], config, made_secret=False, metrics=None, host=None)
    _announce(Console(file=out, width=200), running, file)
    return out.getvalue()


@pytest.mark.parametrize("auth", [AuthConfig(issuers=(ISSUER,)), AuthConfig(public_keys=("a",))])
def test_where_there_is_no_secret_no_token_is_made(auth: AuthConfig) -> None:
    said = announced(Config(auth=auth))
    assert "token alice" not in said
    assert "chat --token TOKEN" in said


@pytest.mark.parametrize("auth", [AuthConfig(), AuthConfig(secret=SECRET)])
def test_where_there_is_a_secret_a_token_is_made_with_it(auth: AuthConfig) -> None:
    assert "token alice)" in announced(Config(auth=auth))
    said = announced(Config(auth=auth), Path("g.toml"))
    assert "token alice --config g.toml)" in said
    assert "token alice --data x)" in announced(Config(auth=auth, data="x"))
