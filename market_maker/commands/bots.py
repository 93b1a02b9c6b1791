"""`marketmaker` with BOTS and no symbol: all bots at once, each in a process of its own.

The supervisor starts them, passes signals on, says how each has ended, and ends with the last one.
It starts none again: a bot that has failed needs its owner, and the others do not need it.
"""

import contextlib
import json
import logging
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
from collections import deque
from collections.abc import Sequence
from pathlib import Path

from market_maker import venue
from market_maker._settings_bots import Entry
from market_maker.clock import Clock
from market_maker.exchanges.deadman import silence_s
from market_maker.lockfile import FileLock, is_at_work
from market_maker.model.ticks import plain
from market_maker.settings import Settings
from market_maker.simulator.child import VARIABLE as EXCHANGE_VARIABLE
from market_maker.simulator.child import SimulatorChild
from market_maker.supervised import VARIABLE, Place
from market_maker.utils.errors import SettingsError

logger = logging.getLogger("root")

_LOOK_S = 0.05
_FOLDER, _LOCK = "marketmaker-bots-", "supervisor.lock"  # journals of play money while we run
_YOUNG_S = 60.0  # a folder that may not be locked yet
_GRACE_S = 30.0  # for what a bot may do between two turns, such as its clean-up
_SIGNALS = [
    number
    for name in ("SIGINT", "SIGTERM", "SIGHUP")
    if (number := getattr(signal, name, None)) is not None
]


def run_all(bots: Sequence[tuple[Entry, Settings]], words: list[str]) -> int:
    """Run every bot until the last has ended; the exit code is the worst of theirs.

    *words* is the command line, which each of them gets as well.
    """
    if os.name == "nt":
        raise SettingsError(
            ["BOTS runs on Linux and macOS only: start one bot for each --bot here"]
        )
    asked: deque[int] = deque()
    before = {number: signal.signal(number, lambda n, _: asked.append(n)) for number in _SIGNALS}
    clock = Clock()
    _remove_abandoned(clock.now())
    with tempfile.TemporaryDirectory(prefix=_FOLDER) as folder:
        lock = FileLock(Path(folder) / _LOCK)
        company = _Company(words, Path(folder), clock)
        try:
            company.start(bots)
            company.watch(asked)
        finally:
            company.close()
            lock.release()
            for number, handler in before.items():
                signal.signal(number, handler)
    print("\n".join(company.table()), flush=True)
    return max(member.code for member in company.members)


def _remove_abandoned(now_s: float) -> None:
    """Remove what supervisors that were killed have left, once their bots have ended as well."""
    for folder in Path(tempfile.gettempdir()).glob(f"{_FOLDER}*"):
        with contextlib.suppress(OSError):  # somebody else removes it
            about, locks = folder.lstat(), list(folder.glob("*.lock"))
            user = os.getuid() if hasattr(os, "getuid") else about.st_uid
            is_ours = about.st_uid == user and folder / _LOCK in locks
            if is_ours and now_s - about.st_mtime > _YOUNG_S and not any(map(is_at_work, locks)):
                shutil.rmtree(folder)


class _Member:
    """One bot, its process, and what it has told."""

    def __init__(self, entry: Entry, settings: Settings) -> None:
        self.entry = entry
        self.settings = settings
        self.process: subprocess.Popen[bytes] | None = None  # none: it has ended
        self.ending = ""  # how, once it has
        self.code = 0
        self.fills = 0
        self.position: float | None = None
        self.began_s = 0.0
        self.heard_s: float | None = None  # when its loop was last known to turn
        self._reports = -1
        self._told = b""  # a line that is not whole yet

    def start(self, command: list[str], place: Place, env: dict[str, str], fds: list[int]) -> int:
        """Start *command* for this bot; *fds* are inherited, the first as standard input.

        Answers the number of the process.
        """
        self._reports, theirs = os.pipe()
        for end in (self._reports, theirs):
            os.set_blocking(end, False)  # a bot never waits for us
        self.process = subprocess.Popen(
            command,
            stdin=fds[0],
            env={**os.environ, **env, VARIABLE: place._replace(report_fd=theirs).write()},
            pass_fds=[theirs, *fds[1:]],
            start_new_session=True,  # Ctrl-C reaches it through the supervisor only
        )
        os.close(theirs)
        return self.process.pid

    def look(self, now_s: float) -> int | None:
        """Hear what it tells; the return code if it has ended."""
        if self.process is None:
            return None
        code = self.process.poll()
        with contextlib.suppress(BlockingIOError):
            while data := os.read(self._reports, 4096):
                self._told += data
        *lines, self._told = self._told.split(b"\n")
        for line in lines:
            self._hear(json.loads(line), now_s)
        if code is not None:
            os.close(self._reports)
            self.process = None
        return code

    def _hear(self, report: dict[str, float], now_s: float) -> None:
        self.heard_s = now_s
        if "position" in report:
            # A sweep counts all of the run, in the journal.
            self.fills = int(report["fills"]) + (0 if self.ending else self.fills)
            self.position = report["position"]


class _Company:
    """All bots, what they share, and the sweep of what one that was killed has left."""

    def __init__(self, words: list[str], folder: Path, clock: Clock) -> None:
        self.members: list[_Member] = []
        self._words = words
        self._folder = folder
        self._clock = clock
        self._exchange: SimulatorChild | None = None
        self._lifeline, self._kept_end = os.pipe()  # the other end closes with us
        self._is_ending = False

    def start(self, bots: Sequence[tuple[Entry, Settings]]) -> None:
        """Start the exchange, if any bot trades play money, then the bots."""
        play = [settings for _, settings in bots if venue.is_play_money(settings)]
        if play:
            self._exchange = SimulatorChild.start(
                venue.child_args(play[0], str(play[0].SYMBOL)), self._clock
            )
        for entry, settings in bots:
            self.members.append(_Member(entry, settings))
        for member in self.members:
            pid = self._start(member, self._words)
            logger.info("%s runs as process %d.", member.entry.name, pid)

    def watch(self, asked: deque[int]) -> None:
        """Until the last has ended, pass on what is *asked* and say who ends."""
        while any(member.process for member in self.members):
            self._clock.sleep(_LOOK_S)
            while asked:
                self._end_all(asked.popleft())
            for member in self.members:
                code = member.look(self._clock.monotonic())
                if code is not None:
                    self._note_end(member, code)
                else:
                    self._end_if_hung(member)

    def close(self) -> None:
        """Let go of the exchange. Bots that still run, after an error here, end with us."""
        os.close(self._kept_end)
        os.close(self._lifeline)
        for member in self.members:
            if member.process is not None:
                member.process.wait()
        if self._exchange is not None:
            self._exchange.close()

    def table(self) -> list[str]:
        """How each has ended, in 80 columns."""
        lines = [
            "",
            f"{'Bot':<21}{'Symbol':<14}{'Strategy':<16}{'Exit':>7}{'Fills':>8}{'Position':>13}",
        ]
        for member in self.members:
            strategy = re.split("[:/]", str(member.settings.STRATEGY))[-1]
            told = ("unknown", "unknown")  # it ended before it could
            if member.position is not None:
                told = (str(member.fills), plain(member.position))
            lines.append(
                f"{member.entry.name:<21}{member.entry.symbol[:13]:<14}{strategy[:15]:<16}"
                f"{member.ending:>7}{told[0]:>8}{told[1]:>13}"
            )
        return lines

    def _start(self, member: _Member, words: list[str]) -> int:
        width = max(len(other.entry.name) for other in self.members)
        env, fds, folder = {}, [self._lifeline], ""
        if self._exchange is not None and venue.is_play_money(member.settings):
            env[EXCHANGE_VARIABLE], pipe_fd = self._exchange.share()
            fds.append(pipe_fd)
            folder = str(self._folder)
        member.began_s = member.began_s or self._clock.now()
        place = Place(f"{member.entry.name:<{width}} | ", -1, folder, member.began_s)
        launcher = sys.orig_argv[1 : len(sys.orig_argv) - len(sys.argv) + 1]
        command = [sys.executable, *launcher, *words, "--bot", member.entry.name]
        return member.start(command, place, env, fds)

    def _running(self) -> list[subprocess.Popen[bytes]]:
        """The bots that run; a sweep is none."""
        return [m.process for m in self.members if m.process is not None and not m.ending]

    def _end_all(self, number: int) -> None:
        """Have every bot end as asked. Asked again, they hurry."""
        running = self._running()
        if not self._is_ending:
            logger.info("%s: ending %d bots.", signal.Signals(number).name, len(running))
        self._is_ending = True
        for process in running:
            process.send_signal(signal.SIGTERM)

    def _end_if_hung(self, member: _Member) -> None:
        """End a bot whose loop does not turn: while the others live, the account's dead man's
        switch does not fire for it."""
        timeout_s = silence_s(member.settings)
        if member.process is None or member.ending or self._is_ending or not timeout_s:
            return
        silent_s = self._clock.monotonic() - (member.heard_s or self._clock.monotonic())
        if silent_s > timeout_s + _GRACE_S:
            logger.error("%s has hung for %.0f s: killing it.", member.entry.name, silent_s)
            member.process.kill()
            member.heard_s = None

    def _note_end(self, member: _Member, code: int) -> None:
        name, is_sweep = member.entry.name, bool(member.ending)
        if is_sweep:
            if code:
                logger.error("%s: its orders may still rest. Look at the account.", name)
            return
        # Before it could take signals over, and so before its first order.
        is_asked = self._is_ending and -code == signal.SIGTERM
        member.ending = str(code) if code >= 0 else "0" if is_asked else signal.Signals(-code).name
        member.code = code if code >= 0 else 0 if is_asked else 1
        others = len(self._running())
        if not member.code:
            return
        if code > 0:
            logger.error("%s has ended with exit code %d. Still running: %d.", name, code, others)
        else:
            logger.error("%s was killed by %s. Still running: %d.", name, member.ending, others)
        # The others keep the account's dead man's switch from firing: it will not do this for us.
        if member.code == 1 and not member.settings.DRY_RUN:
            logger.info("%s: making sure that nothing of it is left in the book.", name)
            self._start(member, ["cancel-all", "--own", *self._words])
