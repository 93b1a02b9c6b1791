"""A book that a client rebuilds from the stream is the exchange's own, at any instant.

Clients subscribe through sessions at any moment, and to any of the three tables; orders of two
customers and a market's liquidity change the book in between.
"""

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from market_maker.clock import ManualClock
from market_maker.simulator.dialects.bitmex import Dialect
from market_maker.simulator.exchange import Engine, Refused
from market_maker.simulator.instruments import XBTUSD
from market_maker.simulator.session import Session

TABLES = {"orderBookL2": 0, "orderBookL2_25": 25, "orderBook10": 10}
MID = 60_000.0

Book = dict[str, list[tuple[float, int]]]  # side -> (price, size), best first


class Reader:
    """A client that does what the protocol says and knows nothing else."""

    def __init__(self, dialect: Dialect, topic: str) -> None:
        self.table = topic.partition(":")[0]
        self.session = Session(dialect)
        self.rows: dict[tuple[Any, ...], dict[str, Any]] = {}
        self.keys: list[str] = []
        for message in self.session.subscribe([topic]):
            self.read(message)

    def read(self, message: dict[str, Any]) -> None:
        action = message.get("action")
        if action == "partial":
            self.keys = message["keys"]
        for row in message.get("data", ()):
            key = tuple(row[name] for name in self.keys)
            if action in ("partial", "insert"):
                assert key not in self.rows
                self.rows[key] = dict(row)
            elif action == "update":
                self.rows[key] = {**self.rows[key], **row}
            else:
                del self.rows[key]

    def book(self) -> Book:
        if self.table == "orderBook10":
            (row,) = self.rows.values()
            return {"Buy": list(map(tuple, row["bids"])), "Sell": list(map(tuple, row["asks"]))}
        found = {"Buy": [], "Sell": []}  # type: Book
        for row in self.rows.values():
            found[row["side"]].append((row["price"], row["size"]))
        return {"Buy": sorted(found["Buy"], reverse=True), "Sell": sorted(found["Sell"])}


class Place:
    """An exchange with its readers, as a hub connects them."""

    def __init__(self, profile: str) -> None:
        self.clock = ManualClock()
        self.engine = Engine(self.clock, [XBTUSD], seed=1)
        self.dialect = Dialect(self.engine, profile)
        self.readers: list[Reader] = []
        self.accounts = [self.engine.open_account(10**12).number for _ in range(2)]
        self.engine.listeners.append(self._hear)

    def _hear(self, event: Any) -> None:
        for scope, message in self.dialect.render(event):
            for reader in self.readers:
                if reader.session.wants(scope):
                    reader.read(message)

    def book(self, depth: int) -> Book:
        grid = self.engine.grid("XBTUSD")
        bids, asks = self.engine.book("XBTUSD", depth)
        return {
            side: [(grid.price(level.price_ticks), level.size) for level in levels]
            for side, levels in (("Buy", bids), ("Sell", asks))
        }

    def market(self, side: str, price: float, size: int) -> None:
        """Let the market show *size* at a price, as a source of it does."""
        market, ticks = self.engine.liquidity("XBTUSD"), self.engine.grid("XBTUSD").nearest(price)
        self.engine.call_at(self.clock.now(), lambda: market.resize(side, ticks, size))
        self.engine.advance_to(self.clock.now())

    def act(self, action: str, who: int, step: int, lots: int) -> None:
        self.clock.sleep(0.1)
        account, price = self.accounts[who], MID + step * 0.5
        open_orders = [o for o in self.engine.orders(account) if o.leaves_qty > 0]
        try:
            match action:
                case "buy" | "sell":
                    qty = 100 * lots * (1 if action == "buy" else -1)
                    order = {"symbol": "XBTUSD", "orderQty": qty, "price": price}
                    self.engine.place(account, order)
                case "market":  # never across the other side
                    side = "Buy" if step < 0 else "Sell"
                    self.market(side, price + (20 if step >= 0 else -20), 100 * (lots - 1))
                case "take":
                    self.engine.place(
                        account, {"symbol": "XBTUSD", "orderQty": 500 * lots, "ordType": "Market"}
                    )
                case "amend" if open_orders:
                    order_id = open_orders[step % len(open_orders)].order_id
                    self.engine.amend(account, {"orderID": order_id, "price": price})
                case "cancel" if open_orders:
                    self.engine.cancel(account, [open_orders[step % len(open_orders)].order_id])
                case "cancel_all":
                    self.engine.cancel_all(account)
        except Refused:
            pass  # such as a change that changes nothing: the book stays as it is


WHAT = ["buy", "sell", "market", "market", "take", "amend", "cancel", "cancel_all"]
ACTIONS = st.lists(
    st.one_of(
        st.tuples(
            st.sampled_from(
                [
                    "buy",
                    "sell",
                    "market",
                    "market",
                    "market",
                    "take",
                    "amend",
                    "cancel",
                    "cancel_all",
                ]
            ),
            st.integers(0, 1),
            st.integers(-30, 30),
            st.integers(1, 4),
        ),
        st.tuples(st.just("subscribe"), st.sampled_from(sorted(TABLES))),
    ),
    max_size=60,
)


@pytest.mark.parametrize("profile", ["classic", "last"])
@settings(max_examples=80, deadline=None)
@given(actions=ACTIONS)
def test_a_rebuilt_book_is_the_exchanges_at_any_instant(profile: str, actions: Any) -> None:
    place = Place(profile)
    for action in [("subscribe", "orderBookL2_25"), *actions, ("subscribe", "orderBookL2")]:
        if action[0] == "subscribe":
            topic = action[1] if len(place.readers) % 2 else f"{action[1]}:XBTUSD"
            place.readers.append(Reader(place.dialect, topic))
        else:
            place.act(*action)
        for reader in place.readers:
            assert reader.book() == place.book(TABLES[reader.table])


def test_a_book_deeper_than_the_top_shows_the_levels_that_move_up() -> None:
    place = Place("last")
    for level in range(40):
        place.market("Buy", MID - 0.5 - level, 100)
        place.market("Sell", MID + 0.5 + level, 100)
    place.readers += [Reader(place.dialect, f"{table}:XBTUSD") for table in TABLES]
    take = {"symbol": "XBTUSD", "orderQty": 1500, "ordType": "Market"}
    place.engine.place(place.accounts[0], take)
    for reader in place.readers:
        assert reader.book() == place.book(TABLES[reader.table])
        assert len(reader.book()["Sell"]) == (TABLES[reader.table] or 25)
