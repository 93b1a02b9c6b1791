"""`BitMEX` and `BitMEXWebsocket` used alone, as scripts do, against a server over real sockets."""

from collections.abc import Callable, Iterator
from typing import Any

import pytest
import requests

from market_maker.bitmex import BitMEX
from market_maker.utils.errors import AuthenticationError
from market_maker.ws import ws_thread
from market_maker.ws.ws_thread import BitMEXWebsocket
from tests.process import Exchange, until

FAR = 40_000.0  # a price at which nothing trades


@pytest.fixture(scope="module")
def exchange(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Exchange]:
    started = Exchange(tmp_path_factory.mktemp("exchange"), "--seed", "1")
    yield started
    started.close()


@pytest.fixture(scope="module")
def bitmex(exchange: Exchange) -> Iterator[BitMEX]:
    connected = BitMEX(
        base_url=exchange.base_url,
        symbol="XBTUSD",
        apiKey=exchange.key,
        apiSecret=exchange.secret,
    )
    yield connected
    connected.exit()


@pytest.fixture(autouse=True)
def tidy(bitmex: BitMEX) -> Iterator[None]:
    # Tests come faster than an exchange takes orders from one account.
    until(lambda: bitmex.desk.gateway.burst.wait_s(4) <= 0)
    yield
    bitmex._curl_bitmex("order/all", verb="DELETE", postdict={"symbol": "XBTUSD"})


def test_it_has_the_originals_attributes(bitmex: BitMEX, exchange: Exchange) -> None:
    assert (bitmex.symbol, bitmex.apiKey, bitmex.timeout) == ("XBTUSD", exchange.key, 7)
    assert bitmex.retries == 0
    assert isinstance(bitmex.session, requests.Session)
    assert isinstance(bitmex.ws, BitMEXWebsocket)


def test_a_prefix_too_long_for_the_exchange_is_refused() -> None:
    with pytest.raises(ValueError, match="13 characters"):
        BitMEX(base_url="http://127.0.0.1:9/api/v1/", symbol="X", orderIDPrefix="x" * 14)


@pytest.mark.parametrize(
    ("place", "side"),
    [
        (lambda b: b.buy(100, FAR), "Buy"),
        (lambda b: b.place_order(100, FAR), "Buy"),
        (lambda b: b.sell(100, 90_000.0), "Sell"),
        (lambda b: b.place_order(-100, 90_000.0), "Sell"),
    ],
)
def test_buy_sell_and_place_order_take_sizes_and_signs(
    bitmex: BitMEX, place: Callable[[BitMEX], Any], side: str
) -> None:
    row = place(bitmex)
    assert (row["side"], row["orderQty"], row["ordStatus"]) == (side, 100, "New")
    assert row["clOrdID"].startswith("mm_bitmex_")
    assert [order["orderID"] for order in bitmex.open_orders()] == [row["orderID"]]


def test_extra_attributes_go_with_the_order(bitmex: BitMEX) -> None:
    row = bitmex.buy(100, FAR, {"text": "hello", "execInst": "ParticipateDoNotInitiate"})
    assert (row["text"], row["execInst"]) == ("hello", "ParticipateDoNotInitiate")


def test_a_negative_price_is_refused_at_once(bitmex: BitMEX) -> None:
    with pytest.raises(ValueError, match="positive"):
        bitmex.place_order(100, -5)


def test_orders_are_created_amended_listed_and_cancelled_in_bulk(bitmex: BitMEX) -> None:
    wanted = [{"price": FAR - i, "orderQty": 100, "side": "Buy"} for i in range(3)]
    rows = bitmex.create_bulk_orders(wanted)
    assert [order["symbol"] for order in wanted] == ["XBTUSD"] * 3, "written into the rows given"
    assert [order["clOrdID"] for order in wanted] == [row["clOrdID"] for row in rows]
    amends = [{"orderID": row["orderID"], "orderQty": 200, "side": "Buy"} for row in rows]
    assert [row["orderQty"] for row in bitmex.amend_bulk_orders(amends)] == [200] * 3
    one = bitmex.amend_order({"orderID": rows[0]["orderID"], "price": FAR - 10})
    assert one["price"] == FAR - 10
    ids = {row["orderID"] for row in rows}
    assert {row["orderID"] for row in bitmex.open_orders()} == ids
    assert {row["orderID"] for row in bitmex.http_open_orders()} == ids
    assert [row["ordStatus"] for row in bitmex.cancel(rows[0]["orderID"])] == ["Canceled"]
    assert len(bitmex.cancel([row["orderID"] for row in rows[1:]])) == 2
    assert bitmex.open_orders() == bitmex.http_open_orders() == []


def test_amending_what_is_gone_raises_the_text_that_strategies_compare(bitmex: BitMEX) -> None:
    row = bitmex.buy(100, FAR)
    bitmex.cancel(row["orderID"])
    with pytest.raises(requests.exceptions.HTTPError) as caught:
        bitmex.amend_order({"orderID": row["orderID"], "price": FAR + 1})
    assert caught.value.response.json()["error"]["message"] == "Invalid ordStatus"


def test_money_and_position_read_in_the_originals_units(bitmex: BitMEX) -> None:
    funds = bitmex.funds()
    assert funds["walletBalance"] > 90_000_000
    qty = bitmex.position("XBTUSD")["currentQty"]
    bitmex.place_order(200, None)
    until(lambda: bitmex.position("XBTUSD")["currentQty"] == qty + 200)
    assert 0 < abs(bitmex.delta()) < 1
    assert bitmex.position("NOSUCH")["currentQty"] == 0


def test_the_market_reads(bitmex: BitMEX) -> None:
    ticker = bitmex.ticker_data()
    assert set(ticker) == {"last", "buy", "sell", "mid"}
    assert ticker["buy"] <= ticker["mid"] <= ticker["sell"]
    assert bitmex.instrument("XBTUSD")["tickLog"] == 1
    assert {row["symbol"] for row in bitmex.instruments()} >= {"XBTUSD"}
    assert [row["symbol"] for row in bitmex.instruments({"symbol": "XBTUSD"})] == ["XBTUSD"]
    until(bitmex.recent_trades)
    assert {"price", "size", "side"} <= set(bitmex.recent_trades()[-1])


def test_market_depth_answers_live_rows(bitmex: BitMEX) -> None:
    first = bitmex.market_depth("XBTUSD")
    assert {"symbol", "id", "side", "size", "price"} <= set(first[0])
    assert {row["side"] for row in first} == {"Buy", "Sell"}
    until(lambda: "orderBookL2" in bitmex.ws.keys)
    row = bitmex.buy(100, FAR)
    until(lambda: FAR in {level["price"] for level in bitmex.market_depth("XBTUSD")})
    bitmex.cancel(row["orderID"])
    until(lambda: FAR not in {level["price"] for level in bitmex.market_depth("XBTUSD")})


@pytest.mark.parametrize(
    ("call", "status"),
    [
        (lambda b: b.withdraw(10**12, 1000, "nowhere"), (400, 403, 404)),
        (lambda b: b._curl_bitmex("no/such/path"), (404,)),
        (lambda b: b._curl_bitmex("order", query={"filter": "{"}, verb="GET"), (400,)),
    ],
    ids=["withdraw", "unknown path", "bad filter"],
)
def test_what_the_exchange_refuses_raises_an_http_error(
    bitmex: BitMEX, call: Callable[[BitMEX], Any], status: tuple[int, ...]
) -> None:
    with pytest.raises(requests.exceptions.HTTPError) as caught:
        call(bitmex)
    assert caught.value.response.status_code in status
    assert caught.value.response.json()["error"]["message"]


def test_isolating_margin_answers_or_is_refused_by_the_exchange(bitmex: BitMEX) -> None:
    try:
        row = bitmex.isolate_margin("XBTUSD", 5)
    except requests.exceptions.HTTPError as error:
        assert error.response.status_code == 404
    else:
        assert row["symbol"] == "XBTUSD"


@pytest.mark.parametrize(
    ("path", "query"),
    [
        ("instrument", {"symbol": "XBTUSD"}),
        ("instrument/active", None),
        ("trade", {"symbol": "XBTUSD", "count": 3, "reverse": True}),
        ("quote", {"symbol": "XBTUSD", "count": 3, "reverse": True}),
        ("orderBook/L2", {"symbol": "XBTUSD", "depth": 5}),
        ("trade/bucketed", {"symbol": "XBTUSD", "binSize": "1m", "count": 2}),
        ("position", {"filter": '{"symbol": "XBTUSD"}'}),
        ("execution", {"symbol": "XBTUSD", "count": 5}),
        ("/order", {"filter": '{"open": true}'}),
    ],
)
def test_any_path_of_the_protocol_can_be_read(bitmex: BitMEX, path: str, query: Any) -> None:
    rows = bitmex._curl_bitmex(path=path, query=query, verb="GET")
    assert isinstance(rows, list)
    assert all(isinstance(row, dict) for row in rows)


def test_orders_by_the_raw_call_take_the_same_way(bitmex: BitMEX) -> None:
    body = {"symbol": "XBTUSD", "orderQty": 100, "price": FAR, "side": "Buy"}
    row = bitmex._curl_bitmex("order", postdict=body, verb="POST")
    assert [order["orderID"] for order in bitmex.open_orders()] == [row["orderID"]]
    change = {"orderID": row["orderID"], "price": FAR - 5}
    assert bitmex._curl_bitmex("order", postdict=change, verb="PUT")["price"] == FAR - 5
    bitmex._curl_bitmex("order", postdict={"orderID": row["orderID"]}, verb="DELETE")
    assert bitmex.open_orders() == []
    assert bitmex._curl_bitmex("user/margin")["walletBalance"] > 0


def test_cancelling_an_order_nobody_knows_is_no_error(bitmex: BitMEX) -> None:
    assert isinstance(bitmex.cancel("00000000-0000-0000-0000-000000000000"), list)


# -- without a key ----------------------------------------------------------------------

PRIVATE: dict[str, Callable[[BitMEX], Any]] = {
    "buy": lambda b: b.buy(100, FAR),
    "sell": lambda b: b.sell(100, FAR),
    "place_order": lambda b: b.place_order(100, FAR),
    "create_bulk_orders": lambda b: b.create_bulk_orders([{}]),
    "amend_bulk_orders": lambda b: b.amend_bulk_orders([{}]),
    "amend_order": lambda b: b.amend_order({}),
    "open_orders": lambda b: b.open_orders(),
    "http_open_orders": lambda b: b.http_open_orders(),
    "cancel": lambda b: b.cancel("1"),
    "funds": lambda b: b.funds(),
    "position": lambda b: b.position("XBTUSD"),
    "delta": lambda b: b.delta(),
    "isolate_margin": lambda b: b.isolate_margin("XBTUSD", 1),
    "withdraw": lambda b: b.withdraw(1, 1, "x"),
}


@pytest.fixture(scope="module")
def public(exchange: Exchange) -> Iterator[BitMEX]:
    connected = BitMEX(base_url=exchange.base_url, symbol="XBTUSD")
    yield connected
    connected.exit()


@pytest.mark.parametrize("verb", PRIVATE)
def test_without_a_key_private_verbs_raise_and_send_nothing(public: BitMEX, verb: str) -> None:
    def send(requests: Any) -> Any:
        raise AssertionError(f"sent {requests}")

    transport = public.desk.connector.transport
    transport.send, kept = send, transport.send
    try:
        with pytest.raises(AuthenticationError):
            PRIVATE[verb](public)
    finally:
        transport.send = kept


def test_without_a_key_the_market_reads_all_the_same(public: BitMEX) -> None:
    assert public.ticker_data("XBTUSD")["buy"] > 0
    assert public.instruments({"symbol": "XBTUSD"})


# -- the WebSocket object ---------------------------------------------------------------


def test_the_tables_read_as_lists_of_copies(bitmex: BitMEX) -> None:
    data = bitmex.ws.data
    assert set(data) >= {"instrument", "quote", "trade", "order", "execution", "margin", "position"}
    assert all(isinstance(rows, list) for rows in data.values())
    data["margin"][0]["walletBalance"] = -1
    assert bitmex.ws.funds()["walletBalance"] > 0
    assert bitmex.ws.keys["order"] == ["orderID"]
    assert bitmex.ws.MAX_TABLE_LEN == 200


def test_a_websocket_can_be_connected_by_itself(exchange: Exchange) -> None:
    ws = BitMEXWebsocket(None, exchange.key, exchange.secret)
    assert ws.exited
    ws.connect(exchange.base_url, "XBTUSD", shouldAuth=True)
    assert not ws.exited
    assert set(ws.get_ticker("XBTUSD")) == {"last", "buy", "sell", "mid"}
    assert ws.get_instrument("XBTUSD")["symbol"] == "XBTUSD"
    assert ws.funds()["currency"] == "XBt"
    assert ws.open_orders("mm_bitmex_") == []
    assert ws.position("XBTUSD")["symbol"] == "XBTUSD"
    assert isinstance(ws.recent_trades(), list)
    ws.error("enough")
    assert ws.exited


def test_the_ticker_of_an_index_is_its_mark_price(bitmex: BitMEX) -> None:
    ticker = bitmex.ticker_data(".BXBT")
    (row,) = bitmex.instruments({"symbol": ".BXBT"})
    assert ticker["last"] == ticker["mid"] == ticker["buy"]
    assert ticker["last"] == pytest.approx(row["markPrice"], rel=0.01)


def test_an_unknown_symbol_is_a_key_error(bitmex: BitMEX) -> None:
    with pytest.raises(KeyError):
        bitmex.ws.get_instrument("NOSUCH")


def test_items_are_found_by_their_keys() -> None:
    table = [{"id": 1, "side": "Buy"}, {"id": 1, "side": "Sell"}]
    assert ws_thread.findItemByKeys(["id", "side"], table, {"id": 1, "side": "Sell"}) is table[1]
    assert ws_thread.findItemByKeys(["id"], table, {"id": 2}) is None
