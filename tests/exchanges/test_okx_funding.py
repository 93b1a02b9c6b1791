"""Funding at OKX: what a position's sum and the bills amount to, each payment once."""

from typing import Any

import pytest

from market_maker.exchanges.okx_funding import Funding
from market_maker.exchanges.okx_rows import Market
from tests.okx_doubles import INSTRUMENT

MARKET = Market.read(INSTRUMENT, "XBTUSD")
HOUR_MS = 3_600_000


def position(pos: str, paid: str, hour: float, **more: Any) -> dict[str, Any]:
    moment = str(int(hour * HOUR_MS))
    return {"posId": "7", "pos": pos, "fundingFee": paid, "uTime": moment, "markPx": "1"} | more


def bill(number: int, amount: str, hour: float) -> dict[str, Any]:
    return {"billId": str(number), "balChg": amount, "sz": "3", "ts": str(int(hour * HOUR_MS))}


@pytest.mark.parametrize(
    ("pushes", "paid"),
    [
        ([position("5", "0", 1), position("5", "-0.0001", 8)], [10_000]),
        ([position("5", "0", 1), position("5", "0.0001", 8)], [-10_000]),
        ([position("5", "-0.1", 8), position("5", "-0.1001", 16)], [10_000]),
        ([position("5", "0", 1), position("3", "0", 2), position("5", "-0.0001", 8)], [10_000]),
        ([position("5", "-0.1", 8), position("0", "-0.1", 9), position("5", "0", 10)], []),
        ([position("5", "-0.1", 8), position("-5", "0", 9)], []),  # it turned: a new sum
        ([position("5", "-0.1", 8), position("-5", "-0.1", 9)], []),
        ([position("-5", "0", 9), position("-5", "0.0002", 16)], [-20_000]),
        ([position("5", "-0.1", 8), position("5", "0", 9, cTime="2")], []),  # opened anew
        ([position("5", "", 1), position("5", "", 8)], []),
    ],
)
def test_what_the_sum_of_a_position_changes_by_is_a_payment(
    pushes: list[dict[str, Any]], paid: list[int]
) -> None:
    funding = Funding()
    assert funding.begin([], [], MARKET) == []
    told = [row for push in pushes if (row := funding.hear(push, MARKET))]
    assert [row["execComm"] for row in told] == paid
    assert all(row["execType"] == "Funding" and row["lastQty"] for row in told)


def test_bills_tell_what_was_paid_while_nobody_listened_and_nothing_twice() -> None:
    funding, old = Funding(), bill(1, "-0.1", 0)
    assert funding.begin([], [old], MARKET) == [], "before our time"
    funding.hear(position("5", "0", 1), MARKET)
    assert funding.hear(position("5", "-0.0001", 8), MARKET)
    heard = bill(2, "-0.0001", 8.001)  # written some seconds after the position's row
    missed = [bill(4, "0.0003", 24), bill(3, "-0.0002", 16)]
    rows = funding.begin([position("5", "0", 25)], [*missed, heard, old], MARKET)
    assert [row["execComm"] for row in rows] == [20_000, -30_000]
    assert [row["execID"] for row in rows] == [f"BTC-USD-SWAP-funding-{n}" for n in (3, 4)]
    assert funding.begin([position("5", "0", 25)], [*missed, heard, old], MARKET) == []


def test_a_push_that_tells_what_the_bills_told_is_nothing_new() -> None:
    funding = Funding()
    funding.begin([position("5", "0", 1)], [], MARKET)
    (row,) = funding.begin([position("5", "0", 7.999)], [bill(1, "-0.0001", 8)], MARKET)
    assert row["execComm"] == 10_000
    assert funding.hear(position("5", "-0.0001", 8.001), MARKET) is None
