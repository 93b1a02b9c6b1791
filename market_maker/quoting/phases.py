"""In which order the amends of one batch may go out so that our own quotes never meet."""

import math
from collections.abc import Sequence

from market_maker.model.rows import Row


def amend_phases(changes: Sequence[Row], resting: Sequence[Row]) -> list[list[int]]:
    """Split a batch that has no atomic form into phases of indices into *changes*.

    *resting* are all our live orders. What moves towards the other side as far as any of its old
    or new prices follows when all else is acknowledged. Where no new price can touch an own order
    there is one phase.
    """
    by_id = {row["orderID"]: row for row in resting}
    moves = [
        (i, by_id[change["orderID"]], change)
        for i, change in enumerate(changes)
        if change.get("orderID") in by_id
    ]
    prices = {"Buy": [], "Sell": []}  # type: dict[str, list[float]]
    for row in resting:
        if row.get("price") is not None and row.get("side") in prices:
            prices[row["side"]].append(row["price"])
    for _, row, change in moves:
        if change.get("price") is not None:
            prices[row["side"]].append(change["price"])
    highest_bid = max(prices["Buy"], default=-math.inf)
    lowest_ask = min(prices["Sell"], default=math.inf)
    waits = [i for i, row, change in moves if _may_meet(row, change, highest_bid, lowest_ask)]
    first = [i for i in range(len(changes)) if i not in waits]
    return [phase for phase in (first, waits) if phase]


def _may_meet(row: Row, change: Row, highest_bid: float, lowest_ask: float) -> bool:
    old, new = row.get("price"), change.get("price")
    if old is None or new is None:
        return False
    return bool(old < new >= lowest_ask if row["side"] == "Buy" else old > new <= highest_bid)
