"""The ladder's arithmetic: the original's vectors, and the touch it never crosses."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from market_maker.model.rows import Ticker
from market_maker.model.ticks import PriceGrid
from market_maker.quoting.ladder import (
    LadderShape,
    fit,
    level_price,
    level_qty,
    start_positions,
)

DEFAULTS = LadderShape(interval=0.005, min_spread=0.01, maintain_spreads=True)
OFFSET = LadderShape(interval=0.005, min_spread=0.01, maintain_spreads=False)
TICKS = [0.5, 0.1, 0.01, 0.0001, 1e-5, 1e-8]


def ticker(bid: float, ask: float) -> Ticker:
    return {"last": bid, "buy": bid, "sell": ask, "mid": (bid + ask) / 2}


def prices(
    market: Ticker, grid: PriceGrid, shape: LadderShape, levels: int = 3
) -> tuple[list[float], list[float]]:
    starts = start_positions(market, grid, shape, None, None)
    bids = [level_price(-i, starts, market, grid, shape) for i in range(1, levels + 1)]
    asks = [level_price(i, starts, market, grid, shape) for i in range(1, levels + 1)]
    return bids, asks


@pytest.mark.parametrize(
    ("bid", "ask", "shape", "bids", "asks"),
    [
        (50000, 50000.5, DEFAULTS, [49750.5, 49503.0, 49256.5], [50250.0, 50501.0, 50754.0]),
        (50000, 51000, DEFAULTS, [50000.5, 49751.5, 49504.0], [50999.5, 51254.5, 51511.0]),
        (50000, 50000.5, OFFSET, [49503.0, 49256.5, 49011.5], [50501.0, 50754.0, 51007.5]),
    ],
)
def test_the_ladder_has_the_prices_of_the_original(
    bid: float, ask: float, shape: LadderShape, bids: list[float], asks: list[float]
) -> None:
    assert prices(ticker(bid, ask), PriceGrid.of(0.5), shape) == (bids, asks)


def test_a_one_tick_spread_that_ended_the_original_is_quoted_at_the_touch() -> None:
    tight = LadderShape(interval=0.005, min_spread=0.0005, maintain_spreads=True)
    bids, asks = prices(ticker(0.02075, 0.02076), PriceGrid.of(1e-5), tight, levels=1)
    assert (bids, asks) == ([0.02075], [0.02076])


def test_our_own_best_quote_is_joined_and_not_outbid() -> None:
    grid, market = PriceGrid.of(0.5), ticker(50000, 51000)
    assert start_positions(market, grid, DEFAULTS, 50000.0, None).buy == 50000.0
    assert start_positions(market, grid, DEFAULTS, None, 51000.0).sell == 51000.0
    assert start_positions(market, grid, DEFAULTS, 49999.5, 51000.5)[:2] == (50000.5, 50999.5)


@pytest.mark.parametrize("tick", TICKS)
@given(
    bid_ticks=st.integers(50, 10**7),
    spread_ticks=st.integers(1, 50),
    interval=st.sampled_from([0.0, 1e-6, 0.0001, 0.005, 0.1]),
    min_spread=st.sampled_from([0.0, 1e-6, 0.0005, 0.01]),
    maintains=st.booleans(),
)
def test_no_level_crosses_the_touch_and_our_own_quotes_never_meet(
    tick: float,
    bid_ticks: int,
    spread_ticks: int,
    interval: float,
    min_spread: float,
    maintains: bool,
) -> None:
    grid = PriceGrid.of(tick)
    market = ticker(grid.price(bid_ticks), grid.price(bid_ticks + spread_ticks))
    bids, asks = prices(market, grid, LadderShape(interval, min_spread, maintains), levels=6)
    assert max(map(grid.nearest, bids)) < bid_ticks + spread_ticks
    assert min(map(grid.nearest, asks)) > bid_ticks
    assert max(bids) < min(asks)
    assert all(grid.contains(price) and price > 0 for price in [*bids, *asks])
    assert bids == sorted(bids, reverse=True)
    assert asks == sorted(asks)


@pytest.mark.parametrize("tick", TICKS)
@given(
    bid_ticks=st.integers(50, 10**6),
    spread_ticks=st.integers(1, 12),
    min_spread=st.sampled_from([0.0, 1e-6, 0.0005, 0.001, 0.01, 0.02, 0.05]),
)
def test_in_a_still_market_our_best_quotes_stay_where_they_are(
    tick: float, bid_ticks: int, spread_ticks: int, min_spread: float
) -> None:
    grid = PriceGrid.of(tick)
    shape = LadderShape(0.005, min_spread, maintain_spreads=True)
    bid, ask = grid.price(bid_ticks), grid.price(bid_ticks + spread_ticks)
    own: tuple[float | None, float | None] = (None, None)
    seen = []
    for _ in range(4):
        market = ticker(max(bid, own[0] or bid), min(ask, own[1] or ask))
        starts = start_positions(market, grid, shape, *own)
        own = (
            level_price(-1, starts, market, grid, shape),
            level_price(1, starts, market, grid, shape),
        )
        seen.append(own)
    assert len(set(seen)) == 1


@pytest.mark.parametrize(("index", "qty"), [(-1, 100), (1, 100), (-3, 300), (6, 600)])
def test_sizes_grow_by_a_step_a_level(index: int, qty: int) -> None:
    assert level_qty(index, 100, 100) == qty


@pytest.mark.parametrize(
    ("room", "kept"),
    [(None, [300, 200, 100]), (600, [300, 200, 100]), (599, [200, 100]), (99, []), (-5, [])],
)
def test_levels_that_one_sweep_could_fill_beyond_the_limit_are_dropped_from_the_outside(
    room: float | None, kept: list[int]
) -> None:
    orders = [{"orderQty": qty} for qty in (300, 200, 100)]
    fitting = fit(orders, room, lambda order: order["orderQty"])
    assert [order["orderQty"] for order in fitting] == kept
