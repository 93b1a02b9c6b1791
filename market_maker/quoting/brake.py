"""The trade brake of Krypto-trading-bot: so many net trades per side in so many seconds.

Somebody who knows more than we do takes one side again and again. An opposite trade at a better
price closes what was opened with a gain, and gives the credit back.
"""

from dataclasses import dataclass, field

from market_maker.model.rows import opposite


@dataclass(slots=True)
class _Trade:
    time_s: float
    price: float
    left: float  # contracts that no opposite trade has given back
    order_qty: float  # of the whole order: a part of it counts as a part of a trade


@dataclass(slots=True)
class TradeBrake:
    """The trades of late, less those that opposite ones at a better price have closed."""

    _trades: dict[str, list[_Trade]] = field(default_factory=lambda: {"Buy": [], "Sell": []})

    def add(self, side: str, price: float, qty: float, order_qty: float, now_s: float) -> None:
        """A fill of *qty* contracts, of an order over *order_qty*."""
        sign = 1 if side == "Buy" else -1
        others = self._trades[opposite(side)]
        for other in sorted(others, key=lambda t: -sign * t.price):  # the largest gain first
            if sign * other.price <= sign * price or qty <= 0:
                break
            closed = min(qty, other.left)
            other.left -= closed
            qty -= closed
        others[:] = [trade for trade in others if trade.left > 0]
        if qty > 0:
            self._trades[side].append(_Trade(now_s, price, qty, max(order_qty, qty)))

    def trades(self, side: str, per_s: float, now_s: float) -> float:
        """Net trades of *side* in the last *per_s* seconds, in orders."""
        ours = self._trades[side]
        ours[:] = [trade for trade in ours if trade.time_s > now_s - per_s]
        return sum(trade.left / trade.order_qty for trade in ours)
