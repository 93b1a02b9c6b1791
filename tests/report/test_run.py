"""Runs on the built-in exchange: the figures against the exchange's own balance; the command."""

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from market_maker import cli
from market_maker.report.run import trade
from market_maker.settings import Settings, load
from market_maker.simulator.market.presets import PRESETS
from market_maker.simulator.market.recorded import RecordedMarket
from market_maker.strategy_loader import available
from tests.doubles import decide

DATA = Path(__file__).parents[3] / "shared" / "data"
FILES = [DATA / f"bitmex_XBTUSD_{kind}_2020-03-10.csv.gz" for kind in ("book10", "trades")]

SHORT = [DATA / f"bitmex_XBTUSD_{kind}_2020-03-04.csv.gz" for kind in ("book10", "trades")]


def given_settings(**changes: Any) -> Settings:
    found = load("XBTUSD", environ={}, cwd="/nonexistent")
    found.update(WATCHED_FILES=[], DECISION_CALL=decide, DECISION_EVERY=1, **changes)
    return found


@settings(max_examples=6, deadline=None)
@given(
    strategy=st.sampled_from(sorted(available())),
    market=st.sampled_from(sorted(PRESETS)),
    seed=st.integers(1, 1000),
)
def test_the_figures_are_the_exchanges_balance_to_the_satoshi(
    strategy: str, market: str, seed: int
) -> None:
    run = trade(given_settings(STRATEGY=strategy, SIM_MARKET=market), 20, seed)
    assert run.figures.total == run.balance


def test_funding_is_a_part_of_them() -> None:
    run = trade(given_settings(MIN_SPREAD=0.0001), 320, 2)
    assert run.figures.funding and run.figures.fills > 20
    assert run.is_exact and run.seconds == pytest.approx(320, abs=1)
    assert run.usd and not run.ended


def test_two_runs_of_one_seed_are_equal() -> None:
    assert trade(given_settings(), 30, 3) == trade(given_settings(), 30, 3)


@pytest.mark.skipif(not FILES[0].exists(), reason="the recorded data in ../shared/data is not here")
def test_recorded_data_is_traded_to_the_time_given() -> None:
    market = RecordedMarket(FILES)
    heard: list[float] = []
    run = trade(given_settings(), 90, 1, market, heard.append)
    assert run.is_exact and run.figures.fills
    assert heard == sorted(heard) and heard[-1] > 0.9


@pytest.mark.skipif(not SHORT[0].exists(), reason="the recorded data in ../shared/data is not here")
def test_a_run_ends_with_what_was_recorded() -> None:
    run = trade(given_settings(), 3_600, 1, RecordedMarket(SHORT))
    assert 130 < run.seconds < 140 and run.is_exact and not run.ended


def test_prices_without_sizes_are_labelled_as_filled_by_touch(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    rows = ["timestamp,xbtusd_bid,xbtusd_ask,xbtm19_bid,xbtm19_ask"]
    rows += [f"2019-05-28T18:00:{s:02}.000Z,{8500 + s % 3},{8500.5 + s % 3},1,2" for s in range(60)]
    (tmp_path / f"{'polls' * 20}.csv").write_text("\n".join(rows))
    assert cli.main(["report", "--data", f"{'polls' * 20}.csv"]) == 0
    title, *rest = capsys.readouterr().out.splitlines()
    assert "minutes, touch-fill; XBT" in title and max(map(len, [title, *rest])) <= 80


def test_the_command_prints_tables_of_80_columns(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    words = ["report", "--strategy", "all", "--market", "practice", "calm"]
    assert cli.main([*words, "--minutes", "0.2"]) == 0
    shown, err = capsys.readouterr()
    assert "Left out: STRATEGY = 'decision' needs one of DECISION_URL" in err
    assert max(map(len, shown.splitlines())) <= 80
    assert "practice, 0.2 minutes, seed 1" in shown and "calm, 0.2 minutes" in shown
    assert [line.split()[0] for line in shown.splitlines() if line.startswith("grid")] == [
        "grid"
    ] * 4


def test_the_command_gives_whole_numbers_as_json(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "settings.py").write_text("MIN_SPREAD = 0.0001\nSTRATEGY = 'layered'\n")
    assert cli.main(["report", "--minutes", "0.5", "--json"]) == 0
    (row,) = json.loads(capsys.readouterr().out)
    assert row["strategy"] == "layered" and row["market"] == "practice"
    assert (
        row["total"]
        == row["balance"]
        == sum(row[name] for name in ("spread", "inventory", "fees", "funding"))
    )
    assert set(row["markout_bps"]) == {"1.0", "5.0", "30.0"}


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--minutes", "0"], "a number above 0, at most 100000, was '0'"),
        (["--market", "wild"], "invalid choice: 'wild'"),
        (["--strategy", "nobody"], "STRATEGY = 'nobody' (command line): no such strategy: choose"),
        (["--data", "nowhere.csv"], "no such file or folder"),
    ],
)
def test_what_is_wrong_is_one_line(
    words: list[str],
    said: str,
    capsys: pytest.CaptureFixture[str],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(tmp_path)
    assert cli.main(["report", *words]) == 2
    err = capsys.readouterr().err
    assert said in err and "Traceback" not in err


def test_a_strategy_that_ends_early_is_told_and_fails(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "mine.py").write_text(
        "from market_maker.market_maker import OrderManager\n"
        "class Mine(OrderManager):\n"
        "    def place_orders(self):\n"
        "        raise ValueError('nothing to say')\n"
    )
    assert cli.main(["report", "--strategy", "mine.py", "--minutes", "1"]) == 1
    assert "mine.py: ended early: ValueError: nothing to say" in capsys.readouterr().out
