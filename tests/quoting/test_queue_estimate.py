"""The place in the queue: told by hand, on recorded flow, and against the exchange's own queue."""

import random
from collections import deque
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from market_maker.exchange_interface import ExchangeInterface
from market_maker.model.order_book import OrderBook
from market_maker.model.rows import Row
from market_maker.model.ticks import PriceGrid
from market_maker.quoting.queue_estimate import QueueEstimate, QueuePlace
from market_maker.simulator.market.recorded import RecordedMarket
from market_maker.utils.math import toNearest
from tests.doubles import StillMarket
from tests.world import World

DATA = Path(__file__).parents[3] / "shared" / "data"
needs_data = pytest.mark.skipif(not DATA.exists(), reason="the recorded data is not here")
TICK, PRICE = 0.5, 100.0
TICKS = 200


class Told:
    """An estimate, a level of one price, and an order of 10 there."""

    def __init__(self, size: float = 100, model: str = "pessimistic") -> None:
        self.book = OrderBook(PriceGrid.of(TICK))
        self.queue = QueueEstimate(self.book, model)
        self.now_s, self.size = 1000.0, size
        self.row: Row = {"clOrdID": "a", "side": "Buy", "price": PRICE, "orderQty": 10}
        self.row |= {"leavesQty": 10, "cumQty": 0, "orderID": ""}
        self.book.load(bids=[[PRICE, size]] if size else [], asks=[])

    def order(self, **changes: Any) -> None:
        self.row = {**self.row, **changes}
        self.queue.on_orders([self.row], self.now_s)

    def sent(self) -> None:
        self.order()

    def acked(self) -> None:
        self.order(orderID="1", transactTime="2026-01-01T00:00:01.000Z")

    def filled(self, qty: float) -> None:
        self.order(leavesQty=self.row["leavesQty"] - qty, cumQty=self.row["cumQty"] + qty)

    def level(self, delta: float) -> None:
        self.size += delta
        row = {"side": "Buy", "price": PRICE, "size": self.size}
        changes = self.book.apply("update" if self.size else "delete", [row])
        self.queue.on_changes(changes, self.now_s)

    def trade(self, qty: float, stamp: str = "2026-01-01T00:00:02.000Z") -> None:
        print_ = {"side": "Sell", "price": PRICE, "size": qty, "timestamp": stamp}
        self.queue.on_trade(print_, self.now_s)

    def later(self, seconds: float) -> None:
        self.now_s += seconds

    def place(self) -> QueuePlace:
        return self.queue.place(self.row, self.now_s)

    def play(self, *steps: tuple[str, float] | str) -> tuple[float | None, float | None]:
        for step in steps:
            name, args = (step, ()) if isinstance(step, str) else (step[0], step[1:])
            getattr(self, name)(*args)
        place = self.place()
        return place.before, place.behind


IN = ("sent", "acked", ("level", 10))  # placed behind 100, and shown by the book


@pytest.mark.parametrize(
    ("steps", "before", "behind"),
    [
        # until the book shows us
        (["sent"], None, None),
        (["sent", "acked"], None, None),
        (["acked", ("later", 0.6)], 90, 0),  # it must be among the 100
        (["sent", ("level", 10), "acked"], 100, 0),  # shown before it was acknowledged
        (IN, 100, 0),
        (["sent", "acked", ("level", 7), ("level", 10)], 107, 0),
        (["sent", "acked", ("level", -30), ("level", 10)], 70, 0),
        (["sent", "acked", ("level", 25), ("later", 0.6)], 115, 0),  # folded into one change
        (["sent", "acked", ("later", 0.6), ("level", 25)], 115, 0),
        ([*IN, ("level", 10)], 110, 0),  # which of the two was ours? the later one may be
        ([*IN, ("later", 0.6), ("level", 10)], 100, 10),
        # joined behind us, cancelled behind us, cancelled before us
        ([*IN, ("level", 40)], 100, 40),
        ([*IN, ("level", 40), ("level", -30)], 100, 10),
        ([*IN, ("level", 40), ("level", -60)], 80, 0),
        # traded: from the front, once, in either order
        ([*IN, ("level", 40), ("trade", 30)], 70, 40),
        ([*IN, ("level", 40), ("trade", 30), ("level", -30)], 70, 40),
        ([*IN, ("level", 40), ("level", -30), ("trade", 30)], 70, 40),
        ([*IN, ("level", 40), ("level", -60), ("trade", 60)], 40, 40),
        ([*IN, ("level", -30), ("trade", 30)], 70, 0),
        # several prints of one change, and one print for several
        ([*IN, ("level", 40), ("level", -30), ("trade", 10), ("trade", 20)], 70, 40),
        ([*IN, ("level", 40), ("trade", 30), ("level", -10), ("level", -20)], 70, 40),
        # a trade and a cancellation in one change
        ([*IN, ("level", 40), ("trade", 30), ("level", -50)], 70, 20),
        ([*IN, ("level", 40), ("level", -50), ("trade", 30)], 70, 20),
        # a cancellation that seemed to come from before us, as what traded seemed to be cancelled
        ([*IN, ("level", 10.5), ("level", -10.5), ("level", -5), ("trade", 10.5)], 89.5, 5.5),
        # a trade before we were there, printed late
        ([*IN, ("trade", 30, "2026-01-01T00:00:00.900Z")], 100, 0),
        # too far apart to be the same
        ([*IN, ("level", -30), ("later", 3), ("trade", 30), ("level", -30)], 40, 0),
        ([*IN, ("level", 40), ("level", -30), ("later", 3), ("trade", 30), ("level", -30)], 70, 10),
        # filled: nobody is before us, whatever we thought
        ([*IN, ("level", 40), ("filled", 4), ("level", -104)], 0, 40),
        ([*IN, ("level", 40), ("level", -104), ("filled", 4)], 0, 40),
        # the venue does not show the level any more, and then does again
        ([*IN, ("level", -110)], None, None),
        ([*IN, ("later", 1), ("level", -110), ("level", 60)], 50, 0),
        # amended: anew
        ([*IN, ("order_qty", 20)], None, None),
        ([*IN, ("order_qty", 20), ("level", 20)], 110, 0),
        ([*IN, ("order_qty", 20), ("later", 0.6)], 90, 0),
    ],
)
def test_the_place_after_what_has_happened(
    steps: list[Any], before: float | None, behind: float | None
) -> None:
    told = Told()
    told.order_qty = lambda qty: told.order(orderQty=qty, leavesQty=qty)  # type: ignore[attr-defined]
    assert told.play(*steps) == (before, behind)


@pytest.mark.parametrize(
    ("steps", "before", "behind"),
    [
        ([*IN, ("level", 100), ("level", -50)], 75, 75),
        ([*IN, ("level", 100), ("trade", 50), ("level", -50)], 50, 100),
        ([*IN, ("level", 100), ("level", -50), ("trade", 50)], 50, 100),
        ([*IN, ("level", -50)], 50, 0),
        # each print once: the second one belongs to the change that follows
        (
            [*IN, ("level", 100), ("level", -30), ("trade", 30), ("trade", 30), ("level", -30)],
            40,
            100,
        ),
    ],
)
def test_the_proportional_model_shares_cancellations_out(
    steps: list[Any], before: float, behind: float
) -> None:
    assert Told(model="proportional").play(*steps) == (before, behind)


def test_ratio_and_age_as_the_status_shows_them() -> None:
    told = Told()
    assert told.play("sent")[0] is None
    assert told.place().ratio == 1.0
    told.play("acked", ("level", 10), ("later", 2.5))
    assert told.place() == QueuePlace(100, 10, 0, 2.5)
    assert told.place().ratio == 0.909
    assert Told(size=0).play("sent", "acked", ("level", 10)) == (0, 0)
    assert told.queue.place({"clOrdID": "other", "leavesQty": 5}, 0).ratio == 1.0


def test_an_order_that_hides_a_part_is_not_followed() -> None:
    told = Told()
    told.order(displayQty=2)
    told.play("acked", ("level", 2), ("later", 2))
    assert told.place().before is None


def test_a_model_that_nobody_knows_is_refused() -> None:
    with pytest.raises(ValueError, match="pessimistic, proportional"):
        QueueEstimate(OrderBook(PriceGrid.of(0.5)), "optimistic")


# -- against the exchange's own queue ---------------------------------------------------


def true_before(world: World, order_id: str, symbol: str = "XBTUSD") -> int | None:
    """Contracts before an order, as the matching engine has it; None when it has ended."""
    book = world.engine.liquidity(symbol)._book
    place = book._places.get(order_id)
    if place is None or place.order is None:
        return None
    queue = book.sides[place.order.side].queues[place.order.price_ticks]
    return sum(p.qty for p in queue.places[: queue.places.index(place)])


class Exchange:
    """A still book of the engine, an estimate of ours, and a hand that shuffles the messages."""

    def __init__(self, lag: str, model: str = "pessimistic") -> None:
        self.still = StillMarket(60_000.0, 60_000.5)
        self.world = World(market=self.still)
        self.exchange: ExchangeInterface = self.world.bot(POST_ONLY=False).exchange
        self.market = self.world.engine.liquidity("XBTUSD")
        self.queue = self.exchange.get_queue_estimate(model)
        self.others = [self.world.engine.open_account() for _ in range(3)]
        self.theirs: list[tuple[int, str]] = []
        self.lag, self.ticks = lag, self.market.grid.nearest(60_000.0)

    def do(self, what: str, qty: int) -> None:
        """One thing happens at the bid, some time after the one before."""
        self.world.clock.sleep(0.3)
        engine, size = self.world.engine, self.market.size("Buy", self.ticks)
        if what == "ours":
            if len(self.exchange.get_orders()) < 3:
                order = {"side": "Buy", "price": 60_000.0, "orderQty": qty}
                self.exchange.create_bulk_orders([order])
        elif what == "amend":
            for row in self.exchange.get_orders()[:1]:
                change = {"orderID": row["orderID"], "orderQty": row["cumQty"] + qty}
                if change["orderQty"] != row["orderQty"]:
                    self.exchange.amend_bulk_orders([change])
        elif what == "theirs":
            account = self.others[len(self.theirs) % 3].number
            fields = {"symbol": "XBTUSD", "side": "Buy", "price": 60_000.0, "orderQty": qty}
            self.theirs.append((account, engine.place(account, fields).order_id))
        elif what == "cancel" and self.theirs:
            account, order_id = self.theirs.pop(qty // 100 % len(self.theirs))
            engine.cancel(account, [order_id])
        elif what == "join":
            self.move(lambda: self.market.resize("Buy", self.ticks, size + qty))
        elif what == "leave":
            self.move(lambda: self.market.resize("Buy", self.ticks, max(0, size - qty)))
        elif what == "trade":
            self.move(lambda: self.market.take("Sell", qty, self.ticks))

    def move(self, deed: Callable[[], object]) -> None:
        """The market does something now, and the exchange tells of it."""
        self.still._due.append(lambda: deed() and None)
        self.world.clock.sleep(0)

    def hear(self) -> None:
        """Fold what has come, trades before or after the changes of the book they caused."""
        state = self.exchange.desk.state
        messages = list(state._inbox)
        late = "trade" if self.lag == "book first" else "orderBookL2"
        if self.lag != "as sent":
            messages.sort(key=lambda m: getattr(m, "data", {}).get("table") == late)
        state._inbox = deque(messages)
        state.drain()

    def places(self) -> Iterator[tuple[QueuePlace, int]]:
        for row in self.exchange.get_orders():
            truth = true_before(self.world, row["orderID"])
            if truth is not None:
                yield self.queue.place(row, self.world.clock.monotonic()), truth


LAGS = ["as sent", "book first", "trades first"]
DEEDS = ["ours", "amend", "theirs", "cancel", "join", "leave", "trade"]
QTY = st.integers(1, 4).map(lambda n: n * 100)


@settings(max_examples=60, deadline=None)
@given(st.lists(st.tuples(st.sampled_from(DEEDS), QTY), max_size=25), st.sampled_from(LAGS))
def test_the_pessimistic_estimate_is_never_better_than_the_truth(
    steps: list[tuple[str, int]], lag: str
) -> None:
    at = Exchange(lag)
    for what, qty in [("ours", 100), *steps]:
        at.do(what, qty)
        at.hear()
        for place, truth in at.places():
            assert place.before is None or place.before >= truth, (what, qty)


@settings(max_examples=40, deadline=None)
@given(st.lists(st.tuples(st.sampled_from(["theirs", "join", "trade"]), QTY), max_size=25),
       st.sampled_from(LAGS), st.sampled_from(["pessimistic", "proportional"]))  # fmt: skip
def test_where_only_trades_move_the_queue_the_estimate_is_exact(
    steps: list[tuple[str, int]], lag: str, model: str
) -> None:
    at = Exchange(lag, model)
    at.do("ours", 1_700)  # a size that nobody else has
    for what, qty in steps:
        at.do(what, 12_000 if what == "trade" and qty == 400 else qty)
        at.hear()
        for place, truth in at.places():
            assert place.before == truth, (what, qty)


def watch(world: World, symbol: str, seconds: float, seed: int) -> list[tuple[float, int]]:
    """Keep orders near the touch for a while: the estimate and the truth at each look at each."""
    rng, end_s, found = random.Random(seed), world.clock.now() + seconds, []
    exchange = world.bot(SYMBOL=symbol).exchange
    tick = exchange.get_instrument()["tickSize"]
    while world.clock.now() < end_s:
        world.clock.sleep(rng.random())
        queue = exchange.get_queue_estimate()
        touch, orders = exchange.get_touch(), exchange.get_orders()
        if len(orders) < 4 and touch.bid and touch.ask:
            side = rng.choice(["Buy", "Sell"])
            away = rng.randrange(4) * tick
            price = toNearest(touch.bid - away if side == "Buy" else touch.ask + away, tick)
            if price not in [row["price"] for row in orders]:
                exchange.create_bulk_orders([{"side": side, "price": price, "orderQty": 100}])
        elif orders and rng.random() < 0.1:
            exchange.cancel_bulk_orders(orders[:1])
        for row in exchange.get_orders():
            place = queue.place(row, world.clock.monotonic())
            truth = true_before(world, row["orderID"], symbol)
            if truth is not None and place.before is not None:
                found.append((place.before, truth))
    return found


def test_on_a_made_up_market_it_is_never_better_than_the_truth() -> None:
    looks = watch(World(seed=1), "XBTUSD", 200, seed=1)
    assert all(before >= truth for before, truth in looks)
    assert len(looks) > 300


@needs_data
@pytest.mark.parametrize(
    ("names", "symbol", "seconds"),
    [
        (["bitmex_XBTUSD_book10_2020-03-10.csv.gz", "bitmex_XBTUSD_trades_2020-03-10.csv.gz"],
         "XBTUSD", 60),
        (["bitmex_ws_raw_10symbols_XBTUSD_2021-07-22.log.gz"], "XBTUSD", 29),
        (["binance_coinm_BTCUSD_PERP_raw_2024-08-08.gz"], "BTCUSD_PERP", 60),
    ],
)  # fmt: skip
def test_on_recorded_flow_it_is_never_better_than_the_truth(
    names: list[str], symbol: str, seconds: float
) -> None:
    market = RecordedMarket([DATA / name for name in names], symbol)
    world = World(market=market, instruments=[market.instrument])
    looks = watch(world, symbol, seconds, seed=2)
    assert all(before >= truth for before, truth in looks)
    assert sum(before == truth for before, truth in looks) > 0.8 * len(looks) > 50
