"""The money side of the built-in exchange: what can be read and asked about an account's money.

The engine inherits it; the work is done in accounts, wallets, clearing and liquidation. Amounts
are minor units of the currency named (XBt 1e-8 XBT, USDt 1e-6 USDT).
"""

from collections.abc import Mapping
from typing import Any

from market_maker.model.rows import Row
from market_maker.simulator.accounts import CURRENCIES, Ledger
from market_maker.simulator.clearing import Clearing
from market_maker.simulator.desk import Desk
from market_maker.simulator.entry import Refused
from market_maker.simulator.events import FundingEvent, Order, SettlementEvent, Transaction
from market_maker.simulator.indices import Index
from market_maker.simulator.instruments import Instrument, to_e8
from market_maker.simulator.liquidation import Liquidator
from market_maker.simulator.positions import Fees, Position
from market_maker.simulator.quirks import Quirks
from market_maker.simulator.statements import margin_row, position_row
from market_maker.simulator.tape import Tape
from market_maker.simulator.wallets import Wallets

FUND_SAT = {"XBt": 100_000_000_000, "USDt": 100_000_000_000_000}  # in the insurance fund at first


class Treasury:
    """Ledger, wallets, clearing and liquidation over the engine's desks."""

    def __init__(self, tape: Tape) -> None:
        self._tape = tape
        self._ledger = Ledger()
        self.quirks = Quirks()
        self._desks: dict[str, Desk] = {}
        self._indices: dict[str, Index] = {}  # underlying -> index
        self._wallets = Wallets(self._ledger, tape)
        self._clearing = Clearing(self._ledger, tape, self._desks, self._wallets, self.list_new)
        self._liquidator = Liquidator(self._ledger, tape, self._desks)
        self._ledger.fill_fund(FUND_SAT)

    # -- instruments --------------------------------------------------------------------------

    def list_new(self, spec: Instrument) -> Desk:
        """Open a book for an instrument, unless there is one."""
        if spec.symbol in self._desks:
            return self._desks[spec.symbol]
        index = self._indices.get(spec.underlying)
        if index is None:
            index = Index(spec.underlying, spec.start_price, self._tape)
            self._indices[spec.underlying] = index
        self._tape.currency_of[spec.symbol] = spec.settle_currency
        id_base = 8_800_000_000 + len(self._desks) * 10**10
        desk = Desk(spec, self._ledger, self._tape, id_base, index)
        desk.quirks = self.quirks
        self._desks[spec.symbol] = desk
        return desk

    def list_settled(self, spec: Instrument, price: float) -> None:
        """Take in a contract of a run before that expired at *price*."""
        desk = self.list_new(spec)
        desk.display.settle(price)
        desk.index.leave(desk.display)

    def settled(self) -> list[tuple[Instrument, float]]:
        """The contracts that expired, each with its last price."""
        prices = ((desk.spec, desk.display.settled_price) for desk in self._desks.values())
        return [(spec, price) for spec, price in prices if price is not None]

    def indices(self) -> list[str]:
        """The index symbols, such as .BXBT: prices without a book."""
        return [symbol for index in self._indices.values() for symbol in index.symbols]

    def instrument_row(self, symbol: str) -> Row:
        """The full instrument row of what is traded, or of an index."""
        for index in self._indices.values():
            if symbol in index.symbols:
                return index.row(symbol)
        return self._desk(symbol).display.instrument_row()

    # -- what an account has --------------------------------------------------------------------

    def currencies(self, account_no: int) -> list[str]:
        """The currencies of its margin and wallet rows, XBt first."""
        return self._ledger.currencies(account_no)

    def position_symbols(self, account_no: int) -> list[str]:
        """Symbols in which the account ever had an order or a fill."""
        return list(self._ledger.positions(account_no))

    def position_row(self, account_no: int, symbol: str) -> Row:
        spec = self._desk(symbol).spec
        return position_row(self._ledger, account_no, spec, self._tape.now())

    def margin_row(self, account_no: int, currency: str = "XBt") -> Row:
        return margin_row(self._ledger, account_no, self._tape.now(), _known(currency))

    def wallet_row(self, account_no: int, currency: str = "XBt") -> Row:
        return self._wallets.row(account_no, _known(currency))

    def transactions(self, account_no: int) -> list[Transaction]:
        """What came into the account's wallets and left them, oldest first."""
        return self._wallets.transactions(account_no)

    def fees(self, account_no: int, symbol: str) -> Fees:
        """(maker, taker, settlement) rates of the account."""
        return self._ledger.fees(account_no, self._desk(symbol).spec)

    # -- what an account may ask ----------------------------------------------------------------

    def request_withdrawal(self, account_no: int, fields: Mapping[str, Any]) -> Transaction:
        """Take money out by the fields of POST /user/requestWithdrawal; raises Refused."""
        transaction = self._wallets.request_withdrawal(account_no, fields)
        self._flush()
        return transaction

    def deposit(self, account_no: int, currency: str, amount: int) -> Transaction:
        """More play money from the house."""
        transaction = self._wallets.deposit(account_no, _known(currency), amount)
        self._flush()
        return transaction

    def set_leverage(self, account_no: int, symbol: str, leverage: float) -> Row:
        """Isolate the position at a leverage of 0.01 to 100, or make it cross with 0.

        Returns the position row; raises Refused.
        """
        desk = self._desk(symbol)
        position = self._ledger.position(account_no, desk.spec)
        leverage = _number(leverage, "Invalid leverage")
        if leverage and not 0.01 <= leverage <= 1 / desk.spec.init_margin:
            raise Refused("Invalid leverage")
        return self._change_terms(account_no, position, leverage, position.risk_limit)

    def isolate(self, account_no: int, symbol: str, enabled: bool = True) -> Row:
        """Give the position a margin of its own, at the highest leverage, or all of the account's.

        Returns the position row; raises Refused.
        """
        position = self._ledger.position(account_no, self._desk(symbol).spec)
        leverage = (position.leverage or round(1e8 / position.init_e8, 2)) if enabled else 0.0
        return self._change_terms(account_no, position, leverage, position.risk_limit)

    def set_risk_limit(self, account_no: int, symbol: str, risk_limit: int) -> Row:
        """Allow larger positions for more margin, in steps; returns the position row."""
        position = self._ledger.position(account_no, self._desk(symbol).spec)
        limit = int(_number(risk_limit, "Invalid riskLimit"))
        gross, _ = position.gross_open()
        spec = position.spec
        if limit < spec.risk_limit or (limit - spec.risk_limit) % spec.risk_step:
            raise Refused("Invalid riskLimit")
        if abs(position.mark_value) + gross > limit:
            raise Refused("Value of position and orders exceeds position Risk Limit")
        return self._change_terms(account_no, position, position.leverage, limit)

    def transfer_margin(self, account_no: int, symbol: str, amount: int) -> Row:
        """Move free money into an isolated position (negative: out of it, as far as it can).

        Returns the position row; raises Refused.
        """
        position = self._ledger.position(account_no, self._desk(symbol).spec)
        amount = int(_number(amount, "Invalid amount"))
        currency = position.spec.settle_currency
        if position.is_cross or not position.qty:
            raise Refused("Position is not isolated")
        if amount > self._ledger.funds(account_no, currency).available:
            raise Refused(_insufficient(amount, currency))
        if position.added_margin + amount < 0:
            raise Refused("Invalid amount")
        position.added_margin += amount
        left = self._ledger.backing(account_no, position) + position.unrealised_pnl
        if amount < 0 and left < position.maintenance():
            position.added_margin -= amount  # taking it would liquidate the position
            raise Refused("Invalid amount")
        self._tape.touch(account_no, position.spec.symbol)
        self._flush()
        return self.position_row(account_no, symbol)

    def _change_terms(
        self, account_no: int, position: Position, leverage: float, risk_limit: int
    ) -> Row:
        """Take new terms if the account can bear them, or leave all as it was."""
        before = position.leverage, position.risk_limit, position.added_margin
        currency = position.spec.settle_currency
        was_short = max(0, -self._ledger.funds(account_no, currency).available)
        position.added_margin = position.added_margin if leverage else 0
        position.set_terms(leverage, risk_limit)
        desk = self._desks[position.spec.symbol]
        missing = -self._ledger.funds(account_no, currency).available
        reason = ""
        if missing > was_short:
            reason = _insufficient(missing, currency)
        elif self._liquidator.is_due(account_no, desk):
            reason = "Executing at order price would lead to immediate liquidation"
        if reason:
            position.set_terms(*before[:2])
            position.added_margin = before[2]
            raise Refused(reason)
        self._tape.touch(account_no, position.spec.symbol)
        self._flush()
        return self.position_row(account_no, position.spec.symbol)

    # -- what happened to everybody -------------------------------------------------------------

    def fundings(self, symbol: str | None = None) -> list[FundingEvent]:
        """Oldest first; of one symbol, or of all."""
        return [event for event in self._clearing.fundings if symbol in (None, event.symbol)]

    def settlements(self, symbol: str | None = None) -> list[SettlementEvent]:
        """Oldest first; of one symbol, or of all."""
        return [event for event in self._clearing.settlements if symbol in (None, event.symbol)]

    def liquidations(self) -> list[Order]:
        """Open orders of the liquidation engine."""
        return self._liquidator.orders()

    def insurance(self, currency: str | None = None) -> list[tuple[float, str, int]]:
        """(time, currency, balance) of the insurance fund, each day at 12:00 UTC."""
        return [row for row in self._clearing.insurance if currency in (None, row[1])]

    def liquidate(self, account_no: int, symbol: str) -> None:
        """Take a position over now, at the mark if its margin would still do."""
        self._liquidator.liquidate(account_no, self._desk(symbol).spec.symbol)
        self._flush()

    def deleverage(self, account_no: int, symbol: str, qty: int) -> None:
        """Close *qty* contracts of a position against the market at the mark."""
        desk = self._desk(symbol)
        self._liquidator.deleverage(account_no, desk.spec.symbol, abs(qty), desk.display.mark_price)
        self._flush()

    def fund(self, symbol: str) -> None:
        """Exchange funding now, beside its own times."""
        desk = self._desk(symbol)
        if desk.spec.has_funding:
            self._clearing.fund(desk)
        self._flush()

    def imbalance_sat(self, currency: str = "XBt") -> int:
        """The sum of all postings of all accounts, market and house included: always 0."""
        return self._ledger.total(currency)

    # -- of use to the engine -------------------------------------------------------------------

    def _desk(self, symbol: str) -> Desk:
        desk = self._desks.get(str(symbol).upper())
        if desk is None:
            raise Refused("Invalid symbol")
        return desk

    def _open_money(self, account_no: int, balances: Mapping[str, int]) -> None:
        self._ledger.open(account_no)
        for currency, amount in balances.items():
            if amount:
                self._wallets.open(account_no, _known(currency), amount)

    def _flush(self) -> None:
        for desk in list(self._desks.values()):
            desk.wake()
        self._liquidator.check()
        self._tape.flush_accounts()
        for index in self._indices.values():
            index.flush()
        for desk in self._desks.values():
            desk.display.flush()


def _known(currency: str) -> str:
    if currency not in CURRENCIES:
        raise Refused("Invalid currency")
    return currency


def _insufficient(amount: int, currency: str) -> str:
    return f"Account has insufficient Available Balance, {amount} {currency} required"


def _number(given: Any, message: str) -> float:
    try:
        number = float(given)
        to_e8(number)
    except (TypeError, ValueError, OverflowError):
        raise Refused(message) from None
    return number
