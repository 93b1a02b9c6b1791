"""Which rows of an exchange can be read."""

from typing import Any

import pytest

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
