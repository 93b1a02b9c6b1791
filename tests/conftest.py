"""What every test starts from."""

import logging
from collections.abc import Iterator

import pytest
from hypothesis import HealthCheck, settings

# How long an example takes says how busy the machine is, and nothing of the code.
settings.register_profile("busy", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("busy")


@pytest.fixture(autouse=True)
def log_level_of_its_own() -> Iterator[None]:
    """A bot sets the level of the log; the next test must not inherit it."""
    level = logging.getLogger().level
    yield
    logging.getLogger().setLevel(level)
