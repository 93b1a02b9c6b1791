"""Which rows of an exchange can be read."""

import math
from fractions import Fraction
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from market_maker.model.rows import is_sound


@pytest.mark.parametrize(
    ("row", "sound"),
    [
        ({}, True),
        ({"price": 1.5, "orderID": "x", "mine": [1], "side": None}, True),
        ({"price": "1.5"}, False),
        ({"price": True}, False),
        ({"leavesQty": 10**400}, False),
        ({"leavesQty": 1e308}, False),
        ({"markPrice": 5e-324}, False),
        ({"markPrice": float("nan")}, False),
        ({"cumQty": 0.0, "price": 1e-8}, True),
        ({"currentQty": []}, False),
        ({"orderID": 5}, False),
        ({"symbol": {}}, False),
        ({"underlyingToSettleMultiplier": "NaN", "symbol": "XBTUSD"}, False),
        ({"fundingTimestamp": 5}, False),
        ([], False),
        (None, False),
    ],
)
def test_a_row_is_sound_if_its_known_columns_have_their_type(row: Any, sound: bool) -> None:
    assert is_sound(row) is sound


_TEXTS = ("orderID", "side", "timestamp")
_NUMBERS = ("price", "leavesQty", "currentQty", "tickSize", "lotSize")
_VALUES = st.one_of(
    st.none(),
    st.booleans(),
    st.text(max_size=3),
    st.integers(),
    st.floats(),
    st.sampled_from([0, 1, -1, 10**18, 10**18 - 1, -(10**18), -(10**18) + 1, 10**400]),
    st.sampled_from([0.0, -0.0, 1e-18, 9.9e-19, -1e-18, -9.9e-19, 1e18, -1e18, 5e-324, math.inf]),
    st.just([1]),
    st.just({"a": 1}),
)
_COLUMNS = st.sampled_from([*_TEXTS, *_NUMBERS, "mine", "fairPrice"])


def _is_sound_value(name: str, value: Any) -> bool:
    """What soundness means, one rule after the other."""
    if value is None or name not in _TEXTS + _NUMBERS:
        return True
    if name in _TEXTS:
        return isinstance(value, str)
    if isinstance(value, bool) or not isinstance(value, int | float):
        return False
    if value == 0:
        return True
    if value < 0 and name in ("tickSize", "lotSize"):
        return False
    exact = Fraction(value) if isinstance(value, int) or math.isfinite(value) else Fraction(0)
    return Fraction(1e-18) <= abs(exact) < 10**18


@given(st.dictionaries(_COLUMNS, _VALUES, max_size=6))
def test_any_row_is_sound_if_and_only_if_each_of_its_values_is(row: dict[str, Any]) -> None:
    assert is_sound(row) is all(_is_sound_value(*item) for item in row.items())
