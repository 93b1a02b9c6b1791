"""What an instrument of the built-in exchange is. Constants: captured rows of 2021-07-22."""

from dataclasses import dataclass
from datetime import UTC, datetime
from functools import lru_cache
from typing import Any

from market_maker.model.contracts import Contract
from market_maker.model.ticks import PriceGrid

FUNDING_INTERVAL_S = 8 * 3600
YEAR_S = 365 * 86_400
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


def share_up(rate_e8: int, amount_sat: int) -> int:
    """*rate_e8* (in 1e-8) of *amount_sat*, rounded up: the exchange's way with margins."""
    return -(-rate_e8 * amount_sat // RATE_SCALE)


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
    settlement_fee: float = 0.0
    funding_rate: float = 0.0001  # of the first interval
    max_order_qty: int = 10_000_000
    max_price: float = 1_000_000.0
    underlying_to_position: int | None = None
    typ: str = "FFWCSX"  # FFWCSX is a perpetual, FFCCSX a future, IFXXXP spot
    expiry_s: float | None = None  # when a future settles (Unix seconds)
    base_currency: str = ""  # spot: what is bought, and how many minor units of it a contract is
    base_unit: int = 0
    pays_in_base: bool = False  # spot: a buyer pays the fee in what he buys

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

    @property
    def kind(self) -> str:
        """Perpetual, future or spot."""
        if self.is_spot:
            return "spot"
        return "perpetual" if self.expiry_s is None else "future"

    @property
    def is_spot(self) -> bool:
        return bool(self.base_currency)

    @property
    def has_funding(self) -> bool:
        return self.kind == "perpetual"

    @property
    def index_symbol(self) -> str:
        """The index it follows. A tether is a dollar here, yet has an index of its own name."""
        return f".B{self.underlying}" + ("T" if self.quote_currency == "USDT" else "")

    def seconds_to_funding(self, now_s: float) -> float:
        return FUNDING_INTERVAL_S - (now_s - _FUNDING_FIRST_S) % FUNDING_INTERVAL_S

    def mark_price(self, index_price: float, now_s: float, rate: float | None = None) -> float:
        """The fair price (BitMEX, Fair Price Marking).

        Of a perpetual: the index and the funding still to come at *rate*. Of a future: the
        index and a basis of *rate* a year for the time it has left.
        """
        if self.expiry_s is not None:
            part = max(0.0, self.expiry_s - now_s) / YEAR_S
            rate = rate or 0.0
        else:
            part = self.seconds_to_funding(now_s) / FUNDING_INTERVAL_S
            rate = self.funding_rate if rate is None else rate
        return round(index_price * (1 + rate * part), self.mark_decimals())

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
XBTUSDT = Instrument(
    symbol="XBTUSDT",
    root_symbol="XBT",
    underlying="XBT",
    position_currency="XBT",
    tick_size=0.5,
    lot_size=100,
    multiplier=1,
    is_inverse=False,
    is_quanto=False,
    maint_margin=0.005,
    risk_limit=10_000_000_000_000,
    risk_step=10_000_000_000_000,
    start_price=60_000.0,
    listing="2021-12-15T04:00:00.000Z",
    quote_to_settle=1_000_000,
    quote_currency="USDT",
    settle_currency="USDt",
    underlying_to_position=1_000_000,
    max_order_qty=1_000_000_000,
)
XBT_USDT = Instrument(
    symbol="XBT_USDT",
    root_symbol="XBT",
    underlying="XBT",
    position_currency="XBT",
    tick_size=0.5,
    lot_size=10,
    multiplier=1,
    is_inverse=False,
    is_quanto=False,
    maint_margin=0.0,
    risk_limit=10_000_000_000_000,
    risk_step=10_000_000_000_000,
    start_price=60_000.0,
    listing="2022-05-17T04:00:00.000Z",
    quote_to_settle=1_000_000,
    quote_currency="USDT",
    settle_currency="USDt",
    init_margin=1.0,
    maker_fee=0.001,
    taker_fee=0.001,
    funding_rate=0.0,
    underlying_to_position=1_000_000,
    max_order_qty=1_000_000_000,
    typ="IFXXXP",
    base_currency="XBt",
    base_unit=100,
)
DEFAULT_INSTRUMENTS = (XBTUSD, ETHUSD, XBTUSDT)  # the perpetuals
