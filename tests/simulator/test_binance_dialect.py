"""Binance's language over the engine: signatures, times, limits, and the real shapes of errors."""

from collections.abc import Mapping
from typing import Any
from urllib.parse import urlencode

import pytest

from market_maker.auth.binance import BinanceSigner
from market_maker.clock import ManualClock
from market_maker.model.wire import Answer, Request
from market_maker.simulator.dialects.binance import refused, signature
from market_maker.simulator.dialects.binance_desk import BinanceError
from market_maker.simulator.dialects.binance_dialect import BinanceDialect
from market_maker.simulator.dialects.binance_rows import BTCUSDT
from market_maker.simulator.dialects.binance_session import ApiSession, PublicSession
from market_maker.simulator.exchange import Engine


class Venue:
    """A client that signs for itself."""

    def __init__(self) -> None:
        self.clock = ManualClock(1_700_000_000.0)
        self.engine = Engine(self.clock, [BTCUSDT], seed=1)
        self.account = self.engine.open_account()
        self.dialect = BinanceDialect(self.engine)
        self.signer = BinanceSigner(self.account.key, self.account.secret, self.clock.now)

    def ask(self, verb: str, path: str, **params: str) -> Answer:
        query = urlencode(self.signer.query(params))
        return self.call(verb, path, query, "", self.account.key)

    def call(self, verb: str, path: str, query: str, body: str, key: str) -> Answer:
        try:
            read = self.dialect.api.read(verb, f"/api/v3{path}", query, body, key)
        except BinanceError as error:
            return refused(error)
        return self.dialect.handle(Request(verb, f"/api/v3{path}", read.params), read.account)

    def order(self, **params: str) -> Answer:
        base = {
            "symbol": "BTCUSDT", "side": "BUY", "type": "LIMIT", "timeInForce": "GTC",
            "quantity": "0.001", "price": "60000",
        }  # fmt: skip
        wanted = {name: v for name, v in (base | params).items() if v}
        return self.ask("POST", "/order", **wanted)


def code(answer: Answer) -> tuple[int, int]:
    return answer.status, answer.body["code"]


def test_what_is_signed_is_what_is_sent_in_its_order_body_included() -> None:
    venue = Venue()
    stamp = int(venue.clock.now() * 1000)
    query, body = "symbol=BTCUSDT&side=BUY&type=LIMIT", "timeInForce=GTC&quantity=1&price=100"
    query += f"&recvWindow=5000&timestamp={stamp}"
    signed = signature(venue.account.secret, query + body)
    answer = venue.call("POST", "/order", query, f"{body}&signature={signed}", venue.account.key)
    assert (answer.status, answer.body["status"]) == (200, "NEW")
    wrong = f"{body}&signature={signed[:-1]}x"
    assert code(venue.call("POST", "/order", query, wrong, venue.account.key)) == (400, -1022)


@pytest.mark.parametrize(
    ("behind_ms", "window", "expected"),
    [
        (0, "5000", 200),
        (4999, "5000", 200),
        (5001, "5000", -1021),
        (-999, "5000", 200),
        (-1000, "5000", -1021),
        (0, "60001", -1131),
        (5001, "60000", 200),
    ],
)
def test_a_request_must_be_in_time(behind_ms: int, window: str, expected: int) -> None:
    venue = Venue()
    stamp = int(venue.clock.now() * 1000) - behind_ms
    query = f"recvWindow={window}&timestamp={stamp}"
    query += f"&signature={signature(venue.account.secret, query)}"
    answer = venue.call("GET", "/account", query, "", venue.account.key)
    assert (answer.status if answer.status == 200 else answer.body["code"]) == expected


def test_keys_that_are_missing_unknown_or_disabled_are_refused() -> None:
    venue = Venue()
    query = urlencode(venue.signer.query({}))
    assert code(venue.call("GET", "/account", query, "", "")) == (401, -2014)
    assert code(venue.call("GET", "/account", query, "", "nobody")) == (401, -2015)
    venue.engine.disable_key(venue.account.key)
    assert code(venue.call("GET", "/account", query, "", venue.account.key)) == (401, -2015)


@pytest.mark.parametrize(
    ("params", "expected"),
    [
        ({"symbol": "XYZ"}, -1121),
        ({"symbol": ""}, -1102),
        ({"side": "HOLD"}, -1117),
        ({"type": "STOP"}, -1116),
        ({"timeInForce": ""}, -1102),
        ({"timeInForce": "DAY"}, -1115),
        ({"type": "LIMIT_MAKER"}, -1106),
        ({"quantity": "abc"}, -1100),
        ({"quantity": "0.0000015"}, -1013),
        ({"price": "60000.3"}, -1013),
        ({"quantity": "0.00001"}, -1013),  # worth less than 5 USDT
        ({"quantity": "2"}, -2010),  # more than there is to pay with
        ({"newClientOrderId": "bad!id"}, -1100),
        ({"newClientOrderId": "x" * 37}, -1100),
    ],
)
def test_an_order_that_cannot_be_is_refused_with_the_right_code(
    params: Mapping[str, str], expected: int
) -> None:
    assert code(Venue().order(**params)) == (400, expected)


def test_a_client_id_is_refused_only_while_an_open_order_bears_it() -> None:
    venue = Venue()
    assert venue.order(newClientOrderId="a/b:C.1").status == 200
    again = venue.order(newClientOrderId="a/b:C.1")
    assert (code(again), again.body["msg"]) == ((400, -2010), "Duplicate order sent.")
    assert (
        venue.ask("DELETE", "/order", symbol="BTCUSDT", origClientOrderId="a/b:C.1").status == 200
    )
    assert venue.order(newClientOrderId="a/b:C.1").status == 200


def test_a_limit_maker_that_would_take_is_rejected() -> None:
    venue = Venue()
    venue.order(side="SELL", price="60000")
    told = venue.order(type="LIMIT_MAKER", timeInForce="", price="60000")
    assert (code(told), told.body["msg"]) == (
        (400, -2010), "Order would immediately match and take.",
    )  # fmt: skip
    assert venue.order(type="LIMIT_MAKER", timeInForce="", price="59999.5").status == 200


def replace(venue: Venue, old: str, **params: str) -> Answer:
    base = {
        "symbol": "BTCUSDT", "side": "BUY", "type": "LIMIT", "timeInForce": "GTC",
        "quantity": "0.001", "price": "50000", "cancelReplaceMode": "STOP_ON_FAILURE",
        "cancelOrigClientOrderId": old, "newClientOrderId": "new",
    }  # fmt: skip
    return venue.ask("POST", "/order/cancelReplace", **(base | params))


def test_a_cancel_replace_tells_both_results() -> None:
    venue = Venue()
    venue.order(newClientOrderId="old", price="50000")
    done = replace(venue, "old", newOrderRespType="RESULT")
    assert done.status == 200
    assert done.body["cancelResponse"]["origClientOrderId"] == "old"
    assert done.body["newOrderResponse"]["clientOrderId"] == "new"
    failed = replace(venue, "old")
    assert code(failed) == (400, -2022)
    assert failed.body["data"]["newOrderResult"] == "NOT_ATTEMPTED"
    assert failed.body["data"]["cancelResponse"]["code"] == -2011
    partly = replace(venue, "new", quantity="3", newClientOrderId="n2")
    assert code(partly) == (409, -2021)
    assert partly.body["data"]["cancelResult"] == "SUCCESS"
    assert partly.body["data"]["newOrderResponse"]["code"] == -2010
    assert venue.ask("GET", "/openOrders", symbol="BTCUSDT").body == []


def test_only_new_leaves_an_order_that_has_traded() -> None:
    venue = Venue()
    venue.order(newClientOrderId="old", quantity="0.002")
    venue.order(side="SELL", quantity="0.001")
    told = replace(venue, "old", cancelRestrictions="ONLY_NEW")
    assert "cancel restrictions" in told.body["data"]["cancelResponse"]["msg"]
    (row,) = venue.ask("GET", "/openOrders", symbol="BTCUSDT").body
    assert (row["clientOrderId"], row["status"]) == ("old", "PARTIALLY_FILLED")


def test_weights_are_counted_and_too_much_is_turned_away_and_then_banned() -> None:
    venue = Venue()
    first = venue.ask("GET", "/account")
    assert first.headers["x-mbx-used-weight-1m"] == "20"
    for _ in range(299):
        assert venue.ask("GET", "/account").status == 200
    told = venue.ask("GET", "/account")
    assert code(told) == (429, -1003)
    assert 0 < int(told.headers["retry-after"]) <= 60
    for _ in range(25):
        told = venue.ask("GET", "/account")
    assert told.status == 418
    assert int(told.headers["retry-after"]) > 60
    venue.clock.sleep(181)
    assert venue.ask("GET", "/account").status == 200


def test_orders_are_counted_in_ten_seconds() -> None:
    venue = Venue()
    for number in range(50):
        told = venue.order(price=str(40_000 + number))
        assert told.headers["x-mbx-order-count-10s"] == str(number + 1)
    assert code(venue.order(price="39000")) == (429, -1015)
    venue.clock.sleep(10)
    assert venue.order(price="39000").status == 200


# -- sockets ---------------------------------------------------------------------------------------


def test_the_websocket_api_answers_by_id_and_tells_of_the_account_when_subscribed() -> None:
    venue = Venue()
    session, answers = ApiSession(venue.dialect), []
    session.begin([], answers.append)
    heard: list[Any] = []

    def listen(event: Any) -> None:
        heard.extend(
            message for scope, message in venue.dialect.render(event) if session.wants(scope)
        )

    venue.engine.listeners.append(listen)
    params = venue.signer.frame({})
    (told,) = session.receive(
        {"id": "u1", "method": "userDataStream.subscribe.signature", "params": params}
    )
    assert told["result"] == {"subscriptionId": 0}
    order = {"symbol": "BTCUSDT", "side": "SELL", "type": "LIMIT_MAKER", "quantity": "0.01",
             "price": "61000", "newClientOrderId": "mine"}  # fmt: skip
    session.receive({"id": 7, "method": "order.place", "params": venue.signer.frame(order)})
    (told,) = answers
    assert (told["id"], told["status"]) == (7, 200)
    assert [row["rateLimitType"] for row in told["rateLimits"]] == ["REQUEST_WEIGHT", "ORDERS"]
    report, position = heard
    assert report["event"]["e"] == "executionReport"
    assert (report["event"]["c"], report["event"]["x"]) == ("mine", "NEW")
    btc = next(row for row in position["event"]["B"] if row["a"] == "BTC")
    assert (btc["f"], btc["l"]) == ("0.99000000", "0.01000000")
    heard.clear()
    by = {"symbol": "BTCUSDT", "origClientOrderId": "mine", "newClientOrderId": "by"}
    session.receive({"id": 8, "method": "order.cancel", "params": venue.signer.frame(by)})
    assert (heard[0]["event"]["c"], heard[0]["event"]["C"]) == ("by", "mine")


def test_a_yes_or_no_is_signed_as_json_writes_it() -> None:
    venue = Venue()
    stamp = int(venue.clock.now() * 1000)
    params: dict[str, Any] = {"apiKey": venue.account.key, "returnRateLimits": False}
    payload = f"apiKey={venue.account.key}&returnRateLimits=false&timestamp={stamp}"
    params |= {"timestamp": stamp, "signature": signature(venue.account.secret, payload)}
    assert venue.dialect.api.identify_frame(params) == venue.account


def test_a_frame_that_is_wrong_is_answered_with_its_id() -> None:
    venue = Venue()
    session = ApiSession(venue.dialect)
    (told,) = session.receive({"id": "x", "method": "order.fly", "params": {}})
    assert (told["id"], told["status"], told["error"]["code"]) == ("x", 400, -1020)
    params = {**venue.signer.frame({"symbol": "BTCUSDT"}), "signature": "00"}
    (told,) = session.receive({"id": "y", "method": "openOrders.status", "params": params})
    assert told["error"]["code"] == -1022
    (told,) = session.receive("nonsense")
    assert (told["id"], told["status"]) == (None, 400)


def test_public_streams_wrap_frames_in_their_names_where_combined() -> None:
    venue = Venue()
    combined = PublicSession(venue.dialect, ["btcusdt@bookTicker"])
    assert combined.begin([], lambda _: None) == []
    raw = PublicSession(venue.dialect, [], is_combined=False)
    assert raw.receive({"method": "SUBSCRIBE", "params": ["btcusdt@trade"], "id": 3}) == [
        {"result": None, "id": 3}
    ]
    heard: list[Any] = []

    def listen(event: Any) -> None:
        for scope, message in venue.dialect.render(event):
            heard.extend(message for s in (combined, raw) if s.wants(scope))

    venue.engine.listeners.append(listen)
    venue.order(side="SELL")
    assert heard == [{"stream": "btcusdt@bookTicker", "data": heard[0]["data"]}]
    assert heard[0]["data"]["a"] == "60000.00000000"
    heard.clear()
    venue.order()
    assert [frame.get("e") for frame in heard if "stream" not in frame] == ["trade"]


def test_the_picture_of_a_book_is_numbered_as_its_updates_are() -> None:
    venue = Venue()
    number = venue.ask("GET", "/depth", symbol="BTCUSDT").body["lastUpdateId"]
    followed = PublicSession(venue.dialect, [], is_combined=False)
    followed.receive({"method": "SUBSCRIBE", "params": ["btcusdt@depth@100ms"], "id": 3})
    told: list[Any] = []
    venue.engine.listeners.append(
        lambda event: told.extend(m for s, m in venue.dialect.render(event) if followed.wants(s))
    )
    venue.order()
    venue.order(price="59000")
    updates = [(frame["U"], frame["u"]) for frame in told]
    assert updates == [(number + 1, number + 1), (number + 2, number + 2)]
    assert venue.ask("GET", "/depth", symbol="BTCUSDT").body["lastUpdateId"] == number + 2
