"""HitBTC's rows, one by one, in the language of the bot."""

from dataclasses import replace
from decimal import Decimal
from typing import Any

import pytest

from market_maker.exchanges import hitbtc_rows as rows
from market_maker.exchanges.hitbtc_rows import Holding, Market
from market_maker.model.rows import Row

SYMBOL = {
    "type": "spot", "base_currency": "BTC", "quote_currency": "USDT", "status": "working",
    "quantity_increment": "0.00001", "tick_size": "0.01", "take_rate": "0.0025",
    "make_rate": "0.001", "fee_currency": "USDT",
}  # fmt: skip
BTCUSDT = Market.read(SYMBOL, "BTCUSDT")
REPORT = {
    "id": 584244931496, "client_order_id": "b5acd79c0a854b01b558665bcf379456",
    "symbol": "BTCUSDT", "side": "buy", "status": "partiallyFilled", "type": "limit",
    "time_in_force": "GTC", "quantity": "0.01000", "quantity_cumulative": "0.00400",
    "price": "49595.04", "post_only": True, "created_at": "2021-07-02T22:52:32.864Z",
    "updated_at": "2021-07-02T22:52:33.1Z", "trade_id": 1361977606, "trade_quantity": "0.00400",
    "trade_price": "49595.04", "trade_fee": "0.495950", "trade_taker": False,
    "report_type": "trade",
}  # fmt: skip


def test_an_instrument_states_its_grid_its_unit_and_what_it_costs() -> None:
    row = BTCUSDT.instrument_row()
    wanted = {
        "symbol": "BTCUSDT", "typ": "IFXXXP", "state": "Open", "tickSize": 0.01,
        "lotSize": 0.00001, "multiplier": 1_000_000, "isInverse": False, "unit": "BTC",
        "settlCurrency": "USDt", "makerFee": 0.001, "takerFee": 0.0025, "initMargin": 1.0,
    }  # fmt: skip
    assert {name: row[name] for name in wanted} == wanted


@pytest.mark.parametrize(("changes", "state"), [({}, "Open"), ({"status": "suspended"}, "Closed")])
def test_a_paused_symbol_is_closed(changes: Row, state: str) -> None:
    assert Market.read(SYMBOL | changes, "BTCUSDT").state == state


def test_what_is_no_spot_symbol_is_refused() -> None:
    with pytest.raises(ValueError, match="no spot symbol"):
        Market.read(SYMBOL | {"type": "futures"}, "BTCUSDT_PERP")


@pytest.mark.parametrize(
    ("qty", "text"), [(0.001, "0.00100"), (3, "3.00000"), (0.30000000000000004, "0.30000")]
)
def test_sizes_go_out_on_the_grid(qty: float, text: str) -> None:
    assert BTCUSDT.quantity(qty) == text


@pytest.mark.parametrize(
    ("tick", "price", "text"),
    [("0.01", 49595.04, "49595.04"), ("0.5", 60000.5, "60000.5"), ("0.0000001", 1e-7, "0.0000001")],
)
def test_prices_go_out_on_the_tick(tick: str, price: float, text: str) -> None:
    assert Market.read(SYMBOL | {"tick_size": tick}, "X").px(price) == text


def test_a_report_is_an_order_row() -> None:
    assert rows.order_row(REPORT, BTCUSDT, "id", "mm", Decimal(0)) == {
        "orderID": "id", "clOrdID": "mm", "symbol": "BTCUSDT", "side": "Buy", "price": 49595.04,
        "orderQty": 0.01, "cumQty": 0.004, "leavesQty": 0.006, "avgPx": None,
        "ordStatus": "PartiallyFilled", "ordType": "Limit", "timeInForce": "GoodTillCancel",
        "execInst": "ParticipateDoNotInitiate", "workingIndicator": True, "text": "",
        "transactTime": "2021-07-02T22:52:33.100Z", "timestamp": "2021-07-02T22:52:33.100Z",
    }  # fmt: skip


@pytest.mark.parametrize(
    ("status", "told", "leaves"),
    [
        ("new", "New", 0.006),
        ("suspended", "New", 0.006),
        ("partiallyFilled", "PartiallyFilled", 0.006),
        ("filled", "Filled", 0),
        ("canceled", "Canceled", 0),
        ("expired", "Canceled", 0),
    ],
)
def test_every_status_has_a_word(status: str, told: str, leaves: float) -> None:
    row = rows.order_row(REPORT | {"status": status}, BTCUSDT, "", "", Decimal(0))
    assert (row["ordStatus"], row["leavesQty"]) == (told, leaves)


def test_what_was_filled_under_earlier_ids_counts() -> None:
    fresh = REPORT | {"status": "new", "quantity": "0.006", "quantity_cumulative": "0"}
    row = rows.order_row(fresh, BTCUSDT, "", "", Decimal("0.004"))
    assert (row["ordStatus"], row["orderQty"], row["cumQty"], row["leavesQty"]) == (
        "PartiallyFilled", 0.01, 0.004, 0.006,
    )  # fmt: skip


HISTORY = {
    "id": 1361977606, "order_id": 584244931496, "client_order_id": "x", "symbol": "BTCUSDT",
    "side": "buy", "quantity": "0.00400", "price": "49595.04", "fee": "0.495950",
    "timestamp": "2021-07-02T22:52:33.1Z", "taker": False,
}  # fmt: skip


@pytest.mark.parametrize("raw", [REPORT, HISTORY])
def test_stream_and_history_tell_of_a_fill_alike(raw: Row) -> None:
    assert rows.execution_row(raw, BTCUSDT, "id", "mm") == {
        "execID": "BTCUSDT-1361977606-Buy", "trdMatchID": "1361977606", "orderID": "id",
        "clOrdID": "mm", "symbol": "BTCUSDT", "execType": "Trade", "side": "Buy",
        "lastQty": 0.004, "lastPx": 49595.04, "lastLiquidityInd": "AddedLiquidity",
        "execComm": 495_950, "feeQty": 0.49595, "settlCurrency": "USDt", "feeCurrency": "USDT",
        "transactTime": "2021-07-02T22:52:33.100Z", "timestamp": "2021-07-02T22:52:33.100Z",
    }  # fmt: skip


@pytest.mark.parametrize(("currency", "comm"), [("BTC", 24_597), ("USDT", 495_950), ("HIT", 0)])
def test_a_fee_is_booked_in_the_quote_currency_whatever_it_was_paid_in(
    currency: str, comm: int
) -> None:
    fee = "0.000000495950" if currency == "BTC" else "0.495950"
    row = rows.execution_row(
        {**HISTORY, "fee": fee}, replace(BTCUSDT, fee_currency=currency), "", ""
    )
    assert row is not None
    assert (row["execComm"], row["feeCurrency"]) == (comm, currency)


def test_a_report_without_a_trade_is_no_fill() -> None:
    raw = {k: v for k, v in REPORT.items() if not k.startswith("trade_")}
    assert rows.execution_row(raw, BTCUSDT, "", "") is None


def test_the_position_is_what_is_held_beyond_the_inventory() -> None:
    holding = Holding(BTCUSDT, 0.5, "a")
    assert holding.take([
        {"currency": "BTC", "available": "0.3", "reserved": "0.1"},
        {"currency": "USDT", "available": "900", "reserved": "100.5"},
        {"currency": "ETH", "available": "7", "reserved": "0"},
    ]) == {"BTC", "USDT"}  # fmt: skip
    row, margin = holding.position_row(), holding.margin_row()
    assert (row["currentQty"], row["freeQty"], row["lockedQty"]) == (-0.1, 0.3, 0.1)
    assert margin["walletBalance"] == 1_000_500_000
    assert margin["availableMargin"] == 900_000_000
    assert margin["initMargin"] == 100_500_000


@pytest.mark.parametrize(
    "raw",
    [
        {"t": 1626866578796, "a": "0.0606", "A": "12", "b": "0.0604", "B": "4.4"},
        {"timestamp": "2021-07-21T11:22:58.796Z", "ask": [["0.0606", "12"]],
         "bid": [["0.0604", "4.4"]]},
    ],
)  # fmt: skip
def test_the_touch_by_stream_and_rest(raw: Row) -> None:
    assert rows.quote_row(raw, BTCUSDT) == {
        "timestamp": "2021-07-21T11:22:58.796Z", "symbol": "BTCUSDT", "bidSize": 4.4,
        "bidPrice": 0.0604, "askPrice": 0.0606, "askSize": 12,
    }  # fmt: skip


def test_an_empty_side_has_neither_price_nor_size() -> None:
    row = rows.quote_row({"t": 1, "a": "", "A": "0", "b": "1", "B": "2"}, BTCUSDT)
    assert (row["askPrice"], row["askSize"]) == (None, None)


@pytest.mark.parametrize(
    "raw",
    [
        {"t": 1626861109494, "i": 1555634969, "p": "30881.96", "q": "12.66828", "s": "buy"},
        {"id": 1555634969, "price": "30881.96", "qty": "12.66828", "side": "buy",
         "timestamp": "2021-07-21T09:51:49.494Z"},
    ],
)  # fmt: skip
def test_a_print_by_stream_and_rest(raw: Any) -> None:
    assert rows.trade_row(raw, BTCUSDT) == {
        "timestamp": "2021-07-21T09:51:49.494Z", "symbol": "BTCUSDT", "side": "Buy",
        "size": 12.66828, "price": 30881.96, "trdMatchID": "1555634969",
    }  # fmt: skip
