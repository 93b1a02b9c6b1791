"""The log: the original's line, its module names, and no secret in it."""

import io
import json
import logging
import os
import re
import stat
import sys
import time
from base64 import b64encode, urlsafe_b64encode
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import quote, urlencode

import pytest

import market_maker
from market_maker import cli
from market_maker.runner import begin_log
from market_maker.settings import load
from market_maker.utils import log

PACKAGE = Path(market_maker.__file__).parent


@pytest.fixture(autouse=True)
def _clean_root() -> Iterator[None]:
    root = logging.getLogger()
    handlers, level, hidden = list(root.handlers), root.level, list(log._hidden)
    yield
    root.handlers[:] = handlers
    root.setLevel(level)
    log._hidden[:] = hidden


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


ODD = 'k3y+of/mine="4711\\\u00e4'


@pytest.mark.parametrize(
    "text",
    [
        ODD,
        quote(ODD, safe=""),
        urlencode({"apiKey": ODD}),
        json.dumps({"key": ODD}),
        json.dumps({"key": ODD}, ensure_ascii=False),
        repr({"key": ODD}),
        *(b64encode(f"{user}:{ODD}:x".encode()).decode() for user in ("a", "ab", "abc")),
        *(urlsafe_b64encode(f"{user}:{ODD}".encode()).decode() for user in ("a", "ab", "abc")),
    ],
)
def test_a_hidden_value_is_known_in_every_form_in_which_requests_carry_it(text: str) -> None:
    log.hide(ODD)
    shown = log.redact(f"request {text} sent")
    assert "***" in shown and shown.startswith("request ") and shown.endswith(" sent")
    assert len(shown) < 40


def test_a_value_of_the_environment_with_odd_bytes_is_hidden_like_any_other() -> None:
    secret = os.fsdecode(b"secret-\xff-of-mine")
    log.hide(secret)
    assert log.redact(f"x {secret} x secret-%FF-of-mine") == "x *** x ***"


@pytest.mark.parametrize("order", [("my-key", "my-key-and-more"), ("my-key-and-more", "my-key")])
def test_of_a_value_that_begins_with_another_nothing_is_left(order: tuple[str, str]) -> None:
    log.hide(*order)
    assert log.redact("it is my-key-and-more, of my-key") == "it is ***, of ***"


def test_what_a_guarded_process_prints_shows_no_hidden_value(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("stdout", "stderr"):
        monkeypatch.setattr(sys, name, getattr(sys, name))  # to be put back
    log.hide("s3cr3t-value")
    for _ in range(2):
        log.guard_streams()
    print("out: s3cr3t-value", flush=True)
    sys.stderr.writelines(["err: ", "s3cr3t-value\n"])
    assert capsys.readouterr() == ("out: ***\n", "err: ***\n")
    assert not sys.stdout.isatty()


def test_a_line_below_the_level_is_never_formatted() -> None:
    class Costly:
        def __str__(self) -> str:
            raise AssertionError("formatted")

    log.setup_custom_logger("root", logging.INFO).debug("%s", Costly())


# -- the file of USE_LOG_FILE -----------------------------------------------------------------


def file_handler() -> logging.Handler:
    (handler,) = [h for h in logging.getLogger().handlers if isinstance(h, log._FileHandler)]
    return handler


def test_a_file_gets_the_same_lines_without_a_secret_for_its_owner_only(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "bot.log"
    log.hide("a-secret-of-mine")
    log.write_file(path)
    log.setup_custom_logger("root").info("signed with %s", "a-secret-of-mine")
    log.write_file(path)
    logging.getLogger("another").warning("once")
    assert path.read_text() == capsys.readouterr().err
    assert "signed with ***\n" in path.read_text()
    assert path.read_text().count("once") == 1
    if os.name != "nt":
        assert stat.S_IMODE(path.stat().st_mode) == 0o600


def test_a_new_file_begins_at_midnight_and_the_old_one_is_kept(tmp_path: Path) -> None:
    path = tmp_path / "bot.log"
    log.write_file(path)
    logger = log.setup_custom_logger("root")
    logger.info("today")
    handler = file_handler()
    assert isinstance(handler, log._FileHandler)
    midnight = time.localtime(handler.rolloverAt)
    assert (midnight.tm_hour, midnight.tm_min, midnight.tm_sec) == (0, 0, 0)
    handler.rolloverAt = 0  # midnight is over
    logger.info("tomorrow")
    kept = sorted(tmp_path.iterdir())
    assert [file.name[:8] for file in kept] == ["bot.log", "bot.log."]
    assert ["tomorrow" in kept[0].read_text(), "today" in kept[1].read_text()] == [True, True]


def test_another_file_takes_the_place_of_the_first(tmp_path: Path) -> None:
    for name in ("one.log", "two.log"):
        log.write_file(tmp_path / name)
        log.setup_custom_logger("root").info("into %s", name)
    assert "two.log" not in (tmp_path / "one.log").read_text()


def test_a_full_disk_is_said_once_and_stops_nothing(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    log.write_file(tmp_path / "bot.log")
    handler = file_handler()
    assert isinstance(handler, log._FileHandler)

    class Full(io.StringIO):
        def write(self, _: str) -> int:
            raise OSError(28, "No space left on device")

    stream, handler.stream = handler.stream, Full()  # type: ignore[assignment]
    stream.close()
    logger = log.setup_custom_logger("root")
    for number in range(3):
        logger.info("line %d", number)
    said = capsys.readouterr().err
    assert said.count("The log file cannot be written: No space left on device") == 1
    assert "line 2" in said and "Traceback" not in said


@pytest.mark.parametrize(
    ("wanted", "name"),
    [
        (True, "marketmaker-XBTUSD-mm_bitmex.log"),
        ("logs.txt", "logs.txt"),
        (False, ""),
    ],
)
def test_the_file_is_named_after_the_bot(
    wanted: object, name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    begin_log(load("XBTUSD", environ={}, overrides={"USE_LOG_FILE": wanted}))
    assert [file.name for file in tmp_path.iterdir()] == [name] * bool(name)


def test_a_prefix_may_hold_what_a_file_name_may_not(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    changes = {"USE_LOG_FILE": True, "ORDERID_PREFIX": "a/b:"}
    begin_log(load("XBTUSD", environ={}, overrides=changes))
    assert [file.name for file in tmp_path.iterdir()] == ["marketmaker-XBTUSD-a-b-.log"]


def test_a_place_that_cannot_be_written_is_one_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "settings.py").write_text('USE_LOG_FILE = "nowhere/bot.log"\n')
    assert cli.main(["XBTUSD"]) == 2
    lines = capsys.readouterr().err.splitlines()
    assert lines[-1] == "USE_LOG_FILE: nowhere/bot.log cannot be written: No such file or directory"
