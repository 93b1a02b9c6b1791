"""What comes into an account's wallet and leaves it: deposits, withdrawals, realised profit."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from market_maker.model.rows import Row
from market_maker.simulator.accounts import CURRENCIES, Ledger
from market_maker.simulator.entry import Refused
from market_maker.simulator.events import TransactEvent, Transaction, WalletEvent
from market_maker.simulator.instruments import iso_time
from market_maker.simulator.tape import Tape


class Wallets:
    """Keeps each account's transactions and books them on the ledger."""

    def __init__(self, ledger: Ledger, tape: Tape) -> None:
        self._ledger, self._tape = ledger, tape
        self._made: dict[int, list[Transaction]] = {}

    def transactions(self, account_no: int) -> list[Transaction]:
        """Oldest first."""
        return list(self._made.get(account_no, ()))

    def take_in(self, transaction: Transaction) -> None:
        """Keep a transaction of a run before; what it did to the ledger is there already."""
        self._made.setdefault(transaction.account, []).append(transaction)

    def open(self, account_no: int, currency: str, amount: int) -> None:
        """The play money of a new account; nobody listens yet."""
        self._ledger.deposit(account_no, currency, amount)
        self.take_in(self._made_of(account_no, currency, "Deposit", amount, "Completed"))

    def deposit(self, account_no: int, currency: str, amount: int, text: str = "") -> Transaction:
        """Play money from the house."""
        self._ledger.deposit(account_no, currency, amount)
        return self._book(account_no, currency, "Deposit", amount, "Completed", text=text)

    def request_withdrawal(self, account_no: int, fields: Mapping[str, Any]) -> Transaction:
        """Take money out; it stays pending until the next 13:00 UTC. Raises Refused.

        `amount` and the network's `fee` leave the wallet together, at once.
        """
        currency = str(fields.get("currency") or "XBt")
        if currency not in CURRENCIES:
            raise Refused(f"Account has no {currency}")
        amount, fee = _amount(fields.get("amount")), _amount(fields.get("fee") or 0, least=0)
        address = next((str(fields[n]) for n in _PLACES if fields.get(n)), "")
        if not address:
            raise Refused("Invalid address")
        if amount + fee > self._withdrawable(account_no, currency):
            raise Refused("Account has insufficient Withdrawable Balance")
        self._ledger.deposit(account_no, currency, -amount - fee)
        text = str(fields.get("text") or "")
        return self._book(
            account_no, currency, "Withdrawal", -amount - fee, "Pending", address, text, fee
        )

    def complete_withdrawals(self) -> None:
        """Send what is pending."""
        for made in self._made.values():
            for transaction in made:
                if transaction.status == "Pending":
                    transaction.status = "Completed"
                    self._tell(transaction, is_first=False)

    def rebalance(self) -> None:
        """Move the realised profit of every customer's positions into their wallets' amount."""
        for account_no in self._ledger.customers():
            for symbol, position in self._ledger.positions(account_no).items():
                if position.spec.is_spot:
                    continue  # what was traded is in the wallets already
                profit = position.realised_pnl - position.rebalanced
                if profit:
                    position.rebalanced += profit
                    currency = position.spec.settle_currency
                    self._book(account_no, currency, "RealisedPNL", profit, "Completed", symbol)
                    self._tape.touch(account_no, symbol)

    def row(self, account_no: int, currency: str) -> Row:
        """The wallet table's row, in minor units."""
        made = [t for t in self.transactions(account_no) if t.currency == currency]
        deposited = sum(t.amount for t in made if t.kind == "Deposit")
        withdrawn = -sum(t.amount for t in made if t.kind == "Withdrawal")
        pending = -sum(t.amount for t in made if t.status == "Pending")
        return {
            "account": account_no, "currency": currency, "deposited": deposited,
            "withdrawn": withdrawn, "transferIn": 0, "transferOut": 0,
            "amount": self._ledger.amount(account_no, currency), "pendingCredit": 0,
            "pendingDebit": pending, "confirmedDebit": 0,
            "timestamp": iso_time(made[-1].time_s if made else self._tape.now()),
        }  # fmt: skip

    def _withdrawable(self, account_no: int, currency: str) -> int:
        return self._ledger.funds(account_no, currency).withdrawable

    def _book(
        self, account_no: int, currency: str, kind: str, amount: int, status: str,
        address: str = "", text: str = "", fee: int = 0,
    ) -> Transaction:  # fmt: skip
        transaction = self._made_of(account_no, currency, kind, amount, status, address, text, fee)
        self.take_in(transaction)
        self._tell(transaction)
        return transaction

    def _made_of(
        self, account_no: int, currency: str, kind: str, amount: int, status: str,
        address: str = "", text: str = "", fee: int = 0,
    ) -> Transaction:  # fmt: skip
        return Transaction(
            self._tape.new_id(), account_no, currency, kind, amount, fee, status, address, text,
            self._tape.now(), self._ledger.amount(account_no, currency),
        )  # fmt: skip

    def _tell(self, transaction: Transaction, *, is_first: bool = True) -> None:
        now_s, account_no = self._tape.now(), transaction.account
        self._tape.emit(TransactEvent(now_s, account_no, replace(transaction), is_first))
        self._tape.emit(WalletEvent(now_s, account_no, transaction.currency))
        self._tape.touch_money(account_no, transaction.currency)


_PLACES = ("address", "addressId", "targetUserId")


def _amount(given: Any, least: int = 1) -> int:
    try:
        amount = float(given)
        if amount != int(amount):
            raise ValueError
    except (TypeError, ValueError, OverflowError):
        raise Refused("Invalid withdrawal amount") from None
    if amount < 0:
        raise Refused("Negative withdrawal amount")
    if amount < least:
        raise Refused("Invalid withdrawal amount")
    return int(amount)
