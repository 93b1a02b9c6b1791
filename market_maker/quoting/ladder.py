"""Which quotes we want: the arithmetic of sample-market-maker, in integer ticks.

Level numbers are -1, -2, ... for bids and 1, 2, ... for asks, counted from the touch.
"""

from collections.abc import Callable, Iterable, Sequence
from random import Random
from typing import NamedTuple

from market_maker.model.rows import Row, Ticker
from market_maker.model.ticks import PriceGrid


class Starts(NamedTuple):
    """Where the ladder begins on each side, before rounding to ticks."""

    buy: float
    sell: float
    mid: float


class LadderShape(NamedTuple):
    """How the ladder spreads out from its start; ratios, 0.005 is 0.5 %."""

    interval: float
    min_spread: float
    maintain_spreads: bool


def start_positions(
    ticker: Ticker,
    grid: PriceGrid,
    shape: LadderShape,
    own_bid: float | None,
    own_ask: float | None,
) -> Starts:
    """Begin one tick inside the market, but not inside our own best quote nor MIN_SPREAD.

    *own_bid* and *own_ask* are our best resting prices, or None.
    """
    bid, ask = grid.nearest(ticker["buy"]), grid.nearest(ticker["sell"])
    inside_buy, inside_sell = buy, sell = grid.price(bid + 1), grid.price(ask - 1)
    if shape.maintain_spreads:
        # We are the touch already: stay, rather than outbid ourselves by a tick each round.
        if own_bid is not None and grid.nearest(own_bid) == bid:
            buy = grid.price(bid)
        if own_ask is not None and grid.nearest(own_ask) == ask:
            sell = grid.price(ask)
    if buy * (1 + shape.min_spread) > sell:
        # Widened from the same place whether we are the touch or not: a quote that joined the
        # touch would otherwise step back a tick, and return in the next round.
        buy = inside_buy * (1 - shape.min_spread / 2)
        sell = inside_sell * (1 + shape.min_spread / 2)
    return Starts(buy, sell, ticker["mid"])


def level_price(
    index: int, starts: Starts, ticker: Ticker, grid: PriceGrid, shape: LadderShape
) -> float:
    """Price of level *index*, rounded to the nearest tick and never reaching across the touch.

    Where rounding would cross, the level is clamped to the passive side, further levels one
    tick behind each other.
    """
    bid, ask = grid.nearest(ticker["buy"]), grid.nearest(ticker["sell"])
    depth = abs(index) - 1
    meets = grid.nearest(starts.buy) >= grid.nearest(starts.sell)
    if index < 0:
        base, steps = starts.buy, -depth if shape.maintain_spreads else index
        if not shape.maintain_spreads and starts.buy > starts.sell:
            base = starts.sell
        limit = bid if meets else ask - 1
        wanted = grid.nearest(base * (1 + shape.interval) ** steps)
        return grid.price(max(1, min(wanted, limit - depth)))
    base, steps = starts.sell, depth if shape.maintain_spreads else index
    if not shape.maintain_spreads and starts.buy > starts.sell:
        base = starts.buy
    limit = ask if meets else bid + 1
    wanted = grid.nearest(base * (1 + shape.interval) ** steps)
    return grid.price(max(wanted, limit + depth))


def level_qty(index: int, start_size: float, step_size: float) -> float:
    """Size of level *index*: the start size, and a step more for each level further out."""
    return start_size + (abs(index) - 1) * step_size


def random_qty(rng: Random, least: float, most: float) -> float:
    """A size between the two, whole where both are."""
    if isinstance(least, int) and isinstance(most, int):
        return rng.randint(least, most)
    return rng.uniform(least, most)


def fit(orders: Sequence[Row], room: float | None, weight: Callable[[Row], float]) -> list[Row]:
    """Drop the levels that do not fit into *room*, outermost first.

    *orders* are one side's, outermost first, as `place_orders` builds them; *weight* is what one
    of them takes of the room, in contracts or satoshi. None: no limit.
    """
    if room is None:
        return list(orders)
    kept: list[Row] = []
    for order in reversed(orders):
        room -= weight(order)
        if room < 0:
            break
        kept.append(order)
    return kept[::-1]


def from_touch(orders: Iterable[Row], side: str) -> list[Row]:
    """The *orders* of one side that have a price, nearest to the market first."""
    ours = [row for row in orders if row.get("side") == side and row.get("price")]
    return sorted(ours, key=lambda row: float(row["price"]), reverse=side == "Buy")


def best_of(orders: Iterable[Row], side: str) -> Row | None:
    """The nearest of them, or None."""
    return next(iter(from_touch(orders, side)), None)
