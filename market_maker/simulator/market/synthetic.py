"""A synthetic market: seeded traders around a moving fair price.

Every random number is drawn for the market's own reasons and at the market's own times, never
because of what customers do. So two bots meet the same flow, and a bot can be run again.

The shape is made for practice, not taken from any exchange: the fair price wanders a few ticks
a second, the touch is one tick wide but for the moments after a sweep, small takers nibble at
the touch, and every second or two a larger one sweeps several levels, after which the book
closes again around the fair price. A maker some dollars off the mid is filled within seconds.
"""

from collections.abc import Sequence
from heapq import heapify, heapreplace
from random import Random
from typing import NamedTuple

from market_maker.model.rows import Side
from market_maker.simulator.exchange import Engine
from market_maker.simulator.liquidity import Liquidity


class Flow(NamedTuple):
    """How a synthetic market behaves. Times are means in seconds, distances ticks."""

    levels: int = 40  # price levels on each side
    move_every_s: float = 0.5  # the fair price moves
    move_ticks: float = 2.0  # standard deviation of one move
    nibble_every_s: float = 1.0  # a small trade at the touch
    sweep_every_s: float = 1.5  # a large trade through several levels
    sweep_levels: float = 14.0  # how many levels it takes
    refill_after_s: float = 0.04  # the book closes again after a sweep
    touch_lots: int = 60  # size at the touch; deeper levels hold up to three times as much
    index_every_s: float = 1.0  # the index follows the fair price
    restore_every_s: float = 5.0  # what takers took from the ladder is filled up again


DEFAULT_FLOW = Flow()


class SyntheticMarket:
    """A market source for all instruments of the engine it is bound to."""

    def __init__(self, seed: int | None = None, flow: Flow = DEFAULT_FLOW) -> None:
        self._rng = Random(seed)
        self._flow = flow
        self._agenda: list[tuple[float, int, _Traders]] = []

    def bind(self, engine: Engine) -> None:
        """Open the books of all the engine's instruments."""
        self._agenda = []
        for number, symbol in enumerate(engine.symbols()):
            rng = Random(self._rng.getrandbits(64))
            traders = _Traders(engine.liquidity(symbol), rng, self._flow, engine.now())
            self._agenda.append((traders.next_time(), number, traders))
        heapify(self._agenda)

    def next_time(self) -> float | None:
        return self._agenda[0][0] if self._agenda else None

    def step(self) -> None:
        _, number, traders = self._agenda[0]
        traders.step()
        heapreplace(self._agenda, (traders.next_time(), number, traders))


class _Traders:
    """The other side of one instrument."""

    def __init__(self, market: Liquidity, rng: Random, flow: Flow, now_s: float) -> None:
        self._market, self._rng, self._flow = market, rng, flow
        self._lot, self._grid = market.spec.lot_size, market.grid
        self._fair = market.grid.nearest(market.spec.start_price) + 0.5  # ticks
        self._home = self._fair
        self._sizes: dict[Side, dict[int, int]] = {"Buy": {}, "Sell": {}}  # what we mean to show
        self._due = {
            "move": now_s + self._wait(flow.move_every_s),
            "nibble": now_s + self._wait(flow.nibble_every_s),
            "sweep": now_s + self._wait(flow.sweep_every_s),
            "index": now_s + flow.index_every_s,
            "restore": now_s + flow.restore_every_s,
        }
        self._refill()
        self._market.set_index(self._index())

    def next_time(self) -> float:
        return min(self._due.values())

    def step(self) -> None:
        if self._market.grid != self._grid:
            self._regrid()
        what = min(self._due, key=self._due.__getitem__)
        now_s = self._due[what]
        flow = self._flow
        if what == "move":
            self._move()
            self._due[what] = now_s + self._wait(flow.move_every_s)
        elif what == "nibble":
            self._trade(1, self._rng.randint(1, max(1, flow.touch_lots // 4)))
            self._due[what] = now_s + self._wait(flow.nibble_every_s)
        elif what == "sweep":
            levels = min(flow.levels - 10, 1 + int(self._rng.expovariate(1 / flow.sweep_levels)))
            self._trade(levels, None)
            self._due[what] = now_s + self._wait(flow.sweep_every_s)
            self._due["refill"] = now_s + flow.refill_after_s
        elif what == "refill":
            self._refill()
            del self._due[what]
        elif what == "restore":
            self._restore()
            self._due[what] = now_s + flow.restore_every_s
        else:
            self._market.set_index(self._index())
            self._due[what] = now_s + flow.index_every_s

    def _regrid(self) -> None:
        """The tick or lot changed: go on at the same price with a new ladder."""
        ratio = self._market.grid.nearest(self._grid.price(10**6)) / 10**6
        for side, shown in self._sizes.items():
            for price_ticks in shown:
                moved = self._grid.price(price_ticks)
                grid = self._market.grid
                ticks = grid.bid_ticks(moved) if side == "Buy" else grid.ask_ticks(moved)
                self._market.resize(side, ticks, 0)
            shown.clear()
        self._grid, self._lot = self._market.grid, self._market.spec.lot_size
        self._fair, self._home = self._fair * ratio, self._home * ratio
        self._refill()

    def _move(self) -> None:
        # a weak pull home keeps a run of many hours within a sane range of prices
        pull = (self._home - self._fair) * 1e-4
        self._fair += pull + self._rng.gauss(0.0, self._flow.move_ticks)
        self._fair = max(self._fair, 2.0 * self._flow.levels)
        self._refill()

    def _refill(self) -> None:
        """Show the whole ladder around the fair price again."""
        bid = int(self._fair)
        self._show("Buy", range(bid, bid - self._flow.levels, -1))
        self._show("Sell", range(bid + 1, bid + 1 + self._flow.levels))

    def _show(self, side: Side, prices: range) -> None:
        """Show these prices, best first, and no others; the touch is drawn anew each time."""
        shown, flow = self._sizes[side], self._flow
        for price_ticks in [price for price in shown if price not in prices]:
            del shown[price_ticks]
            self._market.resize(side, price_ticks, 0)
        shown.pop(prices[0], None)
        missing: Sequence[int] = prices[:1]
        if len(shown) < len(prices) - 1:
            missing = [price for price in prices if price not in shown]
        for price_ticks in missing:
            most = flow.touch_lots * (1 if price_ticks in prices[:2] else 3)
            shown[price_ticks] = self._rng.randint(max(1, most // 4), most) * self._lot
            self._market.resize(side, price_ticks, shown[price_ticks])

    def _restore(self) -> None:
        """Fill up again what takers, customers among them, took from the ladder."""
        for side, shown in self._sizes.items():
            for price_ticks, size in shown.items():
                self._market.resize(side, price_ticks, size)

    def _trade(self, levels: int, lots: int | None) -> None:
        """A taker: *lots* at the touch, or all that we show on so many levels."""
        side: Side = "Buy" if self._rng.random() < 0.5 else "Sell"
        shown = self._sizes["Sell" if side == "Buy" else "Buy"]
        prices = sorted(shown, reverse=side == "Sell")[:levels]
        if not prices:
            return
        if lots is not None:
            qty = lots * self._lot
        else:
            # the last level is taken in part, so that the sweep ends inside the book
            qty = sum(shown[price] for price in prices[:-1])
            qty += max(1, shown[prices[-1]] // self._lot // 2) * self._lot
            for price in prices:
                del shown[price]
        self._market.take(side, qty, prices[-1])

    def _index(self) -> float:
        grid = self._market.grid
        return self._fair * grid.units / grid.scale

    def _wait(self, mean_s: float) -> float:
        return max(0.001, self._rng.expovariate(1 / mean_s))
