"""Malformed input: nothing that is sent or stored ends in anything but an error with a code.

- ``mutate.py`` makes inputs: MessagePack that is changed as a structure, then as bytes.
- ``corpus.py`` has what is changed: a valid request of every method, and values that are seldom.
- ``targets.py`` names what is tried. Each target is a function of bytes that raises nothing:
  ``received.py``, ``tokens.py``, ``handed_back.py``, ``stored.py``, ``served.py``.
- ``loop.py`` runs a target many times. An input follows from target, seed and number alone.
- ``run.py`` does so by hand, for hours: ``python -m tests.fuzz.run --help``. With atheris, if that
  is installed, coverage leads it (``atheris_engine.py``).
- ``findings/`` holds the inputs that once found something. The tests replay them.
- ``attack.py`` and ``chatter.py`` are the two sides of ``test_live.py``: a real server between
  many attackers and some healthy clients.
- ``test_damage.py``: what one damaged record may do to those around it.
"""
