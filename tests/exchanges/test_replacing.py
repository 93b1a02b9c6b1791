"""Amends where a venue has none: the new order never lives beside the old one."""

import random
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from market_maker.exchanges.base import Capabilities, Result, Status
from market_maker.model.rows import LATE_AMEND, Row
from tests.world import World

CANCELS = ("dead", "dead, part filled", "filled", "promised", "lost", "refused", "not sent")


class Lossy:
    """A connector before the real one, whose cancels end as the test says."""

    def __init__(self, inner: Any) -> None:
        self._inner = inner
        self.caps: Capabilities = replace(inner.caps, amend="none", atomic_batch=False)
        self.fates: list[str] = []
        self.alive: dict[str, Row] = {}  # what rests or may rest
        self.next_id = 0
        self.worst = 0  # the most contracts on one level at a time

    def __getattr__(self, name: str) -> Any:
        return getattr(self._inner, name)

    def place(self, orders: Sequence[Row]) -> list[Result]:
        results = []
        for order in orders:
            self.next_id += 1
            qty = abs(order["orderQty"])
            row = {
                **order, "orderID": str(self.next_id), "orderQty": qty, "leavesQty": qty,
                "cumQty": 0, "ordStatus": "New",
            }  # fmt: skip
            self.alive[row["orderID"]] = row
            results.append(Result(Status.OK, row))
        self.worst = max(self.worst, sum(row["leavesQty"] for row in self.alive.values()))
        return results

    def amend(self, changes: Sequence[Row]) -> list[Result]:
        raise AssertionError("there is no such call here")

    def cancel(self, order_ids: Sequence[str]) -> list[Result]:
        return [self._cancel(order_id) for order_id in order_ids]

    def _cancel(self, order_id: str) -> Result:
        fate = self.fates.pop(0) if self.fates else "dead"
        row = self.alive.get(order_id, {"orderID": order_id})
        if fate in ("lost", "refused", "not sent", "promised"):
            status = {
                "lost": Status.UNKNOWN,
                "refused": Status.REJECTED,
                "not sent": Status.NOT_SENT,
                "promised": Status.ACCEPTED,
            }[fate]
            return Result(status, {"orderID": order_id}, fate)
        filled = {"dead": 0, "dead, part filled": 100, "filled": row["orderQty"]}[fate]
        self.alive.pop(order_id)
        status = "Filled" if fate == "filled" else "Canceled"
        dead = {**row, "leavesQty": 0, "cumQty": filled, "ordStatus": status}
        return Result(Status.OK, dead)


def gateway(fates: Sequence[str] = ()) -> tuple[Any, Lossy]:
    world = World()
    desk = world.desk(world.settings(DEADMAN_TIMEOUT=0))
    desk.open()
    lossy = Lossy(desk.connector)
    lossy.fates = list(fates)
    desk.gateway.connector = lossy
    desk.gateway.outbox._connector = lossy
    return desk.gateway, lossy


def quotes(count: int) -> list[Row]:
    return [{"price": 50_000.0 - 100 * n, "orderQty": 300, "side": "Buy"} for n in range(count)]


@settings(max_examples=40, deadline=None)
@given(st.lists(st.sampled_from(CANCELS), min_size=1, max_size=6), st.integers(0, 2**32))
def test_whatever_becomes_of_the_cancels_no_more_rests_than_before(
    fates: list[str], seed: int
) -> None:
    door, lossy = gateway()
    rng = random.Random(seed)
    placed = door.place(quotes(len(fates)))
    lossy.fates = list(fates)
    before = sum(row["leavesQty"] for row in lossy.alive.values())
    lossy.worst = 0
    changes = [
        {"orderID": r.row["orderID"], "price": r.row["price"] - rng.choice([0.5, 7.0])}
        for r in placed
    ]
    results = door.amend(changes)
    assert lossy.worst <= before
    for fate, old, result in zip(fates, placed, results, strict=True):
        if fate == "dead":
            assert (result.status, result.row["orderQty"]) == (Status.OK, 300)
        elif fate == "filled":
            assert (result.status, result.text) == (Status.REJECTED, LATE_AMEND)
        elif fate != "dead, part filled":
            assert result.status is Status.NOT_SENT
            assert old.row["orderID"] in lossy.alive  # and nothing stands in its place


@pytest.mark.parametrize(("total", "rest"), [(500, 400), (300, 200), (100, 0)])
def test_what_the_old_order_filled_counts_towards_the_new_total(total: int, rest: int) -> None:
    door, lossy = gateway()
    (old,) = door.place(quotes(1))
    lossy.fates = ["dead, part filled"]
    (result,) = door.amend([{"orderID": old.row["orderID"], "orderQty": total}])
    if rest:
        assert (result.status, result.row["orderQty"]) == (Status.OK, rest)
    else:
        assert result.status is Status.REJECTED
    assert sum(row["leavesQty"] for row in lossy.alive.values()) == rest


def test_nothing_is_cancelled_that_the_budget_could_not_place_again() -> None:
    door, lossy = gateway()
    (old,) = door.place(quotes(1))
    door.budget.take(288, urgent=True)
    (result,) = door.amend([{"orderID": old.row["orderID"], "price": 49_990.0}])
    assert result.status is Status.NOT_SENT
    assert list(lossy.alive) == [old.row["orderID"]]
