"""Which orders of a batch go out first where the rate budget does not allow all of them."""

from collections.abc import Sequence

from market_maker.model.rows import Row
from market_maker.quoting.limits import is_reducing


def by_urgency(orders: Sequence[Row], before: Sequence[Row], position_qty: float) -> list[int]:
    """Indices of *orders*, the most urgent first: what only reduces, then level by level from the
    touch, at each level the side that brings the position back first.

    *before* has what rests now in the place of each order, with side and price; a new order has an
    empty row there. *position_qty* is signed.
    """
    rows = [{**old, **order} for old, order in zip(before, orders, strict=True)]
    depths: dict[int, int] = {}
    for side, sign in (("Buy", -1), ("Sell", 1)):
        own = [i for i, row in enumerate(rows) if row.get("side") == side]
        own.sort(key=lambda i: sign * (rows[i].get("price") or 0.0))
        depths.update((i, depth) for depth, i in enumerate(own))
    enlarging = "Buy" if position_qty > 0 else "Sell" if position_qty < 0 else ""

    def urgency(i: int) -> tuple[bool, int, bool]:
        may_add = not (is_reducing(rows[i]) or _only_shrinks(before[i], orders[i]))
        return may_add, depths.get(i, 0), rows[i].get("side") == enlarging

    return sorted(range(len(orders)), key=urgency)


def _only_shrinks(old: Row, change: Row) -> bool:
    """Whether an amend leaves the price and takes from the size."""
    if not old or change.get("price", old.get("price")) != old.get("price"):
        return False
    size, wanted = old.get("orderQty") or 0, change.get("orderQty")
    return wanted is not None and wanted < size
