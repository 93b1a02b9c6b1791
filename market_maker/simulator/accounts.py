"""Accounts, positions and margin of the built-in exchange, in whole satoshis.

Every posting has a counterpart: a trade is booked on the account of each side (the market is an
account), a fee goes to the house, a deposit comes from it. So all postings sum to exactly zero.
Signs and rounding: PROTOCOL 7. Costs follow the contract: a buy of an inverse one is negative.
"""

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import NamedTuple

from market_maker.model.contracts import Contract
from market_maker.model.rows import Row
from market_maker.simulator.instruments import RATE_SCALE, Instrument, iso_time, share

MARKET, HOUSE = -1, -2  # the accounts of the market source and of the exchange itself
_NEVER_ABOVE = 100_000_000.0  # a liquidation price that no market reaches, as BitMEX showed it


@dataclass(frozen=True, slots=True)
class Account:
    """A customer. The key and the secret are play money's, but are treated as real ones."""

    number: int
    key: str
    secret: str = field(repr=False)
    permissions: frozenset[str]


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
        self._order_rate_e8 = _e8(self.spec.init_margin + 2 * self.spec.taker_fee)

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
        initial = share(_e8(self.spec.init_margin), abs(self.cost))
        cross = max(0, -self.unrealised_pnl)
        fees = share(_e8(self.spec.taker_fee), abs(self.cost) + initial + cross)
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
        fee = share(_e8(rate), abs(cost))
        position.comm += fee
        self._cash[HOUSE] += fee
        return fee

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


def position_row(ledger: Ledger, account_no: int, spec: Instrument, now_s: float) -> Row:
    """The position table's row (PROTOCOL 7.3, 7.6)."""
    position = ledger.look(account_no, spec)
    held, cost, profit = position.qty != 0, position.cost, position.unrealised_pnl
    initial, cross, fees = position.margins()
    locked = initial + cross + fees
    limits = _price_limits(position, ledger.funds(account_no).available) if held else (None, None)
    buy_cost, sell_cost = position.open_cost["Buy"], position.open_cost["Sell"]
    sign = -1 if spec.is_inverse else 1
    pnl_ratio = round(profit / abs(cost), 4) if cost else 0.0
    entry = _entry_price(position) if held else None
    return {
        "account": account_no, "symbol": spec.symbol, "currency": spec.settle_currency,
        "underlying": spec.underlying, "quoteCurrency": spec.quote_currency,
        "commission": max(spec.maker_fee, spec.taker_fee), "initMarginReq": spec.init_margin,
        "maintMarginReq": spec.maint_margin, "riskLimit": spec.risk_limit,
        "leverage": round(1 / spec.init_margin, 2), "crossMargin": True,
        "deleveragePercentile": 1.0 if held else None, "rebalancedPnl": 0, "prevRealisedPnl": 0,
        "prevUnrealisedPnl": 0, "openingQty": 0,
        "openOrderBuyQty": position.open_qty["Buy"], "openOrderBuyCost": sign * buy_cost,
        "openOrderBuyPremium": 0, "openOrderSellQty": position.open_qty["Sell"],
        "openOrderSellCost": sign * sell_cost, "openOrderSellPremium": 0,
        "currentQty": position.qty, "currentCost": position.current_cost,
        "currentComm": position.comm, "realisedCost": position.realised_cost,
        "unrealisedCost": cost, "grossOpenPremium": 0, "isOpen": held,
        "markPrice": position.mark_price if held else None, "markValue": position.mark_value,
        "riskValue": abs(position.mark_value) + max(buy_cost, sell_cost),
        **_notional_columns(position), "posState": "", "posCost": cost, "posCross": cross,
        "posComm": fees, "posLoss": 0, "posMargin": locked,
        "posMaint": share(_e8(spec.maint_margin), abs(cost)) + fees,
        "initMargin": position.order_margin(), "maintMargin": locked + profit,
        "realisedPnl": position.realised_pnl, "unrealisedPnl": profit,
        "unrealisedPnlPcnt": pnl_ratio, "unrealisedRoePcnt": round(pnl_ratio / spec.init_margin, 4),
        "avgCostPrice": entry, "avgEntryPrice": entry, "breakEvenPrice": _break_even(position),
        "marginCallPrice": limits[0], "liquidationPrice": limits[0], "bankruptPrice": limits[1],
        "timestamp": iso_time(now_s),
    }  # fmt: skip


def margin_row(ledger: Ledger, account_no: int, now_s: float) -> Row:
    """The margin table's row in satoshis (PROTOCOL 7.6)."""
    funds = ledger.funds(account_no)
    held = list(ledger.positions(account_no).values())
    realised = sum(position.realised_pnl for position in held)
    balance = funds.wallet + funds.unrealised
    used = funds.order_margin + funds.position_margin
    mark_value = sum(abs(position.mark_value) for position in held)
    open_cost = sum(max(position.open_cost.values()) for position in held)
    deposit = ledger.deposit_sat(account_no)
    return {
        "account": account_no, "currency": "XBt", "riskLimit": 1_000_000_000_000, "state": "",
        "amount": deposit, "prevRealisedPnl": 0, "grossComm": sum(p.comm for p in held),
        "grossOpenCost": open_cost, "grossOpenPremium": 0,
        "grossExecCost": sum(abs(position.cost) for position in held),
        "grossMarkValue": mark_value, "riskValue": mark_value + open_cost,
        "initMargin": funds.order_margin, "maintMargin": funds.position_margin,
        "targetExcessMargin": 0, "realisedPnl": realised, "unrealisedPnl": funds.unrealised,
        "walletBalance": funds.wallet, "marginBalance": balance,
        "marginLeverage": mark_value / balance if balance > 0 else 0.0,
        "marginUsedPcnt": round(used / balance, 4) if balance > 0 else 1.0,
        "excessMargin": balance - used, "availableMargin": balance - used,
        "withdrawableMargin": max(0, min(balance, funds.wallet) - used),
        "makerFeeDiscount": 0, "takerFeeDiscount": 0, "timestamp": iso_time(now_s),
    }  # fmt: skip


def _portion(cost: int, part: int, whole: int) -> int:
    """*part* / *whole* of *cost*, to the nearest satoshi."""
    if not part:
        return 0
    nearest = (2 * abs(cost) * part + whole) // (2 * whole)
    return -nearest if cost < 0 else nearest


def _e8(rate: float) -> int:
    return round(rate * RATE_SCALE)


def _price_at(position: Position, value: float) -> float | None:
    """The price at which what is held is worth *value* satoshis."""
    if value <= 0 or not position.qty:
        return None
    notional = abs(position.contract.multiplier) * abs(position.qty)
    return notional / value if position.contract.is_inverse else value / notional


def _entry_price(position: Position) -> float | None:
    price = _price_at(position, abs(position.cost))
    return None if price is None else round(price, position.spec.grid().decimals + 3)


def _gains_with_value(position: Position) -> bool:
    """Whether the position gains when its contracts' value in satoshis grows."""
    return (position.qty > 0) != position.contract.is_inverse


def _break_even(position: Position) -> float | None:
    """Where leaving would just pay the fees so far; rounded against the holder."""
    sign = 1 if _gains_with_value(position) else -1
    price = _price_at(position, abs(position.cost) + sign * position.comm)
    if price is None:
        return None
    grid = position.spec.grid()
    return grid.price(grid.ask_ticks(price) if position.qty > 0 else grid.bid_ticks(price))


def _price_limits(position: Position, available: int) -> tuple[float | None, float | None]:
    """(liquidation, bankruptcy) price with all of the account's free money behind it."""
    cost = abs(position.cost)
    backing = max(0, available) + sum(position.margins())
    maintenance = share(_e8(position.spec.maint_margin), cost)
    prices = [_limit_price(position, cost, loss) for loss in (backing - maintenance, backing)]
    return prices[0], prices[1]


def _limit_price(position: Position, cost: int, loss: int) -> float:
    sign = -1 if _gains_with_value(position) else 1
    price = _price_at(position, cost + sign * loss)
    if price is None or price > _NEVER_ABOVE:
        return position.spec.tick_size if position.qty > 0 else _NEVER_ABOVE
    grid = position.spec.grid()
    return grid.price(grid.bid_ticks(price) if position.qty > 0 else grid.ask_ticks(price))


def _notional_columns(position: Position) -> dict[str, float]:
    if not position.qty:
        return {"homeNotional": 0.0, "foreignNotional": 0.0}
    _, home, foreign = position.spec.notionals(position.qty, position.mark_price)
    sign = 1 if position.qty > 0 else -1
    return {"homeNotional": sign * home, "foreignNotional": -sign * foreign}
