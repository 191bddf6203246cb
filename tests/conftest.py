"""What holds for all tests."""

from hypothesis import settings

# Other work on the machine must not fail a test: nothing here asserts how long something takes.
settings.register_profile("groupd", deadline=None)
settings.load_profile("groupd")
