"""The real process, killed and starved: what was acknowledged must outlive it.

Border: these tests start ``groupd`` as an operator would and judge it from outside, by what clients
were told and by what is on the disk afterwards. A kill loses no page that the kernel already has,
so a missing fsync is not found here but by the simulated disk in ``tests/simulation``.

Reading order: ``recording.py`` (what was asked and seen), ``compare.py`` (what must be true of it),
``clients.py`` (who asks), ``kill_loop.py``; then ``commands.py`` and ``strace.py`` for errors of
the disk, and ``namespace.py`` for a disk that is full.
"""
