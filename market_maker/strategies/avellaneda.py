"""Quotes that lean against the inventory (Avellaneda and Stoikov).

The arithmetic and the estimators are in `market_maker/quoting/avellaneda.py`.
"""

import math
from collections import deque

from market_maker.market_maker import OrderManager, logger
from market_maker.model.rows import Row
from market_maker.quoting.avellaneda import (
    Arrivals,
    Market,
    Terms,
    rolling,
    stationary,
    within,
)
from market_maker.quoting.volatility import Volatility
from market_maker.utils.errors import MarketEmptyError


class Avellaneda(OrderManager):
    """ORDER_PAIRS quotes on each side, the first where the model says, INTERVAL apart."""

    def on_start(self) -> None:
        """Begin to learn; until there are samples enough, the careful ends of the bounds apply."""
        s, window = self.settings, self.settings.AVELLANEDA_WINDOW
        self.volatility = Volatility(s.AVELLANEDA_SAMPLE_EVERY, window, s.LOOP_INTERVAL)
        self.arrivals = Arrivals(window)
        self._mids: deque[tuple[str, float]] = deque(maxlen=200)  # exchange time, mid in ticks
        self._terms: tuple[float, float, Market, Terms] | None = None  # with mid and q
        self._connected_s = self.exchange.desk.state.connected_s

    def on_book(self, row: Row) -> None:
        """Remember the mid of each quote, for the trades that follow it."""
        if self._is_doubtful():
            return
        bid, ask, grid = row.get("bidPrice"), row.get("askPrice"), self._grid()
        if bid and ask and bid < ask and row.get("timestamp"):
            self._mids.append((row["timestamp"], (grid.nearest(bid) + grid.nearest(ask)) / 2))

    def on_trade(self, trade: Row) -> None:
        """Count the takers."""
        stamp = trade.get("timestamp") or ""
        prior = next((mid for time, mid in reversed(self._mids) if time < stamp), None)
        told, side = trade.get("price"), trade.get("side")
        if self._is_doubtful() or prior is None or told is None or side is None:
            return
        price = self._grid().nearest(told)
        self.arrivals.add(self.clock.monotonic(), stamp, side, price, prior)

    def _is_doubtful(self) -> bool:
        """Whether the feed is in doubt, or was a moment ago; nothing is learnt from that time."""
        desk = self.exchange.desk
        is_new = desk.state.connected_s != self._connected_s
        self._connected_s = desk.state.connected_s
        if is_new or desk.gateway.pulled:
            self.volatility.forget_last()
            self.arrivals.pause(self.clock.monotonic())
            self._mids.clear()
            return True
        return False

    def market(self) -> Market:
        """What is believed: the estimates within their bounds, or the careful bound itself."""
        s = self.settings
        sigma, a, k = s.AVELLANEDA_SIGMA[1], s.AVELLANEDA_A[0], s.AVELLANEDA_K[0]
        if len(self.volatility) >= s.AVELLANEDA_LEAST_SAMPLES:
            sigma = within(self.volatility.sigma, s.AVELLANEDA_SIGMA)
        fitted = self.arrivals.fit() if len(self.arrivals) >= s.AVELLANEDA_LEAST_SAMPLES else None
        if fitted is not None:
            a, k = within(fitted[0], s.AVELLANEDA_A), within(fitted[1], s.AVELLANEDA_K)
        return Market(sigma, a, k)

    def place_orders(self) -> None:
        """Quote at the reservation price plus and minus the depths of the model."""
        s, grid, touch = self.settings, self._grid(), self.exchange.get_touch()
        if touch.bid is None or touch.ask is None:
            raise MarketEmptyError("The order book has no orders of others, cannot quote")
        bid, ask = grid.nearest(touch.bid), grid.nearest(touch.ask)
        mid = (bid + ask) / 2
        self._is_doubtful()
        self.volatility.sample(self.clock.monotonic(), mid)
        q = (self.exchange.get_delta() - s.AVELLANEDA_TARGET) / s.ORDER_START_SIZE
        market = self.market()
        if s.AVELLANEDA_MODEL == "stationary":
            terms = stationary(q, s.AVELLANEDA_GAMMA, market)
        else:
            terms = rolling(q, s.AVELLANEDA_GAMMA, s.AVELLANEDA_HORIZON, market)
        self._terms = (mid, q, market, terms)
        fair, least = mid + terms.reservation, s.MIN_SPREAD * mid / 2
        # On the passive side of the others, and on that of each other.
        first_bid = min(math.floor(fair - max(terms.bid_depth, least)), ask - 1)
        first_ask = max(math.ceil(fair + max(terms.ask_depth, least)), bid + 1, first_bid + 1)
        buys, sells = [], []
        for level in reversed(range(s.ORDER_PAIRS)):
            away = max(level, round(level * s.INTERVAL * mid))
            qty = self.prepare_order(level + 1)["orderQty"]
            if first_bid - away >= 1:
                price = grid.price(first_bid - away)
                buys.append({"price": price, "orderQty": qty, "side": "Buy"})
            price = grid.price(first_ask + away)
            sells.append({"price": price, "orderQty": qty, "side": "Sell"})
        self.converge_orders(self._fit("Buy", buys), self._fit("Sell", sells))

    def reference_price(self) -> float:
        """s of the model: the mid of the others."""
        return self._terms[0] * self._grid().price(1) if self._terms else super().reference_price()

    def print_status(self) -> None:
        """The status block, and every term of the model."""
        super().print_status()
        if self._terms is None:
            return
        (mid, q, market, terms), grid = self._terms, self._grid()
        tick = grid.price(1)
        logger.info(
            "Avellaneda: mid %s, reservation %s, bid depth %.2f, ask depth %.2f ticks",
            *(grid.format(mid * tick), grid.format((mid + terms.reservation) * tick)),
            *(terms.bid_depth, terms.ask_depth),
        )
        logger.info(
            "Avellaneda: q %.2f, risk %.3f, arrival %.3f, spread %.2f",
            *(q, terms.risk, terms.arrival, terms.bid_depth + terms.ask_depth),
        )
        logger.info(
            "Avellaneda: sigma %.3f (%d samples), A %.4f, k %.4f (%d arrivals)",
            *(market.sigma, len(self.volatility), market.a, market.k, len(self.arrivals)),
        )
