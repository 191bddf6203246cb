"""The guides in ``docs/guide``: their code is run, in order, as a reader would type it."""
