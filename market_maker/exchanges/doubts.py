"""What we are not sure of, and how it is settled: by asking the exchange, and never in haste.

An order of unknown outcome is asked for once its request can no longer arrive. All open orders
are read anew when fills and position disagree, and now and then in any case: a message that
never came leaves no other trace.
"""

import logging
import math
from collections.abc import Callable

from market_maker.clock import Clock
from market_maker.exchanges.base import Connector
from market_maker.exchanges.state import LiveState
from market_maker.model.rows import Row

logger = logging.getLogger("root")

_ODD_FOR_S = 5.0  # how long fills and position may disagree: the messages may be on their way
_LOOK_AGAIN_S = 0.5  # between the two looks that prove an order absent
_REVIEW_EVERY_S = 60.0  # a request a minute, of the hundreds a venue allows


class Doubts:
    """Settles them for one account and symbol. Call it under the gateway's lock."""

    def __init__(
        self,
        connector: Connector,
        state: LiveState,
        clock: Clock,
        read_open_orders: Callable[[], object],
        can_afford: Callable[[], bool],
    ) -> None:
        self._connector, self._state, self._clock = connector, state, clock
        self._read_open_orders = read_open_orders
        self._can_afford = can_afford
        self._odd_since_s = math.inf
        self._review_due_s = clock.monotonic() + _REVIEW_EVERY_S

    def settle(self) -> None:
        """Ask for what can be asked now; raises ExchangeError where no answer comes."""
        now_s = self._clock.monotonic()
        with self._state.lock:
            due = [
                (key, tracked.row)
                for key, tracked in self._state.orders.unknown()
                if now_s > tracked.settle_after_s
            ]
        for key, row in due:
            self._look_up(key, row)
        if self._is_odd() or (now_s >= self._review_due_s and self._can_afford()):
            self._review_due_s = now_s + _REVIEW_EVERY_S
            self._read_open_orders()

    def end_in_s(self) -> float:
        """Seconds until an order of unknown outcome can be asked for."""
        due_s = (tracked.settle_after_s for _, tracked in self._state.orders.unknown())
        return max(0.0, min(due_s, default=math.inf) - self._clock.monotonic())

    def _is_odd(self) -> bool:
        """Whether fills and position have disagreed for so long that a message must be lost."""
        (low, high), now_s = self._state.position_range(), self._clock.monotonic()
        self._odd_since_s = min(self._odd_since_s, now_s) if low != high else math.inf
        if now_s - self._odd_since_s <= _ODD_FOR_S:
            return False
        self._odd_since_s = now_s
        return True

    def _look_up(self, key: str, row: Row) -> None:
        order_id = str(row.get("orderID") or "")
        found = self._connector.fetch_order(
            order_id=order_id, cl_ord_id="" if order_id else str(row.get("clOrdID"))
        )
        with self._state.lock:
            if found is not None:
                self._state.orders.resolve(key, found)
                logger.info("An order in doubt is settled: %s.", found.get("ordStatus"))
            elif self._state.orders.prove_absent(key, self._clock.monotonic() + _LOOK_AGAIN_S):
                logger.info("An order in doubt is not on the exchange.")
            else:
                return
            self._state.want_round()  # its level is free
