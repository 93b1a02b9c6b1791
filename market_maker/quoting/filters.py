"""The bounds that a venue sets to every order, as its instrument's row states them.

They are met before anything is sent: what a venue would refuse costs a request and a round.
"""

import math

from market_maker.model.rows import POST_ONLY, Row
from market_maker.model.ticks import LotGrid, plain

_TYPES = ("Limit", "Market")
_LIFETIMES = ("GoodTillCancel", "ImmediateOrCancel", "FillOrKill")
_SPECIAL = ("stopPx", "pegPriceType", "pegOffsetValue", "displayQty", "contingencyType")
_REDUCING = ("ReduceOnly", "Close")


def special(order: Row, may_reduce: bool) -> str:
    """What makes a new order more than one with a size that rests at its price or takes from the
    book, or nothing. Where a venue has no more than those, a stop without its trigger would be
    sold at once. *may_reduce*: it has orders that only shrink the position.
    """
    kind, lifetime = order.get("ordType"), order.get("timeInForce")
    if kind and kind not in _TYPES:
        return f"{kind} orders"
    if lifetime and lifetime not in _LIFETIMES:
        return f"orders with timeInForce {lifetime}"
    name = next((name for name in _SPECIAL if order.get(name) not in (None, "")), "")
    if name:
        return f"orders with {name}"
    known = ("", POST_ONLY, *(_REDUCING if may_reduce else ()))
    rule = next((r for r in str(order.get("execInst") or "").split(",") if r not in known), "")
    if rule:
        return f"orders with execInst {rule}"
    needed = ("orderQty", "price") if kind == "Limit" else ("orderQty",)
    lacking = next((name for name in needed if order.get(name) is None), "")
    return f"orders without {lacking}" if lacking else ""


def least_qty(price: float, instrument: Row) -> float:
    """The smallest size that the venue takes at *price*, in the bot's sizes."""
    worth = 0.0 if instrument.get("isInverse") else float(instrument.get("minNotional") or 0)
    lots = LotGrid.of(instrument.get("lotSize") or 1)
    worthy = lots.qty(math.ceil(worth / price / lots.qty(1))) if price else 0.0
    return max(lots.qty(1), float(instrument.get("minQty") or 0), worthy)


def breach(order: Row, instrument: Row) -> str:
    """Which bound *order* breaks, in words; an empty text where it breaks none.

    Sizes and prices are the bot's; `minNotional` is in the quote currency and bounds size x price
    of what is no inverse contract. `limitUpPrice` bounds what buys and `limitDownPrice` what sells,
    as the market stands. A column that a venue does not state bounds nothing.
    """
    qty, price = order.get("orderQty"), order.get("price")
    if qty is not None:
        size, least, most = abs(qty), instrument.get("minQty"), instrument.get("maxOrderQty")
        if least and size < least:
            return f"{size:g} is less than the exchange takes, {least:g}"
        if most and size > most:
            return f"{size:g} is more than the exchange takes in an order, {most:g}"
    if price is None:
        return ""
    is_buy = (order.get("side") or ("Sell" if qty is not None and qty < 0 else "Buy")) == "Buy"
    bound = instrument.get("limitUpPrice" if is_buy else "limitDownPrice")
    if bound and (price > bound if is_buy else price < bound):
        kind = "buy, the highest" if is_buy else "sell, the lowest"
        return f"price {plain(price)} is beyond what the exchange lets {kind} {plain(bound)}"
    low, high = instrument.get("minPrice"), instrument.get("maxPrice")
    if (low and price < low) or (high and price > high):
        return f"price {price:g} is outside the exchange's limits, {low or 0:g} to {high or 0:g}"
    worth = instrument.get("minNotional")
    if worth and qty is not None and not instrument.get("isInverse") and abs(qty) * price < worth:
        quote = instrument.get("quoteCurrency") or ""
        return f"{abs(qty):g} at {price:g} is worth less than the exchange takes, {worth:g} {quote}"
    return ""
