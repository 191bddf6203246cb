"""The engine behind sockets: listeners, links, sessions."""
