"""BitMEX's market endpoints: instruments, book, quotes, trades, bins, funding and the like."""

from collections import Counter
from typing import Any

from market_maker.model.rows import Row
from market_maker.simulator.dialects import bitmex_rows as rows
from market_maker.simulator.dialects.bitmex_bins import quote_bins, trade_bins
from market_maker.simulator.dialects.bitmex_call import PERPETUAL, Call
from market_maker.simulator.dialects.bitmex_orders import whole
from market_maker.simulator.dialects.bitmex_select import parse_bool
from market_maker.simulator.dialects.bitmex_tables import BIN_SECONDS
from market_maker.simulator.exchange import Refused

MAX_PRINTS = 1000  # rows of one answer for trades and bins; other tables have 500


def get_instruments(call: Call) -> list[Row]:
    found = [call.feed.instrument_row(name) for name in call.symbols(with_indices=True)]
    return call.table("instrument", found)


def get_active(call: Call) -> list[Row]:
    found = [call.feed.instrument_row(name) for name in call.engine.symbols()]
    return [row for row in found if row.get("state") in ("Open", "Closed")]


def get_indices(call: Call) -> list[Row]:
    return [call.feed.instrument_row(name) for name in call.engine.indices()]


def get_active_and_indices(call: Call) -> list[Row]:
    return get_active(call) + get_indices(call)


def get_intervals(call: Call) -> Row:
    """Roots with a timeframe, and the symbol that each means."""
    names: dict[str, str] = {}
    for symbol in call.engine.symbols():
        row = call.engine.instrument_row(symbol)
        timeframe = "perpetual" if row["typ"] == PERPETUAL else "quarterly"
        names.setdefault(f"{row['rootSymbol']}:{timeframe}", symbol)
    return {"intervals": list(names), "symbols": list(names.values())}


def get_composite(call: Call) -> list[Row]:
    """An index's prints as its parts; it has one here."""
    asked = str(call.params.get("symbol") or ".BXBT").upper()
    found = [
        {
            "timestamp": row["timestamp"],
            "symbol": asked,
            "indexSymbol": asked,
            "indexMultiplier": None,
            "reference": "BMEX",
            "lastPrice": row["price"],
            "sourcePrice": None,
            "conversionIndex": None,
            "conversionIndexPrice": None,
            "weight": 1.0,
            "logged": row["timestamp"],
        }
        for row in call.feed.prints.get(asked, ())
    ]
    return call.rows(found, ("timestamp", "symbol"))


def get_book(call: Call) -> list[Row]:
    if not call.params.get("symbol"):
        raise Refused("'symbol' is a required arg.", name="ValidationError")
    depth = whole(call.params.get("depth", 25), "depth")
    feed = call.feed
    return [row for s in call.symbols() for row in feed.books.rows(s, feed.listings[s], depth)]


def get_quotes(call: Call) -> list[Row]:
    found: list[Row] = []
    for symbol in call.symbols():
        recent = call.feed.quotes.get(symbol) or [call.engine.quote(symbol)]
        listing = call.feed.listings[symbol]
        found += [rows.quote_row(q, listing) for q in recent if q.bid_size or q.ask_size]
    return call.series(found)


def get_quote_bins(call: Call) -> list[Row]:
    bin_s, is_partial, now_s = _bin_s(call), _is_partial(call), call.engine.now()
    found: list[Row] = []
    for symbol in call.symbols():
        recent, listing = call.feed.quotes.get(symbol, ()), call.feed.listings[symbol]
        found += quote_bins(recent, listing, bin_s, now_s, is_partial)
    return call.series(found, MAX_PRINTS)


def get_trades(call: Call) -> list[Row]:
    found: list[Row] = []
    for symbol in call.symbols(with_indices=True):
        if symbol[0] == ".":
            found += [dict(row) for row in call.feed.prints.get(symbol, ())]
            continue
        listing = call.feed.listings[symbol]
        found += [rows.trade_row(trade, listing) for trade in call.engine.trades(symbol)]
    return call.series(found, MAX_PRINTS)


def get_trade_bins(call: Call) -> list[Row]:
    bin_s, is_partial, now_s = _bin_s(call), _is_partial(call), call.engine.now()
    found: list[Row] = []
    for symbol in call.symbols():
        trades, listing = call.engine.trades(symbol), call.feed.listings[symbol]
        ended, running = trade_bins(trades, listing, bin_s, now_s)
        found += ended
        if is_partial and running.end_s:
            found.append(running.row())
    return call.series(found, MAX_PRINTS)


def _bin_s(call: Call) -> int:
    bin_s = BIN_SECONDS.get(str(call.params.get("binSize") or "1m"))
    if bin_s is None:
        raise Refused("Invalid binSize: must be 1m, 5m, 1h or 1d", name="ValidationError")
    return bin_s


def _is_partial(call: Call) -> bool:
    return parse_bool(call.params.get("partial"))


def get_funding(call: Call) -> list[Row]:
    engine = call.engine
    return call.series(rows.funding_row(e) for s in call.symbols() for e in engine.fundings(s))


def get_settlements(call: Call) -> list[Row]:
    found = [rows.settlement_row(event) for event in call.engine.settlements()]
    return call.series(call.of_symbol(found))


def get_liquidations(call: Call) -> list[Row]:
    found = [row for symbol in call.symbols() for row in call.feed.liquidations(symbol)]
    return call.table("liquidation", found)


def get_insurance(call: Call) -> list[Row]:
    return call.table("insurance", call.feed.insurance())


def get_stats(call: Call) -> list[Row]:
    """Volume and open interest by root; the last row is their total by value."""
    sums: dict[tuple[str, str], Counter[str]] = {}
    names = ("volume24h", "turnover24h", "openInterest", "openValue")
    for symbol in call.engine.symbols():
        row = call.engine.instrument_row(symbol)
        key = (row["rootSymbol"], row["settlCurrency"])
        sums.setdefault(key, Counter()).update({name: row[name] or 0 for name in names})
    found: list[dict[str, Any]] = [
        {"rootSymbol": root, "currency": currency, **{name: counts[name] for name in names}}
        for (root, currency), counts in sums.items()
    ]
    in_xbt = [row for row in found if row["currency"] == "XBt"]
    total = {name: sum(row[name] for row in in_xbt) for name in ("turnover24h", "openValue")}
    nothing = {"volume24h": None, "openInterest": None}
    return [*found, {"rootSymbol": "Total", "currency": "XBt", **nothing, **total}]
