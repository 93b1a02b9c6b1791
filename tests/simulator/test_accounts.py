"""Position and margin arithmetic, to the satoshi. Figures: captured rows."""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from market_maker.simulator.accounts import HOUSE, MARKET, Ledger
from market_maker.simulator.instruments import ETHUSD, XBTUSD, Instrument
from market_maker.simulator.statements import margin_row, position_row

US = 100_001


def ledger(balance_sat: int = 100_000_000) -> Ledger:
    made = Ledger()
    made.open(US, balance_sat)
    return made


@pytest.mark.parametrize(
    ("spec", "qty", "price", "cost"),
    [
        (XBTUSD, 400, 43772.0, -913_828),  # captured: rounded per lot of 100, then multiplied
        (XBTUSD, -400, 43772.0, 913_828),
        (replace(XBTUSD, lot_size=1), 2000, 6906.5, -28_958_000),  # captured
        (replace(XBTUSD, lot_size=1), 15_000, 9378.0, -159_945_000),  # captured: nearest, not up
        (XBTUSD, 1000, 60000.0, -1_666_670),
        (XBTUSD, -1000, 61000.0, 1_639_340),
        (ETHUSD, 1000, 3000.0, 300_000_000),
        (ETHUSD, -1000, 3010.0, -301_000_000),
    ],
)
def test_a_trade_costs_what_the_exchange_books(
    spec: Instrument, qty: int, price: float, cost: int
) -> None:
    assert ledger().position(US, spec).trade(qty, price) == (cost, 0)


def test_a_round_trip_realises_the_difference_of_its_costs() -> None:
    position = ledger().position(US, XBTUSD)
    position.trade(1000, 60000.0)
    assert position.trade(-1000, 61000.0) == (1_639_340, 27_330)
    assert (position.qty, position.cost, position.realised_pnl) == (0, 0, 27_330)


def test_fees_come_off_the_realised_profit() -> None:
    book = ledger()
    position = book.position(US, XBTUSD)
    for qty, price, fee in ((1000, 60000.0, 833), (-1000, 61000.0, 820)):
        cost, _ = position.trade(qty, price)
        assert book.charge(position, 0.0005, cost) == fee
    assert position.realised_pnl == 25_677
    assert book.funds(US).wallet == 100_000_000 + 25_677


def test_a_quanto_gains_with_the_price() -> None:
    position = ledger().position(US, ETHUSD)
    position.trade(1000, 3000.0)
    position.mark_price = 3010.0
    assert position.unrealised_pnl == 1_000_000
    assert position.trade(-400, 3010.0) == (-120_400_000, 400_000)
    assert (position.qty, position.unrealised_pnl) == (600, 600_000)


def test_the_average_entry_of_an_inverse_contract_is_harmonic() -> None:
    book = ledger()
    position = book.position(US, XBTUSD)
    position.trade(1000, 60000.0)
    position.trade(1000, 62000.0)
    row = position_row(book, US, XBTUSD, 0.0)
    assert row["posCost"] == -3_279_570
    assert row["avgEntryPrice"] == pytest.approx(60983.60, abs=0.01)


def test_a_trade_through_zero_closes_first_and_opens_the_rest() -> None:
    position = ledger().position(US, XBTUSD)
    position.trade(1000, 60000.0)
    cost, realised = position.trade(-1500, 61000.0)
    assert (cost, realised) == (163_934 * 15, 27_330)
    assert (position.qty, position.cost) == (-500, 163_934 * 5)


def captured_position() -> Ledger:
    """Long 400 at a cost of 912269, marked at 43772, as one captured row shows it."""
    book = ledger()
    position = book.position(US, XBTUSD)
    cost, _ = position.trade(100, 43846.0)
    book.charge(position, 0.00075, cost)
    cost, _ = position.trade(300, 43847.0)
    book.charge(position, 0.00075, cost)
    book.set_mark("XBTUSD", 43772.0)
    return book


def test_a_captured_position_row_is_reproduced() -> None:
    row = position_row(captured_position(), US, XBTUSD, 0.0)
    expected = {
        "currentQty": 400, "posCost": -912_269, "currentCost": -912_269, "markValue": -913_828,
        "currentComm": 684, "realisedPnl": -684, "unrealisedPnl": -1_559,
        "unrealisedCost": -912_269, "posCross": 1_559, "homeNotional": 0.00913828,
        "foreignNotional": -400,
        "breakEvenPrice": 43880.0, "leverage": 100, "isOpen": True, "commission": 0.00075,
    }  # fmt: skip
    assert {name: row[name] for name in expected} == expected
    initial = row["posMargin"] - row["posCross"] - row["posComm"]
    assert initial == 9_123
    assert row["posMaint"] == 3_193 + row["posComm"]
    assert row["maintMargin"] == row["posMargin"] + row["unrealisedPnl"]
    # the capture says 694. Ours is the fee on cost, initial margin and loss, which reproduces the
    # row of 2018-08-16 below; what the one satoshi more is for is unknown.
    assert row["posComm"] == 693


def captured_short() -> Ledger:
    """Short 219 at a cost of 2932115, marked at 6336.2: the testnet session of 2018-08-16."""
    book = Ledger()
    book.open(US, 135_221_616)
    spec = replace(XBTUSD, lot_size=1, maint_margin=0.005)
    position = book.position(US, spec)
    position.qty, position.current_cost = -219, 2_932_115
    book.set_mark("XBTUSD", 6336.2)
    return book


def test_a_captured_short_row_is_reproduced() -> None:
    book = captured_short()
    row = position_row(book, US, XBTUSD, 0.0)
    expected = {
        "markValue": 3_456_258, "unrealisedPnl": 524_143, "unrealisedPnlPcnt": 0.1788,
        "unrealisedRoePcnt": 17.8759, "homeNotional": -0.03456258, "foreignNotional": 219,
        "riskValue": 3_456_258, "liquidationPrice": 100_000_000,
        "bankruptPrice": 100_000_000,
    }  # fmt: skip
    assert {name: row[name] for name in expected} == expected
    # the capture averages its fills without the rounding of their costs: 7468.8177
    assert row["avgEntryPrice"] == pytest.approx(7468.8177, abs=0.2)
    # rounded up: 1 % of the cost is 29321.15
    assert row["posMargin"] - row["posCross"] - row["posComm"] == 29_322
    # the capture also holds a fee for the 311836 the position had once lost: 2455 instead of 2222
    assert row["posComm"] == 2222
    margin = margin_row(book, US, 0.0)
    assert (margin["walletBalance"], margin["marginBalance"]) == (135_221_616, 135_745_759)
    assert margin["maintMargin"] == 555_920 - 2455 + 2222
    assert margin["availableMargin"] == 135_189_839 + 2455 - 2222


def test_the_margin_of_captured_orders_is_reproduced_to_the_satoshi() -> None:
    book = captured_short()
    position = book.position(US, XBTUSD)
    for side, cost in (("Buy", 33_689_100), ("Sell", 32_265_300)):
        position.open_qty[side], position.open_cost[side] = 2100, cost
    row = position_row(book, US, XBTUSD, 0.0)
    assert (row["openOrderBuyCost"], row["openOrderSellCost"]) == (-33_689_100, -32_265_300)
    assert position.gross_open() == (33_540_619, 0)
    assert (row["riskValue"], row["initMargin"]) == (36_996_877, 385_970)


def test_the_margin_row_adds_up() -> None:
    book = captured_position()
    row = margin_row(book, US, 0.0)
    assert row["walletBalance"] == row["amount"] + row["realisedPnl"] == 100_000_000 - 684
    assert row["marginBalance"] == row["walletBalance"] + row["unrealisedPnl"]
    free = row["marginBalance"] - row["initMargin"] - row["maintMargin"]
    assert row["availableMargin"] == row["excessMargin"] == free


def test_profit_on_paper_is_not_available_for_orders() -> None:
    book = ledger()
    position = book.position(US, XBTUSD)
    position.trade(10_000, 60000.0)
    before = book.funds(US).available
    book.set_mark("XBTUSD", 66000.0)
    assert position.unrealised_pnl > 0
    assert book.funds(US).available <= before


def test_only_the_larger_increasing_side_needs_margin() -> None:
    position = ledger().position(US, XBTUSD)
    value = position.contract.value(1000, 60000.0)
    for side in ("Buy", "Sell"):
        position.open_qty[side], position.open_cost[side] = 1000, value
    one_side = position.order_margin()
    # initial margin, and the fees of getting in and out at the bankruptcy price
    assert one_side == 16_667 + 1250 + 1263 == 19_180
    position.trade(400, 60000.0)  # now 400 of the sells only reduce
    assert position.order_margin() == one_side
    position.open_qty["Buy"] = position.open_cost["Buy"] = 0
    assert position.order_margin() == pytest.approx(one_side * 0.6, abs=1)


def test_liquidation_lies_between_the_mark_and_bankruptcy() -> None:
    for qty, order in ((100_000, 1), (-100_000, -1)):
        book = ledger(10_000_000)
        position = book.position(US, XBTUSD)
        position.trade(qty, 60000.0)
        book.set_mark("XBTUSD", 60000.0)
        row = position_row(book, US, XBTUSD, 0.0)
        mark, liquidation, bankrupt = 60000.0, row["liquidationPrice"], row["bankruptPrice"]
        assert (mark - liquidation) * order > 0
        assert (liquidation - bankrupt) * order > 0


@given(
    st.lists(
        st.tuples(
            st.sampled_from([US, US + 1, US + 2]),
            st.sampled_from([US, US + 1, US + 2, MARKET]),
            st.integers(-50, 50).filter(bool),
            st.integers(80_000, 160_000),
        ),
        max_size=60,
    ),
    st.sampled_from(
        [
            XBTUSD,
            ETHUSD,
            replace(XBTUSD, tick_size=0.0001, start_price=7.0),
            replace(XBTUSD, tick_size=1e-8, start_price=0.001),
        ]
    ),
)
def test_whatever_is_traded_all_money_sums_to_zero(
    trades: list[tuple[int, int, int, int]], spec: Instrument
) -> None:
    book = ledger()
    book.open(US + 1, 7)
    book.open(US + 2, 10**12)
    for one, other, lots, ticks in trades:
        price = spec.grid().price(ticks)
        for account, sign in ((one, 1), (other, -1)):
            position = book.position(account, spec)
            cost, _ = position.trade(sign * lots * spec.lot_size, price)
            if account != MARKET:
                book.charge(position, 0.00075 if sign > 0 else -0.00025, cost)
    assert book.total() == 0
    book.set_mark(spec.symbol, spec.grid().price(123_457))
    accounts = [book.funds(account) for account in (US, US + 1, US + 2)]
    market = book.position(MARKET, spec)
    equity = sum(funds.wallet + funds.unrealised for funds in accounts)
    equity += market.realised_pnl + market.unrealised_pnl + book.deposited(HOUSE)
    assert equity == 0
