"""The journal: what it remembers, across processes, and how it fails."""

import os
import shutil
import sqlite3
import stat
import sys
import threading
from pathlib import Path
from typing import Any

import pytest

from market_maker import journal_file
from market_maker.clock import ManualClock
from market_maker.journal import Journal, State
from market_maker.run_log import RunLog
from market_maker.utils.errors import AlreadyRunning, StopTrading

ORDER = {"clOrdID": "mm_1", "symbol": "XBTUSD", "side": "Buy", "orderQty": 100, "price": 219.5}
FILL = {"symbol": "XBTUSD", "orderID": "o1", "execID": "e1", "lastQty": 100, "lastPx": 219.5}


@pytest.fixture
def journal() -> Journal:
    return Journal(":memory:", ManualClock())


def test_a_recorded_request_is_unsettled_until_its_outcome_is_known(journal: Journal) -> None:
    rows = [ORDER, {"orderID": "o2", "price": 1e-8}]
    ids = journal.record("create", rows, expires_at=1_600_000_005.0)

    first, second = journal.unsettled()
    assert [first.id, second.id] == ids
    assert first == (ids[0], "create", "mm_1", "", "XBTUSD", ORDER, 1.6e9, 1.6e9 + 5, "NEW")
    assert (second.cl_ord_id, second.order_id, second.wire) == ("", "o2", rows[1])

    journal.settle(ids, ["UNKNOWN", "ACKED"], ["", "o2"])
    (left,) = journal.unsettled()
    assert (left.id, left.state) == (ids[0], "UNKNOWN")

    journal.settle(ids[:1], ["CLOSED"], ["o1"])
    assert journal.unsettled() == []


def test_an_order_id_once_known_is_not_lost(journal: Journal) -> None:
    ids = journal.record("create", [ORDER], 0.0)
    journal.settle(ids, ["UNKNOWN"], ["o1"])
    journal.settle(ids, ["UNKNOWN"], [""])
    assert journal.unsettled()[0].order_id == "o1"


def test_nothing_is_written_of_a_batch_that_cannot_be_written_whole(journal: Journal) -> None:
    with pytest.raises(StopTrading):
        journal.record("create", [ORDER, {"clOrdID": "mm_2", "symbol": ["XBTUSD"]}], 0.0)
    assert journal.unsettled() == []


@pytest.mark.parametrize("states", [["LOST"], ["ACKED", "ACKED"]])
def test_an_outcome_that_fits_no_request_is_refused(journal: Journal, states: list[Any]) -> None:
    ids = journal.record("create", [ORDER], 0.0)
    with pytest.raises(ValueError):
        journal.settle(ids, states, [""])
    assert len(journal.unsettled()) == 1


def test_an_order_is_ours_by_the_id_we_gave_it(journal: Journal) -> None:
    journal.record("create", [ORDER, {"orderID": "o9"}], 0.0)
    assert journal.is_ours("mm_1")
    assert not journal.is_ours("mm_2")
    assert not journal.is_ours("")


def test_a_fill_is_booked_once(journal: Journal) -> None:
    assert journal.book_fills([FILL, dict(FILL)]) == [FILL]
    others = [{**FILL, **name} for name in ({"execID": "e2"}, {"symbol": "E"}, {"orderID": "o2"})]
    assert journal.book_fills([others[0], FILL, *others[1:]]) == others
    assert journal.book_fills([FILL, *others]) == []


def test_fills_and_what_belongs_to_them_are_written_whole_or_not_at_all(journal: Journal) -> None:
    def take(db: sqlite3.Connection, row: Any) -> None:
        db.execute("INSERT INTO cursors VALUES (?, 'answered')", (row["execID"],))
        if row["execID"] == "e2" and breaks:
            raise ValueError("a strategy's own mistake")

    journal.with_fill, breaks = take, True
    fills = [FILL, {**FILL, "execID": "e2"}]
    with pytest.raises(ValueError):
        journal.book_fills(fills)
    assert journal.get("e1") == ""
    breaks = False
    assert journal.book_fills(fills) == fills
    assert journal.get("e1") == journal.get("e2") == "answered"


def test_another_process_finds_what_the_last_one_left(tmp_path: Path) -> None:
    path = tmp_path / "state" / "account.sqlite"
    clock = ManualClock()
    left = Journal(path, clock)
    left.record("create", [ORDER], clock.now() + 5)
    left.book_fills([FILL])
    left._release()  # and no close(): it was killed

    found = Journal(path, clock)
    assert [entry.cl_ord_id for entry in found.unsettled()] == ["mm_1"]
    assert found.is_ours("mm_1")
    assert found.book_fills([FILL]) == []
    found.close()
    left.close()


def test_a_second_bot_is_told_who_holds_the_journal_and_with_which_exit_code(
    tmp_path: Path,
) -> None:
    first = Journal(tmp_path / "j", ManualClock())
    with pytest.raises(AlreadyRunning) as caught:
        Journal(tmp_path / "j", ManualClock())
    assert f"process {os.getpid()} trades here already" in str(caught.value)
    assert "\n" not in str(caught.value)
    assert caught.value.exit_code == 2
    Journal(tmp_path / "other", ManualClock()).close()
    first.close()
    Journal(tmp_path / "j", ManualClock()).close()


@pytest.mark.skipif(os.name == "nt", reason="Windows keeps files that are open")
@pytest.mark.parametrize("is_another_faster", [False, True])
def test_a_lock_that_somebody_removes_still_lets_only_one_bot_trade(
    is_another_faster: bool, tmp_path: Path
) -> None:
    clock = ManualClock()
    first = Journal(tmp_path / "j", clock)
    first.book_fills([FILL])
    (tmp_path / "j.lock").unlink()
    clock.sleep(1.0)
    if is_another_faster:
        second = Journal(tmp_path / "j", ManualClock())
        for write in (
            lambda: first.record("create", [{"clOrdID": "mm_1"}], 0.0),
            lambda: first.book_fills([{**FILL, "execID": "2"}]),
        ):
            with pytest.raises(AlreadyRunning, match="trades here already"):
                write()
        second.record("create", [{"clOrdID": "mm_2"}], 0.0)
        assert not first.leave("j"), "the other one needs the dead man's switch"
        second.close()
    else:
        first.record("create", [{"clOrdID": "mm_1"}], 0.0)
        with pytest.raises(AlreadyRunning):
            Journal(tmp_path / "j", ManualClock())
    first.close()
    Journal(tmp_path / "j", ManualClock()).close()


@pytest.mark.skipif(os.name == "nt", reason="Windows keeps files that are open")
@pytest.mark.parametrize("what", ["file", "folder", "replaced"])
def test_a_journal_that_the_next_run_would_not_find_is_not_written_to(
    what: str, tmp_path: Path
) -> None:
    path = tmp_path / "state" / "j"
    journal = Journal(path, ManualClock())
    path.unlink()
    if what == "folder":
        shutil.rmtree(path.parent)
    elif what == "replaced":
        path.write_bytes(b"")
    with pytest.raises(StopTrading, match=r"j cannot be used: ") as caught:
        journal.record("create", [{"clOrdID": "mm_1"}], 0.0)
    assert not isinstance(caught.value, AlreadyRunning)
    journal.close()


def test_the_lock_of_a_journal_that_cannot_be_opened_is_let_go(tmp_path: Path) -> None:
    make_garbage(tmp_path / "j")
    with pytest.raises(StopTrading):
        Journal(tmp_path / "j", ManualClock())
    (tmp_path / "j").unlink()
    Journal(tmp_path / "j", ManualClock()).close()


def test_the_last_bot_of_an_account_knows_that_it_is_the_last(tmp_path: Path) -> None:
    clock = ManualClock()
    one, two = Journal(tmp_path / "x-acc1-A", clock), Journal(tmp_path / "x-acc1-B", clock)
    other = Journal(tmp_path / "x-acc2-A", clock)
    assert not one.leave("x-acc1-")
    assert two.leave("x-acc1-"), "the first is leaving, and both at once must not wait"
    assert other.leave("x-acc2-")
    assert Journal(":memory:", clock).leave("x-acc1-")
    for journal in (one, two, other):
        journal.close()


def test_a_batch_is_one_transaction_in_a_write_ahead_log(tmp_path: Path) -> None:
    journal = Journal(tmp_path / "j", ManualClock())
    assert journal._db.execute("PRAGMA journal_mode").fetchone() == ("wal",)
    said: list[str] = []
    journal._db.set_trace_callback(said.append)
    ids = journal.record("create", [{"clOrdID": str(n)} for n in range(12)], 0.0)
    journal.settle(ids, ["ACKED"] * 12, [""] * 12)
    journal.book_fills([{**FILL, "execID": str(n)} for n in range(12)])
    assert [word for word in said if word in ("BEGIN ", "COMMIT")] == ["BEGIN ", "COMMIT"] * 3
    journal.close()


def test_settled_amends_go_after_a_day_and_creates_and_open_questions_stay(
    tmp_path: Path,
) -> None:
    clock = ManualClock()
    journal = Journal(tmp_path / "j", clock)
    settled: list[tuple[str, State]] = [
        ("create", "ACKED"),
        ("amend", "ACKED"),
        ("cancel", "UNKNOWN"),
    ]
    for action, state in settled:
        ids = journal.record(action, [{"clOrdID": action}], 0.0)
        journal.settle(ids, [state], [""])
    journal.close()

    clock.sleep(2 * 86_400)
    journal = Journal(tmp_path / "j", clock)
    assert [journal.is_ours(name) for name in ("create", "amend", "cancel")] == [True, False, True]
    journal.close()


@pytest.mark.parametrize(("path", "age_s"), [("j", 8 * 86_400), (":memory:", 2 * 3_600)])
def test_creates_go_when_they_are_old_and_their_orders_have_ended(
    path: str, age_s: float, tmp_path: Path
) -> None:
    clock = ManualClock()
    journal = Journal(path if path == ":memory:" else tmp_path / path, clock)
    journal.may_rest = lambda cl_ord_id: cl_ord_id == "resting"
    for name, state in (("ended", "ACKED"), ("resting", "ACKED"), ("in doubt", "UNKNOWN")):
        journal.settle(journal.record("create", [{"clOrdID": name}], 0.0), [state], [""])
    clock.sleep(age_s)
    for _ in range(1_000):
        journal.settle(journal.record("create", [{"clOrdID": "new"}], 0.0), ["ACKED"], [""])
    names = ("ended", "resting", "in doubt", "new")
    assert [journal.is_ours(name) for name in names] == [False, True, True, True]
    journal.close()


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no such modes")
def test_nobody_else_can_read_it(tmp_path: Path) -> None:
    path = tmp_path / "state" / "account.sqlite"
    journal = Journal(path, ManualClock())
    journal.record("create", [ORDER], 0.0)
    assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700
    files = list(path.parent.iterdir())
    assert len(files) >= 3  # the write-ahead log and the lock too
    assert {stat.S_IMODE(file.stat().st_mode) for file in files} == {0o600}
    journal.close()


def make_directory(path: Path) -> None:
    path.mkdir()


def make_garbage(path: Path) -> None:
    path.write_bytes(b"no database " * 100)


def make_foreign(path: Path) -> None:
    with sqlite3.connect(path) as db:
        db.execute("CREATE TABLE recipes (name TEXT)")


def make_foreign_of_our_version(path: Path) -> None:
    make_foreign(path)
    with sqlite3.connect(path) as db:
        db.execute("PRAGMA user_version = 1")


def make_journal(path: Path) -> None:
    journal = Journal(path, ManualClock())
    journal.record("create", [{**ORDER, "text": "x" * 500} for _ in range(200)], 0.0)
    journal.close()


def make_newer(path: Path) -> None:
    make_journal(path)
    with sqlite3.connect(path) as db:
        db.execute("PRAGMA user_version = 99")


def make_truncated(path: Path) -> None:
    make_journal(path)
    whole = path.read_bytes()
    path.write_bytes(whole[: len(whole) // 2])


def make_scribbled(path: Path) -> None:
    make_journal(path)
    whole = path.read_bytes()
    middle = len(whole) // 2
    path.write_bytes(whole[:middle] + b"\xff" * 8_192 + whole[middle + 8_192 :])


def make_of_zeros(path: Path) -> None:
    path.write_bytes(bytes(8_192))


def make_parent_a_file(path: Path) -> None:
    path.parent.rmdir()
    path.parent.write_text("")


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (make_directory, "cannot be used"),
        (make_parent_a_file, "cannot be used"),
        (make_garbage, "is damaged"),
        (make_of_zeros, "is damaged"),
        (make_truncated, "is damaged"),
        (make_scribbled, "is damaged"),
        (make_foreign, "is no journal of this program"),
        (make_foreign_of_our_version, "is no journal of this program"),
        (make_newer, "has format 99, this version reads up to 2"),
    ],
)
def test_a_journal_that_cannot_be_used_stops_trading_in_one_line_and_is_kept(
    make: Any, words: str, tmp_path: Path
) -> None:
    path = tmp_path / "state" / "journal"
    path.parent.mkdir()
    make(path)
    before = path.read_bytes() if path.is_file() else None
    with pytest.raises(StopTrading) as caught:
        Journal(path, ManualClock())
    assert str(path) in str(caught.value)
    assert words in str(caught.value)
    assert "\n" not in str(caught.value)
    assert before is None or path.read_bytes() == before


def test_a_journal_of_version_1_is_taken_over_with_all_it_holds(tmp_path: Path) -> None:
    path = tmp_path / "j"
    with sqlite3.connect(path) as db:
        db.executescript(journal_file._SCHEMA + "PRAGMA user_version = 1;")
        db.execute("INSERT INTO cursors VALUES ('stop', 'lost too much')")
        values = "(NULL, 'mm_1', 'o1', 'XBTUSD', 'create', '{}', 1.0, 2.0, 'UNKNOWN')"
        db.execute(f"INSERT INTO outbox VALUES {values}")
    for _ in range(2):
        journal = Journal(path, ManualClock())
        assert journal.get("stop") == "lost too much"
        assert journal.is_ours("mm_1")
        assert [entry.state for entry in journal.unsettled()] == ["UNKNOWN"]
        RunLog(journal, ManualClock()).begin("XBTUSD", "{}")
        journal.close()
    with sqlite3.connect(path) as db:
        assert db.execute("PRAGMA user_version").fetchone() == (2,)
        assert db.execute("SELECT count(*) FROM runs").fetchone() == (2,)


def test_a_run_has_a_start_an_end_and_its_settings_once(tmp_path: Path) -> None:
    clock = ManualClock(1_000.0)
    journal = Journal(tmp_path / "j", clock)
    for code in (0, 3):
        runs = RunLog(journal, clock)
        runs.begin("XBTUSD", '{"ORDER_PAIRS": 6}')
        clock.sleep(60)
        runs.end(code)
        runs.end(1)
    with journal.transaction() as db:
        select = "SELECT started_at, stopped_at, exit_code FROM runs"
        assert db.execute(select).fetchall() == [(1_000, 1_060, 0), (1_060, 1_120, 3)]
        assert db.execute("SELECT value FROM settings").fetchall() == [('{"ORDER_PAIRS": 6}',)]
    clock.sleep(91 * 86_400)
    RunLog(journal, clock).begin("XBTUSD", "{}")
    with journal.transaction() as db:
        assert db.execute("SELECT count(*) FROM runs").fetchone() == (1,)
        assert db.execute("SELECT value FROM settings").fetchall() == [("{}",)]
    journal.close()


def test_several_threads_may_write(tmp_path: Path) -> None:
    journal = Journal(tmp_path / "j", ManualClock())
    firsts: list[Any] = []

    def work(number: int) -> None:
        for step in range(20):
            ids = journal.record("create", [{"clOrdID": f"{number}-{step}"}], 0.0)
            journal.settle(ids, ["ACKED"], ["o"])
            firsts.extend(journal.book_fills([{**FILL, "execID": str(step)}]))

    threads = [threading.Thread(target=work, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    assert len(firsts) == 20
    assert journal.unsettled() == []
    assert journal.is_ours("3-19")
    journal.close()
