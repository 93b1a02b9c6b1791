"""What one account holds and has open in one instrument, and the margin it takes.

Signs and rounding: BitMEX's contract guides and captured rows. Costs follow the contract: a buy
of an inverse one is negative. Initial margin and the fee set aside for the way out are rounded
up, as a captured row of 2018-08-16 shows (219 short: posInit 29322 of 29321.15).
"""

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import NamedTuple

from market_maker.model.contracts import Contract
from market_maker.simulator.instruments import Instrument, share, share_up, to_e8


class Claim(NamedTuple):
    """What an order lays claim to: contracts, their cost and how far that is from the mark."""

    side: str
    qty: int
    cost: int  # unsigned value at the limit
    premium: int = 0  # what is lost at once if it trades at the limit

    def less(self, other: "Claim") -> "Claim":
        """What this one claims beyond *other*."""
        return Claim(
            self.side,
            self.qty - other.qty,
            self.cost - other.cost,
            self.premium - other.premium,
        )


class Fees(NamedTuple):
    """Rates of an account; a negative one is a rebate."""

    maker: float
    taker: float
    settlement: float


@dataclass(slots=True)
class Position:
    """Quantities are contracts, money is minor units of the settlement currency."""

    spec: Instrument
    contract: Contract
    mark_price: float
    fees: Fees
    qty: int = 0
    current_cost: int = 0  # sum of all execution costs
    realised_cost: int = 0  # the part of it that closed trades account for
    comm: int = 0  # fees and funding paid; what was received is negative
    rebalanced: int = 0  # realised profit that has become part of the wallet's amount
    leverage: float = 0.0  # 0 is cross: all free money of the account stands behind it
    added_margin: int = 0  # isolated: moved in beyond the initial margin
    risk_limit: int = 0
    state: str = ""  # posState: Liquidation while the liquidation engine is at it
    open_qty: dict[str, int] = field(default_factory=lambda: {"Buy": 0, "Sell": 0})
    open_cost: dict[str, int] = field(default_factory=lambda: {"Buy": 0, "Sell": 0})  # unsigned
    open_premium: dict[str, int] = field(default_factory=lambda: {"Buy": 0, "Sell": 0})
    open_at: dict[str, dict[float, int]] = field(default_factory=lambda: {"Buy": {}, "Sell": {}})
    init_e8: int = field(init=False)
    maint_e8: int = field(init=False)
    taker_e8: int = field(init=False)

    def __post_init__(self) -> None:
        self.risk_limit = self.risk_limit or self.spec.risk_limit
        self.set_terms(self.leverage, self.risk_limit)

    # -- terms --------------------------------------------------------------------------------

    def set_terms(self, leverage: float, risk_limit: int) -> None:
        """Margin rates follow leverage and risk limit: each step costs one base maintenance."""
        spec = self.spec
        steps = -(-max(0, risk_limit - spec.risk_limit) // spec.risk_step)
        least = spec.init_margin + steps * spec.maint_margin
        self.leverage, self.risk_limit = leverage, risk_limit
        self.init_e8 = to_e8(max(least, 1 / leverage) if leverage else least)
        self.maint_e8 = to_e8(spec.maint_margin * (1 + steps))
        self.taker_e8 = to_e8(self.fees.taker)

    def respec(self, spec: Instrument) -> None:
        """The instrument's tick or lot changed; what was booked stays as it is."""
        self.spec, self.contract = spec, spec.contract()
        for side, levels in self.open_at.items():
            self.open_cost[side] = sum(self.contract.value(q, p) for p, q in levels.items())
        self.revalue(self.mark_price)

    @property
    def is_cross(self) -> bool:
        return not self.leverage

    # -- what is held -------------------------------------------------------------------------

    @property
    def cost(self) -> int:
        """Cost of what is held now (posCost, unrealisedCost)."""
        return self.current_cost - self.realised_cost

    @property
    def realised_pnl(self) -> int:
        return -self.realised_cost - self.comm

    @property
    def mark_value(self) -> int:
        return self.contract.cost(self.qty, self.mark_price) if self.qty else 0

    @property
    def unrealised_pnl(self) -> int:
        return self.mark_value - self.cost

    def trade(self, qty: int, price: float) -> tuple[int, int]:
        """Book a trade of *qty* (negative sells): its cost and the gross profit it realises."""
        cost = self.contract.cost(qty, price)
        realised = 0
        if self.qty and (self.qty > 0) != (qty > 0):
            closing = min(abs(qty), abs(self.qty))
            closing_cost = (
                cost
                if closing == abs(qty)
                else self.contract.cost(closing if qty > 0 else -closing, price)
            )
            held_cost = _portion(self.cost, closing, abs(self.qty))
            realised = -(held_cost + closing_cost)
            self.realised_cost -= realised
            self.added_margin -= _portion(self.added_margin, closing, abs(self.qty))
        self.current_cost += cost
        self.qty += qty
        return cost, realised

    # -- open orders --------------------------------------------------------------------------

    def claim(self, side: str, qty: int, price: float) -> Claim:
        """What *qty* contracts at a limit of *price* would lay claim to."""
        cost = self.contract.value(qty, price)
        return Claim(side, qty, cost, self._premium(side, qty, price, cost))

    def rest(self, side: str, qty: int, price: float) -> None:
        """Count *qty* contracts resting at *price* (negative: no more) as open."""
        levels = self.open_at[side]
        before = levels.get(price, 0)
        after = before + qty
        was = self.contract.value(before, price) if before else 0
        now = self.contract.value(after, price) if after else 0
        if after:
            levels[price] = after
        else:
            levels.pop(price, None)
        self.open_qty[side] += qty
        self.open_cost[side] += now - was
        if (price > self.mark_price) == (side == "Buy"):
            premium = self._premium(side, after, price, now)
            self.open_premium[side] += premium - self._premium(side, before, price, was)

    def revalue(self, mark_price: float) -> None:
        """A new mark price, from which the premium of open orders follows."""
        self.mark_price = mark_price
        for side, levels in self.open_at.items():
            if levels:
                self.open_premium[side] = sum(
                    self._premium(side, qty, price, self.contract.value(qty, price))
                    for price, qty in levels.items()
                    if (price > mark_price) == (side == "Buy")
                )

    def gross_open(self, extra: Iterable[Claim] = ()) -> tuple[int, int]:
        """Cost and premium of the open orders that margin is due for, with *extra* on top.

        What reduces the position is free. Of buys and sells that could not both be held only
        the dearer counts, contract by contract (captured 2018-08-16: short 219, 2100 open on
        each side at 33689100 and 32265300 make 33540619, each part rounded up).
        """
        # spelled out for each side: every order comes through here several times
        buys, sells = self.open_qty["Buy"], self.open_qty["Sell"]
        buy_cost, sell_cost = self.open_cost["Buy"], self.open_cost["Sell"]
        buy_premium, sell_premium = self.open_premium["Buy"], self.open_premium["Sell"]
        for side, qty, cost, premium in extra:
            if side == "Buy":
                buys, buy_cost, buy_premium = buys + qty, buy_cost + cost, buy_premium + premium
            else:
                sells, sell_cost = sells + qty, sell_cost + cost
                sell_premium += premium
        if self.qty < 0:
            buys, buy_cost, buy_premium = _beyond(-self.qty, buys, buy_cost, buy_premium)
        elif self.qty > 0:
            sells, sell_cost, sell_premium = _beyond(self.qty, sells, sell_cost, sell_premium)
        premium = buy_premium + sell_premium
        if not sells:
            return buy_cost, premium
        if not buys:
            return sell_cost, premium
        less, less_cost, more, more_cost = buys, buy_cost, sells, sell_cost
        if (sells, sell_cost) < (buys, buy_cost):
            less, less_cost, more, more_cost = sells, sell_cost, buys, buy_cost
        return max(more_cost, less_cost + _portion_up(more_cost, more - less, more)), premium

    def order_margin(self, extra: Iterable[Claim] = ()) -> int:
        """Margin for open orders, with *extra* on top: initial, fees in and out, premium."""
        return self.margin_of(*self.gross_open(extra))

    def margin_of(self, gross: int, premium: int) -> int:
        """Margin for open orders of this cost and premium."""
        initial = share_up(self.init_e8, gross)
        fees = share(self.taker_e8, gross) + share_up(self.taker_e8, gross + initial)
        return initial + fees + premium

    def _premium(self, side: str, qty: int, price: float, cost: int) -> int:
        """What a trade at *price* loses at once against the mark; 0 if it gains."""
        if (price > self.mark_price) != (side == "Buy"):
            return 0
        return abs(cost - self.contract.value(qty, self.mark_price))

    # -- margin of what is held ----------------------------------------------------------------

    def margins(self) -> tuple[int, int, int]:
        """(posInit, posCross, posComm) of what is held.

        posCross is the loss that a cross position draws from the account, or what was moved
        into an isolated one.
        """
        cost = abs(self.cost)
        initial = share_up(self.init_e8, cost)
        cross = max(0, -self.unrealised_pnl) if self.is_cross else self.added_margin
        return initial, cross, share_up(self.taker_e8, cost + initial + max(0, cross))

    def leveraged_profit(self) -> float:
        """Unrealised profit per margin: who has most is deleveraged first."""
        return self.unrealised_pnl / (abs(self.cost) or 1) / (self.init_e8 / 1e8)

    def maintenance(self) -> int:
        """What must be left of the margin, fees apart, or the position is taken over."""
        return share(self.maint_e8, abs(self.cost))


def _beyond(held: int, qty: int, cost: int, premium: int) -> tuple[int, int, int]:
    """What of *qty* contracts is left when *held* of them only reduce, with cost and premium."""
    left = max(0, qty - held)
    return left, _portion_up(cost, left, qty), _portion_up(premium, left, qty)


def _portion(cost: int, part: int, whole: int) -> int:
    """*part* / *whole* of *cost*, to the nearest minor unit."""
    if not part:
        return 0
    nearest = (2 * abs(cost) * part + whole) // (2 * whole)
    return -nearest if cost < 0 else nearest


def _portion_up(cost: int, part: int, whole: int) -> int:
    """*part* / *whole* of an unsigned *cost*, rounded up."""
    return -(-cost * part // whole) if part else 0
