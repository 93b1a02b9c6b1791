"""Our orders against the exchange's own list: now and then, and when what we know cannot be.

A message that never came leaves an order in our books that has long been filled or cancelled.
Nothing on the stream will ever say so; the list of open orders does.
"""

import logging
import math

from market_maker.clock import Clock
from market_maker.exchanges.base import ExchangeError
from market_maker.exchanges.gateway import Gateway
from market_maker.exchanges.state import LiveState

logger = logging.getLogger("root")

_EVERY_S, _OFTEN_S = 30.0, 4.0  # often while more than _PLENTY requests are left to spend
_PLENTY = 100
_ODD_FOR_S = 1.0  # two tables may be a moment apart


class OrderAudit:
    """Asks for the list when it is due, within the rate budget."""

    def __init__(self, state: LiveState, gateway: Gateway, clock: Clock) -> None:
        self._state = state
        self._gateway = gateway
        self._clock = clock
        self._asked_s = clock.monotonic()
        self._odd_since_s = math.inf
        self._has_asked = False  # about what is odd now
        self._base_qty = 0.0  # the position without our fills, when the list was last compared

    def step(self) -> None:
        """Called in every round; what it finds is settled before the round decides."""
        now_s = self._clock.monotonic()
        if self._is_odd():
            self._odd_since_s = min(self._odd_since_s, now_s)
            if not self._has_asked:
                self._state.want_round()  # to see soon whether it lasts
        else:
            self._odd_since_s, self._has_asked = math.inf, False
        is_suspicious = now_s - self._odd_since_s >= _ODD_FOR_S and not self._has_asked
        due_s = self._asked_s + (_EVERY_S if self._gateway.budget.wait_s(_PLENTY) else _OFTEN_S)
        # Another hand moved the position, or it was a fill that we have not heard of.
        is_suspicious |= self._state.base_qty != self._base_qty
        if not (is_suspicious or now_s >= due_s) or not self._gateway.budget.take(1):
            return
        self._asked_s, self._has_asked, self._base_qty = now_s, True, self._state.base_qty
        try:
            self._gateway.own_open_orders()
            self._gateway.settle_unknown()
        except ExchangeError as error:
            logger.debug("The list of open orders did not come: %s", error)
            self._has_asked = False

    def _is_odd(self) -> bool:
        """Whether an order of ours stands before the touch, or our fills make another position."""
        low, high = self._state.position_range()
        if low != high:
            return True
        bid, ask = self._state.touch["bidPrice"], self._state.touch["askPrice"]
        if bid is not None and ask is not None and bid >= ask:
            return False  # a frame between two moments tells nothing of our orders
        buys, sells = self._state.own_best("Buy"), self._state.own_best("Sell")
        is_before_bid = bid is not None and buys is not None and buys > bid
        return is_before_bid or (ask is not None and sells is not None and sells < ask)
