"""The instruments of the built-in exchange, and the full rows BitMEX would show for them.

Columns and constants follow a recorded `GET /instrument/active` of 2021-07-22.
"""

from dataclasses import dataclass, replace
from datetime import UTC, datetime
from functools import lru_cache
from typing import Any, Self

from market_maker.model.contracts import Contract
from market_maker.model.rows import Row
from market_maker.model.ticks import PriceGrid

FUNDING_INTERVAL_S = 8 * 3600
_FUNDING_FIRST_S = 4 * 3600  # 04:00, 12:00 and 20:00 UTC
RATE_SCALE = 10**8  # rates are held as integers of 1e-8, so that money stays exact


def iso_time(time_s: float) -> str:
    """Unix seconds as the exchange writes them: 2021-07-22T22:36:05.000Z."""
    seconds, ms = divmod(round(time_s * 1000), 1000)
    return f"{_iso_second(seconds)}.{ms:03d}Z"


@lru_cache(maxsize=256)
def _iso_second(time_s: int) -> str:
    return datetime.fromtimestamp(time_s, UTC).strftime("%Y-%m-%dT%H:%M:%S")


def to_e8(rate: float) -> int:
    """A rate in the whole units of 1e-8 in which it is applied to money."""
    return round(rate * RATE_SCALE)


def share(rate_e8: int, amount_sat: int) -> int:
    """*rate_e8* (in 1e-8) of *amount_sat*, to the nearest satoshi, halves away from zero."""
    product = rate_e8 * amount_sat
    nearest = (2 * abs(product) + RATE_SCALE) // (2 * RATE_SCALE)
    return -nearest if product < 0 else nearest


@dataclass(frozen=True, slots=True)
class Instrument:
    """What does not change about an instrument. Rates are fractions, money satoshis."""

    symbol: str
    root_symbol: str
    underlying: str
    position_currency: str
    tick_size: float
    lot_size: int
    multiplier: int
    is_inverse: bool
    is_quanto: bool
    maint_margin: float
    risk_limit: int
    risk_step: int
    start_price: float  # where a synthetic market opens
    listing: str
    quote_to_settle: int | None = None
    quote_currency: str = "USD"
    settle_currency: str = "XBt"
    init_margin: float = 0.01
    maker_fee: float = -0.00025
    taker_fee: float = 0.00075
    funding_rate: float = 0.0001
    max_order_qty: int = 10_000_000
    max_price: float = 1_000_000.0

    def with_tick(self, tick_size: float, start_price: float | None = None) -> Self:
        """The same instrument on another price grid."""
        return replace(self, tick_size=tick_size, start_price=start_price or self.start_price)

    def grid(self) -> PriceGrid:
        return _grid(self.tick_size)

    def contract(self) -> Contract:
        return _contract(
            self.symbol,
            self.multiplier,
            self.is_inverse,
            self.is_quanto,
            self.lot_size,
            self.settle_currency,
        )

    def notionals(self, qty: int, price: float) -> tuple[int, float, float]:
        """Value in satoshis, home notional (underlying) and foreign notional of a trade."""
        value = self.contract().value(qty, price)
        if self.is_inverse:
            return value, value / 1e8, float(abs(qty))
        foreign = value / self.quote_to_settle if self.quote_to_settle else value / 1e8
        return value, foreign / price, foreign

    def seconds_to_funding(self, now_s: float) -> float:
        return FUNDING_INTERVAL_S - (now_s - _FUNDING_FIRST_S) % FUNDING_INTERVAL_S

    def mark_price(self, index_price: float, now_s: float) -> float:
        """The fair price: the index plus the funding still to come (BitMEX, Fair Price Marking)."""
        part = self.seconds_to_funding(now_s) / FUNDING_INTERVAL_S
        return round(index_price * (1 + self.funding_rate * part), self.mark_decimals())

    def mark_decimals(self) -> int:
        return max(2, self.grid().decimals)


@lru_cache
def _grid(tick_size: float) -> PriceGrid:
    return PriceGrid.of(tick_size)


@lru_cache
def _contract(*fields: Any) -> Contract:
    return Contract(*fields)


XBTUSD = Instrument(
    symbol="XBTUSD",
    root_symbol="XBT",
    underlying="XBT",
    position_currency="USD",
    tick_size=0.5,
    lot_size=100,
    multiplier=-100_000_000,
    is_inverse=True,
    is_quanto=False,
    maint_margin=0.0035,
    risk_limit=20_000_000_000,
    risk_step=10_000_000_000,
    start_price=60_000.0,
    listing="2016-05-13T12:00:00.000Z",
)
ETHUSD = Instrument(
    symbol="ETHUSD",
    root_symbol="ETH",
    underlying="ETH",
    position_currency="",
    tick_size=0.05,
    lot_size=1,
    multiplier=100,
    is_inverse=False,
    is_quanto=True,
    maint_margin=0.005,
    risk_limit=7_500_000_000,
    risk_step=7_500_000_000,
    start_price=3_000.0,
    listing="2018-08-01T12:00:00.000Z",
    quote_to_settle=3108,
)
DEFAULT_INSTRUMENTS = (XBTUSD, ETHUSD)


@dataclass(slots=True)
class MarketState:
    """What the market has done to an instrument so far. Prices in ticks, turnover in satoshis."""

    index_price: float
    mark_price: float
    last_ticks: int
    tick_direction: str = "ZeroPlusTick"
    open_ticks: int = 0
    high_ticks: int = 0
    low_ticks: int = 0
    volume: int = 0
    turnover: int = 0
    home_volume: float = 0.0
    foreign_volume: float = 0.0

    @classmethod
    def opening(cls, spec: Instrument, now_s: float) -> Self:
        """A market that has not traded yet stands at the instrument's start price."""
        ticks = spec.grid().nearest(spec.start_price)
        mark = spec.mark_price(spec.start_price, now_s)
        return cls(
            spec.start_price, mark, ticks, open_ticks=ticks, high_ticks=ticks, low_ticks=ticks
        )

    def trade(self, spec: Instrument, qty: int, ticks: int) -> None:
        """Take a print into the figures."""
        value, home, foreign = spec.notionals(qty, spec.grid().price(ticks))
        if ticks > self.last_ticks:
            self.tick_direction = "PlusTick"
        elif ticks < self.last_ticks:
            self.tick_direction = "MinusTick"
        elif not self.tick_direction.startswith("Zero"):
            self.tick_direction = "Zero" + self.tick_direction
        self.last_ticks = ticks
        self.high_ticks = max(self.high_ticks, ticks)
        self.low_ticks = min(self.low_ticks, ticks)
        self.volume += qty
        self.turnover += value
        self.home_volume += home
        self.foreign_volume += foreign

    def rescale(self, before: PriceGrid, after: PriceGrid) -> None:
        """Keep the prices when the tick size changes; they go to the nearest new tick."""
        for name in ("last_ticks", "open_ticks", "high_ticks", "low_ticks"):
            setattr(self, name, after.nearest(before.price(getattr(self, name))))


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
        "fairPrice": state.mark_price,
        "markPrice": state.mark_price,
        "indicativeSettlePrice": index,
    }


def fixed_columns(spec: Instrument, now_s: float) -> Row:
    """The columns that do not depend on trading; what never applies to a perpetual is None."""
    funding_s = now_s + spec.seconds_to_funding(now_s)
    hour_s = now_s - now_s % 3600
    row: Row = dict.fromkeys(_NEVER)
    row.update(
        symbol=spec.symbol, rootSymbol=spec.root_symbol, state="Open", typ="FFWCSX",
        listing=spec.listing, front=spec.listing, inverseLeg="", sellLeg="", buyLeg="",
        positionCurrency=spec.position_currency, underlying=spec.underlying,
        quoteCurrency=spec.quote_currency, underlyingSymbol=f"{spec.underlying}=",
        reference="BMEX",
        referenceSymbol=f".B{'XBT' if spec.underlying == 'XBT' else spec.underlying}",
        maxOrderQty=spec.max_order_qty, maxPrice=spec.max_price, lotSize=spec.lot_size,
        tickSize=spec.tick_size, multiplier=spec.multiplier, settlCurrency=spec.settle_currency,
        underlyingToSettleMultiplier=spec.multiplier if spec.is_inverse else None,
        quoteToSettleMultiplier=spec.quote_to_settle, isQuanto=spec.is_quanto,
        isInverse=spec.is_inverse, initMargin=spec.init_margin, maintMargin=spec.maint_margin,
        riskLimit=spec.risk_limit, riskStep=spec.risk_step, capped=False, taxed=True,
        deleverage=True, makerFee=spec.maker_fee, takerFee=spec.taker_fee, settlementFee=0,
        insuranceFee=0, fundingBaseSymbol=f".{spec.underlying}BON8H",
        fundingQuoteSymbol=".USDBON8H", fundingPremiumSymbol=f".{spec.symbol}PI8H",
        fundingTimestamp=iso_time(funding_s), fundingInterval="2000-01-01T08:00:00.000Z",
        fundingRate=spec.funding_rate, indicativeFundingRate=spec.funding_rate,
        openingTimestamp=iso_time(hour_s), closingTimestamp=iso_time(hour_s + 3600),
        sessionInterval="2000-01-01T01:00:00.000Z", prevClosePrice=spec.start_price,
        prevTotalVolume=0, prevTotalTurnover=0, prevPrice24h=spec.start_price,
        fairMethod="FundingRate", fairBasisRate=round(spec.funding_rate * 3 * 365, 6),
        markMethod="FairPrice", indicativeTaxRate=0, instantPnl=False,
        minTick=10.0 ** -spec.mark_decimals(),
    )  # fmt: skip
    return row


_NEVER = (
    "expiry", "settle", "listedSettle", "relistInterval", "optionStrikePcnt", "optionStrikeRound",
    "optionStrikePrice", "optionMultiplier", "calcInterval", "publishInterval", "publishTime",
    "underlyingToPositionMultiplier", "underlyingToSettleMultiplier", "quoteToSettleMultiplier",
    "limit", "rebalanceTimestamp", "rebalanceInterval", "limitDownPrice", "limitUpPrice",
    "bankruptLimitDownPrice", "bankruptLimitUpPrice", "optionUnderlyingPrice",
    "settledPriceAdjustmentRate", "settledPrice",
)  # fmt: skip
