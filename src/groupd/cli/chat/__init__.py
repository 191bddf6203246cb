"""A terminal client: on the full screen, or line by line where there is none.

A line that begins with ``/`` is a command. In reading order:

- ``start``: which of the two it is
- ``loop``: lines in, events out, until the input ends
- ``table``: ``COMMANDS``, the one table of all commands, which ``/help`` prints
- ``chats``, ``coming``, ``group``, ``messages``, ``order``: what the commands do, by theme
- ``person``: the person at the terminal, and the ``Display`` that things are shown on
- ``lines``: a display that prints, for pipes and plain terminals
- ``model``, ``conversation``: what a full screen shows; pure
- ``layout``, ``paint``: which rows of it are seen; pure
- ``completing``: what could be meant by what is typed; pure
- ``full``, ``view``: a display and keys over the model; the same, drawn by prompt_toolkit
- ``terminal``: the two event loops that this takes
- ``words``, ``refusals``: events, and why something was not done, in words
- ``typed``: how the arguments of commands are read
- ``qr``: links, drawn for cameras

A command that changes something shows nothing of its own where an event tells it: the event comes
to all of the user's devices, this one included.
"""

from groupd.cli.chat.lines import chat_on
from groupd.cli.chat.start import start

__all__ = ["chat_on", "start"]
