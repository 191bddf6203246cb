"""A world for a whole server, in memory and the same for the same seed."""
