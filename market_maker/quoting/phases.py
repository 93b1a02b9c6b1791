"""In which order the amends of one batch may go out so that our own quotes never meet."""

from collections.abc import Sequence

from market_maker.model.rows import Row


def amend_phases(changes: Sequence[Row], resting: Sequence[Row]) -> list[list[int]]:
    """Split a batch that has no atomic form into phases of indices into *changes*.

    *resting* are all our live orders. What moves away from the other side, or does not move,
    goes first; what moves towards it follows when the first phase is acknowledged. Where no new
    price can touch an own order there is one phase.
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
    everything = list(range(len(changes)))
    if not prices["Buy"] or not prices["Sell"] or max(prices["Buy"]) < min(prices["Sell"]):
        return [everything]
    towards = {i for i, row, change in moves if _moves_towards(row, change)}
    first = [i for i in everything if i not in towards]
    return [phase for phase in (first, sorted(towards)) if phase]


def _moves_towards(row: Row, change: Row) -> bool:
    old, new = row.get("price"), change.get("price")
    if old is None or new is None:
        return False
    return bool(new > old if row["side"] == "Buy" else new < old)
