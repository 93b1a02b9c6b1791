"""A venue that can only be asked, told as a stream: differ, poller, names, replacing."""

from collections.abc import Callable
from dataclasses import replace
from decimal import InvalidOperation
from typing import Any

import pytest

from market_maker.clock import ManualClock
from market_maker.exchanges.base import ExchangeError, Result, Status
from market_maker.exchanges.batches import batches
from market_maker.exchanges.differ import Differ, LocalActions
from market_maker.exchanges.nameless import Ambiguous, Nameless
from market_maker.exchanges.plain import CAPS
from market_maker.exchanges.polled import PolledConnector
from market_maker.exchanges.poller import OVERLAP_S, Poller, time_of
from market_maker.exchanges.reads import Pace
from market_maker.exchanges.throttle import RateBudget
from market_maker.journal import Journal
from market_maker.model.rows import Row
from market_maker.model.wire import Disconnected, Message
from market_maker.simulator.instruments import iso_time
from market_maker.utils.errors import StopTrading

START_S = 1_600_000_000.0
MARKET = {"symbol": "XBTUSD", "bidPrice": 1.0, "askPrice": 2.0, "timestamp": "t"}


def order(order_id: str, left: float = 100, qty: float = 100, at_s: float = START_S) -> Row:
    return {
        "orderID": order_id, "clOrdID": f"mm_{order_id}", "symbol": "XBTUSD", "side": "Buy",
        "price": 1.0, "orderQty": qty, "leavesQty": left, "cumQty": qty - left,
        "ordStatus": "New" if left == qty else "PartiallyFilled", "transactTime": iso_time(at_s),
    }  # fmt: skip


def fill(exec_id: str, order_id: str, qty: float = 50, at_s: float = START_S) -> Row:
    return {
        "execID": exec_id, "orderID": order_id, "symbol": "XBTUSD", "side": "Buy",
        "lastQty": qty, "lastPx": 1.0, "transactTime": iso_time(at_s),
    }  # fmt: skip


class FakeVenue:
    """Says what the test puts into it, and writes down what it was asked."""

    def __init__(self, *, order_lookup: bool = False) -> None:
        self.caps = replace(CAPS, order_lookup=order_lookup)
        self.resting: list[Row] = []
        self.history: list[Row] = []
        self.states: dict[str, Row | None] = {}
        self.asked: list[str] = []
        self.during: Callable[[], None] = lambda: None  # happens while open orders are read
        self.failure: Exception | None = None
        self.sizes = {"Buy": 500, "Sell": 300}  # of the book's levels

    def _ask(self, what: str) -> None:
        self.asked.append(what)
        if self.failure is not None:
            raise self.failure

    def market(self) -> Row:
        self._ask("market")
        return dict(MARKET)

    def trades(self) -> list[Row]:
        self._ask("trades")
        return []

    def book(self) -> list[Row]:
        self._ask("book")
        sides = (("Sell", 60_000.5), ("Buy", 60_000.0))
        return [
            {"symbol": "XBTUSD", "side": side, "price": price, "size": self.sizes[side]}
            for side, price in sides
            if self.sizes[side]
        ]

    def open_orders(self) -> list[Row]:
        self._ask("orders")
        seen = [dict(row) for row in self.resting]
        self.during()
        return seen

    def order(self, order_id: str, cl_ord_id: str = "") -> Row | None:
        self._ask(f"order {order_id}")
        return self.states.get(order_id)

    def fills(self, since_s: float) -> list[Row]:
        self._ask("fills")
        self.since_s = since_s
        return [dict(row) for row in self.history if time_of(row) >= since_s]

    def position(self) -> Row:
        self._ask("position")
        return {"symbol": "XBTUSD", "currentQty": 0}

    def margin(self) -> Row:
        self._ask("margin")
        return {"currency": "XBt"}


class Rig:
    """A poller on a manual clock, and what it has told."""

    def __init__(self, venue: FakeVenue, *, tokens: float = 1000, **pace: float) -> None:
        self.clock = ManualClock(START_S)
        self.venue = venue
        self.differ = Differ("XBTUSD", LocalActions())
        self.budget = RateBudget(self.clock, tokens, 0.001)
        self.poller = Poller(
            venue, self.differ, "XBTUSD", clock=self.clock, budget=self.budget, pace=Pace(**pace)
        )
        self.events: list[Any] = []

    def start(self) -> "Rig":
        self.poller.start(self.events.append)
        self.clock.sleep(0.5)
        return self

    def run(self, seconds: float) -> list[str]:
        """What is asked within *seconds*, but for the market."""
        before = len(self.venue.asked)
        self.clock.sleep(seconds)
        return [what for what in self.venue.asked[before:] if what != "market"]

    def rows(self, table: str, action: str = "") -> list[Row]:
        told = [e.data for e in self.events if isinstance(e, Message)]
        return [
            row
            for data in told
            if data.get("table") == table and action in ("", data["action"])
            for row in data["data"]
        ]


def rig(venue: FakeVenue | None = None, **pace: float) -> Rig:
    return Rig(venue or FakeVenue(), **pace).start()


# -- the differ -------------------------------------------------------------------------------


def test_every_table_begins_with_an_image() -> None:
    told = [e.data["table"] for e in rig().events if isinstance(e, Message)]
    assert told == ["instrument", "quote", "trade", "order", "execution", "position", "margin"]


def test_the_book_is_an_image_first_and_then_what_has_changed() -> None:
    trial = rig(poll_s=1, check_s=100, idle_s=100)
    assert trial.run(1.2) == []
    trial.poller.follow_book()
    assert trial.run(2.2) == ["book", "trades", "book"]
    trial.venue.sizes = {"Buy": 400, "Sell": 0}
    trial.run(1.0)
    trial.venue.sizes = {"Buy": 400, "Sell": 50}
    trial.run(2.0)
    told = [e.data for e in trial.events if isinstance(e, Message)]
    books = [data for data in told if data["table"] == "orderBookL2"]
    seen = [(b["action"], [(r["side"], r["size"]) for r in b["data"]]) for b in books]
    assert seen == [
        ("partial", [("Sell", 300), ("Buy", 500)]),
        ("delete", [("Sell", 300)]),
        ("update", [("Buy", 400)]),
        ("insert", [("Sell", 50)]),
    ]


def test_the_market_is_read_whole_before_any_of_it_is_told_and_the_quote_comes_last() -> None:
    trial = rig(poll_s=1, check_s=100, idle_s=100)
    trial.poller.follow_book()
    trial.run(1.5)
    trial.venue.sizes = {"Buy": 400, "Sell": 300}
    told: list[tuple[str, int]] = []
    asked = len(trial.venue.asked)
    trial.poller._sink = lambda event: told.append((event.data["table"], len(trial.venue.asked)))
    trial.clock.sleep(1)
    assert trial.venue.asked[asked:] == ["market", "book"]
    assert told == [("orderBookL2", asked + 2), ("quote", asked + 2)]


def test_a_connection_begun_anew_tells_the_whole_book_again() -> None:
    trial = rig(poll_s=1, check_s=100, idle_s=100)
    trial.poller.follow_book()
    trial.run(1.5)
    trial.poller.reconnect()
    trial.run(3)
    told = [e.data for e in trial.events if isinstance(e, Message)]
    books = [data["action"] for data in told if data["table"] == "orderBookL2"]
    assert books == ["partial", "partial"]


def test_fills_of_the_same_moment_are_told_each_once() -> None:
    world = rig()
    world.venue.resting = [order("1", left=0)]
    with world.differ.lock:
        world.differ.placed(order("1"))
    world.venue.history = [fill("a", "1"), fill("b", "1")]
    world.run(5)
    assert [(r["execID"], r["cumQty"]) for r in world.rows("execution", "insert")] == [
        ("a", 50),
        ("b", 100),
    ]


def test_a_fill_that_comes_late_into_the_history_is_found_within_the_overlap() -> None:
    world = rig()
    world.differ.placed(order("1", qty=150, left=150))
    world.venue.resting = [order("1", qty=150, left=150)]
    world.venue.history = [fill("b", "1", at_s=START_S + 50)]
    world.run(3)
    world.venue.history.insert(0, fill("a", "1", at_s=START_S + 20))
    world.run(3)
    assert [r["execID"] for r in world.rows("execution", "insert")] == ["b", "a"]
    assert world.venue.since_s == START_S + 50 - OVERLAP_S


def test_the_cursor_survives_a_restart() -> None:
    journal = Journal(":memory:", ManualClock(START_S))
    for number in (1, 2):
        world = Rig(FakeVenue())
        world.poller.cursor = journal
        world.venue.history = [fill("a", "9", at_s=START_S + 30)]
        world.start()
        assert len(world.rows("execution", "partial")) == 1, number
    assert world.venue.since_s == START_S + 30 - OVERLAP_S


def test_an_order_that_disappears_is_not_taken_for_filled() -> None:
    world = rig(idle_s=2.0)
    world.differ.placed(order("1"))
    world.run(2.2)
    assert [r["ordStatus"] for r in world.rows("order")] == []  # a fill may still come
    world.run(3)
    assert [r["ordStatus"] for r in world.rows("order")] == ["Canceled"]


def test_nor_is_it_left_undecided_because_another_fill_comes() -> None:
    world = rig(idle_s=10.0, check_s=0.3)
    for name in "123":
        world.differ.placed(order(name))
    world.venue.resting = [order("2"), order("3")]
    world.run(9.7)
    world.venue.history = [fill("a", "2", 50)]  # found by a check between two looks at the whole
    world.run(3)
    assert [(r["orderID"], r["ordStatus"]) for r in world.rows("order")] == [
        ("2", "PartiallyFilled"),
        ("1", "Canceled"),
    ]


def test_an_order_that_disappears_is_filled_when_its_fills_say_so() -> None:
    world = rig(idle_s=2.0)
    world.differ.placed(order("1"))
    world.venue.history = [fill("a", "1", 100)]
    world.run(5)
    assert world.rows("order")[-1]["ordStatus"] == "Filled"
    assert world.rows("order")[-1]["cumQty"] == 100


def test_an_order_that_disappears_is_looked_up_where_the_venue_can_be_asked() -> None:
    world = rig(FakeVenue(order_lookup=True), idle_s=2.0, check_s=100.0)
    world.differ.placed(order("1"))
    world.venue.states["1"] = {**order("1", left=0), "cumQty": 40, "ordStatus": "Canceled"}
    asked = world.run(5)
    assert "order 1" in asked
    assert (world.rows("order")[-1]["ordStatus"], world.rows("order")[-1]["cumQty"]) == (
        "Canceled",
        40,
    )


def test_an_answer_older_than_our_last_action_on_an_order_is_ignored() -> None:
    world = rig(idle_s=2.0, check_s=100.0)
    # While the list is read without it, the order is placed: the list says nothing of it.
    world.venue.during = lambda: world.differ.placed(order("1"))
    world.run(2.2)
    assert "1" not in world.poller._gone
    world.venue.during = lambda: None
    mark = world.differ.actions.mark()
    with world.differ.actions.on(["1"]):
        assert world.differ.order(order("1", left=50), mark) == []
    assert world.differ.order(order("1", left=50), mark) == []
    assert world.differ.order(order("1", left=50), world.differ.actions.mark()) != []


def test_open_orders_are_read_before_fills_so_that_one_in_between_is_seen() -> None:
    world = rig(idle_s=2.0, check_s=100.0)
    world.differ.placed(order("1"))
    world.venue.resting = [order("1")]

    def trade() -> None:
        world.venue.resting, world.venue.history = [], [fill("a", "1", 100)]

    world.venue.during = trade
    asked = world.run(2.2)
    assert asked.index("orders") < asked.index("fills")
    assert world.rows("order")[-1]["ordStatus"] == "Filled"


def test_so_they_are_at_the_start() -> None:
    world = Rig(FakeVenue())
    world.venue.resting = [order("1")]
    world.venue.during = lambda: world.venue.history.append(fill("a", "1"))
    world.start()
    assert [(r["execID"], r["cumQty"]) for r in world.rows("execution", "partial")] == [("a", 50)]


def test_a_fill_of_an_order_not_heard_of_is_told_with_the_name_that_the_venue_has_for_it() -> None:
    world = rig(FakeVenue(order_lookup=True), idle_s=2.0, check_s=100.0)
    # A create whose answer was lost: filled before anybody has asked for it.
    world.venue.states["1"] = {**order("1", left=0), "ordStatus": "Filled"}
    world.venue.history = [fill("a", "1"), fill("b", "1"), fill("c", "by hand")]
    world.run(5)
    assert [(r["execID"], r["clOrdID"]) for r in world.rows("execution", "insert")] == [
        ("a", "mm_1"),
        ("b", "mm_1"),
        ("c", ""),
    ]
    assert [world.venue.asked.count(f"order {i}") for i in ("1", "by hand")] == [1, 1]


@pytest.mark.parametrize(("qty", "part"), [(0.3, 0.1), (0.001, 1e-6), (3e-8, 1e-8), (0.7, 0.1)])
def test_an_order_is_filled_when_its_last_part_is_whatever_the_sum_of_floats(
    qty: float, part: float
) -> None:
    world = rig(idle_s=2.0, check_s=100.0)
    world.differ.placed(order("1", left=qty, qty=qty))
    parts = round(qty / part)
    world.venue.resting = [order("1", left=qty, qty=qty)]
    world.venue.history = [fill(f"{n:04}", "1", part) for n in range(parts)]
    world.run(5)
    last = world.rows("execution", "insert")[-1]
    assert (last["cumQty"], last["leavesQty"], last["ordStatus"]) == (qty, 0, "Filled")
    assert world.rows("order")[-1]["ordStatus"] == "Filled"


# -- the pace ---------------------------------------------------------------------------------


def test_each_resting_order_is_asked_for_in_turn() -> None:
    world = rig(FakeVenue(order_lookup=True), idle_s=100.0, check_s=2.0)
    for number in "123":
        world.differ.placed(order(number))
        world.venue.states[number] = order(number)
    assert world.run(8.1) == ["order 1", "order 2", "order 3", "order 1"]


def test_a_full_check_comes_after_so_long_without_an_order_event() -> None:
    world = rig(idle_s=4.0, check_s=100.0)
    assert world.run(3.4) == []
    assert world.run(1.0) == ["orders", "fills", "position", "margin", "trades"]
    world.differ.placed(order("1"))
    world.venue.resting, world.venue.history = [order("1", left=50)], [fill("a", "1")]
    world.run(3.0)
    assert world.run(1.0)[:2] == ["orders", "fills"]


def test_a_fill_between_two_full_checks_puts_the_next_one_off() -> None:
    world = rig(idle_s=4.0, check_s=2.5)
    world.differ.placed(order("1"))
    world.venue.resting, world.venue.history = [order("1", left=50)], [fill("a", "1")]
    assert world.run(3.4) == ["fills", "position", "margin"]
    assert world.run(2.0) == ["fills"]
    assert world.run(1.0)[0] == "orders"


@pytest.mark.parametrize("pace", [{}, {"check_s": 1e6, "idle_s": 1e6}], ids=["all", "the market"])
def test_every_read_is_paid_from_the_budget(pace: dict[str, float]) -> None:
    world = Rig(FakeVenue(), tokens=20, **pace).start()
    world.run(600)
    assert len(world.venue.asked) <= 21  # what came back within the time is one token


@pytest.mark.parametrize("what", ["a list", "a fill"])
def test_so_is_each_look_at_an_order_that_is_missing_or_new(what: str) -> None:
    world = rig(FakeVenue(order_lookup=True), poll_s=1e6, check_s=1e6, idle_s=2.0)
    for name in "12345":
        world.venue.states[name] = order(name, left=0)
        if what == "a list":
            world.differ.placed(order(name))
        else:
            world.venue.history.append(fill(f"f{name}", name))
    assert sum(asked.startswith("order ") for asked in world.run(2.0)) == 5
    paid = world.budget.wait_s(1000) * 0.001  # it returns at a thousandth a second
    assert paid > len(world.venue.asked) - 0.01


@pytest.mark.parametrize("pace", [{"check_s": 1.0, "idle_s": 1e6}, {"check_s": 1e6, "idle_s": 1.0}])
@pytest.mark.parametrize("order_lookup", [True, False])
def test_checks_of_both_kinds_are_paid_with_the_fills_they_find(
    pace: dict[str, float], order_lookup: bool
) -> None:
    world = Rig(FakeVenue(order_lookup=order_lookup), tokens=40, poll_s=1e6, **pace).start()
    world.differ.placed(order("1"))
    for number in range(1, 50):  # it is filled a little before each check
        world.venue.states["1"] = order("1", left=100 - number)
        world.venue.resting = [order("1", left=100 - number)]
        world.venue.history.append(fill(f"f{number}", "1", qty=1))
        world.run(1.0)
    assert 20 < len(world.venue.asked) <= 40 + 4  # the last check goes through to its end


def test_late_and_simultaneous_fills_are_booked_once_however_often_they_are_read() -> None:
    journal = Journal(":memory:", ManualClock(START_S))
    late, twins = fill("a", "1", at_s=START_S + 20), ["b", "c"]
    history = [fill(name, "1", at_s=START_S + 50) for name in twins]
    booked: list[str] = []
    for _ in range(2):  # and by the run that follows
        world = Rig(FakeVenue())
        world.poller.cursor, world.venue.history = journal, history
        world.start()
        with world.differ.lock:
            world.differ.placed(order("1", qty=150, left=150))
        world.venue.resting = [order("1", qty=150, left=150)]
        world.run(3)
        if late not in history:
            history.insert(0, late)
        world.run(9)
        told = world.rows("execution")
        assert sorted(row["execID"] for row in told) == ["a", *twins]
        booked += [row["execID"] for row in journal.book_fills(told)]
    assert sorted(booked) == ["a", *twins]


@pytest.mark.parametrize(
    "failure", [ExchangeError(502, "down"), InvalidOperation(), AttributeError("no such thing")]
)
def test_reads_that_fail_lose_the_connection_and_success_brings_images(failure: Exception) -> None:
    world = rig()
    world.venue.failure = failure
    world.run(20)
    assert any(isinstance(e, Disconnected) for e in world.events)
    world.venue.failure = None
    world.run(40)
    images = [
        e.data["table"]
        for e in world.events
        if isinstance(e, Message) and e.data.get("action") == "partial"
    ]
    assert images.count("order") == 2


# -- a venue without client ids ---------------------------------------------------------------


def sent(nameless: Nameless, cl_ord_id: str = "mm_x", price: float = 1.0) -> str:
    return nameless.begin({"clOrdID": cl_ord_id, "price": price, "orderQty": 100}, "Buy")


def test_one_create_is_in_flight_per_side() -> None:
    nameless = Nameless(lambda: START_S, 5.0)
    assert sent(nameless) == ""
    assert sent(nameless, "mm_y") != ""
    assert nameless.begin({"clOrdID": "mm_z", "price": 2.0, "orderQty": 1}, "Sell") == ""
    nameless.settle("Buy", "7")
    assert nameless.named("7") == "mm_x"
    assert sent(nameless, "mm_y") == ""


@pytest.mark.parametrize(
    ("change", "found"),
    [
        ({}, "7"),
        ({"side": "Sell"}, ""),
        ({"price": 1.5}, ""),
        ({"orderQty": 101}, ""),
        ({"transactTime": iso_time(START_S - 60)}, ""),
    ],
)
def test_a_create_without_an_answer_is_matched_by_side_price_size_and_time(
    change: Row, found: str
) -> None:
    nameless = Nameless(lambda: START_S, 5.0)
    sent(nameless)
    assert nameless.find("mm_x", [{**order("7"), **change}], []) == found


def test_it_is_found_by_its_fills_when_it_is_open_no_more() -> None:
    nameless = Nameless(lambda: START_S, 5.0)
    sent(nameless)
    assert nameless.find("mm_x", [], [fill("a", "7"), fill("b", "7")]) == "7"
    assert nameless.named("7") == "mm_x"


def test_a_create_is_absent_once_two_looks_after_its_expiry_have_not_found_it() -> None:
    clock = ManualClock(START_S)
    nameless = Nameless(clock.now, 5.0)
    sent(nameless)
    for wait_s, is_free in [(4.9, False), (0.05, False), (0.1, False), (0.5, True)]:
        clock.sleep(wait_s)
        assert nameless.find("mm_x", [], []) == ""
        assert nameless.is_early(fill("a", "7")) != is_free
    assert sent(nameless, "mm_y") == ""


def test_orders_that_have_a_name_are_no_candidates() -> None:
    nameless = Nameless(lambda: START_S, 5.0)
    nameless.names.name_order("mm_old", "7")
    sent(nameless)
    assert nameless.find("mm_x", [order("7")], []) == ""


def test_two_candidates_are_ambiguous() -> None:
    nameless = Nameless(lambda: START_S, 5.0)
    sent(nameless)
    with pytest.raises(Ambiguous):
        nameless.find("mm_x", [order("7"), order("8")], [])


def test_a_fill_that_may_be_of_a_create_in_flight_waits_for_its_name() -> None:
    nameless = Nameless(lambda: START_S, 5.0)
    sent(nameless)
    assert nameless.is_early(fill("a", "7"))
    nameless.settle("Buy", "7")
    assert not nameless.is_early(fill("a", "7"))


def test_the_next_run_finds_a_create_by_the_journal() -> None:
    clock = ManualClock(START_S)
    journal = Journal(":memory:", clock)
    wire = {"clOrdID": "mm_x", "side": "Buy", "price": 1.0, "orderQty": 100, "symbol": "XBTUSD"}
    journal.record("create", [wire], START_S + 5)
    nameless = Nameless(clock.now, 5.0)
    nameless.names = journal
    assert nameless.find("mm_x", [order("7")], []) == "7"
    assert journal.client_id_of("7") == "mm_x"


def test_the_cursor_waits_for_a_fill_that_has_no_name_yet() -> None:
    rig = Rig(FakeVenue()).start()
    rig.differ.is_early = lambda row: row["orderID"] == "7"
    rig.clock.sleep(300)
    rig.venue.history = [fill("a", "7"), fill("b", "8", at_s=START_S + 290)]
    rig.poller.refresh_fills()
    rig.differ.is_early = lambda _: False
    rig.poller.refresh_fills()
    assert rig.venue.since_s <= START_S
    rig.poller.refresh_fills()
    assert rig.venue.since_s == START_S + 290 - OVERLAP_S


class Mute(FakeVenue):
    """Takes orders, fills them at once, and never answers."""

    name = "mute"

    def place(self, order: Row) -> Result:
        self.history.append(fill("a", "7", order["orderQty"]))
        return Result(Status.UNKNOWN, {})

    def server_offset_s(self) -> float:
        return 0.0


def test_a_create_that_nobody_could_ask_about_for_long_is_found_by_its_fill() -> None:
    clock = ManualClock(START_S)
    connector = PolledConnector(Mute(), "XBTUSD", clock=clock)  # type: ignore[arg-type]
    order = {"clOrdID": "mm_x", "side": "Buy", "price": 1.0, "orderQty": 100}
    connector.place([order])
    clock.sleep(300)
    connector.fetch_order(cl_ord_id="mm_x")
    assert connector.place([order])[0].status is Status.UNKNOWN, "the side is free again"


@pytest.mark.parametrize(("failures", "is_begun"), [(0, True), (3, True), (9, False)])
def test_a_venue_that_stumbles_at_the_start_is_asked_again_for_a_moment(
    failures: int, is_begun: bool
) -> None:
    clock, venue = ManualClock(START_S), Mute()
    left = iter(range(failures))

    def market() -> Row:
        if next(left, None) is not None:
            raise ExchangeError(502, "Bad Gateway")
        return dict(MARKET)

    venue.market = market  # type: ignore[method-assign]
    connector = PolledConnector(venue, "XBTUSD", clock=clock)  # type: ignore[arg-type]
    if is_begun:
        connector.start(lambda _: None)
    else:
        with pytest.raises(StopTrading, match=r"^The exchange says: Bad Gateway$") as told:
            connector.start(lambda _: None)
        assert told.value.exit_code == 1
    assert clock.now_s - START_S <= 4.0


@pytest.mark.parametrize("size", [1, 3, 20])
def test_batches_hold_everything_in_order(size: int) -> None:
    pieces = batches(list(range(41)), size)
    assert [n for piece in pieces for n in piece] == list(range(41))
    assert max(map(len, pieces)) <= size
