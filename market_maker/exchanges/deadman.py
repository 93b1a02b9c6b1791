"""The server-side dead man's switch: what cancels our orders when no code of ours runs.

The exchange cancels every order of the account when the switch was not renewed in time, be it
for lost power, a killed process, a lost network or a hung strategy. It is renewed from outside
the main loop, so that a slow round does no harm, but only while that loop completes rounds.
"""

import logging
import math
import threading
from collections.abc import Callable, Mapping
from typing import Any

from market_maker.clock import Clock
from market_maker.exchanges.base import Connector
from market_maker.exchanges.throttle import RateBudget
from market_maker.utils.errors import AuthenticationError

logger = logging.getLogger("root")

_RETRY_S = 1.0
_GUARD_S = (2.0, 3600.0)  # what a guard takes


def silence_s(settings: Mapping[str, Any]) -> float:
    """How long a bot with these settings may be silent; 0: for ever.

    The switch is renewed while rounds complete: shorter than a quiet wait it would fire while all
    is well.
    """
    timeout_s = float(settings["DEADMAN_TIMEOUT"])
    waits_s = (settings["LOOP_INTERVAL"], settings["MIN_REQUOTE_INTERVAL"])
    return timeout_s and max(timeout_s, *(3.0 * wait_s for wait_s in waits_s))


class DeadMansSwitch:
    """Armed before the first order, renewed at a quarter of its time, disarmed at the end.

    `is_fresh` tells whether the data can be quoted on. `is_last` tells, at the end, whether no
    other bot relies on the same timer: the account has only one.
    """

    def __init__(self, connector: Connector, clock: Clock, *budgets: RateBudget) -> None:
        self.is_fresh: Callable[[], bool] = lambda: True
        self.is_last: Callable[[], bool] = lambda: True
        self.guard: Callable[[float | None], bool] | None = None  # a process that watches us
        self._connector = connector
        self._clock = clock
        self._budgets = budgets
        self._lock = threading.Lock()
        self._timeout_s = 0.0
        self._round_s = -math.inf  # the last sign of life
        self._has_rounds = False
        self._due_s = -math.inf  # when to renew or to try again
        self._fires_s = -math.inf  # when it will have fired, if it is not renewed
        self._is_failing = self._is_kept = self._is_hung = False

    @property
    def is_armed(self) -> bool:
        return self._clock.monotonic() < self._fires_s

    def arm(self, timeout_s: float) -> bool:
        """Called before an order: arm it, or renew it if due. False: the exchange has one and
        it is not armed."""
        if not timeout_s or not (self._connector.caps.dead_man_s or self.guard):
            return True
        timeout_s = self._fitted(timeout_s)
        with self._lock:
            self._timeout_s = timeout_s
            if not self._has_rounds:  # a script without rounds, or before the first one
                self._round_s = self._clock.monotonic()
            if self._clock.monotonic() >= self._due_s and (self._is_alive or not self.is_armed):
                self._renew()
            if self.is_armed and not self._is_kept:
                self._is_kept = True
                logger.info(
                    "Dead man's switch armed: when this bot falls silent for %g s, %s cancels %s.",
                    *(timeout_s, *self._who_does_what()),
                )
                self._clock.repeat(self._tend, "dead-mans-switch")
            return self.is_armed

    def doubt(self) -> None:
        """It may have fired: the next order needs it armed anew."""
        self._due_s = self._fires_s = -math.inf

    def _who_does_what(self) -> tuple[str, str]:
        caps, own = self._connector.caps, "its orders, and no others"
        if caps.dead_man_s is None:
            return "the guard", own
        every = "every order of the account, also those placed by hand"
        return "the exchange", own if caps.dead_man_of_own else every

    def note_round(self, timeout_s: float) -> None:
        """The main loop has finished a round."""
        self._timeout_s, self._round_s = self._fitted(timeout_s), self._clock.monotonic()
        self._has_rounds, self._is_hung = True, False

    def disarm(self) -> None:
        """Switch it off, once nothing of ours rests any more or what rests is to stay."""
        with self._lock:
            was_armed, self._is_kept = self._is_kept, False
            self._due_s = self._fires_s = -math.inf
            if not was_armed:
                return
            if self.is_last():
                self._set(None)
            else:
                logger.info("The dead man's switch stays armed for another bot of the account.")

    def abandon(self) -> None:
        """Renew it no more: it will fire, which is right for what could not be verified."""
        self._is_kept = False

    def _tend(self) -> float | None:
        """Renew it when due; when to look again, or None when there is nothing to tend."""
        if not self._lock.acquire(blocking=False):
            return _RETRY_S  # it is being armed just now
        try:
            if not self._is_kept:
                return None
            if self._clock.monotonic() >= self._due_s and self.is_armed:
                if self._is_alive:
                    self._renew()
                else:
                    self._tell_of_hang()
            wait_s = self._due_s - self._clock.monotonic()
            return min(_RETRY_S, wait_s) if wait_s > 0 else _RETRY_S
        finally:
            self._lock.release()

    def _tell_of_hang(self) -> None:
        """Say once that no round completes, and what follows; stale data has words of its own."""
        now_s = self._clock.monotonic()
        if self._has_rounds and not self._is_hung and now_s - self._round_s > self._timeout_s / 2:
            self._is_hung = True
            logger.warning(
                "The strategy hangs: no round for %.0f s. The dead man's switch fires in %.0f s.",
                *(now_s - self._round_s, self._fires_s - now_s),
            )

    def _fitted(self, timeout_s: float) -> float:
        """The nearest time that the exchange takes; 0 stays 0."""
        low, high = self._connector.caps.dead_man_s or _GUARD_S
        return min(high, max(low, timeout_s)) if timeout_s else 0.0

    def _set(self, timeout_s: float | None) -> bool:
        """Set the timers there are; True when all of them are set."""
        if self.guard is not None and not self.guard(timeout_s):
            return False
        has_own = self._connector.caps.dead_man_s is not None
        return not has_own or self._connector.dead_man(timeout_s)

    @property
    def _is_alive(self) -> bool:
        """Whether rounds complete on data that is fresh."""
        since_s = self._clock.monotonic() - self._round_s
        return since_s <= self._timeout_s / 2 and self.is_fresh()

    def _renew(self) -> None:
        if not self._timeout_s:
            return
        now_s = self._clock.monotonic()
        for budget in self._budgets:
            budget.take(1, urgent=True)
        try:
            is_set = self._set(self._timeout_s)
        except AuthenticationError:
            if not self.is_armed:
                raise  # the first action of a run is the first to hear it
            is_set = False
        if is_set:
            self._due_s, self._fires_s = now_s + self._timeout_s / 4, now_s + self._timeout_s
        else:
            self._due_s = now_s + _RETRY_S
            if not self._is_failing:
                logger.warning("The exchange did not arm the dead man's switch.")
        self._is_failing = not is_set
