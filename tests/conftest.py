"""What every test starts from."""

import logging
from collections.abc import Iterator

import pytest


@pytest.fixture(autouse=True)
def log_level_of_its_own() -> Iterator[None]:
    """A bot sets the level of the log; the next test must not inherit it."""
    level = logging.getLogger().level
    yield
    logging.getLogger().setLevel(level)
