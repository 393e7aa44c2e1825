"""Property tests: few examples, and no deadline, since the machine may be busy with other work."""

from hypothesis import HealthCheck, settings

settings.register_profile(
    "cryo-pick",
    max_examples=30,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
settings.load_profile("cryo-pick")
