"""One group: its state, and what may be done to it, a file for each part of the state."""
