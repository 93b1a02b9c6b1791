"""One order through all its client ids, whatever comes first."""

import pickle
from decimal import Decimal

import pytest

from market_maker.exchanges.chains import BINANCE, HITBTC, Chains, Words
from market_maker.exchanges.client_ids import ClientIds
from market_maker.model.rows import Row

MINE = "mm_bitmex_AAAAAAAAAAAAAAAAAAAAAA"


def make() -> tuple[Chains, str, str]:
    chains = Chains(ClientIds("mm_bitmex_", 28), lambda: 1_700_000_000.0, HITBTC)
    first = chains.first_id(MINE)
    return chains, first, chains.order_id(first)


def report(wire_id: str, status: str = "new", filled: str = "0", **more: str) -> Row:
    row = {"client_order_id": wire_id, "status": status, "quantity_cumulative": filled}
    return row | {"quantity": "0.01", **more}


def test_every_id_is_8_to_32_characters_and_tells_whose_it_is() -> None:
    chains, first, order_id = make()
    chains.read(report(first))
    second = chains.begin_replace(order_id)
    for name in (first, second, chains.first_id("by hand"), chains.first_id("mm_bitmex_1")):
        assert 8 <= len(name) <= 32
        assert name.isalnum()
    assert chains.order_id(second) == order_id
    assert chains.cl_ord_id(order_id) == MINE
    assert Chains(ClientIds("mm_bitmex_", 28), lambda: 0.0, HITBTC).order_id(second) == order_id


def test_somebody_elses_id_stands_for_itself() -> None:
    chains, *_ = make()
    assert chains.order_id("harry223harry223") == "harry223harry223"
    assert chains.cl_ord_id("harry223harry223") == "harry223harry223"


def test_no_id_is_made_twice_within_one_moment() -> None:
    chains, first, order_id = make()
    chains.read(report(first))
    made = set()
    for _ in range(50):
        made.add(chains.begin_replace(order_id))
        chains.end_replace(order_id)
    assert len(made) == 50


@pytest.mark.parametrize("words", [HITBTC, BINANCE])
def test_an_order_that_is_replaced_for_days_takes_no_more_memory(words: Words) -> None:
    chains = Chains(ClientIds("mm_bitmex_", 28), lambda: 1_700_000_000.0, words)
    first = chains.first_id(MINE)
    order_id = chains.order_id(first)
    chains.read(report(first))
    made = {first}
    for _ in range(3_000):
        made.add(name := chains.begin_replace(order_id))
        chains.end_replace(order_id)  # this one came to nothing, the next one did not
        made.add(name := chains.begin_replace(order_id))
        chains.read(report(name))
    assert len(made) == 6_001
    assert len(pickle.dumps(chains._chains)) < 200_000


def test_an_order_goes_on_under_its_new_id_and_repeats_change_nothing() -> None:
    chains, first, order_id = make()
    chains.read(report(first))
    second = chains.begin_replace(order_id)
    assert chains.ids(order_id) == [second, first]
    for _ in range(2):
        reading = chains.read(report(second))
        assert reading is not None
        assert (reading.order_id, reading.before) == (order_id, 0)
    assert chains.ids(order_id) == [second]
    assert chains.read(report(first, "canceled")) is None
    assert chains.read(report(first)) is None


@pytest.mark.parametrize("is_first", [True, False])
def test_a_cancel_while_a_replace_is_on_its_way_waits_for_its_answer(is_first: bool) -> None:
    chains, first, order_id = make()
    chains.read(report(first))
    second = chains.begin_replace(order_id)
    if is_first:
        assert chains.read(report(first, "canceled")) is None
    assert chains.read(report(second)) is not None
    if not is_first:
        assert chains.read(report(first, "canceled")) is None
    assert chains.end_replace(order_id) is None


def test_a_replace_that_is_refused_leaves_the_order_cancelled() -> None:
    chains, first, order_id = make()
    chains.read(report(first))
    chains.begin_replace(order_id)
    chains.read(report(first, "canceled", "0.004"))
    ended = chains.end_replace(order_id)
    assert ended is not None
    assert ended.raw["status"] == "canceled"
    assert chains.filled(order_id)[0] == Decimal("0.004")


def test_a_refusal_that_comes_before_the_cancel_lets_the_cancel_through() -> None:
    chains, first, order_id = make()
    chains.read(report(first))
    chains.begin_replace(order_id)
    assert chains.end_replace(order_id) is None
    assert chains.read(report(first, "canceled")) is not None


@pytest.mark.parametrize(
    ("counted", "before"), [("0", "0.004"), ("0.004", "0")], ids=["anew", "on"]
)
def test_fills_before_a_replace_count_once_however_the_venue_counts(
    counted: str, before: str
) -> None:
    chains, first, order_id = make()
    chains.read(report(first))
    second = chains.begin_replace(order_id)
    chains.read(report(first, "partiallyFilled", "0.004"))
    reading = chains.read(report(second, filled=counted))
    assert reading is not None
    assert reading.before == Decimal(before)
    assert chains.filled(order_id)[0] == Decimal("0.004")


def test_a_fill_of_the_old_id_that_is_told_late_counts() -> None:
    chains, first, order_id = make()
    chains.read(report(first))
    second = chains.begin_replace(order_id)
    chains.read(report(second))
    reading = chains.read(report(first, "partiallyFilled", "0.003"))
    assert reading is not None
    assert reading.raw["client_order_id"] == second
    assert reading.before == Decimal("0.003")
    assert chains.read(report(first, "partiallyFilled", "0.003")) is None


def test_a_replace_believed_lost_that_turns_up_after_all_is_believed() -> None:
    chains, first, order_id = make()
    chains.read(report(first))
    second = chains.begin_replace(order_id)
    chains.end_replace(order_id)
    assert chains.read(report(second)) is not None
    assert chains.ids(order_id) == [second]


def test_an_order_found_after_a_restart_is_known_by_its_id() -> None:
    chains, first, order_id = make()
    chains.read(report(first))
    second = chains.begin_replace(order_id)
    fresh = Chains(ClientIds("mm_bitmex_", 28), lambda: 1_800_000_000.0, HITBTC)
    reading = fresh.read(report(second))
    assert reading is not None
    assert reading.order_id == order_id
    assert fresh.ids(order_id) == [second]
