"""How many order operations and market events the built-in exchange does in a second.

Run: python -m benchmarks.matching, or python benchmarks/matching.py where the package is
installed. Figures are per second of processor time, in one process: first the order book alone,
then through the whole engine: checks, margin, matching, accounts, and every event handed to a
listener.
"""

import time
from collections.abc import Callable

from market_maker.clock import ManualClock
from market_maker.simulator.events import Order
from market_maker.simulator.exchange import Engine
from market_maker.simulator.instruments import XBTUSD
from market_maker.simulator.market.synthetic import SyntheticMarket
from market_maker.simulator.matching import Book

COUNT = 20_000
MARKET_S = 600.0
PLENTY_SAT = 10**13


class Bench:
    """An engine with a still market of 40 levels and two customers."""

    def __init__(self) -> None:
        self.engine = Engine(ManualClock(), [XBTUSD], seed=1)
        market = self.engine.liquidity("XBTUSD")
        for level in range(20):
            market.resize("Buy", 119_999 - level, 1000)
            market.resize("Sell", 120_001 + level, 1000)
        self.maker, self.taker = (self.engine.open_account(PLENTY_SAT).number for _ in range(2))
        self.events = 0
        self.engine.listeners.append(self._count)

    def _count(self, _event: object) -> None:
        self.events += 1

    def place(self, account: int, qty: int, price: float) -> str:
        order = {"symbol": "XBTUSD", "orderQty": qty, "price": price}
        return self.engine.place(account, order).order_id

    def place_and_cancel(self) -> int:
        for number in range(COUNT // 2):
            order_id = self.place(self.maker, 100, 59_990 + number % 10 / 2)
            self.engine.cancel(self.maker, [order_id])
        return COUNT

    def amend(self) -> int:
        order_id = self.place(self.maker, 100, 59_990)
        for number in range(COUNT):
            self.engine.amend(self.maker, {"orderID": order_id, "price": 59_991 + number % 2 / 2})
        return COUNT

    def trade(self) -> int:
        for _ in range(COUNT // 2):
            self.place(self.maker, 100, 60_000)
            self.place(self.taker, -100, 60_000)
        return COUNT


class BookBench:
    """The book alone, with the same 40 levels, and ready orders to put into it."""

    def __init__(self) -> None:
        self.book = Book()
        for level in range(20):
            self.book.rest_market("Buy", 119_999 - level, 1000)
            self.book.rest_market("Sell", 120_001 + level, 1000)
        self.orders = [
            Order(str(n), 1, "XBTUSD", "Buy", 100, 119_980 + n % 20, leaves_qty=100)
            for n in range(COUNT)
        ]

    def rest_and_shrink(self) -> int:
        for order in self.orders:
            self.book.rest(order)
        for order in self.orders:
            self.book.shrink(order, 50)
            self.book.shrink(order, 50)
        return 3 * COUNT

    def rest_and_take(self) -> int:
        book = self.book
        for order in self.orders:
            order.price_ticks = 120_000
            book.rest(order)
            first = book.first("Sell", 120_000)
            assert first is not None
            book.take("Sell", *first, 100)
        book.bids.drain_changes()
        return 2 * COUNT


def rate(work: Callable[[], int]) -> float:
    """Units of *work* per second of processor time."""
    start_s = time.process_time()
    done = work()
    return done / (time.process_time() - start_s)


def play_market() -> int:
    """Let the synthetic market run for a while; the events it makes."""
    clock = ManualClock()
    engine = Engine(clock, [XBTUSD], market=SyntheticMarket(1), seed=1)
    clock.attach(engine)
    events = 0

    def count(_event: object) -> None:
        nonlocal events
        events += 1

    engine.listeners.append(count)
    clock.sleep(MARKET_S)
    return events


def main() -> None:
    for name, work in (
        ("book: rest, shrink", BookBench().rest_and_shrink),
        ("book: rest, take", BookBench().rest_and_take),
        ("place and cancel", Bench().place_and_cancel),
        ("amend", Bench().amend),
        ("place and trade", Bench().trade),
    ):
        print(f"{name:20}{rate(work):10,.0f} orders/s")
    start_s = time.process_time()
    events = play_market()
    spent_s = time.process_time() - start_s
    print(f"{'synthetic market':20}{events / spent_s:10,.0f} events/s")
    print(f"{'':20}{MARKET_S / spent_s:10,.0f} times real time")


if __name__ == "__main__":
    main()
