"""Accounts, positions and margin of the built-in exchange, in whole satoshis.

Every posting has a counterpart: a trade is booked on the account of each side (the market is an
account), a fee goes to the house, a deposit comes from it. So all postings sum to exactly zero.
Signs and rounding: BitMEX's contract guides and captured rows. Costs follow the contract: a buy
of an inverse one is negative.
"""

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import NamedTuple

from market_maker.model.contracts import Contract
from market_maker.simulator.instruments import Instrument, share, to_e8

MARKET, HOUSE = -1, -2  # the accounts of the market source and of the exchange itself


@dataclass(slots=True)
class Position:
    """What one account holds and has open in one instrument. Quantities are contracts."""

    spec: Instrument
    contract: Contract
    mark_price: float
    qty: int = 0
    current_cost: int = 0  # sum of all execution costs
    realised_cost: int = 0  # the part of it that closed trades account for
    comm: int = 0  # fees paid; rebates are negative
    open_qty: dict[str, int] = field(default_factory=lambda: {"Buy": 0, "Sell": 0})
    open_cost: dict[str, int] = field(default_factory=lambda: {"Buy": 0, "Sell": 0})  # unsigned
    _order_rate_e8: int = field(init=False)

    def __post_init__(self) -> None:
        self._order_rate_e8 = to_e8(self.spec.init_margin + 2 * self.spec.taker_fee)

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
        self.current_cost += cost
        self.qty += qty
        return cost, realised

    def order_margin(self, extra: Iterable[tuple[str, int, int]] = ()) -> int:
        """Margin for open orders, with *extra* (side, qty, cost) on top.

        What reduces the position is free, and of the rest only the larger side counts.
        """
        buy_qty, sell_qty = self.open_qty["Buy"], self.open_qty["Sell"]
        buy_cost, sell_cost = self.open_cost["Buy"], self.open_cost["Sell"]
        for side, qty, cost in extra:
            if side == "Buy":
                buy_qty, buy_cost = buy_qty + qty, buy_cost + cost
            else:
                sell_qty, sell_cost = sell_qty + qty, sell_cost + cost
        if self.qty > 0:
            sell_cost = _portion(sell_cost, max(0, sell_qty - self.qty), sell_qty)
        elif self.qty < 0:
            buy_cost = _portion(buy_cost, max(0, buy_qty + self.qty), buy_qty)
        # the fees of getting in and out are set aside with it
        return share(self._order_rate_e8, max(buy_cost, sell_cost))

    def margins(self) -> tuple[int, int, int]:
        """(posInit, posCross, posComm): the margin of what is held, cross leverage."""
        initial = share(to_e8(self.spec.init_margin), abs(self.cost))
        cross = max(0, -self.unrealised_pnl)
        fees = share(to_e8(self.spec.taker_fee), abs(self.cost) + initial + cross)
        return initial, cross, fees


class Funds(NamedTuple):
    """An account's money at the current marks, in satoshis."""

    wallet: int
    unrealised: int
    order_margin: int
    position_margin: int  # as locked; includes unrealised profit

    @property
    def available(self) -> int:
        return self.wallet + self.unrealised - self.order_margin - self.position_margin


class Ledger:
    """All accounts' money and positions."""

    def __init__(self) -> None:
        self._cash: dict[int, int] = {HOUSE: 0}  # account -> deposits (house: and fees earned)
        self._positions: dict[int, dict[str, Position]] = {MARKET: {}, HOUSE: {}}
        self._marks: dict[str, float] = {}

    def open(self, account_no: int, balance_sat: int) -> None:
        """A new account; the house lends the play money."""
        self._cash[account_no] = balance_sat
        self._cash[HOUSE] -= balance_sat
        self._positions[account_no] = {}

    def position(self, account_no: int, spec: Instrument) -> Position:
        """The account's position, opened flat if it has none yet."""
        held = self._positions[account_no]
        position = held.get(spec.symbol)
        if position is None:
            position = held[spec.symbol] = self.look(account_no, spec)
        return position

    def look(self, account_no: int, spec: Instrument) -> Position:
        """The account's position for reading only; a flat one if it has none."""
        position = self._positions[account_no].get(spec.symbol)
        mark = self._marks.get(spec.symbol, spec.start_price)
        return position or Position(spec, spec.contract(), mark)

    def positions(self, account_no: int) -> dict[str, Position]:
        """symbol -> position."""
        return self._positions[account_no]

    def deposit_sat(self, account_no: int) -> int:
        return self._cash[account_no]

    def set_mark(self, symbol: str, mark_price: float) -> list[int]:
        """A new mark price; the customers whose position it revalues."""
        self._marks[symbol] = mark_price
        touched = []
        for account_no, held in self._positions.items():
            position = held.get(symbol)
            if position is not None:
                position.mark_price = mark_price
                if position.qty and account_no > 0:
                    touched.append(account_no)
        return touched

    def charge(self, position: Position, rate: float, cost: int) -> int:
        """Book the fee (negative: rebate) of a trade of *cost*; the house gets it."""
        fee = share(to_e8(rate), abs(cost))
        position.comm += fee
        self._cash[HOUSE] += fee
        return fee

    def respec(self, spec: Instrument) -> None:
        """The instrument's tick or lot changed; what was booked stays as it is."""
        for held in self._positions.values():
            if spec.symbol in held:
                held[spec.symbol].spec, held[spec.symbol].contract = spec, spec.contract()

    def open_interest(self, symbol: str) -> int:
        """Contracts held long, which equals contracts held short."""
        held = (positions.get(symbol) for positions in self._positions.values())
        return sum(position.qty for position in held if position and position.qty > 0)

    def funds(self, account_no: int) -> Funds:
        wallet, unrealised, order_margin, position_margin = self._cash[account_no], 0, 0, 0
        for position in self._positions[account_no].values():
            wallet += position.realised_pnl
            order_margin += position.order_margin()
            if position.qty:
                profit = position.unrealised_pnl
                unrealised += profit
                position_margin += sum(position.margins()) + profit
        return Funds(wallet, unrealised, order_margin, position_margin)

    def missing(
        self, account_no: int, position: Position, extra: Iterable[tuple[str, int, int]]
    ) -> int:
        """Satoshis that orders of (side, qty, cost) need, if the account has less; else 0."""
        needed = position.order_margin(extra) - position.order_margin()
        if needed <= 0:
            return 0
        return needed if needed > self.funds(account_no).available else 0

    def total(self) -> int:
        """Sum of all cash, fees and costs over all accounts; 0 unless a posting was lost."""
        held = [p for positions in self._positions.values() for p in positions.values()]
        return sum(self._cash.values()) - sum(p.comm + p.current_cost for p in held)


def _portion(cost: int, part: int, whole: int) -> int:
    """*part* / *whole* of *cost*, to the nearest satoshi."""
    if not part:
        return 0
    nearest = (2 * abs(cost) * part + whole) // (2 * whole)
    return -nearest if cost < 0 else nearest
