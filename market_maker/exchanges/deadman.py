"""The server-side dead man's switch: what cancels our orders when no code of ours runs.

The exchange cancels every order of the account when the switch was not renewed in time, be it
for lost power, a killed process, a lost network or a hung strategy.
"""

import logging
import math

from market_maker.clock import Clock
from market_maker.exchanges.base import Connector
from market_maker.exchanges.throttle import RateBudget

logger = logging.getLogger("root")

_RETRY_S = 1.0


class DeadMansSwitch:
    """Armed before the first order, renewed at a quarter of its time, disarmed at the end."""

    def __init__(self, connector: Connector, clock: Clock, budget: RateBudget) -> None:
        self._connector = connector
        self._clock = clock
        self._budget = budget
        self._due_s = -math.inf  # when to renew or to try again
        self._fires_s = -math.inf  # when it will have fired, if it is not renewed
        self._is_failing = False

    @property
    def is_armed(self) -> bool:
        return self._clock.monotonic() < self._fires_s

    def arm(self, timeout_s: float) -> bool:
        """Arm or renew it if due. False when the exchange has one and it is not armed."""
        if not timeout_s or self._connector.caps.dead_man_s is None:
            return True
        now_s = self._clock.monotonic()
        if now_s >= self._due_s:
            self._budget.take(1, urgent=True)
            is_set = self._connector.dead_man(timeout_s)
            if is_set:
                self._due_s, self._fires_s = now_s + timeout_s / 4, now_s + timeout_s
            else:
                self._due_s = now_s + _RETRY_S
                if not self._is_failing:
                    logger.warning("The exchange did not arm the dead man's switch.")
            self._is_failing = not is_set
        return self.is_armed

    def disarm(self) -> None:
        """Switch it off, once nothing of ours rests any more."""
        if self._fires_s > -math.inf:
            self._connector.dead_man(None)
            self._due_s = self._fires_s = -math.inf
