"""OKX's protocol as the connector speaks it: what each answer lets the bot conclude."""

import itertools
from typing import Any

import pytest

from market_maker.exchanges.base import ExchangeError, Status
from market_maker.exchanges.okx_orders import results
from market_maker.exchanges.okx_reads import OkxReads
from market_maker.model.rows import LATE_AMEND
from market_maker.model.wire import Answer, Request
from market_maker.utils.errors import AuthenticationError, NotSupported
from tests.okx_doubles import INSTRUMENT, Desk, item, order, told

# -- what an answer lets us conclude ---------------------------------------------------------------

ITEMS = [
    ("0", Status.OK, ""),
    ("50011", Status.NOT_SENT, "Too Many Requests (50011)"),
    ("50061", Status.NOT_SENT, "x (50061)"),
    ("50004", Status.UNKNOWN, "x (50004)"),
    ("50013", Status.UNKNOWN, "x (50013)"),
    ("50026", Status.UNKNOWN, "x (50026)"),
    ("51008", Status.REJECTED, "Account has insufficient Available Balance"),
    ("51016", Status.REJECTED, "Duplicate clOrdID"),
    ("51400", Status.REJECTED, "Unable to cancel order"),
    ("51503", Status.REJECTED, LATE_AMEND),
    ("51006", Status.REJECTED, "x (51006)"),
    ("50113", Status.REJECTED, "x (50113)"),
]


@pytest.mark.parametrize(("code", "status", "words"), ITEMS)
def test_each_order_of_an_answer_has_its_own_result(code: str, status: Status, words: str) -> None:
    text = "Too Many Requests" if code == "50011" else "x" if code != "0" else ""
    answer = told(item(), item(code, text), code="0" if code == "0" else "2")
    first, second = results(answer, 2, Status.OK)
    assert (first.status, second.status, second.text) == (Status.OK, status, words)
    assert second.retry_after_s == (1.0 if status is Status.NOT_SENT else None)


WHOLES = [
    (told(item(), code="0"), Status.UNKNOWN),  # fewer items than orders
    (told(code="50011", msg="Too Many Requests", status=429), Status.NOT_SENT),
    (told(code="50004", msg="Endpoint request timeout"), Status.UNKNOWN),
    (told(code="50001", msg="Service temporarily unavailable", status=503), Status.UNKNOWN),
    (told(code="50111", msg="Invalid OK-ACCESS-KEY", status=401), Status.REJECTED),
    (told(code="50038", msg="expired"), Status.REJECTED),
    (Answer(502, "<html>", {}), Status.UNKNOWN),
    (Answer(200, "<html>", {}), Status.UNKNOWN),
    (Answer(0, None, {}, error="timed out"), Status.UNKNOWN),
    (Answer(0, None, {}, sent=False, error="connection refused"), Status.NOT_SENT),
]


@pytest.mark.parametrize(("answer", "status"), WHOLES)
def test_an_answer_that_tells_of_no_order_is_said_of_all(answer: Answer, status: Status) -> None:
    wait_s = 1.0 if status is Status.NOT_SENT and answer.sent else None
    found = results(answer, 2, Status.OK)
    assert [(r.status, r.retry_after_s) for r in found] == [(status, wait_s)] * 2


def test_a_refused_key_is_told_as_such_by_the_code_of_one_order() -> None:
    (result,) = results(told(item("50113", "Invalid Sign"), code="1"), 1, Status.OK)
    assert result.answer is not None
    assert result.answer.status == 401


# -- orders ----------------------------------------------------------------------------------------


def test_orders_go_out_in_batches_of_twenty_and_results_keep_their_places() -> None:
    desk, numbers = Desk("rest").up(), itertools.count(1)

    def fill(request: Request) -> Answer:
        many = request.body if isinstance(request.body, list) else [request.body]
        return told(*[item(order_id=str(next(numbers))) for _ in many])

    desk.wire.script = fill
    sent = [order(n) for n in range(45)]
    sent[3]["clOrdID"] = "x" * 36  # does not fit OKX's 32 letters: refused here
    found = desk.connector.place(sent)
    bodies = [r.body for r in desk.wire.sent("POST", "/api/v5/trade/batch-orders")]
    assert [len(body) for body in bodies] == [20, 20, 4]
    assert [r.status for r in found].count(Status.OK) == 44
    assert found[3].status is Status.REJECTED
    assert [r.row["orderID"] for r in found if r.row] == [str(n) for n in range(1, 45)]
    assert found[44].row["clOrdID"] == "mm_bitmex_44"


def test_an_acknowledged_amend_or_cancel_is_only_a_promise() -> None:
    desk = Desk("rest").up()
    desk.wire.script = lambda r: told(item())
    assert desk.connector.amend([{"orderID": "77", "price": 1.0}])[0].status is Status.ACCEPTED
    assert desk.connector.cancel(["77"])[0].status is Status.ACCEPTED


@pytest.mark.parametrize(
    ("seconds", "wire"), [(60.0, "60"), (5.0, "10"), (600, "120"), (None, "0")]
)
def test_the_switch_is_in_whole_seconds_and_for_our_own_tag(seconds: Any, wire: str) -> None:
    desk = Desk("rest")
    desk.wire.script = lambda r: told({"triggerTime": "0"})
    assert desk.connector.dead_man(seconds)
    (request,) = desk.wire.sent("POST", "/api/v5/trade/cancel-all-after")
    assert request.body == {"timeOut": wire, "tag": desk.connector.ids.tag}


# -- queries ---------------------------------------------------------------------------------------


def test_open_orders_are_read_page_by_page() -> None:
    desk = Desk("rest")

    def pages(request: Request) -> Answer:
        if request.path.endswith("instruments"):
            return told(INSTRUMENT)
        first = int((request.query or {}).get("after", 250)) - 1
        numbers = range(first, max(0, first - 100), -1)
        return told(*[{"ordId": str(n), "state": "live", "sz": "1", "px": "1"} for n in numbers])

    desk.wire.script = pages
    found = [row["orderID"] for row in desk.connector.fetch_open_orders()]
    assert found == [str(n) for n in range(249, 0, -1)]


def test_a_look_back_asks_once_for_each_page_of_fills() -> None:
    asked: list[Any] = []
    newest = itertools.count(249)  # one more with every question, which moves no page

    def pages(request: Request) -> Answer:
        asked.append(cursor := (request.query or {}).get("after"))
        last = next(newest)
        first = last if cursor is None else int(cursor) - 1
        return told(*[{"billId": str(n)} for n in range(first, max(0, first - 100), -1)])

    reads = OkxReads(pages, "XBTUSD")
    found = [row["billId"] for start in (0, 100, 200) for row in reads.past_fills(start)]
    assert found == [str(n) for n in range(249, 0, -1)]
    assert asked == [None, "150", "50"]
    assert reads.past_fills(0)[0]["billId"] == "252", "each look back begins anew"
    assert reads.past_fills(150)[0]["billId"] == "102", "and any start is reached"


def test_an_order_the_venue_does_not_know_is_none() -> None:
    desk = Desk("rest")
    desk.wire.script = lambda r: told(INSTRUMENT) if "instruments" in r.path else told(code="51603")
    assert desk.connector.fetch_order(order_id="5") is None
    assert desk.connector.fetch_order(cl_ord_id="mm_bitmex_1") is None


def test_an_instrument_the_venue_does_not_know_proves_nothing_of_an_order() -> None:
    desk = Desk("rest")
    unknown = told(code="51001", msg="Instrument ID does not exist")
    desk.wire.script = lambda r: told(INSTRUMENT) if "instruments" in r.path else unknown
    for named in ({"order_id": "5"}, {"cl_ord_id": "mm_bitmex_1"}):
        with pytest.raises(ExchangeError, match="Instrument ID does not exist"):
            desk.connector.fetch_order(**named)


@pytest.mark.parametrize(
    ("answer", "error"),
    [
        (told(code="50111", msg="Invalid OK-ACCESS-KEY", status=401), AuthenticationError),
        (told(code="50105", msg="OK-ACCESS-PASSPHRASE incorrect", status=401), AuthenticationError),
        (told(code="50035", msg="not your region", status=403), AuthenticationError),
        (told(code="50026", msg="System error"), ExchangeError),
        (Answer(200, {"code": "0", "data": {}}, {}), ExchangeError),
        (Answer(0, None, {}, error="timed out"), ExchangeError),
        (Answer(200, "<html>", {}), ExchangeError),
    ],
)
def test_a_query_that_fails_raises_in_the_exchanges_words(answer: Answer, error: type) -> None:
    desk = Desk("rest")
    desk.wire.script = lambda r: answer
    with pytest.raises(error):
        desk.connector.fetch_open_orders()


@pytest.mark.parametrize(
    ("verb", "path"), [("POST", "/order"), ("GET", "/user"), ("GET", "/quote/bucketed")]
)
def test_what_the_venue_has_not_is_refused_in_one_line(verb: str, path: str) -> None:
    with pytest.raises(NotSupported, match=r"^OKX has no [^\n]+$"):
        Desk("rest").connector.call(verb, path)


def test_bitmex_reads_of_the_market_are_translated() -> None:
    connector = Desk("rest").connector
    (quote,) = connector.call("GET", "/quote").body
    assert (quote["bidPrice"], quote["askSize"]) == (59_999.9, 700)
    (row,) = connector.call("GET", "instrument").body
    assert (row["symbol"], row["lotSize"], row["markPrice"]) == ("XBTUSD", 100, 60_000.1)
