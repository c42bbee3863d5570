"""Settings of the property tests."""

from hypothesis import settings

# How long an example takes says nothing on a shared machine.
settings.register_profile("components", deadline=None)
settings.load_profile("components")
