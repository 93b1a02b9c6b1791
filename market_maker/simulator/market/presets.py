"""The named flows of the synthetic market."""

from typing import NamedTuple


class Flow(NamedTuple):
    """How a synthetic market behaves. Times are means in seconds, distances ticks.

    The ticks are those of the first instrument of an underlying; what else follows the same fair
    price follows it in proportion.
    """

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
    deep_factor: float = 3.0  # how many times the touch a deeper level may hold
    median_lots: float = 0.0  # of a small trade, of many sizes; 0: even, up to a quarter of a touch
    spread_ticks: int = 1  # between best bid and best ask
    trend_ticks_per_s: float = 0.0  # how fast the fair price runs while a trend lasts
    trend_for_s: float = 600.0  # how long a trend lasts
    trend_up_share: float = 0.5  # how many of the trends go up


# Tuned on XBTUSD at a price of 60,000, tick 0.5 (0.083 bps), lot 100. Where the figures come from
# and how near they are: docs/markets.md, benchmarks/market_statistics.py.
PRESETS = {
    # made for practice and like no real market: a maker some dollars off is filled in seconds
    "practice": Flow(),
    "calm": Flow(
        move_ticks=6.5, nibble_every_s=0.2, median_lots=1.7, sweep_every_s=300.0, sweep_levels=2.0,
        touch_lots=7500, deep_factor=0.08,
    ),
    "busy": Flow(
        move_every_s=0.25, move_ticks=10.0, nibble_every_s=0.085, median_lots=1.7,
        sweep_every_s=60.0, sweep_levels=4.0, touch_lots=12_000, deep_factor=0.05,
    ),
    "trending": Flow(
        move_every_s=0.25, move_ticks=8.0, nibble_every_s=0.1, median_lots=1.7,
        sweep_every_s=60.0, sweep_levels=4.0, touch_lots=7500, deep_factor=0.08,
        trend_ticks_per_s=1.5,
    ),
    "crash": Flow(
        levels=25, move_every_s=0.2, move_ticks=75.0, nibble_every_s=0.03, median_lots=1.7,
        sweep_every_s=1.0, sweep_levels=10.0, touch_lots=1000, deep_factor=0.5, spread_ticks=4,
        trend_ticks_per_s=12.0, trend_for_s=240.0, trend_up_share=0.3,
    ),
}  # fmt: skip
DEFAULT = "practice"
