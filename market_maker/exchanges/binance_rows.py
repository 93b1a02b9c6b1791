"""Binance spot's words and BitMEX's rows, one into the other, and nothing else.

Sizes are units of the base currency. What is held of it beyond the user's inventory counts as the
position; the quote currency is the margin. Fees have BitMEX's sign: paid is positive.

Facts: Binance's spot API documentation and its samples.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from decimal import ROUND_DOWN, ROUND_HALF_EVEN, Decimal
from typing import Any, Self

from market_maker.exchanges.okx_rows import MINOR, decimal, iso, price
from market_maker.exchanges.public_reads import Bar
from market_maker.model.rows import POST_ONLY, SPOT, TERMINAL, Row

Raw = Mapping[str, Any]

_STATUS = {
    "NEW": "New", "PENDING_NEW": "New", "PENDING_CANCEL": "New",
    "PARTIALLY_FILLED": "PartiallyFilled", "FILLED": "Filled", "CANCELED": "Canceled",
    "REJECTED": "Rejected", "EXPIRED": "Canceled", "EXPIRED_IN_MATCH": "Canceled",
}  # fmt: skip
_LIFETIME = {"IOC": "ImmediateOrCancel", "FOK": "FillOrKill"}
# an executionReport's letters, as REST names the same
_LETTERS = {
    "i": "orderId", "S": "side", "o": "type", "f": "timeInForce", "q": "origQty", "p": "price",
    "z": "executedQty", "Z": "cummulativeQuoteQty", "X": "status", "T": "updateTime",
    "P": "stopPrice", "r": "rejectReason",
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class SpotMarket:
    """One symbol and its filters."""

    symbol: str
    base: str
    quote: str
    state: str
    tick_size: Decimal
    min_price: Decimal
    max_price: Decimal
    step_size: Decimal
    min_qty: Decimal
    max_qty: Decimal
    min_notional: Decimal
    max_notional: Decimal

    @classmethod
    def read(cls, raw: Raw) -> Self:
        """Read a symbol of exchangeInfo; a filter it lacks bounds nothing."""
        filters = {f["filterType"]: f for f in raw.get("filters") or ()}
        prices, lots = filters.get("PRICE_FILTER", {}), filters.get("LOT_SIZE", {})
        worth = filters.get("NOTIONAL") or filters.get("MIN_NOTIONAL") or {}
        finest = Decimal(1).scaleb(-8)
        endless = Decimal("Infinity")
        return cls(
            symbol=str(raw["symbol"]),
            base=str(raw["baseAsset"]),
            quote=str(raw["quoteAsset"]),
            state="Open" if raw.get("status") == "TRADING" else "Closed",
            tick_size=decimal(prices.get("tickSize")).normalize() or finest,
            min_price=decimal(prices.get("minPrice")),
            max_price=decimal(prices.get("maxPrice")) or endless,
            step_size=decimal(lots.get("stepSize")).normalize() or finest,
            min_qty=decimal(lots.get("minQty")),
            max_qty=decimal(lots.get("maxQty")) or endless,
            min_notional=decimal(worth.get("minNotional")),
            max_notional=decimal(worth.get("maxNotional")) or endless,
        )

    def qty(self, size: float | Decimal) -> Decimal:
        """*size* on the nearest step."""
        steps = (Decimal(str(abs(size))) / self.step_size).quantize(1, ROUND_HALF_EVEN)
        return steps * self.step_size

    def whole_steps(self, size: Decimal) -> Decimal:
        """As much of *size* as there are whole steps in it."""
        return (max(size, Decimal(0)) / self.step_size).quantize(1, ROUND_DOWN) * self.step_size

    def price(self, value: float) -> Decimal:
        """*value* on the nearest tick."""
        ticks = (Decimal(str(value)) / self.tick_size).quantize(1, ROUND_HALF_EVEN)
        return ticks * self.tick_size

    def objection(self, qty: Decimal, at: Decimal | None) -> str:
        """Which filter an order breaks, in words; a market order has no price. "" is none."""
        if qty < self.min_qty or qty > self.max_qty or not qty:
            return f"orderQty {qty:f} is not between {self.min_qty:f} and {self.max_qty:f}"
        if at is None:
            return ""
        if not self.min_price <= at <= self.max_price:
            return f"price {at:f} is not between {self.min_price:f} and {self.max_price:f}"
        if qty * at < self.min_notional:
            return f"{qty:f} at {at:f} is worth less than {self.min_notional:f} {self.quote}"
        if qty * at > self.max_notional:
            return f"{qty:f} at {at:f} is worth more than {self.max_notional:f} {self.quote}"
        return ""

    def minor(self, amount: Any) -> int:
        """An amount of the quote currency in its smallest unit."""
        return int(decimal(amount).scaleb(self._decimals).quantize(1, ROUND_HALF_EVEN))

    @property
    def quote_name(self) -> str:
        return MINOR.get(self.quote, (self.quote, 8))[0]

    @property
    def _decimals(self) -> int:
        return MINOR.get(self.quote, (self.quote, 8))[1]

    def instrument_row(self) -> Row:
        """What does not move, as BitMEX's instrument table names it."""
        row: Row = {
            "symbol": self.symbol, "rootSymbol": self.base, "state": self.state, "typ": SPOT,
            "underlying": self.base, "quoteCurrency": self.quote,
            "settlCurrency": self.quote_name, "tickSize": float(self.tick_size),
            "lotSize": plain(self.step_size), "minQty": plain(self.min_qty),
            "multiplier": 10**self._decimals, "isInverse": False, "isQuanto": False,
            "quoteToSettleMultiplier": 10**self._decimals, "unit": self.base,
            "initMargin": 1.0, "maintMargin": 0.0,
        }  # fmt: skip
        bounds = {
            "maxOrderQty": self.max_qty, "minPrice": self.min_price, "maxPrice": self.max_price,
            "minNotional": self.min_notional,
        }  # fmt: skip
        row.update({name: plain(bound) for name, bound in bounds.items() if bound.is_finite()})
        return row


def report(raw: Raw) -> Raw:
    """An order as REST shows it, whichever message told of it.

    `client_order_id` is the order's own id, also where the message bears that of the request
    which cancelled it.
    """
    if raw.get("e") == "executionReport":
        told = {name: raw.get(letter) for letter, name in _LETTERS.items()}
        told["client_order_id"] = raw.get("C") or raw.get("c")
    else:
        told = {**raw, "client_order_id": raw.get("origClientOrderId") or raw.get("clientOrderId")}
        told["updateTime"] = (
            raw.get("updateTime") or raw.get("transactTime") or raw.get("time") or 0
        )
    return told


def is_dead(raw: Raw) -> bool:
    return _STATUS.get(str(raw.get("status"))) in TERMINAL


def order_row(
    raw: Raw, market: SpotMarket, order_id: str, cl_ord_id: str, before: Decimal = Decimal(0)
) -> Row:
    """A `report` as an order row; *before* is what it filled under earlier ids."""
    status = _STATUS.get(str(raw.get("status")), "New")
    filled, total = decimal(raw.get("executedQty")), decimal(raw.get("origQty"))
    kind = str(raw.get("type"))
    if status == "New" and before + filled:
        status = "PartiallyFilled"
    moment = iso(raw.get("updateTime"))
    row: Row = {
        "orderID": order_id, "clOrdID": cl_ord_id, "symbol": market.symbol,
        "side": str(raw.get("side", "")).capitalize(), "price": price(raw.get("price")),
        "orderQty": plain(before + total), "cumQty": plain(before + filled),
        "leavesQty": 0 if status in TERMINAL else plain(total - filled),
        "avgPx": None, "ordStatus": status,
        "ordType": "Market" if kind == "MARKET" else "Limit",
        "timeInForce": _LIFETIME.get(str(raw.get("timeInForce")), "GoodTillCancel"),
        "execInst": POST_ONLY if kind == "LIMIT_MAKER" else "",
        "workingIndicator": status not in TERMINAL, "text": _why(raw, status),
        "transactTime": moment, "timestamp": moment,
    }  # fmt: skip
    if filled and raw.get("cummulativeQuoteQty"):
        row["avgPx"] = float(decimal(raw["cummulativeQuoteQty"]) / filled)
    if "STOP" in kind or "TAKE_PROFIT" in kind:
        row["stopPx"] = price(raw.get("stopPrice"))
        row["ordType"] = "StopLimit" if row["price"] else "Stop"
    return row


def _why(raw: Raw, status: str) -> str:
    reason = str(raw.get("rejectReason") or "NONE")
    if status == "Rejected":
        return f"Rejected: {reason}"
    return f"Canceled: {raw.get('status')}" if status == "Canceled" else ""


def execution_row(raw: Raw, market: SpotMarket, order_id: str, cl_ord_id: str) -> Row | None:
    """The fill that an executionReport or a row of myTrades tells of, if it tells of one."""
    if "e" in raw:
        if raw.get("x") != "TRADE":
            return None
        side, is_maker = str(raw["S"]).capitalize(), raw.get("m")
        number, qty, at, when = raw["t"], raw["l"], raw["L"], raw["T"]
        fee, currency, venue_id = raw.get("n"), raw.get("N"), raw["i"]
    else:
        side, is_maker = "Buy" if raw.get("isBuyer") else "Sell", raw.get("isMaker")
        number, qty, at, when = raw["id"], raw["qty"], raw["price"], raw["time"]
        fee, currency, venue_id = raw.get("commission"), raw.get("commissionAsset"), raw["orderId"]
    moment = iso(when)
    return {
        "execID": f"{market.symbol}-{venue_id}-{number}", "trdMatchID": str(number),
        "orderID": order_id, "clOrdID": cl_ord_id, "symbol": market.symbol, "execType": "Trade",
        "side": side, "lastQty": plain(decimal(qty)), "lastPx": price(at),
        "lastLiquidityInd": "AddedLiquidity" if is_maker else "RemovedLiquidity",
        "execComm": _fee_in_quote(decimal(fee), currency, decimal(at), market),
        "feeQty": plain(decimal(fee)), "feeCurrency": str(currency or ""),
        "settlCurrency": market.quote_name, "transactTime": moment, "timestamp": moment,
    }  # fmt: skip


def _fee_in_quote(fee: Decimal, currency: Any, at: Decimal, market: SpotMarket) -> int:
    """A fee in the quote currency's minor units; one in a third currency cannot be valued."""
    if currency == market.base:
        return market.minor(fee * at)
    return market.minor(fee) if currency == market.quote else 0


def position_row(free: Decimal, locked: Decimal, market: SpotMarket, inventory: Decimal) -> Row:
    """What is held of the base currency beyond *inventory*."""
    qty = plain(free + locked - inventory)
    return {
        "symbol": market.symbol, "currency": market.quote_name, "currentQty": qty,
        "isOpen": bool(qty), "freeQty": plain(free), "lockedQty": plain(locked),
        "homeNotional": qty,
    }  # fmt: skip


def margin_row(free: Decimal, locked: Decimal, market: SpotMarket, account: str) -> Row:
    """The quote currency, in its smallest unit; what bids have reserved is the initial margin."""
    balance = free + locked
    return {
        "account": account, "currency": market.quote_name, "amount": market.minor(balance),
        "walletBalance": market.minor(balance), "marginBalance": market.minor(balance),
        "availableMargin": market.minor(free), "excessMargin": market.minor(free),
        "initMargin": market.minor(locked), "unrealisedPnl": 0, "marginLeverage": 0.0,
        "marginUsedPcnt": round(float(locked / balance), 4) if balance else 0.0,
    }  # fmt: skip


def balances(rows: Iterable[Raw]) -> dict[str, tuple[Decimal, Decimal]]:
    """(free, locked) by currency, of an account's answer or an outboundAccountPosition."""
    return {
        str(row.get("asset") or row.get("a")): (
            decimal(row.get("free", row.get("f"))),
            decimal(row.get("locked", row.get("l"))),
        )
        for row in rows
    }


def quote_row(raw: Raw, market: SpotMarket) -> Row:
    """The touch: a bookTicker of the stream or of REST. An empty side is None."""
    bid, bid_size = raw.get("b", raw.get("bidPrice")), raw.get("B", raw.get("bidQty"))
    ask, ask_size = raw.get("a", raw.get("askPrice")), raw.get("A", raw.get("askQty"))
    return {
        "symbol": market.symbol, "bidPrice": price(bid), "askPrice": price(ask),
        "bidSize": plain(decimal(bid_size)) if price(bid) else None,
        "askSize": plain(decimal(ask_size)) if price(ask) else None,
    }  # fmt: skip


def trade_row(raw: Raw, market: SpotMarket) -> Row:
    """A public print, of the stream or of REST; `side` is the taker's."""
    is_sell = raw.get("m", raw.get("isBuyerMaker"))
    return {
        "timestamp": iso(raw.get("T", raw.get("time"))), "symbol": market.symbol,
        "side": "Sell" if is_sell else "Buy", "size": plain(decimal(raw.get("q", raw.get("qty")))),
        "price": price(raw.get("p", raw.get("price"))),
        "trdMatchID": str(raw.get("t", raw.get("id"))),
    }  # fmt: skip


def bar(raw: Sequence[Any]) -> Bar:
    """A kline: start, open, high, low, close, volume, end, quote volume, number of trades."""
    start, *prices, volume, _, in_quote, trades = raw[:9]
    first, high, low, last = map(float, prices)
    home = float(volume)
    return Bar(int(start), first, high, low, last, home, home, float(in_quote), int(trades))


def plain(number: Decimal) -> float:
    """An int where it is whole."""
    return int(number) if number == number.to_integral_value() else float(number)
