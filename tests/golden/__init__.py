"""Bytes that stored logs are made of. They prove that what is stored today can be read for ever.

``events.json`` is a list of examples, one or more for each kind of event: the bytes of a header
and a body, and what they mean. An entry is never changed and never taken away: a log somewhere
holds such bytes. A test that fails here has found a change that would make old logs unreadable.

A new kind of event gets an entry by adding an example to ``EXAMPLES`` in ``add.py`` and running
``python -m tests.golden.add``; so does a field that was added to an old kind (the old entry then
proves that events without the field still read). The command only ever adds.
"""
