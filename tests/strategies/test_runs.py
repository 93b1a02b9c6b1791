"""Every strategy on a made-up market and on recorded minutes, killed in the middle."""

import logging
from pathlib import Path
from typing import Any

import pytest

from market_maker.journal import Journal
from market_maker.market_maker import OrderManager
from market_maker.settings import DEFAULTS, Settings
from market_maker.simulator.market.recorded import RecordedMarket
from market_maker.strategy_loader import available, load_strategy
from tests.doubles import decide
from tests.world import World

DATA = Path(__file__).parents[3] / "shared" / "data"
FILES = [DATA / f"bitmex_XBTUSD_{kind}_2020-03-10.csv.gz" for kind in ("book10", "trades")]
MINUTES_WITH_TRADES_S = 11 * 60 + 50
SYNTHETIC_S = 180

SETTINGS: dict[str, Any] = {
    "LOG_LEVEL": logging.ERROR,
    "ORDER_PAIRS": 3,
    "MAX_POSITION": 1_500,
    "MIN_POSITION": -1_500,
    "GRID_SPACE": 0.02,
    "DECISION_CALL": decide,
    "DECISION_EVERY": 1,
    "DECISION_STAKE": 1,
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


def kill(bot: OrderManager) -> None:
    """What the operating system does when a process is gone."""
    desk = bot.exchange.desk
    desk.connector.stream.close()
    desk.gateway.switch.abandon()
    desk.journal._db.close()
    desk.journal._release()


def live(world: World, name: str, seconds: float, folder: Path) -> OrderManager:
    """Run for *seconds*, killed twice on the way; the last bot, shut down."""
    watch(world)
    for life in range(3):
        journal = Journal(folder / "journal", world.clock)
        changes = {**SETTINGS, "GRID_SEED": "cont" if life else "lastTicker"}
        bot = world.bot(strategy(name), journal=journal, **changes)
        world.run(bot, seconds / 3)
        if life < 2:
            kill(bot)
            world.clock.sleep(2)
    bot.shut_down()
    assert bot.exit_code == 0
    assert world.open_orders() == []
    return bot


def check_books(world: World, name: str) -> None:
    fills = [e for e in world.engine.executions(world.account.number) if e.fill is not None]
    signed = sum(e.fill.qty if e.order.side == "Buy" else -e.fill.qty for e in fills if e.fill)
    position = world.position()["currentQty"] or 0
    assert signed == position
    assert len({e.exec_id for e in fills}) == len(fills)
    assert world.engine.imbalance_sat() == 0
    gain = world.engine.margin_row(world.account.number)["marginBalance"] - 100_000_000
    print(f"{name}: {len(fills)} fills, position {position}, {gain:+d} satoshi")
    assert fills


@pytest.mark.parametrize("name", available())
def test_on_a_made_up_market(name: str, tmp_path: Path) -> None:
    world = World(seed=5)
    live(world, name, SYNTHETIC_S, tmp_path)
    check_books(world, name)


@pytest.mark.skipif(not FILES[0].exists(), reason="the recorded data in ../shared/data is not here")
@pytest.mark.parametrize("name", sorted(available().keys() - {"layered"}))  # it has its own test
def test_on_the_recorded_minutes_of_2020_03_10(name: str, tmp_path: Path) -> None:
    market = RecordedMarket(FILES)
    world = World(market=market, instruments=[market.instrument])
    live(world, name, MINUTES_WITH_TRADES_S, tmp_path)
    check_books(world, name)


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
