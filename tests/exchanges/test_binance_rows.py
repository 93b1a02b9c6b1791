"""Binance's rows become BitMEX's rows, by the samples of the exchange and by hand."""

import json
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from market_maker.exchanges import binance_rows as rows
from market_maker.exchanges.binance_rows import SpotMarket
from market_maker.exchanges.binance_tables import BinanceTables
from market_maker.exchanges.chains import BINANCE, Chains
from market_maker.exchanges.client_ids import ClientIds
from market_maker.model.rows import POST_ONLY

SAMPLES = Path(__file__).resolve().parents[3] / "shared" / "protocol" / "binance" / "samples"
needs_samples = pytest.mark.skipif(not SAMPLES.is_dir(), reason="the Binance samples are not here")


def sample(name: str) -> Any:
    return json.loads((SAMPLES / name).read_text())


def market(base: str = "BTC", quote: str = "USDT", **filters: Any) -> SpotMarket:
    """A symbol as exchangeInfo lists it."""
    values = {"tickSize": "0.01", "stepSize": "0.00001", "minNotional": "5"} | filters
    raw = {
        "symbol": base + quote, "baseAsset": base, "quoteAsset": quote, "status": "TRADING",
        "filters": [
            {"filterType": "PRICE_FILTER", "minPrice": "0.01", "maxPrice": "1000000.00",
             "tickSize": values["tickSize"]},
            {"filterType": "LOT_SIZE", "minQty": values["stepSize"], "maxQty": "9000.00",
             "stepSize": values["stepSize"]},
            {"filterType": "NOTIONAL", "minNotional": values["minNotional"],
             "maxNotional": "9000000"},
        ],
    }  # fmt: skip
    return SpotMarket.read(raw)


def tables(listed: SpotMarket, inventory: float = 0.0) -> BinanceTables:
    return BinanceTables(listed, Chains(ClientIds("mm_"), lambda: 1.0, BINANCE), "7", inventory)


@pytest.mark.parametrize(
    ("tick", "price", "text"),
    [
        ("0.50000000", 60_000.5, "60000.5"),
        ("0.01000000", 0.1 + 0.2, "0.3"),
        ("0.00000100", 0.02076, "0.02076"),
        ("0.00000001", 3e-8, "0.00000003"),
        ("1.00000000", 7290.3, "7290"),
    ],
)
def test_a_price_goes_out_as_a_plain_decimal_on_the_tick(
    tick: str, price: float, text: str
) -> None:
    assert Decimal(f"{market(tickSize=tick).price(price):f}") == Decimal(text)
    assert "E" not in f"{market(tickSize=tick).price(price):f}"


@pytest.mark.parametrize(
    ("qty", "at", "words"),
    [
        ("0.00001", "600000", ""),
        ("0.00001", "60000", "is worth less than 5 USDT"),
        ("151", "60000", "is worth more than 9000000 USDT"),
        ("0", "60000", "is not between"),
        ("9001", "60000", "is not between"),
        ("1", "0.001", "is not between"),
        ("1", "1000001", "is not between"),
        ("0.00001", None, ""),
    ],
)
def test_the_filters_of_the_symbol_are_met_before_sending(
    qty: str, at: str | None, words: str
) -> None:
    told = market().objection(Decimal(qty), None if at is None else Decimal(at))
    assert words in told
    assert bool(words) == bool(told)


def test_a_spot_instrument_is_counted_in_units_of_its_base_currency() -> None:
    row = market().instrument_row()
    assert (row["typ"], row["unit"], row["lotSize"], row["minQty"]) == (
        "IFXXXP", "BTC", 0.00001, 0.00001,
    )  # fmt: skip
    assert (row["multiplier"], row["settlCurrency"], row["isInverse"]) == (10**6, "USDt", False)


def test_the_position_is_what_is_held_beyond_the_inventory() -> None:
    row = rows.position_row(Decimal("0.4"), Decimal("0.1"), market(), Decimal("0.3"))
    assert (row["currentQty"], row["freeQty"], row["lockedQty"]) == (0.2, 0.4, 0.1)


@needs_samples
@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("order_response", {"clOrdID": "myOrder1", "ordStatus": "New", "leavesQty": 1}),
        ("cancel_order_response", {"clOrdID": "myOrder1", "ordStatus": "Canceled", "leavesQty": 0}),
        ("new_order_full_response", {"ordStatus": "Filled", "cumQty": 10, "ordType": "Market",
                                     "side": "Sell", "avgPx": 1.0, "price": None}),
    ],
)  # fmt: skip
def test_an_order_of_an_answer_is_read(name: str, expected: dict[str, Any]) -> None:
    raw = sample(f"spot_http/{name}.json")
    row = tables(market()).order_row(raw)
    assert row is not None
    assert expected.items() <= row.items()
    assert row["timestamp"]


@needs_samples
@pytest.mark.parametrize("name", ["open_orders", "all_orders", "cancel_open_orders"])
def test_lists_of_orders_are_read(name: str) -> None:
    found = sample(f"spot_http/{name}_response.json")
    read = [tables(market()).order_row(raw) for raw in found if "orderReports" not in raw]
    assert all(row and row["orderID"] and row["side"] == "Buy" for row in read)


@needs_samples
@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("new", {"ordStatus": "New", "price": 2500.0, "leavesQty": 1, "workingIndicator": True}),
        ("canceled", {"ordStatus": "Canceled", "leavesQty": 0}),
        ("expired", {"ordStatus": "Canceled", "timeInForce": "ImmediateOrCancel"}),
        ("stop_loss", {"ordType": "StopLimit", "stopPx": 2450.0}),
        ("trade", {"ordStatus": "Filled", "cumQty": 1, "avgPx": 2500.0}),
    ],
)
def test_an_execution_report_is_an_order_row(name: str, expected: dict[str, Any]) -> None:
    event = sample(f"spot_user_data/execution_report_{name}.json")
    told = tables(market("ETH")).read({"subscriptionId": 0, "event": event})
    (row,) = next(t for t in told if t["table"] == "order")["data"]
    assert expected.items() <= row.items()


@needs_samples
def test_a_fill_is_told_with_its_fee_in_the_quote_currency() -> None:
    event = sample("spot_user_data/execution_report_trade.json")
    told = tables(market("ETH")).read({"subscriptionId": 0, "event": event})
    (fill,) = next(t for t in told if t["table"] == "execution")["data"]
    assert fill["execID"] == "ETHUSDT-12345678-98765432"
    assert (fill["lastQty"], fill["lastPx"], fill["feeQty"]) == (1, 2500.0, 0.001)
    assert (fill["feeCurrency"], fill["execComm"]) == ("ETH", 2_500_000)  # 0.001 ETH at 2500
    assert fill["lastLiquidityInd"] == "AddedLiquidity"


@needs_samples
def test_wrapped_events_are_those_within_and_strange_ones_are_nothing() -> None:
    made = tables(market("ETH", "BTC"))
    (told,) = made.read(sample("spot_user_data/execution_report_wrapped.json"))
    assert told["data"][0]["orderID"] == "mUvoqJxFIILMdfAW5iGSOW"
    (told,) = made.read(sample("spot_user_data/account_position_wrapped.json"))
    assert (told["table"], told["data"][0]["currentQty"]) == ("position", 10_000)
    assert made.read(sample("spot_user_data/list_status_wrapped.json")) == []
    assert made.read(sample("spot_user_data/balance_update_wrapped.json")) == []


@needs_samples
def test_balances_of_an_event_and_of_an_answer_are_read_alike() -> None:
    made = tables(market("ETH"), inventory=2)
    event = sample("spot_user_data/account_position.json")
    margin, position = made.read({"subscriptionId": 0, "event": event})
    assert margin["data"][0]["availableMargin"] == 10_000_000_000
    assert margin["data"][0]["initMargin"] == 2_500_000_000
    assert position["data"][0]["currentQty"] == 3
    held = rows.balances(sample("spot_http/account_response.json")["balances"])
    assert held["BTC"] == (Decimal("4723846.89208129"), Decimal(0))


@needs_samples
def test_market_data_is_read() -> None:
    quote = rows.quote_row(sample("spot_http/book_ticker_response.json"), market("LTC", "BTC"))
    assert (quote["bidPrice"], quote["askPrice"], quote["askSize"]) == (4.0, 4.000002, 9)
    (trade,) = [rows.trade_row(raw, market()) for raw in sample("spot_http/trades_response.json")]
    assert (trade["side"], trade["price"], trade["size"]) == ("Sell", 4.000001, 12)
    made = tables(market("LTC", "BTC"))
    depth = {"stream": "ltcbtc@depth20@100ms", "data": sample("spot_http/depth_response.json")}
    (image,) = made.read(depth)
    assert [row["side"] for row in image["data"]] == ["Sell", "Buy"]
    assert made.read(depth) == []


@needs_samples
def test_a_trade_of_the_account_and_a_symbol_without_filters_are_read() -> None:
    (raw,) = sample("spot_http/account_trades_response.json")
    listed = sample("spot_http/exchange_info_response.json")["symbols"][0]
    fill = rows.execution_row(raw, SpotMarket.read(listed), "", "")
    assert fill is not None
    assert (fill["side"], fill["feeCurrency"], fill["execComm"]) == ("Buy", "BNB", 0)
    assert SpotMarket.read(listed).tick_size == Decimal("1E-8")


def test_the_touch_moves_the_mark_and_a_print_the_last_price() -> None:
    made = tables(market())
    touch = {"u": 1, "s": "BTCUSDT", "b": "59999.00", "B": "1.5", "a": "60001.00", "A": "2"}
    quote, change = made.read({"stream": "btcusdt@bookTicker", "data": touch})
    assert quote["data"][0]["bidSize"] == 1.5
    assert change["data"][0]["markPrice"] == 60_000.0
    trade = {"e": "trade", "t": 5, "p": "60001.00", "q": "0.1", "T": 1_700_000_000_000, "m": False}
    prints, change = made.read({"stream": "btcusdt@trade", "data": trade})
    assert (prints["data"][0]["side"], change["data"][0]["lastPrice"]) == ("Buy", 60_001.0)


def test_a_limit_maker_order_is_post_only() -> None:
    raw = {"clientOrderId": "x", "type": "LIMIT_MAKER", "side": "BUY", "status": "NEW",
           "origQty": "1", "executedQty": "0", "price": "5", "timeInForce": "GTC"}  # fmt: skip
    row = tables(market()).order_row(raw)
    assert row is not None
    assert row["execInst"] == POST_ONLY
