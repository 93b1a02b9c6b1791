"""Orders that wait: for a trigger price, for the end of the day, for another sixty seconds."""

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from market_maker.clock import ManualClock
from market_maker.simulator.entry import is_waiting
from market_maker.simulator.events import Event, Order, OrderEvent
from market_maker.simulator.exchange import Engine, Refused
from market_maker.simulator.instruments import ETHUSD, XBTUSD, Instrument
from market_maker.simulator.triggers import Price, Triggers

DAY_S = 86_400


class Venue:
    """An engine whose mark follows its index exactly, two rich customers, a record of events."""

    def __init__(self, spec: Instrument = XBTUSD) -> None:
        # half an hour before midnight; no funding to come, so that the mark is the index
        self.clock = ManualClock(19_000 * DAY_S - 1800.0)
        self.engine = Engine(self.clock, [replace(spec, funding_rate=0.0)], seed=7)
        self.clock.attach(self.engine)
        self.symbol = spec.symbol
        self.us = self.engine.open_account(10**14).number
        self.them = self.engine.open_account(10**14).number
        self.events: list[Event] = []
        self.engine.listeners.append(self.events.append)

    def place(self, who: int, qty: int | None, price: float | None = None, **fields: Any) -> Order:
        fields = {"symbol": self.symbol, "orderQty": qty, "price": price, **fields}
        return self.engine.place(who, {k: v for k, v in fields.items() if v is not None})

    def amend(self, order: Order, **fields: Any) -> Order:
        return self.engine.amend(order.account, {"orderID": order.order_id, **fields})

    def set_index(self, price: float) -> None:
        self.engine.liquidity(self.symbol).set_index(price)
        self.engine.cancel(self.us)  # the end of an operation, as of a market's step

    def print_at(self, price: float) -> None:
        """A trade between two strangers."""
        ticks = self.engine.grid(self.symbol).nearest(price)
        market = self.engine.liquidity(self.symbol)
        market.resize("Sell", ticks, 100)
        market.take("Buy", 100, ticks)
        self.engine.cancel(self.us)

    def told(self, order: Order) -> Iterator[str]:
        for event in self.events:
            if isinstance(event, OrderEvent) and event.order.order_id == order.order_id:
                yield event.exec_type


@pytest.fixture
def venue() -> Venue:
    return Venue()


@pytest.mark.parametrize(
    ("price", "stop", "named", "expected"),
    [
        (60000.0, None, None, "Limit"),
        (None, 70000.0, None, "Stop"),
        (60000.0, 70000.0, None, "StopLimit"),
        (None, None, None, "Market"),
        (None, 50000.0, "MarketIfTouched", "MarketIfTouched"),
        (60000.0, 50000.0, "LimitIfTouched", "LimitIfTouched"),
    ],
)
def test_prices_tell_the_type_of_an_order(
    venue: Venue, price: float | None, stop: float | None, named: str | None, expected: str
) -> None:
    order = venue.place(venue.us, 100, price, stopPx=stop, ordType=named)
    assert order.ord_type == expected
    lifetime = "ImmediateOrCancel" if expected == "Market" else "GoodTillCancel"
    assert order.time_in_force == lifetime  # of a stop too, as captured in 2020


def test_a_waiting_stop_is_new_but_not_working_and_in_no_book(venue: Venue) -> None:
    order = venue.place(venue.us, -100, stopPx=59000.0)
    assert (order.ord_status, order.working, order.triggered) == ("New", False, "")
    assert (order.leaves_qty, order.price_ticks, order.stop_ticks) == (100, None, 118_000)
    assert venue.engine.book("XBTUSD") == ([], [])
    assert venue.engine.position_row(venue.us, "XBTUSD")["openOrderSellQty"] == 0
    assert list(venue.told(order)) == ["New"]
    venue.set_index(59000.5)
    assert order.triggered == ""
    assert venue.engine.cancel(venue.us, [order.order_id])[0].error == ""
    assert (order.ord_status, order.leaves_qty) == ("Canceled", 0)
    venue.set_index(50000.0)
    assert order.triggered == ""


CASES = [
    ("Stop", "Buy", 61000.0, 60999.5, 61000.0),
    ("Stop", "Sell", 59000.0, 59000.5, 59000.0),
    ("MarketIfTouched", "Buy", 59000.0, 59000.5, 58000.0),
    ("MarketIfTouched", "Sell", 61000.0, 60999.5, 62000.0),
]


@pytest.mark.parametrize("name", ["MarkPrice", "LastPrice", "IndexPrice", None])
@pytest.mark.parametrize(("kind", "side", "stop", "before", "there"), CASES)
def test_an_order_fires_when_its_price_gets_there(
    venue: Venue, name: str | None, kind: str, side: str, stop: float, before: float, there: float
) -> None:
    order = venue.place(venue.us, 100, stopPx=stop, ordType=kind, side=side, execInst=name)
    move, other = venue.set_index, venue.print_at
    if name == "LastPrice":
        move, other = other, move
    other(there)
    move(before)
    assert order.triggered == ""
    venue.engine.liquidity("XBTUSD").resize("Buy", int(there * 2) - 1, 500)
    venue.engine.liquidity("XBTUSD").resize("Sell", int(there * 2) + 1, 500)
    move(there)
    assert order.triggered == "StopOrderTriggered"
    assert (order.ord_type, order.ord_status, order.cum_qty) == (kind, "Filled", 100)
    assert list(venue.told(order)) == ["New", "TriggeredOrActivatedBySystem", "Trade"]
    assert order.text == "Triggered: Order stopPx reached\nSubmitted via API."


def test_a_stop_whose_price_is_already_there_fires_at_once(venue: Venue) -> None:
    venue.place(venue.them, 100, 59990.0)
    order = venue.place(venue.us, -100, stopPx=60500.0)
    assert (order.triggered, order.ord_status) == ("StopOrderTriggered", "Filled")


@pytest.mark.parametrize("kind", ["StopLimit", "LimitIfTouched"])
def test_a_fired_limit_order_rests_like_any_other(venue: Venue, kind: str) -> None:
    stop = 61000.0 if kind == "StopLimit" else 59000.0
    order = venue.place(venue.us, 300, 60500.0, stopPx=stop, ordType=kind, displayQty=100)
    venue.set_index(stop)
    assert (order.triggered, order.ord_status, order.working) == ("StopOrderTriggered", "New", True)
    bids, _ = venue.engine.book("XBTUSD")
    assert [(level.price_ticks, level.size) for level in bids] == [(121_000, 100)]
    venue.place(venue.them, -200, 60500.0)
    assert (order.ord_status, order.leaves_qty) == ("PartiallyFilled", 100)
    with pytest.raises(Refused, match="Invalid stopPx for ordType"):
        venue.amend(order, stopPx=62000.0)


def test_one_stop_can_set_off_the_next(venue: Venue) -> None:
    for price in (59000.0, 58900.0, 58800.0):
        venue.place(venue.them, 100, price)
    stops = [
        venue.place(venue.us, -100, stopPx=stop, execInst="LastPrice")
        for stop in (58900.0, 59000.0, 59500.0)
    ]
    venue.place(venue.us, 100, 59400.0)
    venue.place(venue.them, -100, 59400.0)  # the print that starts it
    assert [order.ord_status for order in stops] == ["Filled"] * 3
    assert [order.avg_px for order in stops] == [58800.0, 58900.0, 59000.0]


def test_last_within_mark_keeps_a_stop_from_a_last_price_gone_astray(venue: Venue) -> None:
    wary = venue.place(venue.us, -100, stopPx=59000.0, execInst="LastPrice,LastWithinMark")
    plain = venue.place(venue.us, -100, stopPx=58000.0, execInst="LastPrice")
    venue.print_at(56000.0)  # more than 5 % under the mark of 60000
    assert (wary.triggered, plain.triggered) == ("", "StopOrderTriggered")
    venue.set_index(58500.0)
    assert wary.triggered == "StopOrderTriggered"


def test_a_stop_takes_no_margin_until_it_fires_and_is_rejected_without(venue: Venue) -> None:
    poor = venue.engine.open_account(20_000).number
    order = venue.place(poor, -100_000, stopPx=59000.0)
    venue.place(venue.them, 100_000, 58990.0)
    venue.set_index(59000.0)
    assert (order.ord_status, order.leaves_qty, order.working) == ("Rejected", 0, False)
    assert order.rej_reason.startswith("Account has insufficient Available Balance, ")
    assert order.text == f"Rejected: {order.rej_reason}\nSubmitted via API."
    assert list(venue.told(order)) == ["New", "TriggeredOrActivatedBySystem", "Rejected"]


def test_an_amend_moves_a_waiting_order(venue: Venue) -> None:
    order = venue.place(venue.us, -100, 58000.0, stopPx=59000.0)
    venue.amend(order, stopPx=58500.0, price=57000.0, orderQty=300)
    assert order.text == "Amended orderQty price stopPx\nSubmitted via API."
    assert (order.order_qty, order.price_ticks, order.stop_ticks) == (300, 114_000, 117_000)
    venue.set_index(58900.0)
    assert order.triggered == ""
    venue.set_index(58500.0)
    assert (order.triggered, order.working) == ("StopOrderTriggered", True)
    market = venue.place(venue.us, -100, stopPx=50000.0)
    with pytest.raises(Refused, match="Invalid price"):
        venue.amend(market, price=49000.0)


def test_a_stop_to_close_without_a_quantity_closes_what_is_held_then(venue: Venue) -> None:
    venue.place(venue.them, -300, 60000.0)
    venue.place(venue.us, 300, 60000.0)
    stop = venue.place(venue.us, None, stopPx=59000.0, side="Sell", execInst="Close")
    assert stop.order_qty == 300
    venue.place(venue.them, -200, 60000.0)
    venue.place(venue.us, 200, 60000.0)
    resting = venue.place(venue.us, -500, 61000.0)
    venue.place(venue.them, 900, 58990.0)
    venue.set_index(59000.0)
    assert (stop.ord_status, stop.cum_qty) == ("Filled", 500)
    assert resting.ord_status == "Canceled"
    assert venue.engine.position_row(venue.us, "XBTUSD")["currentQty"] == 0


def test_a_stop_to_reduce_finds_nothing_left_to_reduce(venue: Venue) -> None:
    stop = venue.place(venue.us, -100, stopPx=59000.0, execInst="ReduceOnly")
    venue.set_index(59000.0)
    assert stop.ord_status == "Canceled"
    assert "current position is 0" in stop.text


def test_closing_gives_way_to_no_other_order_of_its_side(venue: Venue) -> None:
    venue.place(venue.them, -300, 60000.0)
    venue.place(venue.us, 300, 60000.0)
    small = venue.place(venue.us, -100, 62000.0)
    buy = venue.place(venue.us, 100, 50000.0)
    part = venue.place(venue.us, -200, 61000.0, execInst="Close")
    assert (small.ord_status, part.leaves_qty) == ("New", 200), "both fit into the position"
    whole = venue.place(venue.us, None, 61500.0, execInst="Close")
    assert (small.ord_status, part.ord_status) == ("Canceled", "Canceled")
    assert (whole.leaves_qty, buy.ord_status) == (300, "New")


def test_close_position_leaves_no_order_and_no_position(venue: Venue) -> None:
    venue.place(venue.them, -300, 60000.0)
    venue.place(venue.us, 300, 60000.0)
    resting = venue.place(venue.us, 100, 50000.0)
    venue.place(venue.them, 300, 59000.0)
    order = venue.engine.close_position(venue.us, "XBTUSD")
    assert (order.side, order.cum_qty, order.ord_status) == ("Sell", 300, "Filled")
    assert resting.ord_status == "Canceled"


def test_a_day_order_ends_at_midnight_utc(venue: Venue) -> None:
    order = venue.place(venue.us, 100, 50000.0, timeInForce="Day")
    stop = venue.place(venue.us, 100, stopPx=70000.0, timeInForce="Day")
    kept = venue.place(venue.us, 100, 50000.0)
    assert venue.engine.next_event_time() == 19_000 * DAY_S
    venue.clock.sleep(1799.9)
    assert order.ord_status == "New"
    venue.clock.sleep(0.2)
    assert (order.ord_status, order.timestamp) == ("Canceled", 19_000.0 * DAY_S)
    assert order.text == "Canceled: Order had timeInForce of Day\nSubmitted via API."
    assert (stop.ord_status, kept.ord_status) == ("Canceled", "New")
    later = venue.place(venue.us, 100, 50000.0, timeInForce="Day")
    assert venue.engine.next_event_time() == 19_000 * DAY_S + 4 * 3600  # funding comes first
    assert later.ord_status == "New"


def test_a_filled_order_lives_again_by_leaves_qty_for_sixty_seconds(venue: Venue) -> None:
    order = venue.place(venue.us, 100, 60000.0, clOrdID="a")
    venue.place(venue.them, -100, 60000.0)
    venue.clock.sleep(60)
    venue.amend(order, leavesQty=200)
    assert (order.ord_status, order.working) == ("PartiallyFilled", True)
    assert (order.order_qty, order.leaves_qty, order.cum_qty) == (300, 200, 100)
    assert [level.size for level in venue.engine.book("XBTUSD")[0]] == [200]
    assert venue.engine.cancel(venue.us, [order.order_id])[0].error == ""
    with pytest.raises(Refused, match="Invalid ordStatus: Canceled"):
        venue.amend(order, leavesQty=200)


def test_nothing_else_makes_a_filled_order_live_again(venue: Venue) -> None:
    order = venue.place(venue.us, 100, 60000.0, clOrdID="a")
    venue.place(venue.them, -100, 60000.0)
    with pytest.raises(Refused, match="Invalid ordStatus: Filled"):
        venue.amend(order, orderQty=200)
    other = venue.place(venue.us, 100, 50000.0, clOrdID="a")
    with pytest.raises(Refused, match="Duplicate clOrdID"):
        venue.amend(order, leavesQty=200)
    venue.engine.cancel(venue.us, [other.order_id])
    venue.clock.sleep(60.1)
    with pytest.raises(Refused, match="Invalid ordStatus: Filled"):
        venue.amend(order, leavesQty=200)


def test_open_and_stop_orders_are_capped_per_symbol_and_account(venue: Venue) -> None:
    for number in range(10):
        venue.place(venue.us, 100, stopPx=70000.0 + number)
    with pytest.raises(Refused, match=r"Too many stop orders\. The maximum count allowed is 10"):
        venue.place(venue.us, 100, stopPx=70000.0)
    for _ in range(190):
        venue.place(venue.us, 100, 50000.0)
    with pytest.raises(Refused, match=r"Too many open orders\. The maximum count allowed is 200"):
        venue.place(venue.us, 100, 50000.0)
    assert venue.place(venue.them, 100, stopPx=70000.0).ord_status == "New"
    venue.set_index(70000.0)
    assert venue.place(venue.us, 100, stopPx=80000.0).ord_status == "New", "fired stops are done"


def test_quotes_are_counted_by_the_day(venue: Venue) -> None:
    order = venue.place(venue.us, 200, 60000.0)
    venue.amend(order, price=60001.0)
    venue.place(venue.us, 100, 50000.0)
    for _ in range(2):
        venue.place(venue.them, -100, 60001.0)
    venue.clock.sleep(3600)
    venue.place(venue.us, 100, 50000.0)
    counts = venue.engine.quote_counts(venue.us)
    today = 18_999 * DAY_S
    assert [(c.day_s, c.submitted, c.dealt) for c in counts] == [
        (today, 3, 1),
        (today + DAY_S, 1, 0),
    ]


def test_a_hidden_order_pays_as_a_taker(venue: Venue) -> None:
    venue.place(venue.us, 100, 60000.0, displayQty=0)
    venue.place(venue.us, 200, 60000.0, displayQty=100)
    assert [level.size for level in venue.engine.book("XBTUSD")[0]] == [100]
    assert venue.engine.quote("XBTUSD").bid_size == 100
    venue.place(venue.them, -300, 60000.0)
    fills = [e.fill for e in venue.engine.executions(venue.us) if e.fill]
    rates = [(fill.qty, fill.commission) for fill in fills]
    assert rates == [(100, -0.00025), (100, -0.00025), (100, 0.00075)]
    assert venue.engine.imbalance_sat() == 0


@pytest.mark.parametrize(
    ("peg", "side", "offset", "price"),
    [
        ("PrimaryPeg", "Buy", -1.0, 59989.0),
        ("PrimaryPeg", "Sell", None, 60010.0),
        ("MarketPeg", "Buy", -5.0, 60005.0),
        ("MarketPeg", "Sell", 0.5, 59990.5),
    ],
)
def test_a_pegged_order_takes_its_price_from_the_touch_once(
    venue: Venue, peg: str, side: str, offset: float | None, price: float
) -> None:
    venue.place(venue.them, 100, 59990.0)
    venue.place(venue.them, -100, 60010.0)
    order = venue.place(
        venue.us, 100, side=side, pegPriceType=peg, pegOffsetValue=offset, execInst="Fixed"
    )
    assert (order.ord_type, order.working) == ("Pegged", True)
    assert order.price_ticks == int(price * 2)
    venue.place(venue.them, 100, 59995.0)
    venue.set_index(50000.0)
    assert order.price_ticks == int(price * 2)


@pytest.mark.parametrize(
    ("kind", "side", "sign"),
    [("Stop", "Sell", -1), ("Stop", "Buy", 1), ("MarketIfTouched", "Sell", 1)],
)
def test_a_trailing_stop_follows_the_market_away_and_waits_for_its_return(
    venue: Venue, kind: str, side: str, sign: int
) -> None:
    order = venue.place(
        venue.us, 100, side=side, ordType=kind,
        pegPriceType="TrailingStopPeg", pegOffsetValue=sign * 100.0,
    )  # fmt: skip

    def stop_after(seconds: float, away: float) -> float:
        venue.clock.sleep(seconds)
        venue.set_index(60000.0 - sign * away)
        assert order.stop_ticks is not None
        return (order.stop_ticks / 2 - 60000.0) * -sign

    assert stop_after(0, 0.0) == -100.0
    assert stop_after(2, 59.0) == -100.0, "no more than 0.1 %"
    assert stop_after(2, 61.0) == -39.0
    assert stop_after(0.5, 200.0) == -39.0, "less than a second later"
    assert stop_after(0.6, 200.0) == 100.0
    assert stop_after(2, 130.0) == 100.0, "it does not come back"
    venue.amend(order, pegOffsetValue=sign * 50.0)
    assert stop_after(2, 130.0) == 80.0
    assert order.triggered == ""
    stop_after(2, 80.0)
    assert order.triggered == "StopOrderTriggered"


def test_a_trailing_stop_stays_while_the_market_falls_by_more_than_its_offset(venue: Venue) -> None:
    order = venue.place(
        venue.us, 100, side="Sell", ordType="Stop",
        pegPriceType="TrailingStopPeg", pegOffsetValue=-59_000.0,
    )  # fmt: skip
    venue.clock.sleep(2)
    venue.set_index(58_000.0)
    assert order.stop_ticks == 2_000
    assert order.ord_status == "New"


def test_waiting_orders_fire_at_their_price_on_another_tick(venue: Venue) -> None:
    stop = venue.place(venue.us, 100, side="Buy", stopPx=61_000.0)
    trailing = venue.place(
        venue.us, 100, side="Sell", ordType="Stop",
        pegPriceType="TrailingStopPeg", pegOffsetValue=-100.0,
    )  # fmt: skip
    venue.engine.change_grid("XBTUSD", 1.0, 100)
    venue.clock.sleep(2)
    venue.set_index(60_999.0)
    assert stop.triggered == ""
    assert trailing.stop_ticks == 60_899
    venue.set_index(61_000.0)
    assert stop.triggered == "StopOrderTriggered"


def test_a_trailing_stop_whose_offset_the_new_tick_does_not_know_is_cancelled(venue: Venue) -> None:
    venue.set_index(60_000.5)
    order = venue.place(
        venue.us, 100, side="Sell", ordType="Stop",
        pegPriceType="TrailingStopPeg", pegOffsetValue=-100.5,
    )  # fmt: skip
    assert venue.engine.change_grid("XBTUSD", 1.0, 100) == [order]


@pytest.mark.parametrize("offset", [float("nan"), float("inf"), -1e308, 1e308])
def test_an_impossible_offset_is_refused(venue: Venue, offset: float) -> None:
    for fields in (
        {"ordType": "Stop", "pegPriceType": "TrailingStopPeg", "side": "Sell"},
        {"ordType": "Pegged", "pegPriceType": "PrimaryPeg", "execInst": "Fixed"},
    ):
        venue.engine.liquidity("XBTUSD").resize("Buy", 119_000, 100)
        with pytest.raises(Refused, match="Invalid pegOffsetValue"):
            venue.place(venue.us, 100, pegOffsetValue=offset, **fields)


OCO = {"clOrdLinkID": "bracket", "contingencyType": "OneCancelsTheOther"}
OTO = {"clOrdLinkID": "entry", "contingencyType": "OneTriggersTheOther"}


def test_the_first_of_linked_orders_that_trades_or_fires_cancels_the_others(venue: Venue) -> None:
    profit = venue.place(venue.us, -300, 61000.0, **OCO)
    loss = venue.place(venue.us, -300, stopPx=59000.0, **OCO)
    plain = venue.place(venue.us, -300, 62000.0, clOrdLinkID="bracket")
    venue.place(venue.them, 100, 61000.0)
    assert (profit.leaves_qty, loss.ord_status) == (200, "Canceled")
    again = venue.place(venue.us, -300, 58000.0, stopPx=59000.0, **OCO)
    venue.set_index(59000.0)
    assert (again.triggered, profit.ord_status) == ("StopOrderTriggered", "Canceled")
    assert plain.ord_status == "New"


def test_an_order_of_ones_own_account_may_meet_what_it_is_linked_to(venue: Venue) -> None:
    rests = venue.place(venue.us, -300, 60000.0, **OCO)
    takes = venue.place(venue.us, 100, 60000.0, **OCO)
    assert (takes.ord_status, rests.ord_status, rests.cum_qty) == ("Filled", "Canceled", 100)
    assert venue.engine.book("XBTUSD") == ([], [])


def test_a_filled_order_lets_the_others_begin(venue: Venue) -> None:
    entry = venue.place(venue.us, 200, 60000.0, **OTO)
    profit = venue.place(venue.us, -200, 61000.0, clOrdLinkID="entry")
    loss = venue.place(venue.us, -200, stopPx=59000.0, clOrdLinkID="entry", execInst="ReduceOnly")
    assert (profit.ord_status, profit.working) == ("New", False)
    venue.amend(profit, price=61500.0)
    venue.place(venue.them, -100, 60000.0)
    venue.set_index(58000.0)
    assert (profit.working, loss.triggered) == (False, ""), "half is not enough"
    venue.set_index(60000.0)
    venue.place(venue.them, -100, 60000.0)
    assert (entry.ord_status, profit.working, loss.working) == ("Filled", True, False)
    assert list(venue.told(profit)) == ["New", "Replaced", "TriggeredOrActivatedBySystem"]
    _, asks = venue.engine.book("XBTUSD")
    assert [(level.price_ticks, level.size) for level in asks] == [(123_000, 200)]
    venue.set_index(59000.0)
    assert loss.triggered == "StopOrderTriggered"


def test_an_order_that_ends_unfilled_takes_the_others_with_it(venue: Venue) -> None:
    entry = venue.place(venue.us, 200, 60000.0, **OTO)
    held = venue.place(venue.us, -200, 61000.0, clOrdLinkID="entry")
    early = venue.place(venue.us, -200, 61000.0, clOrdLinkID="entry")
    assert venue.engine.cancel(venue.us, [early.order_id])[0].error == ""
    venue.engine.cancel(venue.us, [entry.order_id])
    assert held.ord_status == "Canceled"
    free = venue.place(venue.us, -200, 61000.0, clOrdLinkID="entry")
    assert free.working


def test_waiting_orders_stand_in_the_order_in_which_they_fire() -> None:
    triggers, orders = Triggers(), {}
    for name, side, stop in [("b", "Buy", 110), ("a", "Buy", 105), ("c", "Buy", 105),
                             ("y", "Sell", 90), ("x", "Sell", 95)]:  # fmt: skip
        orders[name] = Order(name, 1, "XBTUSD", side, 1, None, ord_type="Stop", stop_ticks=stop)
        triggers.add(orders[name])

    def fired(mark: int) -> list[str]:
        out = []
        prices = dict.fromkeys(("MarkPrice", "LastPrice", "IndexPrice"), Price(mark, mark))
        while order := triggers.due(prices, mark, mark):
            triggers.remove(order)
            out.append(order.order_id)
        return out

    assert fired(100) == []
    assert fired(96) == []
    assert fired(95) == ["x"]
    assert fired(108) == ["a", "c"]
    triggers.remove(orders["b"])
    assert fired(1) == ["y"]
    assert len(triggers) == 0


ACTION = st.tuples(
    st.sampled_from(["place", "place", "stop", "amend", "cancel", "market", "index", "sleep"]),
    st.integers(0, 2),
    st.sampled_from(["", "ReduceOnly", "Close", "LastPrice", "IndexPrice,ReduceOnly"]),
    st.sampled_from([None, "Day", "ImmediateOrCancel"]),
    st.sampled_from([None, 0, 1, 2]),
    st.sampled_from([{}, {}, OCO, OTO, {"clOrdLinkID": "entry"}]),
    st.integers(-12, 12),
    st.integers(1, 6),
)


@settings(max_examples=80, deadline=None)
@given(st.lists(ACTION, max_size=60), st.sampled_from([XBTUSD, ETHUSD]))
def test_stops_and_hidden_orders_keep_the_books_balanced(
    actions: list[tuple[str, int, str, str | None, int | None, dict[str, str], int, int]],
    spec: Instrument,
) -> None:
    venue = Venue(spec)
    engine, market = venue.engine, venue.engine.liquidity(spec.symbol)
    accounts = [venue.us, venue.them, engine.open_account(3_000_000).number]
    middle = spec.grid().nearest(spec.start_price)
    for what, who, inst, lifetime, display, link, offset, lots in actions:
        account, qty = accounts[who], lots * spec.lot_size
        side, price = ("Buy" if offset < 0 else "Sell"), spec.grid().price(middle + offset)
        fields: dict[str, Any] = {"side": "Buy" if (offset + lots) % 2 else "Sell"}
        fields |= {"timeInForce": lifetime, "execInst": inst, **link}
        open_orders = [o for o in engine.orders(account) if o.leaves_qty]
        try:
            if what == "place":
                shown = None if display is None else display * spec.lot_size
                venue.place(account, qty, price, displayQty=shown, **fields)
            elif what == "stop":
                kind = ("Stop", "StopLimit", "MarketIfTouched", "LimitIfTouched")[lots % 4]
                venue.place(account, qty, price, stopPx=price, ordType=kind, **fields)
            elif what == "amend" and engine.orders(account):
                venue.amend(engine.orders(account)[-1 - lots % 2], price=price, leavesQty=qty)
            elif what == "cancel":
                engine.cancel(account, [o.order_id for o in open_orders[:1]])
            elif what == "market":
                market.take(side, qty, middle - offset)
                market.resize(side, middle + offset, qty)
                engine.cancel(account)
            elif what == "index":
                venue.set_index(price)
            else:
                venue.clock.sleep(lots * 400.0)
        except (Refused, IndexError):
            pass
        check(engine, spec.symbol, accounts)
    ids = [e.exec_id for e in venue.events if isinstance(e, OrderEvent)]
    assert len(set(ids)) == len(ids)
    firsts = [e.order.order_id for e in venue.events if isinstance(e, OrderEvent) and e.is_first]
    assert len(set(firsts)) == len(firsts)


def check(engine: Engine, symbol: str, accounts: list[int]) -> None:
    """What must hold after every operation."""
    assert engine.imbalance_sat() == 0
    bids, asks = engine.book(symbol)
    if bids and asks:
        assert bids[0].price_ticks < asks[0].price_ticks
    orders = [order for account in accounts for order in engine.orders(account)]
    assert len({order.order_id for order in orders}) == len(orders)
    shown = {"Buy": sum(level.size for level in bids), "Sell": sum(level.size for level in asks)}
    for account in accounts:
        row = engine.position_row(account, symbol)
        for order in engine.orders(account):
            waits = is_waiting(order)
            assert order.working == (order.leaves_qty > 0 and not waits)
            if order.leaves_qty:
                assert order.order_qty == order.cum_qty + order.leaves_qty
                assert order.ord_status in ("New", "PartiallyFilled")
            if order.working and "ReduceOnly" in order.exec_inst:
                sign = -1 if order.side == "Buy" else 1
                assert order.leaves_qty <= sign * row["currentQty"]
        for side in ("Buy", "Sell"):
            working = [o for o in engine.orders(account) if o.side == side and o.working]
            assert row[f"openOrder{side}Qty"] == sum(o.leaves_qty for o in working)
            shown[side] -= sum(min(o.leaves_qty, _display(o)) for o in working)
    assert all(size >= 0 for size in shown.values()), "more is shown than the orders display"


def _display(order: Order) -> int:
    """The least of an open order that must be on display: a tip may have traded in part."""
    return 0 if order.display_qty is not None else order.leaves_qty
