"""What every test starts from."""

import logging
import os
from collections.abc import Iterator

import pytest
from hypothesis import HealthCheck, settings

# How long an example takes says how busy the machine is, and nothing of the code.
settings.register_profile("busy", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("busy")


@pytest.hookimpl(tryfirst=True)  # before pytest-xdist reads these options
def pytest_cmdline_main(config: pytest.Config) -> None:
    """Asked for nothing in particular, which is the whole suite, two processes share it."""
    is_one_of_them = hasattr(config, "workerinput")  # it comes by here as well
    if is_one_of_them or config.invocation_params.args or os.environ.get("PYTEST_ADDOPTS"):
        return
    if config.pluginmanager.hasplugin("xdist"):
        config.option.numprocesses, config.option.dist = 2, "worksteal"


@pytest.fixture(autouse=True)
def log_level_of_its_own() -> Iterator[None]:
    """A bot sets the level of the log; the next test must not inherit it."""
    level = logging.getLogger().level
    yield
    logging.getLogger().setLevel(level)


@pytest.fixture(autouse=True, scope="session")
def state_of_its_own(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Bots that are told no STATE_DIR keep their journals out of the user's own."""
    before = os.environ.get("XDG_STATE_HOME")
    os.environ["XDG_STATE_HOME"] = str(tmp_path_factory.mktemp("state"))
    yield
    if before is None:
        del os.environ["XDG_STATE_HOME"]
    else:
        os.environ["XDG_STATE_HOME"] = before
