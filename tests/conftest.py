"""What every test runs under."""

from hypothesis import settings

# A test says nothing of how long it takes: on a machine at work a first example takes any time.
settings.register_profile("nnwidgets", deadline=None)
settings.load_profile("nnwidgets")
