"""What is lost is measured right, stops the bot for good, and ends with the position closed."""

import random
from pathlib import Path
from typing import Any

import pytest

from market_maker import jsonx, venue
from market_maker.commands.account import resume
from market_maker.exchanges import losses
from market_maker.exchanges.flatten import flatten
from market_maker.journal import Journal
from market_maker.market_maker import OrderManager
from market_maker.model.contracts import Contract
from market_maker.model.rows import Row
from market_maker.model.wire import Answer, Message, Request
from market_maker.quoting.loss import Book, LossLimits, Marks, check_losses
from market_maker.utils.errors import LossLimitReached
from tests.doubles import StillMarket, Wire
from tests.plain_world import PlainWorld
from tests.world import World

XBTUSD = Contract("XBTUSD", -100_000_000, is_inverse=True)
LOST = Answer(0, None, {}, error="timed out")


def trade(side: str, qty: int, price: float, comm: int = 0) -> Row:
    return {"execType": "Trade", "side": side, "lastQty": qty, "lastPx": price, "execComm": comm}


# -- the arithmetic ---------------------------------------------------------------------


@pytest.mark.parametrize(
    ("rows", "mark", "won"),
    [
        ([], 50_000.0, 0),
        ([trade("Buy", 100, 50_000.0)], 50_000.0, 0),
        ([trade("Buy", 100, 50_000.0)], 40_000.0, -50_000),
        ([trade("Sell", 100, 50_000.0)], 40_000.0, 50_000),
        ([trade("Buy", 100, 50_000.0, 30)], 50_000.0, -30),
        ([trade("Buy", 100, 50_000.0, -5)], 50_000.0, 5),
        ([trade("Buy", 100, 50_000.0), trade("Sell", 100, 40_000.0)], 90_000.0, -50_000),
        ([trade("Buy", 100, 50_000.0), {"execType": "Funding", "execComm": 20}], 50_000.0, -20),
        ([{"execType": "Funding", "execComm": -20, "lastQty": 100, "side": "Sell"}], 50_000.0, 20),
    ],
)
def test_a_result_is_realised_and_unrealised_less_fees_with_funding(
    rows: list[Row], mark: float, won: int
) -> None:
    book = Book()
    for row in rows:
        book.add(row, XBTUSD)
    assert book.result(mark, XBTUSD) == won


def test_a_burst_of_fills_is_written_down_in_a_few_rows() -> None:
    world = World()
    desk = world.bot().exchange.desk
    fills = [
        {
            "symbol": "XBTUSD",
            "orderID": "o",
            "execID": f"{n}",
            "execType": "Trade",
            "side": "Buy" if n < 900 else "Sell",
            "lastQty": 0.1,
            "lastPx": 50_000.0,
            "execCost": -200 if n < 900 else 200,
            "execComm": 1,
        }
        for n in range(1_000)
    ]
    for row in fills:
        desk.journal.book_fills([row])
    pending = jsonx.loads(desk.journal.get("losses pending"))
    assert len(pending) == 2
    one, all_of_them = Book(), Book()
    for row in pending:
        one.add(row, XBTUSD)
    for row in fills:
        all_of_them.add(row, XBTUSD)
    assert one == all_of_them == Book(80.0, -160_000, 1_000)


def test_sizes_that_are_not_whole_are_booked_as_they_are() -> None:
    book, spot = Book(), Contract("BTCUSDT", 10**6, is_inverse=False, lot_size=0.00001)
    for _ in range(3):
        book.add({"execType": "Trade", "side": "Buy", "lastQty": 0.1, "lastPx": 100.0}, spot)
    assert book.qty == 0.3
    assert book.result(110.0, spot) == 3_000_000
    book.adopt(0.1, 110.0, spot)
    assert book.result(110.0, spot) == 3_000_000


def test_what_another_hand_traded_counts_from_the_mark_price_on() -> None:
    book = Book()
    book.adopt(100, 50_000.0, XBTUSD)
    assert book.result(50_000.0, XBTUSD) == 0
    assert book.result(40_000.0, XBTUSD) == -50_000


@pytest.mark.parametrize(
    ("marks", "result", "limits", "words"),
    [
        (Marks(), -999_999, LossLimits(0.01, 0.01), ""),
        (Marks(), -1_000_000, LossLimits(0.01), "in this run, MAX_LOSS is 0.01"),
        (Marks(), -1_000, LossLimits(0.00001), "in this run, MAX_LOSS is 0.00001"),
        (Marks(run_start=-5, day="D", day_start=999_995), -5, LossLimits(0.01), "on D, MAX_LOSS"),
        (Marks(peak=2_000_000), 0, LossLimits(None, 0.02), "from the best result, MAX_DRAWDOWN"),
        (Marks(peak=2_000_000), -9_999_999, LossLimits(), ""),
    ],
)
def test_each_limit_is_reached_at_its_own_start(
    marks: Marks, result: int, limits: LossLimits, words: str
) -> None:
    reason = check_losses(result, marks, limits, "XBt")
    assert words in reason if words else reason == ""


# -- the bot ----------------------------------------------------------------------------


class Holds(OrderManager):
    """Buys once and then sits on it."""

    def place_orders(self) -> None:
        if not self.exchange.get_delta() and not self.exchange.get_orders():
            self.exchange.bitmex.buy(1_000, 60_000.5)


def losing(**changes: Any) -> tuple[World, OrderManager, StillMarket]:
    market = StillMarket()
    world = World(market)
    bot = world.bot(Holds, POST_ONLY=False, **changes)
    world.run(bot, 2)
    assert world.position()["currentQty"] == 1_000
    return world, bot, market


def test_what_the_very_first_order_costs_counts() -> None:
    world = World(StillMarket())
    bot = world.bot(Holds, POST_ONLY=False, MAX_LOSS=0.000001)  # less than the fee
    with pytest.raises(LossLimitReached):
        world.run(bot, 5)


def set_mark(bot: OrderManager, price: float) -> None:
    """As the stream tells it."""
    sink: Any = bot.exchange.desk.state
    instrument = {"symbol": "XBTUSD", "markPrice": price}
    sink.put(Message(0, {"table": "instrument", "action": "update", "data": [instrument]}))


def test_the_books_agree_with_the_balance_of_the_exchange() -> None:
    world = World(seed=5)
    bot = world.bot(MIN_SPREAD=0.00005)
    world.run(bot, 60)
    bot.run_once()
    assert world.engine.executions(world.account.number)
    balance = world.engine.margin_row(world.account.number)["marginBalance"]
    watch = bot.exchange.desk.losses
    watch.check(LossLimits())
    fills = len(world.engine.executions(world.account.number))
    assert watch.result == pytest.approx(balance - 100_000_000, abs=fills + 1)


@pytest.mark.parametrize("when", ["before", "meanwhile"])
def test_a_position_that_no_fill_of_the_run_explains_counts_from_the_mark_on(when: str) -> None:
    world = World(StillMarket())
    if when == "before":
        world.engine.place(world.account.number, {"symbol": "XBTUSD", "orderQty": 1_000})
    bot = world.bot()
    state, watch = bot.exchange.desk.state, bot.exchange.desk.losses
    assert watch.check(LossLimits(0.0001)) == ""
    if when == "meanwhile":
        whose = {"account": world.account.number, "symbol": "XBTUSD", "currency": "XBt"}
        held = {**whose, "currentQty": 1_000}
        state.put(Message(0, {"table": "position", "action": "insert", "data": [held]}))
        for _ in range(3):
            state.drain()
            assert watch.check(LossLimits(0.0001)) == ""
            world.clock.sleep(6)
    set_mark(bot, 59_000.0)
    state.drain()
    assert "in this run" in watch.check(LossLimits(0.0001))


@pytest.mark.parametrize("setting", ["MAX_LOSS", "MAX_DRAWDOWN"])
def test_a_loss_cancels_everything_and_ends_with_a_code_of_its_own(
    setting: str, tmp_path: Path
) -> None:
    world = World(StillMarket())
    journal = Journal(tmp_path / "j", world.clock)
    bot = world.bot(Holds, POST_ONLY=False, journal=journal, **{setting: 0.0001})
    rounds = 0

    def wait() -> None:
        nonlocal rounds
        rounds += 1
        if rounds == 2:
            bot.exchange.bitmex.buy(100, 59_000.0)
            set_mark(bot, 59_000.0)
        world.clock.sleep(1)

    bot.wait_for_change = wait  # type: ignore[method-assign]
    with pytest.raises(SystemExit) as ended:
        bot.run_loop()
    assert ended.value.code == 3
    assert world.open_orders() == []
    assert world.position()["currentQty"] == 1_000, "ON_STOP = 'cancel' leaves the position"
    assert setting in losses.stop_of(Journal(tmp_path / "j", world.clock))


def test_a_loop_of_the_strategys_own_is_stopped_by_a_loss_too() -> None:
    world = World(StillMarket())

    class Stubborn(OrderManager):
        def run_loop(self) -> None:
            self.exchange.bitmex.buy(1_000, 60_000.5)
            set_mark(self, 59_000.0)
            for _ in range(5):
                try:
                    self.exchange.get_orders()
                    self.exchange.bitmex.buy(100, 59_000.0)
                except Exception as error:  # noqa: BLE001 - as careless strategies do
                    assert isinstance(error, LossLimitReached)
                self.clock.sleep(1)

    bot = world.bot(Stubborn, POST_ONLY=False, MAX_LOSS=0.0001)
    bot.exchange.check()
    bot.run_loop()
    assert world.open_orders() == []
    assert world.position()["currentQty"] == 1_000


def test_a_deposit_hides_no_loss_and_a_withdrawal_is_none() -> None:
    world, bot, _ = losing(MAX_LOSS=0.0001)
    for amount in (-50_000_000, 50_000_000):
        row = {"account": world.account.number, "currency": "XBt", "walletBalance": 10**8 + amount}
        bot.exchange.desk.state.put(
            Message(0, {"table": "margin", "action": "update", "data": [row]})
        )
        bot.exchange.check()
    set_mark(bot, 59_000.0)
    bot.exchange.desk.state.drain()
    with pytest.raises(LossLimitReached):
        bot.exchange.check()


def test_a_day_begins_at_midnight_utc() -> None:
    world, bot, _ = losing()
    watch = bot.exchange.desk.losses

    def lose(mark_price: float) -> str:
        set_mark(bot, mark_price)
        bot.exchange.desk.state.drain()
        return watch.check(LossLimits(0.0002))

    assert "in this run" in lose(59_000.0)
    world.clock.sleep(12 * 3_600)  # past midnight
    watch._marks.run_start = -100_000_000  # as if this run had begun far lower
    assert lose(59_000.0) == ""
    assert "XBT on 2020-09-14, MAX_LOSS is 0.0002" in lose(58_000.0)


def test_a_clock_set_back_forgives_no_loss_of_the_day() -> None:
    marks = Marks()
    for result, day in ((0, "2026-11-28"), (-900, "2026-11-28"), (-900, "2026-11-27")):
        marks.note(result, day)
    assert (marks.day, marks.day_start) == ("2026-11-27", 0)
    marks.note(-900, "2026-11-28")
    assert marks.day_start == -900  # a day that begins


def test_a_loss_counts_across_a_restart_and_while_no_bot_runs(tmp_path: Path) -> None:
    market = StillMarket()
    world = World(market)
    journal = Journal(tmp_path / "j", world.clock)
    bot = world.bot(Holds, POST_ONLY=False, journal=journal)
    world.run(bot, 2)
    bot.shut_down()
    journal = Journal(tmp_path / "j", world.clock)
    again = world.bot(Holds, POST_ONLY=False, journal=journal)
    set_mark(again, 59_000.0)
    again.exchange.desk.state.drain()
    reason = again.exchange.desk.losses.check(LossLimits(0.0001))
    assert "on 2020-09-13, MAX_LOSS" in reason
    assert losses.stop_of(journal) == reason
    losses.resume(journal)
    assert losses.stop_of(journal) == ""
    again.shut_down()
    journal = Journal(tmp_path / "j", world.clock)
    resumed = world.bot(Holds, POST_ONLY=False, journal=journal)
    set_mark(resumed, 59_000.0)
    resumed.exchange.desk.state.drain()
    assert resumed.exchange.desk.losses.check(LossLimits(0.0001, 0.0001)) == "", "from there on"


def test_a_drawdown_is_measured_from_the_best_result_of_an_earlier_run_too(tmp_path: Path) -> None:
    world = World(StillMarket())
    for mark_price, words in ((61_000.0, ""), (60_500.0, "from the best result, MAX_DRAWDOWN")):
        journal = Journal(tmp_path / "j", world.clock)
        bot = world.bot(Holds, POST_ONLY=False, journal=journal)
        world.run(bot, 2)
        set_mark(bot, mark_price)
        bot.exchange.desk.state.drain()
        reason = bot.exchange.desk.losses.check(LossLimits(max_drawdown=0.000_01))
        assert words in reason if words else reason == ""
        bot.shut_down()


@pytest.mark.parametrize("hears", [True, False])
def test_a_fill_around_a_crash_counts_at_its_own_price_and_once(
    hears: bool, tmp_path: Path
) -> None:
    market = StillMarket()
    world = World(market)
    journal = Journal(tmp_path / "j", world.clock)
    bot = world.bot(ORDER_PAIRS=1, ORDER_START_SIZE=1_000, journal=journal)
    world.run(bot, 2)
    market.show(None, 60_000.5, size=0)
    market.take("Sell", 1_000, 59_000.0)
    world.clock.sleep(0.01)
    assert world.position()["currentQty"] == 1_000
    if hears:
        bot.exchange.desk.state.drain()  # it hears of the fill, books it, and dies
    (fill,) = [e for e in world.engine.executions(world.account.number) if e.fill is not None]
    price = world.engine.executions(world.account.number)[-1].fill.price_ticks / 2
    journal._db.close()
    journal._release()
    market.show(58_999.5, 59_000.0)
    world.clock.sleep(90)
    for start in range(3):  # each restart reckons with it, and none twice
        journal = Journal(tmp_path / "j", world.clock)
        again = world.bot(ORDER_PAIRS=1, journal=journal)
        set_mark(again, 59_000.0)
        watch = again.exchange.desk.losses
        again.exchange.desk.state.drain()
        watch.check(LossLimits())
        lost = XBTUSD.cost(1_000, price) - XBTUSD.cost(1_000, 59_000.0)
        assert -watch._book.result(59_000.0, XBTUSD) == pytest.approx(lost, abs=800), start
        assert watch._book.qty == 1_000
        booked = journal._db.execute("SELECT exec_id, last_px FROM fills").fetchall()
        assert booked == [(fill.exec_id, price)]
        journal._db.close()
        journal._release()


# -- stopped until somebody resumes -----------------------------------------------------


def test_a_stopped_bot_does_not_start_until_it_is_resumed(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    world = World(StillMarket())
    settings = world.settings(
        EXCHANGE="bitmex",
        BASE_URL="http://127.0.0.1:9/api/v1/",
        BITMEX_API_KEY="k" * 24,
        BITMEX_API_SECRET="s" * 48,
        STATE_DIR=str(tmp_path),
    )
    connector = venue.open_connector(settings, "XBTUSD", world.clock)
    journal = Journal(venue.journal_path(settings, connector), world.clock)
    losses.remember_stop(journal, "lost 0.5 XBT in this run, MAX_LOSS is 0.5")
    losses.remember_stop(journal, "a second one")
    journal.close()

    for _ in range(2):
        with pytest.raises(LossLimitReached, match="stopped earlier: lost"):
            venue.open_desk(settings, "XBTUSD", world.clock, bot_rng())
    venue.open_desk(settings, "XBTUSD", world.clock, bot_rng(), dry_run=True)
    venue.open_desk(settings, "XBTUSD", world.clock, bot_rng(), only_cancels=True).journal.close()
    assert resume(settings) == 0
    assert "lost 0.5 XBT in this run" in capsys.readouterr().out
    venue.open_desk(settings, "XBTUSD", world.clock, bot_rng()).journal.close()
    assert resume(settings) == 0
    assert "No bot for XBTUSD is stopped" in capsys.readouterr().out


def bot_rng() -> Any:
    return random.Random(1)


# -- closing the position ---------------------------------------------------------------


@pytest.mark.parametrize("side", ["buy", "sell"])
def test_flatten_closes_the_position_with_orders_that_only_reduce(side: str) -> None:
    market = StillMarket()
    world, wire = World(market), Wire()
    bot = world.bot(wrap=wire, POST_ONLY=False, ON_STOP="flatten", ORDER_PAIRS=1)
    world.run(bot, 1)
    getattr(bot.exchange.bitmex, side)(1_000, 60_000.5 if side == "buy" else 60_000.0)
    world.clock.sleep(1)
    bot.shut_down()
    assert bot.exit_code == 0
    assert world.position()["currentQty"] == 0
    assert world.open_orders() == []
    last = wire.orders()[-1]
    assert (last["execInst"], last["timeInForce"]) == ("ReduceOnly", "ImmediateOrCancel")
    assert abs(last["price"] / 60_000 - 1) < 0.011


def test_flatten_never_turns_the_position_when_an_answer_is_lost() -> None:
    world, bot, _ = losing(ON_STOP="flatten")
    desk: Any = bot.exchange.desk
    wire = Wire(desk.connector.transport)
    desk.connector.transport = wire
    lost: list[Request] = []

    def script(request: Request) -> Answer | None:
        if request.verb == "POST" and request.path.startswith("/order") and len(lost) < 2:
            if "cancelAllAfter" in request.path:
                return None
            lost.append(request)
            wire._transport.send([request])
            return LOST
        return None

    wire.script = script
    bot.shut_down()
    assert bot.exit_code == 0
    assert world.position()["currentQty"] == 0
    assert len(wire.orders()) == len(lost) == 1, "one order, not sent again"


def test_flatten_takes_what_there_is_and_reports_the_rest() -> None:
    world, bot, market = losing(ON_STOP="flatten")
    market.show(60_000.0, 60_000.5, size=300)
    world.clock.sleep(1)
    bot.exchange.desk.gateway.stop()
    assert flatten(bot.exchange.desk, 5.0) == 700
    bot.shut_down()
    assert bot.exit_code == 1


def test_where_the_position_cannot_be_closed_no_order_that_was_to_is_left() -> None:
    market, wire = StillMarket(), Wire()
    world = PlainWorld(market)  # knows no immediate-or-cancel: the rest is to be cancelled
    bot = world.bot(wrap=wire, ON_STOP="flatten", ORDER_PAIRS=1)
    world.run(bot, 1)
    world.engine.place(world.account.number, {"symbol": "XBTUSD", "orderQty": 1_000})
    world.clock.sleep(10)
    lost: list[Request] = []

    def lose_cancels(request: Request) -> Answer | None:
        is_closing = any(order.leaves_qty == 700 for order in world.open_orders())
        if request.verb == "DELETE" and is_closing and len(lost) < 2:
            lost.append(request)
            return LOST
        return None

    market.show(60_000.0, 60_000.5, size=300)
    wire.script = lose_cancels
    bot.shut_down()
    assert len(lost) == 2
    assert bot.exit_code == 1
    assert world.open_orders() == []


def test_keep_leaves_the_orders_and_no_switch_that_would_cancel_them() -> None:
    world = World(StillMarket())
    bot = world.bot(ON_STOP="keep")
    world.run(bot, 2)
    bot.shut_down()
    world.clock.sleep(200)
    assert len(world.open_orders()) == 12
    failed = world.bot(ON_STOP="keep")
    world.run(failed, 2)
    failed.exit_code = 1
    failed.shut_down()
    assert world.open_orders() == []
