"""BitMEX's language over the engine, in process on a manual clock."""

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from market_maker.clock import ManualClock
from market_maker.model.wire import Answer, Request
from market_maker.simulator.auth import identify, signature
from market_maker.simulator.dialects import bitmex_rows, bitmex_tables
from market_maker.simulator.dialects.bitmex import Dialect
from market_maker.simulator.dialects.bitmex_select import BadParameter, select
from market_maker.simulator.exchange import Account, Engine, Refused

SWAGGER = Path(__file__).parents[3] / "shared/protocol/bitmex/swagger.json"


class Desk:
    """An engine with two accounts, spoken to in one profile; keeps every message."""

    def __init__(self, profile: str = "classic") -> None:
        self.clock = ManualClock()
        self.engine = Engine(self.clock, seed=1)
        self.clock.attach(self.engine)
        self.mine = self.engine.open_account()
        self.other = self.engine.open_account()
        self.dialect = Dialect(self.engine, profile)
        self.messages: list[dict[str, Any]] = []
        for table in bitmex_tables.TABLES:  # who follows a table has had its image
            self.dialect.partial(table, None, self.mine.number)
        self.engine.listeners.append(
            lambda event: self.messages.extend(m for _, m in self.dialect.render(event))
        )

    def call(self, verb: str, path: str, account: Account | None = None, **params: Any) -> Answer:
        query, body = (params, None) if verb == "GET" else (None, params)
        return self.dialect.handle(Request(verb, path, query, body), account or self.mine)

    def place(self, side: str, qty: int, price: float, **fields: Any) -> dict[str, Any]:
        answer = self.call(
            "POST", "/order", symbol="XBTUSD", side=side, orderQty=qty, price=price, **fields
        )
        assert answer.status == 200, answer.body
        return dict(answer.body)

    def fill(self, order: dict[str, Any], qty: int) -> None:
        side = "Sell" if order["side"] == "Buy" else "Buy"
        fields = {"symbol": order["symbol"], "side": side, "orderQty": qty, "price": order["price"]}
        self.engine.place(self.other.number, fields)

    def of(self, table: str) -> list[tuple[str, dict[str, Any]]]:
        return [
            (message["action"], row)
            for message in self.messages
            if message["table"] == table
            for row in message["data"]
        ]


@pytest.fixture
def desk() -> Desk:
    return Desk()


# -- authentication

KEY = "LAqUlngMIQkIUjXMUreyu3qn"
SECRET = "chNOOS4KvNXR_Xq4k4c9qsfoKWvnDecLATCRlcBwyKDYnWgO"


@pytest.mark.parametrize(
    ("verb", "path", "expires", "body", "signed"),
    [
        (
            "GET",
            "/api/v1/instrument",
            "1518064236",
            b"",
            "c7682d435d0cfe87c16098df34ef2eb5a549d4c5a3c2b1f0f77b8af73423bf00",
        ),
        (
            "GET",
            "/api/v1/instrument?filter=%7B%22symbol%22%3A+%22XBTM15%22%7D",
            "1518064237",
            b"",
            "e2f422547eecb5b3cb29ade2127e21b858b235b386bfa45e1c1756eb3383919f",
        ),
        (
            "POST",
            "/api/v1/order",
            "1518064238",
            b'{"symbol":"XBTM15","price":219.0,"clOrdID":"mm_bitmex_1a/oemUeQ4CAJZgP3fjHsA",'
            b'"orderQty":98}',
            "1749cd2ccae4aa49048ae09f0b95110cee706e0944e6a14ad0b3a8cb45bd336b",
        ),
    ],
)
def test_the_official_signatures_come_out(
    verb: str, path: str, expires: str, body: bytes, signed: str
) -> None:
    assert signature(SECRET, verb, path, expires, body) == signed


def sign(desk: Desk, expires: float, **changes: str) -> dict[str, str]:
    signed = signature(desk.mine.secret, "GET", "/api/v1/order", str(expires))
    return {
        "api-key": desk.mine.key,
        "api-expires": str(expires),
        "api-signature": signed,
        **changes,
    }


@pytest.mark.parametrize("scale", [1, 1000], ids=["seconds", "milliseconds"])
@pytest.mark.parametrize("upper", [False, True])
def test_a_good_signature_names_the_account(desk: Desk, scale: int, upper: bool) -> None:
    signed = sign(desk, int(desk.clock.now() + 5) * scale)
    if upper:
        signed["api-signature"] = signed["api-signature"].upper()
    assert identify(desk.engine, signed, "GET", "/api/v1/order") == desk.mine


@pytest.mark.parametrize(
    ("late_s", "changes", "status", "text"),
    [
        (5, {"api-key": "nobody"}, 401, "Invalid API Key."),
        (5, {"api-signature": "00"}, 401, "Signature not valid."),
        (5, {"api-signature": "\u00e9"}, 401, "Signature not valid."),
        (5, {"api-expires": "1600000060"}, 401, "Signature not valid."),
        (
            -5,
            {},
            400,
            "This request has expired - `expires` is in the past. Current time: 1600000000",
        ),
    ],
)
def test_a_bad_signature_is_refused_with_the_documented_words(
    desk: Desk, late_s: int, changes: dict[str, str], status: int, text: str
) -> None:
    with pytest.raises(Refused) as refused:
        identify(
            desk.engine,
            sign(desk, int(desk.clock.now()) + late_s, **changes),
            "GET",
            "/api/v1/order",
        )
    assert (refused.value.status, refused.value.message) == (status, text)


@pytest.mark.parametrize("expires", ["soon", "", "nan"])
def test_an_expiry_that_is_no_time_is_refused_even_if_signed(desk: Desk, expires: str) -> None:
    signed = dict(sign(desk, 0), **{"api-expires": expires})
    signed["api-signature"] = signature(desk.mine.secret, "GET", "/api/v1/order", expires)
    with pytest.raises(Refused):
        identify(desk.engine, signed, "GET", "/api/v1/order")


def test_a_call_without_a_key_has_no_account(desk: Desk) -> None:
    assert identify(desk.engine, {}, "GET", "/api/v1/quote") is None


# -- routes and rights


@pytest.mark.parametrize(
    ("profile", "verb", "path", "status", "text"),
    [
        ("classic", "GET", "/nothing", 404, "Not Found"),
        ("classic", "PATCH", "/order", 404, "Not Found"),
        ("last", "POST", "/order/bulk", 404, "Not Found"),
        ("last", "PUT", "/order/bulk", 404, "Not Found"),
        ("classic", "GET", "/order", 401, "Authorization Required"),
        ("classic", "POST", "/order/cancelAllAfter", 401, "Authorization Required"),
        ("classic", "GET", "/user/margin", 401, "Authorization Required"),
    ],
)
def test_what_cannot_be_called_says_why(
    profile: str, verb: str, path: str, status: int, text: str
) -> None:
    answer = Desk(profile).dialect.handle(Request(verb, path), None)
    assert answer.status == status
    assert answer.body == {"error": {"message": text, "name": "HTTPError"}}


@pytest.mark.parametrize(
    ("permissions", "verb", "path", "status"),
    [
        ((), "GET", "/order", 200),
        ((), "POST", "/order", 403),
        ((), "DELETE", "/order/all", 403),
        (("orderCancel",), "POST", "/order", 403),
        (("orderCancel",), "DELETE", "/order/all", 200),
    ],
)
def test_a_key_may_do_what_it_was_made_for(
    desk: Desk, permissions: tuple[str, ...], verb: str, path: str, status: int
) -> None:
    account = desk.engine.open_account(permissions=frozenset(permissions))
    answer = desk.call(verb, path, account)
    assert answer.status == status
    if status == 403:
        assert answer.body["error"]["message"] == "Access Denied"


def test_doubled_slashes_do_not_matter(desk: Desk) -> None:
    assert desk.call("GET", "//order/").status == 200


def test_the_root_tells_the_time(desk: Desk) -> None:
    assert desk.call("GET", "").body["timestamp"] == 1_600_000_000_000


# -- orders


@pytest.mark.parametrize("symbol", ["XBTUSD", "xbtusd", "XBT", "XBT:perpetual"])
def test_a_symbol_may_come_in_any_case_or_as_its_root(desk: Desk, symbol: str) -> None:
    answer = desk.call("POST", "/order", symbol=symbol, orderQty="100", price="59000.5")
    assert answer.body["symbol"] == "XBTUSD"
    assert answer.body["price"] == 59000.5


@pytest.mark.parametrize(
    ("name", "value"), [("orderQty", "many"), ("orderQty", 0.5), ("price", "x"), ("price", [1])]
)
def test_a_parameter_of_the_wrong_kind_is_refused(desk: Desk, name: str, value: Any) -> None:
    fields = {"symbol": "XBTUSD", "orderQty": 100, "price": 59000, name: value}
    answer = desk.call("POST", "/order", **fields)
    assert answer.status == 400
    assert answer.body["error"]["message"] == f"Invalid {name}"


@pytest.mark.parametrize(
    ("profile", "text"),
    [("classic", "Invalid ordStatus"), ("last", "Invalid ordStatus: Canceled")],
)
def test_amending_a_finished_order_reads_as_in_its_time(profile: str, text: str) -> None:
    desk = Desk(profile)
    order = desk.place("Buy", 100, 59000)
    desk.call("DELETE", "/order", orderID=order["orderID"])
    answer = desk.call("PUT", "/order", orderID=order["orderID"], orderQty=200)
    assert (answer.status, answer.body["error"]["message"]) == (400, text)


def test_a_bulk_call_places_and_amends_in_order(desk: Desk) -> None:
    rows = [
        {"symbol": "XBTUSD", "side": "Buy", "orderQty": 100, "price": price}
        for price in (59000, 59100)
    ]
    placed = desk.call("POST", "/order/bulk", orders=rows).body
    assert [row["price"] for row in placed] == [59000, 59100]
    changes = [{"orderID": row["orderID"], "orderQty": 200} for row in placed]
    amended = desk.call("PUT", "/order/bulk", orders=json.dumps(changes)).body
    assert [row["orderQty"] for row in amended] == [200, 200]


@pytest.mark.parametrize(
    ("orders", "text"),
    [
        ("x", "Invalid orders: must be an array of orders"),
        ([1], "Invalid orders: must be an array of orders"),
        ([{}] * 101, "Too many orders provided. The maximum count allowed is 100."),
    ],
)
def test_a_bulk_call_of_the_wrong_shape_is_refused(desk: Desk, orders: Any, text: str) -> None:
    answer = desk.call("POST", "/order/bulk", orders=orders)
    assert (answer.status, answer.body["error"]["message"]) == (400, text)


def test_a_bulk_amend_names_each_order_once(desk: Desk) -> None:
    order = desk.place("Buy", 100, 59000)
    desk.fill(order, 100)
    change = {"orderID": order["orderID"], "leavesQty": 100}
    answer = desk.call("PUT", "/order/bulk", orders=[change, {**change, "leavesQty": 200}])
    assert (answer.status, answer.body["error"]["message"]) == (400, "Duplicate orderID")
    assert desk.call("PUT", "/order/bulk", orders=[change]).status == 200


def test_a_bulk_amend_gives_no_name_to_two_orders(desk: Desk) -> None:
    for name in ("a", "b"):
        desk.place("Buy", 100, 59000, clOrdID=name)
    changes = [{"origClOrdID": name, "clOrdID": "same"} for name in ("a", "b")]
    answer = desk.call("PUT", "/order/bulk", orders=changes)
    assert (answer.status, answer.body["error"]["message"]) == (400, "Duplicate clOrdID")
    assert {order.cl_ord_id for order in desk.engine.orders(desk.mine.number)} == {"a", "b"}


def test_no_call_cancels_more_orders_than_an_account_can_have(desk: Desk) -> None:
    ids = [str(number) for number in range(1000)]
    assert desk.call("DELETE", "/order", orderID=ids).status == 404
    answer = desk.call("DELETE", "/order", orderID=ids, clOrdID=["one more"])
    assert (answer.status, answer.body["error"]["message"]) == (
        400,
        "Too many orders provided. The maximum count allowed is 1000.",
    )


@pytest.mark.parametrize(
    "spell", [lambda ids: ids, json.dumps, lambda ids: ids[0]], ids=["list", "text", "one"]
)
def test_orders_are_cancelled_by_one_id_or_many(desk: Desk, spell: Any) -> None:
    ids = [desk.place("Buy", 100, price)["orderID"] for price in (59000, 59100)]
    asked = spell(ids)
    rows = desk.call("DELETE", "/order", orderID=asked).body
    assert [row["ordStatus"] for row in rows] == ["Canceled"] * len(rows)
    assert [row["orderID"] for row in rows] == (ids[:1] if asked == ids[0] else ids)


@pytest.mark.parametrize("params", [{}, {"orderID": []}, {"orderID": ""}])
def test_a_cancel_of_nothing_is_refused(desk: Desk, params: dict[str, Any]) -> None:
    answer = desk.call("DELETE", "/order", **params)
    assert (answer.status, answer.body["error"]["message"]) == (400, "Invalid orderID")


def test_an_id_that_only_looks_like_a_list_is_an_id(desk: Desk) -> None:
    desk.place("Buy", 100, 59000, clOrdID="[odd")
    assert desk.call("DELETE", "/order", clOrdID="[odd").body[0]["ordStatus"] == "Canceled"


def test_cancelling_twice_says_so_in_the_row(desk: Desk) -> None:
    order = desk.place("Buy", 100, 59000, clOrdID="mine")
    desk.call("DELETE", "/order", clOrdID="mine")
    rows = desk.call("DELETE", "/order", orderID=order["orderID"]).body
    assert rows[0]["error"] == "Unable to cancel order due to existing state: Canceled"


def test_an_unknown_order_is_not_found_in_classic_and_a_row_in_last() -> None:
    assert Desk("classic").call("DELETE", "/order", orderID="x").status == 404
    desk = Desk("last")
    rows = desk.call("DELETE", "/order", orderID="x").body
    assert rows[0]["orderID"] == "x"
    assert rows[0]["error"] == "Unable to cancel order"
    assert rows[0]["account"] == desk.mine.number


@pytest.mark.parametrize(
    ("params", "left"),
    [
        ({}, 0),
        ({"symbol": "xbtusd"}, 0),
        ({"symbol": "ETHUSD"}, 3),
        ({"symbol": "NOSUCH"}, 3),
        ({"filter": '{"side":"Buy"}'}, 1),
        ({"symbol": "XBTUSD", "filter": {"price": 59000}}, 2),
    ],
)
def test_cancel_all_takes_what_the_symbol_and_the_filter_say(
    desk: Desk, params: dict[str, Any], left: int
) -> None:
    for side, price in (("Buy", 59000), ("Buy", 59100), ("Sell", 61000)):
        desk.place(side, 100, price)
    rows = desk.call("DELETE", "/order/all", **params).body
    assert len(rows) == 3 - left
    assert len(desk.call("GET", "/order", filter='{"open":true}').body) == left


def test_cancel_all_after_arms_and_disarms(desk: Desk) -> None:
    armed = desk.call("POST", "/order/cancelAllAfter", timeout="60000").body
    assert armed == {"now": "2020-09-13T12:26:40.000Z", "cancelTime": "2020-09-13T12:27:40.000Z"}
    assert desk.call("POST", "/order/cancelAllAfter", timeout=0).body["cancelTime"] == 0
    for impossible in (-1, 1e300, 10**18, 2**31):
        assert desk.call("POST", "/order/cancelAllAfter", timeout=impossible).status == 400
    assert desk.call("POST", "/order/cancelAllAfter").status == 400


# -- tables over REST


def rows_of_orders() -> list[dict[str, Any]]:
    return [
        {
            "orderID": str(number),
            "clOrdID": f"c{number}",
            "symbol": "XBTUSD",
            "ordStatus": status,
            "timestamp": f"2024-01-01T00:00:0{number}.000Z",
        }
        for number, status in enumerate(["New", "Filled", "Canceled", "PartiallyFilled"])
    ]


@pytest.mark.parametrize(
    ("query", "found"),
    [
        ({}, "0123"),
        ({"reverse": "true"}, "3210"),
        ({"reverse": True, "count": 2}, "32"),
        ({"start": "1", "count": "2"}, "12"),
        ({"filter": '{"open": true}'}, "03"),
        ({"filter": {"open": False}}, "12"),
        ({"filter": '{"ordStatus.isTerminated": false, "symbol": "xbtusd"}'}, "03"),
        ({"filter": {"clOrdID": ["c1", "c3"]}}, "13"),
        ({"filter": {"orderID": 2}}, "2"),
        ({"filter": {"nonsense": 1}}, ""),
        ({"filter": ""}, "0123"),
        ({"startTime": "2024-01-01T00:00:01Z"}, "123"),
        ({"endTime": "2024-01-01T00:00:01.000Z"}, "01"),
        ({"filter": {"startTime": "2024-01-01T00:00:01", "endTime": "2024-01-01 00:00:02"}}, "12"),
        ({"startTime": "2024-01-02"}, ""),
        ({"filter": {"timestamp": "2024-01-01T00:00:03.000Z"}}, "3"),
    ],
)
def test_a_table_query_selects(query: dict[str, Any], found: str) -> None:
    assert "".join(row["orderID"] for row in select(rows_of_orders(), query)) == found


@pytest.mark.parametrize("columns", [["symbol"], '["symbol"]', "symbol", "symbol, orderID"])
def test_columns_choose_and_keys_stay(columns: Any) -> None:
    row = select(rows_of_orders(), {"columns": columns}, ["orderID"])[0]
    assert row == {"orderID": "0", "symbol": "XBTUSD"}


@pytest.mark.parametrize(
    "query",
    [
        {"filter": "{"},
        {"filter": "[1]"},
        {"filter": {"orderID": ["x"] * 501}},
        {"columns": "[1"},
        {"columns": 5},
        {"count": "x"},
        {"start": -1},
        {"startTime": "yesterday"},
        {"startTime": "0001-01-01T00:00:00+10:00"},
        {"endTime": "9999-12-31T23:59:59.999999"},
        {"endTime": "9999-12-31T23:59:59-10:00"},
    ],
)
def test_an_unreadable_parameter_is_named(query: dict[str, Any]) -> None:
    with pytest.raises(BadParameter, match=f"Invalid {next(iter(query))}"):
        select(rows_of_orders(), query)


@pytest.mark.parametrize("name", ["symbol.weekday", "symbol.year", "price.weekday", "none.date"])
def test_what_is_no_time_has_no_parts_of_a_time(name: str) -> None:
    assert select(rows_of_orders(), {"filter": {name: "0"}}) == []


def test_a_bad_parameter_is_a_400(desk: Desk) -> None:
    answer = desk.call("GET", "/order", filter="{")
    assert (answer.status, answer.body["error"]["name"]) == (400, "ValidationError")


def test_every_market_table_answers_for_a_symbol_and_for_all(desk: Desk) -> None:
    desk.fill(desk.place("Buy", 200, 59000), 100)
    for path in ("/instrument", "/quote", "/trade"):
        assert {row["symbol"] for row in desk.call("GET", path, symbol="XBT").body} == {"XBTUSD"}
        assert desk.call("GET", path, symbol="NOSUCH").body == []
    active = {row["symbol"] for row in desk.call("GET", "/instrument/active").body}
    indices = {row["symbol"] for row in desk.call("GET", "/instrument/indices").body}
    both = [row["symbol"] for row in desk.call("GET", "/instrument").body]
    assert {"XBTUSD", "ETHUSD"} <= active
    assert {".BXBT", ".BETH"} <= indices
    assert set(both) == active | indices
    assert [r["symbol"] for r in desk.call("GET", "/instrument/activeAndIndices").body] == both
    assert desk.call("GET", "/quote", reverse="true", count=1).body[0]["bidSize"] == 100
    assert desk.call("GET", "/trade").body[0]["size"] == 100


def test_the_book_is_asks_then_bids_from_high_to_low(desk: Desk) -> None:
    for side, price in (("Buy", 59000), ("Buy", 59100), ("Sell", 61000), ("Sell", 61100)):
        desk.place(side, 100, price)
    book = desk.call("GET", "/orderBook/L2", symbol="XBTUSD").body
    assert [row["price"] for row in book] == [61100, 61000, 59100, 59000]
    top = desk.call("GET", "/orderBook/L2", symbol="XBTUSD", depth="1").body
    assert [row["price"] for row in top] == [61000, 59100]
    assert desk.call("GET", "/orderBook/L2").status == 400


def test_orders_can_be_asked_for_one_symbol(desk: Desk) -> None:
    desk.place("Buy", 100, 59000)
    assert len(desk.call("GET", "/order", symbol="xbt").body) == 1
    assert desk.call("GET", "/order", symbol="ETHUSD").body == []
    assert desk.call("GET", "/order", symbol="NOSUCH").body == []


def test_a_dialect_that_came_late_shows_the_positions_there_are(desk: Desk) -> None:
    desk.fill(desk.place("Buy", 200, 59000), 100)
    late = Dialect(desk.engine, "last")
    (row,) = late.partial("position", None, desk.mine.number)["data"]
    assert row["currentQty"] == 100


def test_private_tables_show_the_own_account_only(desk: Desk) -> None:
    desk.fill(desk.place("Buy", 200, 59000), 100)
    for path in ("/order", "/execution", "/execution/tradeHistory", "/position"):
        accounts = {row["account"] for row in desk.call("GET", path).body}
        assert accounts == {desk.mine.number}, path
    kinds = [row["execType"] for row in desk.call("GET", "/execution").body]
    assert kinds == ["New", "Trade"]
    assert [r["lastQty"] for r in desk.call("GET", "/execution/tradeHistory").body] == [100]
    assert desk.call("GET", "/position", filter='{"symbol":"XBTUSD"}').body[0]["currentQty"] == 100
    assert desk.call("GET", "/position", symbol="ETHUSD").body == []


def test_margin_is_one_object_or_a_list_for_all(desk: Desk) -> None:
    one = desk.call("GET", "/user/margin").body
    assert one["walletBalance"] == 100_000_000
    every = desk.call("GET", "/user/margin", currency="all").body
    assert every[0] == one
    assert [row["currency"] for row in every] == ["XBt", "USDt"]
    assert desk.call("GET", "/user/margin", currency="USDt").body == every[1]
    assert desk.call("GET", "/user/margin", currency="DOGE").status == 400


def test_classic_keeps_nulls_and_last_leaves_them_out() -> None:
    classic, last = Desk("classic").place("Buy", 100, 59000), Desk("last").place("Buy", 100, 59000)
    assert classic["stopPx"] is None
    assert classic["clOrdID"] == ""
    said = {name: value for name, value in classic.items() if value not in (None, "")}
    assert said.keys() - last.keys() == {"exDestination", "multiLegReportingType"}
    assert last.keys() - said.keys() == {"strategy"}
    assert None not in last.values()


def test_trades_make_bins_that_open_at_the_close_before(desk: Desk) -> None:
    for price, wait_s in ((59000, 15), (59010, 60), (59020, 150)):
        desk.fill(desk.place("Buy", 100, price), 100)
        desk.clock.sleep(wait_s)
    bins = desk.call("GET", "/trade/bucketed", symbol="XBTUSD", binSize="1m", partial="true").body
    assert [row["timestamp"][11:16] for row in bins] == [
        "12:27",
        "12:28",
        "12:29",
        "12:30",
        "12:31",
    ]
    assert [row["trades"] for row in bins] == [2, 1, 0, 0, 0]
    assert [row["open"] for row in bins] == [59000, 59010, 59020, 59020, 59020]
    assert [row["close"] for row in bins] == [59010, 59020, 59020, 59020, 59020]
    assert bins[0]["volume"] == 200
    assert bins[0]["turnover"] == 169492 + 169463
    assert bins[2]["vwap"] is None
    complete = desk.call("GET", "/trade/bucketed", symbol="XBTUSD").body
    assert complete == bins[:-1]
    assert desk.call("GET", "/trade/bucketed", binSize="2m").status == 400


def test_quanto_trades_have_the_notionals_of_the_recordings() -> None:
    # LTCUSD on 2021-04-17: 74 at 312.92 was worth 4631216 XBt; ETHUSD has the same arithmetic
    desk = Desk()
    spec = desk.engine.instrument("ETHUSD")
    value, home, foreign = spec.notionals(74, 3000.0)
    assert value == 74 * 3000 * 100
    assert foreign == pytest.approx(value / 3108)
    assert home == pytest.approx(foreign / 3000)


# -- the stream


def test_an_order_row_is_inserted_once_and_then_only_changes(desk: Desk) -> None:
    order = desk.place("Buy", 300, 59000, clOrdID="mine")
    desk.fill(order, 100)
    desk.call("PUT", "/order", orderID=order["orderID"], orderQty=200)
    desk.call("DELETE", "/order", orderID=order["orderID"])
    mine = [(a, row) for a, row in desk.of("order") if row["account"] == desk.mine.number]
    assert [action for action, _ in mine] == ["insert", "update", "update", "update"]
    always = {"orderID", "clOrdID", "account", "symbol", "timestamp"}
    changed = [set(row) - always for _, row in mine[1:]]
    assert changed[0] == {"ordStatus", "leavesQty", "cumQty", "avgPx"}
    assert {"orderQty", "leavesQty", "text"} <= changed[1]
    assert {"ordStatus", "leavesQty", "workingIndicator"} <= changed[2]
    assert all(always <= set(row) for _, row in mine)


def test_a_fill_is_told_as_execution_then_order_then_position(desk: Desk) -> None:
    order = desk.place("Buy", 100, 59000)
    desk.messages.clear()
    desk.fill(order, 100)
    told = [
        message["table"]
        for message in desk.messages
        if message["data"][0].get("account") == desk.mine.number
    ]
    assert told == ["execution", "order", "position", "margin"]


def test_a_crossing_post_only_order_is_one_insert_already_cancelled(desk: Desk) -> None:
    desk.engine.place(
        desk.other.number, {"symbol": "XBTUSD", "side": "Sell", "orderQty": 100, "price": 60000}
    )
    desk.messages.clear()
    row = desk.place("Buy", 100, 60000, execInst="ParticipateDoNotInitiate")
    assert row["ordStatus"] == "Canceled"
    assert row["leavesQty"] == 0
    assert [(a, r["ordStatus"]) for a, r in desk.of("order")] == [("insert", "Canceled")]
    assert [r["execType"] for _, r in desk.of("execution")] == ["New", "Canceled"]


def test_a_table_nobody_asked_for_is_not_rendered() -> None:
    desk = Desk()
    desk.dialect = Dialect(desk.engine)
    desk.place("Buy", 100, 59000)
    assert desk.messages == []
    desk.dialect.partial("order", None, desk.other.number)
    desk.dialect.partial("position", None, desk.mine.number)
    desk.dialect.partial("quote", "ETHUSD", None)
    desk.dialect.partial("trade", "XBTUSD", None)
    desk.messages.clear()
    desk.fill(desk.place("Buy", 100, 59000), 100)
    assert {message["table"] for message in desk.messages} == {"trade", "order", "position"}
    assert {row["account"] for _, row in desk.of("order")} == {desk.other.number}
    assert {row["account"] for _, row in desk.of("position")} == {desk.mine.number}


def test_inserts_omit_nulls_in_last_only() -> None:
    for profile, has_nulls in (("classic", True), ("last", False)):
        desk = Desk(profile)
        desk.place("Buy", 100, 59000)
        inserted = [row for table in ("order", "execution", "quote") for _, row in desk.of(table)]
        assert any(None in row.values() for row in inserted) is has_nulls


def test_partials_name_keys_types_and_scope(desk: Desk) -> None:
    number = desk.mine.number
    desk.place("Buy", 100, 59000)
    for table, keys in (
        ("order", ["orderID"]),
        ("execution", ["execID"]),
        ("position", ["account", "symbol", "currency"]),
        ("margin", ["account", "currency"]),
        ("instrument", ["symbol"]),
        ("orderBookL2", ["symbol", "id", "side"]),
        ("quote", []),
        ("trade", []),
    ):
        partial = desk.dialect.partial(table, "XBTUSD", number)
        assert partial["action"] == "partial"
        assert partial["keys"] == keys
        assert {"foreignKeys", "attributes"} <= set(partial)
        assert partial["filter"]["symbol"] == "XBTUSD"
        assert partial["filter"].get("account") == (
            number if bitmex_tables.TABLES[table].is_private else None
        )
        for row in partial["data"]:
            assert set(row) <= set(partial["types"])
    assert "attributes" not in Desk("last").dialect.partial("quote", None, None)


ACTIONS = st.lists(
    st.tuples(
        st.sampled_from(["mine", "other"]),
        st.sampled_from(["Buy", "Sell"]),
        st.integers(1, 5),
        st.integers(0, 40),
        st.sampled_from(["place", "post", "amend", "cancel", "cancel_all"]),
    ),
    max_size=40,
)


def apply(store: dict[str, dict[Any, dict[str, Any]]], keys: Any, message: dict[str, Any]) -> None:
    table = store[message["table"]]
    for row in message["data"]:
        key = tuple(row[name] for name in keys)
        if message["action"] == "insert":
            assert key not in table
            table[key] = dict(row)
        elif message["action"] == "update":
            table[key] = {**table[key], **row}
        else:
            del table[key]


@settings(max_examples=60, deadline=None)
@given(before=ACTIONS, after=ACTIONS)
def test_an_image_and_its_deltas_make_the_exchanges_rows(before: Any, after: Any) -> None:
    desk = Desk()
    play(desk, before)
    tables = ["orderBookL2", "orderBookL2_25", "order", "position", "margin", "instrument"]
    number = desk.mine.number
    store: dict[str, dict[Any, dict[str, Any]]] = {}
    keys = {}
    for table in tables:
        partial = desk.dialect.partial(table, None, number)
        keys[table] = partial["keys"]
        store[table] = {tuple(r[k] for k in partial["keys"]): r for r in partial["data"]}
    desk.messages.clear()
    play(desk, after)
    for message in desk.messages:
        is_ours = message["data"][0].get("account", number) == number
        if message["table"] in store and is_ours:
            apply(store, keys[message["table"]], message)
    for table in tables:
        image = desk.dialect.feed.image(table, None, number)
        have = {key: untimed(row) for key, row in store[table].items() if row.get("leavesQty") != 0}
        assert have == {tuple(r[k] for k in keys[table]): untimed(r) for r in image}
    assert untimed(store["margin"][number, "XBt"]) == untimed(desk.call("GET", "/user/margin").body)
    for row in desk.call("GET", "/position").body:
        assert untimed(store["position"][number, row["symbol"], "XBt"]) == untimed(row)


UNTOLD = ("timestamp", "transactTime", "currentTimestamp")  # alone they make no update


def untimed(row: dict[str, Any]) -> dict[str, Any]:
    return {k: v for k, v in row.items() if k not in UNTOLD}


def play(desk: Desk, actions: Any) -> None:
    for who, side, lots, step, action in actions:
        desk.clock.sleep(0.25)
        account = desk.mine if who == "mine" else desk.other
        price = 60_000 + (step - 20) * 0.5
        fields = {"symbol": "XBTUSD", "side": side, "orderQty": lots * 100, "price": price}
        resting = desk.call("GET", "/order", account, filter='{"open":true}').body
        if action == "place":
            desk.call("POST", "/order", account, **fields)
        elif action == "post":
            desk.call("POST", "/order", account, **fields, execInst="ParticipateDoNotInitiate")
        elif action == "cancel_all":
            desk.call("DELETE", "/order/all", account)
        elif resting:
            order_id = resting[step % len(resting)]["orderID"]
            if action == "cancel":
                desk.call("DELETE", "/order", account, orderID=order_id)
            else:
                desk.call("PUT", "/order", account, orderID=order_id, leavesQty=lots * 100)


@pytest.mark.parametrize(
    ("definition", "columns"),
    [
        ("Order", bitmex_tables.ORDER_COLUMNS),
        ("Execution", bitmex_tables.EXECUTION_COLUMNS),
        ("Trade", bitmex_tables.TRADE_COLUMNS),
        ("Quote", bitmex_tables.QUOTE_COLUMNS),
        ("OrderBookL2", bitmex_tables.LEVEL_COLUMNS),
    ],
)
def test_rows_have_the_columns_of_the_specification(
    definition: str, columns: tuple[str, ...]
) -> None:
    if not SWAGGER.exists():
        pytest.skip("the specification ../shared/protocol/bitmex/swagger.json is not here")
    properties = json.loads(SWAGGER.read_text())["definitions"][definition]["properties"]
    assert set(properties) <= set(columns)


def test_rows_hold_exactly_the_announced_columns(desk: Desk) -> None:
    desk.fill(desk.place("Buy", 200, 59000), 100)
    listing, tables = desk.dialect.feed.listings["XBTUSD"], desk.dialect.feed.tables
    events = desk.engine.executions(desk.mine.number)
    order = desk.engine.orders(desk.mine.number)[0]
    trade = desk.engine.trades("XBTUSD")[0]
    assert set(bitmex_rows.order_row(order, listing)) == set(tables["order"].columns)
    for event in events:
        row = bitmex_rows.execution_row(event, listing)
        assert set(row) == set(tables["execution"].columns)
    assert set(bitmex_rows.trade_row(trade, listing)) == set(bitmex_tables.TRADE_COLUMNS)
    quote = bitmex_rows.quote_row(desk.engine.quote("XBTUSD"), listing)
    assert set(quote) == set(bitmex_tables.QUOTE_COLUMNS)


def test_an_unknown_profile_is_a_programming_error(desk: Desk) -> None:
    with pytest.raises(ValueError, match="profile must be one of"):
        Dialect(desk.engine, "newest")
