"""The log: the original's line, its module names, and no secret in it."""

import logging
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

import market_maker
from market_maker.utils import log

PACKAGE = Path(market_maker.__file__).parent


@pytest.fixture(autouse=True)
def _clean_root() -> Iterator[None]:
    root = logging.getLogger()
    handlers, level, hidden = list(root.handlers), root.level, set(log._hidden)
    yield
    root.handlers[:] = handlers
    root.setLevel(level)
    log._hidden.clear()
    log._hidden.update(hidden)


def record(path: Path | str, text: str = "hello") -> logging.LogRecord:
    return logging.LogRecord("root", logging.INFO, str(path), 1, text, (), None)


def test_a_line_looks_as_the_original_wrote_it(capsys: pytest.CaptureFixture[str]) -> None:
    log.setup_custom_logger("root").info("Connected to %s.", "WS")
    line = capsys.readouterr().err
    assert re.fullmatch(
        r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d,\d{3} - INFO - test_log - Connected to WS\.\n", line
    )


def test_setting_up_twice_writes_a_line_once(capsys: pytest.CaptureFixture[str]) -> None:
    for name in ("root", "root", "my_strategy"):
        log.setup_custom_logger(name)
    logging.getLogger("root").info("one")
    logging.getLogger("my_strategy").info("two")
    assert len(capsys.readouterr().err.splitlines()) == 2


def test_the_level_is_that_of_the_last_call(capsys: pytest.CaptureFixture[str]) -> None:
    logger = log.setup_custom_logger("root", log_level=logging.DEBUG)
    logger.debug("seen")
    log.setup_custom_logger("root", log_level="WARNING")
    logger.info("not seen")
    assert [line.rpartition(" ")[2] for line in capsys.readouterr().err.splitlines()] == ["seen"]


@pytest.mark.parametrize(
    ("path", "module"),
    [
        (PACKAGE / "market_maker.py", "market_maker"),
        (PACKAGE / "runner.py", "market_maker"),
        (PACKAGE / "quoting" / "ladder.py", "market_maker"),
        (PACKAGE / "exchanges" / "gateway.py", "bitmex"),
        (PACKAGE / "exchanges" / "tables.py", "ws_thread"),
        (PACKAGE / "ws" / "ws_thread.py", "ws_thread"),
        (PACKAGE / "custom_strategy.py", "custom_strategy"),
        ("/home/me/runner.py", "runner"),
    ],
)
def test_our_files_carry_the_old_module_names(path: Path | str, module: str) -> None:
    line = log.LogFormatter().format(record(path))
    assert line.endswith(f" - INFO - {module} - hello")


def test_every_mapped_file_exists() -> None:
    names = [name for name in log.MODULE_NAMES if not (PACKAGE / name).is_dir()]
    assert [name for name in names if not (PACKAGE / f"{name}.py").is_file()] == []


def test_a_hidden_value_appears_neither_in_a_message_nor_in_a_traceback() -> None:
    log.hide("s3cr3t-value", None, "", "ab")
    try:
        raise ValueError("bad signature with s3cr3t-value")
    except ValueError as error:
        entry = record("x.py", "key s3cr3t-value of abby")
        entry.exc_info = (ValueError, error, error.__traceback__)
    text = log.LogFormatter().format(entry)
    assert "s3cr3t-value" not in text
    assert "key *** of abby" in text
    assert "ValueError: bad signature with ***" in text


def test_a_line_below_the_level_is_never_formatted() -> None:
    class Costly:
        def __str__(self) -> str:
            raise AssertionError("formatted")

    log.setup_custom_logger("root", logging.INFO).debug("%s", Costly())
