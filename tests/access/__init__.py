"""Who may do what: one table, read by people in ``proto/access.md`` and by a test here.

``python -m tests.access.table`` writes the table from what a hub really does; the test compares.
So a change of the rules shows as a change of that page, to be reviewed with it.
"""
