"""What users of such bots complain about most, in the order of their lists, one test each."""

import ast
import logging
import re
from collections import Counter
from importlib.metadata import version
from pathlib import Path
from typing import Any

import pytest
import websocket

import market_maker
from market_maker.exchanges.base import ExchangeError
from market_maker.model.wire import Answer, Request
from market_maker.simulator.instruments import XBTUSD
from market_maker.simulator.market.synthetic import DEFAULT_FLOW, SyntheticMarket
from market_maker.utils.errors import AuthenticationError
from tests.doubles import StillMarket, Wire, refusal
from tests.process import ROOT, Exchange, until
from tests.test_drill import play, told
from tests.world import World

OVERLOADED = refusal(503, "The system is currently overloaded. Please try again later.")
LOST = Answer(0, None, {}, error="timed out")
PACKAGE = Path(market_maker.__file__).resolve().parent


def test_1_a_market_one_tick_wide_is_no_reason_to_end() -> None:
    world = World(StillMarket())
    bot = world.bot(MIN_SPREAD=0.0, INTERVAL=1e-9, MAINTAIN_SPREADS=True, ORDER_PAIRS=2)
    world.run(bot, 10)
    prices = {side: [o.price_ticks for o in world.open_orders() if o.side == side] for side in
              ("Buy", "Sell")}  # fmt: skip
    assert bot.is_running
    assert max(prices["Buy"]) < 120_001
    assert min(prices["Sell"]) > 120_000


@pytest.mark.parametrize("failure", [OVERLOADED, LOST, Answer(502, "<html>", {})])
def test_2_one_failed_request_does_not_end_the_run(failure: Answer) -> None:
    world, wire = World(seed=2), Wire()
    bot = world.bot(wrap=wire)
    world.run(bot, 3)
    failures = iter([failure] * 3)
    wire.script = lambda r: next(failures, None) if r.verb in ("POST", "PUT") else None
    world.run(bot, 30)
    assert bot.is_running
    assert len(world.open_orders()) >= 10


def test_3_an_order_whose_answer_is_lost_is_not_sent_again() -> None:
    for fault in ("drop-answer", "502:acts=1", "late-act:seconds=3"):
        name = f"{fault}{',' if ':' in fault else ':'}for=15,verb=POST"
        outcome = play(name, 1, MAX_POSITION=900, MIN_POSITION=-900, ORDER_PAIRS=3)
        assert outcome.is_passed, told(outcome)


def test_4_an_order_of_ours_that_it_has_lost_sight_of_is_found_and_cancelled() -> None:
    world = World(StillMarket())
    bot = world.bot(ORDER_PAIRS=2)
    world.run(bot, 2)
    world.faults.add("stale")
    stray = {"symbol": "XBTUSD", "side": "Buy", "orderQty": 100, "price": 59_000.0}
    world.engine.place(world.account.number, {**stray, "clOrdID": "mm_bitmex_" + "x" * 22})
    world.faults.clear()
    world.run(bot, 15)
    assert len(world.open_orders()) == 4
    assert all(order.price_ticks != 118_000 for order in world.open_orders())


@pytest.mark.parametrize("interval_s", [0.0, 1.0])
@pytest.mark.parametrize("profile", ["classic", "last"])
def test_5_it_makes_no_exchange_say_too_many_requests(profile: str, interval_s: float) -> None:
    flow = DEFAULT_FLOW._replace(move_every_s=0.1, move_ticks=40.0)
    world, wire = World(SyntheticMarket(seed=5, flow=flow), seed=5, instruments=[XBTUSD]), Wire()
    bot = world.bot(wrap=wire, profile=profile, MIN_REQUOTE_INTERVAL=interval_s, ORDER_PAIRS=9,
                    RELIST_INTERVAL=0.0, MIN_POSITION=-20_000, MAX_POSITION=20_000)  # fmt: skip
    world.run(bot, 40)
    bot.shut_down()
    assert wire.statuses[429] == 0
    assert wire.statuses[200] > 50


def test_5_it_stays_within_the_rate_limit_however_the_market_runs() -> None:
    flow = DEFAULT_FLOW._replace(move_every_s=0.1, move_ticks=40.0)
    world, wire = World(SyntheticMarket(seed=5, flow=flow), seed=5, instruments=[XBTUSD]), Wire()
    times: list[float] = []

    def count(request: Request) -> None:
        bulk = request.body.get("orders", [1]) if isinstance(request.body, dict) else [1]
        times.extend([world.clock.now()] * (1 + (len(bulk) - 1) // 10))

    wire.script = count
    bot = world.bot(wrap=wire, MIN_REQUOTE_INTERVAL=0.1, RELIST_INTERVAL=0.0)
    world.run(bot, 400)
    bot.shut_down()
    for start in range(0, 400, 20):
        begun = times[0] + start
        assert sum(begun <= t < begun + 300 for t in times) <= 600  # the bucket, and its refill
    assert len(times) <= 300 + 400 + 10


def test_6_a_bot_that_dies_leaves_nothing_and_one_that_ends_does_as_its_setting_says() -> None:
    world = World(StillMarket())
    world.run(world.bot(), 5)
    assert world.open_orders()
    world.clock.sleep(100)  # nobody runs it any more
    assert world.open_orders() == []
    for on_stop, left in (("cancel", 0), ("keep", 12)):
        world = World(StillMarket())
        bot = world.bot(ON_STOP=on_stop)
        world.run(bot, 3)
        bot.shut_down()
        world.clock.sleep(100)
        assert len(world.open_orders()) == left


@pytest.mark.parametrize("fault", ["close:count=5,every=4", "freeze:for=40", "stale:for=40"])
def test_7_a_stream_that_closes_or_freezes_pulls_the_quotes_until_it_is_back(fault: str) -> None:
    outcome = play(fault, 3)
    assert outcome.is_passed, told(outcome)
    assert outcome.bare_s > 1, "it quoted on prices that were old"


def test_8_it_does_not_depend_on_the_moods_of_websocket_client() -> None:
    tree = ast.parse((PACKAGE / "exchanges" / "stream.py").read_text(encoding="utf-8"))
    used = {
        node.attr
        for node in ast.walk(tree)
        if isinstance(node, ast.Attribute) and ast.unparse(node.value) == "websocket"
    }
    users = [
        p.name
        for p in PACKAGE.rglob("*.py")
        if re.search(r"^\s*(import|from) websocket\b", p.read_text(), re.M)
    ]
    assert users == ["stream.py"], "one place to mend"
    assert not any(name.startswith("WebSocketApp") for name in used), "its loop is our own"
    assert all(hasattr(websocket, name) for name in used)
    (least,) = re.findall(r'"websocket-client>=([\d.]+)"', (ROOT / "setup.py").read_text())
    assert [int(n) for n in version("websocket-client").split(".")] >= [
        int(n) for n in least.split(".")
    ]


def test_9_an_exchange_without_bulk_orders_that_leaves_columns_out_is_quoted_on() -> None:
    world, wire = World(seed=4), Wire()
    bot = world.bot(profile="last", wrap=wire)
    world.run(bot, 60)
    assert len(world.open_orders()) >= 10
    assert len(wire.sent("POST", "/order/bulk")) == 1, "it learns from one refusal"
    bot.shut_down()
    assert (bot.exit_code, world.open_orders()) == (0, [])


def test_10_a_clock_set_wrong_does_not_make_requests_expire(tmp_path: Path) -> None:
    exchange = Exchange(tmp_path, "--fault", "clock-skew:seconds=300")
    try:
        order = {"symbol": "XBTUSD", "orderQty": 100, "price": 50_000.0, "clOrdID": "mine"}

        def placed() -> bool:
            try:
                exchange.rows("margin")
            except (ExchangeError, AuthenticationError):
                return False
            return exchange.connector.place([order])[0].row.get("ordStatus") == "New"

        assert until(placed)
        assert exchange.connector.server_offset_s() == pytest.approx(300, abs=3)
    finally:
        exchange.close()


def test_11_a_refused_amend_is_not_repeated_without_end() -> None:
    world, wire = World(seed=6), Wire()
    bot = world.bot(wrap=wire, LOG_LEVEL=logging.ERROR)
    world.run(bot, 3)
    wire.script = lambda r: refusal(400, "Invalid ordStatus") if r.verb == "PUT" else None
    sent = len(wire.requests)
    world.run(bot, 300)
    assert bot.is_running
    assert len(wire.requests) - sent <= 300 + 300
    wire.script = lambda request: None
    world.run(bot, 60)
    assert len(world.open_orders()) >= 10


def test_12_the_position_stays_within_its_limits_and_is_closed_on_request() -> None:
    flow = DEFAULT_FLOW._replace(trend_ticks_per_s=3.0, trend_up_share=1.0)
    world = World(SyntheticMarket(seed=7, flow=flow), seed=7)
    bot = world.bot(MAX_POSITION=500, MIN_POSITION=-500, ON_STOP="flatten", MIN_SPREAD=0.00005)
    worst: Counter[str] = Counter()

    def watch(event: Any) -> None:
        qty = world.position()["currentQty"] or 0
        for side, sign in (("Buy", 1), ("Sell", -1)):
            open_qty = sum(o.leaves_qty for o in world.open_orders() if o.side == side)
            worst[side] = max(worst[side], sign * qty + open_qty)

    world.engine.listeners.append(lambda e: watch(e) if type(e).__name__ == "MarginEvent" else None)
    world.run(bot, 120)
    assert worst["Sell"] >= 400, "it came near its limit"
    assert max(worst.values()) <= 500
    bot.shut_down()
    assert (bot.exit_code, world.position()["currentQty"] or 0) == (0, 0)
