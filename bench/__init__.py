"""What groupd's fan-out costs, measured from outside: ``python -m bench``."""
