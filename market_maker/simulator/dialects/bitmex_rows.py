"""Engine objects as BitMEX rows: camelCase columns, float prices, ISO times.

Every function answers a fresh dict with every column; the profile decides whether nulls go out.
"""

from functools import lru_cache
from typing import NamedTuple, Self

from market_maker.model.rows import Row
from market_maker.model.ticks import PriceGrid
from market_maker.simulator.dialects.bitmex_tables import (
    EXECUTION_EXTRA,
    ORDER_EXTRA,
    TRADE_COLUMNS,
)
from market_maker.simulator.events import (
    Fill,
    FundingEvent,
    LiquidationEvent,
    Order,
    OrderEvent,
    QuoteEvent,
    SettlementEvent,
    TradeEvent,
    Transaction,
)
from market_maker.simulator.exchange import Engine
from market_maker.simulator.instruments import Instrument, iso_time

_YEAR_2000_S = 946_684_800

iso = lru_cache(maxsize=256)(iso_time)  # events come in bunches of one time

NO_ID = "00000000-0000-0000-0000-000000000000"  # of an order nobody sent, a match nobody made


class Listing(NamedTuple):
    """What rows of one symbol need to know of its instrument and of the protocol's age."""

    spec: Instrument
    grid: PriceGrid
    is_classic: bool

    @classmethod
    def of(cls, spec: Instrument, is_classic: bool) -> Self:
        return cls(spec, spec.grid(), is_classic)

    def price(self, ticks: int | None) -> float | None:
        return None if ticks is None else self.grid.price(ticks)


class Listings(dict[str, Listing]):
    """Listings by symbol, made when first asked for."""

    def __init__(self, engine: Engine, is_classic: bool) -> None:
        super().__init__()
        self.is_classic = is_classic
        self._engine = engine

    def __missing__(self, symbol: str) -> Listing:
        found = self[symbol] = Listing.of(self._engine.instrument(symbol), self.is_classic)
        return found


def order_row(order: Order, listing: Listing) -> Row:
    extra = order.extra
    return {
        "orderID": order.order_id,
        "clOrdID": order.cl_ord_id,
        "clOrdLinkID": extra.get("clOrdLinkID", ""),
        "account": order.account,
        "symbol": order.symbol,
        "side": order.side,
        "orderQty": order.order_qty,
        "price": listing.price(order.price_ticks),
        "displayQty": order.display_qty,
        "stopPx": listing.price(order.stop_ticks),
        "pegOffsetValue": extra.get("pegOffsetValue"),
        "pegPriceType": extra.get("pegPriceType", ""),
        "currency": listing.spec.quote_currency,
        "settlCurrency": listing.spec.settle_currency,
        "ordType": order.ord_type,
        "timeInForce": order.time_in_force,
        "execInst": order.exec_inst,
        "contingencyType": extra.get("contingencyType", ""),
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
        **ORDER_EXTRA[listing.is_classic],
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
        "trdMatchID": NO_ID,
        "execCost": None,
        "execComm": None,
        "homeNotional": None,
        "foreignNotional": None,
        "timestamp": iso(event.time_s),
        "transactTime": iso(event.time_s),
        **EXECUTION_EXTRA[listing.is_classic],
    }
    if fill is not None:
        extra |= _fill_columns(event, fill, listing)
    return row | extra


def cancel_reject_row(event: OrderEvent) -> Row:
    """The record of a cancel that named no order of the account."""
    order, time = event.order, iso(event.time_s)
    return {
        "execID": event.exec_id,
        "orderID": order.order_id,
        "account": order.account,
        "execType": event.exec_type,
        "ordStatus": order.ord_status,
        "workingIndicator": False,
        "ordRejReason": order.rej_reason,
        "text": order.text,
        "transactTime": time,
        "timestamp": time,
    }


def _fill_columns(event: OrderEvent, fill: Fill, listing: Listing) -> Row:
    price = listing.grid.price(fill.price_ticks) if fill.price is None else fill.price
    _, home, foreign = listing.spec.notionals(fill.qty, price)
    sign = 1 if fill.cost_sat * (-1 if listing.spec.is_inverse else 1) >= 0 else -1
    is_trade = event.exec_type not in ("Funding", "Settlement")
    liquidity = "AddedLiquidity" if fill.is_maker else "RemovedLiquidity"
    found: Row = {
        "lastQty": fill.qty,
        "lastPx": price,
        "lastLiquidityInd": liquidity if is_trade else "",
        "commission": fill.commission,
        "feeType": ("Maker" if fill.is_maker else "Taker") if is_trade else event.exec_type,
        "tradePublishIndicator": _published(event) if is_trade else "",
        "trdMatchID": fill.match_id,
        "execCost": fill.cost_sat,
        "execComm": fill.comm_sat,
        "homeNotional": sign * home,
        "foreignNotional": -sign * foreign,
    }
    if listing.is_classic:
        found["lastMkt"] = "XBME"
    else:
        found["realisedPnl"], found["trdType"] = fill.realised_sat, "Regular"
    return found


def _published(event: OrderEvent) -> str:
    # a takeover by the liquidation engine is no trade on the book
    is_takeover = event.exec_type != "Trade" or event.order.text.startswith("Liquidation")
    return "DoNotPublishTrade" if is_takeover else "PublishTrade"


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


def index_print(symbol: str, price: float, direction: str, time_s: float) -> Row:
    """An index's print in the trade table: nothing was traded."""
    return {
        **dict.fromkeys(TRADE_COLUMNS),
        "timestamp": iso(time_s),
        "symbol": symbol,
        "side": "Buy",
        "size": 0,
        "price": price,
        "tickDirection": direction,
        "trdType": "Referential",
    }


def funding_row(event: FundingEvent) -> Row:
    return {
        "timestamp": iso(event.time_s),
        "symbol": event.symbol,
        "fundingInterval": timespan(event.interval_s),
        "fundingRate": event.rate,
        "fundingRateDaily": event.rate * (86400 / event.interval_s),
    }


def timespan(seconds: float) -> str:
    """A length of time as the protocol wrote it: counted from the year 2000."""
    return iso(_YEAR_2000_S + seconds)


def settlement_row(event: SettlementEvent) -> Row:
    return {
        "timestamp": iso(event.time_s),
        "symbol": event.symbol,
        "settlementType": event.kind,
        "settledPrice": event.price,
        **dict.fromkeys(
            ("optionStrikePrice", "optionUnderlyingPrice", "bankrupt", "taxBase", "taxRate")
        ),
    }


def liquidation_row(event: LiquidationEvent | Order, listing: Listing) -> Row:
    return {
        "orderID": event.order_id,
        "symbol": event.symbol,
        "side": event.side,
        "price": listing.price(event.price_ticks),
        "leavesQty": event.leaves_qty,
    }


def transaction_row(transaction: Transaction) -> Row:
    time = iso(transaction.time_s)
    return {
        "transactID": transaction.transact_id,
        "account": transaction.account,
        "currency": transaction.currency,
        "network": transaction.currency.lower() if transaction.address else "",
        "transactType": transaction.kind,
        "amount": transaction.amount,
        "fee": transaction.fee,
        "transactStatus": transaction.status,
        "address": transaction.address,
        "tx": "",
        "text": transaction.text,
        "transactTime": time,
        "timestamp": time,
        "walletBalance": transaction.wallet_balance,
    }
