"""Every strategy on a made-up market and on recorded minutes, killed in the middle."""

import logging
import math
import random
from pathlib import Path
from typing import Any

import pytest

from market_maker.journal import Journal
from market_maker.market_maker import OrderManager
from market_maker.quoting.stakes import net_qty
from market_maker.settings import DEFAULTS, Settings
from market_maker.simulator.events import OrderEvent
from market_maker.simulator.instruments import XBTUSD
from market_maker.simulator.market.recorded import RecordedMarket
from market_maker.strategy_loader import available, load_strategy
from tests.doubles import decide
from tests.world import World

DATA = Path(__file__).parents[3] / "shared" / "data"
FILES = [DATA / f"bitmex_XBTUSD_{kind}_2020-03-10.csv.gz" for kind in ("book10", "trades")]
POLLS = DATA / "bitmex_XBTUSD_XBTM19_bidask_1s_2019-05-28T18_2019-05-29T18.csv.gz"
NO_DATA = "the recorded data in ../shared/data is not here"
MINUTES_WITH_TRADES_S = 11 * 60 + 50
DAY_S = 23.5 * 3600  # what the polls of one day hold, without their last minutes
SYNTHETIC_S = 180
SOME_MINUTES_S = 450  # of the recording, with its burst; the slow runs play all of it
IDLE_S = 60  # a full grid whose market has gone away has no order to send

SETTINGS: dict[str, Any] = {
    "LOG_LEVEL": logging.ERROR,
    "ORDER_PAIRS": 3,
    "MAX_POSITION": 1_500,
    "MIN_POSITION": -1_500,
    "GRID_SPACE": 0.02,
    "DECISION_CALL": decide,
    "DECISION_EVERY": 1,
    "DECISION_STAKE": 2,
}


def strategy(name: str) -> type[OrderManager]:
    return load_strategy(Settings({**DEFAULTS, "STRATEGY": name}), OrderManager)


def watch(world: World) -> None:
    """Whenever our account changes: no own quotes cross, no order is doubled, limits hold."""

    def check(event: Any) -> None:
        if getattr(event, "account", None) != world.account.number:
            return
        orders = world.open_orders()
        buys = [o for o in orders if o.side == "Buy"]
        sells = [o for o in orders if o.side == "Sell"]
        if buys and sells:
            assert max(o.price_ticks for o in buys) < min(o.price_ticks for o in sells)
        qty = world.position()["currentQty"] or 0
        assert qty + sum(o.leaves_qty for o in buys) <= SETTINGS["MAX_POSITION"]
        assert qty - sum(o.leaves_qty for o in sells) >= SETTINGS["MIN_POSITION"]
        ids = [o.cl_ord_id for o in orders]
        assert len(ids) == len(set(ids))

    world.engine.listeners.append(check)


class Killed(BaseException):
    """The process is gone, in the middle of whatever it did."""


class Mortal:
    """A wire on which the bot dies at its first order request after a moment, or at any request
    where for a minute it has no order to send: the request has reached the exchange or has not,
    and the bot has seen no answer."""

    def __init__(self, world: World, dies_s: float, has_acted: bool) -> None:
        self._world, self._dies_s, self._has_acted = world, dies_s, has_acted

    def __call__(self, transport: Any) -> "Mortal":
        self._transport = transport
        return self

    def send(self, requests: Any) -> Any:
        acts = [request for request in requests if request.verb != "GET"]
        late_s = self._world.clock.now() - self._dies_s
        is_about_orders = any(request.path in ("/order", "/order/bulk") for request in acts)
        if late_s < 0 or not (is_about_orders or (acts and late_s > IDLE_S)):
            return self._transport.send(requests)
        self._dies_s = float("inf")
        if self._has_acted:
            self._transport.send(requests)
        raise Killed

    def close(self) -> None:
        self._transport.close()


def bury(world: World, bot: OrderManager) -> None:
    """What the operating system does when a process is gone."""
    desk = bot.exchange.desk
    stream, listeners = desk.connector.stream, world.engine.listeners
    stream.close()
    listeners[:] = [
        heard for heard in listeners
        if getattr(getattr(heard, "__self__", None), "stream", None) is not stream
    ]  # fmt: skip
    desk.gateway.switch.abandon()
    desk.journal._db.close()
    desk.journal._release()


def live(world: World, name: str, seconds: float, folder: Path, seed: int = 1) -> str:
    """Run for *seconds*, killed twice on the way while orders were on the wire; then all is judged.

    The exchange lives on. What the run came to, in one line.
    """
    rng, start_s, fills = random.Random(seed), world.clock.now(), executions(world)
    watch(world)
    for life in (1, 2, 3):
        dies_s = start_s + seconds * (life + rng.uniform(-0.3, 0.3)) / 3 if life < 3 else math.inf
        journal = Journal(folder / "journal", world.clock)
        changes = {**SETTINGS, "GRID_SEED": "cont" if life > 1 else "lastTicker"}
        wire = Mortal(world, dies_s, has_acted=rng.random() < 0.5)
        bot = world.bot(strategy(name), journal=journal, wrap=wire, **changes)
        try:
            world.run(bot, start_s + seconds - world.clock.now())
            assert life == 3, "it should have been killed by now"
        except Killed:
            assert life < 3
            bury(world, bot)
            world.clock.sleep(rng.uniform(0.1, 5))
    check_levels(world, bot, name)
    check_books(world, bot, fills)
    bot.shut_down()
    assert bot.exit_code == 0
    assert world.open_orders() == []
    position = world.position()["currentQty"] or 0
    gain = world.engine.margin_row(world.account.number)["marginBalance"] - 100_000_000
    sent = bot.exchange.desk.gateway.quotes_sent
    return f"{name}: {len(fills)} fills, position {position}, {gain:+d} sat, {sent} quotes at last"


def executions(world: World) -> list[Any]:
    """The account's fills, as the exchange tells of them from now on."""
    fills: list[Any] = []

    def hear(event: Any) -> None:
        is_fill = isinstance(event, OrderEvent) and event.fill is not None
        is_fill = is_fill and event.exec_type != "Funding"
        if is_fill and event.order.account == world.account.number:
            fills.append(event)

    world.engine.listeners.append(hear)
    return fills


def check_levels(world: World, bot: OrderManager, name: str) -> None:
    """Every level the strategy wants rests once: told again, it has nothing to send."""
    clock, sent = world.clock, bot.exchange.desk.gateway
    asked: list[int] = []
    for kind in ("create_bulk_orders", "amend_bulk_orders", "cancel_bulk_orders"):
        act = getattr(bot.exchange, kind)

        def counted(rows: Any, act: Any = act) -> Any:
            asked.append(len(rows))
            return act(rows)

        setattr(bot.exchange, kind, counted)
    now_s = clock.now()
    for _ in range(5):  # as the exchange is at this moment; the clock does not move
        asked.clear()
        bot.run_once()
        if not asked:
            break
    assert asked == [] and clock.now() == now_s and not sent.pulled
    orders = world.open_orders()
    rests = {side: sum(o.side == side for o in orders) for side in ("Buy", "Sell")}
    if name == "decision":
        assert sum(rests.values()) <= 1
        return
    low, high = bot.exchange.desk.state.position_range()
    room = {"Buy": SETTINGS["MAX_POSITION"] - high, "Sell": low - SETTINGS["MIN_POSITION"]}
    assert all(rests[side] or room[side] < 300 for side in rests), (rests, room)
    places = [(o.side, o.price_ticks) for o in orders if name != "grid"]
    assert len(places) == len(set(places)), "two orders at one price"


def check_books(world: World, bot: OrderManager, fills: list[Any]) -> None:
    """Position and lots are the exchange's; each fill is booked once, also those between lives."""
    signed = sum(e.fill.qty if e.order.side == "Buy" else -e.fill.qty for e in fills)
    position = world.position()["currentQty"] or 0
    assert signed == position == bot.exchange.get_delta()
    assert bot.exchange.desk.state.position_range() == (position, position)
    booked = bot.exchange.desk.journal._db.execute(
        "SELECT exec_id, side, last_qty FROM fills WHERE side != ''"
    ).fetchall()
    known = {e.exec_id: (e.order.side, e.fill.qty) for e in fills}
    assert len(known) == len(fills)
    assert {exec_id: (side, qty) for exec_id, side, qty in booked} == known
    book = getattr(bot, "book", None)
    if book is not None and hasattr(book, "lots"):
        assert net_qty(book.lots()) == position
    assert world.engine.imbalance_sat() == 0
    assert fills


@pytest.mark.parametrize("name", available())
def test_on_a_made_up_market(name: str, tmp_path: Path) -> None:
    print(live(World(seed=5, instruments=[XBTUSD]), name, SYNTHETIC_S, tmp_path))


def recorded(files: Any) -> World:
    market = RecordedMarket(files)
    return World(market=market, instruments=[market.instrument])


@pytest.mark.skipif(not FILES[0].exists(), reason=NO_DATA)
@pytest.mark.parametrize("name", sorted(available().keys() - {"layered"}))  # it has its own test
def test_on_recorded_minutes_of_2020_03_10(name: str, tmp_path: Path) -> None:
    print(live(recorded(FILES), name, SOME_MINUTES_S, tmp_path))


@pytest.mark.slow
@pytest.mark.skipif(not FILES[0].exists(), reason=NO_DATA)
@pytest.mark.parametrize("seed", [11, 12, 13])
@pytest.mark.parametrize("name", available())
def test_several_passes_of_the_recorded_minutes(name: str, seed: int, tmp_path: Path) -> None:
    print(live(recorded(FILES), name, MINUTES_WITH_TRADES_S, tmp_path, seed))


@pytest.mark.slow
@pytest.mark.skipif(not POLLS.exists(), reason=NO_DATA)
@pytest.mark.parametrize("name", available())
def test_a_day_of_best_bid_and_ask_filled_by_touch(name: str, tmp_path: Path) -> None:
    print("touch-fill", live(recorded(POLLS), name, DAY_S, tmp_path))


@pytest.mark.slow
@pytest.mark.parametrize("name", available())
def test_two_hours_of_a_made_up_market(name: str, tmp_path: Path) -> None:
    print(live(World(seed=7), name, 7200, tmp_path, seed=7))


@pytest.mark.parametrize("name", available())
def test_a_dry_run_shows_orders_and_sends_none(
    name: str, capsys: pytest.CaptureFixture[str]
) -> None:
    world = World(seed=5)
    bot = world.bot(strategy(name), DRY_RUN=True, **SETTINGS)
    world.run(bot, 5)
    shown = capsys.readouterr().out
    assert "Buy " in shown and "Sell " in shown and "nothing was sent" in shown
    assert world.engine.orders(world.account.number) == []


@pytest.mark.parametrize("name", available())
def test_its_status_can_be_shown(name: str) -> None:
    world = World(seed=5)
    bot = world.bot(strategy(name), **SETTINGS)
    world.run(bot, 3)
    bot.print_status()
    bot.shut_down()
