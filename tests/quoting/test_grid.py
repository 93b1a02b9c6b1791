"""The grid's arithmetic: the vectors of the akka market maker, and what holds for any grid."""

import decimal
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from market_maker.quoting.grid import (
    GridRules,
    Plan,
    Quote,
    counter,
    grow,
    initial_seed,
    middle,
    seed,
    worst_rounding,
)

D = decimal.Decimal


def ppt(space: str, power: str, counter_scale: int, base_scale: int) -> GridRules:
    return GridRules(
        "ppt", D(space), D(1).scaleb(-base_scale), D(1).scaleb(-counter_scale), D(power)
    )


FINE = ppt("0.5", "2", 4, 1)
COINS = ppt("0.5", "2", 0, 9)
FIXED = GridRules("fullfixed", D(25), D("0.5"), D("0.01"))
START = Quote(D(50_000), D("0.05"))


def quotes(*texts: str) -> list[Quote]:
    return [Quote(*map(D, text.split("x"))) for text in texts]


@pytest.mark.parametrize(
    ("rules", "side", "start", "first", "expected"),
    [
        (FINE, "Buy", START, 1, quotes("49751.2x0.0503", "49503.6x0.0506", "49257.3x0.0509")),
        (FINE, "Sell", START, 1, quotes("50250.0x0.0497", "50501.3x0.0494", "50753.9x0.0491")),
        (FINE, "Sell", START, 2, quotes("50501.3x0.0494", "50753.9x0.0491", "51007.7x0.0488")),
        (
            COINS,
            "Buy",
            Quote(D("0.000001"), D(3000)),
            1,
            quotes("9.95e-7x3015", "9.90e-7x3031", "9.85e-7x3047"),
        ),
        (
            COINS,
            "Sell",
            Quote(D("0.000001"), D(3000)),
            1,
            quotes("1.005e-6x2985", "1.011e-6x2970", "1.017e-6x2955"),
        ),
        (FIXED, "Buy", START, 1, quotes("49975x0.05", "49950x0.05", "49925x0.05")),
        (FIXED, "Sell", START, 2, quotes("50050x0.05", "50075x0.05", "50100x0.05")),
    ],
)
def test_seeds_are_those_of_the_original(
    rules: GridRules, side: str, start: Quote, first: int, expected: list[Quote]
) -> None:
    assert seed(rules, side, start, 3, first) == expected


def test_sixteen_digits_are_reckoned_with() -> None:
    fine = ppt("0.05", "0", 8, 8)
    (bid,) = seed(fine, "Buy", Quote(D("61234.56789012"), D(1)), 1)
    (ask,) = seed(fine, "Sell", Quote(D("61234.56789012"), D(1)), 1)
    assert bid.price == D(6123456789012 * 10_000 // 10_005).scaleb(-8)
    assert ask.price == D(-(-6123456789012 * 10_005 // 10_000)).scaleb(-8)


@pytest.mark.parametrize(("qty", "placed"), [("0.055", "0.06"), ("0.045", "0.04")])
def test_a_size_that_is_no_step_goes_to_the_nearest_halves_to_the_even_one(
    qty: str, placed: str
) -> None:
    assert seed(FIXED, "Buy", Quote(D(50_000), D(qty)), 1) == quotes(f"49975x{placed}")


@pytest.mark.parametrize(
    ("side", "filled", "expected"),
    [("Buy", "49751.2x0.0503", "50000.0x0.0500"), ("Sell", "50250.0x0.0497", "50000.0x0.0500")],
)
def test_counters_are_those_of_the_original(side: str, filled: str, expected: str) -> None:
    assert [counter(FINE, side, *quotes(filled))] == quotes(expected)


@pytest.mark.parametrize(
    ("scale", "minimum"), [(4, "0.0001"), (0, "1"), (-3, "1000"), (8, "0.00000001")]
)
def test_the_minimum_amount_is_ten_to_the_minus_scale(scale: int, minimum: str) -> None:
    rules = GridRules("ppt", D(1), D("0.5"), D(1).scaleb(-scale), no_qty_cutoff=True)
    assert rules.allow(Quote(D(100), D(0))) == Quote(D(100), D(minimum))
    cut = GridRules("ppt", D(1), D("0.5"), D(1).scaleb(-scale))
    assert cut.allow(Quote(D(100), D(0))) is None


@pytest.mark.parametrize(
    ("low", "high", "left"),
    [(None, None, 3), ("49600", None, 1), (None, "49600", 2), ("49503.6", "49503.6", 1)],
)
def test_no_seed_lies_outside_the_price_limits(
    low: str | None, high: str | None, left: int
) -> None:
    rules = GridRules(
        *("ppt", D("0.5"), D("0.1"), D("0.0001"), D(2)),
        min_price=D(low) if low else None,
        max_price=D(high) if high else None,
    )
    assert len(seed(rules, "Buy", START, 3)) == left


def test_a_counter_outside_the_price_limits_is_none() -> None:
    rules = GridRules("ppt", D("0.5"), D("0.1"), D("0.0001"), D(2), max_price=D(49_900))
    assert counter(rules, "Buy", *quotes("49751.2x0.0503")) is None


PLAN = Plan(3, 3, D("0.05"), D("0.05"))


def test_a_fresh_grid_lies_around_the_market() -> None:
    found = initial_seed(FIXED, PLAN, D(50_000), [], [])
    assert [q.price for q in found["Buy"]] == [49_975, 49_950, 49_925]
    assert [q.price for q in found["Sell"]] == [50_025, 50_050, 50_075]


@pytest.mark.parametrize(
    ("buys", "sells", "more_buys", "more_sells"),
    [
        ([49_900], [], [49_975, 49_950, 49_925], [50_025, 50_050, 50_075]),
        ([49_975], [], [], [50_025, 50_050, 50_075]),
        ([], [50_075], [49_975, 49_950, 49_925], [50_025, 50_050]),
        ([49_925], [50_050], [49_975, 49_950], [50_025]),
        ([49_975], [50_050, 50_075], [], [50_025]),
        ([49_940], [50_060], [49_965], [50_010, 50_035]),  # buys by what the sells find, 49985
    ],
)
def test_orders_that_are_there_are_counted_in(
    buys: list[int], sells: list[int], more_buys: list[int], more_sells: list[int]
) -> None:
    have = [[Quote(D(p), D("0.05")) for p in side] for side in (buys, sells)]
    found = initial_seed(FIXED, PLAN, D(50_000), *have)
    assert [int(q.price) for q in found["Buy"]] == more_buys
    assert [int(q.price) for q in found["Sell"]] == more_sells


def test_the_middle_is_where_the_steps_reach_the_market() -> None:
    assert middle(FIXED, "Buy", Quote(D(49_900), D(1)), D(50_010)) == (Quote(D(50_025), D(1)), 5)
    assert middle(FIXED, "Sell", Quote(D(49_900), D(1)), D(50_010)).levels == 0


def test_a_side_grows_outward_from_its_farthest_order() -> None:
    have = quotes("49975x0.05", "49950x0.05")
    found = grow(FIXED, PLAN, have, quotes("50025x0.05", "50000x0.05", "50050x0.05"))
    assert found == {"Buy": quotes("49925x0.05"), "Sell": []}


def test_a_side_behind_the_other_grows_beyond_it_where_no_place_is_taken() -> None:
    # The market has run through the sells but one, which lies behind the buys of their counters.
    buys = quotes("50075x0.05", "50050x0.05", "50025x0.05")
    found = grow(FIXED, PLAN, buys, quotes("50025x0.05"))
    assert found == {"Buy": [], "Sell": quotes("50125x0.05", "50150x0.05")}
    sells = quotes("49950x0.05", "49975x0.05", "50000x0.05")
    found = grow(FIXED, PLAN, quotes("50000x0.05"), sells)
    assert found == {"Buy": quotes("49900x0.05", "49875x0.05"), "Sell": []}


def test_an_empty_side_grows_from_the_best_of_the_other() -> None:
    found = grow(FIXED, PLAN, [], quotes("50025x0.05", "50000x0.05", "50050x0.05"))
    assert found["Buy"] == quotes("49950x0.05", "49925x0.05", "49900x0.05")
    assert grow(FIXED, PLAN, [], []) == {"Buy": [], "Sell": []}


@pytest.mark.parametrize(
    ("qty", "power", "is_fine"),
    [
        ("100", "0", True),
        ("100", "2", False),
        ("20000", "2", True),
        ("150", "0", False),
        ("5050", "0", True),
        ("4950", "0", False),
    ],
)
def test_sizes_that_the_lot_rounds_too_much_are_seen(qty: str, power: str, is_fine: bool) -> None:
    rules = GridRules("ppt", D("0.5"), D("0.5"), D(100), D(power))
    plan = Plan(3, 3, D(qty), D(qty))
    assert (worst_rounding(rules, plan, D(60_000)) <= D("0.01")) == is_fine


RULES = st.builds(
    GridRules,
    kind=st.sampled_from(["ppt", "fullfixed"]),
    space=st.sampled_from([D("0.5"), D(1), D("2.5"), D(4)]),
    price_step=st.sampled_from([D("0.5"), D("0.1"), D("0.00000001")]),
    qty_step=st.sampled_from([D(1), D(100), D("0.0001")]),
    power=st.sampled_from([D(0), D(1), D(2), D("-1.5")]),
)
STARTS = st.builds(
    Quote,
    price=st.integers(1_000, 10**6).map(lambda n: D(n) / 2),
    qty=st.integers(1, 10**4).map(lambda n: D(n) * 100),
)


@given(rules=RULES, start=STARTS, levels=st.integers(1, 12), first=st.sampled_from([1, 2]))
def test_every_level_is_on_the_grid_and_farther_than_the_one_before(
    rules: GridRules, start: Quote, levels: int, first: int
) -> None:
    for side, sign in (("Buy", -1), ("Sell", 1)):
        found = seed(rules, side, start, levels, first)
        prices = [start.price, *(q.price for q in found)]
        assert all(sign * (b - a) > 0 for a, b in pairwise(prices))
        for quote in found:
            assert quote.qty > 0 and quote.qty % rules.qty_step == 0
            assert rules.kind == "fullfixed" or quote.price % rules.price_step == 0


@given(rules=RULES, start=STARTS)
def test_a_counter_lies_beyond_the_order_it_answers_and_never_gives_more_away(
    rules: GridRules, start: Quote
) -> None:
    sold = counter(rules, "Buy", start)
    bought = counter(rules, "Sell", start)
    assert sold is None or sold.price > start.price
    assert bought is None or bought.price < start.price
    if rules.kind == "fullfixed" or rules.power == 0:
        assert sold is not None and sold.qty == start.qty
