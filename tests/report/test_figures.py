"""The figures of a run: what they mean, and that they come to the balance to the satoshi."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from market_maker.model.contracts import Contract
from market_maker.report.figures import Tally

INVERSE = Contract("XBTUSD", -100_000_000, is_inverse=True, lot_size=100)
QUANTO = Contract("ETHUSD", 100, is_inverse=False, is_quanto=True)
LINEAR = Contract("XBTUSDT", 1, is_inverse=False, lot_size=1000)


def test_a_buy_below_the_mid_captures_and_one_above_it_pays() -> None:
    for price, captured in ((99.0, 1), (101.0, -1), (100.0, 0)):
        tally = Tally(QUANTO, 100.0)
        tally.note_fill(0.0, 3, QUANTO.cost(3, price), 0)
        figures = tally.close(0.0, 100.0)
        assert (figures.spread, figures.inventory) == (captured * 300, 0)
    for price, captured in ((101.0, 1), (99.0, -1)):
        tally = Tally(QUANTO, 100.0)
        tally.note_fill(0.0, -3, QUANTO.cost(-3, price), 0)
        assert tally.close(0.0, 100.0).spread == captured * 300


def test_what_the_mid_does_between_fills_is_inventory() -> None:
    tally = Tally(QUANTO, 100.0)
    tally.note_fill(0.0, 2, QUANTO.cost(2, 100.0), 0)
    tally.note_mid(1.0, 103.0)
    tally.note_fill(1.0, -2, QUANTO.cost(-2, 103.0), 0)
    tally.note_mid(2.0, 500.0)  # nothing is held any more
    figures = tally.close(3.0, 900.0)
    assert (figures.spread, figures.inventory, figures.position) == (0, 600, 0)


def test_fees_and_funding_that_are_paid_are_below_nothing() -> None:
    tally = Tally(QUANTO, 100.0)
    tally.note_fill(0.0, 1, QUANTO.cost(1, 100.0), 7)
    tally.note_fill(0.0, 1, QUANTO.cost(1, 100.0), -2)  # a rebate
    tally.note_funding(11)
    figures = tally.close(0.0, 100.0)
    assert (figures.fees, figures.funding, figures.total) == (-5, -11, -16)


def test_an_inverse_contract_gains_in_coins_as_its_price_rises() -> None:
    tally = Tally(INVERSE, 50_000.0)
    tally.note_fill(0.0, 1000, INVERSE.cost(1000, 49_999.5), 0)
    tally.note_mid(5.0, 51_000.0)
    figures = tally.close(5.0, 51_000.0)
    assert figures.spread > 0 and figures.inventory == 10 * (200_000 - 196_078)


def test_a_markout_is_the_worth_so_many_seconds_later_in_basis_points() -> None:
    tally = Tally(QUANTO, 100.0)
    tally.note_fill(10.0, 1, QUANTO.cost(1, 100.0), 0)
    tally.note_mid(10.5, 101.0)
    tally.note_mid(12.0, 95.0)  # a second after the fill the mid was 101 still
    tally.note_mid(15.5, 98.0)  # and 5 seconds after it, 95
    figures = tally.close(39.0, 98.0)
    assert figures.markouts_bps == (100.0, -500.0, None)  # the run ended before 30 s


def test_a_sell_is_marked_the_other_way_round_and_large_fills_weigh_more() -> None:
    tally = Tally(QUANTO, 100.0)
    tally.note_fill(0.0, -3, QUANTO.cost(-3, 100.0), 0)
    tally.note_fill(0.0, 1, QUANTO.cost(1, 100.0), 0)
    tally.note_mid(0.5, 99.0)
    assert tally.close(1.0, 99.0).markouts_bps[0] == pytest.approx(50.0)  # (3 - 1) / 4 of 100


def test_the_largest_inventory_is_that_of_either_sign() -> None:
    tally = Tally(QUANTO, 100.0)
    for qty in (2, -7, 4):
        tally.note_fill(0.0, qty, QUANTO.cost(qty, 100.0), 0)
    figures = tally.close(0.0, 100.0)
    assert (figures.largest, figures.position, figures.traded, figures.fills) == (5, -1, 13, 3)


PRICES = st.integers(80_000, 160_000).map(lambda ticks: ticks / 4)
EVENTS = st.lists(
    st.one_of(
        st.tuples(st.just("mid"), PRICES, st.just(0)),
        st.tuples(st.just("fill"), PRICES, st.integers(-900, 900).filter(bool)),
        st.tuples(st.just("funding"), PRICES, st.integers(-900, 900)),
    ),
    max_size=40,
)


@given(
    contract=st.sampled_from([INVERSE, QUANTO, LINEAR]),
    events=EVENTS,
    mark=PRICES,
    fee=st.integers(-50, 50),
)
def test_the_parts_come_to_what_the_account_has_won_to_the_satoshi(
    contract: Contract, events: list[tuple[str, float, int]], mark: float, fee: int
) -> None:
    tally, position, paid = Tally(contract, 30_000.0), 0, 0
    for second, (kind, price, number) in enumerate(events):
        if kind == "mid":
            tally.note_mid(float(second), price)
        elif kind == "fill":
            tally.note_fill(float(second), number, contract.cost(number, price), fee)
            position, paid = position + number, paid + contract.cost(number, price) + fee
        else:
            tally.note_funding(number)
            paid += number
    figures = tally.close(float(len(events)), mark)
    assert figures.total == (contract.cost(position, mark) if position else 0) - paid
    assert figures.position == position
