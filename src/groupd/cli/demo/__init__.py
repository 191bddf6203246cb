"""``groupd demo``: a server, people who talk on it, and the addresses to look at them.

``scenes.py`` is what they say, ``stage.py`` how they say it, ``show.py`` the server around them,
and ``door.py`` where whoever comes by a share link says who they are.
"""

from groupd.cli.demo.show import Addresses, run, show

__all__ = ["Addresses", "run", "show"]
