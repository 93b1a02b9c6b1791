"""SIGKILL at random moments of real processes, and what the next start makes of it."""

import os
import random
import signal
import sqlite3
import time
from collections import Counter
from pathlib import Path

import pytest

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


@pytest.mark.slow
def test_a_thousand_kills_double_and_orphan_nothing(tmp_path: Path) -> None:
    kill_and_restart(1_000, tmp_path)
