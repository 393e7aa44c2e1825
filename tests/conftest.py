"""Property tests: few examples, and no deadline, since the machine may be busy with other work."""

import logging
import sys
from collections.abc import Iterator

import pytest
from hypothesis import HealthCheck, settings

settings.register_profile(
    "cryo-pick",
    max_examples=30,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
settings.load_profile("cryo-pick")

OURS = ("cryo_pick", "detector", "refiner", "metrics")


@pytest.fixture(autouse=True)
def _torch_draws_alike() -> None:
    """torch's own seed is another in each process; a test that fails must fail again."""
    if "torch" in sys.modules:
        sys.modules["torch"].manual_seed(0)


@pytest.fixture(autouse=True)
def _logging_as_it_was() -> Iterator[None]:
    """Whatever a library or a command does to the process's logging ends with its test."""
    root = logging.getLogger()
    before = root.level
    for name, logger in list(logging.root.manager.loggerDict.items()):
        if name.split(".")[0] in OURS and isinstance(logger, logging.Logger):
            logger.disabled, logger.propagate = False, True
    yield
    root.setLevel(before)
