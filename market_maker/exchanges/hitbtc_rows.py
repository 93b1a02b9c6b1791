"""HitBTC's words and BitMEX's rows, one into the other, and nothing else.

Sizes above the connector are units of the base currency. Fees have BitMEX's sign: paid is
positive.

Facts: HitBTC v3 API; the messages that its public clients carry.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import ROUND_HALF_EVEN, Decimal
from typing import Any, Self

from market_maker.exchanges.okx_rows import MINOR, decimal, iso, price
from market_maker.exchanges.public_reads import Bar
from market_maker.model.rows import POST_ONLY, SPOT, TERMINAL, Row

Raw = Mapping[str, Any]

SYMBOLS = {"XBT_USDT": "BTCUSDT", "ETH_USDT": "ETHUSDT"}  # as BitMEX named spot

_STATUS = {
    "new": "New",
    "suspended": "New",
    "partiallyFilled": "PartiallyFilled",
    "filled": "Filled",
    "canceled": "Canceled",
    "expired": "Canceled",
}
_LIFETIMES = {"IOC": "ImmediateOrCancel", "FOK": "FillOrKill"}


def venue_symbol(symbol: str) -> str:
    """The venue's name for *symbol*; its own names are taken as they are."""
    return SYMBOLS.get(symbol.upper(), symbol)


@dataclass(frozen=True, slots=True)
class Market:
    """One symbol. Rates are fractions; a negative one is a rebate."""

    symbol: str  # what the bot calls it
    name: str  # what the venue calls it
    base: str
    quote: str
    fee_currency: str
    tick_size: Decimal
    increment: Decimal
    make_rate: float
    take_rate: float
    state: str

    @classmethod
    def read(cls, raw: Raw, symbol: str) -> Self:
        """Read a row of public/symbol; raises ValueError for anything but spot."""
        if raw.get("type", "spot") != "spot":
            raise ValueError(f"{symbol} is no spot symbol")
        quote = str(raw["quote_currency"])
        return cls(
            symbol=symbol,
            name=venue_symbol(symbol),
            base=str(raw["base_currency"]),
            quote=quote,
            fee_currency=str(raw.get("fee_currency") or quote),
            tick_size=Decimal(raw["tick_size"]),
            increment=Decimal(raw["quantity_increment"]),
            make_rate=float(raw.get("make_rate") or 0),
            take_rate=float(raw.get("take_rate") or 0),
            state="Open" if raw.get("status", "working") == "working" else "Closed",
        )

    def quantity(self, qty: Any) -> str:
        """A size on the venue's grid, as it writes one."""
        lots = abs(decimal(str(qty))) / self.increment
        return f"{lots.quantize(Decimal(1), ROUND_HALF_EVEN) * self.increment:f}"

    def px(self, price: float) -> str:
        """*price* on the venue's tick."""
        ticks = (Decimal(str(price)) / self.tick_size).quantize(Decimal(1), ROUND_HALF_EVEN)
        return f"{ticks * self.tick_size:f}"

    def minor(self, amount: Any) -> int:
        """An amount of the quote currency in its smallest unit."""
        scaled = decimal(amount).scaleb(_decimals(self.quote))
        return int(scaled.quantize(Decimal(1), ROUND_HALF_EVEN))

    @property
    def settle_name(self) -> str:
        return MINOR.get(self.quote, (self.quote, 8))[0]

    def instrument_row(self) -> Row:
        """What does not move, as BitMEX's instrument table names it."""
        multiplier, lot = 10 ** _decimals(self.quote), size(self.increment)
        return {
            "symbol": self.symbol, "rootSymbol": self.base, "state": self.state, "typ": SPOT,
            "underlying": self.base, "quoteCurrency": self.quote,
            "settlCurrency": self.settle_name, "tickSize": float(self.tick_size),
            "lotSize": lot, "minQty": lot, "multiplier": multiplier, "isInverse": False,
            "isQuanto": False, "underlyingToSettleMultiplier": None,
            "quoteToSettleMultiplier": multiplier, "initMargin": 1.0,
            "makerFee": self.make_rate, "takerFee": self.take_rate, "unit": self.base,
        }  # fmt: skip


def _decimals(currency: str) -> int:
    return MINOR.get(currency, (currency, 8))[1]


def order_row(raw: Raw, market: Market, order_id: str, cl_ord_id: str, before: Decimal) -> Row:
    """A report or an order of REST; *before* is what its earlier ids have filled."""
    status = _STATUS.get(str(raw.get("status")), "New")
    total, filled = decimal(raw.get("quantity")), decimal(raw.get("quantity_cumulative"))
    if status == "New" and before:
        status = "PartiallyFilled"
    moment = moment_of(raw.get("updated_at") or raw.get("created_at"))
    return {
        "orderID": order_id, "clOrdID": cl_ord_id, "symbol": market.symbol,
        "side": str(raw.get("side", "")).capitalize(), "price": price(raw.get("price")),
        "orderQty": size(before + total), "cumQty": size(before + filled),
        "leavesQty": 0 if status in TERMINAL else size(total - filled),
        "avgPx": price(raw.get("price_average")), "ordStatus": status,
        "ordType": str(raw.get("type") or "limit").capitalize(),
        "timeInForce": _LIFETIMES.get(str(raw.get("time_in_force")), "GoodTillCancel"),
        "execInst": POST_ONLY if raw.get("post_only") else "",
        "workingIndicator": status not in TERMINAL, "text": "",
        "transactTime": moment, "timestamp": moment,
    }  # fmt: skip


def execution_row(raw: Raw, market: Market, order_id: str, cl_ord_id: str) -> Row | None:
    """The fill that a report tells of, or a row of spot/history/trade; None where there is none."""
    is_report = "trade_id" in raw
    if not is_report and "order_id" not in raw:
        return None
    names = ("trade_id", "trade_quantity", "trade_price", "trade_fee", "trade_taker")
    columns = names if is_report else ("id", "quantity", "price", "fee", "taker")
    number, quantity, paid, fee, is_taker = (raw.get(name) for name in columns)
    side = str(raw.get("side", "")).capitalize()
    moment = moment_of(raw.get("updated_at") if is_report else raw.get("timestamp"))
    return {
        "execID": f"{market.name}-{number}-{side}", "trdMatchID": str(number),
        "orderID": order_id, "clOrdID": cl_ord_id, "symbol": market.symbol, "execType": "Trade",
        "side": side, "lastQty": size(quantity), "lastPx": price(paid),
        "lastLiquidityInd": "RemovedLiquidity" if is_taker else "AddedLiquidity",
        "execComm": _fee_in_quote(decimal(fee), decimal(paid), market),
        "feeQty": float(decimal(fee)), "feeCurrency": market.fee_currency,
        "settlCurrency": market.settle_name,
        "transactTime": moment, "timestamp": moment,
    }  # fmt: skip


def _fee_in_quote(fee: Decimal, paid: Decimal, market: Market) -> int:
    """A fee in the quote currency's minor units; one in a third currency cannot be valued."""
    if market.fee_currency == market.base:
        return market.minor(fee * paid)
    return market.minor(fee) if market.fee_currency == market.quote else 0


class Holding:
    """The balances of the two currencies, from an image and what changes them."""

    def __init__(self, market: Market, inventory: float, account: str) -> None:
        self._market, self._inventory, self._account = market, decimal(str(inventory)), account
        self._rows: dict[str, Raw] = {}

    def take(self, rows: Iterable[Raw]) -> set[str]:
        """Take balances in; the currencies of ours that they are about."""
        ours = {r["currency"]: r for r in rows if r.get("currency") in self._currencies}
        self._rows.update(ours)
        return set(ours)

    @property
    def _currencies(self) -> tuple[str, str]:
        return self._market.base, self._market.quote

    def _amounts(self, currency: str) -> tuple[Decimal, Decimal]:
        """(all, free)."""
        row = self._rows.get(currency, {})
        free = decimal(row.get("available"))
        return free + decimal(row.get("reserved")), free

    def position_row(self) -> Row:
        """What is held beyond the inventory of the base currency counts as the position."""
        held, free = self._amounts(self._market.base)
        qty = size(held - self._inventory)
        return {
            "account": self._account, "symbol": self._market.symbol,
            "currency": self._market.settle_name, "currentQty": qty, "isOpen": bool(qty),
            "freeQty": size(free), "lockedQty": size(held - free), "homeNotional": float(qty),
        }  # fmt: skip

    def margin_row(self) -> Row:
        """The quote currency, in its smallest unit."""
        held, free = (self._market.minor(a) for a in self._amounts(self._market.quote))
        return {
            "account": self._account, "currency": self._market.settle_name, "amount": held,
            "walletBalance": held, "marginBalance": held, "availableMargin": free,
            "initMargin": held - free, "excessMargin": free, "unrealisedPnl": 0,
            "marginLeverage": 0.0,
            "marginUsedPcnt": round(1 - free / held, 4) if held > 0 else 0.0,
        }  # fmt: skip


def quote_row(raw: Raw, market: Market) -> Row:
    """The touch: `orderbook/top`, or public/orderbook over REST. An empty side is None."""
    if "bid" in raw or "ask" in raw:
        bid, ask = (next(iter(raw.get(name) or ()), (None, None)) for name in ("bid", "ask"))
        moment = moment_of(raw.get("timestamp"))
    else:
        bid, ask = (raw.get("b"), raw.get("B")), (raw.get("a"), raw.get("A"))
        moment = iso(raw.get("t"))
    bid_price, ask_price = price(bid[0]), price(ask[0])
    return {
        "timestamp": moment, "symbol": market.symbol,
        "bidSize": None if bid_price is None else size(bid[1]), "bidPrice": bid_price,
        "askPrice": ask_price, "askSize": None if ask_price is None else size(ask[1]),
    }  # fmt: skip


def trade_row(raw: Raw, market: Market) -> Row:
    """A public print of the stream (t, i, p, q, s) or of REST; `side` is the taker's."""
    is_short = "t" in raw
    columns = ("i", "p", "q", "s") if is_short else ("id", "price", "qty", "side")
    number, paid, quantity, side = (raw.get(name) for name in columns)
    return {
        "timestamp": iso(raw["t"]) if is_short else moment_of(raw.get("timestamp")),
        "symbol": market.symbol, "side": str(side).capitalize(), "size": size(quantity),
        "price": price(paid), "trdMatchID": str(number),
    }  # fmt: skip


def bar(raw: Raw) -> Bar:
    """A candle of REST."""
    start_s = datetime.fromisoformat(str(raw["timestamp"])).timestamp()
    first, high, low, last = (float(raw[name]) for name in ("open", "max", "min", "close"))
    home, foreign = float(raw["volume"]), float(raw["volume_quote"])
    return Bar(round(start_s * 1000), first, high, low, last, home, home, foreign)


def size(number: Any) -> float:
    """A quantity as a number, an int where it is whole."""
    exact = decimal(number)
    return int(exact) if exact == exact.to_integral_value() else float(exact)


def moment_of(text: Any) -> str | None:
    """The venue's time, with or without parts of a second, always in milliseconds."""
    if not text:
        return None
    moment = datetime.fromisoformat(str(text)).astimezone(UTC)
    return f"{moment:%Y-%m-%dT%H:%M:%S}.{moment.microsecond // 1000:03d}Z"
