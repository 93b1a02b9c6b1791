"""The default bot on an exchange that speaks OKX's language: what must hold in any market."""

import logging
import random
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from market_maker.model.rows import Row
from market_maker.model.wire import Answer, Request
from market_maker.simulator.market.synthetic import Flow, SyntheticMarket
from market_maker.utils.errors import StopTrading
from tests.doubles import StillMarket, Wire
from tests.okx_world import ENTRIES, OkxWorld
from tests.test_invariants import FLOWS, LOST, SECONDS, SETTINGS, Bookkeeper, watch

HTML = "<html><body>Bad Gateway</body></html>"


def check_books(world: OkxWorld, bot: Bookkeeper) -> None:
    """Position and balance by the bot's own executions are those of the exchange."""
    assert world.engine.imbalance_sat() == 0
    assert world.open_orders() == []
    signed = [f["lastQty"] if f["side"] == "Buy" else -f["lastQty"] for f in bot.fills]
    assert sum(signed) == (world.position()["currentQty"] or 0)
    theirs = [
        e.fill.comm_sat for e in world.engine.executions(world.account.number)
        if e.fill and e.exec_type == "Trade"
    ]  # fmt: skip
    assert [f["execComm"] for f in bot.fills] == theirs
    told = bot.exchange.get_margin()
    assert told["walletBalance"] == world.engine.margin_row(world.account.number)["walletBalance"]


@settings(max_examples=15, deadline=None)
@given(
    flow=FLOWS,
    changes=SETTINGS.filter(lambda s: s["ORDER_START_SIZE"] != 130),
    entry=st.sampled_from(ENTRIES),
    seed=st.integers(0, 10_000),
    likelihood=st.sampled_from([0.0, 0.0, 0.05, 0.3]),
)
def test_in_any_market_and_on_a_wire_that_fails(
    flow: Flow, changes: Row, entry: str, seed: int, likelihood: float
) -> None:
    world, wire = OkxWorld(SyntheticMarket(seed=seed, flow=flow), seed=seed), Wire()
    bot = world.bot(
        Bookkeeper,
        profile=entry,
        wrap=wire,
        LOG_LEVEL=logging.ERROR,
        MIN_ORDER_SIZE=100,
        MAX_ORDER_SIZE=300,
        **changes,
    )
    assert isinstance(bot, Bookkeeper)
    watch(world, bot)
    bot.start()
    wire.script = failing(wire, random.Random(seed), likelihood)
    world.run(bot, SECONDS)
    wire.script = lambda request: None
    bot.shut_down()
    assert bot.exit_code == 0
    check_books(world, bot)


def failing(wire: Wire, rng: random.Random, likelihood: float) -> Any:
    """Loses and refuses so often; what has no answer may have arrived or not."""

    def script(request: Request) -> Answer | None:
        if request.path.endswith("/cancel-all-after") or rng.random() >= likelihood:
            return None
        kind = rng.randrange(6)
        if kind == 0:
            wire._transport.send([request])
            return LOST
        if kind == 1:
            return LOST
        if kind == 2:
            return Answer(502, HTML, {})
        if kind == 3:
            return Answer(429, {"code": "50011", "msg": "Too Many Requests", "data": []}, {})
        if kind == 4:
            return Answer(200, {"code": "50004", "msg": "Endpoint timeout", "data": []}, {})
        return Answer(0, None, {}, sent=False, error="connection refused")

    return script


@pytest.mark.parametrize("entry", ENTRIES)
def test_it_quotes_is_filled_and_cancels_all(entry: str) -> None:
    world = OkxWorld()
    bot = world.bot(Bookkeeper, profile=entry)
    assert isinstance(bot, Bookkeeper)
    world.run(bot, 60)
    assert len(world.open_orders()) == 12
    assert len(bot.fills) > 5
    position = bot.exchange.get_position()
    assert position["currentQty"] == (world.position()["currentQty"] or 0)
    bot.shut_down()
    check_books(world, bot)


def test_the_first_quote_of_the_inverse_swap_is_100_contracts_of_the_bot() -> None:
    world, wire = OkxWorld(StillMarket()), Wire()
    bot = world.bot(profile="rest", wrap=wire, ORDER_PAIRS=1)
    world.run(bot, 2)
    (batch,) = wire.sent("POST", "/api/v5/trade/batch-orders")
    assert [order["sz"] for order in batch.body] == ["1", "1"]
    assert {row.order_qty for row in world.open_orders()} == {100}


def test_orders_go_over_the_stream_and_by_rest_after_it_refuses_the_instrument() -> None:
    world, wire = OkxWorld(StillMarket()), Wire()
    bot = world.bot(wrap=wire)
    world.run(bot, 2)
    assert wire.sent("POST", "/api/v5/trade/batch") == []
    assert len(world.open_orders()) == 12
    world.twin.dialect.rest.desk._by_code.clear()  # as OKX's demo in September 2026
    bot.exchange.cancel_all_orders()
    world.run(bot, 5)
    assert wire.sent("POST", "/api/v5/trade/batch-orders")
    assert len(world.open_orders()) == 12


@pytest.mark.parametrize("entry", ENTRIES)
def test_a_price_beyond_the_limits_of_the_venue_is_not_sent(entry: str) -> None:
    world = OkxWorld(StillMarket())
    bot: Any = world.bot(profile=entry, ORDER_PAIRS=1, POST_ONLY=False, PRICE_BAND=None)
    world.run(bot, 2)
    desk = bot.exchange.desk
    high, low = (desk.state.instrument()[name] for name in ("limitUpPrice", "limitDownPrice"))
    mark = desk.state.instrument()["markPrice"]
    assert mark * 0.95 <= low < mark < high <= mark * 1.05
    beyond = [
        {"side": "Buy", "orderQty": 100, "price": high + 0.5},
        {"side": "Sell", "orderQty": 100, "price": low - 0.5},
    ]
    before = len(world.engine.orders(world.account.number))
    for result in desk.gateway.place([dict(order) for order in beyond]):
        assert "is beyond what the exchange lets" in result.text
    ask = next(row for row in bot.exchange.get_orders() if row["side"] == "Sell")
    (result,) = desk.gateway.amend([{"orderID": ask["orderID"], "price": low - 0.5}])
    assert "lets sell, the lowest" in result.text
    named = [{**order, "clOrdID": f"mm_bitmex_{n}"} for n, order in enumerate(beyond)]
    for refused in desk.connector.place(named):  # as the venue itself would
        assert "not within the price limit" in refused.text
    assert len(world.engine.orders(world.account.number)) == before


def test_a_promised_amend_that_comes_to_nothing_is_noticed_and_made_again() -> None:
    market = StillMarket()
    world = OkxWorld(market)
    bot = world.bot(RELIST_INTERVAL=0.0)
    world.run(bot, 2)
    desk, tell = world.twin.dialect.rest.desk, world.twin.dialect.rest.desk.tell
    refused: list[str] = []

    def refuse_once(account: Any, order: Any, wire: Any) -> None:
        if refused:
            type(desk)._amend_now(desk, account, order, wire)
        else:
            refused.append(order.order_id)
            tell(order, "-1")

    desk._amend_now = refuse_once  # type: ignore[method-assign]
    market.show(60_100.0, 60_100.5)
    world.run(bot, 10)
    assert len(refused) == 1
    assert sorted({o.side for o in world.open_orders()}) == ["Buy", "Sell"]
    assert list(bot.exchange.desk.state.orders.unknown()) == []
    touch = bot.exchange.get_ticker()
    best = max(o["price"] for o in bot.exchange.get_orders() if o["side"] == "Buy")
    assert best == pytest.approx(touch["buy"], rel=1e-3)


@pytest.mark.parametrize("entry", ENTRIES)
@pytest.mark.parametrize("path", ["/trade/amend", "/trade/cancel"])
def test_promises_that_are_broken_without_a_word_are_found_out(path: str, entry: str) -> None:
    market = StillMarket()
    world = OkxWorld(market)
    bot = world.bot(Bookkeeper, profile=entry, RELIST_INTERVAL=0.0, ORDER_PAIRS=3)
    assert isinstance(bot, Bookkeeper)
    watch(world, bot)
    world.run(bot, 2)
    fault = world.faults.add(f"drop-request:promised=1,p=0.5,path={path}")
    for step in range(20):
        market.show(60_010.0 + 10 * step, 60_010.5 + 10 * step)
        world.run(bot, 2)
        if path == "/trade/cancel":
            bot.exchange.cancel_all_orders()
            assert world.open_orders() == []
    assert fault.hits > 5
    if path == "/trade/amend":
        world.faults.clear()
        world.run(bot, 10)
        known = {(o["orderID"], o["price"]) for o in bot.exchange.get_orders()}
        rows = world.twin.dialect.rest._pending(world.account, {"instType": "SWAP"})
        assert known == {(row["ordId"], float(row["px"])) for row in rows}
        assert len(known) == 6
    bot.shut_down()
    assert bot.exit_code == 0
    check_books(world, bot)


@pytest.mark.parametrize("name", ["public", "private"])
def test_a_lost_socket_pulls_nothing_of_the_others_and_all_is_read_anew(name: str) -> None:
    world = OkxWorld(StillMarket())
    bot = world.bot()
    world.run(bot, 2)
    world.twin.streams[name].reconnect()
    world.run(bot, 5)
    assert len(world.open_orders()) == 12
    assert bot.exchange.desk.state.ready
    bot.shut_down()
    assert world.open_orders() == []


def test_a_killed_bot_leaves_nothing_once_the_switch_fires_but_what_others_placed() -> None:
    world = OkxWorld(StillMarket())
    bot = world.bot()
    by_hand = {"symbol": "XBTUSD", "side": "Buy", "orderQty": 100, "price": 50_000.0}
    world.engine.place(world.account.number, by_hand)
    world.run(bot, 2)
    assert len(world.open_orders()) == 13
    bot.exchange.desk.gateway.switch.abandon()
    world.clock.sleep(61)
    assert len(world.open_orders()) == 1


def test_a_position_is_closed_at_the_end_where_that_is_asked() -> None:
    world = OkxWorld()
    bot = world.bot(ON_STOP="flatten")
    world.run(bot, 1)
    while not world.position()["currentQty"]:
        world.run(bot, 1)
    bot.shut_down()
    assert not world.position()["currentQty"]


@pytest.mark.parametrize(
    ("config", "words"),
    [
        ({"acctLv": "1", "posMode": "net_mode"}, "needs an OKX account in futures mode"),
        ({"acctLv": "2", "posMode": "long_short_mode"}, "long/short position mode"),
    ],
)
def test_an_account_that_does_not_fit_ends_the_run_with_one_line(config: Row, words: str) -> None:
    world, wire = OkxWorld(StillMarket()), Wire()
    body = {"code": "0", "msg": "", "data": [config]}
    wire.script = lambda r: Answer(200, body, {}) if r.path.endswith("/config") else None
    with pytest.raises(StopTrading, match=words):
        world.bot(wrap=wire)
