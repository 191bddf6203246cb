"""What several commands are given: the configuration, and where the data is."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Annotated, Any

from cyclopts import Parameter

from groupd.config import Config
from groupd.config_file import load_config

ConfigFile = Annotated[
    Path | None, Parameter("--config", help="A TOML file; see docs/configuration.md.")
]
Data = Annotated[str | None, Parameter("--data", help="The data directory. [groupd-data]")]


def config_of(path: Path | None, **overrides: Any) -> Config:
    """Read the configuration; raises ConfigError. What is None does not override."""
    return load_config(path, os.environ, overrides)
