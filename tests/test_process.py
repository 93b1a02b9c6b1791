"""The program as its user runs it: real processes, signals, sockets and files."""

import os
import re
import signal
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.process import ROOT, Exchange, environment, running, until

BOT = ["-m", "market_maker", "XBTUSD"]
STRATEGY = """\
from market_maker.market_maker import OrderManager


class Breaking(OrderManager):
    rounds = 0

    def place_orders(self):
        super().place_orders()
        self.rounds += 1
        if self.rounds == 3:
            raise RuntimeError("a bug of the strategy")


Breaking().run_loop()
"""
HANGING = """\
import time
from market_maker.market_maker import OrderManager


class Hanging(OrderManager):
    def place_orders(self):
        super().place_orders()
        print("hanging now", flush=True)
        time.sleep(60)


Hanging().run_loop()
"""
LINGERING = """\
import time
from market_maker.market_maker import OrderManager


class Lingering(OrderManager):
    def on_stop(self):
        print("lingering now", flush=True)
        time.sleep(60)


Lingering().run_loop()
"""
DEAF = """\
import time
from market_maker.market_maker import OrderManager


class Deaf(OrderManager):
    def hang(self):
        print("hanging now", flush=True)
        while True:
            try:
                time.sleep(60)
            except BaseException:
                print("swallowed", flush=True)

    def place_orders(self):
        super().place_orders()
        if STAGE == "place_orders":
            self.hang()

    def on_stop(self):
        if STAGE == "on_stop":
            self.hang()


Deaf().run_loop()
"""
TAKING = """\
from market_maker.market_maker import OrderManager


class Taking(OrderManager):
    def place_orders(self):
        if not self.exchange.get_delta():
            price = self.get_ticker()["sell"] + 50
            self.exchange.bitmex.buy(500, price, {"execInst": ""})


Taking().run_loop()
"""

pytestmark = pytest.mark.skipif(os.name == "nt", reason="signals work otherwise on Windows")


@pytest.fixture(scope="module")
def exchange(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Exchange]:
    started = Exchange(tmp_path_factory.mktemp("exchange"))
    yield started
    started.close()


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_a_signal_leaves_no_order_and_exit_code_0(
    exchange: Exchange, tmp_path: Path, number: int
) -> None:
    with running(BOT, tmp_path, exchange.env(tmp_path)) as bot:
        bot.wait_for("Creating")
        until(lambda: len(exchange.open_orders()) >= 10)
        bot.signal(number)
        assert bot.end() == 0, bot.text
    assert exchange.open_orders() == []
    assert "the exchange lists none of ours" in bot.text
    assert "Traceback" not in bot.text
    assert exchange.secret not in bot.text


def test_where_the_time_went_is_shown_at_the_end(exchange: Exchange, tmp_path: Path) -> None:
    with running([*BOT, "--latency"], tmp_path, exchange.env(tmp_path)) as bot:
        until(lambda: len(exchange.open_orders()) >= 10)
        bot.wait_for("Ticker", times=2)
        bot.signal(signal.SIGINT)
        assert bot.end() == 0, bot.text
    table = bot.lines[bot.lines.index(next(x for x in bot.lines if x.startswith("Latency, us"))) :]
    counts = {line[:16].strip(): int(line[16:28].replace(",", "")) for line in table[1:9]}
    assert {"receive", "parse", "apply", "wake", "send", "acknowledge"} <= {
        stage for stage, count in counts.items() if count
    }
    assert counts["parse"] >= counts["receive"]


def test_a_signal_while_it_starts_leaves_no_order(exchange: Exchange, tmp_path: Path) -> None:
    with running(BOT, tmp_path, exchange.env(tmp_path)) as bot:
        bot.wait_for("Resetting current position")
        bot.signal(signal.SIGTERM)
        assert bot.end() == 0, bot.text
    assert exchange.open_orders() == []


def test_impatience_does_not_stop_the_clean_up(exchange: Exchange, tmp_path: Path) -> None:
    with running(BOT, tmp_path, exchange.env(tmp_path)) as bot:
        until(lambda: exchange.open_orders())
        for _ in range(3):
            bot.signal(signal.SIGINT)
        assert bot.end() == 0, bot.text
    assert exchange.open_orders() == []


def test_an_exception_in_place_orders_leaves_no_order_and_exit_code_1(
    exchange: Exchange, tmp_path: Path
) -> None:
    (tmp_path / "my_strategy.py").write_text(STRATEGY)
    with running(["my_strategy.py", "XBTUSD"], tmp_path, exchange.env(tmp_path)) as bot:
        bot.wait_for("Creating")
        assert bot.end() == 1, bot.text
    assert exchange.open_orders() == []
    assert "RuntimeError: a bug of the strategy" in bot.text


def test_a_killed_bots_orders_are_cleared_by_the_next_start(
    exchange: Exchange, tmp_path: Path
) -> None:
    with running(BOT, tmp_path, exchange.env(tmp_path)) as bot:
        until(lambda: len(exchange.open_orders()) >= 10)
        bot.wait_for("XBTUSD Ticker", times=2)
        bot.kill()
    left = {row["orderID"] for row in exchange.open_orders()}
    assert left
    with running(BOT, tmp_path, exchange.env(tmp_path)) as bot:
        bot.wait_for("Creating")
        assert not left & {row["orderID"] for row in exchange.open_orders()}
        bot.signal(signal.SIGTERM)
        assert bot.end() == 0, bot.text
    assert exchange.open_orders() == []


def test_a_second_bot_stops_with_one_line_and_code_2_until_the_first_is_killed(
    exchange: Exchange, tmp_path: Path
) -> None:
    env = exchange.env(tmp_path)
    with running(BOT, tmp_path, env) as bot:
        until(lambda: exchange.open_orders())
        with running(BOT, tmp_path, env) as second:
            assert second.end() == 2, second.text
        assert f"process {bot.pid} trades here already" in second.text
        assert "Traceback" not in second.text
        bot.kill()
    with running(BOT, tmp_path, env) as bot:
        bot.wait_for("Creating")
        bot.signal(signal.SIGTERM)
        assert bot.end() == 0, bot.text


def test_a_state_dir_that_cannot_be_written_is_one_line(exchange: Exchange, tmp_path: Path) -> None:
    (tmp_path / "settings.py").write_text("STATE_DIR = 'settings.py/state'\n")
    with running(BOT, tmp_path, exchange.env(tmp_path)) as bot:
        assert bot.end() == 1, bot.text
    (line,) = [line for line in bot.lines if "cannot be used" in line]
    assert "settings.py/state" in line
    assert "Traceback" not in bot.text


def test_a_wrong_key_ends_with_one_line_and_code_2(exchange: Exchange, tmp_path: Path) -> None:
    env = exchange.env(tmp_path) | {"BITMEX_API_SECRET": "x" * 48}
    with running(BOT, tmp_path, env) as bot:
        assert bot.end() == 2, bot.text
    assert "refuses the key" in bot.text
    assert "Traceback" not in bot.text


def test_it_needs_no_account_and_no_network_even_behind_a_dead_proxy(tmp_path: Path) -> None:
    dead = "http://127.0.0.1:9"
    env = environment(HTTP_PROXY=dead, http_proxy=dead, HTTPS_PROXY=dead, ALL_PROXY=dead)
    with running(BOT, tmp_path, env) as bot:
        bot.wait_for("No settings.py here: built-in exchange, play money.")
        bot.wait_for("Creating 12 orders")
        bot.signal(signal.SIGINT)
        assert bot.end() == 0, bot.text
    assert "the exchange lists none of ours" in bot.text
    assert "(play money)" in bot.text
    assert re.search(
        r"^\d{4}-\d\d-\d\d \d\d:\d\d:\d\d,\d{3} - INFO - market_maker - ", bot.text, re.M
    )


def test_a_changed_file_restarts_it_with_account_and_position_kept(tmp_path: Path) -> None:
    settings = tmp_path / "settings.py"
    settings.write_text("MIN_REQUOTE_INTERVAL = 0.2\nMIN_SPREAD = 0.00005\nSIM_SEED = 4\n")
    with running(BOT, tmp_path, environment()) as bot:
        bot.wait_for("Execution: ")
        stamp = settings.stat().st_mtime + 10
        os.utime(settings, (stamp, stamp))
        bot.wait_for("Restarting the market maker...")
        before = len(bot.lines)
        bot.wait_for("Creating", times=1 + sum("Creating" in line for line in bot.lines[:before]))
        bot.signal(signal.SIGTERM)
        assert bot.end() == 0, bot.text
    assert bot.text.count("Restarting the market maker...") == 1
    start = bot.text.index("Restarting the market maker...")
    bought = sum(
        (1 if match[0] == "Buy" else -1) * int(match[1])
        for match in re.findall(r"Execution: (Buy|Sell) (\d+) ", bot.text[:start])
    )
    (position,) = re.findall(r"Current Contract Position: (-?\d+)", bot.text[start:])[:1]
    later = re.findall(r"Execution: ", bot.text[start : bot.text.index(position, start)])
    assert later or int(position) == bought


@pytest.mark.parametrize("command", ["my_strategy.py", str(ROOT / "marketmaker")])
def test_it_restarts_however_it_was_started(
    exchange: Exchange, tmp_path: Path, command: str
) -> None:
    strategy = tmp_path / "my_strategy.py"
    strategy.write_text((ROOT / "market_maker" / "custom_strategy.py").read_text())
    (tmp_path / "settings.py").write_text("MIN_REQUOTE_INTERVAL = 0.2\n")
    watched = strategy if command == strategy.name else tmp_path / "settings.py"
    with running([command, "XBTUSD"], tmp_path, exchange.env(tmp_path)) as bot:
        bot.wait_for("Creating")
        old = {row["orderID"] for row in until(exchange.open_orders)}
        stamp = watched.stat().st_mtime + 10
        os.utime(watched, (stamp, stamp))
        bot.wait_for(f"{watched.name} has changed.")
        bot.wait_for("Using symbol XBTUSD", times=2)
        new = until(lambda: {row["orderID"] for row in exchange.open_orders()} - old)
        assert not old & {row["orderID"] for row in exchange.open_orders()}
        assert new
        bot.signal(signal.SIGTERM)
        assert bot.end() == 0, bot.text
    assert exchange.open_orders() == []


def test_a_half_saved_strategy_does_not_end_it(exchange: Exchange, tmp_path: Path) -> None:
    settings = tmp_path / "settings.py"
    settings.write_text("MIN_REQUOTE_INTERVAL = 0.2\n")
    with running(BOT, tmp_path, exchange.env(tmp_path)) as bot:
        bot.wait_for("Creating")
        settings.write_text("MIN_REQUOTE_INTERVAL = (0.2")
        stamp = settings.stat().st_mtime + 10
        os.utime(settings, (stamp, stamp))
        bot.wait_for("cannot be used")
        bot.signal(signal.SIGTERM)
        assert bot.end() == 0, bot.text
    assert exchange.open_orders() == []


def test_a_dry_run_places_nothing_and_needs_no_key(exchange: Exchange, tmp_path: Path) -> None:
    env = exchange.env(tmp_path)
    del env["BITMEX_API_KEY"], env["BITMEX_API_SECRET"]
    with running([*BOT, "--dry-run"], tmp_path, env) as bot:
        bot.wait_for("nothing was sent")
        assert exchange.open_orders() == []
        bot.signal(signal.SIGINT)
        assert bot.end() == 0, bot.text
    assert "assumed" in bot.text
    assert bot.text.rstrip().count("Traceback") == 0


def test_a_hung_strategy_lets_the_exchange_cancel_its_orders(
    exchange: Exchange, tmp_path: Path
) -> None:
    (tmp_path / "settings.py").write_text("DEADMAN_TIMEOUT = 5\nLOOP_INTERVAL = 1\n")
    (tmp_path / "my_strategy.py").write_text(HANGING)
    with running(["my_strategy.py", "XBTUSD"], tmp_path, exchange.env(tmp_path)) as bot:
        bot.wait_for("hanging now")
        assert exchange.open_orders()
        until(lambda: not exchange.open_orders())
        bot.signal(signal.SIGINT)
        assert bot.end() == 0, bot.text
    assert "cancels every order of the account, also those placed by hand" in bot.text


def test_a_second_signal_interrupts_a_hung_on_stop_and_the_orders_are_cancelled(
    exchange: Exchange, tmp_path: Path
) -> None:
    (tmp_path / "my_strategy.py").write_text(LINGERING)
    with running(["my_strategy.py", "XBTUSD"], tmp_path, exchange.env(tmp_path)) as bot:
        until(lambda: len(exchange.open_orders()) >= 10)
        bot.signal(signal.SIGINT)
        bot.wait_for("lingering now")
        bot.signal(signal.SIGINT)
        assert bot.end() == 0, bot.text
    assert "on_stop was interrupted" in bot.text
    assert exchange.open_orders() == []


def test_no_sleep_outlasts_a_burst_of_signals(exchange: Exchange, tmp_path: Path) -> None:
    (tmp_path / "my_strategy.py").write_text(LINGERING)
    with running(["my_strategy.py", "XBTUSD"], tmp_path, exchange.env(tmp_path)) as bot:
        until(lambda: len(exchange.open_orders()) >= 10)
        bot.signal(signal.SIGINT)
        bot.wait_for("lingering now")  # on the very way into its sleep
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            bot.signal(number)
        assert bot.end() == 0, bot.text
    assert exchange.open_orders() == []


@pytest.mark.parametrize("stage", ["place_orders", "on_stop"])
def test_a_strategy_that_swallows_every_signal_keeps_no_order_in_the_book(
    exchange: Exchange, tmp_path: Path, stage: str
) -> None:
    (tmp_path / "my_strategy.py").write_text(f"STAGE = {stage!r}\n{DEAF}")
    with running(["my_strategy.py", "XBTUSD"], tmp_path, exchange.env(tmp_path)) as bot:
        until(lambda: len(exchange.open_orders()) >= 10)
        if stage == "on_stop":
            bot.signal(signal.SIGTERM)
        bot.wait_for("hanging now")
        for times in (1, 2):
            time.sleep(0.4)  # signals closer to each other are one wish
            bot.signal(signal.SIGTERM)
            bot.wait_for("swallowed", times)
        time.sleep(0.4)
        bot.signal(signal.SIGTERM)
        assert bot.end() == 1, bot.text
    assert "ending the run without it" in bot.text
    assert exchange.open_orders() == []


def test_a_loss_ends_with_code_3_and_a_closed_position_until_somebody_resumes(
    exchange: Exchange, tmp_path: Path
) -> None:
    env = exchange.env(tmp_path)
    (tmp_path / "settings.py").write_text("MAX_LOSS = 0.0000001\nON_STOP = 'flatten'\n")
    (tmp_path / "my_strategy.py").write_text(TAKING)
    before = sum(row.get("currentQty") or 0 for row in exchange.rows("position"))
    if before:  # of an earlier test: not this run's to keep
        exchange.connector.call("POST", "/order", None, close_order(before))
    with running(["my_strategy.py", "XBTUSD"], tmp_path, env) as bot:
        assert bot.end() == 3, bot.text
    assert re.search(r"Stopping: lost 0\.0000\d+ XBT in this run, MAX_LOSS is 0.0000001", bot.text)
    assert "The position is closed." in bot.text
    assert exchange.open_orders() == []
    assert sum(row.get("currentQty") or 0 for row in exchange.rows("position")) == 0
    for _ in range(2):
        with running(BOT, tmp_path, env) as bot:
            assert bot.end() == 3, bot.text
        assert "'marketmaker resume XBTUSD' lets it trade again" in bot.text
        assert "Traceback" not in bot.text
    with running(["-m", "market_maker", "resume", "XBTUSD"], tmp_path, env) as resume:
        assert resume.end() == 0, resume.text
    assert "It may trade XBTUSD again." in resume.text
    (tmp_path / "settings.py").write_text("")
    with running(BOT, tmp_path, env) as bot:
        bot.wait_for("Creating")
        bot.signal(signal.SIGTERM)
        assert bot.end() == 0, bot.text


def close_order(qty: int) -> dict[str, object]:
    side = "Sell" if qty > 0 else "Buy"
    return {"symbol": "XBTUSD", "side": side, "orderQty": abs(qty), "ordType": "Market"}
