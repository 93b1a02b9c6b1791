"""The strategy "inventory" on the built-in exchange: each promise, and each way it may end."""

import os
import re
import threading
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import requests

from market_maker.clock import Clock
from market_maker.journal import Journal
from market_maker.model.rows import Row
from market_maker.model.wire import Answer
from market_maker.quoting.converge import Plan
from market_maker.quoting.inventory import State
from market_maker.sender import Sender
from market_maker.strategies.inventory import KILLED, Inventory
from market_maker.utils.errors import StopTrading
from tests.doubles import StillMarket, Wire, refusal
from tests.world import World

SIZE = 100


class Stage:
    """A still market with the touch at 60000 and 60000.5, and one bot."""

    def __init__(self, *, position: int = 0, **changes: Any) -> None:
        self.market = StillMarket(60_000.0, 60_000.5)
        self.world = World(market=self.market)
        if position:
            self.fill(position)
        self.wire = Wire()
        changes = {"ORDER_PAIRS": 3, "MIN_REQUOTE_INTERVAL": 0.1, **changes}
        self.bot: Any = self.world.bot(Inventory, wrap=self.wire, **changes)

    def fill(self, qty: int) -> None:
        """Somebody with the account's key trades at the market's price."""
        side = "Buy" if qty > 0 else "Sell"
        fields = {"symbol": "XBTUSD", "side": side, "orderQty": abs(qty), "ordType": "Market"}
        self.world.engine.place(self.world.account.number, fields)

    def show(self, bid: float, size: int = 50_000) -> None:
        self.market.show(bid, bid + 0.5, size)

    def run(self, seconds: float) -> None:
        self.world.run(self.bot, seconds)

    def prices(self, side: str) -> list[float]:
        grid = self.world.engine.liquidity("XBTUSD").grid
        found = (o.price_ticks for o in self.world.open_orders() if o.side == side)
        return sorted((grid.price(t) for t in found), reverse=side == "Buy")

    def ids(self) -> set[str]:
        return {o.order_id for o in self.world.open_orders()}

    def trade(self, side: str, count: int, qty: int = 100) -> None:
        """*count* takers of *side*, at the touch."""
        for _ in range(count):
            self.market.take(side, qty, 90_000.0 if side == "Buy" else 10_000.0)
            self.world.clock.sleep(0.05)


def test_both_sides_join_the_touch_of_the_others_when_flat() -> None:
    stage = Stage(INVENTORY_GRACE=60)
    stage.run(1)
    assert stage.bot.state is State.DUAL
    assert stage.prices("Buy") == [60_000.0, 59_999.5, 59_999.0]
    assert stage.prices("Sell") == [60_000.5, 60_001.0, 60_001.5]


def test_the_inventory_begins_with_the_position_that_is_there() -> None:
    stage = Stage(position=400, INVENTORY_GRACE=60)
    stage.run(1)
    assert stage.bot.state is State.BID
    assert stage.prices("Buy") == [59_998.5, 59_998.0, 59_997.5]  # 3 ticks back
    assert stage.prices("Sell") == [60_000.5, 60_001.0, 60_001.5]


@pytest.mark.parametrize(("position", "side"), [(700, "Buy"), (-700, "Sell")])
def test_the_last_tier_shows_nothing_on_the_side_that_would_add(position: int, side: str) -> None:
    stage = Stage(position=position, INVENTORY_SCRATCH=None)
    stage.run(1)
    assert stage.prices(side) == []
    assert len(stage.prices("Sell" if side == "Buy" else "Buy")) == 3


def test_no_sweep_takes_the_inventory_over_its_largest() -> None:
    stage = Stage(position=800, INVENTORY_SKEW=[0], INVENTORY_SCRATCH=None, INVENTORY_GRACE=60)
    stage.run(1)
    assert len(stage.prices("Buy")) == 2


def test_a_quote_deep_in_its_queue_leaves_once_and_the_others_keep_their_places() -> None:
    stage = Stage()
    stage.run(0.9)
    before = stage.ids()
    assert stage.prices("Buy")[0] == 60_000.0
    stage.run(2)
    assert stage.prices("Buy") == [59_999.5, 59_999.0, 59_998.5]  # one level, not two
    assert stage.prices("Sell") == [60_001.0, 60_001.5, 60_002.0]
    assert stage.ids() == before  # two were amended, the rest was left alone
    assert len(stage.wire.orders("PUT")) == 2
    stage.run(5)
    assert stage.prices("Buy")[0] == 59_999.5  # while the touch stands it does not come back


def test_the_side_whose_touch_stands_remembers_it_when_the_other_moves() -> None:
    stage = Stage()
    stage.run(3)
    assert stage.bot._burnt == {"Buy": 120_000, "Sell": 120_001}
    stage.market._due.append(lambda: stage.market._book.resize("Sell", 120_001, 0) and None)
    stage.market._due.append(lambda: stage.market._book.resize("Sell", 120_004, 9) and None)
    stage.run(0.5)
    assert stage.bot._burnt == {"Buy": 120_000, "Sell": None}
    assert stage.prices("Buy")[0] == 59_999.5
    assert stage.prices("Sell")[0] == 60_002.0


def test_the_best_bid_steps_aside_while_the_takers_all_sell() -> None:
    stage = Stage(INVENTORY_GRACE=60)
    stage.run(1)
    stage.trade("Sell", 10)
    stage.run(0.3)
    assert stage.bot._seen.buyers == 0.0
    assert stage.prices("Buy") == [59_999.5, 59_999.0, 59_998.5]
    assert stage.prices("Sell")[0] == 60_000.5
    stage.trade("Buy", 5)
    stage.run(0.3)
    assert stage.prices("Buy")[0] == 60_000.0


@pytest.mark.parametrize("flattens", [False, True])
def test_a_lost_part_of_the_balance_kills_for_good(flattens: bool) -> None:
    stage = Stage(
        position=500, INVENTORY_MAX_LOSS=1e-5, INVENTORY_FLATTEN=flattens, INVENTORY_SKEW=[None]
    )
    stage.run(1)
    assert len(stage.ids()) > 0
    stage.show(59_000.0)
    stage.world.engine.liquidity("XBTUSD").set_index(59_000.0)
    stage.run(8)
    assert stage.bot.state is State.KILL
    assert stage.ids() == set()
    assert stage.world.position()["currentQty"] == (0 if flattens else 500)
    sent = len(stage.wire.orders())
    stage.show(61_000.0)  # it is won back
    stage.world.engine.liquidity("XBTUSD").set_index(61_000.0)
    stage.run(8)
    assert stage.bot.state is State.KILL
    assert len(stage.wire.orders()) == sent


def test_a_kill_that_cannot_be_verified_tries_again() -> None:
    stage = Stage(position=500, INVENTORY_MAX_LOSS=1e-5, INVENTORY_SCRATCH=None)
    stage.run(1)
    stage.wire.script = lambda r: refusal(503, "busy") if r.path.startswith("/order") else None
    stage.show(59_000.0)
    stage.world.engine.liquidity("XBTUSD").set_index(59_000.0)
    stage.run(10)
    assert stage.bot.state is State.KILL
    assert not stage.bot._is_cleared
    stage.wire.script = lambda _: None
    stage.run(20)
    assert stage.bot._is_cleared
    assert stage.ids() == set()


def test_a_kill_goes_on_until_the_position_is_closed_and_takes_what_comes_late_too() -> None:
    stage = Stage(
        position=500, INVENTORY_MAX_LOSS=1e-5, INVENTORY_FLATTEN=True, INVENTORY_SKEW=[None]
    )
    stage.run(1)
    stage.wire.script = lambda r: refusal(400, "no") if r.verb == "POST" and r.body else None
    stage.show(59_000.0)
    stage.world.engine.liquidity("XBTUSD").set_index(59_000.0)
    stage.run(10)
    assert stage.bot.state is State.KILL
    assert stage.world.position()["currentQty"] == 500
    stage.wire.script = lambda _: None
    stage.run(20)
    assert stage.world.position()["currentQty"] == 0
    order = {"symbol": "XBTUSD", "side": "Buy", "orderQty": SIZE, "price": 58_000.0}
    late = {**order, "clOrdID": "mm_bitmex_late"}  # of a request that was long under way
    stage.world.engine.place(stage.world.account.number, late)
    assert len(stage.ids()) == 1
    stage.run(8)
    assert stage.ids() == set()


class Gone(BaseException):
    """The process has become another one."""


@pytest.mark.parametrize("is_killed", [True, False])
def test_a_kill_stays_one_where_a_saved_file_starts_the_bot_anew(
    is_killed: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def become() -> None:
        stage.bot.exchange.desk.close()
        raise Gone

    def start() -> None:
        journal = Journal(tmp_path / "journal", stage.world.clock)
        stage.bot = stage.world.bot(
            *(Inventory, "classic", None, journal),
            INVENTORY_MAX_LOSS=1e-5 if is_killed else None,
            INVENTORY_SCRATCH=None,
        )
        stage.run(1)

    monkeypatch.setattr("market_maker.runner.re_exec", become)
    monkeypatch.setenv(KILLED, "")  # so that it is put back afterwards
    stage = Stage(position=500)
    start()
    stage.show(59_000.0)
    stage.world.engine.liquidity("XBTUSD").set_index(59_000.0)
    stage.run(8)
    for _ in range(2):
        with pytest.raises(Gone):
            stage.bot.restart()
        start()
        assert (stage.bot.state is State.KILL) == is_killed
        assert (stage.ids() == set()) == is_killed
    with pytest.raises(Gone):
        stage.bot.restart()
    os.environ.pop(KILLED, None)  # the process that follows ends before its start
    start()  # by hand
    assert stage.bot.state is State.BID
    assert len(stage.ids()) > 0


def test_much_inventory_far_from_its_price_is_closed_once_and_not_again_for_a_while() -> None:
    stage = Stage(position=600, INVENTORY_SCRATCH_PAUSE=30, INVENTORY_SKEW=[0, None])
    stage.run(1)
    quotes: list[int] = []  # of ours, while the closing order goes out

    def look(request: Any) -> None:
        if request.verb == "POST" and (request.body or {}).get("execInst") == "ReduceOnly":
            quotes.append(len(stage.ids()))

    stage.wire.script = look
    stage.show(59_000.0)
    stage.trade("Sell", 1)
    stage.run(5)
    closing = [o for o in stage.wire.orders() if o.get("execInst") == "ReduceOnly"]
    assert [(o["side"], o["orderQty"]) for o in closing] == [("Sell", 600)]
    assert stage.world.position()["currentQty"] == 0
    assert quotes == [0], "it must not meet them"
    assert len(stage.prices("Buy")) == 3  # and it quotes on
    stage.bot.settings.update(ORDER_START_SIZE=1, INVENTORY_SKEW=[None])
    stage.fill(600)
    stage.show(58_000.0)
    stage.trade("Sell", 1)
    stage.run(15)
    assert stage.world.position()["currentQty"] > 500
    stage.run(20)
    assert stage.world.position()["currentQty"] < 100


def scratches(stage: Stage) -> bool:
    return bool(stage.bot._must_scratch(stage.bot._look()))


def test_nothing_is_closed_while_position_and_fills_differ_nor_in_a_dry_run() -> None:
    stage = Stage(position=600, INVENTORY_GRACE=60)
    stage.bot.start()
    stage.show(59_000.0)
    stage.trade("Sell", 1)
    stage.bot.get_ticker()
    assert scratches(stage)
    state = stage.bot.exchange.desk.state
    agreed, state.position_range = state.position_range, lambda: (500.0, 600.0)
    assert not scratches(stage)
    state.position_range, stage.bot.exchange.dry_run = agreed, True
    assert not scratches(stage)


def test_what_was_paid_comes_from_our_fills_where_the_exchange_does_not_tell() -> None:
    stage = Stage(position=600, INVENTORY_GRACE=60)
    stage.bot.start()
    stage.bot.exchange.get_position = lambda symbol=None: {"currentQty": 600}
    assert not scratches(stage)
    stage.bot.on_fill({"side": "Buy", "lastQty": 600, "lastPx": 66_000.0})
    assert scratches(stage)


def test_an_order_without_an_answer_holds_its_level_and_counts_for_the_largest() -> None:
    stage = Stage(INVENTORY_GRACE=60, INVENTORY_MAX=300)
    lost: list[Any] = []

    def script(request: Any) -> Any:
        if request.verb == "POST" and request.path.startswith("/order") and not lost:
            lost.append(request)
            return Answer(504, None, {}, "timed out")
        return None

    stage.wire.script = script
    stage.run(20)
    assert lost
    assert stage.prices("Buy") == [60_000.0, 59_999.5, 59_999.0]
    assert sum(o.leaves_qty for o in stage.world.open_orders() if o.side == "Buy") == 300


def test_amends_go_out_before_cancels_and_those_before_creates() -> None:
    stage = Stage(INVENTORY_GRACE=60)
    stage.run(1)
    working = stage.bot.exchange.get_orders()
    by_price = {row["price"]: row for row in working}
    amend = {
        "orderID": by_price[59_999.0]["orderID"],
        "side": "Buy",
        "price": 59_998.0,
        "orderQty": SIZE,
    }
    create = {"side": "Buy", "price": 59_990.0, "orderQty": SIZE}
    plan = Plan([by_price[60_001.5]], [amend], [create])
    stage.wire.requests.clear()
    stage.bot._transmit(plan, working)
    verbs = [r.verb for r in stage.wire.requests if r.path.startswith("/order")]
    assert verbs == ["PUT", "DELETE", "POST"]
    assert 59_998.0 in stage.prices("Buy")


@pytest.mark.parametrize("side", ["Buy", "Sell"])
def test_a_cancel_goes_first_where_an_amend_would_meet_its_order(side: str) -> None:
    stage = Stage(INVENTORY_GRACE=60)
    stage.run(1)
    working = stage.bot.exchange.get_orders()
    bids, asks = ([row for row in working if row["side"] == s] for s in ("Buy", "Sell"))
    ours, facing = (bids, asks) if side == "Buy" else (asks, bids)
    amend = {"orderID": ours[0]["orderID"], "side": side, "price": facing[0]["price"]}
    stage.wire.requests.clear()
    stage.bot._transmit(Plan(facing, [{**amend, "orderQty": SIZE}], []), working)
    verbs = [r.verb for r in stage.wire.requests if r.path.startswith("/order")]
    assert verbs[0] == "DELETE"


def test_nothing_is_decided_while_orders_are_on_their_way() -> None:
    stage = Stage(INVENTORY_GRACE=60)
    stage.run(1)
    go_on = threading.Event()
    stage.bot.sender = Sender(Clock(), stage.bot.exchange.desk.state.wake)
    stage.bot.sender.send(lambda: go_on.wait(10) and None)
    stage.show(59_990.0)
    stage.world.clock.sleep(1)
    sent = len(stage.wire.orders())
    stage.bot.run_once()
    assert stage.bot._job is None
    assert len(stage.wire.orders()) == sent
    go_on.set()
    assert stage.bot.sender.finish(10)


def test_with_few_requests_to_spare_only_the_touch_and_fills_begin_a_round() -> None:
    stage = Stage(INVENTORY_GRACE=60)
    stage.run(1)
    desk = stage.bot.exchange.desk

    def begins(*, told: bool = False) -> bool:
        desk.state.drain()
        is_relevant = desk.state.take_relevance()
        stage.bot._call_hooks()
        return bool(desk.state.take_relevance() or (told and is_relevant))

    begins()
    stage.trade("Sell", 10)  # the best bid is to step aside
    assert begins()
    while desk.gateway.budget.wait_s(20) <= 0:
        desk.gateway.budget.take(1)
    stage.trade("Buy", 10)
    assert not begins()
    stage.show(59_990.0)
    stage.world.clock.sleep(0.1)
    assert begins(told=True)


def test_room_is_left_for_fills_that_the_position_does_not_show_yet() -> None:
    stage = Stage(INVENTORY_GRACE=60)
    stage.run(1)
    stage.bot.settings.update(INVENTORY_TRADES=5)
    seen = stage.bot._look()
    assert stage.bot._takers.maxlen == 5
    assert len(stage.bot._quotes("Buy", seen)) == len(stage.bot._quotes("Sell", seen)) == 3
    stage.bot.exchange.desk.state.position_range = lambda: (-950.0, 900.0)
    assert len(stage.bot._quotes("Buy", seen)) == 1
    assert stage.bot._quotes("Sell", seen) == []


def test_the_first_balance_counts_and_what_was_won_comes_from_the_fills() -> None:
    stage = Stage(INVENTORY_GRACE=60)
    stage.run(1)
    exchange = stage.bot.exchange
    first = stage.bot._balances()[1]
    exchange.get_margin = lambda: {"marginBalance": first - 7}
    exchange.desk.losses = SimpleNamespace(result=None)
    assert stage.bot._balances()[:2] == (first - 7, first), "as the exchange tells"
    exchange.desk.losses.result = -5
    assert stage.bot._balances()[:2] == (first - 5, first), "a withdrawal is no loss"


def test_the_status_explains_each_quote(caplog: pytest.LogCaptureFixture) -> None:
    stage = Stage(position=400, INVENTORY_GRACE=60)
    stage.run(1)
    stage.trade("Buy", 10)
    stage.run(1)
    caplog.clear()
    caplog.set_level("INFO", logger="root")
    stage.bot.print_status()
    told = [r.getMessage() for r in caplog.records]
    assert "Inventory: BID at 400 of 1000, buyers 1.00" in told
    assert "Inventory buys: skew 3" in told
    assert any(
        re.fullmatch(r"  60000.5 x 100: 48600 before it \(1.00\), \d+.\d s", t) for t in told
    )
    assert all(len(t) <= 80 for t in told)


# -- the thread that sends --------------------------------------------------------------


class Heard(Inventory):
    """Lets the order call go on as soon as it has heard a trade meanwhile."""

    called, go_on = threading.Event(), threading.Event()
    heard = 0

    def on_trade(self, trade: Row) -> None:
        super().on_trade(trade)
        if self.called.is_set() and not self.go_on.is_set():
            self.heard += 1
            self.go_on.set()


def test_no_order_call_delays_a_market_event() -> None:
    world, wire = World(seed=5), Wire()
    bot: Any = world.bot(Heard, wrap=wire)
    bot.start()
    bot.sender = Sender(Clock(), bot.exchange.desk.state.wake)
    bot.called.clear(), bot.go_on.clear()

    def stall(request: Any) -> Any:
        if not request.path.startswith("/order") or request.verb == "GET":
            return None
        bot.called.set()
        assert bot.go_on.wait(10)
        return refusal(400, "not now")

    wire.script = stall
    for _ in range(200):
        bot.run_once()
        if bot.sender.is_busy:
            bot.wait_for_change()
        else:
            world.clock.sleep(0.2)
        if bot.heard:
            break
    assert bot.heard == 1
    assert bot.sender.finish(10)


def test_at_the_end_nothing_follows_what_is_on_its_way() -> None:
    stage = Stage(INVENTORY_GRACE=60)
    stage.bot.start()
    sending, go_on = threading.Event(), threading.Event()
    stage.bot.sender = Sender(Clock(), stage.bot.exchange.desk.state.wake)

    def job() -> None:
        sending.set()
        assert go_on.wait(10)
        order = {"side": "Buy", "price": 59_000.0, "orderQty": SIZE}
        answers.extend(stage.bot.exchange.create_bulk_orders([order]))

    answers: list[Row] = []
    stage.bot.sender.send(job)
    assert sending.wait(10)
    threading.Timer(0.05, go_on.set).start()
    stage.bot.sender._clock = Clock()
    stage.bot.shut_down()
    assert stage.bot.exit_code == 0
    assert [row["text"] for row in answers] == ["the bot is stopping"]
    assert stage.ids() == set()


@pytest.mark.parametrize(
    ("error", "ends"),
    [(requests.exceptions.HTTPError("503"), False), (StopTrading("the journal is gone"), True)],
)
def test_what_sending_raises_is_met_by_the_next_round(error: Exception, ends: bool) -> None:
    stage = Stage(INVENTORY_GRACE=60)
    stage.run(1)

    def job() -> None:
        raise error

    stage.bot.sender.send(job)
    if ends:
        with pytest.raises(StopTrading, match="journal"):
            stage.bot.run_once()
    else:
        stage.bot.run_once()
        stage.run(1)
        assert len(stage.ids()) == 6


def test_one_job_at_a_time_and_a_late_one_is_told_of() -> None:
    wake, go_on = threading.Event(), threading.Event()
    sender = Sender(Clock(), wake)
    sender.send(lambda: go_on.wait(10) and None)
    assert sender.is_busy
    assert not sender.finish(0.01)
    with pytest.raises(RuntimeError, match="has not ended"):
        sender.send(lambda: None)
    go_on.set()
    assert sender.finish(10)
    assert wake.wait(10)
