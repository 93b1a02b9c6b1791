"""Engine objects as BitMEX rows: camelCase columns, float prices, ISO times.

Every function answers a fresh dict with every column; the profile decides whether nulls go out.
"""

from collections.abc import Iterable, Iterator
from functools import lru_cache
from typing import NamedTuple, Self

from market_maker.model.rows import Row
from market_maker.model.ticks import PriceGrid
from market_maker.simulator.events import Order, OrderEvent, QuoteEvent, TradeEvent
from market_maker.simulator.instruments import Instrument, iso_time

iso = lru_cache(maxsize=256)(iso_time)  # events come in bunches of one time

NO_MATCH = "00000000-0000-0000-0000-000000000000"  # trdMatchID of an execution without a trade

BIN_SECONDS = {"1m": 60, "5m": 300, "1h": 3600, "1d": 86400}
MAX_BINS = 10_000  # how far back an instrument without trades is filled up with empty bins


class Listing(NamedTuple):
    """What rows of one symbol need to know of its instrument."""

    spec: Instrument
    grid: PriceGrid

    @classmethod
    def of(cls, spec: Instrument) -> Self:
        return cls(spec, spec.grid())

    def price(self, ticks: int | None) -> float | None:
        return None if ticks is None else self.grid.price(ticks)


def order_row(order: Order, listing: Listing) -> Row:
    return {
        "orderID": order.order_id,
        "clOrdID": order.cl_ord_id,
        "clOrdLinkID": order.extra.get("clOrdLinkID", ""),
        "account": order.account,
        "symbol": order.symbol,
        "side": order.side,
        "orderQty": order.order_qty,
        "price": listing.price(order.price_ticks),
        "displayQty": order.display_qty,
        "stopPx": listing.price(order.stop_ticks),
        "pegOffsetValue": order.extra.get("pegOffsetValue"),
        "pegPriceType": order.extra.get("pegPriceType", ""),
        "currency": listing.spec.quote_currency,
        "settlCurrency": listing.spec.settle_currency,
        "ordType": order.ord_type,
        "timeInForce": order.time_in_force,
        "execInst": order.exec_inst,
        "contingencyType": "",
        "ordStatus": order.ord_status,
        "triggered": order.triggered,
        "workingIndicator": order.working,
        "ordRejReason": order.rej_reason,
        "leavesQty": order.leaves_qty,
        "cumQty": order.cum_qty,
        "avgPx": order.avg_px,
        "text": order.text,
        "transactTime": iso(order.transact_time),
        "timestamp": iso(order.timestamp),
    }


def execution_row(event: OrderEvent, listing: Listing) -> Row:
    """The exchange's record of one thing that happened to an order."""
    row = order_row(event.order, listing)
    fill = event.fill
    extra: Row = {
        "execID": event.exec_id,
        "lastQty": None,
        "lastPx": None,
        "lastLiquidityInd": "",
        "execType": event.exec_type,
        "commission": None,
        "feeType": "",
        "tradePublishIndicator": "",
        "trdMatchID": NO_MATCH,
        "execCost": None,
        "execComm": None,
        "homeNotional": None,
        "foreignNotional": None,
        "timestamp": iso(event.time_s),
        "transactTime": iso(event.time_s),
    }
    if fill is not None:
        price = listing.grid.price(fill.price_ticks)
        _, home, foreign = listing.spec.notionals(fill.qty, price)
        sign = 1 if event.order.side == "Buy" else -1
        extra |= {
            "lastQty": fill.qty,
            "lastPx": price,
            "lastLiquidityInd": "AddedLiquidity" if fill.is_maker else "RemovedLiquidity",
            "commission": fill.commission,
            "feeType": "Maker" if fill.is_maker else "Taker",
            "tradePublishIndicator": "PublishTrade",
            "trdMatchID": fill.match_id,
            "execCost": fill.cost_sat,
            "execComm": fill.comm_sat,
            "homeNotional": sign * home,
            "foreignNotional": -sign * foreign,
        }
    return row | extra


def trade_row(trade: TradeEvent, listing: Listing) -> Row:
    price = listing.grid.price(trade.price_ticks)
    value, home, foreign = listing.spec.notionals(trade.qty, price)
    return {
        "timestamp": iso(trade.time_s),
        "symbol": trade.symbol,
        "side": trade.side,
        "size": trade.qty,
        "price": price,
        "tickDirection": trade.tick_direction,
        "trdMatchID": trade.match_id,
        "grossValue": value,
        "homeNotional": home,
        "foreignNotional": foreign,
        "trdType": "Regular",
    }


def quote_row(quote: QuoteEvent, listing: Listing) -> Row:
    has_bid, has_ask = quote.bid_ticks is not None, quote.ask_ticks is not None
    return {
        "timestamp": iso(quote.time_s),
        "symbol": quote.symbol,
        "bidSize": quote.bid_size if has_bid else None,
        "bidPrice": listing.price(quote.bid_ticks),
        "askPrice": listing.price(quote.ask_ticks),
        "askSize": quote.ask_size if has_ask else None,
    }


def level_row(
    listing: Listing, level_id: int, side: str, size: int, price_ticks: int, time_s: float
) -> Row:
    """One price level of the book. A level that is gone (size 0) has no size."""
    row: Row = {
        "symbol": listing.spec.symbol,
        "id": level_id,
        "side": side,
        "size": size,
        "price": listing.grid.price(price_ticks),
        "timestamp": iso(time_s),
        "transactTime": iso(time_s),
    }
    if not size:
        del row["size"]
    return row


def bin_rows(
    trades: Iterable[TradeEvent], listing: Listing, bin_s: int, now_s: float, partial: bool
) -> list[Row]:
    """Trades, oldest first, as bins of *bin_s*; a bin is stamped with its end.

    A bin opens at the close of the one before, and a bin without trades repeats that price.
    With *partial* the running bin comes too.
    """
    rows: list[Row] = []
    close: float | None = None
    for end_s, inside in _bins(trades, bin_s, now_s):
        if end_s > now_s and not partial:
            break
        row = _bin_row(inside, listing, end_s, close)
        close = row["close"]
        rows.append(row)
    return rows


def _bins(
    trades: Iterable[TradeEvent], bin_s: int, now_s: float
) -> Iterator[tuple[int, list[TradeEvent]]]:
    inside: list[TradeEvent] = []
    end_s = 0
    for trade in trades:
        if not end_s:
            end_s = (int(trade.time_s) // bin_s + 1) * bin_s
        while trade.time_s >= end_s:
            yield end_s, inside
            inside = []
            end_s += bin_s
        inside.append(trade)
    for _ in range(MAX_BINS if end_s else 0):
        yield end_s, inside
        inside = []
        end_s += bin_s
        if end_s - bin_s > now_s:
            break


def _bin_row(
    trades: list[TradeEvent], listing: Listing, end_s: int, previous_close: float | None
) -> Row:
    prices = [listing.grid.price(trade.price_ticks) for trade in trades]
    opened = previous_close if previous_close is not None else prices[0]
    prices_seen = prices or [opened]
    volume = turnover = 0
    home = foreign = 0.0
    for trade, price in zip(trades, prices, strict=True):
        value, trade_home, trade_foreign = listing.spec.notionals(trade.qty, price)
        volume += trade.qty
        turnover += value
        home += trade_home
        foreign += trade_foreign
    return {
        "timestamp": iso(end_s),
        "symbol": listing.spec.symbol,
        "open": opened,
        "high": max(prices_seen),
        "low": min(prices_seen),
        "close": prices_seen[-1],
        "trades": len(trades),
        "volume": volume,
        "vwap": round(foreign / home, 4) if home else None,
        "lastSize": trades[-1].qty if trades else None,
        "turnover": turnover,
        "homeNotional": home,
        "foreignNotional": foreign,
    }
