"""The REST routes and stream tables beside orders: what they answer, and when they tell it."""

from typing import Any

import pytest

from market_maker.clock import ManualClock
from market_maker.model.wire import Answer, Request
from market_maker.simulator.dialects.bitmex import Dialect
from market_maker.simulator.dialects.bitmex_call import find_symbol
from market_maker.simulator.dialects.bitmex_select import select
from market_maker.simulator.dialects.bitmex_tables import TABLES
from market_maker.simulator.exchange import Engine
from market_maker.simulator.session import Session


class Room:
    """An exchange, an account, and what the stream told it."""

    def __init__(self, profile: str = "last", *, follows: tuple[str, ...] = ()) -> None:
        self.clock = ManualClock()
        self.engine = Engine(self.clock, seed=1)
        self.clock.attach(self.engine)
        self.dialect = Dialect(self.engine, profile)
        self.mine, self.other = (self.engine.open_account(10**10) for _ in range(2))
        self.session = Session(self.dialect, self.mine)
        self.images = [m for m in self.session.subscribe(list(follows)) if "table" in m]
        self.told: list[dict[str, Any]] = []
        self.rendered = 0
        self.engine.listeners.append(self._hear)

    def _hear(self, event: Any) -> None:
        for scope, message in self.dialect.render(event):
            self.rendered += 1
            if self.session.wants(scope):
                self.told.append(message)

    def call(self, verb: str, path: str, **params: Any) -> Answer:
        return self.dialect.handle(Request(verb, path, params), self.mine)

    def get(self, path: str, **params: Any) -> Any:
        answer = self.call("GET", path, **params)
        assert answer.status == 200, answer.body
        return answer.body

    def order(self, qty: int, price: float, **fields: Any) -> Any:
        return self.call(
            "POST", "/order", symbol="XBTUSD", orderQty=qty, price=price, **fields
        ).body

    def trade(self, qty: int, price: float) -> None:
        """I buy (or sell) *qty* from the other account."""
        other = {"symbol": "XBTUSD", "orderQty": -qty, "price": price}
        self.engine.place(self.other.number, other)
        self.order(qty, price)

    def rows(self, table: str) -> list[tuple[str, dict[str, Any]]]:
        return [(m["action"], row) for m in self.told if m["table"] == table for row in m["data"]]


# -- symbols and parameters


@pytest.mark.parametrize(
    ("asked", "symbol"),
    [
        ("xbtusd", "XBTUSD"),
        ("XBT", "XBTUSD"),
        ("XBT:perpetual", "XBTUSD"),
        ("eth:Perpetual", "ETHUSD"),
        ("XBT:quarterly", "XBTU20"),
        ("XBT:nearest", "XBTU20"),
        (".bxbt", ".BXBT"),
        ("ETH:quarterly", None),
        ("XBT:someday", None),
        ("DOGE", None),
        ("", None),
    ],
)
def test_a_symbol_is_found_by_its_name_its_root_and_its_timeframe(
    asked: str, symbol: str | None
) -> None:
    assert find_symbol(Room().dialect.feed, asked) == symbol


STAMPED = [
    {"timestamp": f"2024-0{month}-01T12:{minute:02d}:30.500Z", "n": n}
    for n, (month, minute) in enumerate([(1, 0), (1, 5), (2, 5)])
]


@pytest.mark.parametrize(
    ("wanted", "found"),
    [
        ({"timestamp.date": "2024-01-01"}, [0, 1]),
        ({"timestamp.month": "2024-02"}, [2]),
        ({"timestamp.mm": 2}, [2]),
        ({"timestamp.year": 2024}, [0, 1, 2]),
        ({"timestamp.time": "12:05"}, [1, 2]),
        ({"timestamp.minute": "12:00"}, [0]),
        ({"timestamp.uu": 5}, [1, 2]),
        ({"timestamp.hh": [11, 12]}, [0, 1, 2]),
        ({"timestamp.weekday": 0}, [0, 1]),
        ({"timestamp.ss": 31}, []),
        ({"timestamp.nonsense": 1}, []),
        ({"n": [0, 2], "timestamp.uu": [0, 5]}, [0, 2]),
    ],
)
def test_a_filter_reads_the_parts_of_a_timestamp(wanted: Any, found: list[int]) -> None:
    assert [row["n"] for row in select(STAMPED, {"filter": wanted})] == found


def test_parameters_of_a_delete_may_come_in_its_query() -> None:
    room = Room()
    room.order(100, 59_000)
    room.order(-100, 61_000)
    request = Request("DELETE", "/order/all", {"symbol": "XBTUSD", "filter": '{"side":"Sell"}'})
    assert [row["side"] for row in room.dialect.handle(request, room.mine).body] == ["Sell"]


# -- money


def test_leverage_margin_and_risk_limit_answer_the_position() -> None:
    room = Room()
    room.trade(1000, 60_000)
    row = room.call("POST", "/position/leverage", symbol="XBTUSD", leverage=10).body
    assert (row["leverage"], row["crossMargin"], row["strategy"]) == (10, False, "OneWay")
    more = room.call("POST", "/position/transferMargin", symbol="xbt", amount=5000).body
    gained = more["posMargin"] - row["posMargin"]
    assert 5000 <= gained < 5010  # the fee reserve follows the bankruptcy price
    limit = 2 * row["riskLimit"]
    row = room.call("POST", "/position/riskLimit", symbol="XBTUSD", riskLimit=limit).body
    assert row["riskLimit"] == limit
    row = room.call("POST", "/position/isolate", symbol="XBTUSD", enabled="false").body
    assert row["crossMargin"] is True


@pytest.mark.parametrize(
    ("path", "params", "text"),
    [
        ("/position/leverage", {"symbol": "XBTUSD"}, "Invalid leverage"),
        ("/position/leverage", {"leverage": 5}, "'symbol' is a required arg."),
        ("/position/leverage", {"symbol": "NOSUCH", "leverage": 5}, "Invalid symbol"),
        ("/position/transferMargin", {"symbol": "XBTUSD", "amount": 0.5}, "Invalid amount"),
        ("/user/requestWithdrawal", {"amount": -1, "address": "a"}, "Negative withdrawal amount"),
        ("/order/closePosition", {"symbol": "XBTUSD", "price": "x"}, "Invalid price"),
    ],
)
def test_a_call_that_cannot_be_done_says_why(path: str, params: Any, text: str) -> None:
    answer = Room().call("POST", path, **params)
    assert (answer.status, answer.body["error"]["message"]) == (400, text)


def test_a_position_is_closed_by_one_call() -> None:
    room = Room()
    room.trade(300, 60_000)
    row = room.call("POST", "/order/closePosition", symbol="XBTUSD", price=60_001).body
    assert (row["side"], row["orderQty"], row["execInst"]) == ("Sell", 300, "Close")


def test_a_withdrawal_is_pending_in_the_wallet_the_history_and_the_stream() -> None:
    room = Room(follows=("wallet", "transact"))
    params = {"currency": "XBt", "amount": 1000, "address": "there", "network": "btc"}
    row = room.call("POST", "/user/requestWithdrawal", **params).body
    assert (row["transactType"], row["transactStatus"]) == ("Withdrawal", "Pending")
    assert room.get("/user/walletHistory")[0] == row
    assert room.get("/user/wallet")["pendingDebit"] == 1000
    assert [wallet["currency"] for wallet in room.get("/user/wallet", currency="all")] == [
        "XBt",
        "USDt",
    ]
    (action, told), *_ = room.rows("transact")
    assert (action, told["transactID"]) == ("insert", row["transactID"])
    assert {"account", "currency", "pendingDebit"} <= room.rows("wallet")[0][1].keys()
    assert room.get("/user/walletSummary")[-1]["transactType"] == "Total"


def test_the_sums_of_the_wallet_come_to_what_is_in_it() -> None:
    room = Room()
    asked = {"currency": "XBt", "amount": 1000, "fee": 50, "address": "there"}
    room.call("POST", "/user/requestWithdrawal", **asked)
    *_, taken, total = room.get("/user/walletSummary")
    assert (taken["transactType"], taken["amount"]) == ("Withdrawal", -1050)
    assert total["amount"] == total["walletBalance"] == room.get("/user/wallet")["amount"]


def test_a_key_without_the_right_may_not_withdraw() -> None:
    room = Room()
    reader = room.engine.add_key(room.mine.number, frozenset({"order"}))
    request = Request("POST", "/user/requestWithdrawal", {"amount": 1})
    assert room.dialect.handle(request, reader).status == 403


def test_the_user_his_keys_fees_and_quotes_can_be_read() -> None:
    room = Room()
    room.trade(100, 60_000)
    assert room.get("/user")["id"] == room.mine.number
    assert [key["id"] for key in room.get("/apiKey")] == [room.mine.key]
    assert all(not key.get("secret") for key in room.get("/apiKey"))
    assert room.get("/user/commission")["XBTUSD"]["takerFee"] == 0.00075
    (day,) = room.get("/user/quoteFillRatio")
    assert (day["quoteCount"], day["dealtCount"], day["quoteFillRatioMavg7"]) == (1, 1, 1.0)
    assert room.call("POST", "/user/logout").body is None


# -- the market


def test_funding_is_told_kept_and_booked_as_an_execution_without_an_order() -> None:
    room = Room(follows=("funding:XBTUSD", "execution", "order"))
    room.trade(1000, 60_000)
    room.told.clear()
    room.clock.sleep(8 * 3600)
    ((action, row),) = room.rows("funding")
    assert (action, row["fundingInterval"]) == ("insert", "2000-01-01T08:00:00.000Z")
    assert room.get("/funding", symbol="XBTUSD") == [row]
    ((_, execution),) = room.rows("execution")
    assert (execution["execType"], execution["text"]) == ("Funding", "Funding")
    assert not {"lastLiquidityInd", "tradePublishIndicator"} & execution.keys()
    assert room.rows("order") == []
    kinds = [row["execType"] for row in room.get("/execution/tradeHistory")]
    assert kinds == ["Trade", "Funding"]


@pytest.mark.parametrize("profile", ["classic", "last"])
def test_bins_come_when_their_time_is_over_though_nothing_happens(profile: str) -> None:
    topics = ("tradeBin1m:XBTUSD", "quoteBin1m:XBTUSD", "tradeBin5m:XBTUSD")
    room = Room(profile, follows=topics)
    room.trade(100, 60_000)
    room.order(100, 59_990)
    room.clock.sleep(130)
    bins = [row for _, row in room.rows("tradeBin1m")]
    assert [row["timestamp"][14:19] for row in bins] == ["27:00", "28:00"]
    assert [(row["trades"], row["open"], row["close"]) for row in bins] == [
        (1, 60_000, 60_000),
        (0, 60_000, 60_000),
    ]
    assert [row["bidPrice"] for _, row in room.rows("quoteBin1m")] == [59_990, 59_990]
    assert room.rows("tradeBin5m") == []
    assert room.get("/trade/bucketed", symbol="XBTUSD") == bins
    quotes = room.get("/quote/bucketed", symbol="XBTUSD")
    assert quotes == [row for _, row in room.rows("quoteBin1m")]
    room.clock.sleep(75)
    assert room.rows("tradeBin5m")[0][1]["volume"] == 100


def test_a_future_that_expired_can_still_be_asked_for() -> None:
    room = Room(follows=("settlement",))
    order = {"symbol": "XBTU20", "orderQty": 100, "price": 60_000}
    room.engine.place(room.mine.number, order)
    room.engine.place(room.other.number, {**order, "orderQty": -100})
    room.clock.sleep(12.5 * 86400)
    ((_, row),) = room.rows("settlement")
    assert (row["symbol"], row["settlementType"]) == ("XBTU20", "Settlement")
    assert room.get("/settlement") == room.get("/settlement", symbol="xbtu20") == [row]
    kinds = {row["execType"] for row in room.get("/execution", symbol="XBTU20")}
    assert {"New", "Trade", "Settlement"} <= kinds
    assert "XBTU20" not in {row["symbol"] for row in room.get("/instrument/active")}


def test_who_follows_every_symbol_sees_the_next_future_too() -> None:
    room = Room(follows=("instrument", "quote", "orderBookL2", "orderBook10"))
    room.clock.sleep(12.5 * 86400)
    listed = [row for action, row in room.rows("instrument") if action == "insert"]
    assert [(row["symbol"], row["state"]) for row in listed] == [("XBTZ20", "Open")]
    room.told.clear()
    order = {"symbol": "XBTZ20", "orderQty": 100, "price": 60_000}
    room.engine.place(room.mine.number, order)
    for table in ("quote", "orderBookL2", "orderBook10", "instrument"):
        assert {row["symbol"] for _, row in room.rows(table)} == {"XBTZ20"}, table


def test_a_liquidation_is_told_as_an_order_of_its_own() -> None:
    room = Room(follows=("liquidation", "execution", "order", "position"))
    room.trade(1000, 60_000)
    room.told.clear()
    room.engine.liquidate(room.mine.number, "XBTUSD")
    ((action, row), *_) = room.rows("liquidation")
    assert (action, row["side"], row["leavesQty"]) == ("insert", "Sell", 1000)
    assert room.get("/liquidation") == [row]
    (execution,) = [row for _, row in room.rows("execution")]
    assert execution["text"] == "Liquidation"
    assert execution["tradePublishIndicator"] == "DoNotPublishTrade"
    assert room.rows("order") == []
    assert room.rows("position")[-1][1]["currentQty"] == 0
    other = {"symbol": "XBTUSD", "orderQty": 1000, "price": 60_010}
    room.engine.place(room.other.number, other)
    assert [action for action, _ in room.rows("liquidation")][-1] == "delete"
    assert room.get("/liquidation") == []


def test_bins_follow_a_change_of_the_tick() -> None:
    room = Room(follows=("tradeBin1m:XBTUSD",))
    room.trade(100, 60_000)
    room.engine.change_grid("XBTUSD", 0.1, 100)
    room.trade(100, 60_000.1)
    room.clock.sleep(60)
    row = room.rows("tradeBin1m")[0][1]
    assert (row["open"], row["high"], row["close"]) == (60_000, 60_000.1, 60_000.1)


def test_an_index_prints_in_the_trade_table_and_has_a_history() -> None:
    room = Room(follows=("trade", "instrument:.BXBT"))
    room.engine.liquidity("XBTUSD").set_index(60_123.0)
    room.engine.cancel_all(room.mine.number)
    (print_,) = [row for _, row in room.rows("trade") if row["symbol"] == ".BXBT"]
    assert (print_["price"], print_["size"], print_["trdType"]) == (60_123.0, 0, "Referential")
    assert room.rows("instrument")[0][1]["lastPrice"] == 60_123.0
    assert room.get("/trade", symbol=".bxbt")[0]["price"] == 60_123.0
    assert room.get("/instrument", symbol=".BXBT")[0]["typ"].startswith("MR")
    assert room.get("/instrument/compositeIndex")[0]["lastPrice"] == 60_123.0


def test_intervals_name_the_symbol_of_each_root() -> None:
    answer = Room().get("/instrument/activeIntervals")
    pairs = dict(zip(answer["intervals"], answer["symbols"], strict=True))
    assert pairs["XBT:perpetual"] == "XBTUSD"
    assert pairs["XBT:quarterly"] == "XBTU20"


def test_open_interest_by_root_adds_up() -> None:
    room = Room()
    room.trade(1000, 60_000)
    stats = {row["rootSymbol"]: row for row in room.get("/stats") if row["currency"] == "XBt"}
    interest = room.get("/instrument", symbol="XBTUSD")[0]["openInterest"]
    assert stats["XBT"]["openInterest"] == interest == 1000
    assert stats["Total"]["turnover24h"] >= stats["XBT"]["turnover24h"] > 0


# -- the stream


def test_help_over_rest_and_on_the_stream_is_one() -> None:
    room = Room()
    (answer,) = room.session.receive("help")
    assert room.get("/schema/websocketHelp") == answer
    subjects = answer["subscriptionSubjects"]
    assert {*subjects["public"], *subjects["authenticationRequired"]} == set(TABLES)


def test_the_schema_names_keys_and_types() -> None:
    room = Room()
    assert room.get("/schema", model="Order")["Order"]["keys"] == ["orderID"]
    assert room.get("/schema")["Position"]["types"]["currentQty"] == "long"
    assert room.call("GET", "/schema", model="Nothing").status == 400


@pytest.mark.parametrize("profile", ["classic", "last"])
@pytest.mark.parametrize("table", TABLES)
def test_every_table_begins_with_an_image(profile: str, table: str) -> None:
    (image,) = Room(profile, follows=(table,)).images
    assert (image["table"], image["action"]) == (table, "partial")
    assert set(image["keys"]) <= set(image["types"])
    for row in image["data"]:
        assert set(image["keys"]) <= row.keys() <= image["types"].keys()


def test_what_nobody_follows_is_not_rendered() -> None:
    room = Room()
    room.trade(1000, 60_000)
    room.clock.sleep(9 * 3600)
    assert room.rendered == 0


def test_an_order_that_comes_back_to_life_is_an_update() -> None:
    room = Room(follows=("order",))
    order = room.order(100, 60_000)
    taker = {"symbol": "XBTUSD", "orderQty": -100, "price": 60_000}
    room.engine.place(room.other.number, taker)
    room.told.clear()
    answer = room.call("PUT", "/order", orderID=order["orderID"], leavesQty=200)
    assert answer.status == 200, answer.body
    action, row = room.rows("order")[0]
    assert (action, row["leavesQty"], row["ordStatus"]) == ("update", 200, "PartiallyFilled")
