"""What several commands are given: the configuration, and where the data is."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Final

from cyclopts import Parameter

from groupd.config import Config
from groupd.config_file import load_config

ConfigFile = Annotated[
    Path | None, Parameter("--config", help="A TOML file; see docs/configuration.md.")
]
Data = Annotated[str | None, Parameter("--data", help="The data directory. [groupd-data]")]

DURATIONS: Final[Mapping[str, int]] = {"s": 1_000, "m": 60_000, "h": 3_600_000, "d": 86_400_000}
"""Unit -> milliseconds."""


def duration_ms(_type: Any, tokens: Any) -> int:
    """Read ``90s``, ``15m``, ``12h`` or ``30d``."""
    text = tokens[0].value
    number, unit = text[:-1], text[-1:]
    if unit not in DURATIONS or not number.isdigit() or int(number) == 0:
        raise ValueError(f"expected a duration such as 90s, 15m, 12h or 30d, got {text!r}")
    return int(number) * DURATIONS[unit]


def config_of(path: Path | None, **overrides: Any) -> Config:
    """Read the configuration; raises ConfigError. What is None does not override."""
    return load_config(path, os.environ, overrides)
