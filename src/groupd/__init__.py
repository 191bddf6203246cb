"""groupd: group chat for any app, as a server or as a library.

async with groupd.open_hub() as hub: ...                        # inside your trio program
async with groupd.connect("tcp://...", token=token) as client:  # as a client of a server
"""

from groupd.app import connect, open_hub
from groupd.client import Client
from groupd.config import Config, Limits, Plan
from groupd.engine.hub import Caller, Hub
from groupd.errors import (
    AuthError,
    ConfigError,
    Disconnected,
    GroupdError,
    LogBroken,
    LogConflict,
    LogCorrupt,
    LogError,
    LogUnavailable,
    Rejected,
)
from groupd.version import VERSION

__version__ = VERSION

__all__ = [
    "AuthError",
    "Caller",
    "Client",
    "Config",
    "ConfigError",
    "Disconnected",
    "GroupdError",
    "Hub",
    "Limits",
    "LogBroken",
    "LogConflict",
    "LogCorrupt",
    "LogError",
    "LogUnavailable",
    "Plan",
    "Rejected",
    "__version__",
    "connect",
    "open_hub",
]
