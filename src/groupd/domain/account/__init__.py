"""One user's account: the groups that they own, and what has befallen them elsewhere."""
