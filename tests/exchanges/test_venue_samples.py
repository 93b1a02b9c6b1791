"""Every captured sample of OKX and Binance is read into right rows, or somebody says why not."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from market_maker.exchanges import binance_rows, chains, okx_rows
from market_maker.exchanges.base import Status
from market_maker.exchanges.binance_rows import SpotMarket
from market_maker.exchanges.binance_tables import BinanceTables
from market_maker.exchanges.client_ids import ClientIds
from market_maker.exchanges.okx_orders import results
from market_maker.exchanges.okx_rows import Market
from market_maker.exchanges.okx_tables import OkxTables
from market_maker.model.rows import Row
from market_maker.model.wire import Answer
from tests.exchanges.test_binance_rows import market as pair
from tests.exchanges.test_okx_rows import LINEAR, SPOT
from tests.exchanges.test_okx_rows import market as listing

PROTOCOL = Path(__file__).resolve().parents[3] / "shared" / "protocol"
OKX, BINANCE = PROTOCOL / "okx" / "samples", PROTOCOL / "binance" / "samples"
needs_samples = pytest.mark.skipif(not OKX.is_dir(), reason="the samples are not here")

# -- OKX -------------------------------------------------------------------------------------------


def okx_market(inst_id: str) -> Market:
    """An instrument as the samples trade it: 0.01 BTC a contract of the linear swap."""
    if not inst_id.endswith("-SWAP"):
        return listing(**{**SPOT, "instId": inst_id, "baseCcy": inst_id.split("-")[0]})
    own = {"instId": inst_id, "uly": inst_id.removesuffix("-SWAP"), "ctVal": "0.01"}
    inverse = {"instId": inst_id} if inst_id == "BTC-USD-SWAP" else {**LINEAR, **own}
    return listing(**inverse)


def data(raw: Any) -> list[Any]:
    found: list[Any] = raw["data"]
    return found


def stream(raw: Any) -> list[Row]:
    """The tables that a push amounts to, each with its first row."""
    inst_id = raw["arg"].get("instId") or data(raw)[0].get("instId") or "BTC-USDT"
    tables = OkxTables(okx_market(inst_id), lambda wire_id: wire_id)
    if raw.get("action") == "update":  # of a book whose picture came before
        tables._book_seq = data(raw)[0]["prevSeqId"]
    found = tables.read(raw)
    return [{"table": t["table"], "action": t["action"], **t["data"][0]} for t in found]


def instruments(raw: Any) -> list[Row]:
    return [Market.read(row, row["instId"]).instrument_row() for row in data(raw)]


def order(raw: Any) -> list[Row]:
    return [okx_rows.order_row(row, okx_market(row["instId"]), row["clOrdId"]) for row in data(raw)]


def balance(raw: Any) -> list[Row]:
    return [okx_rows.margin_row(data(raw)[0]["details"], okx_market("BTC-USDT-SWAP"), "1")]


def fill(raw: Any) -> list[Row]:
    row = okx_rows.execution_row(raw, okx_market(raw["instId"]), "", raw["fee"])
    assert row is not None
    return [row]


def placed(raw: Any) -> list[Row]:
    (result,) = results(Answer(200, {"code": "0", "data": [raw]}, {}), 1, Status.OK)
    return [{**result.row, "status": result.status}]


def position(raw: Any) -> list[Row]:
    return [okx_rows.position_row(data(raw), okx_market("BTC-USDT-SWAP"), "1")]


def touch(raw: Any) -> list[Row]:
    return [okx_rows.quote_row(data(raw)[0], okx_market("BTC-USDT"))]


def prints(raw: Any) -> list[Row]:
    return [okx_rows.trade_row(row, okx_market("BTC-USDT")) for row in data(raw)]


def mark(raw: Any) -> list[Row]:
    return stream({"arg": {"channel": "mark-price"}, "data": data(raw)})


FILLED = {"ordStatus": "Filled", "leavesQty": 0}
# file -> how it is read, and the columns of the first row that show it was read right
OKX_SAMPLES: dict[str, tuple[Callable[[Any], list[Row]], Row]] = {
    "http_get_account_balance": (
        balance,
        {"walletBalance": 94_426_130, "marginBalance": 99_894_697, "currency": "USDt"},
    ),
    "http_get_instruments_spot": (instruments, {"typ": "IFXXXP", "state": "Open"}),
    "http_get_instruments_swap": (instruments, {"typ": "FFWCSX", "state": "Open"}),
    "http_get_mark_price": (mark, {"table": "instrument", "markPrice": 84_660.1}),
    "http_get_order_book": (
        touch,
        {"bidPrice": 41_006.7, "bidSize": 0.487921, "askPrice": 41_006.8, "askSize": 0.60038921},
    ),
    "http_get_orders_history": (
        order,
        {**FILLED, "orderQty": 0.0003, "avgPx": 103_698.9, "price": None, "ordType": "Market"},
    ),
    "http_get_orders_pending": (
        order,
        {"ordStatus": "New", "price": 103_500.0, "orderQty": 0.001, "clOrdID": "client-order-1"},
    ),
    "http_get_positions": (position, {"currentQty": 0.005, "avgEntryPrice": 10_000.0}),
    "http_get_trades": (
        prints,
        {"side": "Sell", "size": 0.00013669, "price": 102_537.9, "trdMatchID": "734864333"},
    ),
    "http_place_order_response": (
        placed,
        {"orderID": "12345678901234567890", "status": Status.OK},
    ),
    "http_transaction_detail": (
        fill,
        {
            "lastQty": 0.001,
            "lastPx": 42_000.5,
            "execComm": -42_000,
            "feeCurrency": "USDT",
            "lastLiquidityInd": "RemovedLiquidity",
        },
    ),
    "ws_account": (stream, {"table": "margin", "walletBalance": 100_527_686}),
    "ws_bbo_tbt": (stream, {"table": "quote", "bidPrice": 8_476.97, "askPrice": 8_476.98}),
    "ws_books_snapshot": (stream, {"table": "orderBookL2", "action": "partial", "side": "Sell"}),
    "ws_books_update": (stream, {"table": "orderBookL2", "action": "insert", "price": 8_476.98}),
    "ws_funding_rate": (stream, {"table": "instrument", "fundingRate": 0.0001}),
    "ws_instruments": (stream, {"table": "instrument", "tickSize": 0.1, "lotSize": 0.01}),
    "ws_orders": (stream, {"table": "execution", "lastQty": 0.0003, "execComm": 21_777}),
    "ws_orders_adl": (stream, {"table": "order", "text": "adl"}),
    "ws_orders_fok": (stream, {"table": "order", "timeInForce": "FillOrKill"}),
    "ws_orders_ioc": (stream, {"table": "order", "timeInForce": "ImmediateOrCancel"}),
    "ws_orders_liquidation": (stream, {"table": "order", "text": "full_liquidation"}),
    "ws_orders_optimal_limit_ioc": (
        stream,
        {"table": "order", "ordType": "Market", "timeInForce": "ImmediateOrCancel"},
    ),
    "ws_trades": (stream, {"table": "trade"}),
}
OKX_NOT_READ = {
    "http_get_funding_rate_history": "the stream tells the rate that is due, bills what was paid",
    "http_get_trade_fee_response": "each fill tells its own fee",
    "ws_tickers": "bbo-tbt and trades tell the same, sooner",
}


def check(rows: list[Row], expected: Row) -> None:
    """The first row, or the first of the table that is expected, has these columns."""
    row = next(row for row in rows if row.get("table") == expected.get("table"))
    assert row
    assert {column: row.get(column) for column in expected} == expected


@needs_samples
@pytest.mark.parametrize("name", OKX_SAMPLES)
def test_a_sample_of_okx_is_read(name: str) -> None:
    read, expected = OKX_SAMPLES[name]
    check(read(json.loads((OKX / f"{name}.json").read_text())), expected)


@needs_samples
@pytest.mark.parametrize("name", OKX_NOT_READ)
def test_a_push_that_nobody_asked_for_is_nothing(name: str) -> None:
    raw = json.loads((OKX / f"{name}.json").read_text())
    assert stream({"arg": {"channel": "tickers"}, **raw}) == []


# -- Binance ---------------------------------------------------------------------------------------


def spot_tables(base: str = "ETH", quote: str = "USDT") -> BinanceTables:
    return BinanceTables(
        pair(base, quote), chains.Chains(ClientIds("mm_"), lambda: 1.0, chains.BINANCE), "7", 0.0
    )


def told(raw: Any) -> list[Row]:
    """The tables that an event of the account amounts to, each with its first row."""
    event = raw if "event" in raw else {"subscriptionId": 0, "event": raw}
    quote = "BTC" if str(raw.get("event", raw).get("s", "")).endswith("BTC") else "USDT"
    found = spot_tables(quote=quote).read(event)
    return [{"table": t["table"], **t["data"][0]} for t in found]


def placed_at_binance(raw: Any) -> list[Row]:
    first = raw[0] if isinstance(raw, list) else raw
    row = spot_tables("BTC").order_row(first)
    assert row is not None
    return [row]


def traded(raw: Any) -> list[Row]:
    row = binance_rows.execution_row(raw[0], pair("BNB", "BTC"), "", "")
    assert row is not None
    return [row]


BINANCE_SAMPLES: dict[str, tuple[Callable[[Any], list[Row]], Row]] = {
    "spot_http/account_response": (
        lambda raw: [dict(binance_rows.balances(raw["balances"]))],
        {},
    ),
    "spot_http/account_trades_response": (traded, {"side": "Buy", "lastPx": 4.000001}),
    "spot_http/all_orders_response": (placed_at_binance, {"ordStatus": "New", "orderQty": 1}),
    "spot_http/book_ticker_response": (
        lambda raw: [binance_rows.quote_row(raw, pair("LTC", "BTC"))],
        {"bidPrice": 4.0, "askPrice": 4.000002, "askSize": 9},
    ),
    "spot_http/cancel_open_orders_response": (
        placed_at_binance,
        {"ordStatus": "Canceled", "leavesQty": 0},
    ),
    "spot_http/cancel_order_response": (
        placed_at_binance,
        {"ordStatus": "Canceled", "leavesQty": 0},
    ),
    "spot_http/depth_response": (
        lambda raw: [
            {"table": t["table"], **t["data"][0]}
            for t in spot_tables("LTC", "BTC").read({"stream": "ltcbtc@depth20@100ms", "data": raw})
        ],
        {"table": "orderBookL2", "side": "Sell", "price": 4.000002},
    ),
    "spot_http/exchange_info_response": (
        lambda raw: [SpotMarket.read(raw["symbols"][0]).instrument_row()],
        {"typ": "IFXXXP", "state": "Open"},
    ),
    "spot_http/new_order_full_response": (placed_at_binance, {**FILLED, "cumQty": 10}),
    "spot_http/open_orders_response": (placed_at_binance, {"ordStatus": "New", "side": "Buy"}),
    "spot_http/order_response": (placed_at_binance, {"clOrdID": "myOrder1", "leavesQty": 1}),
    "spot_http/klines_response": (
        lambda raw: [binance_rows.bar(one)._asdict() for one in raw],
        {"start_ms": 1_499_040_000_000, "high": 0.8, "close": 0.015771, "trades": 308},
    ),
    "spot_http/trades_response": (
        lambda raw: [binance_rows.trade_row(row, pair()) for row in raw],
        {"side": "Sell", "price": 4.000001, "size": 12},
    ),
    "spot_user_data/account_position": (told, {"table": "margin", "availableMargin": 10**10}),
    "spot_user_data/account_position_wrapped": (told, {"table": "position"}),
    "spot_user_data/execution_report_canceled": (told, {"table": "order", "ordStatus": "Canceled"}),
    "spot_user_data/execution_report_expired": (told, {"table": "order", "ordStatus": "Canceled"}),
    "spot_user_data/execution_report_new": (told, {"table": "order", "ordStatus": "New"}),
    "spot_user_data/execution_report_stop_loss": (told, {"table": "order", "stopPx": 2_450.0}),
    "spot_user_data/execution_report_trade": (told, {"table": "execution", "lastPx": 2_500.0}),
    "spot_user_data/execution_report_wrapped": (told, {"table": "order"}),
}
BINANCE_NOT_READ = {
    "spot_http/avg_price_response": "the touch and the trades come by the stream",
    "spot_http/ping_response": "holds nothing",
    "spot_http/server_time_response": "every answer bears the time",
    "spot_http/ticker_24hr_response": "the touch and the trades come by the stream",
    "spot_http/ticker_price_response": "the touch and the trades come by the stream",
    "spot_user_data/balance_update": "an outboundAccountPosition follows with the balances",
    "spot_user_data/balance_update_wrapped": "an outboundAccountPosition follows",
    "spot_user_data/list_status_wrapped": "order lists are not placed",
}


@needs_samples
@pytest.mark.parametrize("name", BINANCE_SAMPLES)
def test_a_sample_of_binance_is_read(name: str) -> None:
    read, expected = BINANCE_SAMPLES[name]
    check(read(json.loads((BINANCE / f"{name}.json").read_text())), expected)


@needs_samples
@pytest.mark.parametrize(
    "path", sorted(BINANCE.glob("futures_*/*.json")), ids=lambda path: str(path.stem)
)
def test_what_belongs_to_futures_is_nothing_to_a_bot_on_spot(path: Path) -> None:
    raw = json.loads(path.read_text())
    event = {"subscriptionId": 0, "event": raw} if isinstance(raw, dict) else {"event": {}}
    assert spot_tables().read(event) == []


@needs_samples
@pytest.mark.parametrize("name", [n for n in BINANCE_NOT_READ if n.startswith("spot_user")])
def test_an_event_that_tells_nothing_new_is_nothing(name: str) -> None:
    assert told(json.loads((BINANCE / f"{name}.json").read_text())) == []


# -- all of them -----------------------------------------------------------------------------------


@needs_samples
def test_every_file_is_read_or_has_its_reason() -> None:
    okx = {path.stem for path in OKX.glob("*.json")}
    assert okx == OKX_SAMPLES.keys() | OKX_NOT_READ.keys()
    spot = {f"{p.parent.name}/{p.stem}" for p in BINANCE.glob("spot_*/*.json")}
    assert spot == BINANCE_SAMPLES.keys() | BINANCE_NOT_READ.keys()
    others = {path.parent.name for path in BINANCE.rglob("*.json")} - {
        "spot_http",
        "spot_user_data",
    }
    assert all(name.startswith("futures_") for name in others)
