"""How many events a second the unmodified bot decides on in one thread, on a manual clock.

    python benchmarks/in_process.py [--rounds 5] [--minutes 5] [--json FILE]

"bot": prepared rows, 1,000 a second of market, 60 % quotes and 40 % trades, the touch moves with
one quote in twenty; six pairs, a round at each move but at most one a second, approved, not sent.
"bot and exchange": the built-in exchange with its made-up market, where orders rest and are filled;
events are what it hands to its listeners: levels of the book, quotes, trades, orders.
"""

import logging
import random
import time
from collections.abc import Iterator
from typing import Any

from common import arguments, finish, in_turn, report

from market_maker.exchanges.state import LiveState
from market_maker.model.wire import Message
from tests.world import World

PER_S = 1000


class Tape:
    """Hands prepared messages to a bot as its clock moves."""

    def __init__(self, state: LiveState, messages: Iterator[Message], now_s: float) -> None:
        self._state, self._messages, self._due_s = state, messages, now_s

    def next_event_time(self) -> float:
        return self._due_s

    def advance_to(self, now_s: float) -> None:
        while self._due_s <= now_s:
            self._state.put(next(self._messages))
            self._due_s += 1 / PER_S


def messages(count: int) -> list[Message]:
    rng, made, bid = random.Random(1), [], 10_000.0
    for number in range(count):
        seconds, part = divmod(number, PER_S)
        stamp = f"2020-09-13T{12 + seconds // 3600:02}:{seconds // 60 % 60:02}:{seconds % 60:02}"
        row: dict[str, Any] = {"timestamp": f"{stamp}.{part:03}Z", "symbol": "XBTUSD"}
        if rng.random() < 0.4:
            row |= {"side": "Buy", "size": 100, "price": bid, "trdMatchID": str(number)}
            table = "trade"
        else:
            bid += rng.choice((-0.5, 0.5)) if rng.random() < 0.05 else 0
            sizes = {"bidSize": rng.randrange(10**6), "askSize": rng.randrange(10**6)}
            row |= {**sizes, "bidPrice": bid, "askPrice": bid + 0.5}
            table = "quote"
        made.append(Message(0, {"table": table, "action": "insert", "data": [row]}))
    return made


def alone(made: list[Message]) -> float:
    """Events a second of the bot without an exchange behind it."""
    world = World(seed=1)
    bot = world.bot(LOG_LEVEL=logging.WARNING, MIN_REQUOTE_INTERVAL=1.0)
    bot.start()
    desk, clock = bot.exchange.desk, world.clock
    bot.exchange.cancel_all_orders()
    desk.gateway.dry_run = True
    clock.worlds = [Tape(desk.state, iter(made), clock.now())]
    end_s, count = clock.now() + len(made) / PER_S - 5, 0
    began = time.perf_counter()
    while clock.now() < end_s:
        bot.wait_for_change()
        bot.run_once()
        count += 1
    assert count > len(made) / PER_S / 2, count  # it does decide
    return (len(made) - 5 * PER_S) / (time.perf_counter() - began)


def together(minutes: float) -> float:
    """Events a second of the exchange, its market and the bot."""
    world, counts = World(seed=1), [0]

    def count(_: object) -> None:
        counts[0] += 1

    world.engine.listeners.append(count)
    bot = world.bot(LOG_LEVEL=logging.WARNING)
    began = time.perf_counter()
    world.run(bot, minutes * 60)
    took = time.perf_counter() - began
    bot.shut_down()
    return counts[0] / took


def main() -> None:
    options = arguments(__doc__, rounds=5, minutes=2.0)
    logging.disable(logging.INFO)
    made = messages(int(options.minutes * 60 * PER_S))
    found = in_turn(
        options.rounds,
        {"bot": lambda: [alone(made)], "bot and exchange": lambda: [together(options.minutes)]},
    )
    finish(options, "in_process", [report("Events in one thread", "1/s", found)])


if __name__ == "__main__":
    main()
