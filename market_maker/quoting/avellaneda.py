"""Where to quote with an inventory: Avellaneda and Stoikov (2008), and the stationary form of
Guéant, Lehalle and Fernandez-Tapia (2013); with the estimators of what they need.

Units: distances in ticks, time in seconds, inventory q in sizes of one order. An order at depth d
from the mid is hit with intensity A exp(-k d) a second.
"""

import math
from collections import deque
from dataclasses import dataclass
from typing import NamedTuple


class Market(NamedTuple):
    """What is believed of the market."""

    sigma: float  # ticks per square root of a second
    a: float  # arrivals a second at the mid
    k: float  # decay of arrivals for each tick of depth


class Terms(NamedTuple):
    """The reservation price and both distances from it, in ticks, with what they are made of."""

    reservation: float  # ticks from the mid, negative when long
    bid_depth: float  # below the reservation price
    ask_depth: float  # above it
    risk: float  # gamma sigma^2 T, or its stationary counterpart for one size of inventory
    arrival: float  # (1 / gamma) ln(1 + gamma / k)


def rolling(q: float, gamma: float, horizon_s: float, market: Market) -> Terms:
    """r = s - q gamma sigma^2 T, spread = gamma sigma^2 T + (2/gamma) ln(1 + gamma/k)."""
    risk = gamma * market.sigma**2 * horizon_s
    arrival = math.log1p(gamma / market.k) / gamma
    half = risk / 2 + arrival
    return Terms(-q * risk, half, half, risk, arrival)


def stationary(q: float, gamma: float, market: Market) -> Terms:
    """The limit of no horizon: c1 + (2q + 1) / 2 c2 below the mid, c1 - (2q - 1) / 2 c2 above it,
    c1 = (1/gamma) ln(1 + gamma/k), c2 = sqrt(sigma^2 gamma / (2 k A) (1 + gamma/k)^(1 + k/gamma)).
    """
    c1 = math.log1p(gamma / market.k) / gamma
    power = math.exp((1 + market.k / gamma) * math.log1p(gamma / market.k))
    c2 = math.sqrt(market.sigma**2 * gamma / (2 * market.k * market.a) * power)
    return Terms(-q * c2, c1 + c2 / 2, c1 + c2 / 2, c2, c1)


@dataclass(slots=True)
class _Sweep:
    """Prints of one time and side: one taker."""

    time_s: float
    stamp: str
    side: str
    mid_ticks: float
    depth: float


class Arrivals:
    """A and k from how deep the takers go: ln of the arrivals a second that reach a depth, fitted
    over the depth by least squares."""

    def __init__(self, window: int) -> None:
        self._sweeps: deque[_Sweep] = deque(maxlen=window)
        self._paused_s: float | None = None
        self._fitted: tuple[float, float] | None = None
        self._is_fitted = False  # to the sweeps as they are

    def pause(self, now_s: float) -> None:
        """The feed is in doubt: until the next print no time goes by."""
        if self._paused_s is None:
            self._paused_s = now_s

    def add(
        self, now_s: float, stamp: str, side: str, price_ticks: float, mid_ticks: float
    ) -> None:
        """One print; *mid_ticks* is the mid before the first print of its sweep."""
        if self._paused_s is not None:
            for sweep in self._sweeps:
                sweep.time_s += now_s - self._paused_s
            self._paused_s = None
        self._is_fitted = False
        last = self._sweeps[-1] if self._sweeps else None
        if last is not None and (last.stamp, last.side) == (stamp, side):
            last.depth = max(last.depth, _depth(side, price_ticks, last.mid_ticks))
            return
        depth = _depth(side, price_ticks, mid_ticks)
        self._sweeps.append(_Sweep(now_s, stamp, side, mid_ticks, depth))

    def __len__(self) -> int:
        return len(self._sweeps)

    def fit(self) -> tuple[float, float] | None:
        """A and k, or None where the depths do not tell them."""
        if not self._is_fitted:
            self._fitted, self._is_fitted = self._fit(), True
        return self._fitted

    def _fit(self) -> tuple[float, float] | None:
        if len(self._sweeps) < 2:
            return None
        span_s = self._sweeps[-1].time_s - self._sweeps[0].time_s
        deepest_first = sorted((s.depth for s in self._sweeps if s.depth > 0), reverse=True)
        reached = {depth: count for count, depth in enumerate(deepest_first, 1)}
        if span_s <= 0 or len(reached) < 2:
            return None
        # Both sides arrive; a quote stands on one of them.
        points = [(depth, math.log(count / span_s / 2)) for depth, count in reached.items()]
        mean_d = sum(d for d, _ in points) / len(points)
        mean_l = sum(rate for _, rate in points) / len(points)
        spread = sum((d - mean_d) ** 2 for d, _ in points)
        slope = sum((d - mean_d) * (rate - mean_l) for d, rate in points) / spread
        return (math.exp(mean_l - slope * mean_d), -slope) if slope < 0 else None


def _depth(side: str, price_ticks: float, mid_ticks: float) -> float:
    return price_ticks - mid_ticks if side == "Buy" else mid_ticks - price_ticks


def within(value: float, bounds: tuple[float, float]) -> float:
    """*value*, or the bound it lies beyond."""
    return min(max(value, bounds[0]), bounds[1])
