"""A plain terminal client, line by line: what is typed is posted, what is said is printed.

A line that begins with ``/`` is a command. In reading order:

- ``loop``: lines in, events out, until the input ends
- ``table``: ``COMMANDS``, the one table of all commands, which ``/help`` prints
- ``chats``, ``coming``, ``group``, ``messages``, ``order``: what the commands do, by theme
- ``screen``: the person at the terminal, and how things are shown to them
- ``words``, ``refusals``: events, and why something was not done, in words
- ``typed``: how the arguments of commands are read

A command that changes something prints nothing of its own where an event tells it: the event comes
to all of the user's devices, this one included.
"""

from groupd.cli.chat.loop import chat_on

__all__ = ["chat_on"]
