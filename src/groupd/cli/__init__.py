"""The command line."""

from groupd.cli.main import main

__all__ = ["main"]
