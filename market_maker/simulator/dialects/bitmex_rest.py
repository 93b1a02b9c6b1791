"""BitMEX's account and market endpoints, and the table of all routes."""

from collections.abc import Callable
from typing import Any, NamedTuple

from market_maker.model.rows import Row
from market_maker.simulator.dialects import bitmex_orders as orders
from market_maker.simulator.dialects import bitmex_rows as rows
from market_maker.simulator.dialects.bitmex_orders import Call, whole
from market_maker.simulator.dialects.bitmex_tables import TABLES, parse_bool
from market_maker.simulator.exchange import Refused

VERSION = "1.2.0"
BALANCE_TYPES = frozenset({"Trade", "Funding", "Settlement"})  # what tradeHistory shows


def get_executions(call: Call) -> list[Row]:
    return _executions(call, None)


def get_trade_history(call: Call) -> list[Row]:
    return _executions(call, BALANCE_TYPES)


def _executions(call: Call, kinds: frozenset[str] | None) -> list[Row]:
    symbols = call.symbols()
    found = [
        rows.execution_row(event, call.feed.listing(event.order.symbol))
        for event in call.engine.executions(call.owner)
        if event.order.symbol in symbols and (kinds is None or event.exec_type in kinds)
    ]
    return call.rows(found, TABLES["execution"].keys)


def get_positions(call: Call) -> list[Row]:
    symbols = call.symbols()
    held = [name for name in call.engine.position_symbols(call.owner) if name in symbols]
    found = [dict(call.engine.position_row(call.owner, symbol)) for symbol in held]
    return call.rows(found, TABLES["position"].keys)


def get_margin(call: Call) -> Row | list[Row]:
    currency = str(call.params.get("currency") or "XBt")
    row = dict(call.engine.margin_row(call.owner))
    if currency == "all":
        return [row]
    if currency != row["currency"]:
        raise Refused("Invalid currency", name="ValidationError")
    return row


# -- market


def get_instruments(call: Call) -> list[Row]:
    found = [dict(call.engine.instrument_row(symbol)) for symbol in call.symbols()]
    return call.rows(found, TABLES["instrument"].keys)


def get_active_instruments(call: Call) -> list[Row]:
    found = [dict(call.engine.instrument_row(symbol)) for symbol in call.engine.symbols()]
    return [row for row in found if row.get("state") == "Open"]


def get_book(call: Call) -> list[Row]:
    if not call.params.get("symbol"):
        raise Refused("'symbol' is a required arg.", name="ValidationError")
    depth = whole(call.params.get("depth", 25), "depth")
    return [row for symbol in call.symbols() for row in call.feed.book_rows(symbol, depth)]


def get_quotes(call: Call) -> list[Row]:
    found: list[Row] = []
    for symbol in call.symbols():
        recent = call.feed.quotes.get(symbol)
        if recent:
            found += [rows.quote_row(quote, call.feed.listing(symbol)) for quote in recent]
        else:
            found += call.feed.image("quote", symbol, None)
    return call.rows(_by_time(found), ("timestamp", "symbol"))


def get_trades(call: Call) -> list[Row]:
    found: list[Row] = []
    for symbol in call.symbols():
        listing = call.feed.listing(symbol)
        found += [rows.trade_row(trade, listing) for trade in call.engine.trades(symbol)]
    return call.rows(_by_time(found), ("timestamp", "symbol"), 1000)


def get_trade_bins(call: Call) -> list[Row]:
    bin_s = rows.BIN_SECONDS.get(str(call.params.get("binSize") or "1m"))
    if bin_s is None:
        raise Refused("Invalid binSize: must be 1m, 5m, 1h or 1d", name="ValidationError")
    is_partial = parse_bool(call.params.get("partial"))
    found: list[Row] = []
    for symbol in call.symbols():
        trades, now_s = call.engine.trades(symbol), call.engine.now()
        found += rows.bin_rows(trades, call.feed.listing(symbol), bin_s, now_s, is_partial)
    return call.rows(_by_time(found), ("timestamp", "symbol"), 1000)


def _by_time(found: list[Row]) -> list[Row]:
    return sorted(found, key=lambda row: str(row["timestamp"]))


def get_root(call: Call) -> Row:
    return {
        "name": "BitMEX API",
        "version": VERSION,
        "timestamp": round(call.engine.now() * 1000),
    }


class Route(NamedTuple):
    """An endpoint and the permissions of which a key needs one; None for a public one."""

    answer: Callable[[Call], Any]
    needs: frozenset[str] | None = None
    is_bulk: bool = False


PUBLIC: None = None
READ: frozenset[str] = frozenset()
TRADE = frozenset({"order"})
CANCEL = frozenset({"order", "orderCancel"})

ROUTES = {
    ("GET", ""): Route(get_root),
    ("GET", "/order"): Route(orders.get_orders, READ),
    ("POST", "/order"): Route(orders.place_order, TRADE),
    ("PUT", "/order"): Route(orders.amend_order, TRADE),
    ("DELETE", "/order"): Route(orders.cancel_orders, CANCEL),
    ("POST", "/order/bulk"): Route(orders.place_bulk, TRADE, is_bulk=True),
    ("PUT", "/order/bulk"): Route(orders.amend_bulk, TRADE, is_bulk=True),
    ("DELETE", "/order/all"): Route(orders.cancel_all, CANCEL),
    ("POST", "/order/cancelAllAfter"): Route(orders.cancel_all_after, CANCEL),
    ("GET", "/execution"): Route(get_executions, READ),
    ("GET", "/execution/tradeHistory"): Route(get_trade_history, READ),
    ("GET", "/position"): Route(get_positions, READ),
    ("GET", "/user/margin"): Route(get_margin, READ),
    ("GET", "/instrument"): Route(get_instruments),
    ("GET", "/instrument/active"): Route(get_active_instruments),
    ("GET", "/orderBook/L2"): Route(get_book),
    ("GET", "/quote"): Route(get_quotes),
    ("GET", "/trade"): Route(get_trades),
    ("GET", "/trade/bucketed"): Route(get_trade_bins),
}
