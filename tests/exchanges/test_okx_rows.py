"""OKX's rows become BitMEX's rows, by the samples of the exchange and by hand."""

import json
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from market_maker.exchanges import okx_rows as rows
from market_maker.exchanges.client_ids import ClientIds
from market_maker.exchanges.feed import BookGap
from market_maker.exchanges.okx_orders import changed_order, new_order
from market_maker.exchanges.okx_rows import Market
from market_maker.exchanges.okx_tables import OkxTables

SAMPLES = Path(__file__).resolve().parents[3] / "shared" / "protocol" / "okx" / "samples"
needs_samples = pytest.mark.skipif(not SAMPLES.is_dir(), reason="the OKX samples are not here")


def sample(name: str) -> Any:
    return json.loads((SAMPLES / name).read_text())


def market(**changes: Any) -> Market:
    """BTC-USD-SWAP as the exchange lists it."""
    raw = {
        "instType": "SWAP", "instId": "BTC-USD-SWAP", "uly": "BTC-USD", "ctType": "inverse",
        "ctVal": "100", "ctMult": "1", "settleCcy": "BTC", "tickSz": "0.1", "lotSz": "1",
        "minSz": "1", "maxLmtSz": "100000000", "state": "live", "instIdCode": 10458,
    }  # fmt: skip
    return Market.read(raw | changes, changes.get("symbol", "XBTUSD"))


LINEAR = {
    "instId": "ETH-USDT-SWAP",
    "uly": "ETH-USDT",
    "ctType": "linear",
    "ctVal": "0.1",
    "settleCcy": "USDT",
    "tickSz": "0.01",
    "lotSz": "0.01",
    "minSz": "0.01",
    "symbol": "ETHUSDT",
}
SPOT = {
    "instType": "SPOT",
    "instId": "BTC-USDT",
    "uly": "",
    "instFamily": "",
    "baseCcy": "BTC",
    "quoteCcy": "USDT",
    "ctVal": "",
    "ctMult": "",
    "ctType": "",
    "settleCcy": "",
    "lotSz": "0.00000001",
    "minSz": "0.00001",
    "symbol": "BTC-USDT",
}


@pytest.mark.parametrize(
    ("changes", "qty", "sz"),
    [
        ({}, 100, "1"),
        ({}, 12_300, "123"),
        ({"lotSz": "0.1"}, 30, "0.3"),
        ({"ctMult": "10"}, 3_000, "3"),
        (LINEAR, 0.001, "0.01"),
        (LINEAR, 1.234, "12.34"),
        (SPOT, 0.00000001, "0.00000001"),
        (SPOT, 0.3, "0.3"),
    ],
)
def test_contracts_of_the_bot_become_sizes_of_the_venue_and_come_back(
    changes: dict[str, Any], qty: float, sz: str
) -> None:
    listed = market(**changes)
    assert listed.sz(qty) == sz
    assert listed.qty(sz) == qty


@pytest.mark.parametrize(
    ("tick", "price", "text"),
    [
        ("0.5", 60_000.5, "60000.5"),
        ("0.1", 7290.300000000001, "7290.3"),
        ("0.01", 0.1 + 0.2, "0.30"),
        ("0.0001", 1.2345, "1.2345"),
        ("0.00001", 0.02076, "0.02076"),
        ("0.00000001", 3e-8, "0.00000003"),
    ],
)
def test_a_price_goes_out_as_a_plain_decimal_on_the_tick(
    tick: str, price: float, text: str
) -> None:
    assert market(tickSz=tick).px(price) == text


def test_an_inverse_swap_is_counted_in_contracts_of_one_dollar() -> None:
    row = market().instrument_row()
    assert (row["lotSize"], row["minQty"], row["unit"]) == (100, 100, "USD")
    assert (row["multiplier"], row["isInverse"], row["settlCurrency"]) == (-(10**8), True, "XBt")


def test_a_linear_swap_and_spot_are_counted_in_the_base_currency() -> None:
    row = market(**LINEAR).instrument_row()
    assert (row["lotSize"], row["unit"], row["multiplier"]) == (0.001, "ETH", 10**6)
    row = market(**SPOT).instrument_row()
    assert (row["lotSize"], row["unit"], row["typ"]) == (1e-8, "BTC", "IFXXXP")


def test_a_start_size_of_100_on_the_inverse_swap_is_sent_as_one() -> None:
    order = {
        "clOrdID": "own1",
        "orderQty": 100,
        "price": 60_000.1,
        "side": "Sell",
        "execInst": "ParticipateDoNotInitiate",
    }
    ids = ClientIds("mm_bitmex_")
    assert new_order(order, market(), ids, "cross") == {
        "instId": "BTC-USD-SWAP",
        "tdMode": "cross",
        "side": "sell",
        "ordType": "post_only",
        "sz": "1",
        "px": "60000.1",
        "clOrdId": ids.encode("own1"),
        "tag": ids.tag,
    }


def test_a_negative_size_sells_and_a_missing_price_is_a_market_order() -> None:
    ids = ClientIds("mm_")
    wire = new_order({"clOrdID": "a", "orderQty": -0.5}, market(**SPOT), ids, "cash")
    assert (wire["side"], wire["ordType"], wire["sz"], wire["tgtCcy"]) == (
        "sell",
        "market",
        "0.5",
        "base_ccy",
    )


@pytest.mark.parametrize("rules", ["ReduceOnly", "Close", "ParticipateDoNotInitiate,ReduceOnly"])
def test_an_order_that_may_only_reduce_says_so(rules: str) -> None:
    order = {"clOrdID": "own1", "orderQty": 100, "price": 60_000.1, "side": "Sell"}
    ids = ClientIds("mm_")
    assert new_order({**order, "execInst": rules}, market(), ids, "cross")["reduceOnly"] == "true"
    assert "reduceOnly" not in new_order(order, market(), ids, "cross")


def test_an_amend_names_only_what_changes() -> None:
    assert changed_order({"orderID": "7", "price": 60_000}, market()) == {
        "instId": "BTC-USD-SWAP",
        "ordId": "7",
        "newPx": "60000.0",
    }
    assert changed_order({"orderID": "7", "orderQty": 300}, market())["newSz"] == "3"


@needs_samples
def test_a_captured_order_and_its_fill_are_read() -> None:
    raw = sample("ws_orders.json")["data"][0]
    linear = market(**{**LINEAR, "instId": "BTC-USDT-SWAP", "ctVal": "0.01"})
    order = rows.order_row(raw, linear, "mine")
    assert order["ordStatus"] == "Filled"
    assert (order["orderQty"], order["cumQty"], order["leavesQty"]) == (0.0003, 0.0003, 0)
    fill = rows.execution_row(raw, linear, "mine", raw["fee"])
    assert fill is not None
    assert fill["execID"] == "BTC-USDT-SWAP-2497956918703120384-1518905529"
    assert (fill["lastQty"], fill["lastPx"]) == (0.0003, 103698.9)
    assert fill["lastLiquidityInd"] == "AddedLiquidity"
    assert fill["execComm"] == 21_777  # 0.021776769 USDT paid, in millionths
    assert fill["transactTime"] == "2025-05-11T07:08:37.402Z"


def test_a_fee_told_as_a_sum_is_booked_by_what_it_grew() -> None:
    tables = OkxTables(market(), lambda wire_id: wire_id)
    comms = []
    for filled, fee in (("1", "-0.0000001"), ("2", "-0.0000003"), ("3", "-0.0000004")):
        raw = order_push(accFillSz=filled, fee=fee, fillSz="1", tradeId=filled)
        execution = tables.read(raw)[0]
        comms.append(execution["data"][0]["execComm"])
    assert comms == [10, 20, 10]


def test_a_fill_with_a_fee_of_its_own_is_booked_by_that() -> None:
    tables = OkxTables(market(), lambda wire_id: wire_id)
    raw = order_push(accFillSz="1", fee="-9", fillFee="0.00000025", fillSz="1", tradeId="1")
    assert tables.read(raw)[0]["data"][0]["execComm"] == -25  # a rebate


@pytest.mark.parametrize(("currency", "comm"), [("BTC", 6_000_000), ("USDT", 100), ("OKB", 0)])
def test_a_fee_on_spot_is_booked_in_the_quote_currency_whatever_it_was_paid_in(
    currency: str, comm: int
) -> None:
    raw = {"fillSz": "1", "fillPx": "60000", "tradeId": "1", "feeCcy": currency}
    fill = rows.execution_row(raw, market(**SPOT), "mine", "-0.0001")
    assert fill is not None
    assert (fill["execComm"], fill["feeQty"]) == (comm, 0.0001)


@pytest.mark.parametrize(
    ("own", "comm", "currency"),
    [
        ({"fillFee": "0.5", "fillFeeCcy": "USDT"}, -500_000, "USDT"),  # a rebate on a buy
        ({"fillFee": "-0.0001", "fillFeeCcy": "BTC"}, 6_000_000, "BTC"),
        ({"fillFee": "", "fillFeeCcy": "USDT"}, 6_000_000, "BTC"),  # the sum of the order's fees
        ({"fillFee": "-0.0001", "fillFeeCcy": ""}, 6_000_000, "BTC"),
    ],
)
def test_a_rebate_is_booked_in_the_currency_it_is_paid_in(
    own: dict[str, str], comm: int, currency: str
) -> None:
    tables = OkxTables(market(**SPOT), lambda wire_id: wire_id)
    fields = {"instId": "BTC-USDT", "sz": "1", "accFillSz": "1", "fillSz": "1", "tradeId": "1"}
    fill = tables.read(order_push(**fields, fee="-0.0001", **own))[0]["data"][0]
    assert (fill["execComm"], fill["feeCurrency"]) == (comm, currency)


def test_what_asks_have_locked_is_held_all_the_same() -> None:
    held = {"ccy": "BTC", "cashBal": "1.5", "availBal": "0.2", "frozenBal": "1.3"}
    row = rows.spot_position_row([held], market(**SPOT), 1.0)
    assert (row["currentQty"], row["freeQty"], row["lockedQty"]) == (0.5, 0.2, 1.3)


def order_push(**changes: Any) -> dict[str, Any]:
    raw = {
        "instId": "BTC-USD-SWAP", "ordId": "7", "clOrdId": "c", "side": "buy", "sz": "5",
        "px": "60000", "state": "partially_filled", "ordType": "limit", "feeCcy": "BTC",
        "fillPx": "60000", "execType": "M", "uTime": "1700000000000",
    }  # fmt: skip
    return {"arg": {"channel": "orders"}, "data": [raw | changes]}


def test_the_outcome_of_an_amend_is_in_the_row() -> None:
    tables = OkxTables(market(), lambda wire_id: wire_id)
    assert tables.read(order_push())[0]["data"][0].get("execType") is None
    done = tables.read(order_push(amendResult="0"))[0]
    assert (done["action"], done["data"][0]["execType"]) == ("update", "Replaced")
    assert tables.read(order_push(amendResult="-1"))[0]["data"][0]["execType"] == "AmendReject"


def test_a_post_only_cancel_says_so() -> None:
    row = rows.order_row(order_push(state="canceled", cancelSource="31")["data"][0], market(), "c")
    assert row["ordStatus"] == "Canceled" and row["leavesQty"] == 0
    assert "ParticipateDoNotInitiate" in row["text"]


def test_the_price_limits_of_the_moment_are_followed_and_may_end() -> None:
    tables = OkxTables(market(), lambda wire_id: wire_id)
    told = []
    for high, low in (("61000.5", "59000"), ("", "")):
        data = [{"instId": "BTC-USD-SWAP", "buyLmt": high, "sellLmt": low, "ts": "1"}]
        (table,) = tables.read({"arg": {"channel": "price-limit"}, "data": data})
        told.append((table["table"], table["action"], *table["data"][0].values()))
    change = ("instrument", "update", "XBTUSD")
    assert told == [(*change, 61_000.5, 59_000.0), (*change, None, None)]


def books(action: str, seq: int, prev: int, **sides: Any) -> dict[str, Any]:
    data = {"asks": [], "bids": [], "ts": "1700000000000", "seqId": seq, "prevSeqId": prev}
    return {"arg": {"channel": "books"}, "action": action, "data": [data | sides]}


def test_a_book_is_followed_level_by_level() -> None:
    tables = OkxTables(market(), lambda wire_id: wire_id)
    image = tables.read(
        books("snapshot", 1, -1, bids=[["9", "2", "0", "1"]], asks=[["10", "3", "0", "1"]])
    )
    assert [(r["side"], r["price"], r["size"]) for r in image[0]["data"]] == [
        ("Sell", 10.0, 300),
        ("Buy", 9.0, 200),
    ]
    found = tables.read(
        books("update", 2, 1, bids=[["9", "0", "0", "0"], ["8", "1", "0", "1"]],
              asks=[["10", "4", "0", "1"]])
    )  # fmt: skip
    assert [(t["action"], t["data"][0]["price"]) for t in found] == [
        ("delete", 9.0),
        ("update", 10.0),
        ("insert", 8.0),
    ]


def test_a_hole_in_the_book_is_noticed() -> None:
    tables = OkxTables(market(), lambda wire_id: wire_id)
    tables.read(books("snapshot", 5, -1))
    with pytest.raises(BookGap):
        tables.read(books("update", 9, 7))


@pytest.mark.parametrize(("text", "number"), [("", 0), (None, 0), ("1e-8", Decimal("1e-8"))])
def test_what_the_venue_leaves_empty_counts_as_nothing(text: Any, number: Any) -> None:
    assert rows.decimal(text) == number


def test_what_is_no_number_is_refused() -> None:
    with pytest.raises(ValueError, match="not a number"):
        rows.decimal("ten")
