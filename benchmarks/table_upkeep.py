"""What keeping the exchange's tables costs: our store against one that searches its rows.

Both get the same decoded messages, in turn, round after round. Read the ratios: the absolute
times depend on the machine and on what else it is doing.

    python benchmarks/table_upkeep.py [rounds]
"""

import random
import statistics
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[1]))

from market_maker.exchanges.tables import TableStore

MESSAGES = 2_000
Message = dict[str, Any]


class ScanningStore:
    """Rows in lists, found by comparing the keys of one after the other."""

    def __init__(self) -> None:
        self.keys: dict[str, list[str]] = {}
        self.data: dict[str, list[Message]] = {}

    def apply(self, message: Message) -> None:
        table, action = message["table"], message["action"]
        if action == "partial":
            self.keys[table] = message["keys"]
            self.data[table] = list(message["data"])
        elif action == "insert":
            rows = self.data[table]
            rows.extend(message["data"])
            if table in ("quote", "trade") and len(rows) > 200:
                del rows[:100]
        elif action == "update":
            for delta in message["data"]:
                row = self._find(table, delta)
                if row is not None:
                    row.update(delta)

    def _find(self, table: str, wanted: Message) -> Message | None:
        for row in self.data[table]:
            if all(row[key] == wanted[key] for key in self.keys[table]):
                return row
        return None


def partial(table: str, keys: list[str], rows: list[Message]) -> Message:
    return {"table": table, "action": "partial", "keys": keys, "filter": {}, "data": rows}


def frames(table: str, action: str, row: Callable[[], Message]) -> list[Message]:
    return [{"table": table, "action": action, "data": [row()]} for _ in range(MESSAGES)]


def book(depth: int, rng: random.Random) -> tuple[Message, list[Message]]:
    def level(number: int) -> Message:
        side = "Buy" if number % 2 else "Sell"
        return {"symbol": "XBTUSD", "id": number, "side": side, "size": 100, "price": 0.5 * number}

    def update() -> Message:
        row = level(rng.randrange(depth))
        return {**row, "size": rng.randrange(1, 10**6)}

    image = partial("orderBookL2", ["symbol", "id", "side"], [level(n) for n in range(depth)])
    return image, frames("orderBookL2", "update", update)


def workloads(rng: random.Random) -> dict[str, tuple[Message, list[Message]]]:
    instruments = [
        {"symbol": f"SYM{number}", "lastPrice": 1.0, "markPrice": 1.0, "state": "Open"}
        for number in range(300)
    ]
    orders = [
        {"orderID": f"id-{number}", "symbol": "XBTUSD", "leavesQty": 100, "price": 100.0 + number}
        for number in range(12)
    ]
    quote = {"symbol": "XBTUSD", "bidPrice": 1.0, "bidSize": 1, "askPrice": 1.5, "askSize": 1}
    trade = {"symbol": "XBTUSD", "side": "Buy", "size": 1, "price": 1.0, "trdMatchID": "m"}
    return {
        "instrument, 300 rows": (
            partial("instrument", ["symbol"], instruments),
            frames(
                "instrument",
                "update",
                lambda: {"symbol": f"SYM{rng.randrange(300)}", "markPrice": rng.random()},
            ),
        ),
        "order, 12 rows": (
            partial("order", ["orderID"], orders),
            frames(
                "order",
                "update",
                lambda: {"orderID": f"id-{rng.randrange(12)}", "leavesQty": rng.randrange(1, 99)},
            ),
        ),
        "quote": (partial("quote", [], []), frames("quote", "insert", lambda: dict(quote))),
        "trade": (partial("trade", [], []), frames("trade", "insert", lambda: dict(trade))),
        "book of 1,000 levels": book(1_000, rng),
        "book of 10,000 levels": book(10_000, rng),
    }


def cost_us(store: Any, image: Message, messages: list[Message]) -> float:
    """Microseconds of CPU for one message."""
    store.apply(image)
    apply = store.apply
    started = time.process_time()
    for message in messages:
        apply(message)
    return (time.process_time() - started) / len(messages) * 1e6


def main() -> None:
    rounds = int(sys.argv[1]) if len(sys.argv) > 1 else 5
    print(f"{'':24}{'ours us':>9}{'scan us':>9}{'ratio':>8}   ratios of {rounds} rounds")
    for name, (image, messages) in workloads(random.Random(1)).items():
        # The scanning store is slow enough on a book that a part of the messages will do.
        few = messages[:100] if "book" in name else messages
        ours, scans = [], []
        for _ in range(rounds):
            ours.append(cost_us(TableStore(), image, messages))
            scans.append(cost_us(ScanningStore(), image, few))
        ratios = [scan / our for our, scan in zip(ours, scans, strict=True)]
        print(
            f"{name:24}{statistics.median(ours):9.2f}{statistics.median(scans):9.2f}"
            f"{statistics.median(ratios):8.1f}   {min(ratios):.1f} - {max(ratios):.1f}"
        )


if __name__ == "__main__":
    main()
