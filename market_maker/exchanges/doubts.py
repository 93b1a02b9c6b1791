"""What we are not sure of, and how it is settled: by asking the exchange, and never in haste.

An order of unknown outcome is asked for once its request can no longer arrive, and within the rate
budget: where there are many, one list of all open orders answers for most.
"""

import logging
import math
from collections import Counter
from collections.abc import Callable, Sequence

from market_maker.clock import Clock
from market_maker.exchanges.base import Connector
from market_maker.exchanges.state import LiveState
from market_maker.model.rows import Row

logger = logging.getLogger("root")

_LOOK_AGAIN_S = 0.5  # between the two looks that prove an order absent
_ONE_BY_ONE = 2  # orders in doubt for which the list is not worth a request


class Doubts:
    """Settles them for one account and symbol. Call it under the gateway's lock."""

    def __init__(
        self,
        connector: Connector,
        state: LiveState,
        clock: Clock,
        read_open_orders: Callable[[], Sequence[Row]],
        can_afford: Callable[[], bool],
    ) -> None:
        self._connector, self._state, self._clock = connector, state, clock
        self._read_open_orders = read_open_orders
        self._can_afford = can_afford

    def settle(self) -> None:
        """Ask for what can be asked now; raises ExchangeError where no answer comes."""
        now_s = self._clock.monotonic()
        with self._state.lock:
            due = [
                (key, tracked.row)
                for key, tracked in self._state.orders.unknown()
                if now_s > tracked.settle_after_s
            ]
        if len(due) > _ONE_BY_ONE and self._can_afford():
            due = self._not_listed(due, self._read_open_orders())
        settled = Counter[str]()
        try:
            for key, row in due:
                if self._can_afford():
                    settled.update(self._look_up(key, row))
        finally:  # of many one line, also where the last one is not answered
            if settled:
                counts = ", ".join(f"{count} {status}" for status, count in settled.items())
                logger.info("Orders in doubt are settled: %s.", counts)

    def _not_listed(self, due: list[tuple[str, Row]], rows: Sequence[Row]) -> list[tuple[str, Row]]:
        """Settle those that are open, and return the others."""
        listed = {row.get(name): row for row in rows for name in ("orderID", "clOrdID")}
        with self._state.lock:
            for key, _ in due:
                if key in listed:
                    self._state.orders.resolve(key, listed[key])
        return [(key, row) for key, row in due if key not in listed]

    def end_in_s(self) -> float:
        """Seconds until an order of unknown outcome can be asked for."""
        due_s = (tracked.settle_after_s for _, tracked in self._state.orders.unknown())
        return max(0.0, min(due_s, default=math.inf) - self._clock.monotonic())

    def _look_up(self, key: str, row: Row) -> list[str]:
        """What became of the order, if that is known now."""
        order_id = str(row.get("orderID") or "")
        found = self._connector.fetch_order(
            order_id=order_id, cl_ord_id="" if order_id else str(row.get("clOrdID"))
        )
        with self._state.lock:
            if found is not None:
                self._state.orders.resolve(key, found)
                status = str(found.get("ordStatus"))
            elif self._state.orders.prove_absent(key, self._clock.monotonic() + _LOOK_AGAIN_S):
                status = "not on the exchange"
            else:
                return []
            self._state.want_round()  # its level is free
            return [status]
