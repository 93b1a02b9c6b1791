"""The position manager in the in-process world: what it opens, calls off, remembers and refuses."""

import logging
import random
from dataclasses import replace
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from market_maker.journal import Journal
from market_maker.model.wire import Answer
from market_maker.quoting.stakes import net_qty
from market_maker.strategies.decision import DecisionManager
from market_maker.strategies.grid import Grid
from market_maker.utils.errors import SettingsError, StopTrading
from tests.binance_world import BinanceWorld
from tests.doubles import StillMarket, Wire
from tests.okx_world import OkxWorld
from tests.plain_world import PlainWorld
from tests.strategies.test_grid import kill
from tests.test_crash_points import Died, Line, Points
from tests.test_invariants import failing
from tests.world import START_S, World

QUIET: dict[str, Any] = {
    "LOG_LEVEL": logging.WARNING,
    "DECISION_EVERY": 1,
    "DECISION_MAX_AGE": 10,
    "DECISION_STAKE": 10,
    "MIN_REQUOTE_INTERVAL": 0.2,
    "MAX_POSITION": 50_000,
}
# A tenth of 1 XBT in lots of 100: at 60000.0 the satoshi of a lot round up, and 60 are too many.
STAKE = {"Buy": 5_900, "Sell": 6_000}


class Script:
    """A source that says each word at its second from the start, and NONE between."""

    def __init__(self, **words: str) -> None:
        self.words = {int(second.removeprefix("s")): word for second, word in words.items()}
        self.told: list[dict[str, Any]] = []

    def __call__(self, told: dict[str, Any]) -> str:
        self.told.append(told)
        return self.words.get(int(told["time"] - START_S), "NONE")


def make(world: World, source: Any = None, journal: Journal | None = None, **changes: Any) -> Any:
    wrap = changes.pop("wrap", None)
    settings = {**QUIET, "DECISION_CALL": source, **changes}
    bot = world.bot(DecisionManager, journal=journal, wrap=wrap, **settings)
    assert isinstance(bot, DecisionManager)
    return bot


def still() -> tuple[StillMarket, World]:
    market = StillMarket(60_000.0, 60_000.5)
    return market, World(market)


def resting(world: World) -> list[tuple[str, float, int]]:
    grid = world.engine.liquidity("XBTUSD").grid
    return [(o.side, grid.price(o.price_ticks), o.leaves_qty) for o in world.open_orders()]


def trade(market: StillMarket, side: str, qty: int) -> None:
    """Somebody takes what rests at the touch, ours alone."""
    market.show(60_000.0, 60_000.5, size=0)
    market.take(side, qty, 60_000.0 if side == "Sell" else 60_000.5)
    market.show(60_000.0, 60_000.5)


def trade_by_hand(world: World, side: str, qty: int) -> None:
    fields = {"symbol": "XBTUSD", "side": side, "orderQty": qty, "ordType": "Market"}
    world.engine.place(world.account.number, fields)


def held(bot: Any) -> Decimal:
    return net_qty(bot.book.lots())


def outcomes(bot: Any) -> list[tuple[str, str]]:
    with bot.exchange.desk.journal.transaction() as db:
        return [tuple(r) for r in db.execute("SELECT word, outcome FROM decisions ORDER BY id")]


# -- decisions ----------------------------------------------------------------------------------


@pytest.mark.parametrize(("word", "side", "price"), [
    ("OPEN_LONG", "Buy", 60_000.0), ("OPEN_SHORT", "Sell", 60_000.5)
])  # fmt: skip
def test_an_opening_joins_the_touch_and_is_called_off(word: str, side: str, price: float) -> None:
    _, world = still()
    bot = make(world, Script(s0=word, s4=word.replace("OPEN", "CANCEL")))
    world.run(bot, 2)
    assert resting(world) == [(side, price, STAKE[side])]
    world.run(bot, 4)
    assert resting(world) == []
    assert outcomes(bot) == [(word, "CANCELLED"), (word.replace("OPEN", "CANCEL"), "DONE")]


def test_the_order_follows_every_tick_of_the_others_and_never_itself() -> None:
    market, world = still()
    bot = make(world, Script(s0="OPEN_LONG"))
    world.run(bot, 2)
    market.show(60_000.5, 60_001.0)
    world.run(bot, 1)
    assert [price for _, price, _ in resting(world)] == [60_000.5]
    market.show(59_990.0, 60_001.0)
    world.run(bot, 6)
    assert [price for _, price, _ in resting(world)] == [59_990.0]
    world.run(bot, 6)
    assert [price for _, price, _ in resting(world)] == [59_990.0]


def test_what_is_filled_is_a_lot_and_the_other_way_closes_the_oldest_first() -> None:
    market, world = still()
    bot = make(world, Script(s0="OPEN_LONG", s4="OPEN_LONG", s8="OPEN_SHORT"))
    world.run(bot, 2)
    market.take("Sell", 100_000, 60_000.0)
    market.show(60_100.0, 60_100.5)
    world.run(bot, 4)
    market.take("Sell", 100_000, 60_100.0)
    market.show(60_200.0, 60_200.5)
    world.run(bot, 4)
    lots = bot.book.lots()
    assert [float(lot.price) for lot in lots] == [60_000.0, 60_100.0]
    assert float(held(bot)) == world.position()["currentQty"] > 11_000
    assert [qty for side, _, qty in resting(world) if side == "Sell"] == [int(lots[0].qty)]
    market.take("Buy", 100_000, 60_201.0)
    world.run(bot, 2)
    assert [lot.id for lot in bot.book.lots()] == [lots[1].id]
    assert float(held(bot)) == world.position()["currentQty"]


def test_its_lines_are_those_that_users_of_quant_trading_know(
    caplog: pytest.LogCaptureFixture, tmp_path: Path
) -> None:
    market, world = still()
    script = Script(s0="OPEN_LONG", s4="OPEN_SHORT", s8="OPEN_LONG")
    bot = again(world, tmp_path, script, LOG_LEVEL=logging.INFO)
    world.run(bot, 2)
    market.take("Sell", 100_000, 60_000.0)
    market.show(60_600.0, 60_600.5)
    world.run(bot, 1)
    bot.print_status()
    world.run(bot, 3)
    market.take("Buy", 100_000, 60_601.0)
    market.show(60_600.0, 60_600.5)
    world.run(bot, 3)
    kill(bot)
    bot = again(world, tmp_path, Script(), LOG_LEVEL=logging.INFO)
    world.run(bot, 1)
    for line in (
        "Current Contract Position: 5900",
        "print_status - Current Internal Position Percentage Size: 10.00",
        "print_status - Current Internal Contract Position: 5900",
        "handle_new_decision - new decision OPEN_SHORT.",
        "check_new_trade - We have a completed trade. Order details: 5900 contracts, mm_bitmex_",
        "proccess_deleverage_trade - Trade results profit_pct: 1.00",
        "get_quant_decision - It seems the bot has restarted: OPEN_LONG of ",
    ):
        assert line in caplog.text, line


def test_the_exchange_is_not_asked_about_orders_whose_fills_tell_all() -> None:
    world, wire = World(seed=3), Wire()
    words = ("OPEN_LONG", "OPEN_SHORT")
    bot = make(world, lambda told: words[int(told["time"] // 30) % 2], wrap=wire)
    world.run(bot, 120)
    filled = {e.order.order_id for e in world.engine.executions(world.account.number) if e.fill}
    assert len(filled) > 10
    assert not [r for r in wire.sent("GET", "/order") if "clOrdID" in str(r.query)]
    assert float(held(bot)) == world.position()["currentQty"]


def test_two_words_are_two_decisions_though_they_bear_one_time() -> None:
    words = iter(["OPEN_LONG", "OPEN_LONG", "CANCEL_LONG"])
    _, world = still()
    bot = make(world, lambda _: {"decision": next(words, "NONE"), "decisionTimestamp": "12:00"})
    world.run(bot, 1)
    assert len(resting(world)) == 1
    world.run(bot, 3)
    assert resting(world) == []
    assert outcomes(bot) == [("OPEN_LONG", "CANCELLED"), ("CANCEL_LONG", "DONE")]


def test_what_an_opening_has_left_in_the_book_goes_before_the_next_begins() -> None:
    market, world = still()
    wire = Wire()
    bot = make(world, Script(s0="OPEN_LONG", s2="CANCEL_LONG", s3="OPEN_LONG"), wrap=wire)
    failing = Answer(503, {"error": {"message": "Overloaded"}}, {})
    wire.script = lambda request: failing if request.verb == "DELETE" else None
    world.run(bot, 6)
    assert [outcome for _, outcome in outcomes(bot)] == ["CANCELLED", "DONE", "OPENING"]
    assert len(resting(world)) == 1, "it could not be cancelled"
    wire.script = lambda _: None
    world.run(bot, 12)
    for _ in range(3):
        trade(market, "Sell", 10_000)
        world.run(bot, 3)
    assert outcomes(bot)[-1] == ("OPEN_LONG", "DONE")
    assert world.position()["currentQty"] == STAKE["Buy"], "the stake is opened once"


class WithoutAmends:
    """A connector of a venue that has no amends; its cancels are answered with the end."""

    def __init__(self, inner: Any) -> None:
        self.__dict__.update(_inner=inner, caps=replace(inner.caps, amend="none"))

    def __getattr__(self, name: str) -> Any:
        return getattr(self._inner, name)

    def __setattr__(self, name: str, value: Any) -> None:
        setattr(self._inner, name, value)


class ReplacingWorld(World):
    def connector(self, *args: Any) -> Any:
        return WithoutAmends(super().connector(*args))


def test_an_order_that_replaces_another_carries_the_same_opening_out() -> None:
    market = StillMarket(60_000.0, 60_000.5)
    world = ReplacingWorld(market)
    bot = make(world, Script(s0="OPEN_LONG"), DECISION_MAX_AGE=60)
    world.run(bot, 2)
    (first,) = world.open_orders()
    market.show(60_010.0, 60_010.5)
    world.run(bot, 1)
    (second,) = world.open_orders()
    assert second.order_id != first.order_id
    for _ in range(2):
        market.show(60_010.0, 60_010.5, size=0)
        market.take("Sell", 10_000, 60_010.0)
        market.show(60_010.0, 60_010.5)
        world.run(bot, 3)
    assert outcomes(bot) == [("OPEN_LONG", "DONE")]
    assert world.position()["currentQty"] == STAKE["Buy"] == held(bot)
    assert world.open_orders() == []


@pytest.mark.parametrize("is_gone", [False, True])
@pytest.mark.parametrize(("taken", "end"), [(950, "DONE"), (500, "OPENING")])
def test_an_opening_whose_rest_the_exchange_does_not_take_is_done(
    taken: int, end: str, is_gone: bool
) -> None:
    market = StillMarket(60_000.0, 60_001.0)
    world = BinanceWorld(market)
    script = Script(s10="OPEN_LONG")
    bot = world.bot(DecisionManager, **QUIET, DECISION_CALL=script)
    world.run(bot, 1)
    bot.book.open("k", "OPEN_LONG", world.clock.now(), "Buy", Decimal("0.001"), Decimal("0.1"))
    world.run(bot, 2)
    assert [order.leaves_qty for order in world.open_orders()] == [1_000]
    market.show(60_000.0, 60_001.0, size=0)
    market.take("Sell", taken, 60_000.0)
    market.show(60_000.0, 60_001.0)
    world.run(bot, 2)
    assert outcomes(bot) == [("OPEN_LONG", "OPENING")], "what is left rests at the touch"
    if is_gone:
        world.engine.cancel_all(world.account.number)
    else:
        market.show(60_010.0, 60_011.0)  # it is to follow, and worth less than 5 USDT or not
    world.run(bot, 2)
    assert outcomes(bot) == [("OPEN_LONG", end)]
    assert sum(order.leaves_qty for order in world.open_orders()) == (500 if taken == 500 else 0)
    assert float(held(bot)) == pytest.approx(taken * 1e-6, rel=0.01)  # the fee is taken in kind
    world.run(bot, 6)
    again = "OPENING" if end == "DONE" else "IGNORED"
    assert outcomes(bot)[1:] == [("OPEN_LONG", again)]


def test_an_order_that_was_refused_does_not_hold_its_side_where_orders_bear_no_name() -> None:
    world, wire = PlainWorld(seed=4), Wire()
    bot = make(world, Script(s4="OPEN_LONG"), wrap=wire, DECISION_MAX_AGE=60)
    world.run(bot, 3)
    refusal = Answer(400, {"error": {"code": "would_take", "message": "the order would take"}}, {})
    wire.script = lambda request: refusal if request.verb == "POST" else None
    world.run(bot, 3)
    assert wire.sent("POST"), "it was refused"
    wire.script = lambda _: None
    world.run(bot, 60)
    assert world.engine.orders(world.account.number), "and placed in the end"


@pytest.mark.parametrize("why", ["brake", "limit"])
def test_while_no_order_may_go_out_none_is_written_down_or_asked_for(why: str) -> None:
    market, world = still()
    wire = Wire()
    changes: dict[str, Any] = {"brake": {"TRADE_BRAKE": 1}, "limit": {"PRICE_BAND": 1e-9}}[why]
    words = Script(s0="OPEN_LONG", s4="OPEN_LONG", s8="OPEN_LONG")
    bot = make(world, words, wrap=wire, DECISION_MAX_AGE=60, **changes)
    world.run(bot, 2)
    trade(market, "Sell", 10_000)
    world.run(bot, 4)
    wire.requests.clear()
    world.run(bot, 10)
    assert outcomes(bot)[-1][1] in ("OPENING", "IGNORED")
    sent = world.engine.orders(world.account.number)
    with bot.exchange.desk.journal.transaction() as db:
        written = {name for (name,) in db.execute("SELECT cl_ord_id FROM lot_orders")}
    assert written == {order.cl_ord_id for order in sent}
    assert not [r for r in wire.sent("GET", "/order") if "clOrdID" in str(r.query)]
    assert not bot.exchange.desk.gateway._reserved


def test_one_opening_at_a_time_and_what_makes_no_sense_is_ignored() -> None:
    _, world = still()
    script = Script(s0="CANCEL_LONG", s1="OPEN_LONG", s2="OPEN_SHORT", s3="CANCEL_SHORT")
    bot = make(world, script)
    world.run(bot, 5)
    assert [side for side, *_ in resting(world)] == ["Buy"]
    assert [outcome for _, outcome in outcomes(bot)] == ["IGNORED", "OPENING", "IGNORED", "IGNORED"]
    bot.run_once()
    assert bot.asker.heard() == []


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"MAX_POSITION": 1_000}, "do not fit MAX_POSITION"),
        ({"MAX_ORDER_SIZE": 1_000}, "above MAX_ORDER_SIZE"),
        ({"DECISION_STAKE": 0.01}, "less than one lot of 100"),
    ],
)
def test_a_stake_that_does_not_fit_opens_nothing(
    changes: dict[str, Any], words: str, caplog: pytest.LogCaptureFixture
) -> None:
    _, world = still()
    bot = make(world, Script(s0="OPEN_LONG"), **changes)
    world.run(bot, 3)
    assert resting(world) == []
    assert outcomes(bot) == [("OPEN_LONG", "REFUSED")]
    assert words in caplog.text


def test_no_more_than_all_of_the_trading_balance_is_used() -> None:
    market, world = still()
    script = Script(s0="OPEN_LONG", s4="OPEN_LONG", s8="OPEN_LONG")
    bot = make(world, script, DECISION_STAKE=60, TRADING_BALANCE_SIZE=0.1)
    for _ in range(3):
        world.run(bot, 2)
        trade(market, "Sell", 10_000)
        world.run(bot, 2)
    assert [outcome for _, outcome in outcomes(bot)] == ["DONE", "DONE", "REFUSED"]
    assert 5_700 <= world.position()["currentQty"] <= 6_000
    assert script.told[-1]["currentPositionPct"] == 100.0


def test_the_source_is_told_where_we_stand() -> None:
    market, world = still()
    script = Script(s1="OPEN_LONG")
    bot = make(world, script)
    world.run(bot, 3)
    assert script.told[-1]["longStakeState"] == "OPENING"
    trade(market, "Sell", 10_000)
    world.run(bot, 3)
    told = script.told[-1]
    assert (told["longStakeState"], told["currentPositionPct"]) == ("CLOSED", 10.0)
    assert told["contracts"] == world.position()["currentQty"]
    assert 0 < told["lastOpenStakeHours"] < 0.01


@pytest.mark.parametrize("strategy", [DecisionManager, Grid])
def test_an_order_that_is_written_down_first_can_be_sent_to_okx(strategy: Any) -> None:
    world = OkxWorld(seed=3)
    bot = world.bot(strategy, **QUIET, DECISION_CALL=lambda _: "OPEN_LONG")
    world.run(bot, 3)
    assert world.engine.orders(world.account.number)
    bot.shut_down()
    assert bot.exit_code == 0


def test_on_spot_fees_taken_in_kind_are_in_the_lots(caplog: pytest.LogCaptureFixture) -> None:
    words = ["OPEN_LONG", "OPEN_LONG", "OPEN_SHORT", "OPEN_SHORT"]
    world = BinanceWorld(seed=4)

    def source(told: dict[str, Any]) -> str:
        return words[int((told["time"] - START_S) // 15) % 4]

    bot = world.bot(DecisionManager, **QUIET, DECISION_CALL=source)
    world.run(bot, 100)
    fees = [row for row in world.engine.executions(world.account.number) if row.fill is not None]
    assert len(fees) > 10
    assert float(net_qty(bot.book.lots())) == bot.exchange.get_delta()
    assert "adjust_internal_state_position" not in caplog.text
    bot.shut_down()
    assert bot.exit_code == 0


# -- sources that fail --------------------------------------------------------------------------


def test_a_source_that_falls_silent_opens_nothing_and_its_order_goes(
    caplog: pytest.LogCaptureFixture,
) -> None:
    _, world = still()

    def source(told: dict[str, Any]) -> str:
        if told["time"] - START_S < 2:
            return "OPEN_LONG"
        raise RuntimeError("gone")

    bot = make(world, source)
    world.run(bot, 9)
    assert len(resting(world)) == 1
    world.run(bot, 6)
    assert resting(world) == []
    assert outcomes(bot)[0] == ("OPEN_LONG", "LOST")
    assert caplog.text.count("No decision: DECISION_CALL raised 'RuntimeError: gone'") == 1
    assert caplog.text.count("The source is silent") == 1


def test_a_file_is_acted_on_once_and_once_more_when_it_is_written_anew(tmp_path: Path) -> None:
    market, world = still()
    path = tmp_path / "decision.txt"
    path.write_text("OPEN_LONG")
    bot = make(world, None, DECISION_FILE=path)
    for _ in range(3):
        world.run(bot, 2)
        trade(market, "Sell", 10_000)
    world.run(bot, 2)
    assert outcomes(bot) == [("OPEN_LONG", "DONE")]
    path.write_text("OPEN_LONG\n")
    world.run(bot, 2)
    assert outcomes(bot) == [("OPEN_LONG", "DONE"), ("OPEN_LONG", "OPENING")]


def test_an_old_decision_is_not_carried_out() -> None:
    market, world = still()
    bot = make(world, Script(s0="OPEN_LONG"))
    bot.start()
    market.show(None, 60_000.5)  # no round decides while a side is empty
    world.run(bot, 12)
    market.show(60_000.0, 60_000.5)
    world.run(bot, 3)
    assert resting(world) == []
    assert ("OPEN_LONG", "EXPIRED") in outcomes(bot) or outcomes(bot) == []


@pytest.mark.parametrize(
    ("stamp", "is_begun"),
    [
        ("2020-09-13T12:26:35Z", True),  # the world begins at 12:26:40
        ("2020-09-13T12:26:20Z", False),
        ("2020-09-13T14:26:20.000+02:00", False),
        ("2020-09-13T12:30:00Z", True),  # its clock is ahead
        ("2020-09-13T10:00:00", True),  # of no known zone
        ("17", True),
    ],
)
def test_a_decision_is_as_old_as_its_own_time_says(
    stamp: str, is_begun: bool, caplog: pytest.LogCaptureFixture
) -> None:
    _, world = still()
    bot = make(world, lambda _: {"decision": "OPEN_LONG", "decisionTimestamp": stamp})
    world.run(bot, 30)
    assert [outcome for _, outcome in outcomes(bot)] == ["OPENING" if is_begun else "EXPIRED"]
    assert len(resting(world)) == is_begun
    assert caplog.text.count("is older than DECISION_MAX_AGE") == (not is_begun)
    assert "silent" not in caplog.text, "it answers all the time"


def test_without_a_source_the_run_ends_with_one_line() -> None:
    _, world = still()
    bot = make(world, None)
    with pytest.raises(SettingsError, match="needs DECISION_URL, DECISION_FILE or DECISION_CALL"):
        bot.start()
    bot.on_stop()


# -- restarts -----------------------------------------------------------------------------------


def again(world: World, folder: Path, source: Any, **changes: Any) -> Any:
    return make(world, source, Journal(folder / "journal", world.clock), **changes)


@pytest.mark.parametrize("is_killed", [True, False])
def test_an_opening_goes_on_once_after_a_restart(is_killed: bool, tmp_path: Path) -> None:
    market, world = still()
    bot = again(world, tmp_path, Script(s0="OPEN_LONG"))
    world.run(bot, 2)
    trade(market, "Sell", 2_000)
    for life in range(2):
        world.run(bot, 1)
        part = int(held(bot))
        kill(bot) if is_killed else bot.shut_down()
        bot = again(world, tmp_path, Script())
        world.run(bot, 1)
        if life == 0:
            assert part > 0
            assert sum(qty for *_, qty in resting(world)) + held(bot) == STAKE["Buy"]
    assert resting(world) == []
    assert outcomes(bot) == [("OPEN_LONG", "EXPIRED")]


@pytest.mark.parametrize("age_s", [11, -3_600])  # the clock may have been set back meanwhile
def test_an_opening_that_is_too_old_or_of_unknown_age_is_dropped(
    age_s: float, tmp_path: Path
) -> None:
    _, world = still()
    bot = again(world, tmp_path, Script(s0="OPEN_LONG"))
    world.run(bot, 2)
    kill(bot)
    bot = again(world, tmp_path, Script())
    with bot.exchange.desk.journal.transaction() as db:
        db.execute("UPDATE decisions SET decided_at = decided_at - ?", (age_s,))
    world.run(bot, 2)
    assert resting(world) == []
    assert outcomes(bot) == [("OPEN_LONG", "EXPIRED")]


def test_what_was_filled_while_no_bot_ran_is_a_lot(tmp_path: Path) -> None:
    market, world = still()
    bot = again(world, tmp_path, Script(s0="OPEN_LONG"))
    world.run(bot, 2)
    kill(bot)
    trade(market, "Sell", 10_000)
    world.clock.sleep(1)
    bot = again(world, tmp_path, Script())
    world.run(bot, 2)
    assert float(held(bot)) == world.position()["currentQty"] > 0
    assert outcomes(bot) == [("OPEN_LONG", "DONE")]
    assert [float(lot.price) for lot in bot.book.lots()] == [60_000.0]


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        (
            {"QUANT_ALGO": "BitcoinFuturesSwinger"},
            "QUANT_ALGO BitcoinFuturesMarketMaker, and it is",
        ),
        ({"TRADING_BALANCE_SIZE": 0.5}, "TRADING_BALANCE_SIZE 1.0, and it is 0.5 now"),
        ({"BASE_URL": "http://127.0.0.1:1/", "EXCHANGE": "bitmex"}, "the venue simulator, and"),
    ],
)
def test_lots_of_other_settings_end_the_run_with_one_line(
    changes: dict[str, Any], words: str, tmp_path: Path
) -> None:
    market, world = still()
    bot = again(world, tmp_path, Script(s0="OPEN_LONG"))
    world.run(bot, 2)
    trade(market, "Sell", 10_000)
    world.run(bot, 2)
    bot.shut_down()
    bot = again(world, tmp_path, Script())
    bot.settings.update(changes)
    with pytest.raises(SettingsError) as caught:
        bot.start()
    (line,) = caught.value.faults
    assert words in line and "marketmaker clear-state XBTUSD" in line


@pytest.mark.parametrize(
    ("changes", "is_over", "is_told"),
    [
        ({"EXCHANGE": "bitmex"}, True, True),
        ({"EXCHANGE": "bitmex"}, False, False),  # both are traded at once
        ({"EXCHANGE": "bitmex", "ORDERID_PREFIX": "mm_other_"}, True, False),
        ({"EXCHANGE": "bitmex", "SYMBOL": "ETHUSD"}, True, False),
        ({}, True, False),  # another account of the venue
    ],
)
def test_lots_in_the_journal_of_another_venue_end_the_first_run_with_one_line(
    changes: dict[str, Any], is_over: bool, is_told: bool, tmp_path: Path
) -> None:
    market, world = still()
    first = make(world, Script(s0="OPEN_LONG"), Journal(tmp_path / "a.sqlite3", world.clock))
    world.run(first, 2)
    trade(market, "Sell", 10_000)
    world.run(first, 2)
    if is_over:
        first.shut_down()
        first.exchange.desk.close()
    (tmp_path / "b.sqlite3").write_text("no journal at all")
    bot = make(world, Script(), Journal(tmp_path / "c.sqlite3", world.clock))
    bot.settings.update(changes)
    if not is_told:
        bot.start()
        assert not bot.book.is_new
        return
    with pytest.raises(SettingsError) as caught:
        bot.start()
    assert bot.book.is_new  # it is told again, until something was done about it
    (line,) = caught.value.faults
    assert line.startswith("lots are stored of the venue simulator, and it is bitmex now: ")
    assert "marketmaker clear-state XBTUSD" in line


@pytest.mark.parametrize(
    ("url", "is_told"),
    [
        ("http://decisions.test/v1", True),
        ("http://127.0.0.1:1/", False),
        ("https://decisions.test/v1", False),
    ],
)
def test_a_key_that_goes_over_plain_http_is_told_once(
    url: str, is_told: bool, caplog: pytest.LogCaptureFixture
) -> None:
    _, world = still()
    changes = {"DECISION_URL": url, "QUANT_API_KEY": "secret"}
    bot = world.bot(DecisionManager, **changes)
    bot.source()
    told = [record.getMessage() for record in caplog.records if "plain http" in record.getMessage()]
    assert len(told) == is_told and "secret" not in caplog.text


# -- the two positions --------------------------------------------------------------------------


def test_a_trade_by_hand_is_an_error_and_is_adjusted(caplog: pytest.LogCaptureFixture) -> None:
    _, world = still()
    bot = make(world, Script(s0="OPEN_LONG"), DECISION_MAX_AGE=60)
    world.run(bot, 2)
    trade_by_hand(world, "Buy", 300)
    world.run(bot, 15)
    assert float(held(bot)) == world.position()["currentQty"] == 300
    assert caplog.text.count("Contract Position is 300 and Internal Contract Position 0.") == 1
    assert "Pulling all quotes: the two positions differ." in caplog.text
    assert "Side: Buy Contract size: 300 Average price: 60000" in caplog.text
    assert [side for side, *_ in resting(world)] == ["Buy"], "it goes on"


def test_one_round_of_difference_is_none_and_two_are_one(caplog: pytest.LogCaptureFixture) -> None:
    _, world = still()
    bot = make(world, Script(s0="OPEN_LONG"), DECISION_MAX_AGE=60)
    world.run(bot, 2)
    trade_by_hand(world, "Buy", 300)
    world.clock.sleep(0.01)
    bot.run_once()
    assert len(resting(world)) == 1 and not caplog.text.count("Internal Contract Position")
    bot.run_once()
    assert resting(world) == [] and caplog.text.count("Internal Contract Position 0.") == 1
    assert float(held(bot)) == 300


def test_nothing_is_adjusted_to_a_position_that_is_not_known_for_certain() -> None:
    _, world = still()
    bot = make(world, Script(s0="OPEN_LONG"), DECISION_MAX_AGE=60)
    world.run(bot, 2)
    bot.exchange.desk.state.position_range = lambda: (300, 500)
    for _ in range(3):
        bot.run_once()
    assert resting(world) == [] and bot.book.lots() == []


def test_without_adjusting_it_ends() -> None:
    _, world = still()
    bot = make(world, Script(s0="OPEN_LONG"), DECISION_MAX_AGE=60, ADJUST_POSITION_DATA=False)
    world.run(bot, 2)
    trade_by_hand(world, "Buy", 300)
    with pytest.raises(StopTrading, match="ADJUST_POSITION_DATA = False forbids"):
        world.run(bot, 15)
    assert resting(world) == []


def test_a_position_from_before_is_taken_over() -> None:
    _, world = still()
    trade_by_hand(world, "Sell", 700)
    bot = make(world, Script())
    world.run(bot, 3)
    (lot,) = bot.book.lots()
    assert (lot.side, lot.qty) == ("Sell", 700)
    assert Decimal("0.011") < lot.share < Decimal("0.012")


def test_what_closes_the_position_at_the_end_closes_the_lots(tmp_path: Path) -> None:
    market, world = still()
    bot = again(world, tmp_path, Script(s0="OPEN_LONG"), ON_STOP="flatten")
    world.run(bot, 2)
    trade(market, "Sell", 10_000)
    world.run(bot, 2)
    assert held(bot) > 0
    bot.shut_down()
    assert (bot.exit_code, world.position()["currentQty"]) == (0, 0)
    bot = again(world, tmp_path, Script())
    assert make_book(bot).lots() == []


def make_book(bot: Any) -> Any:
    bot.on_start()
    return bot.book


# -- death at every point -----------------------------------------------------------------------


class Life:
    """A run through an opening, a part of it filled, a move, and a closing decision."""

    def __init__(self, dies_at: int | None, folder: Path) -> None:
        self.market, self.world = still()
        self.points, self.folder = Points(dies_at), folder
        lines: list[Line] = []

        def wrap(transport: Any) -> Line:
            lines.append(Line(transport, self.points, is_slow=False))
            return lines[0]

        journal = Journal(folder / "journal", self.world.clock)
        script = Script(s0="OPEN_LONG", s6="OPEN_SHORT")
        self.bot = make(self.world, script, journal, wrap=wrap)
        for name in ("record", "settle", "book_fills", "put", "transaction"):
            self.guard(journal, name)

    def guard(self, owner: Any, name: str) -> None:
        self.points.guard(owner, name)

    def live(self) -> bool:
        try:
            self.bot.start()
            self.world.run(self.bot, 2)
            trade(self.market, "Sell", 2_000)
            self.world.run(self.bot, 1)
            trade(self.market, "Sell", 100_000)
            self.world.run(self.bot, 4)
            trade(self.market, "Buy", 2_000)
            self.world.run(self.bot, 2)
        except Died:
            kill(self.bot)
            return False
        return True


def check(world: World, bot: Any) -> None:
    """Lots, orders and the exchange tell the same."""
    assert float(held(bot)) == (world.position()["currentQty"] or 0)
    with bot.exchange.desk.journal.transaction() as db:
        select = "SELECT side, cum FROM lot_orders WHERE cl_ord_id NOT LIKE 'adjustment%'"
        filled = {"Buy": Decimal(0), "Sell": Decimal(0)}
        for side, cum in db.execute(select):
            filled[side] += Decimal(cum)
        adjusted = db.execute(
            "SELECT count(*) FROM lot_orders WHERE cl_ord_id LIKE 'adjustment%'"
        ).fetchone()
    assert filled["Buy"] - filled["Sell"] == held(bot)
    assert adjusted == (0,), "nothing had to be adjusted"
    ids = [order.cl_ord_id for order in world.engine.orders(world.account.number)]
    assert len(ids) == len(set(ids))


def points_of_a_life(folder: Path) -> int:
    folder.mkdir()
    whole = Life(None, folder)
    assert whole.live()
    points = whole.points.passed
    check(whole.world, whole.bot)
    assert points > 100
    return points


def die_and_restart(dies_at: int, folder: Path) -> None:
    folder.mkdir()
    life = Life(dies_at, folder)
    assert not life.live()
    life.world.clock.sleep(0.5)
    bot = again(life.world, folder, Script())
    life.world.run(bot, 2)
    trade(life.market, "Sell", 10_000)
    life.world.run(bot, 2)
    check(life.world, bot)
    executions = life.world.engine.executions(life.world.account.number)
    longs = sum(e.fill.qty for e in executions if e.fill and e.order.side == "Buy")
    assert longs <= STAKE["Buy"], "the stake is opened once"
    bot.shut_down()
    assert bot.exit_code == 0
    assert life.world.open_orders() == []


def test_death_neither_loses_nor_doubles_a_lot(tmp_path: Path) -> None:
    points = points_of_a_life(tmp_path / "whole")
    for dies_at in range(points % 23, points, 23):
        die_and_restart(dies_at, tmp_path / str(dies_at))


@pytest.mark.slow
def test_nor_does_death_at_any_point(tmp_path: Path) -> None:
    for dies_at in range(points_of_a_life(tmp_path / "whole")):
        die_and_restart(dies_at, tmp_path / str(dies_at))


@pytest.mark.parametrize("seed", [21])
def test_on_a_wire_that_fails_lots_and_position_agree_in_the_end(seed: int) -> None:
    world, wire = World(seed=seed), Wire()
    words = ("OPEN_LONG", "OPEN_SHORT", "CANCEL_LONG", "CANCEL_SHORT", "NONE")
    rng = random.Random(seed)
    bot = make(world, lambda _: rng.choice(words), wrap=wire, DECISION_STAKE=2)
    failing(random.Random(seed), 0.2)(wire)
    world.run(bot, 60)
    wire.script = lambda request: None
    world.run(bot, 20)
    assert float(held(bot)) == (world.position()["currentQty"] or 0)
    assert world.engine.executions(world.account.number)
    bot.shut_down()
    assert bot.exit_code == 0
    assert world.open_orders() == []
