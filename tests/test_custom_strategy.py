"""The sample strategy that `marketmaker setup` gives away."""

import os
import signal
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from market_maker.commands.setup import write_project
from market_maker.custom_strategy import CustomOrderManager
from tests.process import environment, running
from tests.world import World


@pytest.mark.parametrize(
    ("position", "sides"),
    [(0, ["Buy", "Sell"]), (500, ["Sell"]), (499, ["Buy", "Sell"]), (-500, ["Buy"])],
)
def test_a_large_position_is_quoted_only_towards_home(
    position: int, sides: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    manager = CustomOrderManager.__new__(CustomOrderManager)
    manager.settings = SimpleNamespace(MY_ORDER_SIZE=100)
    seen: list[dict[str, Any]] = []
    monkeypatch.setattr(
        manager, "exchange", SimpleNamespace(get_delta=lambda: position), raising=False
    )
    monkeypatch.setattr(manager, "get_price_offset", lambda index: 50_000.0 + index)
    monkeypatch.setattr(manager, "converge_orders", lambda buys, sells: seen.extend(buys + sells))
    manager.place_orders()
    assert [order["side"] for order in seen] == sides
    prices = {"Buy": 49_999.0, "Sell": 50_001.0}
    assert seen == [{"price": prices[side], "orderQty": 100, "side": side} for side in sides]


def test_it_trades_and_counts_its_fills() -> None:
    world = World()
    bot = world.bot(CustomOrderManager)
    assert isinstance(bot, CustomOrderManager)
    world.run(bot, 60)
    assert bot.bought + bot.sold > 0
    assert bot.bought - bot.sold == world.position()["currentQty"]
    assert len(world.open_orders()) <= 2


@pytest.mark.skipif(os.name == "nt", reason="signals work otherwise on Windows")
def test_the_copy_that_setup_writes_runs_as_a_script(tmp_path: Path) -> None:
    write_project(tmp_path, copy_package=False)
    with running(["my_strategy.py", "XBTUSD"], tmp_path, environment()) as bot:
        bot.wait_for("Creating 2 orders:")
        bot.signal(signal.SIGINT)
        assert bot.end() == 0, bot.text
    assert "the exchange lists none of ours" in bot.text
