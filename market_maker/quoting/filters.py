"""The bounds that a venue sets to every order, as its instrument's row states them.

They are met before anything is sent: what a venue would refuse costs a request and a round.
"""

import math

from market_maker.model.rows import Row
from market_maker.model.ticks import LotGrid


def least_qty(price: float, instrument: Row) -> float:
    """The smallest size that the venue takes at *price*, in the bot's sizes."""
    worth = 0.0 if instrument.get("isInverse") else float(instrument.get("minNotional") or 0)
    lots = LotGrid.of(instrument.get("lotSize") or 1)
    worthy = math.ceil(worth / price / lots.qty(1)) * lots.qty(1) if price else 0.0
    return max(lots.qty(1), float(instrument.get("minQty") or 0), worthy)


def breach(order: Row, instrument: Row) -> str:
    """Which bound *order* breaks, in words; an empty text where it breaks none.

    Sizes and prices are the bot's; `minNotional` is in the quote currency and bounds size x price
    of what is no inverse contract. A column that a venue does not state bounds nothing.
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
    low, high = instrument.get("minPrice"), instrument.get("maxPrice")
    if (low and price < low) or (high and price > high):
        return f"price {price:g} is outside the exchange's limits, {low or 0:g} to {high or 0:g}"
    worth = instrument.get("minNotional")
    if worth and qty is not None and not instrument.get("isInverse") and abs(qty) * price < worth:
        quote = instrument.get("quoteCurrency") or ""
        return f"{abs(qty):g} at {price:g} is worth less than the exchange takes, {worth:g} {quote}"
    return ""
