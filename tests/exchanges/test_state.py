"""What we believe, folded from a stream whose messages the test writes."""

from typing import Any

import pytest

from market_maker.clock import ManualClock
from market_maker.exchanges.state import LiveState
from market_maker.model.rows import Row
from market_maker.model.wire import Connected, Disconnected, Message

SYMBOL = "XBTUSD"


class Feed:
    """A state and the messages that reach it."""

    def __init__(self, *, has_account: bool = True, position: int = 0) -> None:
        self.clock = ManualClock()
        self.booked: set[str] = set()
        self.batches: list[int] = []  # how many fills were booked together
        self.state = LiveState(
            SYMBOL, lambda i: i.startswith("mm"), self.clock, has_account, self.book
        )
        self.state.put(Connected(0))
        self.image("instrument", {"symbol": SYMBOL, "state": "Open", "lastPrice": 100.0})
        self.image("quote", {"symbol": SYMBOL, "bidPrice": 100.0, "askPrice": 101.0}, keys=[])
        self.image("trade", keys=[])
        if has_account:
            self.image("order", keys=["orderID"])
            self.image("execution", keys=["execID"])
            self.image("margin", {"account": 1, "marginBalance": 5}, keys=["account"])
            self.image("position", {"symbol": SYMBOL, "currentQty": position})
        self.state.drain()
        self.state.take_relevance()
        self.state.take_notices()

    def book(self, rows: list[Row]) -> list[Row]:
        new = [row for row in rows if row["execID"] not in self.booked]
        self.booked.update(row["execID"] for row in rows)
        self.batches.append(len(rows))
        return new

    def image(self, table: str, *rows: Row, keys: Any = ("symbol",)) -> None:
        message = {"table": table, "action": "partial", "keys": list(keys), "data": list(rows)}
        self.state.put(Message(0, message))

    def tell(self, table: str, action: str, *rows: Row) -> None:
        full = [{"symbol": SYMBOL, **row} for row in rows]
        self.state.put(Message(0, {"table": table, "action": action, "data": full}))

    def quote(self, bid: float | None, ask: float | None) -> None:
        self.tell("quote", "insert", {"bidPrice": bid, "askPrice": ask})

    def order(self, action: str = "insert", **fields: Any) -> None:
        base: Row = {"orderID": "1", "clOrdID": "mm1", "side": "Buy", "price": 99.0}
        sizes = {"orderQty": 300, "leavesQty": 300, "cumQty": 0, "ordStatus": "New"}
        row = {**base, **sizes, **fields} if action == "insert" else {"orderID": "1", **fields}
        self.tell("order", action, row)

    def fill(self, qty: int, cum: int, exec_id: str = "e1", **fields: Any) -> None:
        row = {"orderID": "1", "clOrdID": "mm1", "execID": exec_id, "execType": "Trade"}
        sizes = {"side": "Buy", "lastQty": qty, "lastPx": 99.0, "cumQty": cum}
        self.tell("execution", "insert", {**row, **sizes, **fields})

    def is_relevant(self) -> bool:
        self.state.drain()
        return self.state.take_relevance()

    def kinds(self) -> list[str]:
        self.state.drain()
        return [notice.kind for notice in self.state.take_notices()]


@pytest.fixture
def feed() -> Feed:
    return Feed()


def test_it_is_ready_when_every_image_is_here() -> None:
    state = LiveState(SYMBOL, lambda i: True, ManualClock())
    assert not state.ready
    state.put(Connected(0))
    state.drain()
    assert not state.ready
    assert set(state.missing_images()) == {
        *("instrument", "trade", "quote"),
        *("order", "execution", "position", "margin"),
    }
    assert Feed().state.ready
    assert Feed(has_account=False).state.ready


def test_after_a_disconnect_nothing_is_ready_until_new_images_come(feed: Feed) -> None:
    feed.state.put(Disconnected(0, "gone"))
    assert feed.is_relevant()
    assert not feed.state.ready
    feed.state.put(Connected(0))
    feed.state.drain()
    assert not feed.state.ready
    assert feed.state.missing_images()


def test_putting_only_stores_and_wakes(feed: Feed) -> None:
    version = feed.state.version
    feed.quote(1.0, 2.0)
    assert feed.state.wake.is_set()
    assert (feed.state.version, feed.state.touch["bidPrice"]) == (version, 100.0)
    feed.state.drain()
    assert not feed.state.wake.is_set()
    assert (feed.state.version, feed.state.touch["bidPrice"]) == (version + 1, 1.0)


def test_the_last_of_what_arrived_together_wakes(feed: Feed) -> None:
    row = {"symbol": SYMBOL, "bidPrice": 1.0, "askPrice": 2.0}
    quote = {"table": "quote", "action": "insert", "data": [row]}
    feed.state.put(Message(0, quote, more=True))
    assert not feed.state.wake.is_set()
    feed.state.put(Message(0, quote))
    assert feed.state.wake.is_set()


def test_more_than_can_be_read_is_not_ready_until_the_next_connection(
    feed: Feed, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("market_maker.exchanges.state._MAX_INBOX", 3)
    for price in range(5):
        feed.quote(price, 101.0)
    feed.state.drain()
    assert feed.state.touch["bidPrice"] == 2
    assert feed.state.overflowed
    assert not feed.state.ready
    feed.state.put(Connected(0))
    feed.state.drain()
    assert not feed.state.overflowed


def test_what_is_lost_of_a_connection_that_nobody_has_heard_of_is_lost_all_the_same(
    feed: Feed, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("market_maker.exchanges.state._MAX_INBOX", 3)
    feed.state.put(Connected(0))
    for price in range(5):
        feed.quote(price, 101.0)
    feed.state.drain()
    assert feed.state.overflowed


# -- what starts a round ----------------------------------------------------------------

RELEVANT = [
    ("the touch moves", lambda f: f.quote(100.5, 101.0), True),
    ("the same touch again", lambda f: f.quote(100.0, 101.0), False),
    ("a side is empty", lambda f: f.quote(None, 101.0), True),
    ("a public trade", lambda f: f.tell("trade", "insert", {"price": 1, "size": 1}), False),
    ("the last price", lambda f: f.tell("instrument", "update", {"lastPrice": 7.0}), False),
    ("the market closes", lambda f: f.tell("instrument", "update", {"state": "Closed"}), True),
    (
        "the touch of the instrument, which lags behind the quotes",
        lambda f: f.tell("instrument", "update", {"bidPrice": 9}),
        False,
    ),
    ("the position", lambda f: f.tell("position", "update", {"currentQty": 100}), True),
    ("the value of the position", lambda f: f.tell("position", "update", {"markValue": 1}), False),
    ("our own new order", lambda f: f.order(), False),
    ("a fill", lambda f: f.fill(100, 100), True),
    ("another symbol", lambda f: f.tell("quote", "insert", {"symbol": "E", "bidPrice": 1}), False),
    ("an answer to a subscription", lambda f: f.state.put(Message(0, {"success": True})), False),
    ("no object", lambda f: f.state.put(Message(0, ["x"])), False),
]


@pytest.mark.parametrize(
    ("act", "expected"), [c[1:] for c in RELEVANT], ids=[c[0] for c in RELEVANT]
)
def test_only_what_a_decision_depends_on_starts_a_round(
    feed: Feed, act: Any, expected: bool
) -> None:
    act(feed)
    assert feed.is_relevant() is expected


def test_our_own_order_as_the_new_touch_starts_no_round(feed: Feed) -> None:
    feed.order(price=100.5)
    feed.quote(100.5, 101.0)
    assert not feed.is_relevant()
    feed.quote(100.5, 101.5)
    assert feed.is_relevant()


def test_our_order_ended_by_somebody_else_starts_a_round(feed: Feed) -> None:
    feed.order()
    feed.is_relevant()
    feed.order("update", ordStatus="Canceled", leavesQty=0)
    assert feed.is_relevant()
    assert feed.state.orders.open_orders() == []


# -- notices ----------------------------------------------------------------------------


def test_notices_come_in_the_order_of_arrival(feed: Feed) -> None:
    feed.order()
    feed.fill(100, 100)
    feed.tell("trade", "insert", {"price": 99.0, "size": 100})
    feed.quote(98.0, 101.0)
    assert feed.kinds() == ["fill", "trade", "book"]


def test_a_fill_that_is_repeated_is_told_and_counted_once(feed: Feed) -> None:
    feed.order()
    for _ in range(3):
        feed.fill(100, 100)
    assert feed.kinds().count("fill") == 1
    assert feed.state.position_range() == (0, 100)


def test_fills_of_orders_that_are_not_ours_count_but_are_not_told(feed: Feed) -> None:
    feed.fill(100, 100, clOrdID="by hand")
    assert "fill" not in feed.kinds()
    assert feed.state.position_range() == (0, 100)


def test_a_fill_that_a_query_shows_again_is_told_once(feed: Feed) -> None:
    feed.order()
    feed.fill(100, 100)
    assert "fill" in feed.kinds()
    row = {"orderID": "1", "execID": "e1", "execType": "Trade", "side": "Buy", "lastQty": 100}
    feed.state.take_fills([row, {**row, "execID": "e2"}], lambda _: True)
    assert feed.kinds() == ["fill"]
    assert feed.state.booked_qty == 200


def test_funding_is_booked_and_moves_no_position(feed: Feed) -> None:
    paid = {"execID": "f", "execType": "Funding", "side": "Sell", "lastQty": 100, "execComm": 20}
    feed.tell("execution", "insert", paid)
    assert feed.kinds() == []
    assert feed.booked == {"f"}
    assert feed.state.booked_qty == 0, "no fill is missed for it"
    assert feed.state.position_range() == (0, 0)


def test_the_fills_of_one_frame_are_booked_together(feed: Feed) -> None:
    own = {"orderID": "1", "clOrdID": "mm1", "side": "Buy", "execType": "Trade", "lastQty": 100}
    fills: list[Row] = [{**own, "execID": str(cum), "cumQty": cum} for cum in (100, 200, 300)]
    noise: list[Row] = [{**own, "execType": "New", "execID": "n"}, {**own, "execID": ""}]
    feed.tell("execution", "insert", *fills, *noise, {**fills[0], "symbol": "ETHUSD"})
    assert feed.kinds() == ["fill"] * 3
    feed.tell("execution", "insert", *fills, *noise[:1])
    feed.tell("execution", "insert", *noise)
    assert feed.kinds() == []
    assert feed.batches == [3, 3], "nothing to book is no batch"
    assert feed.state.position_range() == (0, 300)


def test_executions_of_the_first_image_are_history() -> None:
    state = LiveState(SYMBOL, lambda i: True, ManualClock())
    row = {"symbol": SYMBOL, "execID": "old", "orderID": "1", "side": "Buy", "execType": "Trade"}
    image = {"table": "execution", "action": "partial", "keys": [], "data": [row]}
    state.put(Message(0, image))
    state.drain()
    assert state.take_notices() == []


def test_fills_missed_while_away_are_told_from_the_new_image_once(feed: Feed) -> None:
    feed.state.put(Connected(0))
    old = {"execType": "Trade", "lastQty": 100, "cumQty": 100, "clOrdID": "mm1"}
    row = {"symbol": SYMBOL, "execID": "old", "orderID": "1", "side": "Buy", **old}
    feed.image("execution", row, keys=["execID"])
    assert feed.kinds().count("fill") == 1
    feed.fill(100, 100, exec_id="old")
    assert "fill" not in feed.kinds()


# -- the position as low and as high as it may be ---------------------------------------


def test_a_fill_counts_before_the_position_row_shows_it(feed: Feed) -> None:
    feed.order()
    feed.fill(100, 100)
    feed.state.drain()
    assert feed.state.position_range() == (0, 100)
    feed.tell("position", "update", {"currentQty": 100})
    feed.state.drain()
    assert feed.state.position_range() == (100, 100)


def test_a_position_row_before_its_fill_is_doubted_for_a_moment_only(feed: Feed) -> None:
    feed.order()
    feed.tell("position", "update", {"currentQty": 100})
    feed.state.drain()
    assert feed.state.position_range() == (100, 100)
    feed.fill(100, 100)
    feed.state.drain()
    assert feed.state.position_range() == (100, 200)
    feed.clock.sleep(6)
    feed.tell("position", "update", {"markValue": -7})
    feed.state.drain()
    assert feed.state.position_range() == (100, 100)


def test_a_fill_that_an_answer_tells_counts_until_the_position_shows_it(feed: Feed) -> None:
    feed.clock.sleep(60)
    feed.state.orders.apply(
        {"orderID": "9", "clOrdID": "mm9", "symbol": SYMBOL, "side": "Buy", "cumQty": 100}
    )
    assert feed.state.position_range() == (0, 100)
    feed.clock.sleep(60)
    assert feed.state.position_range() == (0, 100)


def test_a_fill_in_the_order_row_and_the_execution_counts_once(feed: Feed) -> None:
    feed.order()
    feed.order("update", cumQty=100, leavesQty=200, ordStatus="PartiallyFilled")
    feed.fill(100, 100)
    feed.state.drain()
    assert feed.state.position_range() == (0, 100)


def test_a_position_moved_by_another_hand_becomes_the_truth(feed: Feed) -> None:
    feed.tell("position", "update", {"currentQty": -700})
    feed.state.drain()
    feed.clock.sleep(6)
    assert feed.state.position_range() == (-700, -700)


def test_the_position_of_the_start_is_counted_from() -> None:
    feed = Feed(position=500)
    assert feed.state.position_range() == (500, 500)
    feed.order()
    feed.fill(100, 100)
    feed.state.drain()
    assert feed.state.position_range() == (500, 600)


def test_what_was_filled_while_away_is_in_the_new_image(feed: Feed) -> None:
    feed.order()
    feed.fill(100, 100)
    feed.state.put(Disconnected(0, "gone"))
    feed.state.put(Connected(0))
    held = {"orderID": "1", "clOrdID": "mm1", "symbol": SYMBOL, "side": "Buy", "price": 99.0}
    sizes = {"orderQty": 300, "cumQty": 200, "leavesQty": 100, "ordStatus": "PartiallyFilled"}
    feed.image("order", {**held, **sizes}, keys=["orderID"])
    feed.image("position", {"symbol": SYMBOL, "currentQty": 200})
    feed.state.drain()
    assert feed.state.position_range() == (200, 200)
    assert feed.state.orders.exposed("Buy") == 100


def test_and_is_not_counted_again_where_the_image_of_the_orders_comes_last(feed: Feed) -> None:
    feed.order()
    feed.state.put(Disconnected(0, "gone"))
    feed.state.put(Connected(0))
    feed.image("position", {"symbol": SYMBOL, "currentQty": 200})
    held = {"orderID": "1", "clOrdID": "mm1", "symbol": SYMBOL, "side": "Buy", "price": 99.0}
    sizes = {"orderQty": 300, "cumQty": 200, "leavesQty": 100, "ordStatus": "PartiallyFilled"}
    feed.image("order", {**held, **sizes}, keys=["orderID"])
    feed.state.drain()
    assert feed.state.position_range() == (200, 200)


def test_orders_that_a_new_image_does_not_show_are_looked_up(feed: Feed) -> None:
    feed.order()
    feed.state.put(Disconnected(0, "gone"))
    feed.state.put(Connected(0))
    feed.image("order", keys=["orderID"])
    feed.state.drain()
    assert [key for key, _ in feed.state.orders.unknown()] == ["1"]


def test_an_empty_side_of_a_quote_is_empty_and_a_new_connection_knows_nothing(feed: Feed) -> None:
    feed.tell("quote", "insert", {"bidPrice": 100.0})
    feed.state.drain()
    assert feed.state.touch == {"bidPrice": 100.0, "askPrice": None}
    feed.state.put(Connected(0))
    feed.state.drain()
    assert feed.state.touch == {"bidPrice": None, "askPrice": None}


# -- refusals ---------------------------------------------------------------------------


@pytest.mark.parametrize("reason", ["handshake 401", "handshake 403 Forbidden"])
def test_a_refused_handshake_is_final(feed: Feed, reason: str) -> None:
    feed.state.put(Disconnected(0, reason))
    feed.state.drain()
    assert feed.state.fatal == reason


@pytest.mark.parametrize(
    ("status", "is_final"), [(401, True), (403, True), (400, False), (429, False)]
)
def test_only_a_refused_key_on_the_stream_is_final(feed: Feed, status: int, is_final: bool) -> None:
    feed.state.put(Message(0, {"status": status, "error": "no", "request": {"op": "x"}}))
    feed.state.drain()
    assert bool(feed.state.fatal) is is_final


def test_the_image_of_an_empty_book_is_an_image() -> None:
    feed = Feed()
    feed.image("quote", keys=[])
    feed.state.drain()
    assert feed.state.ready
