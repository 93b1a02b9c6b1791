"""Where the money of a market maker comes from and goes to, exact to the minor unit.

    total = spread captured + inventory + fees + funding

- Spread captured: what each fill is worth at the mid that it met, less what was paid for it. The
  mid is that of the book just before whoever traded with us came; above 0 we bought below it.
- Inventory: what the mid does to the position between fills; at the end the position is valued at
  the mark price, as the exchange does.
- Fees and funding: as booked; paid is below 0 here.

Since each value is the step from one valuation of the position to the next, the sum is the change
of the balance, whatever the rounding. The markout of a fill is its worth at the mid some seconds
later, less what was paid, in basis points of the value traded and weighted by it: below 0 the
price went on against us. Fills too near the end to have one are left out.

Values of positions are signed as `Contract.cost`.
"""

from collections import deque
from dataclasses import dataclass, field
from typing import NamedTuple

from market_maker.model.contracts import Contract
from market_maker.model.ticks import SIZE_DECIMALS

HORIZONS_S = (1.0, 5.0, 30.0)


class Figures(NamedTuple):
    """Of one run, in minor units of the settlement currency (satoshi)."""

    fills: int
    traded: float  # contracts
    spread: int
    inventory: int
    fees: int
    funding: int
    position: float  # at the end
    largest: float  # contracts, of either sign
    markouts_bps: tuple[float | None, ...]  # after HORIZONS_S; None without any

    @property
    def total(self) -> int:
        """What was won, or below 0 lost."""
        return self.spread + self.inventory + self.fees + self.funding


@dataclass(slots=True)
class _Markout:
    """The fills that wait for the mid of one horizon, and the sum of those that had it."""

    horizon_s: float
    due: deque[tuple[float, float, int]] = field(default_factory=deque)  # when, qty, cost
    gain: int = 0
    traded: int = 0

    def resolve(self, contract: Contract, until_s: float, mid: float, *, is_end: bool) -> None:
        """*mid* held until *until_s*."""
        while self.due and (self.due[0][0] < until_s or (is_end and self.due[0][0] <= until_s)):
            _, qty, cost = self.due.popleft()
            self.gain += contract.cost(qty, mid) - cost
            self.traded += abs(cost)

    @property
    def bps(self) -> float | None:
        return 1e4 * self.gain / self.traded if self.traded else None


class Tally:
    """Counts as mids, fills and payments come, in the order of their times."""

    def __init__(self, contract: Contract, mid: float) -> None:
        self._contract = contract
        self._mid = mid
        self._qty = self._traded = self._largest = 0.0
        self._value = 0  # of the position at the last mid
        self._fills = self._spread = self._inventory = self._fees = self._funding = 0
        self._markouts = [_Markout(horizon_s) for horizon_s in HORIZONS_S]

    def note_mid(self, time_s: float, mid: float) -> None:
        """The mid is another from now on."""
        self._resolve(time_s, is_end=False)
        self._value_at(mid)
        self._mid = mid

    def note_fill(self, time_s: float, qty: float, cost: int, fee: int) -> None:
        """*qty* contracts (sold below 0) for *cost*, signed as `Contract.cost`; *fee* was paid."""
        self._qty = round(self._qty + qty, SIZE_DECIMALS)
        value = self._worth(self._mid)
        self._spread += value - self._value - cost
        self._value = value
        self._fees -= fee
        self._fills += 1
        self._traded = round(self._traded + abs(qty), SIZE_DECIMALS)
        self._largest = max(self._largest, abs(self._qty))
        for markout in self._markouts:
            markout.due.append((time_s + markout.horizon_s, qty, cost))

    def note_funding(self, paid: int) -> None:
        """Funding was paid, or below 0 received."""
        self._funding -= paid

    def close(self, time_s: float, mark_price: float) -> Figures:
        """The figures of all until now, the position valued at *mark_price*."""
        self._resolve(time_s, is_end=True)
        self._value_at(mark_price)
        return Figures(
            *(self._fills, self._traded, self._spread, self._inventory, self._fees),
            *(self._funding, self._qty, self._largest),
            tuple(markout.bps for markout in self._markouts),
        )

    def _resolve(self, until_s: float, *, is_end: bool) -> None:
        for markout in self._markouts:
            markout.resolve(self._contract, until_s, self._mid, is_end=is_end)

    def _value_at(self, price: float) -> None:
        value = self._worth(price)
        self._inventory += value - self._value
        self._value = value

    def _worth(self, price: float) -> int:
        return self._contract.cost(self._qty, price) if self._qty else 0
