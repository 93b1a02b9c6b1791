"""One setting chooses the strategy; what cannot be loaded is one clear line."""

import sys
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from market_maker import cli, market_maker, runner
from market_maker.custom_strategy import CustomOrderManager
from market_maker.market_maker import OrderManager
from market_maker.settings import DEFAULTS, Settings
from market_maker.strategy_loader import USER_MODULE, available, load_strategy
from market_maker.utils.errors import SettingsError
from tests.doubles import StillMarket
from tests.world import World

HEAD = "from market_maker.market_maker import OrderManager\n"
ONE = HEAD + "class Mine(OrderManager):\n    pass\n"


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", list(sys.path))
    yield tmp_path
    sys.modules.pop(USER_MODULE, None)


def load(name: str) -> type[OrderManager]:
    return load_strategy(SimpleNamespace(STRATEGY=name), OrderManager)


def fault(name: str) -> str:
    with pytest.raises(SettingsError) as caught:
        load(name)
    (line,) = caught.value.faults
    assert "\n" not in line
    return line


@pytest.mark.parametrize("name", available())
def test_every_strategy_listed_loads_and_says_in_a_line_what_it_does(name: str) -> None:
    assert issubclass(load(name), OrderManager)
    assert 20 <= len(available()[name]) <= 100


def test_the_default_quotes_as_order_manager_does() -> None:
    assert load(DEFAULTS["STRATEGY"]).place_orders is OrderManager.place_orders


@pytest.mark.parametrize("name", ["mine.py", "mine.py:Mine", "./mine.py:Mine"])
def test_a_file_of_the_users_is_loaded_with_or_without_the_class(here: Path, name: str) -> None:
    (here / "mine.py").write_text(ONE)
    assert load(name).__name__ == "Mine"


def test_it_may_import_what_lies_beside_it_and_is_watched(here: Path) -> None:
    (here / "beside_the_strategy.py").write_text("STEP = 7\n")
    source = ONE + "    from beside_the_strategy import STEP\n"
    (here / "mine.py").write_text(source)
    assert load("mine.py:Mine").STEP == 7  # type: ignore[attr-defined]
    assert str(here / "mine.py") in runner.files_in_use(SimpleNamespace(WATCHED_FILES=None))


@pytest.mark.parametrize(
    ("name", "source", "words"),
    [
        ("gird", "", "no such strategy: choose one of "),
        ("absent.py:Mine", "", "there is no file absent.py"),
        ("mine.py:Other", ONE, "mine.py has no class Other; it has Mine"),
        ("mine.py", "x = 1\n", "mine.py: it has no subclass of OrderManager"),
        ("mine.py:x", "x = 1\n", "x of mine.py is no subclass of OrderManager"),
        ("mine.py", ONE + "class Two(Mine):\n    pass\n", "several: write mine.py:NAME"),
        ("mine.py:Mine", "def f(:\n", "mine.py line 1: invalid syntax"),
        ("mine.py:Mine", "\nimport nowhere_at_all\n", "mine.py line 2: ModuleNotFoundError"),
        ("mine.py:Mine", "1 / 0\n", "mine.py line 1: ZeroDivisionError: division by zero"),
    ],
)
def test_what_cannot_be_loaded_is_one_line(here: Path, name: str, source: str, words: str) -> None:
    (here / "mine.py").write_text(source)
    line = fault(name)
    assert line.startswith(f"STRATEGY = {name!r} (set by the program): ")
    assert words in line


def test_the_line_names_the_file_and_line_of_the_setting(
    here: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (here / "settings.py").write_text("# mine\nSTRATEGY = 'gird'\n")
    assert cli.main(["XBTUSD", "--dry-run"]) == 2
    assert "STRATEGY = 'gird' (settings.py line 2): no such strategy" in capsys.readouterr().err


def test_strategies_are_listed_a_line_each_with_the_chosen_one_marked(
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert cli.main(["strategies"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == len(available()) + 1
    assert [line for line in lines if len(line) > 80] == []
    (marked,) = [line for line in lines if line.startswith("* ")]
    assert marked.split()[1] == "layered"


def test_run_starts_the_chosen_class_and_a_script_its_own(
    here: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (here / "mine.py").write_text(ONE)
    runs: list[str] = []
    monkeypatch.setattr(OrderManager, "__init__", lambda self: None)
    monkeypatch.setattr(OrderManager, "run_loop", lambda self: runs.append(type(self).__name__))
    chosen: Any = Settings({**DEFAULTS, "STRATEGY": "mine.py:Mine"})
    monkeypatch.setattr(market_maker, "global_settings", chosen)
    market_maker.run()
    CustomOrderManager().run_loop()
    assert runs == ["Mine", "CustomOrderManager"]


def test_the_touch_is_that_of_the_others() -> None:
    world = World(StillMarket())
    bot = world.bot(load("layered"), MIN_SPREAD=0.0, ORDER_PAIRS=1)
    market = bot.exchange.get_touch()
    bot.exchange.bitmex.buy(100, 59_999.0)
    bot.exchange.bitmex.buy(100, 60_000.0)
    world.clock.sleep(1.0)
    assert bot.exchange.get_touch() == market
    bot.exchange.bitmex.sell(100, 60_001.0)
    world.clock.sleep(1.0)
    assert bot.exchange.get_touch() == market


def test_a_dry_run_has_the_touch_of_the_market() -> None:
    world = World()
    bot = world.bot(load("layered"), DRY_RUN=True)
    touch, ticker = bot.exchange.get_touch(), bot.exchange.get_ticker()
    assert (touch.bid, touch.ask) == (ticker["buy"], ticker["sell"])
