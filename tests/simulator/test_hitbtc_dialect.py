"""HitBTC's tongue of the built-in exchange: signatures, shapes, refusals, limits."""

import base64
from typing import Any

import pytest

from market_maker import jsonx
from market_maker.auth.hitbtc import HitbtcSigner
from market_maker.clock import ManualClock
from market_maker.model.rows import Row
from market_maker.model.wire import Answer
from market_maker.simulator.dialects.hitbtc_desk import REQUESTS_PER_S
from market_maker.simulator.dialects.hitbtc_dialect import HitbtcDialect
from market_maker.simulator.dialects.hitbtc_session import HitbtcSession
from market_maker.simulator.exchange import Account, Engine
from market_maker.simulator.hitbtc_tongue import HitbtcTongue, faulty_hitbtc
from market_maker.simulator.instruments import XBT_USDT
from market_maker.simulator.tongue import Call

ORDER = {"symbol": "BTCUSDT", "side": "buy", "quantity": "0.00100", "price": "50000.0"}


class Venue:
    """An engine behind HitBTC's tongue, and one customer."""

    def __init__(self) -> None:
        self.clock = ManualClock()
        self.engine = Engine(self.clock, [XBT_USDT], seed=1)
        self.clock.attach(self.engine)
        self.account: Account = self.engine.open_account()
        self.tongue = HitbtcTongue(HitbtcDialect(self.engine))
        self.pushed: list[Any] = []

    def send(self, verb: str, target: str, body: Any = None, **headers: str) -> Answer:
        text = "" if body is None else jsonx.dumps(body)
        call = Call(verb, f"/api/3{target}", headers, text.encode(), "127.0.0.1")
        heard = self.tongue.read(call)
        return heard.refusal or self.tongue.dialect.handle(heard.request, heard.account)

    def signed(self, verb: str, target: str, body: Any = None, **changes: Any) -> Answer:
        given = {"key": self.account.key, "secret": self.account.secret, "lag_s": 0.0} | changes
        signer = HitbtcSigner(
            given["key"], given["secret"], lambda: self.clock.now() - given["lag_s"]
        )
        text = "" if body is None else jsonx.dumps(body)
        header = signer(verb, f"/api/3{target}", text)["Authorization"]
        return self.send(verb, target, body, authorization=header)

    def session(self) -> HitbtcSession:
        session = HitbtcSession(self.tongue.dialect, "trading")
        session.begin([], self.pushed.append)
        signer = HitbtcSigner(self.account.key, self.account.secret, self.clock.now)
        assert session.receive(signer.login()) == [{"jsonrpc": "2.0", "result": True}]
        return session


def test_markets_are_told_to_anybody() -> None:
    venue = Venue()
    row = venue.send("GET", "/public/symbol/BTCUSDT").body
    assert (row["quantity_increment"], row["tick_size"], row["fee_currency"]) == (
        "0.00001", "0.5", "USDT",
    )  # fmt: skip
    assert list(venue.send("GET", "/public/symbol").body) == ["BTCUSDT"]
    assert set(venue.send("GET", "/public/orderbook/BTCUSDT?depth=1").body) == {
        "timestamp", "ask", "bid",
    }  # fmt: skip


def test_an_order_lives_and_dies_by_its_client_order_id() -> None:
    venue, order = Venue(), ORDER | {"client_order_id": "mm000001"}
    placed = venue.signed("POST", "/spot/order", order)
    assert (placed.status, placed.body["status"], placed.body["report_type"]) == (200, "new", "new")
    assert venue.signed("GET", "/spot/order/mm000001").body["quantity"] == "0.00100"
    change = {"new_client_order_id": "mm000002", "quantity": "0.002", "price": "50001"}
    replaced = venue.signed("PATCH", "/spot/order/mm000001", change).body
    assert (replaced["report_type"], replaced["original_client_order_id"]) == (
        "replaced", "mm000001",
    )  # fmt: skip
    assert [o["client_order_id"] for o in venue.signed("GET", "/spot/order").body] == ["mm000002"]
    assert venue.signed("DELETE", "/spot/order/mm000002").body["status"] == "canceled"
    past = venue.signed("GET", "/spot/history/order?client_order_id=mm000002").body
    assert [row["status"] for row in past] == ["canceled"]


@pytest.mark.parametrize(
    ("changes", "description"),
    [
        ({"secret": "x" * 48}, "invalid signature"),
        ({"key": "nobody"}, "invalid API key"),
        ({"lag_s": 60.0}, "timestamp is out of the window"),
        ({"lag_s": -60.0}, "timestamp is out of the window"),
    ],
)
def test_a_bad_signature_is_refused(changes: Row, description: str) -> None:
    answer = Venue().signed("GET", "/spot/balance", **changes)
    error = {
        "code": 1002,
        "message": "Authorization is required or has been failed",
        "description": description,
    }
    assert (answer.status, answer.body) == (401, {"error": error})


def test_a_changed_body_is_refused() -> None:
    venue = Venue()
    signer = HitbtcSigner(venue.account.key, venue.account.secret, venue.clock.now)
    header = signer("POST", "/api/3/spot/order", jsonx.dumps(ORDER))["Authorization"]
    answer = venue.send("POST", "/spot/order", ORDER | {"quantity": "1"}, authorization=header)
    assert answer.body["error"]["description"] == "invalid signature"


def test_key_and_secret_may_be_shown_as_they_are() -> None:
    venue = Venue()
    told = base64.b64encode(f"{venue.account.key}:{venue.account.secret}".encode()).decode()
    assert venue.send("GET", "/spot/balance", authorization=f"Basic {told}").status == 200
    venue.engine.disable_key(venue.account.key)
    assert venue.send("GET", "/spot/balance", authorization=f"Basic {told}").status == 401


def test_a_private_call_needs_a_key_and_a_right() -> None:
    venue = Venue()
    assert venue.send("GET", "/spot/balance").body["error"]["code"] == 1001
    venue.account = venue.engine.add_key(venue.account.number, [])
    answer = venue.signed("POST", "/spot/order", ORDER)
    assert (answer.status, answer.body["error"]["code"]) == (403, 1003)


@pytest.mark.parametrize(
    ("changes", "code"),
    [
        ({"symbol": "NOPE"}, 2001),
        ({"quantity": "much"}, 2010),
        ({"quantity": "0.000001"}, 2011),
        ({"quantity": "0.001001", "strict_validate": True}, 2012),
        ({"price": "dear"}, 2020),
        ({"price": "-1"}, 2021),
        ({"price": "50000.1", "strict_validate": True}, 2022),
        ({"quantity": "9", "price": "50000"}, 20001),
        ({"side": "sell", "quantity": "2", "price": "90000"}, 20001),
        ({"side": "both"}, 10001),
        ({"type": "stopLimit"}, 10001),
        ({"client_order_id": "short"}, 10001),
        ({"client_order_id": "x" * 33}, 10001),
    ],
)
def test_every_refusal_has_its_code(changes: Row, code: int) -> None:
    answer = Venue().signed("POST", "/spot/order", ORDER | changes)
    assert answer.status == 400
    assert set(answer.body["error"]) == {"code", "message", "description"}
    assert answer.body["error"]["code"] == code


def test_sizes_and_prices_are_rounded_where_nobody_asks_for_strictness() -> None:
    order = ORDER | {"quantity": "0.001009", "price": "50000.3"}
    row = Venue().signed("POST", "/spot/order", order).body
    assert (row["quantity"], row["price"]) == ("0.00100", "50000.0")


@pytest.mark.parametrize("method", ["DELETE", "PATCH"])
def test_what_is_gone_is_not_found(method: str) -> None:
    answer = Venue().signed(method, "/spot/order/mm000001", {"new_client_order_id": "mm000002"})
    assert answer.body["error"]["code"] == 20002


def test_a_client_order_id_serves_once_a_day() -> None:
    venue, order = Venue(), ORDER | {"client_order_id": "mm000001"}
    venue.signed("POST", "/spot/order", order)
    venue.signed("DELETE", "/spot/order/mm000001")
    assert venue.signed("POST", "/spot/order", order).body["error"]["code"] == 20008
    venue.clock.sleep(86_400)
    assert venue.signed("POST", "/spot/order", order).status == 200


def test_300_orders_a_second_and_no_more() -> None:
    venue = Venue()
    codes = [
        venue.signed("DELETE", "/spot/order/mm000001").body["error"]["code"]
        for _ in range(REQUESTS_PER_S + 1)
    ]
    assert codes == [20002] * REQUESTS_PER_S + [429]
    venue.clock.sleep(1)
    assert venue.signed("DELETE", "/spot/order/mm000001").body["error"]["code"] == 20002


def test_the_trading_socket_takes_a_login_first() -> None:
    venue = Venue()
    session = HitbtcSession(venue.tongue.dialect, "trading")
    [answer] = session.receive({"method": "spot_subscribe", "params": {}, "id": 7})
    assert (answer["error"]["code"], answer["id"]) == (1002, 7)
    login = HitbtcSigner(venue.account.key, "wrong", venue.clock.now).login()
    [answer] = session.receive(login)
    assert answer["error"]["description"] == "invalid signature"
    assert session.ending


def test_a_subscription_begins_with_a_snapshot_and_an_answer_echoes_its_id() -> None:
    venue = Venue()
    session = venue.session()
    order = ORDER | {"client_order_id": "mm000001"}
    assert session.receive({"method": "spot_new_order", "params": order, "id": 123}) == []
    [answer] = venue.pushed
    assert (answer["id"], answer["result"]["client_order_id"]) == (123, "mm000001")
    yes, snapshot = session.receive({"method": "spot_subscribe", "params": {}, "id": 5})
    assert yes == {"jsonrpc": "2.0", "result": True, "id": 5}
    assert snapshot["method"] == "spot_orders"
    assert [row["report_type"] for row in snapshot["params"]] == ["status"]
    _, balance = session.receive(
        {"method": "spot_balance_subscribe", "params": {"mode": "updates"}}
    )
    assert balance["params"][0] == {
        "currency": "BTC", "available": "1.00000000", "reserved": "0.00000000",
    }  # fmt: skip


def test_what_is_no_request_is_refused() -> None:
    session = Venue().session()
    for frame in ([], {"method": 1}, {"method": "fly"}, {"method": "spot_new_order", "params": 1}):
        assert session.receive(frame)[0]["error"]["code"] == 10001


@pytest.mark.parametrize(("fault", "status"), [("503", 503), ("429", 429), ("500", 500)])
def test_a_broken_wire_speaks_hitbtcs_words_over_rest_and_stream(fault: str, status: int) -> None:
    venue = Venue()
    dialect = faulty_hitbtc(venue.engine).dialect
    venue.tongue.dialect = dialect
    session = venue.session()
    dialect.faults.add(fault)  # type: ignore[attr-defined]
    answer = venue.signed("POST", "/spot/order", ORDER)
    assert (answer.status, answer.body["error"]["code"]) == (status, status)
    session.receive({"method": "spot_new_order", "params": ORDER, "id": 9})
    assert [(m["id"], m["error"]["code"]) for m in venue.pushed] == [(9, status)]
