"""The touch of the others: our own orders are taken out of the book."""

from typing import Any

import pytest

from market_maker.model.order_book import Level
from market_maker.quoting.touch import Touch, best_of_others, touch_of_others

BOOK = [
    {"side": "Buy", "price": 100.0, "size": 50},
    {"side": "Buy", "price": 99.5, "size": 70},
    {"side": "Sell", "price": 100.5, "size": 30},
    {"side": "Sell", "price": 101.0, "size": 20},
]


def order(side: str, price: float, leaves: float, **more: Any) -> dict[str, Any]:
    return {"side": side, "price": price, "leavesQty": leaves, **more}


@pytest.mark.parametrize(
    ("own", "touch"),
    [
        ([], Touch(100.0, 50, 100.5, 30)),
        ([order("Buy", 100.0, 20)], Touch(100.0, 30, 100.5, 30)),
        ([order("Buy", 100.0, 50)], Touch(99.5, 70, 100.5, 30)),
        ([order("Buy", 100.0, 20), order("Buy", 100.0, 30)], Touch(99.5, 70, 100.5, 30)),
        ([order("Sell", 100.5, 30)], Touch(100.0, 50, 101.0, 20)),
        ([order("Buy", 99.5, 70)], Touch(100.0, 50, 100.5, 30)),
        ([order("Buy", 100.0, 80, displayQty=10)], Touch(100.0, 40, 100.5, 30)),
        ([order("Buy", 99.0, 10)], Touch(100.0, 50, 100.5, 30)),
        ([order("Sell", 100.5, 30), order("Sell", 101.0, 20)], Touch(100.0, 50, None, 0)),
    ],
)
def test_own_orders_are_taken_out(own: list[dict[str, Any]], touch: Touch) -> None:
    assert touch_of_others(BOOK, own) == touch


@pytest.mark.parametrize(
    ("own", "best"),
    [({}, 200), ({200: 20}, 200), ({200: 50}, 199), ({200: 60, 199: 70}, None), ({199: 70}, 200)],
)
def test_the_best_level_of_the_others_is_the_first_that_is_not_ours_alone(
    own: dict[int, float], best: int | None
) -> None:
    assert best_of_others([Level(200, 50), Level(199, 70)], own) == best


def test_an_empty_book_has_no_touch_and_no_mid() -> None:
    touch = touch_of_others([], [])
    assert touch == Touch(None, 0, None, 0)
    assert touch.mid is None


def test_rows_of_one_price_count_together() -> None:
    twice = [{"side": "Buy", "price": 100.0, "size": 10}] * 2
    assert touch_of_others(twice, [order("Buy", 100.0, 10)]).bid_size == 10
