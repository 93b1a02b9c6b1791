"""SIGKILL at random moments of real processes, and what the next start makes of it."""

import os
import random
import signal
import sqlite3
import time
from collections import Counter
from pathlib import Path

import pytest

from market_maker import cli, market_maker
from tests.process import Exchange, running, until

BOT = ["-m", "market_maker", "XBTUSD"]
SETTINGS = "MIN_REQUOTE_INTERVAL = 0.05\nMIN_SPREAD = 0.00005\nORDER_PAIRS = 3\n"
SEED = 20_261_121

pytestmark = pytest.mark.skipif(os.name == "nt", reason="signals work otherwise on Windows")


def kill_and_restart(kills: int, folder: Path) -> None:
    exchange, rng = Exchange(folder), random.Random(SEED)
    (folder / "settings.py").write_text(SETTINGS)
    env = exchange.env(folder)
    try:
        for number in range(kills):
            with running(BOT, folder, env) as bot:
                bot.wait_for("Got all market data" if number % 2 else "Creating")
                time.sleep(rng.uniform(0.0, 0.8))
                bot.kill()
            sides = Counter(row["side"] for row in exchange.open_orders())
            assert max(sides.values(), default=0) <= 3, f"doubled after kill {number}, seed {SEED}"
        with running(BOT, folder, env) as bot:
            bot.wait_for("Creating")
            until(lambda: len(exchange.open_orders()) == 6)
            bot.signal(signal.SIGTERM)
            assert bot.end() == 0, bot.text
        assert exchange.open_orders() == []
        ids = [row["clOrdID"] for row in exchange.rows("order", count=500, reverse="true")]
        assert len(ids) == len(set(ids)), "a request was sent twice"
    finally:
        exchange.close()
    (journal,) = folder.rglob("*.sqlite3")
    with sqlite3.connect(journal) as db:
        (count,) = db.execute("SELECT count(*) FROM outbox WHERE state = 'NEW'").fetchone()
    assert count == 0


def test_five_kills_double_and_orphan_nothing(tmp_path: Path) -> None:
    kill_and_restart(5, tmp_path)


def fork_bot(folder: Path, env: dict[str, str]) -> int:
    """The program in a process of its own, without the half second that its start takes."""
    assert market_maker.OrderManager, "all of it is loaded before the fork"
    pid = os.fork()
    if pid:
        return pid
    code = 1
    try:
        os.chdir(folder)
        os.environ.clear()
        os.environ.update(env)
        log = os.open("bot.log", os.O_WRONLY | os.O_CREAT | os.O_APPEND)
        os.dup2(log, 1)
        os.dup2(log, 2)
        code = cli.main(["XBTUSD"])
    finally:
        os._exit(code)


def end(pid: int, number: int) -> int:
    os.kill(pid, number)
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])


def kill_forks(kills: int, folder: Path, seed: int) -> Counter[str]:
    """Kill so many forked bots, anywhere from their first line on; what rested at each death."""
    exchange, rng = Exchange(folder), random.Random(seed)
    (folder / "settings.py").write_text(SETTINGS)
    env, found = exchange.env(folder), Counter[str]()
    try:
        for number in range(kills):
            pid = fork_bot(folder, env)
            if rng.random() < 0.5:  # while it starts and clears up, or while it quotes
                until(exchange.open_orders)
            time.sleep(rng.uniform(0.0, 0.8))
            assert end(pid, signal.SIGKILL) == -signal.SIGKILL
            sides = Counter(row["side"] for row in exchange.open_orders())
            assert max(sides.values(), default=0) <= 3, f"doubled after kill {number}, seed {seed}"
            found["with orders" if sides else "without"] += 1
        old = {row["orderID"] for row in exchange.open_orders()}
        pid = fork_bot(folder, env)
        until(lambda: len({row["orderID"] for row in exchange.open_orders()} - old) == 6)
        assert end(pid, signal.SIGTERM) == 0, (folder / "bot.log").read_text()[-2_000:]
        assert exchange.open_orders() == []
    finally:
        exchange.close()
    (journal,) = folder.rglob("*.sqlite3")
    with sqlite3.connect(journal) as db:
        (count,) = db.execute("SELECT count(*) FROM outbox WHERE state = 'NEW'").fetchone()
        ids = [row[0] for row in db.execute("SELECT exec_id FROM fills")]
    assert count == 0
    assert len(ids) == len(set(ids)), "a fill was booked twice"
    return found


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(10))
def test_a_thousand_kills_double_and_orphan_nothing(tmp_path: Path, seed: int) -> None:
    assert kill_forks(100, tmp_path, seed)["with orders"] > 10
