"""A synthetic market: seeded traders around a moving fair price.

Every random number is drawn for the market's own reasons and at the market's own times, never
because of what customers do. So two bots meet the same flow, and a bot can be run again.

A fair price wanders, small takers nibble at the touch, and now and then a larger one sweeps
several levels, after which the book closes again around the fair price. How much of each, says
the flow; the usual one is made for practice and taken from no exchange: a maker some dollars off
the mid is filled within seconds.

There is one fair price for each underlying. The first instrument listed of it leads; the others
follow in proportion, each with a small wandering basis of its own and takers of its own.
"""

from collections.abc import Sequence
from heapq import heappop, heappush, heapreplace
from math import inf, log
from random import Random

from market_maker.model.rows import Side
from market_maker.simulator.exchange import Engine
from market_maker.simulator.liquidity import Liquidity
from market_maker.simulator.market.presets import DEFAULT, PRESETS, Flow

__all__ = ["DEFAULT_FLOW", "Flow", "SyntheticMarket"]

DEFAULT_FLOW = PRESETS[DEFAULT]
_BASIS_TICKS = 0.5  # one step of a follower's basis
_BASIS_MEMORY = 0.98  # what a step leaves of the basis before
_SIZE_SIGMA = 2.5  # of the logarithm of trade sizes: few large ones make most of the volume


class SyntheticMarket:
    """A market source for all instruments of the engine it is bound to."""

    def __init__(self, seed: int | None = None, flow: Flow = DEFAULT_FLOW) -> None:
        self._rng = Random(seed)
        self._flow = flow
        self._agenda: list[tuple[float, int, _Traders]] = []
        self._engine: Engine | None = None
        self._leaders: dict[str, _Traders] = {}  # underlying -> who has its fair price
        self._opened: set[str] = set()

    def bind(self, engine: Engine) -> None:
        """Open the books of all the engine's instruments."""
        self._agenda, self._engine = [], engine
        self._leaders, self._opened = {}, set()
        self._open_books(engine)

    def next_time(self) -> float | None:
        return self._agenda[0][0] if self._agenda else None

    def step(self) -> None:
        due_s, number, traders = self._agenda[0]
        if due_s > traders.until_s and self._engine is not None:
            heappop(self._agenda)  # the contract has expired, and the next one is listed
            self._open_books(self._engine)
            return
        traders.step()
        heapreplace(self._agenda, (traders.next_time(), number, traders))

    def _open_books(self, engine: Engine) -> None:
        """Make a market in what is listed and has none yet."""
        for symbol in engine.symbols():
            if symbol in self._opened:
                continue
            rng = Random(self._rng.getrandbits(64))
            market = engine.liquidity(symbol)
            leader = self._leaders.get(market.spec.underlying)
            traders = _Traders(market, rng, self._flow, engine.now(), leader)
            self._leaders.setdefault(market.spec.underlying, traders)
            heappush(self._agenda, (traders.next_time(), len(self._opened), traders))
            self._opened.add(symbol)


class _Traders:
    """The other side of one instrument."""

    def __init__(
        self,
        market: Liquidity,
        rng: Random,
        flow: Flow,
        now_s: float,
        leader: "_Traders | None" = None,
    ) -> None:
        self._market, self._rng, self._flow = market, rng, flow
        self._lot, self._grid = market.spec.lot_size, market.grid
        self.until_s = market.spec.expiry_s or inf
        self._fair = market.grid.nearest(market.spec.start_price) + 0.5  # ticks
        self._home = self._fair / (leader.progress() if leader else 1.0)
        self._leader, self._basis = leader, 0.0  # ticks
        self._trend, self._trend_until_s, self._moved_s = 0.0, now_s, now_s
        self._sizes: dict[Side, dict[int, int]] = {"Buy": {}, "Sell": {}}  # what we mean to show
        self._best: dict[Side, int] = {}
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
            self._move(now_s)
            self._due[what] = now_s + self._wait(flow.move_every_s)
        elif what == "nibble":
            self._trade(1, self._small_size())
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

    def _move(self, now_s: float) -> None:
        if self._leader is None:
            # a weak pull home keeps a run of many hours within a sane range of prices
            pull = (self._home - self._fair) * 1e-4
            self._fair += pull + self._rng.gauss(0.0, self._flow.move_ticks) + self._run(now_s)
        else:
            self._basis = _BASIS_MEMORY * self._basis + self._rng.gauss(0.0, _BASIS_TICKS)
            self._fair = self._home * self._leader.progress() + self._basis
        self._fair = max(self._fair, 2.0 * self._flow.levels)
        self._refill()

    def progress(self) -> float:
        """The fair price as a multiple of where it started."""
        return self._fair / self._home

    def _run(self, now_s: float) -> float:
        """How far the trend carries the fair price since the last move."""
        flow = self._flow
        if not flow.trend_ticks_per_s:
            return 0.0
        elapsed_s, self._moved_s = now_s - self._moved_s, now_s
        if now_s >= self._trend_until_s:
            self._trend_until_s = now_s + self._wait(flow.trend_for_s)
            is_up = self._rng.random() < flow.trend_up_share
            self._trend = flow.trend_ticks_per_s if is_up else -flow.trend_ticks_per_s
        return self._trend * elapsed_s

    def _small_size(self) -> int:
        """The lots of a small trade."""
        flow = self._flow
        if not flow.median_lots:
            return self._rng.randint(1, max(1, flow.touch_lots // 4))
        return max(1, round(self._rng.lognormvariate(log(flow.median_lots), _SIZE_SIGMA)))

    def _refill(self) -> None:
        """Show the whole ladder around the fair price again."""
        levels, spread = self._flow.levels, self._flow.spread_ticks
        bid = int(self._fair) - (spread - 1) // 2
        self._show("Buy", range(bid, bid - levels, -1))
        self._show("Sell", range(bid + spread, bid + spread + levels))

    def _show(self, side: Side, prices: range) -> None:
        """Show these prices, best first, and no others; the touch is drawn anew each time."""
        shown, flow = self._sizes[side], self._flow
        for price_ticks in [price for price in shown if price not in prices]:
            del shown[price_ticks]
            self._market.resize(side, price_ticks, 0)
        shown.pop(prices[0], None)
        if flow.deep_factor < 1:  # what was the touch is a thin level now
            shown.pop(self._best.get(side, prices[0]), None)
            self._best[side] = prices[0]
        near = prices[:2] if flow.deep_factor >= 1 else prices[:1]
        missing: Sequence[int] = prices[:1]
        if len(shown) < len(prices) - 1:
            missing = [price for price in prices if price not in shown]
        for price_ticks in missing:
            is_deep = price_ticks not in near
            most = max(1, int(flow.touch_lots * (flow.deep_factor if is_deep else 1)))
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
