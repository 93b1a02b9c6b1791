"""What one instrument has won or lost: realised and unrealised at the mark price, less fees, with
funding. Deposits and withdrawals have no part in it, because only trades are counted.

Amounts are whole minor units of the settlement currency (satoshi), losses positive.
"""

from dataclasses import dataclass
from typing import NamedTuple

from market_maker.model.coins import coin_of
from market_maker.model.contracts import Contract
from market_maker.model.rows import Row
from market_maker.model.ticks import SIZE_DECIMALS, plain


class LossLimits(NamedTuple):
    """Bounds in whole coins of the settlement currency; None is no bound."""

    max_loss: float | None = None  # of this run, and of this UTC day
    max_drawdown: float | None = None  # from the best result so far


@dataclass(slots=True)
class Book:
    """Everything traded so far, as a position and what was paid for it."""

    qty: float = 0
    cost: int = 0  # signed as Contract.cost
    fees: int = 0  # and funding; negative when received

    def add(self, execution: Row, contract: Contract) -> None:
        """Book an execution row: a trade, whoever ordered it, or a funding payment."""
        size = execution.get("lastQty") or 0
        price = execution.get("lastPx") or 0.0
        fee = execution.get("execComm")
        if fee is None:
            fee = round((execution.get("commission") or 0) * contract.value(size, price or 1.0))
        self.fees += int(fee)
        if execution.get("execType", "Trade") == "Trade" and size:
            qty = size if execution.get("side") == "Buy" else -size
            cost = execution.get("execCost")
            self.qty = round(self.qty + qty, SIZE_DECIMALS)
            self.cost += int(cost) if cost is not None else contract.cost(qty, price)

    def adopt(self, qty: float, mark_price: float, contract: Contract) -> None:
        """The position is *qty*: what no execution explains counts as traded at the mark."""
        if qty != self.qty:
            self.cost += contract.cost(round(qty - self.qty, SIZE_DECIMALS), mark_price)
            self.qty = qty

    def result(self, mark_price: float, contract: Contract) -> int:
        """What closing everything at *mark_price* would leave, won since the book began."""
        value = contract.cost(self.qty, mark_price) if self.qty else 0
        return value - self.cost - self.fees


@dataclass(slots=True)
class Marks:
    """The results that a loss is measured from."""

    run_start: int = 0
    day: str = ""  # UTC, "2026-11-21"
    day_start: int = 0
    peak: int = 0

    def note(self, result: int, day: str) -> None:
        """Take the latest *result* into account."""
        if day > self.day:
            self.day, self.day_start = day, result
        elif day < self.day:  # a clock that was set back forgives no loss
            self.day, self.day_start = day, max(self.day_start, result)
        self.peak = max(self.peak, result)


def check_losses(result: int, marks: Marks, limits: LossLimits, currency: str) -> str:
    """Which limit *result* has reached, in words; or nothing."""
    coin = coin_of(currency)
    for what, start, limit, setting in (
        ("in this run", marks.run_start, limits.max_loss, "MAX_LOSS"),
        (f"on {marks.day}", marks.day_start, limits.max_loss, "MAX_LOSS"),
        ("from the best result", marks.peak, limits.max_drawdown, "MAX_DRAWDOWN"),
    ):
        if limit is not None and start - result >= round(limit * coin.unit):
            lost = (start - result) / coin.unit
            return f"lost {lost:.{coin.decimals}f} {coin.name} {what}, {setting} is {plain(limit)}"
    return ""
