"""What to do when a post-only order would have taken, and the exchange cancelled it.

The market has moved through that price. Asking for it again in the next round would cost a
request each time and never rest: the level goes one tick back, and waits there.
"""

from collections.abc import Sequence

from market_maker.model.rows import POST_ONLY, TERMINAL, Row
from market_maker.model.ticks import PriceGrid

_HOLD_S = 5.0  # how long a price that was refused is not asked for again


class PassiveHold:
    """For each side, the price that was refused last and until when it is avoided.

    Times are monotonic seconds.
    """

    def __init__(self) -> None:
        self._held: dict[str, tuple[float, float]] = {}  # side -> (price, until)

    def learn(self, row: Row, reason: str, now_s: float) -> None:
        """See whether *row*, the answer to a create or an amend, was refused for taking."""
        side, price = row.get("side"), row.get("price")
        is_post_only = POST_ONLY in str(row.get("execInst") or "")
        is_over = row.get("ordStatus") in TERMINAL and row.get("ordStatus") != "Filled"
        told = f"{row.get('text') or ''} {reason}"
        if is_post_only and is_over and side and price and POST_ONLY in told:
            held = self._active(side, now_s)
            deeper = min if side == "Buy" else max
            self._held[side] = (price if held is None else deeper(price, held), now_s + _HOLD_S)

    def step_back(self, orders: Sequence[Row], grid: PriceGrid, now_s: float) -> list[Row]:
        """The wanted orders, none at or beyond a price that was refused just now, and each
        level still behind the one before it."""
        result = list(orders)
        for side, sign in (("Buy", 1), ("Sell", -1)):  # signed ticks grow towards the market
            held = self._active(side, now_s)
            if held is None:
                continue
            limit = sign * grid.nearest(held) - 1
            levels = [
                (sign * grid.nearest(order["price"]), i)
                for i, order in enumerate(orders)
                if order.get("side") == side and order.get("price") and not order.get("stopPx")
            ]
            for ticks, i in sorted(levels, reverse=True):
                if ticks < limit:
                    break
                result[i] = {**orders[i], "price": grid.price(sign * limit)}
                limit -= 1
        return result

    def _active(self, side: str, now_s: float) -> float | None:
        price, until_s = self._held.get(side, (0.0, 0.0))
        return price if now_s < until_s else None
