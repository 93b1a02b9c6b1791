"""Amends where a venue has none: cancel, confirm that it is dead, create the rest.

Never the other way round: while the old order may live, nothing is created in its place. The
rest is what the change asks for less all that the old order has filled.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from market_maker.exchanges.base import Result, Status
from market_maker.exchanges.refusals import SPENT
from market_maker.model.rows import LATE_AMEND, TERMINAL, Row
from market_maker.quoting.limits import Approved, Refused

if TYPE_CHECKING:
    from market_maker.exchanges.gateway import Gateway

_WAITS = Result(Status.NOT_SENT, {}, "waits for the old order to be proven gone")
_KEPT = ("side", "price", "execInst", "timeInForce", "text")


def replace_orders(gateway: Gateway, verdicts: Sequence[Approved | Refused]) -> list[Result]:
    """One result for each change. What is created passes the gateway as any new order does."""
    results = {
        i: Result(Status.REJECTED, {**verdict.order, "ordStatus": "Rejected"}, verdict.reason)
        for i, verdict in enumerate(verdicts)
        if isinstance(verdict, Refused)
    }
    approved = [i for i in range(len(verdicts)) if i not in results]
    if gateway.dry_run:
        dry = Result(Status.NOT_SENT, {}, "dry run")
        return [results.get(i, dry) for i in range(len(verdicts))]
    olds: dict[int, Row] = {}
    with gateway.state.lock:
        for i in approved:
            tracked = gateway.state.orders.get(str(verdicts[i].order["orderID"]))
            if tracked is not None:
                olds[i] = dict(tracked.row)
    # A cancel without the create that follows leaves the level empty: both must be paid for.
    if gateway.budget.wait_s(3 * len(olds)) > 0:
        return [results.get(i, SPENT) for i in range(len(verdicts))]
    cancels = gateway.cancel([str(row["orderID"]) for row in olds.values()])
    rests: dict[int, Row] = {}
    for i, cancel in zip(olds, cancels, strict=True):
        dead = cancel.row if cancel.row.get("ordStatus") in TERMINAL else None
        if dead is None:
            results[i] = _WAITS
            continue
        rest = _rest(olds[i], verdicts[i].order, dead)
        if rest is None:
            results[i] = Result(Status.REJECTED, dead, LATE_AMEND)
        else:
            rests[i] = rest
    created = gateway.place(list(rests.values())) if rests else []
    results.update(zip(rests, created, strict=True))
    gone = Result(Status.REJECTED, {}, LATE_AMEND)
    return [results.get(i, gone) for i in range(len(verdicts))]


def _rest(old: Row, change: Row, dead: Row) -> Row | None:
    """The order that takes the place of *old*, which ended as *dead*; None where none is left."""
    filled = max(dead.get("cumQty") or 0, old.get("cumQty") or 0)
    if dead.get("ordStatus") == "Filled":
        return None
    wanted = change.get("orderQty", old.get("orderQty")) or 0
    rest = wanted - filled
    if rest <= 0:
        return None
    row = {name: old[name] for name in _KEPT if old.get(name) is not None}
    return {**row, "price": change.get("price", old.get("price")), "orderQty": rest}
