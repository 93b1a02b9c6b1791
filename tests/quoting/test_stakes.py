"""Stakes, lots and what a source is told: tables of cases and what must always hold."""

import decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from market_maker.model.contracts import Contract
from market_maker.model.ticks import LotGrid
from market_maker.quoting.stakes import (
    Lot,
    Means,
    Standing,
    average_price,
    deleverage,
    net_qty,
    next_stake,
    request_body,
    stake_qty,
)

D = decimal.Decimal
INVERSE = Contract("XBTUSD", -100_000_000, is_inverse=True, lot_size=100)
QUANTO = Contract("ETHUSD", 100, is_inverse=False, is_quanto=True)
LINEAR = Contract("XBTUSDT", 1_000_000, is_inverse=False, settle_currency="USDt", lot_size=1_000)
SPOT = Contract("BTCUSDT", 10**8, is_inverse=False, settle_currency="USDT", lot_size=0.00001)


@pytest.mark.parametrize(
    ("contract", "price", "budget", "qty"),
    [
        (INVERSE, 60_000.0, 10_000_000, 5_900),  # 0.1 XBT is 6000 USD; a satoshi rounds up a lot
        (INVERSE, 50_000.0, 10_000_000, 5_000),
        (INVERSE, 60_000.0, 166_666, 0),  # not one lot of 100
        (QUANTO, 3_000.0, 10_000_000, 33),
        (LINEAR, 60_000.0, 100 * 10**6, 0),
        (SPOT, 60_000.0, 1_000 * 10**8, 0.01666),
        (SPOT, 60_000.0, 0, 0),
    ],
)
def test_a_stake_is_whole_lots_by_the_kind_of_the_contract(
    contract: Contract, price: float, budget: float, qty: float
) -> None:
    assert stake_qty(contract, price, budget) == qty


@given(
    contract=st.sampled_from([INVERSE, QUANTO, LINEAR, SPOT]),
    price=st.floats(0.5, 1e6),
    budget=st.floats(0, 1e14),
)
def test_a_stake_is_worth_no_more_than_its_budget_and_not_two_lots_less(
    contract: Contract, price: float, budget: float
) -> None:
    lots, qty = LotGrid.of(contract.lot_size), stake_qty(contract, price, budget)
    assert lots.contains(qty)
    assert not qty or contract.value(qty, price) <= budget
    more = lots.qty(round(qty / lots.qty(1)) + 2)
    assert contract.value(more, price) * (1 + 1e-6) >= budget - 2


def lot(number: int, side: str, qty: int, price: int = 100, share: str = "0.1") -> Lot:
    return Lot(number, side, D(qty), D(price), D(share), 1_000.0 * number)


def test_the_oldest_lot_goes_first_and_each_pair_has_its_profit() -> None:
    booked = deleverage([lot(1, "Buy", 100, 100), lot(2, "Buy", 100, 110)], "Sell", D(150), D(121))
    assert [(pair.qty, round(pair.profit_pct, 6)) for pair in booked.pairs] == [
        (100, 21.0),
        (50, 10.0),
    ]
    assert booked.lots == [lot(2, "Buy", 50, 110, "0.05")]
    assert booked.rest == 0


def test_a_short_lot_wins_when_it_is_bought_back_lower() -> None:
    (pair,) = deleverage([lot(1, "Sell", 100, 110)], "Buy", D(100), D(100)).pairs
    assert round(pair.profit_pct, 6) == 10.0


@given(
    sizes=st.lists(st.integers(1, 1_000), max_size=6),
    side=st.sampled_from(["Buy", "Sell"]),
    held=st.sampled_from(["Buy", "Sell"]),
    qty=st.integers(1, 4_000),
)
def test_contracts_are_conserved(sizes: list[int], side: str, held: str, qty: int) -> None:
    lots = [lot(n, held, size) for n, size in enumerate(sizes, 1)]
    booked = deleverage(lots, side, D(qty), D(101))
    signed = D(qty if side == "Buy" else -qty)
    rest = booked.rest if side == "Buy" else -booked.rest
    assert net_qty(booked.lots) + rest == net_qty(lots) + signed
    assert sum(pair.qty for pair in booked.pairs) == D(qty) - booked.rest
    assert all(found.share / found.qty <= D("0.1") for found in booked.lots)


@pytest.mark.parametrize(
    ("is_inverse", "parts", "price"),
    [
        (False, [(100, 300), (300, 100)], 150),
        (True, [(100, 100), (100, 300)], 150),
        (True, [(100, 100)], 100),
    ],
)
def test_an_inverse_entry_is_harmonic(
    is_inverse: bool, parts: list[tuple[int, int]], price: int
) -> None:
    found = average_price([(D(qty), D(paid)) for qty, paid in parts], is_inverse)
    assert round(found, 20) == price


MEANS = Means(INVERSE, 50_000.0, 100_000_000, "XBt", 1.0)


@pytest.mark.parametrize(
    ("lots", "side", "changes", "qty", "share", "refusal"),
    [
        ([], "Buy", {}, 5_000, "0.1", ""),
        ([lot(1, "Buy", 5_000)], "Buy", {}, 5_000, "0.1", ""),
        ([lot(1, "Buy", 700, share="0.02"), lot(2, "Buy", 5_000)], "Sell", {}, 700, "0.02", ""),
        ([lot(1, "Buy", 9, share="0.95")], "Buy", {}, 2_500, "0.05", ""),  # no more than all
        (
            [lot(1, "Buy", 9, share="0.999999999999")],
            "Buy",
            {},
            0,
            "0",
            "all of the trading balance is in use",
        ),
        ([], "Sell", {"trading_size": 0.5}, 2_500, "0.1", ""),
        ([], "Buy", {"balance": 1_000}, 0, "0", "it would be less than one lot of 100"),
        # A rest too small to trade goes with the next lot; alone it is no reason not to trade.
        ([lot(1, "Buy", 50, share="0.01")], "Sell", {}, 5_000, "0.1", ""),
        (
            [lot(1, "Buy", 50, share="0.01"), lot(2, "Buy", 700, share="0.02")],
            *("Sell", {}, 700, "0.03", ""),
        ),
        (
            [lot(1, "Buy", 200, share="0.01"), lot(2, "Buy", 300, share="0.02")],
            *("Sell", {"least_qty": 300}, 500, "0.03", ""),
        ),
        ([], "Buy", {"least_qty": 6_000}, 0, "0", "it would be less than the exchange takes, 6000"),
        ([], "Buy", {"balance": None}, 0, "0", "the balance is not known"),
        ([], "Buy", {"currency": "USDt"}, 0, "0", "the balance is in USDt, the contract in XBt"),
        ([], "Buy", {"room_qty": 4_999}, 0, "0", "5000 contracts do not fit MAX_POSITION"),
        ([], "Sell", {"room_qty": 0}, 0, "0", "5000 contracts do not fit MIN_POSITION"),
        ([], "Buy", {"largest_qty": 100}, 0, "0", "5000 contracts are above MAX_ORDER_SIZE"),
    ],
)
def test_the_next_stake(
    lots: list[Lot], side: str, changes: dict[str, Any], qty: int, share: str, refusal: str
) -> None:
    stake = next_stake(side, lots, D("0.1"), MEANS._replace(**changes))
    assert stake == (D(qty), D(share), refusal)


def standing(*lots: Lot, opening: str = "", flat_at: float | None = None) -> Standing:
    return Standing(10_000.0, "XBTUSD", 99.0, 110.0, opening, lots, flat_at)


def test_a_manager_is_told_its_stakes_and_their_hours() -> None:
    told = standing(lot(1, "Buy", 100), lot(2, "Buy", 100), opening="Sell", flat_at=2_800.0)
    assert request_body("BitcoinFuturesMarketMaker", told) == {
        "longStakeState": "CLOSED",
        "shortStakeState": "OPENING",
        "currentPositionPct": 20.0,
        "currentUnrealisedPct": pytest.approx(2.0),  # 10 % on a fifth of the balance
        "avgOpenPositionHours": pytest.approx(8_500 / 3_600),
        "lastOpenStakeHours": pytest.approx(8_000 / 3_600),
        "closedPositionHours": 2.0,
    }


def test_a_swinger_is_told_that_a_position_is_open() -> None:
    body = request_body("BitcoinFuturesSwinger", standing(lot(1, "Sell", 100, 110)))
    assert body == {
        "positionLongStakeState": "CLOSED",
        "positionShortStakeState": "OPEN",
        "currentUnrealisedPct": pytest.approx((110 / 99 - 1) * 100 * 0.1),
        "openPositionHours": 2.5,
        "closedPositionHours": 0.0,
    }


def test_a_position_beyond_the_balance_is_told_as_all_of_it() -> None:
    body = request_body("BitcoinFuturesManager", standing(lot(1, "Sell", 100, share="1.7")))
    assert body["currentPositionPct"] == -100.0


def test_without_a_touch_nothing_is_unrealised() -> None:
    told = standing(lot(1, "Buy", 100))._replace(bid=0.0)
    assert told.unrealised_pct == 0.0
