"""What the command ``groupd`` starts with, before half a second of imports.

It stands beside the package because importing anything of the package imports nearly all of it, and
Ctrl-C may come meanwhile.
"""

import sys


def main() -> None:
    """Run the command line; see ``groupd.cli``. An interrupt ends it with 130, however early."""
    try:
        from groupd.cli import main as run
    except KeyboardInterrupt:
        sys.exit(130)
    run()
