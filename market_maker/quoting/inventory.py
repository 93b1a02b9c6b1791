"""The decisions of the strategy "inventory", each by itself.

Prices are integer ticks, inventory and sizes contracts, negative when short. "Deeper" is away from
the market: lower for bids, higher for asks.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from enum import Enum
from itertools import count, islice

from market_maker.model.rows import Row
from market_maker.model.ticks import SIZE_DECIMALS
from market_maker.quoting.converge import Plan


class State(Enum):
    """What the quotes lean on."""

    INIT = "INIT"  # something that is needed is not known: no quotes
    DUAL = "DUAL"  # flat: both sides join the touch
    BID = "BID"  # long: the bids step back
    ASK = "ASK"  # short: the asks step back
    KILL = "KILL"  # too much is lost: no quotes any more, whatever comes


@dataclass(frozen=True, slots=True)
class Shape:
    """The constants of the ladder."""

    levels: int  # quotes of each side
    step_ticks: int  # between two of them
    skew: tuple[int | None, ...]  # ticks to step back by tiers of the inventory; None: no quotes
    max_inventory: float
    trade_ratio: float  # takers of one side, in part of all, below which its makers step back
    queue_ratio: float  # part of the level before an order, above which it leaves the touch
    grace_s: float  # but not before so long


def next_state(
    state: State,
    inventory: float,
    balance: float | None,
    start_balance: float | None,
    max_loss: float | None,
) -> State:
    """The state that follows. Nothing follows KILL.

    *balance* is the margin balance, with what is not realised; None while it is not known.
    *max_loss* is a part of *start_balance*; None is no limit.
    """
    if state is State.KILL:
        return state
    if balance is None or start_balance is None:
        return State.INIT
    if max_loss is not None and start_balance > 0 and balance <= start_balance * (1 - max_loss):
        return State.KILL
    if inventory == 0:
        return State.DUAL
    return State.BID if inventory > 0 else State.ASK


def quotes_anything(state: State) -> bool:
    """Whether quotes may be in the market at all."""
    return state not in (State.INIT, State.KILL)


def is_enlarging(side: str, state: State) -> bool:
    """Whether a fill of *side* ("Buy" for bids) adds to the inventory we have."""
    return state is (State.BID if side == "Buy" else State.ASK)


def skew_ticks(
    side: str, state: State, inventory: float, max_inventory: float, tiers: Sequence[int | None]
) -> int | None:
    """How far the quotes of *side* step back from the touch; None: it shows none.

    The inventory up to its largest is cut into equal parts, one for each of *tiers*.
    """
    if not is_enlarging(side, state):
        return 0
    tier = int(abs(inventory) * len(tiers) / max_inventory)
    return tiers[min(tier, len(tiers) - 1)]


def buyers_ratio(takers: Sequence[str], lookback: int) -> float | None:
    """The part of the last *lookback* trades that bought; None when there are fewer."""
    if len(takers) < lookback:
        return None
    return sum(side == "Buy" for side in takers[-lookback:]) / lookback


def runs_against(side: str, state: State, buyers: float | None, threshold: float) -> bool:
    """Whether the takers all come towards *side*, so that its best quote steps aside.

    Not the side whose fills bring the inventory back.
    """
    if buyers is None or not (state is State.DUAL or is_enlarging(side, state)):
        return False
    return buyers < threshold if side == "Buy" else buyers > 1 - threshold


def leaves_touch(
    side: str,
    inventory: float,
    own_best: int | None,
    touch: int | None,
    queue: tuple[float, float],
    shape: Shape,
) -> bool:
    """Whether our best quote stands at the *touch* of the others with too much before it.

    *queue*: the part of its level before it, and the seconds it has been there.
    """
    if own_best is None or own_best != touch:
        return False
    is_its_turn = inventory <= 0 if side == "Buy" else inventory >= 0
    ratio, age_s = queue
    return is_its_turn and ratio > shape.queue_ratio and age_s > shape.grace_s


def burnt_touch(remembered: int | None, touch: int | None, *, leaves: bool) -> int | None:
    """The touch that a side stays away from: the one it *leaves*, for as long as it stands."""
    return touch if leaves or remembered == touch else None


def ladder(
    side: str, touch: int, skew: int, shape: Shape, *, burnt: int | None, steps_aside: bool
) -> list[int]:
    """The prices of one side, nearest first: from *touch*, *skew* deeper.

    Without the first when it *steps_aside*, and without the *burnt* price; those further out take
    their places.
    """
    sign = -1 if side == "Buy" else 1
    prices: Iterable[int] = (touch + sign * (skew + n * shape.step_ticks) for n in count())
    prices = islice(prices, 1 if steps_aside else 0, shape.levels + 2)
    return [price for price in prices if price != burnt and price > 0][: shape.levels]


def room(side: str, inventory: float, max_inventory: float) -> float:
    """Contracts that *side* may still add before the inventory is at its largest."""
    held = inventory if side == "Buy" else -inventory
    return max(0.0, max_inventory - held)


def must_scratch(
    inventory: float,
    max_inventory: float,
    last_price: float,
    average_price: float | None,
    part: float | None,
    move: float,
) -> bool:
    """Whether the inventory has to go at the market's price, won or lost.

    It is more than *part* of the largest, and the market more than *move* (a ratio) away from what
    was paid. *part* None: never.
    """
    if part is None or not average_price or abs(inventory) <= part * max_inventory:
        return False
    return abs(last_price - average_price) > move * average_price


def average_price(fills: Sequence[Row], inventory: float) -> float | None:
    """What was paid for the inventory, by the newest *fills* (oldest first) that make it up."""
    left, paid = abs(inventory), 0.0
    for fill in reversed(fills):
        if (fill.get("side") == "Buy") != (inventory > 0):
            continue
        part = min(left, fill.get("lastQty") or 0)
        paid += part * (fill.get("lastPx") or 0)
        left = round(left - part, SIZE_DECIMALS)
        if left <= 0:
            return paid / abs(inventory) if inventory else None
    return None


def may_amend_first(plan: Plan, working: Sequence[Row]) -> bool:
    """Whether no amended price meets an order that is only cancelled afterwards."""
    leaving = {row["orderID"] for row in plan.cancel}
    facing = {"Buy": [], "Sell": []}  # type: dict[str, list[float]]
    for row in working:
        if row.get("orderID") in leaving and row.get("price") and row.get("side") in facing:
            facing[row["side"]].append(row["price"])
    for change in plan.amend:
        price = change.get("price")
        if price is None:
            continue
        if change["side"] == "Buy" and price >= min(facing["Sell"], default=price + 1):
            return False
        if change["side"] == "Sell" and price <= max(facing["Buy"], default=price - 1):
            return False
    return True
