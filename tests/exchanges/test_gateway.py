"""The one door to the exchange, with the exchange itself behind it and a wire that may fail."""

import logging
import math
from collections.abc import Callable
from typing import Any

import pytest

from market_maker.exchanges.base import ExchangeError, Status
from market_maker.exchanges.desk import Desk
from market_maker.model.rows import Row
from market_maker.model.ticks import PriceGrid
from market_maker.model.wire import Answer, Disconnected, Request
from tests.doubles import StillMarket, Wire, refusal
from tests.world import World

LOST = Answer(0, None, {}, error="timed out")
UNREACHED = Answer(0, None, {}, sent=False, error="connection refused")


class Door:
    """A desk on a still exchange; `wire` stands between them."""

    def __init__(self, profile: str = "classic", **settings: Any) -> None:
        self.market = StillMarket()
        self.world = World(self.market)
        self.wire = Wire()
        self.settings = self.world.settings(**settings)
        self.desk: Desk = self.world.desk(self.settings, profile, self.wire)
        self.desk.open()
        self.gateway, self.state = self.desk.gateway, self.desk.state

    def place(self, *orders: tuple[float, float], **extra: Any) -> Any:
        """Orders by (price, signed size)."""
        return self.gateway.place(
            [
                {
                    "price": price,
                    "orderQty": abs(qty),
                    "side": "Buy" if qty > 0 else "Sell",
                    **extra,
                }
                for price, qty in orders
            ]
        )

    def fail(self, verb: str, answer: Answer, *, arrives: bool = False, times: int = 99) -> None:
        """Answer so to *verb*; with *arrives* the exchange does act on the request."""
        left = iter(range(times))

        def script(request: Request) -> Answer | None:
            if request.path == "/order/cancelAllAfter" or request.verb != verb:
                return None
            if next(left, None) is None:
                return None
            if arrives:
                self.wire._transport.send([request])
            return answer

        self.wire.script = script

    def heal(self) -> None:
        self.wire.script = lambda request: None

    def resting(self) -> list[tuple[str, int]]:
        return [(order.side, order.leaves_qty) for order in self.world.open_orders()]

    def exposed(self) -> tuple[float, float]:
        return self.state.orders.exposed("Buy"), self.state.orders.exposed("Sell")


@pytest.fixture
def door() -> Door:
    return Door()


def statuses(results: Any) -> list[Status]:
    return [result.status for result in results]


# -- what is written into the rows ------------------------------------------------------


def test_a_create_writes_symbol_and_an_id_of_ours_into_the_callers_rows(door: Door) -> None:
    orders: list[Row] = [{"price": 59_000, "orderQty": 100, "side": "Buy"} for _ in range(2)]
    door.gateway.place(orders)
    assert {order["symbol"] for order in orders} == {"XBTUSD"}
    ids = [order["clOrdID"] for order in orders]
    assert len(set(ids)) == 2
    assert all(i.startswith("mm_bitmex_") and len(i) == len("mm_bitmex_") + 22 for i in ids)


def test_an_id_of_the_strategys_own_is_kept_and_is_ours(door: Door) -> None:
    door.place((59_000, 100), clOrdID="my own 1")
    assert door.gateway.is_ours("my own 1")
    assert not door.gateway.is_ours("somebody else's")
    assert [row["clOrdID"] for row in door.state.orders.open_orders()] == ["my own 1"]
    assert len(door.gateway.cancel_own()) == 1
    assert door.resting() == []


def test_everything_else_in_a_row_goes_out_as_given(door: Door) -> None:
    door.fail("POST", refusal(400, "Unsupported ordType"))
    door.gateway.place(
        [{"orderQty": -100, "ordType": "Stop", "stopPx": 58_000, "execInst": "Close", "text": "x"}]
    )
    (row,) = door.wire.orders()
    del row["clOrdID"]
    assert row == {
        "symbol": "XBTUSD",
        "orderQty": -100,
        "ordType": "Stop",
        "stopPx": 58_000,
        "execInst": "Close",
        "text": "x",
    }


# -- refused before anything is sent ----------------------------------------------------


@pytest.mark.parametrize(
    ("fields", "reason"),
    [
        ({"price": 59_000.25}, "no multiple of the tick size"),
        ({"price": math.nan}, "no multiple of the tick size"),
        ({"price": math.inf}, "no multiple of the tick size"),
        ({"price": -1}, "no multiple of the tick size"),
        ({"price": 0}, "no multiple of the tick size"),
        ({"price": "59000"}, "no multiple of the tick size"),
        ({"stopPx": 0.3}, "stopPx 0.3 is no multiple"),
        ({"orderQty": 150}, "no multiple of the lot size"),
        ({"orderQty": 0}, "no multiple of the lot size"),
        ({"orderQty": math.nan}, "no multiple of the lot size"),
        ({"orderQty": 10_100}, "above MAX_POSITION"),
        ({"orderQty": -10_100, "side": None}, "below MIN_POSITION"),
    ],
    ids=str,
)
def test_what_no_exchange_would_take_is_never_sent(door: Door, fields: Row, reason: str) -> None:
    good: Row = {"price": 59_000, "orderQty": 100, "side": "Buy"}
    refused, accepted = door.gateway.place([{**good, **fields}, dict(good)])
    assert (refused.status, refused.row["ordStatus"]) == (Status.REJECTED, "Rejected")
    assert reason in refused.text
    assert refused.row["text"] == refused.row["ordRejReason"] == refused.text
    assert accepted.status is Status.OK
    assert door.resting() == [("Buy", 100)]


def test_limits_count_position_and_all_that_rests() -> None:
    door = Door(MAX_POSITION=1000, MIN_POSITION=-300)
    door.world.engine.place(door.world.account.number, {"symbol": "XBTUSD", "orderQty": 400})
    assert statuses(door.place((59_000, 400), (58_000, 300), (57_000, 200))) == [
        Status.OK,
        Status.REJECTED,
        Status.OK,
    ]
    assert statuses(door.place((61_000, -700), (62_000, -100))) == [Status.OK, Status.REJECTED]


@pytest.mark.parametrize(("side", "most", "least"), [("Buy", 400, -1000), ("Sell", 1000, -400)])
def test_where_position_and_fills_differ_the_harmful_one_bounds_each_side(
    side: str, most: int, least: int
) -> None:
    door = Door(MAX_POSITION=1000, MIN_POSITION=-1000)
    fill = {"orderID": "o", "clOrdID": "mm_bitmex_", "side": side, "cumQty": 600}
    door.state.orders.count_fill(fill)  # and no row of the position tells of it yet
    for qty in (most + 100, least - 100):
        assert statuses(door.place((59_000 if qty > 0 else 61_000, qty))) == [Status.REJECTED]
    assert statuses(door.place((59_000, most), (61_000, least))) == [Status.OK, Status.OK]


def test_an_amend_counts_by_what_it_adds() -> None:
    door = Door(MAX_POSITION=1000)
    (placed,) = door.place((59_000, 600))
    amend = {"orderID": placed.row["orderID"]}
    assert statuses(door.gateway.amend([{**amend, "orderQty": 1100}])) == [Status.REJECTED]
    assert statuses(door.gateway.amend([{**amend, "orderQty": 1000}])) == [Status.OK]
    assert statuses(door.gateway.amend([{**amend, "price": 59_000.3}])) == [Status.REJECTED]
    assert door.resting() == [("Buy", 1000)]


def test_an_order_that_only_reduces_passes_the_limits() -> None:
    door = Door(MAX_POSITION=0, MIN_POSITION=0)
    door.world.engine.place(door.world.account.number, {"symbol": "XBTUSD", "orderQty": 400})
    (result,) = door.place((61_000, -400), execInst="ReduceOnly")
    assert result.status is Status.OK


def test_the_amend_of_an_order_that_is_gone_reads_invalid_ordstatus(door: Door) -> None:
    (result,) = door.gateway.amend([{"orderID": "gone", "price": 59_000}])
    assert (result.status, result.text) == (Status.REJECTED, "Invalid ordStatus")
    assert door.wire.sent("PUT") == []


@pytest.mark.parametrize("profile", ["classic", "last"])
def test_the_exchanges_own_word_for_it_is_passed_on(profile: str) -> None:
    door = Door(profile)
    (placed,) = door.place((60_000, 100))
    door.desk.connector.stream._sink = None  # the fill is not told
    door.market.take("Sell", 50_100, 59_900)
    door.world.clock.sleep(0.1)
    (result,) = door.gateway.amend([{"orderID": placed.row["orderID"], "price": 59_000}])
    assert result.status is Status.REJECTED
    assert result.text.startswith("Invalid ordStatus")


# -- outcomes that nobody knows ---------------------------------------------------------


@pytest.mark.parametrize("arrives", [True, False])
@pytest.mark.parametrize("answer", [LOST, Answer(503, "<html>", {}), refusal(500, "oops")], ids=str)
def test_a_create_without_an_answer_counts_as_live_until_it_is_settled(
    door: Door, answer: Answer, arrives: bool
) -> None:
    door.fail("POST", answer, arrives=arrives)
    door.desk.connector.stream._sink = None  # nor does the stream tell
    assert statuses(door.place((59_000, 300))) == [Status.UNKNOWN]
    door.heal()
    assert door.exposed() == (300, 0)
    assert [row["price"] for row in door.state.orders.unproven()] == [59_000]

    again, beside = door.place((59_000, 300), (58_000, 100))
    assert (again.status, beside.status) == (Status.REJECTED, Status.OK)
    assert "may be live already" in again.text

    door.gateway.settle_unknown()
    assert door.exposed() == (400, 0), "too early to tell"
    for _ in range(2):
        door.world.clock.sleep(7)
        door.gateway.settle_unknown()
    assert door.exposed() == ((400, 0) if arrives else (100, 0))
    assert door.state.orders.unproven() == []
    assert len(door.resting()) == (2 if arrives else 1)


def test_absence_is_proven_only_by_the_second_look(door: Door) -> None:
    door.fail("POST", LOST)
    door.place((59_000, 300))
    door.heal()
    door.world.clock.sleep(7)
    door.gateway.settle_unknown()
    door.gateway.settle_unknown()
    assert door.exposed() == (300, 0)
    door.world.clock.sleep(0.6)
    door.gateway.settle_unknown()
    assert door.exposed() == (0, 0)


def test_it_is_asked_for_only_once_its_request_can_arrive_no_more_by_any_clock(door: Door) -> None:
    door.fail("POST", LOST)
    door.place((59_000, 300))
    door.heal()
    asked = len(door.wire.sent("GET"))
    door.world.clock.sleep(door.desk.connector.caps.request_expiry_s + 0.9)
    door.gateway.settle_unknown()
    assert len(door.wire.sent("GET")) == asked, "its clock may be a second behind ours"
    door.world.clock.sleep(0.2)
    door.gateway.settle_unknown()
    assert len(door.wire.sent("GET")) == asked + 1


def test_the_stream_settles_an_unknown_create_at_once(door: Door) -> None:
    door.fail("POST", LOST, arrives=True)
    door.place((59_000, 300))
    door.state.drain()
    assert door.state.orders.unproven() == []
    assert door.exposed() == (300, 0)


def test_nothing_is_ever_sent_again_by_itself(door: Door) -> None:
    door.fail("POST", LOST, times=1)
    door.place((59_000, 300))
    for _ in range(3):
        door.world.clock.sleep(7)
        door.gateway.settle_unknown()
    posts = [r for r in door.wire.sent("POST") if r.path != "/order/cancelAllAfter"]
    assert len(posts) == 1


def test_an_order_that_cannot_be_written_down_leaves_no_trace(door: Door) -> None:
    with pytest.raises(TypeError):
        door.place((59_000, 100), text=object())
    assert door.exposed() == (0, 0)
    assert door.wire.orders() == []


def test_an_order_whose_amend_is_refused_is_looked_up_at_once(door: Door) -> None:
    (placed,) = door.place((59_000, 300))
    stream: Any = door.desk.connector
    stream.stream._sink = lambda event: None  # nobody tells that it goes
    door.world.engine.cancel(door.world.account.number, [placed.row["orderID"]])
    change = {"orderID": placed.row["orderID"], "orderQty": 200}
    assert statuses(door.gateway.amend([change])) == [Status.REJECTED]
    door.gateway.settle_unknown()
    assert door.exposed() == (0, 0)


def test_an_answer_that_tells_of_another_order_is_none(door: Door) -> None:
    (other,) = door.place((58_000, 200))
    door.fail("POST", Answer(200, other.row, {}))
    door.place((59_000, 300))
    door.heal()
    assert door.exposed() == (500, 0), "the new one may have arrived"
    for _ in range(2):
        door.world.clock.sleep(7)
        door.gateway.settle_unknown()
    assert door.exposed() == (200, 0), "it has not"


@pytest.mark.parametrize("arrives", [False, True])
def test_an_action_that_breaks_off_is_one_without_an_answer(door: Door, arrives: bool) -> None:
    def breaks(request: Request) -> Answer:
        if arrives:
            door.wire._transport.send([request])
        raise ExchangeError(0, "no answer")

    (old,) = door.place((58_000, 100))
    door.wire.script = lambda r: breaks(r) if r.verb in ("POST", "PUT") else None
    with pytest.raises(ExchangeError):
        door.place((59_000, 200))
    with pytest.raises(ExchangeError):
        door.gateway.amend([{"orderID": old.row["orderID"], "orderQty": 300}])
    assert door.exposed()[0] == 500
    door.heal()
    door.world.clock.sleep(7)
    door.gateway.settle_unknown()
    door.world.clock.sleep(1)
    door.gateway.settle_unknown()
    assert door.exposed()[0] == (500 if arrives else 100)
    door.gateway.cancel_own()
    assert door.resting() == []


def test_an_amend_without_an_answer_counts_at_its_larger_size(door: Door) -> None:
    (placed,) = door.place((59_000, 300))
    door.fail("PUT", LOST)
    change = {"orderID": placed.row["orderID"], "orderQty": 800}
    assert statuses(door.gateway.amend([change])) == [Status.UNKNOWN]
    door.heal()
    assert door.exposed() == (800, 0)
    assert statuses(door.gateway.amend([change])) == [Status.REJECTED]
    door.world.clock.sleep(7)
    door.gateway.settle_unknown()
    assert door.exposed() == (300, 0)


@pytest.mark.parametrize(
    "answer", [UNREACHED, refusal(429, "Rate limit exceeded"), refusal(503, "overloaded")], ids=str
)
def test_what_was_not_sent_leaves_no_trace_and_may_be_tried_again(
    door: Door, answer: Answer
) -> None:
    door.fail("POST", answer)
    assert statuses(door.place((59_000, 300))) == [Status.NOT_SENT]
    door.heal()
    assert door.exposed() == (0, 0)
    door.world.clock.sleep(1)
    assert statuses(door.place((59_000, 300))) == [Status.OK]


def test_a_refusal_of_the_exchange_leaves_no_trace(door: Door) -> None:
    door.fail("POST", refusal(400, "Account has insufficient Available Balance, 5 XBt required"))
    (result,) = door.place((59_000, 300))
    assert result.status is Status.REJECTED
    assert "insufficient" in result.text
    assert door.exposed() == (0, 0)


def test_too_many_requests_hold_everything_back_for_as_long_as_asked(door: Door) -> None:
    door.fail("POST", refusal(429, "Rate limit exceeded", retry_after="20"), times=1)
    door.place((59_000, 300))
    door.heal()
    posts = len(door.wire.orders())
    door.world.clock.sleep(18)
    assert statuses(door.place((59_000, 300))) == [Status.NOT_SENT]
    assert len(door.wire.orders()) == posts
    door.world.clock.sleep(2)
    assert statuses(door.place((59_000, 300))) == [Status.OK]


def test_so_does_an_answer_without_that_header_whose_meaning_is_to_wait(door: Door) -> None:
    door.fail("POST", refusal(503, "The system is currently overloaded"), times=1)
    door.place((59_000, 300))
    assert statuses(door.place((58_000, 300))) == [Status.NOT_SENT]
    door.world.clock.sleep(0.5)
    assert statuses(door.place((58_000, 300))) == [Status.OK]


@pytest.mark.parametrize(("bulk", "left"), [(False, 3), ("auto", 2)])
def test_no_more_requests_go_out_within_a_second_than_the_exchange_lets(
    bulk: bool | str, left: int
) -> None:
    door = Door("last", ORDER_BULK=bulk)  # where "auto" finds no bulk calls, and has asked once
    sent = []
    for first in (59_000, 58_000, 57_000):
        results = door.place(*[(first - n, 100) for n in range(6)])
        sent.append(statuses(results).count(Status.OK))
    assert sent == [6, left, 0]  # of ten, with the one that armed the switch
    door.world.clock.sleep(1)
    assert statuses(door.place(*[(57_000 - n, 100) for n in range(6)])) == [Status.OK] * 6


def test_single_calls_of_a_script_wait_for_their_second(
    door: Door, monkeypatch: pytest.MonkeyPatch
) -> None:
    clock, began_s = door.world.clock, door.world.clock.now()
    sleep = clock.sleep
    monkeypatch.setattr(clock, "sleep", lambda s: sleep(s + 1e-4))  # never too short, as real ones
    for n in range(25):
        assert statuses(door.place((59_000 - n, 100))) == [Status.OK]
    assert 1.5 < clock.now() - began_s < 1.7


def test_the_price_of_a_post_only_order_that_would_have_taken_is_held_back(door: Door) -> None:
    door.place((60_000.5, 100), execInst="ParticipateDoNotInitiate")
    wanted: list[Row] = [{"side": "Buy", "price": 60_000.5}]
    grid, now_s = PriceGrid.of(0.5), door.world.clock.monotonic()
    assert door.gateway.hold.step_back(wanted, grid, now_s) == [{"side": "Buy", "price": 60_000.0}]


@pytest.mark.parametrize("status", [401, 403])
def test_a_refused_key_ends_all_creating(
    door: Door, status: int, caplog: pytest.LogCaptureFixture
) -> None:
    door.fail("POST", refusal(status, "Access Denied"))
    door.place((59_000, 300))
    assert "refused" not in caplog.text  # the line that ends the run says it
    door.heal()
    assert "refuses our orders" in door.gateway.outbox.fatal
    (result,) = door.place((58_000, 300))
    assert result.status is Status.REJECTED
    assert door.resting() == []


def test_answers_are_believed_before_the_stream_tells(door: Door) -> None:
    door.desk.connector.stream._sink = None
    (placed,) = door.place((59_000, 300))
    order_id = placed.row["orderID"]
    assert [row["orderQty"] for row in door.state.orders.open_orders()] == [300]
    door.gateway.amend([{"orderID": order_id, "orderQty": 500, "price": 58_000}])
    (row,) = door.state.orders.open_orders()
    assert (row["orderQty"], row["price"]) == (500, 58_000)
    door.gateway.cancel([order_id])
    assert door.state.orders.open_orders() == []


# -- own quotes never meet --------------------------------------------------------------


def test_without_an_atomic_batch_the_side_that_moves_away_goes_first() -> None:
    door = Door("last")
    rows = [r.row for r in door.place((59_990, 100), (60_010, -100))]
    buy, sell = (row["orderID"] for row in rows)
    door.wire.requests.clear()
    door.gateway.amend([{"orderID": buy, "price": 60_020}, {"orderID": sell, "price": 60_050}])
    assert [row["orderID"] for row in door.wire.orders("PUT")] == [sell, buy]


def test_the_second_phase_is_on_its_way_before_the_first_is_noted_as_done() -> None:
    door = Door("last")
    buy, sell = (r.row["orderID"] for r in door.place((59_990, 100), (60_010, -100)))
    order: list[str] = []
    journal, amend = door.desk.journal, door.desk.connector.amend
    settle = journal.settle
    journal.settle = lambda *of: (order.append("noted"), settle(*of))[1]  # type: ignore[func-returns-value, method-assign]
    door.desk.connector.amend = lambda rows: (order.append("sent"), amend(rows))[1]  # type: ignore[func-returns-value, method-assign]
    door.gateway.amend([{"orderID": buy, "price": 60_020}, {"orderID": sell, "price": 60_050}])
    assert order == ["sent", "sent", "noted"]
    assert journal.unsettled() == []


def test_if_the_first_phase_has_no_answer_the_second_waits() -> None:
    door = Door("last")
    rows = [r.row for r in door.place((59_990, 100), (60_010, -100))]
    buy, sell = (row["orderID"] for row in rows)
    door.fail("PUT", LOST)
    results = door.gateway.amend(
        [{"orderID": buy, "price": 60_020}, {"orderID": sell, "price": 60_050}]
    )
    assert statuses(results) == [Status.NOT_SENT, Status.UNKNOWN]
    assert len(door.wire.sent("PUT")) == 1


# -- pull, release, cancel --------------------------------------------------------------


def test_pulled_quotes_are_cancelled_and_none_goes_out_until_released(door: Door) -> None:
    door.place((59_000, 100), (61_000, -100))
    door.gateway.pull("the market is closed")
    assert door.resting() == []
    (result,) = door.place((59_000, 100))
    assert "the market is closed" in result.text
    assert result.status is Status.REJECTED
    door.gateway.release()
    assert statuses(door.place((59_000, 100))) == [Status.OK]


def test_a_pull_that_did_not_arrive_is_repeated(door: Door) -> None:
    door.place((59_000, 100))
    door.fail("DELETE", UNREACHED, times=1)
    door.gateway.pull("x")
    assert len(door.resting()) == 1
    door.gateway.pull("x")
    assert door.resting() == []


def test_nothing_but_a_reduction_goes_out_as_one(door: Door) -> None:
    door.gateway.stop()
    with pytest.raises(ValueError, match="may enlarge"):
        door.gateway.reduce({"side": "Buy", "orderQty": 100, "price": 59_000.0})
    assert door.wire.orders() == []


def test_what_an_answer_says_of_the_rate_limit_is_believed(door: Door) -> None:
    assert door.gateway.budget.take()
    door.wire.script = lambda request: Answer(200, [], {"x-ratelimit-remaining": "0"})
    door.desk.connector.fetch_open_orders()
    assert not door.gateway.budget.take()


def test_cancels_pass_when_the_budget_for_quotes_is_spent(door: Door) -> None:
    (placed,) = door.place((59_000, 100))
    while door.desk.gateway.budget.take(1):
        pass
    assert statuses(door.place((58_000, 100))) == [Status.NOT_SENT]
    assert statuses(door.gateway.cancel([placed.row["orderID"]])) == [Status.OK]


def test_cancelling_a_filled_order_shows_how_it_ended(door: Door) -> None:
    (placed,) = door.place((60_000, 100))
    door.desk.connector.stream._sink = None  # the fill is not told
    door.market.take("Sell", 50_100, 59_900)
    door.world.clock.sleep(0.1)
    door.gateway.cancel([placed.row["orderID"]])
    assert door.exposed() == (0, 0)
    assert door.state.orders.filled_qty == 100


def test_cancel_own_returns_what_was_there_and_leaves_others_orders(door: Door) -> None:
    theirs = {"symbol": "XBTUSD", "orderQty": 100, "price": 50_000, "clOrdID": "by hand"}
    door.world.engine.place(door.world.account.number, theirs)
    door.place((59_000, 100), (58_000, 200))
    assert sorted(row["orderQty"] for row in door.gateway.cancel_own()) == [100, 200]
    assert door.resting() == [("Buy", 100)]
    assert door.gateway.own_open_orders() == []


FAILURES: dict[str, Callable[[Door], None]] = {
    "cancels get no answer": lambda door: door.fail("DELETE", LOST),
    "cancels are refused": lambda door: door.fail("DELETE", refusal(400, "no")),
    "cancels do not arrive": lambda door: door.fail("DELETE", UNREACHED),
    "the list cannot be read": lambda door: door.fail("GET", LOST),
    "the list is a page": lambda door: door.fail("GET", Answer(200, "<html>", {})),
}


@pytest.mark.parametrize("cause", FAILURES)
def test_cancel_own_raises_when_it_cannot_verify(door: Door, cause: str) -> None:
    door.place((59_000, 100))
    FAILURES[cause](door)
    with pytest.raises(ExchangeError):
        door.gateway.cancel_own()
    # What we know of is cancelled even where the exchange's own list cannot be had.
    assert len(door.resting()) == (0 if cause.startswith("the list") else 1)


def test_cancel_own_outlives_failures_that_pass(door: Door) -> None:
    door.place((59_000, 100))
    door.fail("DELETE", LOST, times=3)
    door.gateway.cancel_own()
    assert door.resting() == []


def test_cancel_own_waits_for_a_create_whose_fate_is_unknown(door: Door) -> None:
    door.fail("POST", LOST)
    door.place((59_000, 100))
    door.heal()
    started = door.world.clock.now()
    door.gateway.cancel_own()
    assert door.world.clock.now() - started > 5, "it could still have arrived"
    assert door.exposed() == (0, 0)


def test_an_order_that_arrives_late_is_found_and_cancelled(door: Door) -> None:
    door.fail("POST", LOST)
    order: Row = {"price": 59_000, "orderQty": 100, "side": "Buy"}
    door.gateway.place([order])
    door.heal()
    door.desk.connector.stream._sink = None
    door.world.engine.place(door.world.account.number, order)
    door.gateway.cancel_own()
    assert door.resting() == []


# -- dry run ----------------------------------------------------------------------------


def test_a_dry_run_sends_nothing_by_any_verb() -> None:
    door = Door(DRY_RUN=True)
    assert statuses(door.place((59_000, 100))) == [Status.NOT_SENT]
    door.gateway.amend([{"orderID": "1", "price": 59_000}])
    door.gateway.cancel(["1"])
    door.gateway.pull("x")
    door.gateway.beat()
    assert [request for request in door.wire.requests if request.verb != "GET"] == []


# -- the dead man's switch --------------------------------------------------------------


def switch(door: Door) -> list[int]:
    """The timeouts that were sent, in milliseconds."""
    sent = [r for r in door.wire.requests if r.path == "/order/cancelAllAfter"]
    return [request.body["timeout"] for request in sent]


def test_the_switch_is_armed_before_the_first_order_and_not_earlier(door: Door) -> None:
    door.gateway.beat()
    assert switch(door) == []
    door.place((59_000, 100))
    posts = [request.path for request in door.wire.sent("POST")]
    assert posts == ["/order/cancelAllAfter", "/order"]
    assert switch(door) == [60_000]


def test_the_switch_is_renewed_at_a_quarter_of_its_time_while_rounds_complete(door: Door) -> None:
    door.place((59_000, 100))
    for _ in range(10):
        door.gateway.beat()
        door.world.clock.sleep(6)
    assert switch(door) == [60_000] * 5
    assert door.resting() == [("Buy", 100)]


@pytest.mark.parametrize("beats", [0, 1])
def test_the_switch_fires_once_no_round_was_finished_for_half_its_time(
    door: Door, beats: int
) -> None:
    door.place((59_000, 100))
    for _ in range(beats):
        door.gateway.beat()
    door.world.clock.sleep(29)
    assert switch(door) == [60_000] * 2, "one slow round does no harm"
    door.world.clock.sleep(45)
    assert door.resting() == [("Buy", 100)]
    door.world.clock.sleep(20)
    assert switch(door) == [60_000] * 3
    assert door.resting() == []


def test_a_loop_that_stands_still_is_told_once_and_again_after_a_round(
    door: Door, caplog: pytest.LogCaptureFixture
) -> None:
    for _ in range(2):
        door.place((59_000, 100))
        door.gateway.beat()
        door.world.clock.sleep(100)
    door.gateway.beat()
    said = [r.message for r in caplog.records if "hangs" in r.message]
    fires = "The dead man's switch fires in 45 s."
    assert said == [f"The strategy hangs: no round for 45 s. {fires}"] * 2


def test_the_switch_is_not_renewed_on_data_that_is_not_fresh(door: Door) -> None:
    door.place((59_000, 100))
    door.state.put(Disconnected(0, "link lost"))
    door.state.drain()
    for _ in range(10):
        door.gateway.beat()
        door.world.clock.sleep(6)
    assert switch(door) == [60_000]


def test_another_bot_of_the_account_keeps_the_switch_armed(door: Door) -> None:
    door.gateway.switch.is_last = lambda: False
    door.place((59_000, 100))
    door.gateway.cancel_own()
    door.gateway.switch.disarm()
    door.world.clock.sleep(70)
    assert switch(door) == [60_000], "neither disarmed nor renewed"


def test_the_switch_is_disarmed_once_nothing_rests(door: Door) -> None:
    door.place((59_000, 100))
    door.gateway.cancel_own()
    door.gateway.switch.disarm()
    assert switch(door)[-1] == 0
    door.gateway.switch.disarm()
    assert len(switch(door)) == 2
    theirs = {"symbol": "XBTUSD", "orderQty": 100, "price": 50_000}
    door.world.engine.place(door.world.account.number, theirs)
    door.world.clock.sleep(100)
    assert len(door.resting()) == 1


def test_nothing_goes_out_while_the_switch_cannot_be_armed(door: Door) -> None:
    door.wire.script = lambda request: LOST if request.path == "/order/cancelAllAfter" else None
    assert statuses(door.place((59_000, 100))) == [Status.NOT_SENT]
    door.heal()
    door.world.clock.sleep(1)
    assert statuses(door.place((59_000, 100))) == [Status.OK]


def test_a_switch_that_has_fired_is_armed_again_before_the_next_order(door: Door) -> None:
    door.place((59_000, 100))
    door.wire.script = lambda request: LOST if request.path == "/order/cancelAllAfter" else None
    for _ in range(7):
        door.world.clock.sleep(10)
        door.gateway.beat()
    assert door.resting() == []
    assert statuses(door.place((58_000, 100))) == [Status.NOT_SENT]
    door.heal()
    door.world.clock.sleep(1)
    assert statuses(door.place((58_000, 100))) == [Status.OK]
    assert switch(door)[-1] == 60_000


def test_a_switch_that_may_have_fired_is_armed_again_before_the_next_order(door: Door) -> None:
    door.place((59_000, 100), (58_000, 100))
    armed = len(switch(door))
    account = door.world.account.number
    door.world.engine.cancel(account, [order.order_id for order in door.world.open_orders()][:1])
    door.place((57_000, 100))
    assert len(switch(door)) == armed + 1, "an order went that nobody of us cancelled"
    door.place((56_000, 100))
    assert len(switch(door)) == armed + 1


def test_a_row_that_came_back_may_be_sent_again_and_is_a_new_order(door: Door) -> None:
    order = {"price": 59_000, "orderQty": 100, "side": "Buy"}
    (first,) = door.gateway.place([order])
    again = {**first.row, "price": 58_000, "leavesQty": 0}
    (second,) = door.gateway.place([again])
    assert second.row["clOrdID"] != first.row["clOrdID"]
    assert len(door.state.orders.open_orders()) == 2


def test_a_strategys_own_client_id_is_refused_while_its_order_lives(door: Door) -> None:
    mine = {"price": 59_000, "orderQty": 100, "side": "Buy", "clOrdID": "mine"}
    assert [r.status for r in door.gateway.place([dict(mine)])] == [Status.OK]
    (refused,) = door.gateway.place([{**mine, "price": 58_000}])
    assert refused.text == "Duplicate clOrdID"
    assert len(door.resting()) == 1
    door.gateway.cancel_own()
    assert [r.status for r in door.gateway.place([dict(mine)])] == [Status.OK]
    assert len(door.state.orders.open_orders()) == 1


@pytest.mark.parametrize("trick", [{"leavesQty": 0}, {"leavesQty": 100}])
def test_no_column_of_a_row_takes_an_order_past_the_limit(trick: dict[str, int]) -> None:
    door = Door(MAX_POSITION=500)
    order = {"price": 59_000, "orderQty": 5_000, "side": "Buy", **trick}
    (result,) = door.gateway.place([order])
    assert result.status is Status.REJECTED
    (small,) = door.place((59_000, 100))
    change = {"orderID": small.row["orderID"], "leavesQty": 50_000}
    (result,) = door.gateway.amend([change])
    assert result.status is Status.REJECTED
    assert door.resting() == [("Buy", 100)]


def test_an_order_that_would_trade_with_our_own_is_refused(door: Door) -> None:
    door.place((60_010, -100))
    (result,) = door.place((60_010, 100))
    assert "our own order" in result.text
    assert door.resting() == [("Sell", 100)]


def test_nor_do_two_of_one_batch_trade_with_each_other(door: Door) -> None:
    first, second = door.place((59_990, 100), (59_990, -100))
    assert first.status is Status.OK
    assert "our own order" in second.text
    assert door.resting() == [("Buy", 100)]


def test_what_stops_stays_stopped_until_it_is_told_to_go_on(door: Door) -> None:
    door.gateway.stop()
    door.gateway.release()
    assert statuses(door.place((59_000, 100))) == [Status.REJECTED]
    door.gateway.go_on()
    assert statuses(door.place((59_000, 100))) == [Status.OK]


def test_without_a_timeout_there_is_no_switch() -> None:
    door = Door(DEADMAN_TIMEOUT=0)
    door.place((59_000, 100))
    door.gateway.beat()
    assert switch(door) == []


# -- the journal ------------------------------------------------------------------------


def test_every_request_is_written_down_before_it_leaves(door: Door) -> None:
    seen: list[list[tuple[str, str]]] = []

    def script(request: Request) -> None:
        if request.verb != "GET" and request.path != "/order/cancelAllAfter":
            seen.append([(e.action, e.state) for e in door.desk.journal.unsettled()])

    door.wire.script = script
    (placed,) = door.place((59_000, 100))
    order_id = placed.row["orderID"]
    door.gateway.amend([{"orderID": order_id, "price": 58_000}])
    door.gateway.cancel([order_id])
    assert seen == [[(action, "NEW")] for action in ("create", "amend", "cancel")]
    assert door.desk.journal.unsettled() == []


def test_what_has_no_answer_stays_open_in_the_journal(door: Door) -> None:
    door.fail("POST", LOST)
    door.place((59_000, 100))
    (entry,) = door.desk.journal.unsettled()
    assert (entry.action, entry.state) == ("create", "UNKNOWN")
    assert entry.expires_at == door.world.clock.now() + 5


# -- limits of single orders ------------------------------------------------------------


@pytest.mark.parametrize(
    ("limit", "price", "qty", "reason"),
    [
        ({"MAX_ORDER_SIZE": 599}, 59_000, 600, "600 contracts are above MAX_ORDER_SIZE"),
        ({"MAX_ORDER_SIZE": 500}, 59_000, -500, ""),
        ({"PRICE_BAND": 0.01}, 59_000, 100, "59000 is -1.7% from the mark price"),
        ({"PRICE_BAND": 0.01}, 61_000, -100, "61000 is +1.7% from the mark price"),
        ({"PRICE_BAND": 0.02}, 59_000, 100, ""),
        ({"PRICE_BAND": None}, 1_000, 100, ""),
    ],
)
def test_an_order_beyond_its_limits_is_refused_new_or_amended(
    limit: dict[str, Any], price: float, qty: float, reason: str
) -> None:
    door = Door(**limit)
    (result,) = door.place((price, qty))
    assert (result.status is Status.REJECTED) == bool(reason)
    assert reason in result.text
    (rests,) = door.place((59_900, 100) if qty > 0 else (60_100, -100))
    change = {"orderID": rests.row["orderID"], "orderQty": abs(qty), "price": price}
    (amended,) = door.gateway.amend([change])
    assert (amended.status is Status.REJECTED) == bool(reason)


def test_no_more_orders_than_allowed_and_what_is_in_doubt_counts() -> None:
    door = Door(MAX_OPEN_ORDERS=3)
    door.fail("POST", LOST, times=1)
    door.place((59_000, 100))
    results = door.place((58_990, 100), (58_980, 100), (58_970, 100))
    assert statuses(results) == [Status.OK, Status.OK, Status.REJECTED]
    assert "MAX_OPEN_ORDERS" in results[2].text
    reduces = {"execInst": "ReduceOnly"}
    assert "MAX_OPEN_ORDERS" not in door.place((59_500, 100), **reduces)[0].text


def test_each_reason_is_said_once_until_it_has_passed(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.WARNING, "root")
    door = Door(MAX_ORDER_SIZE=500, PRICE_BAND=0.1)
    bad = [(59_000, 600), (40_000, 100), (59_000, 700)]
    for _ in range(3):
        door.place(*bad)
    said = [r.getMessage() for r in caplog.records if "refused" in r.getMessage()]
    assert sorted(text[:20] for text in said) == ["1 of 3 orders refuse", "2 of 3 orders refuse"]
    door.place((59_000, 100))
    door.place(bad[1])
    assert sum("PRICE_BAND" in r.getMessage() for r in caplog.records) == 2


def test_a_small_budget_quotes_the_touch_and_says_once_that_the_rest_waits(
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level(logging.WARNING, "root")
    door = Door(ORDER_BULK=False)
    ladder = [(58_000 - 10 * n, 100) for n in range(8)][::-1]
    ladder += [(62_000 + 10 * n, -100) for n in range(8)][::-1]
    for _ in range(3):
        results = door.place(*ladder)
        out = [
            price for (price, _), r in zip(ladder, results, strict=True) if r.status is Status.OK
        ]
        assert sorted(out) == sorted(p for p, _ in ladder if 57_950 < p < 62_050), "nearest first"
        door.gateway.cancel([str(r.row["orderID"]) for r in results if r.status is Status.OK])
        door.world.clock.sleep(5)
    assert [r.getMessage() for r in caplog.records] == [
        "The rate budget is spent for now: 6 of 16 orders wait, those far from the market longest."
    ]
