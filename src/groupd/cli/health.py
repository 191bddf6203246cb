"""``groupd health``: what a container or a script asks, where there is no ``curl``."""

from __future__ import annotations

from http.client import HTTPConnection, HTTPException
from typing import Final
from urllib.parse import urlsplit

from groupd.config import Config
from groupd.errors import ConfigError

PATIENCE_S: Final = 3.0
"""How long a server may take. Its own look at the store takes up to a second."""
ANSWER_MAX_BYTES: Final = 1_024
"""What is read of an answer, which is a line."""


def ask(config: Config) -> tuple[bool, str]:
    """Say whether a server can serve, and what it says, or what keeps it from saying it.

    Raises ConfigError where it has no listener for such a question.
    """
    if config.metrics.listen is None:
        raise ConfigError(
            "metrics.listen: expected a URL to ask, such as http://127.0.0.1:7401; "
            "set GROUPD_METRICS__LISTEN, or name the server's --config"
        )
    where = urlsplit(config.metrics.listen)
    connection = HTTPConnection(where.hostname or "", where.port, timeout=PATIENCE_S)
    try:
        connection.request("GET", "/readyz")
        response = connection.getresponse()
        said = response.read(ANSWER_MAX_BYTES).decode("utf-8", "replace").strip()
    except (OSError, HTTPException) as error:
        return False, f"{config.metrics.listen}: {error}"
    finally:
        connection.close()
    return response.status == 200, said
