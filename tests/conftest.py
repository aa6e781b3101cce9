"""How deep hypothesis searches: `default` is small and the same every time, `deep` is for `make test` and for soaking.

Choose with the environment variable `HYPOTHESIS_PROFILE`; tests leave the number of examples to it.
"""

from __future__ import annotations

import os

from hypothesis import HealthCheck, settings

SHARED = {
    "deadline": None,  # a busy machine is not a slow program
    "derandomize": True,  # what fails here fails everywhere, and nothing fails now and then
    "suppress_health_check": [HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
}
settings.register_profile("default", max_examples=100, **SHARED)
settings.register_profile("deep", max_examples=1_000, **SHARED)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "default"))
