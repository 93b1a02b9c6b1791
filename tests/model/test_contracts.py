"""Contract values to the satoshi, against rows captured from BitMEX."""

import pytest

from market_maker.model.contracts import Contract

XBTUSD = Contract("XBTUSD", -100_000_000, is_inverse=True, lot_size=100)
XBTUSD_2018 = Contract("XBTUSD", -100_000_000, is_inverse=True, lot_size=1)
ETHUSD = Contract("ETHUSD", 100, is_inverse=False, is_quanto=True)
XBTUSDT = Contract("XBTUSDT", 1, is_inverse=False, lot_size=100)
LTCUSDT = Contract("LTCUSDT", 100, is_inverse=False)


@pytest.mark.parametrize(
    ("contract", "qty", "price", "value"),
    [
        (XBTUSD, 400, 43772, 913_828),
        (XBTUSD_2018, 2000, 6906.5, 28_958_000),
        (XBTUSD_2018, 2000.0, 6906.5, 28_958_000),
        (XBTUSD_2018, 15000, 9378, 15000 * 10_663),
        (ETHUSD, 1000, 3000, 300_000_000),
        (XBTUSDT, 4800, 97343.4, 467_248_320),
        (LTCUSDT, 1000, 144.36, 14_436_000),
    ],
)
def test_the_value_equals_the_captured_one(
    contract: Contract, qty: int, price: float, value: int
) -> None:
    assert contract.value(qty, price) == value


def test_a_round_trip_in_an_inverse_contract_gains_what_the_exchange_booked() -> None:
    bought, sold = XBTUSD.cost(1000, 60000), XBTUSD.cost(-1000, 61000)
    assert (bought, sold) == (-1_666_670, 1_639_340)
    assert -(bought + sold) == 27_330


def test_a_linear_buy_costs_and_a_sell_earns() -> None:
    assert XBTUSDT.cost(4800, 98343.4) - XBTUSDT.cost(4800, 97343.4) == 4_800_000
    assert XBTUSDT.cost(-4800, 100) == -480_000


@pytest.mark.parametrize(
    ("qty", "price", "value"),
    [
        (0.001, 60_000.1, 60_000_100),
        (0.00001, 60_000.1, 600_001),
        (1e-8, 0.02076, 0),
        (1e-8, 60_000.0, 600),
        (3, 0.5, 1_500_000),
        (0.3, 0.1, 30_000),
    ],
)
def test_sizes_need_not_be_whole_where_they_are_units_of_a_currency(
    qty: float, price: float, value: int
) -> None:
    row = {"symbol": "BTCUSDT", "multiplier": 10**6, "lotSize": 0.00001}
    assert Contract.from_instrument(row).value(qty, price) == value
    assert Contract.from_instrument(row).cost(-qty, price) == -value


def test_an_instrument_row_without_columns_still_reads() -> None:
    contract = Contract.from_instrument({"symbol": "X"})
    assert contract.value(3, 2.0) == 6
