"""Binance's protocol as the connector speaks it: what each answer lets the bot conclude."""

from collections.abc import Mapping
from decimal import Decimal
from typing import Any

import pytest

from market_maker.auth.binance import BinanceSigner
from market_maker.clock import ManualClock
from market_maker.exchanges.base import ExchangeError, Result, Status
from market_maker.exchanges.binance_calls import Call, FrameCalls, Limits, RestCalls
from market_maker.exchanges.binance_feed import BinanceFeed
from market_maker.exchanges.binance_orders import order_params, refusal
from market_maker.exchanges.binance_reads import BinanceReads, ServerTime
from market_maker.exchanges.binance_replace import Replacer
from market_maker.exchanges.binance_tables import BinanceTables
from market_maker.exchanges.chains import BINANCE, Chains
from market_maker.exchanges.client_ids import ClientIds
from market_maker.model.rows import LATE_AMEND, POST_ONLY, WOULD_TAKE, Row
from market_maker.model.wire import Answer, Message, Ready
from market_maker.utils.errors import AuthenticationError
from tests.exchanges.test_binance_rows import market

HTML = "<html>Forbidden</html>"


def no(code: int, msg: str = "x", status: int = 400, **headers: str) -> Answer:
    return Answer(status, {"code": code, "msg": msg}, headers)


REFUSALS = [
    (no(-2010, "Order would immediately match and take."), Status.REJECTED, WOULD_TAKE),
    (no(-2010, "Account has insufficient balance for requested action."), Status.REJECTED,
     "Account has insufficient Available Balance"),
    (no(-2010, "Duplicate order sent."), Status.REJECTED, "Duplicate clOrdID"),
    (no(-2011, "Unknown order sent."), Status.REJECTED, "Unable to cancel order"),
    (no(-1013, "Filter failure: NOTIONAL"), Status.REJECTED, "Filter failure: NOTIONAL (-1013)"),
    (no(-1021, "outside of the recvWindow"), Status.NOT_SENT, "outside of the recvWindow (-1021)"),
    (no(-1015, "Too many new orders", 429), Status.NOT_SENT, "Too many new orders (-1015)"),
    (no(-1003, "banned", 418), Status.NOT_SENT, "banned (-1003)"),
    (no(-1006, "unexpected"), Status.UNKNOWN, "unexpected (-1006)"),
    (no(-1007, "Timeout"), Status.UNKNOWN, "Timeout (-1007)"),
    (no(-1000, "unknown", 500), Status.UNKNOWN, "unknown (-1000)"),
    (no(-2010, "told of a failure", 503), Status.UNKNOWN, "told of a failure (-2010)"),
    (Answer(502, HTML, {}), Status.UNKNOWN, "HTTP 502"),
    (Answer(200, HTML, {}), Status.UNKNOWN, "HTTP 200"),
    (Answer(403, HTML, {}), Status.NOT_SENT, "HTTP 403"),
    (Answer(401, HTML, {}), Status.UNKNOWN, "HTTP 401"),
    (Answer(401, {}, {}), Status.REJECTED, "HTTP 401"),
    (Answer(0, None, {}, error="timed out"), Status.UNKNOWN, "timed out"),
    (Answer(0, None, {}, sent=False, error="connection refused"), Status.NOT_SENT,
     "connection refused"),
]  # fmt: skip


@pytest.mark.parametrize(("answer", "status", "words"), REFUSALS)
def test_what_an_answer_lets_us_conclude(answer: Answer, status: Status, words: str) -> None:
    judged = refusal(answer, {"execInst": POST_ONLY})
    assert (judged.status, judged.text) == (status, words)


@pytest.mark.parametrize("code", [-2014, -2015, -1022])
def test_a_refused_key_is_told_as_such(code: int) -> None:
    judged = refusal(no(code))
    assert judged.answer is not None
    assert judged.answer.status == 401


def test_the_firewall_is_no_verdict_on_the_key_and_a_ban_says_how_long() -> None:
    judged = refusal(Answer(403, HTML, {}))
    assert judged.answer is not None
    assert judged.answer.status not in (401, 403)
    assert refusal(no(-1003, "x", 418, **{"retry-after": "120"})).retry_after_s == 120.0


def test_post_only_goes_out_as_limit_maker_and_a_lifetime_with_a_plain_limit() -> None:
    order = {"orderQty": -0.1, "price": 60_000.0, "execInst": POST_ONLY}
    wire = order_params(order, market(), "id1", Decimal("0.1"))
    assert (wire["type"], wire["side"], "timeInForce" in wire) == ("LIMIT_MAKER", "SELL", False)
    wire = order_params({**order, "execInst": ""}, market(), "id1", Decimal("0.1"))
    assert (wire["type"], wire["timeInForce"], wire["price"]) == ("LIMIT", "GTC", "60000.00")
    wire = order_params({"orderQty": 0.1}, market(), "id1", Decimal("0.1"))
    assert (wire["type"], "price" in wire) == ("MARKET", False)


# -- frames ----------------------------------------------------------------------------------------


class Desk:
    """Frames that go out, and a clock; `answer` is told of each as it is sent."""

    def __init__(self) -> None:
        self.sent: list[Row] = []
        self.clock = ManualClock()
        self.answer: Any = lambda frame: None
        signer = BinanceSigner("k", "s", self.clock.now)
        self.calls = FrameCalls(self._send, signer, Limits(), self.clock, 7.0)

    def _send(self, frame: Mapping[str, Any]) -> None:
        self.sent.append(dict(frame))
        self.answer(frame)


def yes(frame: Mapping[str, Any], result: Any = None) -> Row:
    counts = [{"rateLimitType": "ORDERS", "interval": "SECOND", "intervalNum": 10, "count": 44}]
    return {"id": frame["id"], "status": 200, "result": result or {}, "rateLimits": counts}


def test_answers_find_their_requests_whatever_their_order() -> None:
    desk = Desk()

    def both(frame: Mapping[str, Any]) -> None:
        if len(desk.sent) == 2:
            desk.calls.reply(yes(desk.sent[1], {"n": 2}))
            desk.calls.reply(yes(desk.sent[0], {"n": 1}))

    desk.answer = both
    first, second = desk.calls.send([Call("order.place"), Call("order.cancel")]) or []
    assert (first.body, second.body) == ({"n": 1}, {"n": 2})
    assert first.headers["x-ratelimit-remaining"] == "6"
    ids = [frame["id"] for frame in desk.sent]
    assert len(set(ids)) == 2
    assert all(len(number) == 24 for number in ids)


def test_a_late_a_repeated_and_a_foreign_answer_change_nothing() -> None:
    desk = Desk()
    (late,) = desk.calls.send([Call("order.place")]) or []
    assert (late.status, late.sent, late.error) == (0, True, "timed out")
    assert desk.calls.reply(yes(desk.sent[0])) is False  # late
    assert desk.calls.reply({"id": "guessed", "status": 200, "result": {}}) is False
    repeated: list[bool] = []
    desk.answer = lambda f: repeated.extend([desk.calls.reply(yes(f)), desk.calls.reply(yes(f))])
    assert desk.calls.send([Call("time")])
    assert repeated == [True, False]


def test_a_lost_connection_leaves_what_was_outstanding_unknown_at_once() -> None:
    desk = Desk()
    desk.answer = lambda frame: desk.calls.lost()
    (answer,) = desk.calls.send([Call("order.place")]) or []
    assert (answer.sent, answer.error) == (True, "the stream was lost")
    assert desk.clock.now() == ManualClock().now()
    assert refusal(answer).status is Status.UNKNOWN


def test_without_a_connection_nothing_was_sent_and_another_way_may_be_taken() -> None:
    desk = Desk()

    def refuse(frame: Mapping[str, Any]) -> None:
        raise ConnectionError

    desk.answer = refuse
    assert desk.calls.send([Call("order.place")]) is None


def test_a_bot_hears_the_account_that_another_on_its_socket_has_subscribed() -> None:
    desk = Desk()
    tables = BinanceTables(market(), Chains(ClientIds("mm_"), lambda: 1.0, BINANCE), "7")
    feed = BinanceFeed({}, tables, list, desk.calls)
    feed._hear("private", Ready(0))
    error = {"code": -2035, "msg": "User Data Stream subscription already active."}
    feed._note(Message(0, {}), {"id": desk.sent[0]["id"], "status": 400, "error": error})
    assert feed._is_whole()


def test_a_ban_over_the_socket_says_when_to_come_back() -> None:
    desk = Desk()
    data = {"serverTime": 1000, "retryAfter": 31_000}
    error = {"code": -1003, "msg": "Way too much request weight used", "data": data}
    desk.answer = lambda f: desk.calls.reply({"id": f["id"], "status": 418, "error": error})
    (answer,) = desk.calls.send([Call("order.place")]) or []
    assert refusal(answer).retry_after_s == 30.0


def test_what_was_used_of_the_limits_is_told_to_the_budget_over_rest_too() -> None:
    class Wire:
        def send(self, requests: Any) -> list[Answer]:
            self.requests = requests
            told = {"x-mbx-used-weight-1m": "5990", "x-mbx-order-count-10s": "3"}
            return [Answer(200, {}, told) for _ in requests]

    wire = Wire()
    rest = RestCalls(wire, BinanceSigner("k", "s", lambda: 1.0), Limits())  # type: ignore[arg-type]
    (answer,) = rest.send([Call("order.status", {"symbol": "BTCUSDT"})])
    assert answer.headers["x-ratelimit-remaining"] == "10"
    (request,) = wire.requests
    assert (request.verb, request.path) == ("GET", "/api/v3/order")
    assert list(request.query)[-1] == "signature"


# -- an amend --------------------------------------------------------------------------------------


class Amending:
    """A replacer whose one order rests; *answers* are given to its calls in turn."""

    def __init__(self, *answers: Answer, filled: str = "0") -> None:
        self.calls: list[Call] = []
        self._answers = list(answers)
        self.ids = ClientIds("mm_")
        self.chains = Chains(self.ids, lambda: 1.0, BINANCE)
        self.tables = BinanceTables(market(), self.chains, "7")
        self.order_id = self.chains.order_id_of("mm_a")
        self.first_id = self.chains.first_id("mm_a")
        self.told(self.first_id, "NEW" if filled == "0" else "PARTIALLY_FILLED", filled)
        self.replacer = Replacer(self._send, self.tables, self.chains)

    def told(self, wire_id: str, status: str, filled: str = "0", qty: str = "0.2") -> Row:
        raw = {
            "orderId": 5, "clientOrderId": wire_id, "type": "LIMIT_MAKER", "side": "BUY",
            "price": "60000.00", "origQty": qty, "executedQty": filled, "status": status,
            "updateTime": 1, "cummulativeQuoteQty": "0", "timeInForce": "GTC",
        }  # fmt: skip
        self.row = self.tables.order_row(raw)
        return raw

    def amend(self, qty: float = 0.2, price: float = 59_000.0) -> Result:
        change = {"orderID": self.order_id, "orderQty": qty, "price": price, "side": "Buy"}
        (result,) = self.replacer.amend([change])
        return result

    def _send(self, calls: Any) -> list[Answer]:
        self.calls += calls
        answers = [self._answers.pop(0) for _ in calls]
        for call, answer in zip(calls, answers, strict=True):
            fill_in(answer.body, call.params)
        return answers


def fill_in(body: Any, params: Mapping[str, str]) -> None:
    """Write the ids of the request into its answer."""
    if isinstance(body, dict):
        for part in (body, body.get("newOrderResponse")):
            if isinstance(part, dict) and part.get("clientOrderId") == "NEW":
                part["clientOrderId"] = params["newClientOrderId"]
        for value in list(body.values()):
            fill_in(value, params)


def raw(status: str, name: str, filled: str = "0", qty: str = "0.2") -> Row:
    return {
        "clientOrderId": name, "type": "LIMIT_MAKER", "side": "BUY", "price": "59000.00",
        "origQty": qty, "executedQty": filled, "status": status, "timeInForce": "GTC",
        "transactTime": 2, "cummulativeQuoteQty": "0",
    }  # fmt: skip


def both(cancel: str, cancel_told: Any, new: str, new_told: Any) -> Row:
    return {
        "cancelResult": cancel, "cancelResponse": cancel_told,
        "newOrderResult": new, "newOrderResponse": new_told,
    }  # fmt: skip


def test_an_order_that_has_not_traded_is_replaced_in_one_request_and_keeps_its_id() -> None:
    gone = {**raw("CANCELED", "by"), "origClientOrderId": "OLD"}
    desk = Amending(Answer(200, both("SUCCESS", gone, "SUCCESS", raw("NEW", "NEW")), {}))
    result = desk.amend()
    (call,) = desk.calls
    assert call.method == "order.cancelReplace"
    assert call.params["cancelReplaceMode"] == "STOP_ON_FAILURE"
    assert call.params["cancelRestrictions"] == "ONLY_NEW"
    assert call.params["cancelOrigClientOrderId"] == desk.first_id
    assert call.params["type"] == "LIMIT_MAKER"
    assert len(call.params["newClientOrderId"]) <= 36
    assert (result.status, result.row["orderID"]) == (Status.OK, desk.order_id)
    assert (result.row["price"], result.row["leavesQty"]) == (59_000.0, 0.2)
    assert desk.told(desk.first_id, "CANCELED")
    assert desk.row is None  # the end of what it was before is no end


def test_a_new_order_that_was_refused_means_that_the_old_one_is_gone() -> None:
    gone = {**raw("CANCELED", "by"), "origClientOrderId": ""}
    taking = {"code": -2010, "msg": "Order would immediately match and take."}
    body = {"code": -2021, "msg": "Order cancel-replace partially failed."}
    desk = Amending(Answer(409, {**body, "data": both("SUCCESS", gone, "FAILURE", taking)}, {}))
    gone["origClientOrderId"] = desk.first_id
    result = desk.amend()
    assert (result.status, result.text) == (Status.REJECTED, WOULD_TAKE)
    assert (result.row["ordStatus"], result.row["orderID"]) == ("Canceled", desk.order_id)


@pytest.mark.parametrize("words", ["Unknown order sent."])
def test_an_amend_of_what_is_gone_reads_as_it_always_did(words: str) -> None:
    told = {"code": -2011, "msg": words}
    body = {"code": -2022, "msg": "x", "data": both("FAILURE", told, "NOT_ATTEMPTED", None)}
    result = Amending(Answer(400, body, {})).amend()
    assert (result.status, result.text) == (Status.REJECTED, LATE_AMEND)


def restricted() -> Answer:
    told = {"code": -2011, "msg": "Order was not canceled due to cancel restrictions."}
    body = {"code": -2022, "msg": "x", "data": both("FAILURE", told, "NOT_ATTEMPTED", None)}
    return Answer(400, body, {})


@pytest.mark.parametrize("is_known", [True, False])
def test_a_partly_filled_order_is_cancelled_and_then_its_rest_is_entered(is_known: bool) -> None:
    gone = {**raw("CANCELED", "by", filled="0.05"), "origClientOrderId": ""}
    steps = [Answer(200, gone, {}), Answer(200, raw("NEW", "NEW", qty="0.15"), {})]
    desk = Amending(*steps, filled="0.05") if is_known else Amending(restricted(), *steps)
    gone["origClientOrderId"] = desk.first_id
    result = desk.amend()
    methods = [call.method for call in desk.calls]
    assert methods[-2:] == ["order.cancel", "order.place"]
    assert desk.calls[-1].params["quantity"] == "0.15000"
    assert (result.status, result.row["orderID"]) == (Status.OK, desk.order_id)
    assert (result.row["orderQty"], result.row["cumQty"]) == (0.2, 0.05)
    assert (result.row["leavesQty"], result.row["ordStatus"]) == (0.15, "PartiallyFilled")


def test_the_rest_is_not_entered_before_the_cancel_is_confirmed() -> None:
    desk = Amending(Answer(0, None, {}, error="timed out"), filled="0.05")
    result = desk.amend()
    assert [call.method for call in desk.calls] == ["order.cancel"]
    assert result.status is Status.UNKNOWN


def test_a_rest_below_the_least_size_ends_the_order() -> None:
    gone = {**raw("CANCELED", "by", filled="0.19999"), "origClientOrderId": ""}
    desk = Amending(restricted(), Answer(200, gone, {}))
    gone["origClientOrderId"] = desk.first_id
    result = desk.amend()
    assert (result.row["ordStatus"], result.row["cumQty"]) == ("Canceled", 0.19999)
    assert [call.method for call in desk.calls] == ["order.cancelReplace", "order.cancel"]


def test_without_an_answer_both_ids_stay_and_either_may_be_found() -> None:
    desk = Amending(Answer(0, None, {}, error="timed out"))
    assert desk.amend().status is Status.UNKNOWN
    new_id, old_id = desk.chains.ids(desk.order_id)
    assert (old_id, new_id) == (desk.first_id, desk.calls[0].params["newClientOrderId"])
    desk.told(desk.first_id, "CANCELED")
    assert desk.row is None
    desk.told(new_id, "NEW")
    assert desk.row is not None
    assert (desk.row["orderID"], desk.row["ordStatus"]) == (desk.order_id, "New")


def test_missed_fills_are_read_page_by_page_though_many_are_of_one_moment() -> None:
    asked: list[Mapping[str, str]] = []

    def send(calls: Any) -> list[Answer]:
        params = calls[0].params
        asked.append(params)
        first = int(params.get("fromId", 1))
        rows = [{"id": number, "time": 7} for number in range(first, min(first + 1000, 2501))]
        return [Answer(200, rows, {})]

    reads = BinanceReads(send, "BTCUSDT", Limits(), ServerTime(ManualClock()))
    assert [row["id"] for row in reads.fills(startTime="7")] == list(range(1, 2501))
    assert [params.get("fromId") for params in asked] == [None, "1001", "2001"]
    assert len(reads.fills()) == 1000  # the latest are one page


@pytest.mark.parametrize(("body", "error"), [({}, AuthenticationError), (HTML, ExchangeError)])
def test_a_page_that_answers_a_read_tells_nothing_of_the_key(body: Any, error: type) -> None:
    time = ServerTime(ManualClock())
    reads = BinanceReads(lambda _: [Answer(401, body, {})], "BTCUSDT", Limits(), time)
    with pytest.raises(error):
        reads.open_orders()


def test_no_client_id_is_made_twice() -> None:
    desk = Amending()
    names = set()
    for _ in range(50):
        names.add(desk.chains.begin_replace(desk.order_id))
        desk.chains.end_replace(desk.order_id)
    assert len(names) == 50
    assert all(desk.chains.order_id(name) == desk.order_id for name in names)


def test_an_amend_of_an_unknown_order_is_late() -> None:
    desk = Amending()
    (result,) = desk.replacer.amend([{"orderID": "nobody", "price": 1.0}])
    assert (result.status, result.text) == (Status.REJECTED, LATE_AMEND)
