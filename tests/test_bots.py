"""Several bots under one supervisor, as their user runs them: processes, signals and files."""

import os
import signal
import socket
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from market_maker.commands.bots import _remove_abandoned
from market_maker.lockfile import FileLock
from tests.process import Exchange, Process, environment, running, until

ALL = ["-m", "market_maker"]
BREAKING = """\
from market_maker.market_maker import OrderManager


class Breaking(OrderManager):
    def place_orders(self):
        super().place_orders()
        raise RuntimeError("a bug of the strategy")
"""
LINGERING = """\
import time
from market_maker.market_maker import OrderManager


class Lingering(OrderManager):
    def on_stop(self):
        print("lingering now")
        time.sleep(60)
"""

HANGING = """\
import time
from market_maker.market_maker import OrderManager


class Hanging(OrderManager):
    rounds = 0

    def place_orders(self):
        super().place_orders()
        self.rounds += 1
        if self.rounds == 3:
            time.sleep(60)
"""
IMPATIENT = """\
import market_maker.cli
import market_maker.commands.bots

market_maker.commands.bots._GRACE_S = 0.0
raise SystemExit(market_maker.cli.main())
"""

pytestmark = pytest.mark.skipif(os.name == "nt", reason="BOTS needs signals")


@pytest.fixture(scope="module")
def exchange(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Exchange]:
    started = Exchange(tmp_path_factory.mktemp("exchange"))
    yield started
    started.close()


def write_bots(folder: Path, *bots: str, more: str = "") -> None:
    (folder / "settings.py").write_text(f"{more}\nBOTS = [{', '.join(bots)}]\n")


def pid_of(supervisor: Process, name: str) -> int:
    return int(supervisor.wait_for(f"{name} runs as process").rstrip(".").split()[-1])


def lines_of(supervisor: Process, name: str) -> list[str]:
    return [line for line in supervisor.lines if line.startswith(f"{name} ")]


def open_symbols(exchange: Exchange) -> set[str]:
    query = {"filter": '{"open": true}'}
    return {row["symbol"] for row in exchange.connector.call("GET", "/order", query).body}


def test_each_bot_fails_alone_and_what_a_killed_one_leaves_is_cancelled(
    exchange: Exchange, tmp_path: Path
) -> None:
    (tmp_path / "breaking.py").write_text(BREAKING)
    write_bots(
        tmp_path,
        '{"symbol": "XBTUSD"}',
        '{"symbol": "ETHUSD", "strategy": "grid", "GRID_SPACE": 0.2}',
        '{"symbol": "XBTUSDT", "strategy": "breaking.py:Breaking"}',
    )
    with running(ALL, tmp_path, exchange.env(tmp_path)) as bots:
        bots.wait_for("XBTUSDT has ended with exit code 1. Still running: 2.")
        until(lambda: open_symbols(exchange) == {"XBTUSD", "ETHUSD"})
        os.kill(pid_of(bots, "XBTUSD"), signal.SIGKILL)
        bots.wait_for("XBTUSD was killed by SIGKILL. Still running: 1.")
        until(lambda: open_symbols(exchange) == {"ETHUSD"})
        bots.wait_for("orders cancelled, none is left.", times=2)
        bots.signal(signal.SIGINT)
        assert bots.end() == 1, bots.text
    assert open_symbols(exchange) == set()
    table = bots.lines[-3:]
    assert [line.split()[:4] for line in table] == [
        ["XBTUSD", "XBTUSD", "layered", "SIGKILL"],
        ["ETHUSD", "ETHUSD", "grid", "0"],
        ["XBTUSDT", "XBTUSDT", "Breaking", "1"],
    ]
    assert max(map(len, table)) <= 80
    fills = sum("Execution: " in line for line in lines_of(bots, "XBTUSD"))
    assert fills <= int(table[0].split()[4]) <= fills + 1, "one may be booked and not yet said"
    assert all(" | " in line for line in lines_of(bots, "ETHUSD") if line not in table)
    assert {path.suffix for path in tmp_path.glob("marketmaker/*.[rb]*")} == {".rate", ".burst"}
    assert exchange.secret not in bots.text


def test_without_their_supervisor_all_bots_end_and_the_exchange_after_them(
    tmp_path: Path,
) -> None:
    write_bots(
        tmp_path,
        '{"symbol": "XBTUSD"}',
        '{"symbol": "XBTUSD", "name": "far", "ORDERID_PREFIX": "far_", "INTERVAL": 0.001}',
    )
    with running(ALL, tmp_path, environment()) as bots:
        (port,) = {
            bots.wait_for("Connecting to ws", times).rpartition(":")[2].partition("/")[0]
            for times in (1, 2)
        }
        bots.wait_for("Dead man's switch armed", times=2)
        bots.signal(signal.SIGKILL)
        bots.wait_for("Position still open", times=2)
        for name in ("XBTUSD", "far"):
            text = "\n".join(lines_of(bots, name))
            assert "All orders are cancelled: the exchange lists none of ours." in text
        assert bots.text.count("stays armed for another bot") <= 1
        until(lambda: not is_open(int(port)))


def is_open(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


def test_the_folder_of_a_killed_supervisor_goes_with_the_next_start(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    names = ("left", "supervised", "with-a-bot", "young", "of-another-program")
    folders = [tmp_path / f"marketmaker-bots-{name}" for name in names]
    held = []
    for name, folder in zip(names, folders, strict=True):
        folder.mkdir()
        if name != "of-another-program":
            lock = FileLock(folder / "supervisor.lock")
            held += [lock] if name == "supervised" else []
            if name != "supervised":
                lock.release()
        bot = FileLock(folder / "simulator-XBTUSD-mm.sqlite3.lock")
        held += [bot] if name == "with-a-bot" else []
        if name != "with-a-bot":
            bot.release()
        age_s = 0 if name == "young" else 3600
        os.utime(folder, (time.time() - age_s, time.time() - age_s))
    _remove_abandoned(time.time())
    assert sorted(tmp_path.iterdir()) == sorted(folders[1:])
    for lock in held:
        lock.release()
    _remove_abandoned(time.time())
    assert sorted(tmp_path.iterdir()) == sorted(folders[3:])


def test_asked_twice_the_bots_hurry(tmp_path: Path) -> None:
    (tmp_path / "lingering.py").write_text(LINGERING)
    write_bots(tmp_path, '{"symbol": "ETHUSD"}', '{"symbol": "XBTUSD", "strategy": "lingering.py"}')
    with running(ALL, tmp_path, environment()) as bots:
        bots.wait_for("Creating 12 orders", times=2)
        bots.signal(signal.SIGHUP)
        bots.wait_for("lingering now")
        bots.signal(signal.SIGTERM)
        assert bots.end() == 0, bots.text
    assert bots.text.count("All orders are cancelled: the exchange lists none of ours.") == 2
    assert "SIGHUP: ending 2 bots." in bots.text


def test_one_that_hangs_is_killed_and_its_orders_go(exchange: Exchange, tmp_path: Path) -> None:
    (tmp_path / "hanging.py").write_text(HANGING)
    write_bots(
        tmp_path,
        '{"symbol": "ETHUSD", "strategy": "hanging.py", "DEADMAN_TIMEOUT": 5}',
        '{"symbol": "XBTUSD", "DEADMAN_TIMEOUT": 5}',
        more="LOOP_INTERVAL = 0.5",
    )
    with running(["-c", IMPATIENT], tmp_path, exchange.env(tmp_path)) as bots:
        until(lambda: open_symbols(exchange) == {"XBTUSD", "ETHUSD"})
        bots.wait_for("ETHUSD has hung for 5 s: killing it.")
        bots.wait_for("ETHUSD was killed by SIGKILL. Still running: 1.")
        until(lambda: open_symbols(exchange) == {"XBTUSD"})
        bots.signal(signal.SIGINT)
        assert bots.end() == 1, bots.text
    assert open_symbols(exchange) == set()


def test_a_changed_file_restarts_the_bot_that_uses_it_and_keeps_its_exchange(
    tmp_path: Path,
) -> None:
    strategy = "from market_maker.market_maker import OrderManager\n\n\nclass Mine(OrderManager):\n"
    (tmp_path / "mine.py").write_text(f'{strategy}    """One."""\n')
    write_bots(
        tmp_path,
        '{"symbol": "ETHUSD"}',
        '{"symbol": "XBTUSD", "strategy": "mine.py", "LOOP_INTERVAL": 0.3}',
    )
    with running(ALL, tmp_path, environment()) as bots:
        bots.wait_for("Creating 12 orders", times=2)
        later = (tmp_path / "mine.py").stat().st_mtime + 5
        (tmp_path / "mine.py").write_text(f'{strategy}    """Two."""\n')
        os.utime(tmp_path / "mine.py", (later, later))
        bots.wait_for("Restarting the market maker...")
        bots.wait_for("Connecting to ws", times=3)
        bots.wait_for("Creating 12 orders", times=3)
        bots.signal(signal.SIGTERM)
        assert bots.end() == 0, bots.text
    connects = [line for line in bots.lines if "Connecting to ws" in line]
    assert len({line.rpartition(" ")[2] for line in connects}) == 1, "one exchange for all"
    assert len([line for line in connects if line.startswith("XBTUSD")]) == 2


def test_a_dry_run_shows_the_orders_of_every_bot(tmp_path: Path) -> None:
    write_bots(tmp_path, '{"symbol": "XBTUSD"}', '{"symbol": "ETHUSD", "strategy": "grid"}')
    with running([*ALL, "--dry-run"], tmp_path, environment()) as bots:
        for name in ("XBTUSD", "ETHUSD"):
            bots.wait_for(f"{name} | nothing was sent")
        bots.signal(signal.SIGINT)
        assert bots.end() == 0, bots.text
    assert "Creating" not in bots.text


def test_check_goes_through_all_bots(tmp_path: Path) -> None:
    write_bots(tmp_path, '{"symbol": "XBTUSD"}', '{"symbol": "NOSUCH"}', '{"symbol": "ETHUSD"}')
    with running([*ALL, "check"], tmp_path, environment()) as check:
        assert check.end() == 1
    assert [line for line in check.lines if line.startswith("BOTS[")] == [
        "BOTS[0] (XBTUSD), XBTUSD",
        "BOTS[1] (NOSUCH), NOSUCH",
        "BOTS[2] (ETHUSD), ETHUSD",
    ]
    assert len([line for line in check.lines if line.startswith("Position")]) == 2


def test_cancel_all_of_the_bot_s_own_leaves_the_orders_of_others(
    exchange: Exchange, tmp_path: Path
) -> None:
    by_hand = {"symbol": "XBTUSD", "side": "Buy", "orderQty": 100, "price": 50_000}
    (placed,) = exchange.connector.place([{**by_hand, "clOrdID": "by hand"}])
    command = [*ALL, "XBTUSD"]
    with running(command, tmp_path, exchange.env(tmp_path)) as bot:
        bot.wait_for("Creating 12 orders")
        until(lambda: len(exchange.open_orders()) > 10)
        bot.signal(signal.SIGKILL)
        bot.end()
    own = [*ALL, "cancel-all", "--own", "XBTUSD"]
    with running(own, tmp_path, exchange.env(tmp_path)) as sweep:
        assert sweep.end() == 0, sweep.text
    assert sweep.lines[-1].endswith(" orders cancelled, none is left.")
    assert [row["clOrdID"] for row in exchange.open_orders()] == ["by hand"]
    exchange.connector.cancel([placed.row["orderID"]])
