"""Bytes <-> values, pure: the framing of messages and the encoding of events."""
