"""The instrument rows as BitMEX showed them.

Columns and constants follow a recorded `GET /instrument/active` of 2021-07-22; those of an index
follow the specification, since none was captured in full.
"""

from market_maker.model.rows import Row
from market_maker.simulator.instruments import Instrument, iso_time
from market_maker.simulator.market_state import MarketState

INTERVAL_8H = "2000-01-01T08:00:00.000Z"  # a timespan, written as a time


def price_columns(spec: Instrument, bid_ticks: int | None, ask_ticks: int | None) -> Row:
    """The columns that follow the touch; an empty side is None."""
    grid = spec.grid()
    bid = None if bid_ticks is None else grid.price(bid_ticks)
    ask = None if ask_ticks is None else grid.price(ask_ticks)
    mid = None if bid is None or ask is None else round((bid + ask) / 2, grid.decimals + 2)
    return {
        "bidPrice": bid,
        "midPrice": mid,
        "askPrice": ask,
        "impactBidPrice": bid,
        "impactMidPrice": mid,
        "impactAskPrice": ask,
        "hasLiquidity": mid is not None,
    }


def trade_columns(spec: Instrument, state: MarketState, open_interest: int) -> Row:
    """The columns that follow the prints."""
    grid = spec.grid()
    last, opening = grid.price(state.last_ticks), grid.price(state.open_ticks)
    vwap = state.foreign_volume / state.home_volume if state.home_volume else None
    return {
        "lastPrice": last,
        "lastPriceProtected": last,
        "lastTickDirection": state.tick_direction,
        "lastChangePcnt": round(last / opening - 1, 4),
        "highPrice": grid.price(state.high_ticks),
        "lowPrice": grid.price(state.low_ticks),
        "vwap": None if vwap is None else round(vwap, grid.decimals + 3),
        "volume": state.volume,
        "volume24h": state.volume,
        "totalVolume": state.volume,
        "turnover": state.turnover,
        "turnover24h": state.turnover,
        "totalTurnover": state.turnover,
        "homeNotional24h": state.home_volume,
        "foreignNotional24h": state.foreign_volume,
        "openInterest": open_interest,
        "openValue": spec.contract().value(open_interest, state.mark_price),
    }


def mark_columns(spec: Instrument, state: MarketState) -> Row:
    """The columns that follow the index."""
    index = round(state.index_price, spec.mark_decimals())
    return {
        "fairBasis": round(state.mark_price - index, spec.mark_decimals()),
        "fairBasisRate": round(state.rate * (3 * 365 if spec.has_funding else 1), 6),
        "fairPrice": state.mark_price,
        "markPrice": state.mark_price,
        "indicativeSettlePrice": index,
        "fundingRate": state.rate if spec.has_funding else None,
        "indicativeFundingRate": state.next_rate if spec.has_funding else None,
    }


def fixed_columns(spec: Instrument, now_s: float) -> Row:
    """The columns that do not depend on trading; what never applies is None."""
    hour_s = now_s - now_s % 3600
    row: Row = dict.fromkeys(_NEVER)
    row.update(
        symbol=spec.symbol, rootSymbol=spec.root_symbol, state="Open", typ=spec.typ,
        listing=spec.listing, front=spec.listing, inverseLeg="", sellLeg="", buyLeg="",
        positionCurrency=spec.position_currency, underlying=spec.underlying,
        quoteCurrency=spec.quote_currency,
        underlyingSymbol=spec.underlying + ("T=" if spec.quote_currency == "USDT" else "="),
        reference="BMEX", referenceSymbol=spec.index_symbol,
        maxOrderQty=spec.max_order_qty, maxPrice=spec.max_price, lotSize=spec.lot_size,
        tickSize=spec.tick_size, multiplier=spec.multiplier, settlCurrency=spec.settle_currency,
        underlyingToPositionMultiplier=spec.underlying_to_position,
        underlyingToSettleMultiplier=spec.multiplier if spec.is_inverse else None,
        quoteToSettleMultiplier=spec.quote_to_settle, isQuanto=spec.is_quanto,
        isInverse=spec.is_inverse, initMargin=spec.init_margin, maintMargin=spec.maint_margin,
        riskLimit=spec.risk_limit, riskStep=spec.risk_step, capped=False, taxed=True,
        deleverage=True, makerFee=spec.maker_fee, takerFee=spec.taker_fee,
        settlementFee=spec.settlement_fee, insuranceFee=0,
        openingTimestamp=iso_time(hour_s), closingTimestamp=iso_time(hour_s + 3600),
        sessionInterval="2000-01-01T01:00:00.000Z", prevClosePrice=spec.start_price,
        prevTotalVolume=0, prevTotalTurnover=0, prevPrice24h=spec.start_price,
        markMethod="FairPrice", indicativeTaxRate=0, instantPnl=False,
        minTick=10.0 ** -spec.mark_decimals(),
        **_term_columns(spec, now_s),
    )  # fmt: skip
    return row


def _term_columns(spec: Instrument, now_s: float) -> Row:
    """What funding or the expiry is about; spot has neither."""
    if spec.is_spot:
        return {}
    return _funding_columns(spec, now_s) if spec.has_funding else _expiry_columns(spec)


def _funding_columns(spec: Instrument, now_s: float) -> Row:
    return {
        "fundingBaseSymbol": f".{spec.underlying}BON8H",
        "fundingQuoteSymbol": f".{spec.quote_currency}BON8H",
        "fundingPremiumSymbol": f".{spec.symbol}PI8H",
        "fundingTimestamp": iso_time(now_s + spec.seconds_to_funding(now_s)),
        "fundingInterval": INTERVAL_8H,
        "fairMethod": "FundingRate",
    }


def _expiry_columns(spec: Instrument) -> Row:
    assert spec.expiry_s is not None
    expiry = iso_time(spec.expiry_s)
    return {
        "expiry": expiry, "settle": expiry, "listedSettle": expiry,
        "fundingBaseSymbol": "", "fundingQuoteSymbol": "", "fundingPremiumSymbol": "",
        "fairMethod": "ImpactMidPrice",
    }  # fmt: skip


def index_row(symbol: str, underlying: str, price: float, decimals: int, now_s: float) -> Row:
    """The row of an index: a price without a book."""
    price = round(price, decimals)
    row: Row = dict.fromkeys(_NEVER + _FUNDING + _TRADING)
    row.update(
        symbol=symbol, rootSymbol=underlying, state="Unlisted", typ="MRCXXX",
        listing=None, front=None, inverseLeg="", sellLeg="", buyLeg="", positionCurrency="",
        underlying=underlying, quoteCurrency="USDT" if symbol.endswith("T") else "USD",
        underlyingSymbol=f"{underlying}=", reference="BMI", referenceSymbol=symbol,
        publishInterval="2000-01-01T00:00:05.000Z", tickSize=10.0**-decimals, settlCurrency="",
        isQuanto=False, isInverse=False, capped=False, taxed=False, deleverage=False,
        fundingBaseSymbol="", fundingQuoteSymbol="", fundingPremiumSymbol="",
        lastPrice=price, lastPriceProtected=None, markPrice=price, markMethod="LastPrice",
        fairMethod="", hasLiquidity=False, openValue=0, instantPnl=False,
        lastTickDirection="ZeroPlusTick", lastChangePcnt=0.0, minTick=10.0**-decimals,
        timestamp=iso_time(now_s),
    )  # fmt: skip
    return row


_NEVER = (
    "expiry", "settle", "listedSettle", "relistInterval", "optionStrikePcnt", "optionStrikeRound",
    "optionStrikePrice", "optionMultiplier", "calcInterval", "publishInterval", "publishTime",
    "underlyingToPositionMultiplier", "underlyingToSettleMultiplier", "quoteToSettleMultiplier",
    "limit", "fundingTimestamp", "fundingInterval", "rebalanceTimestamp", "rebalanceInterval",
    "limitDownPrice", "limitUpPrice",
    "bankruptLimitDownPrice", "bankruptLimitUpPrice", "optionUnderlyingPrice",
    "settledPriceAdjustmentRate", "settledPrice",
)  # fmt: skip
_FUNDING = ("fundingRate", "indicativeFundingRate", "fairBasisRate", "fairBasis", "fairPrice")
_TRADING = (
    "maxOrderQty", "maxPrice", "lotSize", "multiplier", "initMargin", "maintMargin", "riskLimit",
    "riskStep", "makerFee", "takerFee", "settlementFee", "insuranceFee", "openingTimestamp",
    "closingTimestamp", "sessionInterval", "prevClosePrice", "prevTotalVolume",
    "prevTotalTurnover", "prevPrice24h", "totalVolume", "volume", "volume24h", "totalTurnover",
    "turnover", "turnover24h", "homeNotional24h", "foreignNotional24h", "vwap", "highPrice",
    "lowPrice", "bidPrice", "midPrice", "askPrice", "impactBidPrice", "impactMidPrice",
    "impactAskPrice", "openInterest", "indicativeSettlePrice", "indicativeTaxRate",
)  # fmt: skip
