"""`marketmaker state` and `clear-state`: what they show, refuse and leave alone."""

import json
import os
import sqlite3
import stat
import subprocess
import sys
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from market_maker import cli, journal_file
from market_maker._settings_record import in_force
from market_maker.clock import ManualClock
from market_maker.commands import clear_state as command
from market_maker.commands.clear_state import OLD_FILES
from market_maker.decisions.book import LotBook
from market_maker.decisions.tables import add_order
from market_maker.journal import Journal
from market_maker.levels import LevelBook
from market_maker.quoting.grid import Quote
from market_maker.run_log import RunLog
from market_maker.settings import load
from tests.process import environment

NAME = "bitmex-0a1b2c3d-XBTUSD-mm_bitmex.sqlite3"


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "settings.py").write_text('STATE_DIR = "state"\nORDER_PAIRS = 3\n')
    return tmp_path / "state"


def fill_journal(path: Path) -> Journal:
    """A journal as a bot has it that holds a lot and a grid's level, and runs."""
    clock = ManualClock()
    journal = Journal(path, clock)
    settings = load("XBTUSD", environ={}, cwd=path.parents[1])
    settings.update(STRATEGY="decision", BITMEX_API_SECRET="not-to-be-seen")
    RunLog(journal, clock).begin("XBTUSD", in_force(settings))
    book = LotBook(journal, clock, "mm_", is_inverse=True)
    book.open("1", "OPEN_LONG", clock.now(), "Buy", Decimal(300), Decimal("0.1"))
    opening = book.opening()
    assert opening is not None
    with journal.transaction() as db:
        add_order(db, "mm_a", "Buy", opening.id)
    row = {"symbol": "XBTUSD", "orderID": "o", "clOrdID": "mm_a", "side": "Buy", "execID": "e"}
    journal.book_fills([{**row, "lastQty": 200, "lastPx": 59_999.5, "cumQty": 200}])
    journal.record("create", [{"clOrdID": "mm_b", "side": "Buy"}], 0.0)
    journal.put("poll.fills", "1599999999.5")
    setup = {"QUANT_ALGO": "BitcoinFuturesSwinger", "the venue": f"okx https://{'x' * 90}.example"}
    book.changes(setup)
    LevelBook(journal, lambda _, __: None).add_seeds("Sell", [Quote(Decimal(60_000), Decimal(1))])
    return journal


def test_a_page_shows_the_journal_of_a_running_bot_in_80_columns(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    journal = fill_journal(folder / NAME)
    assert cli.main(["state"]) == 0
    page = capsys.readouterr().out
    assert max(map(len, page.splitlines())) <= 80
    assert "x.example" in page, "nothing of the setup is cut off"
    for words in (
        "XBTUSD on simulator: a bot is running",
        "2020-09-13 12:26:40   goes on",
        "ORDER_PAIRS = 3",
        "1 kept, 1 of unknown outcome",
        "1 Buy of 200",
        "Buy 200 @ 59999.5",
        "Lots: 1, 200 contracts, 6.67 % of the trading balance",
        "OPEN_LONG    OPENING    Buy 300",
        "Levels: 1",
        "Sell          1 @ 60000        filled 0, waits",
        "Cursors and notes",
        "poll.fills = 2020-09-13 12:26:39 UTC",
        "decision.setup:\n    QUANT_ALGO = BitcoinFuturesSwinger\n",
    ):
        assert words in page, page
    assert "not-to-be-seen" not in page
    journal.close()
    assert cli.main(["state", "XBTUSD"]) == 0
    page = capsys.readouterr().out
    assert "no bot is running" in page and "was killed" in page


def test_json_has_all_of_it(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    fill_journal(folder / NAME).close()
    assert cli.main(["state", "--json"]) == 0
    (view,) = json.loads(capsys.readouterr().out)
    assert view["settings"]["ORDER_PAIRS"] == 3
    assert "BITMEX_API_SECRET" not in view["settings"]
    assert [lot["qty"] for lot in view["lots"]] == ["200"]
    assert view["requests"]["unsettled"][0]["cl_ord_id"] == "mm_b"
    assert not view["running"]


def test_only_the_journals_of_the_symbol_are_shown(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    fill_journal(folder / NAME).close()
    assert cli.main(["state", "ETHUSD"]) == 0
    assert "No state of ETHUSD in state." in capsys.readouterr().out


def test_where_there_is_none_it_says_so(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["state"]) == 0
    assert f"No state in {folder.name}." in capsys.readouterr().out


@pytest.mark.skipif(os.name == "nt", reason="pipes work otherwise there")
def test_whoever_reads_it_may_have_enough(folder: Path) -> None:
    fill_journal(folder / NAME).close()
    read, write = os.pipe()
    os.close(read)
    command = [sys.executable, "-m", "market_maker", "state"]
    ended = subprocess.run(
        command, stdout=write, stderr=subprocess.PIPE, env=environment(), check=False
    )
    os.close(write)
    assert (ended.returncode, ended.stderr) == (1, b"")


def test_it_writes_nothing(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    fill_journal(folder / NAME).close()
    before = (folder / NAME).read_bytes()
    assert cli.main(["state"]) == 0
    assert (folder / NAME).read_bytes() == before
    assert "Lots: 1" in capsys.readouterr().out


def test_a_file_that_cannot_be_read_is_a_line_beside_the_others(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    fill_journal(folder / NAME).close()
    (folder / "another.sqlite3").write_bytes(b"no database " * 100)
    assert cli.main(["state"]) == 1
    said = capsys.readouterr()
    assert "Lots: 1" in said.out
    (line,) = said.err.splitlines()
    assert "another.sqlite3 is damaged" in line
    (folder / NAME).unlink()
    assert cli.main(["state"]) == 1
    assert capsys.readouterr().out == ""  # there is one, damaged: not "No state"


def test_a_journal_of_version_1_is_shown_as_it_is(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder.mkdir()
    with sqlite3.connect(folder / NAME) as db:
        db.executescript(journal_file._SCHEMA + "PRAGMA user_version = 1;")
    assert cli.main(["state", "XBTUSD"]) == 0
    assert "Requests: 0 kept" in capsys.readouterr().out


# -- clear-state ------------------------------------------------------------------------------


class Account:
    """A connector of which clear-state asks only the position."""

    symbol, account_key, qty = "XBTUSD", "0a1b2c3d", 0

    def fetch_rows(self, _: str) -> list[dict[str, Any]]:
        return [{"symbol": "XBTUSD", "currentQty": self.qty}, {"symbol": "ETHUSD", "currentQty": 9}]

    def stop(self) -> None:
        """Nothing to stop."""


@pytest.fixture
def account(folder: Path, monkeypatch: pytest.MonkeyPatch) -> Account:
    with (folder.parent / ".env").open("w") as file:
        file.write("EXCHANGE=bitmex\nBASE_URL=http://127.0.0.1:1/api/v1/\n")
        file.write("BITMEX_API_KEY=a-key-of-mine\nBITMEX_API_SECRET=a-secret-of-mine\n")
    found = Account()
    monkeypatch.setattr(command.venue, "open_connector", lambda *_: found)
    return found


def counts(path: Path) -> dict[str, int]:
    with sqlite3.connect(path) as db:
        tables = ("decisions", "lots", "lot_orders", "levels", "outbox", "fills", "runs")
        return {t: db.execute(f"SELECT count(*) FROM {t}").fetchone()[0] for t in tables}


def test_it_forgets_lots_decisions_and_levels_and_keeps_a_backup(
    folder: Path, account: Account, capsys: pytest.CaptureFixture[str]
) -> None:
    del account
    fill_journal(folder / NAME).close()
    whole = counts(folder / NAME)
    assert cli.main(["clear-state"]) == 0
    assert "Forgotten: 1 decisions, 1 lots, 1 levels." in capsys.readouterr().out
    left = counts(folder / NAME)
    assert {name for name, count in left.items() if count} == {"outbox", "fills", "runs"}
    (backup,) = folder.glob("*.bak")
    assert counts(backup) == whole
    if sys.platform != "win32":
        assert stat.S_IMODE(backup.stat().st_mode) == 0o600


def test_it_refuses_while_a_bot_runs(
    folder: Path, account: Account, capsys: pytest.CaptureFixture[str]
) -> None:
    del account
    journal = fill_journal(folder / NAME)
    assert cli.main(["clear-state", "--force"]) == 2
    assert f"process {os.getpid()} trades here already" in capsys.readouterr().err
    assert counts(folder / NAME)["lots"] == 1
    journal.close()


def test_it_refuses_an_open_position_unless_it_is_forced(
    folder: Path, account: Account, capsys: pytest.CaptureFixture[str]
) -> None:
    account.qty = -300
    fill_journal(folder / NAME).close()
    Path(OLD_FILES[0]).write_bytes(b"old")
    assert cli.main(["clear-state"]) == 1
    assert "A position of -300 contracts of XBTUSD is open" in capsys.readouterr().err
    assert counts(folder / NAME)["lots"] == 1
    assert Path(OLD_FILES[0]).exists()
    assert cli.main(["clear-state", "--force"]) == 0
    assert counts(folder / NAME)["lots"] == 0
    assert not Path(OLD_FILES[0]).exists()


class Bomb:
    """What a pickle can do to whoever reads it."""

    def __reduce__(self) -> tuple[Any, ...]:
        return (Path("exploded").touch, ())


@pytest.mark.usefixtures("folder")
def test_old_pickles_go_out_of_the_way_unread(capsys: pytest.CaptureFixture[str]) -> None:
    import pickle

    content = pickle.dumps(Bomb())
    for name in OLD_FILES:
        Path(name).write_bytes(content)
    assert cli.main(["clear-state"]) == 0
    assert "Set aside, unread: open_longs.py is open_longs.py." in capsys.readouterr().out
    assert not Path("exploded").exists()
    for name in OLD_FILES:
        assert not Path(name).exists()
        (backup,) = Path().glob(f"{name}.*.bak")
        assert backup.read_bytes() == content


def test_without_a_journal_there_is_nothing_to_forget(
    account: Account, capsys: pytest.CaptureFixture[str]
) -> None:
    del account
    assert cli.main(["clear-state", "XBTUSD"]) == 0
    assert "No state is kept of XBTUSD here." in capsys.readouterr().out
