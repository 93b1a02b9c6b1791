"""Whether the built-in exchange's memory stays flat over an hour of market at ten times life.

    python benchmarks/soak.py [--minutes 60] [--speed 10] [--top 10]

In one process and as fast as it goes: a synthetic market, a customer who places, amends, cancels
and trades, and two subscribers, of each profile one, to every table. Prints the process's memory
every five minutes of the hour and, with --top, what grew in the second half of the run.
"""

import argparse
import gc
import os
import sys
import tracemalloc
from pathlib import Path
from random import Random

sys.path.insert(0, str(Path(__file__).parents[1]))

from market_maker.clock import Clock, ManualClock
from market_maker.simulator.bitmex_tongue import BitmexTongue
from market_maker.simulator.dialects.bitmex import PROFILES, Dialect
from market_maker.simulator.dialects.bitmex_tables import TABLES
from market_maker.simulator.exchange import Account, Engine, Refused
from market_maker.simulator.hub import Hub
from market_maker.simulator.market.synthetic import SyntheticMarket
from market_maker.simulator.session import Session

REPORT_MIN = 5.0
PLENTY_SAT = 10**12


class Reader:
    """A subscriber to everything, which counts what it gets and keeps nothing."""

    def __init__(self, hub: Hub, account: Account) -> None:
        self.session = Session(hub.dialect, account)
        self.frames = self.size = 0
        hub.join(self, list(TABLES))

    def put(self, text: str) -> None:
        self.frames += 1
        self.size += len(text)


class Customer:
    """Orders at random prices near the touch: about one action a second."""

    def __init__(self, engine: Engine, account: Account) -> None:
        self._engine, self._account, self._rng = engine, account.number, Random(1)

    def act(self) -> None:
        engine, rng = self._engine, self._rng
        mine = [order for order in engine.orders(self._account) if order.leaves_qty]
        quote = engine.quote("XBTUSD")
        if quote.bid_ticks is None or quote.ask_ticks is None:
            return
        side, ticks = rng.choice([("Buy", quote.bid_ticks), ("Sell", quote.ask_ticks)])
        ticks += rng.randrange(-10, 3) * (1 if side == "Buy" else -1)
        price = engine.grid("XBTUSD").price(ticks)
        try:
            if mine and rng.random() < 0.5:
                order = rng.choice(mine)
                if rng.random() < 0.5:
                    engine.cancel(self._account, [order.order_id])
                else:
                    qty = order.cum_qty + 100 * rng.randint(1, 9)
                    engine.amend(self._account, {"orderID": order.order_id, "orderQty": qty})
                return
            fields = {"symbol": "XBTUSD", "side": side, "orderQty": 100, "price": price}
            engine.place(self._account, {**fields, "clOrdID": f"soak-{rng.getrandbits(64)}"})
        except Refused:
            pass


def resident_mb() -> float:
    """Memory of this process; 0 where the system does not tell."""
    try:
        pages = int(Path("/proc/self/statm").read_text().split()[1])
    except OSError:
        return 0.0
    return pages * os.sysconf("SC_PAGE_SIZE") / 1e6


class Run:
    """The exchange, its customer and its readers."""

    def __init__(self) -> None:
        self._clock, self._started_s = ManualClock(), Clock().monotonic()
        engine = Engine(self._clock, market=SyntheticMarket(seed=1), seed=1)
        self._clock.attach(engine)
        account = engine.open_account(PLENTY_SAT)
        self._customer = Customer(engine, account)
        self._readers = [
            Reader(Hub(BitmexTongue(Dialect(engine, profile)), self._clock), account)
            for profile in PROFILES
        ]

    def play(self, market_s: float) -> None:
        end_s = self._clock.now() + market_s
        while self._clock.now() < end_s:
            self._clock.sleep(1.0)
            self._customer.act()

    def status(self) -> str:
        gc.collect()
        frames = sum(reader.frames for reader in self._readers)
        sent_mb = sum(reader.size for reader in self._readers) / 1e6
        spent_s = Clock().monotonic() - self._started_s
        return f"{spent_s:8.0f} {resident_mb():8.1f} {frames:12,} {sent_mb:12,.0f}"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--minutes", type=float, default=60.0)
    parser.add_argument("--speed", type=float, default=10.0)
    parser.add_argument("--top", type=int, default=0, help="lines of what grew (slower)")
    options = parser.parse_args()
    run = Run()
    step_s = REPORT_MIN * 60 * options.speed
    steps = round(options.minutes / REPORT_MIN)
    before = None
    print("  minute   market h   wall s   RSS MB       frames   MB of JSON")
    for step in range(steps + 1):
        if step:
            run.play(step_s)
        print(f"{step * REPORT_MIN:8.0f} {step * step_s / 3600:10.2f} {run.status()}", flush=True)
        if options.top and step == steps // 2:
            tracemalloc.start(4)
            before = tracemalloc.take_snapshot()
    if before is not None:
        for line in tracemalloc.take_snapshot().compare_to(before, "lineno")[: options.top]:
            print(line)


if __name__ == "__main__":
    main()
