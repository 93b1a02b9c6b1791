"""Accounts and their money in the built-in exchange, in whole minor units of each currency.

Every posting has a counterpart: a trade is booked on the account of each side (the market is an
account), a fee goes to the house, a deposit comes from it, the insurance fund takes positions
over. So all postings of a currency sum to exactly zero.
"""

from collections.abc import Iterable, Mapping
from typing import NamedTuple

from market_maker.simulator.instruments import Instrument, share, to_e8
from market_maker.simulator.positions import Claim, Fees, Position
from market_maker.simulator.spot import SpotPosition

# the accounts of the market source, of the exchange itself and of the insurance fund
MARKET, HOUSE, FUND = -1, -2, -3
CURRENCIES = ("XBt", "USDt")  # the order in which an account's rows stand
PLAY_MONEY = {"XBt": 100_000_000, "USDt": 100_000_000_000}  # 1 XBT and 100,000 USDT


class Funds(NamedTuple):
    """An account's money in one currency at the current marks, in minor units."""

    wallet: int
    unrealised: int
    order_margin: int
    position_margin: int  # as locked; includes unrealised profit

    @property
    def available(self) -> int:
        return self.wallet + self.unrealised - self.order_margin - self.position_margin

    @property
    def withdrawable(self) -> int:
        """Profit on paper cannot be taken out."""
        balance = min(self.wallet, self.wallet + self.unrealised)
        return max(0, balance - self.order_margin - self.position_margin)


class Ledger:
    """All accounts' money and positions."""

    def __init__(self) -> None:
        # account -> currency -> what came in less what went out (house: and fees earned)
        self._cash = {account_no: dict.fromkeys(CURRENCIES, 0) for account_no in (HOUSE, FUND)}
        self._cash[MARKET] = dict.fromkeys(CURRENCIES, 0)
        self._positions: dict[int, dict[str, Position]] = {MARKET: {}, HOUSE: {}, FUND: {}}
        self._fees: dict[int, Mapping[str, Fees]] = {}  # account -> symbol ("" all) -> rates
        self._marks: dict[str, float] = {}

    # -- accounts -----------------------------------------------------------------------------

    def open(self, account_no: int, balance_sat: int = 0) -> None:
        """A new account; the house lends the play money."""
        self._cash[account_no] = dict.fromkeys(CURRENCIES, 0)
        self._positions[account_no] = {}
        if balance_sat:
            self.deposit(account_no, "XBt", balance_sat)

    def currencies(self, account_no: int) -> list[str]:
        """XBt first."""
        return list(self._cash[account_no])

    def set_fees(self, account_no: int, fees: Mapping[str, Fees]) -> None:
        """Rates of its own, by symbol; those for "" hold for all others."""
        self._fees[account_no] = dict(fees)

    def fees(self, account_no: int, spec: Instrument) -> Fees:
        """The account's rates, or those of the instrument."""
        own = self._fees.get(account_no, {})
        standard = Fees(spec.maker_fee, spec.taker_fee, spec.settlement_fee)
        return own.get(spec.symbol) or own.get("") or standard

    def deposit(self, account_no: int, currency: str, amount: int) -> None:
        """Money from outside (negative: to it), which is the house's side."""
        self._cash[account_no][currency] += amount
        self._cash[HOUSE][currency] -= amount

    def fill_fund(self, amounts: Mapping[str, int]) -> None:
        """What the insurance fund starts with; it pays no fees."""
        for currency, amount in amounts.items():
            self.deposit(FUND, currency, amount)
        self.set_fees(FUND, {"": Fees(0.0, 0.0, 0.0)})

    def deposited(self, account_no: int, currency: str = "XBt") -> int:
        """All that came in less all that went out; of the house, with the fees earned."""
        return self._cash[account_no][currency]

    def amount(self, account_no: int, currency: str) -> int:
        """The wallet's amount: what came in, and profit that has been moved into it."""
        held = self._positions[account_no].values()
        moved = sum(p.rebalanced for p in held if p.spec.settle_currency == currency)
        return self._cash[account_no][currency] + moved

    def customers(self) -> list[int]:
        return [account_no for account_no in self._cash if account_no > 0]

    # -- positions ----------------------------------------------------------------------------

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
        if position is not None:
            return position
        mark = self._marks.get(spec.symbol, spec.start_price)
        kind = SpotPosition if spec.is_spot else Position
        return kind(spec, spec.contract(), mark, self.fees(account_no, spec))

    def positions(self, account_no: int) -> dict[str, Position]:
        """symbol -> position."""
        return self._positions[account_no]

    def holders(self, symbol: str) -> list[tuple[int, Position]]:
        """Everyone with contracts of *symbol*, in the order of their accounts' opening."""
        held = ((no, positions.get(symbol)) for no, positions in self._positions.items())
        return [(no, position) for no, position in held if position and position.qty]

    def percentile(self, position: Position) -> float:
        """How near a position is to being deleveraged among its side's; 1 is first in line."""
        ours = [
            other.leveraged_profit()
            for account_no, other in self.holders(position.spec.symbol)
            if account_no > 0 and (other.qty > 0) == (position.qty > 0)
        ]
        mine = position.leveraged_profit()
        return round(sum(profit <= mine for profit in ours) / max(1, len(ours)), 4)

    def set_mark(self, symbol: str, mark_price: float) -> list[int]:
        """A new mark price; the customers whose position it revalues."""
        self._marks[symbol] = mark_price
        touched = []
        for account_no, held in self._positions.items():
            position = held.get(symbol)
            if position is not None:
                position.revalue(mark_price)
                if position.qty and account_no > 0:
                    touched.append(account_no)
        return touched

    def charge(self, position: Position, rate: float, cost: int) -> int:
        """Book the fee (negative: rebate) of a trade of *cost*; the house gets it."""
        fee = share(to_e8(rate), abs(cost))
        self.pay(position, fee)
        return fee

    def charge_in_base(self, position: SpotPosition, rate: float, qty: int) -> int:
        """The same for a buyer who pays in what he buys."""
        fee = share(to_e8(rate), qty * position.spec.base_unit)
        position.base_comm += fee
        self._cash[HOUSE][position.spec.base_currency] += fee
        return fee

    def pay(self, position: Position, amount: int) -> None:
        """Book a fee or funding that the holder pays (negative: gets) on the house's side."""
        position.comm += amount
        self._cash[HOUSE][position.spec.settle_currency] += amount

    def respec(self, spec: Instrument) -> None:
        """The instrument's tick or lot changed; what was booked stays as it is."""
        for held in self._positions.values():
            if spec.symbol in held:
                held[spec.symbol].respec(spec)

    def open_interest(self, symbol: str) -> int:
        """Contracts held long, which equals contracts held short."""
        held = (positions.get(symbol) for positions in self._positions.values())
        return sum(position.qty for position in held if position and position.qty > 0)

    # -- funds --------------------------------------------------------------------------------

    def funds(self, account_no: int, currency: str = "XBt") -> Funds:
        wallet, unrealised = self._cash[account_no][currency], 0
        order_margin = position_margin = 0
        for position in self._positions[account_no].values():
            if position.spec.base_currency == currency and isinstance(position, SpotPosition):
                wallet += position.base
                order_margin += position.base_reserved
            if position.spec.settle_currency != currency:
                continue
            wallet += position.realised_pnl
            if position.open_qty["Buy"] or position.open_qty["Sell"]:
                order_margin += position.order_margin()
            if position.qty:
                profit = position.unrealised_pnl
                unrealised += profit
                position_margin += sum(position.margins()) + profit
        return Funds(wallet, unrealised, order_margin, position_margin)

    def backing(self, account_no: int, position: Position) -> int:
        """What can be lost on a position before it is bankrupt, its fees apart.

        An isolated one has its own margin; behind a cross one stands all that is free.
        """
        initial, cross, _ = position.margins()
        if position.is_cross:
            cross += self.funds(account_no, position.spec.settle_currency).available
        return initial + cross

    def refusal(self, account_no: int, position: Position, extra: Iterable[Claim]) -> str:
        """Why orders with these claims may not be entered, in BitMEX's words; "" if they may."""
        claims = list(extra)
        if not claims:
            return ""
        if isinstance(position, SpotPosition):
            return self._cannot_pay(account_no, position, claims)
        gross, premium = position.gross_open(claims)
        needed = position.margin_of(gross, premium) - position.order_margin()
        if needed <= 0:
            return ""
        if abs(position.mark_value) + gross > position.risk_limit:
            return "Value of position and orders exceeds position Risk Limit"
        currency = position.spec.settle_currency
        free = self.funds(account_no, currency).available
        if needed <= free:
            return ""
        # a trade far through the mark costs its premium at once: more than initial margin can
        # bear beyond the maintenance it must leave
        premium = sum(claim.premium for claim in claims)
        cushion = share(position.init_e8 - position.maint_e8, sum(c.cost for c in claims))
        if needed - premium <= free and needed > free + cushion:
            return "Executing at order price would lead to immediate liquidation"
        return f"Account has insufficient Available Balance, {needed} {currency} required"

    def _cannot_pay(self, account_no: int, position: SpotPosition, claims: list[Claim]) -> str:
        """Why there is not enough to buy with or to sell; "" if there is."""
        spec = position.spec
        base = sum(c.qty for c in claims if c.side == "Sell") * spec.base_unit
        quote = position.order_margin(claims) - position.order_margin()
        for needed, currency in ((base, spec.base_currency), (quote, spec.settle_currency)):
            if needed > 0 and needed > self.funds(account_no, currency).available:
                return f"Account has insufficient Available Balance, {needed} {currency} required"
        return ""

    def total(self, currency: str = "XBt") -> int:
        """Sum of all cash, fees and costs over all accounts; 0 unless a posting was lost."""
        total = sum(cash[currency] for cash in self._cash.values())
        for positions in self._positions.values():
            for position in positions.values():
                if position.spec.settle_currency == currency:
                    total -= position.comm + position.current_cost
                if position.spec.base_currency == currency and isinstance(position, SpotPosition):
                    total += position.base
        return total
