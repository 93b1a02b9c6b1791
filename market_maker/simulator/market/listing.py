"""Which instrument a recording is of: as described in it, as we list it, or guessed."""

import logging
from collections.abc import Iterable, Mapping
from dataclasses import replace
from decimal import Decimal
from math import gcd
from typing import Any

from market_maker.simulator.instruments import DEFAULT_INSTRUMENTS, ETHUSD, XBTUSD, Instrument
from market_maker.simulator.market.items import Change, Item, Print, Snapshot

logger = logging.getLogger("root")

# Instrument field -> BitMEX's column
_COLUMNS = {
    "root_symbol": "rootSymbol",
    "underlying": "underlying",
    "position_currency": "positionCurrency",
    "tick_size": "tickSize",
    "lot_size": "lotSize",
    "multiplier": "multiplier",
    "is_inverse": "isInverse",
    "is_quanto": "isQuanto",
    "maint_margin": "maintMargin",
    "init_margin": "initMargin",
    "risk_limit": "riskLimit",
    "risk_step": "riskStep",
    "quote_to_settle": "quoteToSettleMultiplier",
    "underlying_to_position": "underlyingToPositionMultiplier",
    "quote_currency": "quoteCurrency",
    "settle_currency": "settlCurrency",
    "maker_fee": "makerFee",
    "taker_fee": "takerFee",
    "settlement_fee": "settlementFee",
    "listing": "listing",
    "max_order_qty": "maxOrderQty",
    "max_price": "maxPrice",
}
_OPTIONAL = {"quote_to_settle", "position_currency", "underlying_to_position"}


def instrument_of(
    symbol: str, row: Mapping[str, Any] | None, opening: Iterable[Item], mid: float
) -> Instrument:
    """The instrument to play *symbol* on; *opening* is the beginning of the recording.

    A described instrument counts most, then one we list. What the recorded prices and sizes
    contradict is guessed from them, and said in one line.
    """
    known = {spec.symbol: spec for spec in DEFAULT_INSTRUMENTS}
    prices, sizes = _seen(opening)
    lot = gcd(*sizes)
    tick = _guessed_tick(prices)
    if row is not None:
        spec = _described(symbol, row)
    elif symbol in known:
        spec = known[symbol]
    else:
        spec = _guessed(symbol, tick)
    if not all(spec.grid().contains(price) for price in prices):
        spec = replace(spec, tick_size=tick)
        logger.warning("%s: its tick size in the recording is %s, as the prices show", symbol, tick)
    if lot % spec.lot_size:
        spec = replace(spec, lot_size=1)  # in the early days one contract was a lot
    return replace(spec, start_price=mid)


def _described(symbol: str, row: Mapping[str, Any]) -> Instrument:
    like = XBTUSD if row.get("isInverse") else ETHUSD
    fields = {
        field: row[column]
        for field, column in _COLUMNS.items()
        if column in row and (row[column] is not None or field in _OPTIONAL)
    }
    rate = row.get("fundingRate")  # a future has none
    return replace(like, symbol=symbol, funding_rate=rate or 0.0, **fields)


def _guessed(symbol: str, tick: float) -> Instrument:
    """What nobody described: by its name an inverse contract like XBTUSD, or one like ETHUSD."""
    root = "XBT" if symbol.startswith("XBT") else symbol[:3]
    is_coin_margined = symbol.endswith("USD_PERP")  # Binance: 100 USD a contract
    like = XBTUSD if root == "XBT" or is_coin_margined else ETHUSD
    logger.warning(
        "%s: nothing describes it; played as a contract like %s with a tick size of %s",
        symbol, like.symbol, tick,
    )  # fmt: skip
    multiplier = like.multiplier * (100 if is_coin_margined else 1)
    return replace(
        like, symbol=symbol, root_symbol=root, underlying="XBT" if is_coin_margined else root,
        tick_size=tick, lot_size=1, multiplier=multiplier,
    )  # fmt: skip


def _seen(items: Iterable[Item]) -> tuple[set[float], set[int]]:
    """The prices and sizes of some items."""
    prices: set[float] = set()
    sizes: set[int] = set()
    for item in items:
        if isinstance(item, Print):
            prices.add(item.price)
            sizes.add(item.qty)
        elif isinstance(item, Snapshot | Change):
            for levels in (item.bids, item.asks):
                prices |= levels.keys()
                sizes.update(levels.values())
    return prices, sizes


def _guessed_tick(prices: Iterable[float]) -> float:
    """The coarsest tick of 1 or 5 times a power of ten on which all *prices* stand."""
    exact = [Decimal(str(price)) for price in prices]
    decimals = max(0, *(-int(price.normalize().as_tuple().exponent) for price in exact), 0)
    common = gcd(*(int(price.scaleb(decimals)) for price in exact))
    step = 1
    while common % (step * 10) == 0:
        step *= 10
    if common % (step * 5) == 0:
        step *= 5
    return float(Decimal(step).scaleb(-decimals))
