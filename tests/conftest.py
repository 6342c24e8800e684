"""Fixtures for every test."""

from hypothesis import settings

pytest_plugins = ["tests.database"]

# How long an example takes says more of the machine than of the code.
settings.register_profile("tunegraph", deadline=None)
settings.load_profile("tunegraph")
