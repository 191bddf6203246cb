"""What runs the rules: actors, outlets, timers and reactors, on trio and without a socket."""
