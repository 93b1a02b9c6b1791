"""What a quiet round of the strategy grid costs beside one of layered with as many orders.

    python benchmarks/grid_round.py [levels a side]

In process, with a journal file; medians of rounds taken in turn. With 50 levels a side on two busy
virtual cores: 1.5 to 1.6 ms and 9.6 to 14 ms, ratio 0.11 to 0.16 (November 2026).
"""

import logging
import statistics
import sys
import tempfile
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))

from market_maker.journal import Journal
from market_maker.market_maker import OrderManager
from market_maker.strategies.grid import Grid
from tests.doubles import StillMarket
from tests.world import World

ROUNDS = 60


def start(strategy: type[OrderManager], levels: int, folder: str) -> OrderManager:
    """A bot that has its orders in the book of a market that stands still."""
    world = World(StillMarket())
    bot = world.bot(
        strategy,
        journal=Journal(Path(folder) / strategy.__name__, world.clock),
        LOG_LEVEL=logging.ERROR,
        GRID_BUY_LEVELS=levels,
        GRID_SELL_LEVELS=levels,
        ORDER_PAIRS=levels,
        ORDER_STEP_SIZE=0,
        MIN_POSITION=-(10**6),
        MAX_POSITION=10**6,
    )
    world.run(bot, 10)
    assert len(world.open_orders()) == 2 * levels, "all orders rest"
    return bot


def main() -> None:
    levels = int(sys.argv[1]) if len(sys.argv) > 1 else 50
    with tempfile.TemporaryDirectory() as folder:
        bots = [start(strategy, levels, folder) for strategy in (Grid, OrderManager)]
        took_s: list[list[float]] = [[], []]
        for _ in range(ROUNDS):
            for bot, times in zip(bots, took_s, strict=True):
                began_s = time.perf_counter()
                bot.run_once()
                times.append(time.perf_counter() - began_s)
    grid, layered = (statistics.median(times) * 1e3 for times in took_s)
    print(f"{levels} levels a side: grid {grid:.2f} ms, layered {layered:.2f} ms a round")
    print(f"ratio {grid / layered:.2f}")


if __name__ == "__main__":
    main()
