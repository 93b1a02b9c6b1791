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


class DeadMansSwitch:
    """Armed before the first order, renewed at a quarter of its time, disarmed at the end."""

    def __init__(self, connector: Connector, clock: Clock, budget: RateBudget) -> None:
        self._connector = connector
        self._clock = clock
        self._budget = budget
        self._due_s = -math.inf  # when to renew; -inf while it is not armed
        self._fires_s = -math.inf

    @property
    def is_armed(self) -> bool:
        return self._due_s > -math.inf

    def arm(self, timeout_s: float) -> bool:
        """Arm or renew it if due. False when the exchange has one and it is not armed."""
        now_s = self._clock.monotonic()
        if not timeout_s or now_s < self._due_s or self._connector.caps.dead_man_s is None:
            return True
        self._budget.take(1, urgent=True)
        if self._connector.dead_man(timeout_s):
            self._due_s, self._fires_s = now_s + timeout_s / 4, now_s + timeout_s
            return True
        logger.warning("The exchange did not arm the dead man's switch.")
        return now_s < self._fires_s

    def disarm(self) -> None:
        """Switch it off, once nothing of ours rests any more."""
        if self.is_armed:
            self._connector.dead_man(None)
            self._due_s = self._fires_s = -math.inf
