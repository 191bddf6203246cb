"""The rules, pure: commands decide, events apply. No trio, clock, randomness or log in here."""
