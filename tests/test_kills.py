"""SIGKILL at random moments of real processes, and what the next start makes of it."""

import faulthandler
import os
import random
import signal
import sqlite3
import time
from collections import Counter
from contextlib import closing
from decimal import Decimal
from pathlib import Path

import pytest

from market_maker import cli, market_maker
from market_maker.model.rows import Row
from tests.process import Exchange, running, until

BOT = ["-m", "market_maker", "XBTUSD"]
SETTINGS = "MIN_REQUOTE_INTERVAL = 0.05\nMIN_SPREAD = 0.00005\nORDER_PAIRS = 3\n"
SEED = 20_261_121
GRID_SPACE, GRID_SIZE = 2.0, 100
STRATEGIES = {
    "layered": "",
    "inventory": "",
    "avellaneda": "",
    "grid": f"""
GRID_SEED = "cont"
GRID_KIND = "fullfixed"
GRID_SPACE = {GRID_SPACE}
GRID_BUY_LEVELS = GRID_SELL_LEVELS = 3
GRID_BUY_QUANTITY = GRID_SELL_QUANTITY = {GRID_SIZE}
""",
    "decision": """
DECISION_CALL = lambda told: "OPEN_LONG" if int(told["time"]) % 4 < 2 else "OPEN_SHORT"
DECISION_EVERY = 0.2
DECISION_STAKE = 1
""",
}  # what makes each of them trade much in little time

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
        faulthandler.enable(log, all_threads=True)  # where it hung, should it not end
        code = cli.main(["XBTUSD"])
    finally:
        os._exit(code)


def end(pid: int, number: int) -> int:
    """What becomes of the process by this signal: its exit code."""
    os.kill(pid, number)
    try:
        _, status = until(lambda: (found := os.waitpid(pid, os.WNOHANG))[0] and found)
    except AssertionError:
        os.kill(pid, signal.SIGABRT)
        os.waitpid(pid, 0)
        raise
    return os.waitstatus_to_exitcode(status)


def kill_forks(name: str, kills: int, folder: Path, seed: int) -> Counter[str]:
    """Kill so many forked bots, anywhere from their first line on, on a market that fills them;
    what rested at each death, and how many fills there were."""
    exchange = Exchange(folder, "--market", "crash", "--seed", str(seed))
    rng, found = random.Random(seed), Counter[str]()
    (folder / "settings.py").write_text(f"STRATEGY = {name!r}\n" + SETTINGS + STRATEGIES[name])
    env = exchange.env(folder)
    try:
        for number in range(kills):
            pid = fork_bot(folder, env)
            if rng.random() < 0.5:  # while it starts and clears up, or while it quotes
                until(exchange.open_orders)
            time.sleep(rng.uniform(0.0, 0.8))
            assert end(pid, signal.SIGKILL) == -signal.SIGKILL
            orders = exchange.open_orders()
            assert not doubled(name, orders), f"doubled after kill {number}, seed {seed}: {orders}"
            found["with orders" if orders else "without"] += 1
        old = {row["orderID"] for row in exchange.open_orders()}
        pid = fork_bot(folder, env)
        until(lambda: is_whole(name, exchange.open_orders(), old))
        assert end(pid, signal.SIGTERM) == 0, (folder / "bot.log").read_text()[-2_000:]
        assert exchange.open_orders() == []
        found["fills"] = check_books(name, exchange, folder)
    finally:
        exchange.close()
    return found


def doubled(name: str, orders: list[Row]) -> bool:
    """Whether more rests than the strategy ever wants."""
    if name == "grid":
        return max(cells(orders).values(), default=0) > GRID_SIZE
    if name == "decision":
        return len(orders) > 1
    return max(Counter(row["side"] for row in orders).values(), default=0) > 3


def is_whole(name: str, orders: list[Row], old: set[str]) -> bool:
    """Whether all is there that the strategy wants, as the exchange has it."""
    new = [row for row in orders if row["orderID"] not in old]
    if name == "grid":  # levels that the market has passed wait for it: the journal has them all
        return bool(new) and not doubled(name, orders)
    if name == "decision":
        return len(new) == 1
    sides = Counter(row["side"] for row in new)
    return sides["Buy"] == 3 and sides["Sell"] == 3


def cells(orders: list[Row]) -> Counter[int]:
    """What lies between each two prices of the grid, by the lower: to buy there or to sell above.

    A fill turns the one into the other, and a new level begins a new cell.
    """
    found = Counter[int]()
    for row in orders:
        level = int(row["price"] // GRID_SPACE)
        found[level - (row["side"] == "Sell")] += row["orderQty"]
    return found


def is_unbroken(found: Counter[int]) -> bool:
    """Whether each holds one size, from the lowest to the highest."""
    return len(found) == max(found) - min(found) + 1 and set(found.values()) == {GRID_SIZE}


def check_books(name: str, exchange: Exchange, folder: Path) -> int:
    """The journal has what the exchange has, once; how many fills that are."""
    rows: list[Row] = []
    while page := exchange.rows("execution/tradeHistory", count=500, start=len(rows)):
        rows += page
    fills = {row["execID"]: row for row in rows if row["execType"] == "Trade"}
    (path,) = folder.rglob("*.sqlite3")
    with closing(sqlite3.connect(path)) as db:
        (count,) = db.execute("SELECT count(*) FROM outbox WHERE state = 'NEW'").fetchone()
        booked = db.execute("SELECT exec_id, side, last_qty FROM fills WHERE side != ''").fetchall()
        assert count == 0
        assert len(booked) == len({exec_id for exec_id, _, _ in booked}), "booked twice"
        known = {(exec_id, row["side"], row["lastQty"]) for exec_id, row in fills.items()}
        assert set(booked) == known
        position = sum(qty if side == "Buy" else -qty for _, side, qty in booked)
        (row,) = exchange.rows("position")
        assert position == (row["currentQty"] or 0)
        if name == "decision":
            check_lots(db, position, fills)
        if name == "grid":
            levels = db.execute("SELECT side, price, size, settled FROM levels").fetchall()
            owed = [
                {"side": side, "price": float(price), "orderQty": Decimal(size) - Decimal(settled)}
                for side, price, size, settled in levels
            ]
            assert is_unbroken(cells(owed)), levels
    return len(fills)


def check_lots(db: sqlite3.Connection, position: float, fills: dict[str, Row]) -> None:
    """The lots are the position, and no decision was carried out twice."""
    lots = db.execute("SELECT side, qty FROM lots").fetchall()
    assert sum(Decimal(qty) if side == "Buy" else -Decimal(qty) for side, qty in lots) == position
    filled = Counter[str]()
    for row in fills.values():
        filled[row["clOrdID"]] += row["lastQty"]
    orders = db.execute("SELECT cl_ord_id, decision, cum FROM lot_orders").fetchall()
    done = Counter[int]()
    for cl_ord_id, decision, cum in orders:
        assert filled[cl_ord_id] == Decimal(cum)
        done[decision] += Decimal(cum)
    for number, qty in db.execute("SELECT id, qty FROM decisions"):
        assert done[number] <= Decimal(qty), "a decision was carried out twice"


@pytest.mark.parametrize("name", STRATEGIES)
def test_two_kills_of_each_strategy_leave_its_books_right(name: str, tmp_path: Path) -> None:
    assert kill_forks(name, 2, tmp_path, SEED)["fills"]


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(10))
def test_a_thousand_kills_double_and_orphan_nothing(tmp_path: Path, seed: int) -> None:
    assert kill_forks("layered", 100, tmp_path, seed)["with orders"] > 10


@pytest.mark.slow
@pytest.mark.parametrize("name", STRATEGIES)
def test_forty_kills_of_each_strategy_leave_its_books_right(name: str, tmp_path: Path) -> None:
    found = kill_forks(name, 40, tmp_path, 1)
    print(name, dict(found))
    assert found["fills"] > 10 and found["with orders"] > 10
