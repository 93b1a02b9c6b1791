"""BitMEX's protocol as the connector speaks it: what each answer lets the bot conclude."""

from typing import Any

import pytest

from market_maker.exchanges.base import ExchangeError, Status
from market_maker.exchanges.bitmex import BitMEXConnector, raise_for, result_of, topics
from market_maker.model.wire import Answer
from market_maker.utils.errors import AuthenticationError
from tests.doubles import HandStream, Wire, asked_for, refusal

HTML = "<html><body><h1>503 Service Temporarily Unavailable</h1></body></html>"
OVERLOADED = "The system is currently overloaded. Please try again later."


def connector(wire: Wire, **options: Any) -> BitMEXConnector:
    return BitMEXConnector(wire, HandStream(), "XBTUSD", **options)


def answering(*answers: Answer) -> Wire:
    """A wire that gives these answers in turn."""
    wire, left = Wire(), iter(answers)
    wire.script = lambda request: next(left)
    return wire


def done(**row: Any) -> Answer:
    return Answer(200, {"orderID": "1", "ordStatus": "New", **row}, {})


CLASSES = [
    ("done", done(), Status.OK),
    ("died at entry", done(ordStatus="Canceled"), Status.OK),
    ("rejected in a row", done(ordStatus="Rejected", ordRejReason="no"), Status.REJECTED),
    ("invalid", refusal(400, "Invalid price tickSize"), Status.REJECTED),
    ("no funds", refusal(400, "Account has insufficient Available Balance"), Status.REJECTED),
    ("bad key", refusal(401, "Invalid API Key."), Status.REJECTED),
    ("no right", refusal(403, "Access Denied"), Status.REJECTED),
    ("no such order", refusal(404, "Not Found"), Status.REJECTED),
    ("too often", refusal(429, "Rate limit exceeded", retry_after="7"), Status.NOT_SENT),
    ("overloaded", refusal(503, OVERLOADED), Status.NOT_SENT),
    ("timeout of the engine", refusal(503, "Request timed out"), Status.UNKNOWN),
    ("a page of the load balancer", Answer(503, HTML, {}), Status.UNKNOWN),
    ("bad gateway", Answer(502, HTML, {}), Status.UNKNOWN),
    ("an error of the server", refusal(500, "Internal Server Error"), Status.UNKNOWN),
    ("a page instead of an answer", Answer(200, HTML, {}), Status.UNKNOWN),
    ("a page that says no", Answer(403, HTML, {}), Status.UNKNOWN),
    ("timed out", Answer(0, None, {}, error="timed out"), Status.UNKNOWN),
    ("lost", Answer(0, None, {}, error="connection lost"), Status.UNKNOWN),
    ("refused", Answer(0, None, {}, sent=False, error="connection refused"), Status.NOT_SENT),
]


@pytest.mark.parametrize(
    ("answer", "status"), [c[1:] for c in CLASSES], ids=[c[0] for c in CLASSES]
)
def test_an_answer_is_classed_by_what_may_be_concluded(answer: Answer, status: Status) -> None:
    assert result_of(answer).status is status


@pytest.mark.parametrize(
    ("answer", "status"), [c[1:] for c in CLASSES], ids=[c[0] for c in CLASSES]
)
def test_a_single_create_and_amend_end_alike(answer: Answer, status: Status) -> None:
    venue = connector(answering(answer, answer))
    assert [r.status for r in venue.place([{"orderQty": 1}])] == [status]
    assert [r.status for r in venue.amend([{"orderID": "1"}])] == [status]


@pytest.mark.parametrize(
    ("answer", "wait_s"),
    [
        (refusal(429, "Rate limit exceeded", retry_after="7"), 7.0),
        (refusal(429, "Rate limit exceeded"), None),
        (refusal(429, "Rate limit exceeded", retry_after="Fri, 01 Jan 2027 00:00:00 GMT"), None),
        (refusal(503, OVERLOADED), 0.5),
    ],
)
def test_the_wait_is_the_one_the_exchange_asks_for(answer: Answer, wait_s: float | None) -> None:
    assert result_of(answer).retry_after_s == wait_s


def test_a_batch_goes_as_one_call_and_each_row_has_its_result() -> None:
    rows = [{"orderID": str(i), "ordStatus": "New"} for i in range(3)]
    wire = answering(Answer(200, rows, {}))
    results = connector(wire).place([{"orderQty": i} for i in range(3)])
    assert [(r.status, r.row) for r in results] == [(Status.OK, row) for row in rows]
    (request,) = wire.requests
    assert (request.verb, request.path) == ("POST", "/order/bulk")
    assert request.body == {"orders": [{"orderQty": i} for i in range(3)]}


def test_one_order_goes_as_a_single_call() -> None:
    wire = answering(done())
    connector(wire).amend([{"orderID": "1", "price": 5}])
    (request,) = wire.requests
    assert (request.verb, request.path) == ("PUT", "/order")
    assert request.body == {"orderID": "1", "price": 5}


@pytest.mark.parametrize(
    ("answer", "status"),
    [
        (refusal(400, "Invalid orderQty"), Status.REJECTED),
        (Answer(0, None, {}, error="timed out"), Status.UNKNOWN),
        (refusal(503, OVERLOADED), Status.NOT_SENT),
        (Answer(200, [{"orderID": "1"}], {}), Status.UNKNOWN),  # fewer rows than orders
        (Answer(200, {"orderID": "1"}, {}), Status.UNKNOWN),
    ],
    ids=["refused", "no answer", "overloaded", "a row is missing", "no list"],
)
def test_a_batch_shares_the_outcome_of_its_one_call(answer: Answer, status: Status) -> None:
    results = connector(answering(answer)).place([{}, {}])
    assert [result.status for result in results] == [status, status]


def test_a_missing_bulk_call_is_noticed_once_and_the_batch_goes_singly() -> None:
    wire = answering(refusal(404, "Not Found"), *[done()] * 6)
    venue = connector(wire)
    venue.place([{}, {}])
    venue.amend([{"orderID": "1"}, {"orderID": "2"}])
    venue.place([{}, {}])
    assert [r.path for r in wire.requests] == ["/order/bulk", *["/order"] * 6]


@pytest.mark.parametrize(
    ("bulk", "paths"),
    [(False, ["/order", "/order"]), (True, ["/order/bulk"]), ("auto", ["/order/bulk"])],
)
def test_order_bulk_says_which_call_is_used(bulk: Any, paths: list[str]) -> None:
    rows = Answer(200, [{}, {}], {})
    wire = answering(*([rows] if len(paths) == 1 else [done(), done()]))
    connector(wire, bulk=bulk).place([{}, {}])
    assert [r.path for r in wire.requests] == paths


def test_with_bulk_forced_a_404_is_an_answer_like_any_other() -> None:
    venue = connector(answering(refusal(404, "Not Found")), bulk=True)
    assert [r.status for r in venue.place([{}, {}])] == [Status.REJECTED] * 2


def test_a_batch_is_atomic_only_when_a_bulk_call_is_known_to_exist() -> None:
    venue = connector(answering(Answer(200, [{}, {}], {})))
    assert not venue.caps.atomic_batch
    venue.place([{}, {}])
    assert venue.caps.atomic_batch


def test_cancels_go_as_one_request_and_each_id_has_its_own_result() -> None:
    rows = [
        {"orderID": "b", "error": "Unable to cancel order due to existing state: Filled"},
        {"orderID": "a", "ordStatus": "Canceled"},
    ]
    wire = answering(Answer(200, rows, {}))
    results = connector(wire).cancel(["a", "b", "c"])
    assert [r.status for r in results] == [Status.OK, Status.REJECTED, Status.UNKNOWN]
    assert results[1].text.endswith("Filled")
    (request,) = wire.requests
    assert (request.verb, request.path) == ("DELETE", "/order")
    assert request.body == {"orderID": ["a", "b", "c"]}


@pytest.mark.parametrize(
    ("answer", "status"),
    [
        (refusal(404, "Not Found"), Status.REJECTED),
        (Answer(0, None, {}, error="timed out"), Status.UNKNOWN),
        (refusal(429, "Rate limit exceeded"), Status.NOT_SENT),
        (Answer(503, HTML, {}), Status.UNKNOWN),
    ],
)
def test_a_cancel_that_failed_as_a_whole_says_the_same_of_each_id(
    answer: Answer, status: Status
) -> None:
    results = connector(answering(answer)).cancel(["a", "b"])
    assert [result.status for result in results] == [status, status]


def test_nothing_to_do_sends_nothing() -> None:
    wire = Wire()
    venue = connector(wire)
    assert venue.place([]) == venue.amend([]) == venue.cancel([]) == []
    assert wire.requests == []


def test_open_orders_are_asked_for_by_symbol_and_state() -> None:
    wire = answering(Answer(200, [{"orderID": "1"}], {}))
    assert connector(wire).fetch_open_orders() == [{"orderID": "1"}]
    (request,) = wire.requests
    assert asked_for(request) == {"ordStatus.isTerminated": False, "symbol": "XBTUSD"}
    assert request.query["count"] == 500


@pytest.mark.parametrize(("rows", "found"), [([], None), ([{"orderID": "1"}], {"orderID": "1"})])
def test_one_order_is_found_by_either_id(rows: list[Any], found: Any) -> None:
    wire = answering(*[Answer(200, rows, {})] * 2)
    venue = connector(wire)
    assert venue.fetch_order(order_id="1") == venue.fetch_order(cl_ord_id="x") == found
    assert [asked_for(r) for r in wire.requests] == [
        {"orderID": "1", "symbol": "XBTUSD"},
        {"clOrdID": "x", "symbol": "XBTUSD"},
    ]


def test_a_query_that_fails_raises_and_never_reads_as_no_orders() -> None:
    failures = [
        Answer(0, None, {}, error="timed out"),
        refusal(429, "Rate limit exceeded"),
        Answer(503, HTML, {}),
        Answer(200, HTML, {}),
        refusal(400, "Invalid filter"),
    ]
    for answer in failures:
        with pytest.raises(ExchangeError):
            connector(answering(answer)).fetch_open_orders()


def test_an_error_reads_like_one_of_requests() -> None:
    with pytest.raises(ExchangeError) as caught:
        raise_for(refusal(400, "Invalid ordStatus"))
    assert caught.value.response is not None
    assert caught.value.response.status_code == 400
    assert caught.value.response.json()["error"]["message"] == "Invalid ordStatus"
    with pytest.raises(AuthenticationError):
        raise_for(refusal(401, "Invalid API Key."))


def test_a_page_that_forbids_a_read_tells_nothing_of_the_key() -> None:
    with pytest.raises(AuthenticationError):
        connector(answering(refusal(403, "Access Denied"))).fetch_open_orders()
    with pytest.raises(ExchangeError):
        connector(answering(Answer(403, HTML, {}))).fetch_open_orders()


@pytest.mark.parametrize(("timeout_s", "sent_ms"), [(60.0, 60_000), (None, 0)])
def test_the_dead_mans_switch_speaks_milliseconds(timeout_s: float | None, sent_ms: int) -> None:
    wire = answering(Answer(200, {}, {}))
    assert connector(wire).dead_man(timeout_s)
    (request,) = wire.requests
    assert (request.path, request.body) == ("/order/cancelAllAfter", {"timeout": sent_ms})


def test_the_funds_of_every_currency_are_asked_for() -> None:
    wire = answering(Answer(200, [{"currency": "XBt"}, {"currency": "USDt"}], {}))
    assert [row["currency"] for row in connector(wire).fetch_rows("margin")] == ["XBt", "USDt"]
    assert wire.requests[0].query == {"currency": "all"}  # left out it means XBt alone


def test_a_switch_that_was_not_set_is_no_success() -> None:
    assert not connector(answering(refusal(503, OVERLOADED))).dead_man(60)


def test_the_account_is_followed_only_with_a_key() -> None:
    public = ["instrument:XBTUSD", "quote:XBTUSD", "trade:XBTUSD"]
    assert topics("XBTUSD", False) == public
    assert topics("XBTUSD", True) == [
        *public,
        *("order:XBTUSD", "execution:XBTUSD", "margin", "position"),
    ]


def test_a_topic_is_followed_once_however_often_it_is_asked_for() -> None:
    stream = HandStream()
    venue = BitMEXConnector(Wire(), stream, "XBTUSD")
    for _ in range(3):
        venue.follow("orderBookL2:XBTUSD")
    assert stream.subscribed == ["orderBookL2:XBTUSD"]
