"""Fair prices of known touches."""

import pytest

from market_maker.quoting.fair_price import OF_THE_TOUCH, Basis
from market_maker.quoting.touch import Touch


@pytest.mark.parametrize(
    ("name", "price"), [("mid", 100.5), ("weighted", 100.25), ("micro", 100.75)]
)
def test_the_larger_side_pulls_the_weighted_mid_and_pushes_the_microprice(
    name: str, price: float
) -> None:
    # (100 * 30 + 101 * 10) / 40 and (100 * 10 + 101 * 30) / 40
    assert OF_THE_TOUCH[name](Touch(100.0, 30, 101.0, 10)) == price


@pytest.mark.parametrize("name", OF_THE_TOUCH)
def test_without_sizes_it_is_the_mid(name: str) -> None:
    assert OF_THE_TOUCH[name](Touch(0.0001, 0, 0.0003, 0)) == pytest.approx(0.0002)


def test_a_basis_begins_where_the_markets_are_and_forgets_in_its_time() -> None:
    basis = Basis()
    assert basis.add(50.0, 100.0, 0.0) == 50.0
    assert basis.add(60.0, 100.0, 0.0) == 50.0  # no time has gone by
    assert basis.add(60.0, 100.0, 100.0) == pytest.approx(60 - 10 * 2.718281828**-1)
    assert basis.add(60.0, 100.0, 1e6) == pytest.approx(60)


def test_no_time_to_average_over_is_no_basis() -> None:
    assert Basis().add(50.0, 0.0, 0.0) == 0.0
