"""OKX's words and BitMEX's rows, one into the other, and nothing else.

Sizes above the connector are contracts as BitMEX counts them: on BTC-USD-SWAP one is worth
1 USD, so `sz` 1 (ctVal 100 USD) is an orderQty of 100; on linear swaps and on spot one is a
unit of the base currency. Fees have BitMEX's sign: paid is positive.

Facts: OKX v5 API guide; the samples of its public clients.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import ROUND_HALF_EVEN, Decimal, InvalidOperation
from typing import Any, Self

from market_maker.exchanges.public_reads import Bar
from market_maker.model.rows import POST_ONLY, TERMINAL, WOULD_TAKE, Row

Raw = Mapping[str, Any]

# The bot's BitMEX names for what is traded here.
SYMBOLS = {"XBTUSD": "BTC-USD-SWAP", "XBTUSDT": "BTC-USDT-SWAP", "ETHUSDT": "ETH-USDT-SWAP"}
MINOR = {"BTC": ("XBt", 8), "USDT": ("USDt", 6), "ETH": ("Gwei", 9)}  # else eight decimals

_STATUS = {
    "live": "New",
    "partially_filled": "PartiallyFilled",
    "filled": "Filled",
    "canceled": "Canceled",
    "mmp_canceled": "Canceled",
}
_MARKET = ("market", "optimal_limit_ioc")
_LIFETIME = {"fok": "FillOrKill", **dict.fromkeys(("ioc", *_MARKET), "ImmediateOrCancel")}
_POST_ONLY_SOURCE = "31"  # cancelSource of a post-only order that would have taken


def instrument_id(symbol: str) -> str:
    """The venue's name for *symbol*; its own names are taken as they are."""
    return SYMBOLS.get(symbol.upper(), symbol)


@dataclass(frozen=True, slots=True)
class Market:
    """One instrument. `unit` is how many contracts of the bot make one `sz`."""

    symbol: str  # what the bot calls it
    inst_id: str
    inst_type: str  # "SPOT" | "SWAP" | "FUTURES"
    inst_id_code: int | None  # what order frames of the stream must name
    base: str
    quote: str
    settle: str  # currency of profit and margin
    tick_size: Decimal
    lot_sz: Decimal
    min_sz: Decimal
    max_sz: Decimal
    unit: Decimal
    is_inverse: bool
    state: str

    @classmethod
    def read(cls, raw: Raw, symbol: str) -> Self:
        """Read a row of /public/instruments."""
        inst_type = str(raw["instType"])
        family = str(raw.get("uly") or raw.get("instFamily") or raw["instId"]).split("-")
        base, quote = raw.get("baseCcy") or family[0], raw.get("quoteCcy") or family[1]
        is_spot = inst_type == "SPOT"
        return cls(
            symbol=symbol,
            inst_id=str(raw["instId"]),
            inst_type=inst_type,
            inst_id_code=int(raw["instIdCode"]) if raw.get("instIdCode") else None,
            base=str(base),
            quote=str(quote),
            settle=str(quote if is_spot else raw["settleCcy"]),
            tick_size=Decimal(raw["tickSz"]),
            lot_sz=Decimal(raw["lotSz"]),
            min_sz=Decimal(raw["minSz"]),
            max_sz=Decimal(raw.get("maxLmtSz") or "Infinity"),
            unit=Decimal(1) if is_spot else Decimal(raw["ctVal"]) * Decimal(raw["ctMult"]),
            is_inverse=raw.get("ctType") == "inverse",
            state="Open" if raw.get("state") == "live" else str(raw.get("state")).capitalize(),
        )

    @property
    def is_spot(self) -> bool:
        return self.inst_type == "SPOT"

    def qty(self, sz: Any) -> float:
        """Contracts of the bot in *sz*; an int where they are whole."""
        return _plain(decimal(sz) * self.unit)

    def sz(self, qty: float) -> str:
        """*qty* contracts in the venue's size, on its lot."""
        lots = (Decimal(str(abs(qty))) / self.unit / self.lot_sz).quantize(1, ROUND_HALF_EVEN)
        return f"{(lots * self.lot_sz).normalize():f}"

    def px(self, price: float) -> str:
        """*price* on the venue's tick."""
        ticks = (Decimal(str(price)) / self.tick_size).quantize(1, ROUND_HALF_EVEN)
        return f"{ticks * self.tick_size:f}"

    def minor(self, amount: Any) -> int:
        """An amount of the settlement's currency in its smallest unit."""
        _, decimals = MINOR.get(self.settle, (self.settle, 8))
        return int(decimal(amount).scaleb(decimals).quantize(1, ROUND_HALF_EVEN))

    @property
    def settle_name(self) -> str:
        return MINOR.get(self.settle, (self.settle, 8))[0]

    def instrument_row(self) -> Row:
        """What does not move, as BitMEX's instrument table names it."""
        scale = 10 ** MINOR.get(self.settle, (self.settle, 8))[1]
        multiplier = -scale if self.is_inverse else scale
        return {
            "symbol": self.symbol, "rootSymbol": self.base, "state": self.state,
            "typ": "IFXXXP" if self.is_spot else "FFWCSX", "underlying": self.base,
            "quoteCurrency": self.quote, "settlCurrency": self.settle_name,
            "tickSize": float(self.tick_size), "lotSize": _plain(self.lot_sz * self.unit),
            "minQty": _plain(self.min_sz * self.unit),
            "maxOrderQty": _plain(self.max_sz * self.unit),
            "multiplier": multiplier, "isInverse": self.is_inverse, "isQuanto": False,
            "underlyingToSettleMultiplier": multiplier if self.is_inverse else None,
            "quoteToSettleMultiplier": None if self.is_inverse else multiplier,
            "unit": self.quote if self.is_inverse else self.base,
        }  # fmt: skip


def is_dead(raw: Mapping[str, Any]) -> bool:
    return _STATUS.get(str(raw.get("state"))) in TERMINAL


def order_row(raw: Raw, market: Market, cl_ord_id: str) -> Row:
    """A row of `orders` or /trade/orders-pending."""
    status = _STATUS.get(str(raw.get("state")), "New")
    filled, total = decimal(raw.get("accFillSz")), decimal(raw.get("sz"))
    order_type = str(raw.get("ordType"))
    rules = [POST_ONLY] if order_type == "post_only" else []
    if str(raw.get("reduceOnly")).lower() == "true":
        rules.append("ReduceOnly")
    moment = iso(raw.get("uTime"))
    return {
        "orderID": str(raw.get("ordId") or ""), "clOrdID": cl_ord_id, "symbol": market.symbol,
        "side": str(raw.get("side", "")).capitalize(), "price": price(raw.get("px")),
        "orderQty": market.qty(total), "cumQty": market.qty(filled),
        "leavesQty": 0 if status in TERMINAL else market.qty(total - filled),
        "avgPx": price(raw.get("avgPx")), "ordStatus": status,
        "ordType": "Market" if order_type in _MARKET else "Limit",
        "timeInForce": _LIFETIME.get(order_type, "GoodTillCancel"), "execInst": ",".join(rules),
        "workingIndicator": status not in TERMINAL, "text": _why(raw, status),
        "transactTime": moment, "timestamp": moment,
    }  # fmt: skip


def _why(raw: Raw, status: str) -> str:
    category = str(raw.get("category") or "normal")
    if status == "Canceled" and raw.get("cancelSource") == _POST_ONLY_SOURCE:
        return WOULD_TAKE
    if status == "Canceled":
        return f"Canceled: {raw.get('cancelSourceReason') or raw.get('cancelSource') or 'by user'}"
    return "" if category == "normal" else category


def execution_row(raw: Raw, market: Market, cl_ord_id: str, fee: Any) -> Row | None:
    """The fill that a row of `orders` or /trade/fills tells of, if it tells of one.

    *fee* is this fill's own, as the venue signs it: negative when paid.
    """
    sz = decimal(raw.get("fillSz"))
    if not sz or not raw.get("tradeId") or not raw.get("fillPx"):
        return None
    moment = iso(raw.get("fillTime") or raw.get("ts"))
    row: Row = {
        "execID": f"{market.inst_id}-{raw.get('ordId')}-{raw['tradeId']}",
        "trdMatchID": str(raw["tradeId"]), "orderID": str(raw.get("ordId") or ""),
        "clOrdID": cl_ord_id, "symbol": market.symbol, "execType": "Trade",
        "side": str(raw.get("side", "")).capitalize(), "lastQty": market.qty(sz),
        "lastPx": price(raw["fillPx"]),
        "lastLiquidityInd": "AddedLiquidity" if raw.get("execType") == "M" else "RemovedLiquidity",
        "execComm": -_fee_in_settlement(decimal(fee), raw, market),
        "feeQty": _plain(-decimal(fee)), "feeCurrency": _fee_currency(raw),
        "settlCurrency": market.settle_name, "transactTime": moment, "timestamp": moment,
    }  # fmt: skip
    if raw.get("accFillSz"):
        row["cumQty"] = market.qty(raw["accFillSz"])
    return row


def _fee_in_settlement(fee: Decimal, raw: Raw, market: Market) -> int:
    """A fee in the settlement's minor units: a buyer on spot pays in what he buys."""
    currency = _fee_currency(raw) or market.settle
    if currency == market.settle:
        return market.minor(fee)
    is_base = market.is_spot and currency == market.base
    return market.minor(fee * decimal(raw["fillPx"])) if is_base else 0  # others have no price


def _fee_currency(raw: Raw) -> str:
    """A rebate for one fill may be paid in another currency than the fees of the order."""
    own = raw.get("fillFeeCcy") if raw.get("fillFee") else ""
    return str(own or raw.get("feeCcy") or "")


def position_row(rows: Iterable[Raw], market: Market, account: str) -> Row:
    """The net position; flat where the venue lists none."""
    held = next((raw for raw in rows if raw.get("instId") == market.inst_id), {})
    qty, mark = market.qty(held.get("pos")), price(held.get("markPx"))
    row: Row = {
        "account": account, "symbol": market.symbol, "currency": market.settle_name,
        "currentQty": qty, "isOpen": bool(qty), "avgEntryPrice": price(held.get("avgPx")),
        "avgCostPrice": price(held.get("avgPx")), "markPrice": mark,
        "breakEvenPrice": price(held.get("bePx")), "liquidationPrice": price(held.get("liqPx")),
        "leverage": price(held.get("lever")), "crossMargin": held.get("mgnMode") != "isolated",
        "unrealisedPnl": market.minor(held.get("upl")),
        "realisedPnl": market.minor(held.get("realizedPnl")),
        "timestamp": iso(held.get("uTime")),
    }  # fmt: skip
    return row | _notionals(qty, mark, market)


def _notionals(qty: float, mark: float | None, market: Market) -> Row:
    if not qty or not mark:
        return {"homeNotional": 0.0, "foreignNotional": 0.0, "markValue": 0}
    home, foreign = (qty / mark, -qty) if market.is_inverse else (qty, -qty * mark)
    value = -home if market.is_inverse else -foreign
    return {"homeNotional": home, "foreignNotional": foreign, "markValue": market.minor(value)}


def spot_position_row(details: Iterable[Raw], market: Market, inventory: float) -> Row:
    """On spot what is held beyond *inventory* of the base currency counts as the position."""
    held = _detail(details, market.base)
    total, free = decimal(held.get("cashBal")), decimal(held.get("availBal"))
    qty = _plain(total - Decimal(str(inventory)))
    return {
        "symbol": market.symbol, "currency": market.settle_name, "currentQty": qty,
        "isOpen": bool(qty), "freeQty": _plain(free), "lockedQty": _plain(total - free),
        "homeNotional": qty, "timestamp": iso(held.get("uTime")),
    }  # fmt: skip


def margin_row(details: Iterable[Raw], market: Market, account: str) -> Row:
    """The balance in the settlement currency, in its smallest unit."""
    held = _detail(details, market.settle)
    wallet, equity = decimal(held.get("cashBal")), decimal(held.get("eq"))
    free = decimal(held.get("availEq") or held.get("availBal"))
    return {
        "account": account, "currency": market.settle_name, "amount": market.minor(wallet),
        "walletBalance": market.minor(wallet), "marginBalance": market.minor(equity),
        "availableMargin": market.minor(free), "excessMargin": market.minor(free),
        "unrealisedPnl": market.minor(held.get("upl")),
        "initMargin": market.minor(held.get("ordFrozen")),  # what our orders tie up
        "marginUsedPcnt": round(float(1 - free / equity), 4) if equity > 0 else 0.0,
        "marginLeverage": float(decimal(held.get("notionalLever"))),
        "timestamp": iso(held.get("uTime")),
    }  # fmt: skip


def quote_row(raw: Raw, market: Market) -> Row:
    """The touch: a row of `bbo-tbt`, `books5` or /market/books. An empty side is None."""
    bid = next(iter(raw.get("bids") or ()), (None, None))
    ask = next(iter(raw.get("asks") or ()), (None, None))
    return {
        "timestamp": iso(raw.get("ts")), "symbol": market.symbol,
        "bidSize": None if bid[0] is None else market.qty(bid[1]), "bidPrice": price(bid[0]),
        "askPrice": price(ask[0]), "askSize": None if ask[0] is None else market.qty(ask[1]),
    }  # fmt: skip


def price_limits(raw: Raw) -> Row:
    """The highest price that buys and the lowest that sells, None where nothing bounds them."""
    return {
        "limitUpPrice": price(raw.get("buyLmt")), "limitDownPrice": price(raw.get("sellLmt")),
    }  # fmt: skip


def trade_row(raw: Raw, market: Market) -> Row:
    """A public print; `side` is the taker's."""
    return {
        "timestamp": iso(raw.get("ts")), "symbol": market.symbol,
        "side": str(raw.get("side", "")).capitalize(), "size": market.qty(raw.get("sz")),
        "price": price(raw.get("px")), "trdMatchID": str(raw.get("tradeId") or ""),
    }  # fmt: skip


def bar(raw: Sequence[str], market: Market) -> Bar:
    """A candle: start, open, high, low, close, volume in `sz`, in base or quote, in quote."""
    start, *prices, volume, in_currency, in_quote = raw[:8]
    first, high, low, last = map(float, prices)
    home = float(volume if market.is_spot else in_currency)
    return Bar(int(start), first, high, low, last, market.qty(volume), home, float(in_quote))


def iso(milliseconds: Any) -> str | None:
    """Unix milliseconds, as the venue writes them, as BitMEX's time; None for none."""
    if not milliseconds or str(milliseconds) == "0":
        return None
    seconds, ms = divmod(int(milliseconds), 1000)
    moment = datetime.fromtimestamp(seconds, UTC)
    return f"{moment:%Y-%m-%dT%H:%M:%S}.{ms:03d}Z"


def price(text: Any) -> float | None:
    """A number that the venue leaves empty, or 0, where there is none."""
    return float(text) if text and float(text) else None


def decimal(text: Any) -> Decimal:
    """A number as exact as it was written; what is empty counts as 0."""
    if isinstance(text, Decimal):
        return text
    try:
        return Decimal(str(text)) if text not in (None, "") else Decimal(0)
    except InvalidOperation:
        raise ValueError(f"not a number: {text!r}") from None


def _plain(number: Decimal) -> float:
    return int(number) if number == number.to_integral_value() else float(number)


def _detail(details: Iterable[Raw], currency: str) -> Raw:
    return next((row for row in details if row.get("ccy") == currency), {})
