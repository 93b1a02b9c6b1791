"""How a run begins and ends: clean-up on every way out, restart when a file changes."""

import contextlib
import functools
import logging
import math
import os
import re
import subprocess
import sys
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import Any

from market_maker import supervised
from market_maker._settings_record import in_force
from market_maker.clock import Clock
from market_maker.exchanges.desk import Desk
from market_maker.interrupts import Interrupts
from market_maker.strategy_loader import USER_MODULE
from market_maker.utils import log
from market_maker.utils.errors import SettingsError

logger = logging.getLogger("root")

_SOON_S = 0.5
_WANTED_S = 0.1
_ROUND_COST = 4  # requests that a round may need: amends in two phases, creates, cancels


class Pace:
    """How long to wait between rounds, and how often to repeat the status."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._last_round_s = self._last_status_s = float("-inf")

    def wait(
        self, desk: Desk, settings: Any, hear: Callable[[], None], at_most_s: float = math.inf
    ) -> None:
        """Until something relevant changes; *hear* is called for whatever arrives meanwhile."""
        clock, state, latency = self._clock, desk.state, desk.latency
        supervised.beat()
        if latency is not None:
            latency.end_round()
        if self._last_round_s == float("-inf"):
            self._last_round_s = clock.monotonic()  # the round that has just ended is the first
        # An order in doubt holds its level: it is asked for as soon as that proves anything.
        longest_s = min(settings.LOOP_INTERVAL, max(_SOON_S, desk.gateway.doubts.end_in_s()))
        longest_s = min(longest_s, at_most_s)
        longest_s += clock.monotonic()
        while not (state.drain() and settings.EVENT_DRIVEN):
            hear()
            left_s = longest_s - clock.monotonic()
            if left_s <= 0:
                break
            clock.wait(state.wake, left_s)
        if settings.EVENT_DRIVEN:
            # Changes within the shortest wait fold into one round. One that only we want, such as
            # for orders that had to wait, comes no sooner than something can have changed.
            least_s = max(settings.MIN_REQUOTE_INTERVAL, state.take_want() * _WANTED_S)
            due_s = self._last_round_s + least_s - clock.monotonic()
            # With the rate budget low, rounds come as slowly as it refills.
            due_s = max(due_s, min(desk.gateway.budget.wait_s(_ROUND_COST), settings.LOOP_INTERVAL))
            if due_s > 0:
                clock.sleep(due_s)
                if latency is not None:
                    latency.end_pause()
        self._last_round_s = clock.monotonic()

    def is_status_due(self, interval_s: float) -> bool:
        """True when the last status block is older than *interval_s*."""
        now_s = self._clock.monotonic()
        return now_s - self._last_status_s >= interval_s

    def note_status(self) -> None:
        """The status block has just been shown."""
        self._last_status_s = self._clock.monotonic()


def begin_log(settings: Any) -> None:
    """The log has the level of LOG_LEVEL and goes into USE_LOG_FILE too; raises SettingsError."""
    logger.setLevel(settings.LOG_LEVEL)
    wanted = settings.USE_LOG_FILE
    if not wanted:
        return
    own_name = re.sub(r"[^\w.-]", "-", f"{settings.SYMBOL}-{settings.ORDERID_PREFIX.strip('_')}")
    path = Path(f"marketmaker-{own_name}.log" if wanted is True else wanted)
    try:
        log.write_file(path)
    except OSError as error:
        reason = error.strerror or error
        raise SettingsError([f"USE_LOG_FILE: {path} cannot be written: {reason}"]) from None


def begin(manager: Any) -> None:
    """The run has begun: it is in the journal, with the settings in force."""
    manager.is_running = True
    desk = manager.exchange.desk
    desk.run_log.begin(desk.connector.symbol, in_force(manager.settings))


def managed(run_loop: Callable[..., Any]) -> Callable[..., Any]:
    """Wrap a `run_loop`, ours or a strategy's own, in start-up and clean-up.

    The first call on a manager checks the settings, takes the signals over, cancels what is left
    from before and quotes; however it ends, orders are cancelled and verified.
    """

    @functools.wraps(run_loop)
    def wrapped(self: Any, *args: Any, **kwargs: Any) -> Any:
        if self.is_running:
            return run_loop(self, *args, **kwargs)
        interrupts: Interrupts = self.interrupts
        interrupts.install()
        self.exchange.desk.gateway.outbox.after_action = interrupts.raise_pending
        try:
            self.start()
            return run_loop(self, *args, **kwargs)
        except KeyboardInterrupt:
            interrupts.begin_ending()
            logger.info("Interrupted.")
        except SystemExit as leaving:
            interrupts.begin_ending()
            self.exit_code = _code_of(leaving)
        except Exception as error:  # noqa: BLE001 - the top of the run: say it, clean up, end with 1
            interrupts.begin_ending()
            self.report(error)
            self.exit_code = getattr(error, "exit_code", 1)
        finally:
            interrupts.begin_ending()
            try:
                self.shut_down()
            finally:
                interrupts.restore()
        if self.exit_code:
            raise SystemExit(self.exit_code)
        return None

    return wrapped


def _code_of(leaving: SystemExit) -> int:
    """As Python has it: a number, or a text that is said and means 1."""
    if leaving.code is None or isinstance(leaving.code, int):
        return leaving.code or 0
    logger.error("Stopping: %s", leaving.code)
    return 1


def leave_now(code: int) -> None:
    """End the process, whatever its other threads do."""
    for stream in (sys.stdout, sys.stderr):
        with contextlib.suppress(OSError, ValueError):
            stream.flush()
    os._exit(code)


def describe(error: Exception) -> str:
    """What a strategy raised, and where, in one line: the place in a file of the user's own."""
    frames = traceback.extract_tb(error.__traceback__)
    package = str(Path(__file__).parent)
    users = [frame for frame in frames if not frame.filename.startswith(package)]
    last = (users or frames)[-1:]
    place = "".join(f" ({Path(frame.filename).name} line {frame.lineno})" for frame in last)
    text = " ".join(str(error).split())[:200]
    return f"the strategy raised {type(error).__name__}{text and ': '}{text}{place}"


# -- restart when a file changes --------------------------------------------------------


def files_in_use(settings: Any) -> list[str]:
    """The files whose change means a restart: those named, else those really imported."""
    if settings.WATCHED_FILES is not None:
        return [str(name) for name in settings.WATCHED_FILES]
    package = Path(__file__).resolve().parent
    found = {str(path) for path in settings.loaded_files()} if _has_files(settings) else set()
    for name, module in list(sys.modules.items()):
        path = getattr(module, "__file__", None)
        if not path or not path.endswith(".py"):
            continue
        if name in ("__main__", USER_MODULE) or package in Path(path).resolve().parents:
            found.add(path)
    return sorted(found)


def modified_times(files: list[str]) -> list[tuple[str, float]]:
    """Pairs of file and modification time; a missing file is a warning, not an end."""
    times = []
    for name in files:
        try:
            times.append((name, Path(name).stat().st_mtime))
        except OSError:
            logger.warning("WATCHED_FILES: %s is missing and is not watched.", name)
    return times


def changed_file(times: list[tuple[str, float]]) -> str | None:
    """The first file that is newer than it was, if it can be used at all."""
    for position, (name, old) in enumerate(times):
        try:
            new = Path(name).stat().st_mtime
        except OSError:
            continue
        if new > old:
            if _compiles(name):
                return name
            times[position] = (name, new)
    return None


def re_exec() -> None:
    """Become a new process of the same command line, however this one was started."""
    command = [sys.executable, *sys.orig_argv[1:]]
    for stream in (sys.stdout, sys.stderr):
        stream.flush()
    if os.name == "nt":  # there exec returns to the shell while the new process goes on
        raise SystemExit(subprocess.call(command))
    os.execv(sys.executable, command)


def _compiles(name: str) -> bool:
    """A half-saved file must not end a running bot."""
    if not name.endswith(".py"):
        return True
    try:
        compile(Path(name).read_bytes(), name, "exec")
    except (SyntaxError, ValueError, OSError) as error:
        logger.error("%s has changed but cannot be used (%s): going on without.", name, error)
        return False
    return True


def _has_files(settings: Any) -> bool:
    return callable(getattr(settings, "loaded_files", None))
