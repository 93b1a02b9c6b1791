"""One of several bots: what a process does for the supervisor that has started it.

`marketmaker` with BOTS and no symbol is that supervisor (`market_maker/commands/bots.py`). It tells
each bot in one variable of the environment how to call itself, where to report, and where play
money keeps its journal. The bot's standard input is its lifeline: it closes when the supervisor is
gone, however that ended, and then the bot ends as it does on SIGTERM.
"""

import contextlib
import io
import json
import os
import signal
import sys
import threading
from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple, TextIO

from market_maker.clock import Clock

VARIABLE = "MARKETMAKER_BOT"


class Place(NamedTuple):
    """A bot's place among the others."""

    label: str  # in front of each of its lines
    report_fd: int
    play_folder: str  # of the journals of play money, or empty
    began_s: float = 0.0  # when the run began, Unix time

    def write(self) -> str:
        """The value of VARIABLE."""
        return json.dumps(self._asdict())

    @classmethod
    def read(cls, environ: Mapping[str, str]) -> "Place | None":
        """Ours, or None where this bot is alone."""
        text = environ.get(VARIABLE)
        try:
            return cls(**json.loads(text)) if text else None
        except (ValueError, TypeError):
            return None


def name_lines() -> None:
    """From now on each line that this process writes begins with the bot's name."""
    place = Place.read(os.environ)
    if place is not None:
        sys.stdout = NamedLines(sys.stdout, place.label)
        sys.stderr = NamedLines(sys.stderr, place.label)


def end_with_supervisor(clock: Clock) -> None:
    """End as SIGTERM ends us when the supervisor is gone."""
    if Place.read(os.environ) is not None:
        clock.repeat(_await_end, "lifeline")


def report(fills: int, position: float) -> None:
    """Tell the supervisor what the run came to."""
    _tell({"fills": fills, "position": position})


def beat() -> None:
    """Tell the supervisor that our loop turns."""
    _tell({})


def began_s() -> float:
    """When the run of this bot began (Unix time), however often it was started anew since."""
    place = Place.read(os.environ)
    return place.began_s if place else 0.0


def play_folder() -> Path | None:
    """Where several bots keep their journals of play money while they run."""
    place = Place.read(os.environ)
    return Path(place.play_folder) if place and place.play_folder else None


class NamedLines(io.TextIOBase):
    """Passes whole lines on, each with a label in front."""

    def __init__(self, out: TextIO, label: str) -> None:
        self._out = out
        self._label = label
        self._begun = ""
        self._lock = threading.Lock()

    def write(self, text: str) -> int:
        with self._lock:
            *lines, self._begun = (self._begun + text).split("\n")
            if lines:
                self._out.write("".join(f"{self._label}{line}\n" for line in lines))
                self._out.flush()
        return len(text)

    def flush(self) -> None:
        self._out.flush()

    def fileno(self) -> int:
        return self._out.fileno()


def _tell(report: dict[str, float]) -> None:
    place = Place.read(os.environ)
    if place is not None:
        with contextlib.suppress(OSError):  # it is gone, or stopped and the pipe is full
            os.write(place.report_fd, json.dumps(report).encode() + b"\n")


def _await_end() -> None:
    with contextlib.suppress(OSError):
        while os.read(0, 1):
            pass
    os.kill(os.getpid(), signal.SIGTERM)
