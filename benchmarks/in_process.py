"""How fast the unmodified bot and the built-in exchange run together in one thread.

    python benchmarks/in_process.py [minutes]

On two busy virtual cores an hour of synthetic market took 11 to 23 s, that is 150 to 330 times
life: 17,000 to 37,000 events and 150 to 317 rounds a second (November 2026).

Events are what the exchange hands to its listeners: book levels, quotes, trades, orders.
"""

import logging
import sys
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))

from tests.world import World


def main() -> None:
    minutes = float(sys.argv[1]) if len(sys.argv) > 1 else 10.0
    logging.disable(logging.INFO)
    world = World(seed=1)
    counts = {"events": 0, "rounds": 0}

    def count(_: object) -> None:
        counts["events"] += 1

    world.engine.listeners.append(count)
    bot = world.bot(LOG_LEVEL=logging.WARNING)
    run_once = bot.run_once

    def counted_round() -> None:
        counts["rounds"] += 1
        run_once()

    bot.run_once = counted_round  # type: ignore[method-assign]
    started = time.perf_counter()
    world.run(bot, minutes * 60)
    took = time.perf_counter() - started
    bot.shut_down()
    print(f"{minutes:g} minutes of market in {took:.2f} s: {minutes * 60 / took:.0f} x life")
    print(f"{counts['events'] / took:,.0f} events/s, {counts['rounds'] / took:,.0f} rounds/s")
    print(f"{counts['events']:,} events, {counts['rounds']:,} rounds")


if __name__ == "__main__":
    main()
