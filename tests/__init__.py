"""Whatever the tests import reaches a Hub of their own, and no other; see `tests.helpers.hub`."""

import os

from .helpers.hub import HUB


_environment = HUB.environment(HUB.home, token=None)
os.environ.clear()
os.environ.update(_environment)
