"""What a market looks like in figures, the same for a recorded and a synthetic one."""

from math import log, sqrt
from statistics import fmean, median
from typing import NamedTuple

from market_maker.clock import ManualClock
from market_maker.simulator.events import Event, QuoteEvent, TradeEvent
from market_maker.simulator.exchange import Engine, MarketSource
from market_maker.simulator.instruments import Instrument

LEVELS = (1, 2, 3, 5, 10)  # whose depth is told
_START_S = 1_600_000_000.0


class Statistics(NamedTuple):
    """Figures of a stretch of a market. Sizes are contracts; None where nothing was seen."""

    seconds: float
    price: float  # mean of the mid
    tick_bps: float  # the tick size in units of 0.01 % of the price
    spread_ticks: float | None  # mean over time
    one_tick_share: float | None  # part of the time in which the spread is one tick
    depth: dict[int, float | None]  # level -> median size on one side
    trades_per_s: float
    trade_size_median: float | None
    trade_size_mean: float | None
    volatility_1s_bps: float | None  # standard deviation of the mid's change
    volatility_1m_bps: float | None


def measure(market: MarketSource, instrument: Instrument, seconds: float) -> Statistics:
    """Play *market* for *seconds* without customers, and look at it once a second."""
    clock = ManualClock(_START_S)
    engine = Engine(clock, [instrument], market=market, seed=1)
    clock.attach(engine)
    watch = _Watch(engine, instrument)
    for _ in range(round(seconds)):
        clock.sleep(1.0)
        watch.look()
    return watch.result(seconds)


class _Watch:
    """Notes what the public sees."""

    def __init__(self, engine: Engine, instrument: Instrument) -> None:
        self._engine, self._spec = engine, instrument
        self._since_s = _START_S
        self._quote = engine.quote(instrument.symbol)
        self._spread_time: dict[int, float] = {}  # ticks -> seconds
        self._sizes: list[int] = []  # of trades
        self._mids: list[float | None] = []  # ticks, one a second
        self._depth: dict[int, list[int]] = {level: [] for level in LEVELS}
        engine.listeners.append(self._hear)

    def _hear(self, event: Event) -> None:
        if isinstance(event, TradeEvent):
            self._sizes.append(event.qty)
        elif isinstance(event, QuoteEvent):
            self._pass_time(event.time_s)
            self._quote = event

    def _pass_time(self, now_s: float) -> None:
        quote = self._quote
        if quote.bid_ticks is not None and quote.ask_ticks is not None:
            spread = quote.ask_ticks - quote.bid_ticks
            before_s = self._spread_time.get(spread, 0.0)
            self._spread_time[spread] = before_s + now_s - self._since_s
        self._since_s = now_s

    def look(self) -> None:
        """Take the book as it is now."""
        self._pass_time(self._engine.now())
        bid, ask = self._quote.bid_ticks, self._quote.ask_ticks
        self._mids.append(None if bid is None or ask is None else (bid + ask) / 2)
        for side in self._engine.book(self._spec.symbol, LEVELS[-1]):
            for level in LEVELS:
                if level <= len(side):
                    self._depth[level].append(side[level - 1].size)

    def result(self, seconds: float) -> Statistics:
        total_s = sum(self._spread_time.values())
        spread = sum(ticks * time_s for ticks, time_s in self._spread_time.items())
        mids = [mid for mid in self._mids if mid is not None]
        grid = self._spec.grid()
        tick = grid.price(1)
        return Statistics(
            seconds=seconds,
            price=fmean(mids) * tick,
            tick_bps=1e4 / fmean(mids),
            spread_ticks=spread / total_s if total_s else None,
            one_tick_share=self._spread_time.get(1, 0.0) / total_s if total_s else None,
            depth={n: median(sizes) if sizes else None for n, sizes in self._depth.items()},
            trades_per_s=len(self._sizes) / seconds,
            trade_size_median=median(self._sizes) if self._sizes else None,
            trade_size_mean=fmean(self._sizes) if self._sizes else None,
            volatility_1s_bps=_volatility_bps(mids, 1),
            volatility_1m_bps=_volatility_bps(mids, 60),
        )


def _volatility_bps(mids: list[float], step: int) -> float | None:
    """Root mean square of the relative change over *step* seconds."""
    changes = [log(b / a) for a, b in zip(mids[::step], mids[step::step], strict=False)]
    if len(changes) < 2:
        return None
    return 1e4 * sqrt(fmean(change * change for change in changes))
