"""Spot: what is bought is owned, in the base currency; nothing is lent, margined or funded.

An account has of the base currency what came in, and what it has bought less what it has sold;
the quote currency pays for it and takes the fees. A resting bid reserves its cost and the dearer
fee, a resting ask the base that it offers.
"""

from collections.abc import Iterable
from dataclasses import dataclass

from market_maker.simulator.instruments import share_up
from market_maker.simulator.positions import Claim, Position


@dataclass(slots=True)
class SpotPosition(Position):
    """`qty` is what was bought less what was sold, in contracts; it may be below zero."""

    base_comm: int = 0  # fees paid in the base currency

    @property
    def realised_pnl(self) -> int:
        """What trading has added to the quote currency."""
        return -self.current_cost - self.comm

    @property
    def unrealised_pnl(self) -> int:
        return 0

    @property
    def base(self) -> int:
        """What trading has added to the base currency, in its minor units."""
        return self.qty * self.spec.base_unit - self.base_comm

    @property
    def base_reserved(self) -> int:
        return self.open_qty["Sell"] * self.spec.base_unit

    def trade(self, qty: int, price: float) -> tuple[int, int]:
        cost = self.contract.cost(qty, price)
        self.current_cost += cost
        self.qty += qty
        return cost, 0

    def gross_open(self, extra: Iterable[Claim] = ()) -> tuple[int, int]:
        """What the bids cost."""
        return self.open_cost["Buy"] + sum(c.cost for c in extra if c.side == "Buy"), 0

    def margin_of(self, gross: int, premium: int) -> int:
        fee = 0 if self.spec.pays_in_base else share_up(max(0, self.taker_e8), gross)
        return gross + fee + premium

    def margins(self) -> tuple[int, int, int]:
        return 0, 0, 0

    def maintenance(self) -> int:
        return 0
