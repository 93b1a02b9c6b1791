"""The arithmetic of a position manager: how large a stake is, what becomes of lots, what it tells.

A lot is what one decision has opened. A fill on the other side closes lots, the oldest first, and
each contract closed so makes a pair with its profit. A share is a part of the trading balance.
"""

from collections.abc import Iterable, Sequence
from decimal import Decimal
from typing import Any, NamedTuple

from market_maker.model.contracts import Contract
from market_maker.model.ticks import LotGrid, plain

LONG, SHORT = "LONG", "SHORT"
SIDES = {LONG: "Buy", SHORT: "Sell"}
WORDS = ("NONE", *(f"{verb}_{way}" for verb in ("OPEN", "CANCEL") for way in SIDES))
_MANY_LOTS = 1_000_000  # so many, that the rounding of their value does not matter
_HOUR_S = 3600.0
_SHARE_DECIMALS = 9  # shares are sums of fractions: less than this is no share
_NONE = Decimal(0)


class Lot(NamedTuple):
    """Contracts held since `opened_at` (Unix seconds); all lots held are of one side."""

    id: int
    side: str
    qty: Decimal
    price: Decimal
    share: Decimal
    opened_at: float


class Pair(NamedTuple):
    """Contracts bought and sold again, or the other way round."""

    qty: Decimal
    long_price: Decimal
    short_price: Decimal

    @property
    def profit_pct(self) -> float:
        """Per cent won, fees not counted."""
        return float((self.short_price / self.long_price - 1) * 100)


class Booked(NamedTuple):
    """What a fill has made of the lots: those left, the pairs, and what it did not close."""

    lots: list[Lot]
    pairs: list[Pair]
    rest: Decimal


def deleverage(lots: Sequence[Lot], side: str, qty: Decimal, price: Decimal) -> Booked:
    """Close lots of the other side with a fill, the oldest first."""
    left, pairs = [], []
    for lot in lots:
        closed = min(lot.qty, qty) if lot.side != side else _NONE
        if closed:
            prices = (price, lot.price) if side == "Buy" else (lot.price, price)
            pairs.append(Pair(closed, *prices))
            qty -= closed
        if lot.qty > closed:
            kept = lot.qty - closed
            left.append(lot._replace(qty=kept, share=lot.share * kept / lot.qty))
    return Booked(left, pairs, qty)


def average_price(parts: Iterable[tuple[Decimal, Decimal]], is_inverse: bool) -> Decimal:
    """The entry price of (size, price) taken together; an inverse contract's is harmonic."""
    known = list(parts)
    size = sum((qty for qty, _ in known), _NONE)
    if is_inverse:
        return size / sum((qty / price for qty, price in known), _NONE)
    return sum((qty * price for qty, price in known), _NONE) / size


def signed(side: str, qty: Decimal) -> Decimal:
    """Above 0 where it is bought."""
    return qty if side == "Buy" else -qty


def net_qty(lots: Iterable[Lot]) -> Decimal:
    """Contracts that the lots come to, negative when short."""
    return sum((signed(lot.side, lot.qty) for lot in lots), _NONE)


def stake_qty(contract: Contract, price: float, budget: float) -> float:
    """The most contracts, in whole lots, worth no more than *budget* (minor units); or 0."""
    lots = LotGrid.of(contract.lot_size)
    per_lot = contract.value(lots.qty(_MANY_LOTS), price) / _MANY_LOTS
    count = int(budget / per_lot) if per_lot > 0 else 0
    while count > 0 and contract.value(lots.qty(count), price) > budget:
        count -= 1
    return lots.qty(count)


class Means(NamedTuple):
    """What there is to open a stake with. The balance is in minor units of its currency."""

    contract: Contract
    price: float
    balance: float | None
    currency: str | None
    trading_size: float  # ratio of the balance that may be used
    room_qty: float | None = None  # contracts that the position limits leave
    largest_qty: float | None = None  # contracts of one order
    least_qty: float = 0.0  # that the exchange takes, where that is more than a lot


class Stake(NamedTuple):
    """What a decision opens or closes, or why it does nothing."""

    qty: Decimal
    share: Decimal
    refusal: str = ""


def next_stake(side: str, lots: Sequence[Lot], share: Decimal, means: Means) -> Stake:
    """The oldest lot of the other side, or else a new *share* of the trading balance.

    What fees have left of a lot, too small to trade, goes with the next one.
    """
    lot_size = Decimal(str(means.contract.lot_size))
    least = max(lot_size, Decimal(str(means.least_qty)))
    qty, closed = _oldest(lots, least) if lots and lots[0].side != side else (_NONE, _NONE)
    if qty:
        share = closed
    else:
        share = min(share, round(1 - sum((lot.share for lot in lots), _NONE), _SHARE_DECIMALS))
        if share <= 0:
            return _refused("all of the trading balance is in use")
        settles_in = means.contract.settle_currency
        if means.currency and means.currency != settles_in:
            return _refused(f"the balance is in {means.currency}, the contract in {settles_in}")
        if not means.balance:
            return _refused("the balance is not known")
        budget = means.trading_size * means.balance * float(share)
        qty = Decimal(str(stake_qty(means.contract, means.price, budget)))
    qty -= qty % lot_size
    if qty < lot_size:
        return _refused(f"it would be less than one lot of {lot_size}")
    if qty < least:
        return _refused(f"it would be less than the exchange takes, {plain(float(least))}")
    if means.room_qty is not None and qty > means.room_qty:
        limit = "MAX_POSITION" if side == "Buy" else "MIN_POSITION"
        return _refused(f"{plain(float(qty))} contracts do not fit {limit}")
    if means.largest_qty is not None and qty > means.largest_qty:
        return _refused(f"{plain(float(qty))} contracts are above MAX_ORDER_SIZE")
    return Stake(qty, share)


def _oldest(lots: Sequence[Lot], least: Decimal) -> tuple[Decimal, Decimal]:
    """Contracts and share of the oldest lots that are *least* together, or nothing."""
    qty = share = _NONE
    for lot in lots:
        qty, share = qty + lot.qty, share + lot.share
        if qty >= least:
            return qty, share
    return _NONE, _NONE


def _refused(reason: str) -> Stake:
    return Stake(_NONE, _NONE, reason)


class Standing(NamedTuple):
    """Where the position manager stands when it asks for a decision."""

    now: float  # Unix seconds
    symbol: str
    bid: float
    ask: float
    opening: str  # side of the order that is to open or close a lot, or empty
    lots: Sequence[Lot]
    flat_at: float | None  # when the last lot was closed
    is_inverse: bool = False

    @property
    def share(self) -> float:
        """The lots together, from -1 (all of the trading balance short) to 1."""
        return float(sum((signed(lot.side, lot.share) for lot in self.lots), _NONE))

    @property
    def qty(self) -> Decimal:
        """Contracts, negative when short."""
        return net_qty(self.lots)

    @property
    def unrealised_pct(self) -> float:
        """Per cent of the trading balance that closing at the touch would win."""
        if not self.lots or not (self.bid and self.ask):
            return 0.0
        entry = float(average_price(((lot.qty, lot.price) for lot in self.lots), self.is_inverse))
        is_long = self.lots[0].side == "Buy"
        ratio = self.ask / entry if is_long else entry / self.bid
        return (ratio - 1) * 100 * abs(self.share)

    def hours(self) -> list[float]:
        """How long each lot is held, the oldest first."""
        return [(self.now - lot.opened_at) / _HOUR_S for lot in self.lots]

    def state(self, way: str, *, tells_open: bool = False) -> str:
        """CLOSED, OPENING, or OPEN where that is told apart."""
        side = SIDES[way]
        if self.opening == side:
            return "OPENING"
        return "OPEN" if tells_open and any(lot.side == side for lot in self.lots) else "CLOSED"


def request_body(algo: str, standing: Standing) -> dict[str, Any]:
    """What Quant-trading.network's *algo* is told, under the names of its API 1.0.1."""
    hours = standing.hours()
    closed_hours = 0.0 if standing.flat_at is None else (standing.now - standing.flat_at) / _HOUR_S
    if algo == "BitcoinFuturesSwinger":
        return {
            "positionLongStakeState": standing.state(LONG, tells_open=True),
            "positionShortStakeState": standing.state(SHORT, tells_open=True),
            "currentUnrealisedPct": standing.unrealised_pct,
            "openPositionHours": hours[0] if hours else 0.0,
            "closedPositionHours": closed_hours,
        }
    return {
        "longStakeState": standing.state(LONG),
        "shortStakeState": standing.state(SHORT),
        "currentPositionPct": max(-100.0, min(100.0, standing.share * 100)),
        "currentUnrealisedPct": standing.unrealised_pct,
        "avgOpenPositionHours": sum(hours) / len(hours) if hours else 0.0,
        "lastOpenStakeHours": hours[-1] if hours else 0.0,
        "closedPositionHours": closed_hours,
    }
