"""The plan of a dry run."""

from typing import Any

import pytest

from market_maker.model.rows import SPOT, Row
from market_maker.status import plan_lines

TICKER: Any = {"last": 60000.0, "buy": 60000.0, "sell": 60000.5, "mid": 60000.25}
INVERSE = {
    "symbol": "XBTUSD",
    "tickSize": 0.5,
    "lotSize": 100,
    "multiplier": -100_000_000,
    "isInverse": True,
    "settlCurrency": "XBt",
    "initMargin": 0.01,
}
LINEAR = {
    "symbol": "XBTUSDT",
    "tickSize": 0.5,
    "lotSize": 0.001,
    "multiplier": 1_000_000,
    "settlCurrency": "USDt",
    "initMargin": 0.01,
}
FEES = {"maker": -0.00025, "taker": 0.00075, "balance": 50.0, "coin": "XBT", "assumed": []}


def pair(qty: float) -> list[Row]:
    return [
        {"side": "Sell", "price": 60010.0, "orderQty": qty},
        {"side": "Buy", "price": 59990.0, "orderQty": qty},
    ]


@pytest.mark.parametrize(
    ("instrument", "qty", "parts"),
    [
        (INVERSE, 100, ["value XBT", "0.00166639 ", "needed 0.000033 of 50.000000 XBT"]),
        (LINEAR, 0.5, ["value USDT", "30005.0000 ", "needed 600.000000 USDT", "+25.000000"]),
        ({**LINEAR, "typ": SPOT}, 0.5, ["value USDT", "needed 60000.000000 USDT"]),
    ],
)
def test_a_plan_is_in_the_currency_of_the_contract_and_80_columns_wide(
    instrument: Row, qty: float, parts: list[str]
) -> None:
    lines = plan_lines(pair(qty), TICKER, instrument, FEES)
    text = "\n".join(lines)
    assert [part for part in parts if part not in text] == []
    assert max(map(len, lines)) <= 80
    assert len({len(line) for line in lines[:3]}) == 1


def test_what_a_dry_run_without_a_key_assumes_is_said_within_80_columns() -> None:
    fees = {**FEES, "assumed": ["balance", "maker fee", "taker fee"]}
    lines = plan_lines(pair(100), TICKER, INVERSE, fees)
    assert "(assumed: balance, maker fee, taker fee)" in "\n".join(lines)
    assert max(map(len, lines)) <= 80
