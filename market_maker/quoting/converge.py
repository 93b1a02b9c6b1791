"""From the orders we have to the orders we want: a plan of cancels, amends and creates."""

from collections.abc import Callable, Iterable, Sequence
from itertools import zip_longest
from typing import NamedTuple

from market_maker.model.rows import Row
from market_maker.model.ticks import SIZE_DECIMALS, PriceGrid


class Plan(NamedTuple):
    """What to send. Amends hold `orderID, orderQty (total), price, side`."""

    cancel: list[Row]
    amend: list[Row]
    create: list[Row]


class Rules(NamedTuple):
    """When a resting order is good enough to keep its place in the queue."""

    grid: PriceGrid
    relist_interval: float  # ratio that a price must be off before it is amended
    topup_below: float  # a partly filled order is refilled below this part of its size
    keep_sizes: bool = False  # sizes are drawn at random once per order: keep the drawn one


def converge(working: Sequence[Row], desired: Sequence[Row], rules: Rules) -> Plan:
    """Plan both sides. *working* rows without an `orderID` hold their level but are left alone."""
    plan = Plan([], [], [])
    missing: list[list[Row]] = []
    for side in ("Buy", "Sell"):
        kinds: dict[str, tuple[list[Row], list[Row]]] = {}
        for i, rows in enumerate((working, desired)):
            for row in rows:
                if row.get("side") == side:
                    kinds.setdefault(_kind(row), ([], []))[i].append(row)
        for ours, wants in kinds.values():
            pair = _from_touch(ours, side), _from_touch(wants, side)
            missing.append(_converge_side(*pair, rules, plan))
    # The touch of both sides first: where the rate budget ends early, far levels wait.
    for level in zip_longest(*missing):
        plan.create.extend(order for order in level if order is not None)
    return plan


def _converge_side(working: list[Row], desired: list[Row], rules: Rules, plan: Plan) -> list[Row]:
    """Plan amends and cancels of one side; returns the orders that are missing."""
    pairs: list[tuple[Row, Row]] = []
    for same in (_same_client_id, _same_price(rules.grid)):
        _pair(working, desired, same, pairs)
    _pair_as_they_are(working, desired, rules, pairs)
    count = min(len(working), len(desired))
    pairs += zip(working[:count], desired[:count], strict=True)
    for have, want in pairs:
        change = _amendment(have, want, rules)
        if change:
            plan.amend.append(change)
    plan.cancel.extend(row for row in working[count:] if row.get("orderID"))
    return desired[count:]


def _pair(
    working: list[Row],
    desired: list[Row],
    same: Callable[[Row], object],
    pairs: list[tuple[Row, Row]],
) -> None:
    """Move the pairs that *same* names alike out of both lists."""
    named = [(want, name) for want in desired if (name := same(want)) is not None]
    if not named:
        return
    by_name: dict[object, list[Row]] = {}
    for have in working:
        by_name.setdefault(same(have), []).append(have)
    for want, name in named:
        if by_name.get(name):
            have = by_name[name].pop(0)
            pairs.append((have, want))
            _drop(working, have)
            _drop(desired, want)


def _pair_as_they_are(
    working: list[Row], desired: list[Row], rules: Rules, pairs: list[tuple[Row, Row]]
) -> None:
    """Pair what is close enough to stay: a filled touch must not set the whole side in motion."""
    levels = [(row, _level(row)) for row in working if row.get("orderID")]
    for want in list(desired):
        wanted = _level(want)
        for position, (have, level) in enumerate(levels):
            if level > 0 and abs(wanted / level - 1) > rules.relist_interval:
                continue  # it must move, since what stands at the same price is paired already
            if _amendment(have, want, rules) is None:
                pairs.append((have, want))
                _drop(working, have)
                _drop(desired, want)
                del levels[position]
                break


def _amendment(have: Row, want: Row, rules: Rules) -> Row | None:
    """The amend that turns *have* into *want*, or None when it is close enough."""
    if not have.get("orderID"):
        return None
    leaves, filled = have.get("leavesQty") or 0, have.get("cumQty") or 0
    wanted_qty = abs(want["orderQty"])
    is_refill_due = filled > 0 and leaves < rules.topup_below * wanted_qty
    if rules.keep_sizes and not is_refill_due:
        wanted_qty = leaves
    is_resized = leaves != wanted_qty and (filled == 0 or is_refill_due or leaves > wanted_qty)
    moved = [name for name in ("price", "stopPx") if _has_moved(have, want, name, rules)]
    if not (is_resized or moved):
        return None
    change: Row = {
        "orderID": have["orderID"],
        "orderQty": round(filled + wanted_qty, SIZE_DECIMALS),
        "price": want.get("price"),
        "side": have["side"],
    }
    if change["price"] is None:
        del change["price"]
    if want.get("stopPx") is not None:
        change["stopPx"] = want["stopPx"]
    return change


def _has_moved(have: Row, want: Row, name: str, rules: Rules) -> bool:
    old, new = have.get(name), want.get(name)
    if old is None or new is None:
        return False
    is_far = bool(old <= 0 or abs(new / old - 1) > rules.relist_interval)
    return is_far and rules.grid.nearest(old) != rules.grid.nearest(new)


def _kind(row: Row) -> str:
    """The order type, inferred as BitMEX does; only orders of one type are paired."""
    if row.get("ordType"):
        return str(row["ordType"])
    if row.get("stopPx") is None:
        return "Limit"
    return "Stop" if row.get("price") is None else "StopLimit"


def _level(row: Row) -> float:
    price = row.get("price")
    return float(price if price is not None else row.get("stopPx") or 0.0)


def _from_touch(rows: Iterable[Row], side: str) -> list[Row]:
    return sorted(rows, key=_level, reverse=side == "Buy")


def _same_client_id(row: Row) -> object:
    return row.get("clOrdID") or None


def _same_price(grid: PriceGrid) -> Callable[[Row], object]:
    return lambda row: grid.nearest(_level(row))


def _drop(rows: list[Row], row: Row) -> None:
    """Remove this very object; equal rows may stand beside it."""
    for position, other in enumerate(rows):
        if other is row:
            del rows[position]
            return
