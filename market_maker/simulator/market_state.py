"""What the market has done to an instrument so far: prints, index, mark and funding rate."""

from dataclasses import dataclass
from typing import Self

from market_maker.model.ticks import PriceGrid
from market_maker.simulator.instruments import YEAR_S, Instrument

_DAMPER = 0.0005  # interest may pull the premium by this much (BitMEX, perpetual contracts guide)
_BASIS_EVERY_S = 60.0  # a future's basis is measured once a minute (BitMEX, fair price marking)


@dataclass(slots=True)
class MarketState:
    """What the market has done to an instrument so far. Prices in ticks, turnover in satoshis."""

    index_price: float
    mark_price: float
    last_ticks: int
    rate: float = 0.0  # funding of this interval; a future's yearly basis
    next_rate: float = 0.0  # funding of the next interval, as it looks now
    tick_direction: str = "ZeroPlusTick"
    open_ticks: int = 0
    high_ticks: int = 0
    low_ticks: int = 0
    volume: int = 0
    turnover: int = 0
    home_volume: float = 0.0
    foreign_volume: float = 0.0
    premium_sum: float = 0.0  # of the premium index over this funding interval
    premium_count: int = 0
    basis_s: float = 0.0  # when a future's basis was last measured

    @classmethod
    def opening(cls, spec: Instrument, now_s: float) -> Self:
        """A market that has not traded yet stands at the instrument's start price."""
        ticks = spec.grid().nearest(spec.start_price)
        mark = spec.mark_price(spec.start_price, now_s)
        rate = spec.funding_rate if spec.has_funding else 0.0
        return cls(spec.start_price, mark, ticks, rate, rate, "ZeroPlusTick", ticks, ticks, ticks)

    def trade(self, spec: Instrument, qty: int, ticks: int) -> None:
        """Take a print into the figures."""
        value, home, foreign = spec.notionals(qty, spec.grid().price(ticks))
        if ticks > self.last_ticks:
            self.tick_direction = "PlusTick"
        elif ticks < self.last_ticks:
            self.tick_direction = "MinusTick"
        elif not self.tick_direction.startswith("Zero"):
            self.tick_direction = "Zero" + self.tick_direction
        self.last_ticks = ticks
        self.high_ticks = max(self.high_ticks, ticks)
        self.low_ticks = min(self.low_ticks, ticks)
        self.volume += qty
        self.turnover += value
        self.home_volume += home
        self.foreign_volume += foreign

    def move(
        self, spec: Instrument, index_price: float, touch: tuple[float, float] | None, now_s: float
    ) -> None:
        """Follow the index; *touch* is (bid, ask) where both sides are there."""
        self.index_price = index_price
        if spec.expiry_s is None:
            self._sample_premium(spec, touch)
        elif touch is not None and now_s - self.basis_s >= _BASIS_EVERY_S:
            self.basis_s = now_s
            left_s = max(spec.expiry_s - now_s, 86_400.0)  # a year's rate of less makes no sense
            self.rate = round((sum(touch) / 2 / index_price - 1) * YEAR_S / left_s, 6)
        self.mark_price = spec.mark_price(index_price, now_s, self.rate)

    def start_interval(self) -> None:
        """The next funding interval: its rate is what the last one pointed to."""
        self.rate, self.premium_sum, self.premium_count = self.next_rate, 0.0, 0

    def _sample_premium(self, spec: Instrument, touch: tuple[float, float] | None) -> None:
        """Premium and next rate as in BitMEX's guide to perpetual contracts."""
        mark, index = self.mark_price, self.index_price
        bid, ask = touch or (mark, mark)
        premium = (max(0.0, bid - mark) - max(0.0, mark - ask) + mark - index) / index
        self.premium_sum += premium
        self.premium_count += 1
        mean = self.premium_sum / self.premium_count
        damped = min(max(spec.funding_rate - mean, -_DAMPER), _DAMPER)
        most = 0.75 * (spec.init_margin - spec.maint_margin)
        self.next_rate = round(min(max(mean + damped, -most), most), 6)

    def rescale(self, before: PriceGrid, after: PriceGrid) -> None:
        """Keep the prices when the tick size changes; they go to the nearest new tick."""
        for name in ("last_ticks", "open_ticks", "high_ticks", "low_ticks"):
            setattr(self, name, after.nearest(before.price(getattr(self, name))))
