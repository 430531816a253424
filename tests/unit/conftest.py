"""Fixed seeds: the same examples on every run."""

from hypothesis import HealthCheck, settings

settings.register_profile(
    "unit", derandomize=True, deadline=None, max_examples=150, suppress_health_check=list(HealthCheck)
)
settings.load_profile("unit")
