"""`marketmaker drill`: the bot under every fault, and what the drill makes of it."""

import contextlib
import io
import json
import os
import signal
from pathlib import Path
from typing import Any

import pytest

from market_maker import cli
from market_maker.drill.plan import MIXTURE, scene
from market_maker.drill.stage import Outcome, Stage
from market_maker.settings import load
from market_maker.simulator.fault_kinds import KINDS
from tests.process import environment, running

NAMES = [*KINDS, MIXTURE]
TIGHT = {"MAX_POSITION": 900, "MIN_POSITION": -900, "ORDER_PAIRS": 3, "MIN_SPREAD": 0.00005}


def play(name: str, seed: int, strategy: str = "layered", **changes: Any) -> Outcome:
    settings = load("XBTUSD", environ={}, cwd="/nonexistent")
    settings.update(WATCHED_FILES=[], STRATEGY=strategy, **changes)
    return Stage(scene(name, seed), settings).play()


def told(outcome: Outcome) -> str:
    return f"{outcome.scene}: {outcome.violations}"


@pytest.mark.parametrize("name", NAMES)
def test_no_fault_makes_a_bot_with_tight_limits_do_wrong(name: str) -> None:
    outcome = play(name, 2, **TIGHT)  # the default settings: exchanges/test_contract.py
    assert outcome.is_passed, told(outcome)


def test_a_book_torn_just_before_the_trouble_ends_is_read_anew_in_time() -> None:
    outcome = play("stale", 3, **TIGHT)
    assert outcome.is_passed, told(outcome)


def test_a_level_that_was_never_told_to_be_gone_is_found_by_the_crossed_book() -> None:
    outcome = play("skip", 1, "inventory")
    assert outcome.is_passed, told(outcome)


@pytest.mark.parametrize("name", ["drop-answer", "hand-trade", "close"])
def test_a_strategy_whose_stake_is_filled_need_not_quote(name: str) -> None:
    outcome = play(name, 1, "decision", DECISION_CALL=lambda _: "OPEN_LONG")
    assert outcome.is_passed, told(outcome)
    assert outcome.did.startswith("traded all it wanted")


def test_a_grid_whose_sizes_the_lot_no_longer_takes_need_not_quote() -> None:
    outcome = play("lot-size", 1, "grid")
    assert outcome.is_passed, told(outcome)
    assert outcome.did.startswith("pulled: no size fits the lot")
    large = play("lot-size", 1, "grid", GRID_BUY_QUANTITY=800, GRID_SELL_QUANTITY=800)
    assert large.is_passed and large.did.startswith("quoted on"), told(large)


@pytest.mark.slow
@pytest.mark.parametrize("changes", [{}, TIGHT], ids=["default", "tight"])
@pytest.mark.parametrize("name", NAMES)
def test_nor_with_any_of_twenty_seeds(name: str, changes: dict[str, Any]) -> None:
    failed = [o for seed in range(1, 21) if not (o := play(name, seed, **changes)).is_passed]
    assert not failed, "\n".join(map(told, failed))


def test_the_same_seed_is_the_same_run() -> None:
    assert play(MIXTURE, 5) == play(MIXTURE, 5)


# -- the judge is not asleep --------------------------------------------------------------------

STRATEGY = """\
from market_maker.market_maker import OrderManager
{imports}

class Mine(OrderManager):
{body}

Mine().run_loop()
"""
DOUBLING = """\
    def place_orders(self):
        super().place_orders()
        order = {"side": "Buy", "orderQty": 100, "price": self.get_price_offset(-3) - 20}
        self.exchange.bitmex.place_order(order["orderQty"], order["price"])
"""
LEAVING = """\
    rounds = 0

    def place_orders(self):
        self.rounds += 1
        if self.rounds > 8:
            return self.converge_orders([], [])
        return super().place_orders()
"""
RAISING = """\
    rounds = 0

    def place_orders(self):
        self.rounds += 1
        if self.rounds == 12:
            raise RuntimeError("a bug of the strategy")
        return super().place_orders()
"""
SLEEPING = """\
    def run_loop(self):
        while True:
            self.place_orders()
            sleep(1)
"""


def strategy(folder: Path, body: str, imports: str = "") -> str:
    path = folder / "mine.py"
    path.write_text(STRATEGY.format(body=body, imports=imports))
    return str(path)


@pytest.mark.parametrize(
    ("body", "words"),
    [
        (DOUBLING, "orders on the Buy side where 6 are wanted"),
        (LEAVING, "not quoting again"),
        (RAISING, "it ended by itself with exit code 1: RuntimeError: a bug of the strategy"),
    ],
)
def test_a_strategy_that_does_wrong_fails(tmp_path: Path, body: str, words: str) -> None:
    outcome = play("duplicate", 1, strategy(tmp_path, body))
    assert words in told(outcome)
    assert not outcome.is_passed


def test_a_script_with_a_loop_of_its_own_that_sleeps_is_rehearsed_too(tmp_path: Path) -> None:
    outcome = play("close", 1, strategy(tmp_path, SLEEPING, "from time import sleep\n"))
    assert outcome.did.startswith(("back in", "quoted on"))


# -- the command --------------------------------------------------------------------------------


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


def run(capsys: pytest.CaptureFixture[str], *words: str) -> tuple[int, str, str]:
    code = cli.main(["drill", *words])
    shown = capsys.readouterr()
    return code, shown.out, shown.err


def test_it_prints_a_line_of_at_most_80_columns_for_each_fault(
    here: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    code, out, _ = run(capsys, "--fault", "close", "--fault", "503", "--seeds", "2")
    lines = out.splitlines()
    assert code == 0
    assert max(map(len, lines)) <= 80
    assert [line.split()[0] for line in lines if line.endswith("pass")] == ["close", "503"]
    assert lines[-1] == "4 runs, 0 with a violation."


def test_a_violation_is_named_with_what_brings_it_about_and_exit_code_1(
    here: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ("--fault", "duplicate:for=4", "--strategy", strategy(here, RAISING))
    code, out, _ = run(capsys, *words)
    assert code == 1
    assert "a bug of the strategy" in out
    assert "seed 1 (duplicate:for=4)" in out
    assert max(map(len, out.splitlines())) <= 80


def test_json_is_a_list_of_runs(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    code, out, _ = run(capsys, "--fault", "skip", "--json")
    (row,) = json.loads(out)
    assert code == 0
    assert (row["fault"], row["seed"], row["passed"]) == ("skip", 1, True)
    assert row["seconds_without_quotes"] >= 0


@pytest.mark.parametrize(
    ("words", "line"),
    [
        ("--fault clos", "No fault is named 'clos': did you mean close?"),
        ("--fault xyzzy", "No fault is named 'xyzzy': 'simulate --fault help' lists them."),
        ("--fault close:p=1", "close knows no 'p'"),
        ("--seeds 0", "a whole number from 1 to 10000, was '0'"),
        ("ABCUSD --fault close", "The drill has no ABCUSD: choose one of XBTUSD"),
        ("--strategy none.py", "there is no file none.py"),
    ],
)
def test_what_cannot_be_is_one_line_and_exit_code_2(
    here: Path, capsys: pytest.CaptureFixture[str], words: str, line: str
) -> None:
    code, out, err = run(capsys, *words.split())
    assert (code, out) == (2, "")
    assert line in err
    assert len(err.splitlines()) == 1


@pytest.mark.skipif(os.name == "nt", reason="signals work otherwise on Windows")
def test_ctrl_c_ends_it_with_one_line(tmp_path: Path) -> None:
    args = ["-m", "market_maker", "drill", "--seeds", "50"]
    with running(args, tmp_path, environment()) as process:
        process.wait_for("Fault")
        process.signal(signal.SIGINT)
        assert process.end() == 1
    assert process.lines[-1].startswith("Interrupted.")
    assert "Traceback" not in process.text


def test_nothing_that_a_strategy_prints_is_shown(here: Path) -> None:
    printing = 'print("hello")\n\n' + STRATEGY.format(body=LEAVING, imports="")
    (here / "my_strategy.py").write_text(printing)
    shown = io.StringIO()
    with contextlib.redirect_stdout(shown):
        play("close", 1, "my_strategy.py")
    assert shown.getvalue() == ""
