"""What old strategies meet on every venue: the errors and calls of the original, word for word."""

from typing import Any

import pytest
import requests

from market_maker.bitmex import BitMEX
from market_maker.market_maker import OrderManager
from market_maker.model.rows import Row
from market_maker.utils.errors import AuthenticationError, NotSupported
from tests.exchanges.venues import VENUES
from tests.world import World

TOUCH = {"symbol", "bidPrice", "bidSize", "askPrice", "askSize", "timestamp"}
COLUMNS = {
    "trade": {"symbol", "timestamp", "side", "size", "price"},
    "quote": TOUCH,
    "instrument": {"symbol", "state", "tickSize", "lotSize", "lastPrice", "bidPrice", "askPrice"},
    "trade/bucketed": {"symbol", "timestamp", "open", "high", "low", "close", "volume"},
}
LACKING = {("plain", "trade/bucketed"): "it has no bars, and its last 100 trades fill no day"}
SPEAKS_ALL = ("bitmex classic", "bitmex last")  # the whole of BitMEX's REST protocol

every_venue = pytest.mark.parametrize("venue", VENUES)


def running(venue: str, seconds: float = 3, **changes: Any) -> tuple[World, OrderManager]:
    chosen = VENUES[venue]
    world = chosen.world(**chosen.options)
    bot = world.bot(profile=chosen.profile, **changes)
    world.run(bot, seconds)
    return world, bot


def legacy(bot: OrderManager) -> BitMEX:
    bitmex: BitMEX = bot.exchange.bitmex
    return bitmex


def get(bot: OrderManager, path: str, **query: Any) -> list[Row]:
    rows: list[Row] = legacy(bot)._curl_bitmex(path, query, verb="GET")
    return rows


@every_venue
def test_a_read_has_the_rows_and_columns_of_bitmex(venue: str) -> None:
    world, bot = running(venue)
    world.clock.sleep(130)  # two bars of a minute have ended
    for path, columns in COLUMNS.items():
        query = {"binSize": "1m"} if "bucketed" in path else {}
        query |= {"symbol": bot.exchange.symbol, "count": 2, "reverse": "true"}
        if (venue, path) in LACKING:
            with pytest.raises(NotSupported, match=path):
                get(bot, path, **query)
            continue
        rows = get(bot, path, **query)
        assert rows, path
        assert all(row["symbol"] == bot.exchange.symbol for row in rows)
        assert columns <= {name for name, value in rows[0].items() if value is not None}, path
        if path == "trade":
            assert {row["side"] for row in rows} <= {"Buy", "Sell"}
        stamps = [row.get("timestamp") for row in rows]
        assert len(rows) <= 2 and stamps == sorted(stamps, reverse=True), path


@every_venue
def test_a_read_counts_sizes_as_the_bot_does_and_ends_its_bars_as_bitmex(venue: str) -> None:
    if (venue, "trade/bucketed") in LACKING:
        pytest.skip(LACKING[venue, "trade/bucketed"])
    world, bot = running(venue)
    world.clock.sleep(60 - world.clock.now() % 60 + 30)  # past one end, and half into the next
    asked = {"symbol": bot.exchange.symbol, "binSize": "1m", "count": 1, "reverse": "true"}
    ended = get(bot, "trade/bucketed", **asked)
    latest = get(bot, "trade/bucketed", **asked, partial="true")
    assert [row["timestamp"][17:19] for row in (*ended, *latest)] == ["00", "00"]
    assert ended[0]["timestamp"] < latest[0]["timestamp"]
    tape = world.engine.trades(world.symbol)
    minute_s = world.clock.now() // 60 * 60 - 60
    traded = sum(t.qty for t in tape if minute_s <= t.time_s < minute_s + 60) * world.unit
    assert ended[0]["volume"] == pytest.approx(traded) != 0
    assert ended[0]["low"] <= min(ended[0]["open"], ended[0]["close"])
    assert ended[0]["high"] >= max(ended[0]["open"], ended[0]["close"])


@every_venue
def test_what_a_venue_cannot_do_is_one_line(venue: str) -> None:
    _, bot = running(venue)
    if venue in SPEAKS_ALL:
        with pytest.raises(requests.exceptions.HTTPError) as caught:
            get(bot, "no/such/path")
        assert caught.value.response.json()["error"]["message"] == "Not Found"
        return
    cases = [("no/such/path", "GET"), ("trade", "POST"), ("user/requestWithdrawal", "POST")]
    for path, verb in cases:
        with pytest.raises(NotSupported) as refused:
            legacy(bot)._curl_bitmex(path, postdict={"a": 1} if verb == "POST" else None, verb=verb)
        assert path in str(refused.value) and "\n" not in str(refused.value)
    with pytest.raises(NotSupported, match="binSize") as refused:
        get(bot, "trade/bucketed", binSize="7m")
    assert "\n" not in str(refused.value)
    for path in ("trade", "trade/bucketed"):
        with pytest.raises(NotSupported, match="latest rows only: no startTime"):
            get(bot, path, startTime="2020-01-01")
        with pytest.raises(NotSupported, match=f"trades {bot.exchange.symbol} only"):
            get(bot, path, symbol="XYZUSD")


@every_venue
def test_the_amend_of_a_finished_order_reads_as_it_always_did(venue: str) -> None:
    world, bot = running(venue, ORDER_PAIRS=1)
    live = legacy(bot).open_orders()[0]
    legacy(bot).cancel(live["orderID"])
    for _ in range(30):  # some are asked slowly
        world.clock.sleep(2)
        if live["orderID"] not in {row["orderID"] for row in legacy(bot).open_orders()}:
            break
    change = {"orderID": live["orderID"], "price": live["price"], "orderQty": live["orderQty"] * 2}
    with pytest.raises(requests.exceptions.HTTPError) as caught:
        legacy(bot).amend_order(change)
    assert caught.value.response.json()["error"]["message"] == "Invalid ordStatus"
    assert caught.value.response.status_code == 400


@every_venue
def test_without_a_key_a_private_call_sends_nothing(venue: str) -> None:
    world, bot = running(venue, ORDER_PAIRS=1)
    answers: list[Any] = []
    bitmex = BitMEX(desk=bot.exchange.desk)
    bitmex.desk.has_account = False
    bitmex.desk.connector.on_answer = answers.append
    before = len(world.engine.orders(world.account.number))
    calls = [
        lambda: bitmex.buy(1, 1.0), lambda: bitmex.sell(1, 1.0), lambda: bitmex.cancel("x"),
        lambda: bitmex.amend_order({"orderID": "x", "price": 1.0}), bitmex.funds,
        bitmex.open_orders, bitmex.http_open_orders, bitmex.delta,
        lambda: bitmex.position(bitmex.symbol), lambda: bitmex.withdraw(1, 1, "a"),
        lambda: bitmex.isolate_margin(bitmex.symbol, 1),
    ]  # fmt: skip
    for call in calls:
        with pytest.raises(AuthenticationError):
            call()
    assert not answers and len(world.engine.orders(world.account.number)) == before
