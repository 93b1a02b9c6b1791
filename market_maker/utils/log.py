"""Logging in the format and with the module names of BitMEX's sample-market-maker."""

import base64
import json
import logging
import os
import sys
from collections.abc import Iterable, Iterator
from io import TextIOWrapper
from logging.handlers import TimedRotatingFileHandler
from pathlib import Path
from typing import Any, TextIO, cast
from urllib.parse import quote, quote_plus

FORMAT = "%(asctime)s - %(levelname)s - %(module)s - %(message)s"

# Our files, or folders of them, and the module names that readers of the original's log know.
# Files that are not here keep their own name.
MODULE_NAMES = {
    "runner": "market_maker",
    "ending": "market_maker",
    "status": "market_maker",
    "venue": "market_maker",
    "cli": "market_maker",
    "exchange_interface": "market_maker",
    "quoting/": "market_maker",
    "journal": "bitmex",
    "auth/": "bitmex",
    "exchanges/": "bitmex",
    "exchanges/order_store": "ws_thread",
    "exchanges/receiver": "ws_thread",
    "exchanges/state": "ws_thread",
    "exchanges/stream": "ws_thread",
    "exchanges/tables": "ws_thread",
    "ws/": "ws_thread",
}

_PACKAGE = str(Path(__file__).parent.parent) + os.sep
_SHORTEST_SECRET = 6  # anything shorter would blot out ordinary words and numbers
_KEPT_LOGS = 30
_ODD_BYTES = "surrogateescape"  # as they stand in a value that the environment gave
_hidden: list[str] = []  # the longest first: a key may be a part of its secret


def setup_custom_logger(name: str, log_level: int | str = logging.INFO) -> logging.Logger:
    """Return the logger *name* at *log_level*, writing to stderr. May be called again.

    The bot's logger is called "root". One handler on the root logger serves every name, so a
    line is never written twice.
    """
    root = logging.getLogger()
    if not any(isinstance(handler, _StderrHandler) for handler in root.handlers):
        root.addHandler(_StderrHandler())
    logger = logging.getLogger(name)
    logger.setLevel(log_level)
    return logger


def write_file(path: Path) -> None:
    """Write every line into the file *path* too, from now on; raises OSError."""
    root = logging.getLogger()
    where = str(path.absolute())
    for handler in [h for h in root.handlers if isinstance(h, _FileHandler)]:
        if handler.baseFilename == where:
            return
        root.removeHandler(handler)
        handler.close()
    root.addHandler(_FileHandler(where))


def hide(*secrets: str | None) -> None:
    """Blot out these values wherever we would write them: the last line of defence."""
    forms = {f for s in secrets if s and len(s) >= _SHORTEST_SECRET for f in _forms(s)}
    _hidden[:] = sorted(forms.union(_hidden), key=len, reverse=True)


def redact(text: str) -> str:
    """*text* without any hidden value."""
    for form in _hidden:
        text = text.replace(form, "***")
    return text


def guard_streams() -> None:
    """From now on nothing that this process prints shows a hidden value, crashes included."""
    for name in ("stdout", "stderr"):
        stream = getattr(sys, name)
        if stream is not None and not isinstance(stream, _Redacted):
            setattr(sys, name, cast(TextIO, _Redacted(stream)))


def _forms(secret: str) -> Iterator[str]:
    """How *secret* looks in a message, an address, a body, and a header such as Basic's."""
    yield secret
    yield from (form(secret, safe="", errors=_ODD_BYTES) for form in (quote, quote_plus))
    yield from (json.dumps(secret)[1:-1], json.dumps(secret, ensure_ascii=False)[1:-1])
    yield repr(secret)[1:-1]
    data = secret.encode(errors=_ODD_BYTES)
    for before in range(3):  # bytes in front of it, which shift what base64 makes of it
        # The letters that the secret alone decides.
        first, end = -(-before * 8 // 6), (before + len(data)) * 8 // 6
        for encode in (base64.b64encode, base64.urlsafe_b64encode):
            yield encode(bytes(before) + data).decode()[first:end]


class _Redacted:
    """A stream that is written to without any hidden value, and else as it was."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream

    def write(self, text: str) -> int:
        self._stream.write(redact(text))
        return len(text)

    def writelines(self, lines: Iterable[str]) -> None:
        for line in lines:
            self.write(line)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)


class LogFormatter(logging.Formatter):
    """The original's line, with its module names and without any hidden value."""

    def __init__(self) -> None:
        super().__init__(FORMAT)

    def formatMessage(self, record: logging.LogRecord) -> str:
        return FORMAT % {**record.__dict__, "module": _module_name(record)}

    def format(self, record: logging.LogRecord) -> str:
        return redact(super().format(record))  # with the traceback, which may hold one as well


def _module_name(record: logging.LogRecord) -> str:
    if not record.pathname.startswith(_PACKAGE):  # a strategy's own runner.py keeps its name
        return record.module
    file = record.pathname[len(_PACKAGE) :].replace(os.sep, "/").removesuffix(".py")
    folder = file.rpartition("/")[0] + "/"
    return MODULE_NAMES.get(file) or MODULE_NAMES.get(folder) or record.module


class _StderrHandler(logging.StreamHandler[TextIO]):
    """Writes to what `sys.stderr` is at the moment of writing."""

    def __init__(self) -> None:
        logging.Handler.__init__(self)
        self.setFormatter(LogFormatter())

    @property
    def stream(self) -> TextIO:  # type: ignore[override]
        return sys.stderr


class _FileHandler(TimedRotatingFileHandler):
    """A file that only we can read, a new one each midnight. A full disk must not stop the bot."""

    def __init__(self, path: str) -> None:
        self._has_complained = False
        super().__init__(path, when="midnight", backupCount=_KEPT_LOGS, encoding="utf-8")
        self.setFormatter(LogFormatter())

    def _open(self) -> TextIOWrapper:
        # Made by us first, because what it says is nobody else's business.
        os.close(os.open(self.baseFilename, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600))
        return super()._open()

    def handleError(self, record: logging.LogRecord) -> None:
        del record
        if not self._has_complained:
            self._has_complained = True
            error = sys.exc_info()[1]
            reason = getattr(error, "strerror", None) or error
            print(f"The log file cannot be written: {reason}", file=sys.stderr)
