"""`marketmaker BTCUSDT` on an exchange that speaks Binance's language, over real sockets."""

import contextlib
import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from market_maker.auth.binance import BinanceSigner
from market_maker.exchanges.transport import HttpTransport
from market_maker.model.wire import Request

ROOT = Path(__file__).resolve().parent.parent
STRATEGY = """
import json
from market_maker.market_maker import OrderManager


class Bookkeeper(OrderManager):
    def on_start(self):
        self.book = open("fills.jsonl", "w")
        self.end_s = self.clock.monotonic() + self.settings.MY_SECONDS

    def on_fill(self, fill):
        print(json.dumps(fill), file=self.book, flush=True)

    def place_orders(self):
        if self.clock.monotonic() > self.end_s and self.book.tell():  # it has traded
            raise KeyboardInterrupt
        super().place_orders()


Bookkeeper().run_loop()
"""
SETTINGS = """
MY_SECONDS, WATCHED_FILES, STATE_DIR = {seconds}, [], {folder!r}
ORDER_START_SIZE = ORDER_STEP_SIZE = 0.001
SPOT_BASE_INVENTORY, MIN_SPREAD = 1, 0.0
"""


class Exchange(NamedTuple):
    """A running `marketmaker simulate --dialect binance` and its one account."""

    base_url: str
    key: str
    secret: str

    def get(self, path: str, **query: str) -> Any:
        signer = BinanceSigner(self.key, self.secret, time.time)
        transport = HttpTransport(self.base_url.partition("/api")[0], signer)
        (answer,) = transport.send([Request("GET", f"/api/v3{path}", signer.query(query))])
        assert answer.status == 200, answer
        return answer.body

    def environ(self, **more: str) -> dict[str, str]:
        return {
            **os.environ,
            "PYTHONPATH": str(ROOT),
            "EXCHANGE": "binance-testnet",
            "BASE_URL": self.base_url,
            "BINANCE_API_KEY": self.key,
            "BINANCE_API_SECRET": self.secret,
            **more,
        }


@contextlib.contextmanager
def simulate(*options: str) -> Iterator[Exchange]:
    command = [sys.executable, "-m", "market_maker", "simulate", "--json", "--parent-pipe"]
    command += ["--dialect", "binance", "--seed", "1", *options]
    pipe = subprocess.PIPE
    process = subprocess.Popen(command, stdin=pipe, stdout=pipe, text=True, cwd=ROOT)
    assert process.stdin is not None
    assert process.stdout is not None
    try:
        told = json.loads(process.stdout.readline())
        yield Exchange(told["base_url"], **told["accounts"][0])
    finally:
        process.stdin.close()
        process.wait(10)


@pytest.fixture
def exchange() -> Iterator[Exchange]:
    with simulate() as running:
        yield running


def trade(exchange: Exchange, folder: Path, seconds: float, settings: str = "") -> str:
    """Run the default strategy for so long, then compare its books with the exchange's."""
    (folder / "strategy.py").write_text(STRATEGY)
    text = SETTINGS.format(seconds=seconds, folder=str(folder)) + settings
    (folder / "settings.py").write_text(text)
    ended = subprocess.run(
        [sys.executable, "strategy.py", "BTCUSDT"],
        cwd=folder,
        env=exchange.environ(),
        capture_output=True,
        text=True,
        timeout=seconds + 60,
    )
    assert ended.returncode == 0, ended.stderr[-3000:]
    fills = [json.loads(line) for line in (folder / "fills.jsonl").read_text().splitlines()]
    assert fills, ended.stderr[-3000:]
    base, quote = Decimal(1), Decimal(100_000)
    for fill in fills:
        qty, fee = Decimal(str(fill["lastQty"])), Decimal(str(fill["feeQty"]))
        sign = 1 if fill["side"] == "Buy" else -1
        base += sign * qty - (fee if fill["feeCurrency"] == "BTC" else 0)
        quote -= sign * qty * Decimal(str(fill["lastPx"]))
        quote -= fee if fill["feeCurrency"] == "USDT" else 0
    assert exchange.get("/openOrders", symbol="BTCUSDT") == []
    told = {r["asset"]: r["free"] for r in exchange.get("/account")["balances"]}
    print(f"{len(fills)} fills; {base} BTC, {quote} USDT booked; {told} at the exchange")
    assert (base, quote) == (Decimal(told["BTC"]), Decimal(told["USDT"]))
    return ended.stderr


@pytest.mark.parametrize("per_bot", [True, False])
def test_the_bot_trades_over_sockets_and_its_books_are_the_exchanges(
    exchange: Exchange, tmp_path: Path, per_bot: bool
) -> None:
    said = trade(exchange, tmp_path, 8, f"WS_PER_BOT = {per_bot}\n")
    assert "(demo)" in said
    assert "Too" not in said
    assert "Traceback" not in said


def test_on_a_wire_that_breaks_the_books_agree_too(tmp_path: Path) -> None:
    trouble = [
        "close:start=4",
        "drop-answer:for=13,p=0.05,path=/order",
        "late-answer:for=13,p=0.1,seconds=0.5",
        "502:for=13,p=0.05,path=/order",
        "duplicate:for=13,p=0.1",
        "freeze:start=8,for=2",
        "refuse:start=10,for=1",
    ]
    options = [word for fault in trouble for word in ("--fault", fault)]
    with simulate(*options) as exchange:
        said = trade(exchange, tmp_path, 15, "TIMEOUT = 2\n")
    assert "Traceback" not in said


def test_a_key_without_the_right_to_trade_is_told_with_exit_code_2(tmp_path: Path) -> None:
    with simulate("--permissions", "read") as exchange:
        said = refused(exchange, tmp_path, "BTCUSDT", {})
    assert "the key may not trade" in said


def test_a_halted_symbol_is_told_with_exit_code_2(tmp_path: Path) -> None:
    with simulate("--fault", "closing") as exchange:
        assert "Binance has closed BTCUSDT" in refused(exchange, tmp_path, "BTCUSDT", {})


@pytest.mark.parametrize(
    ("symbol", "environ", "words"),
    [
        ("BTCUSDT", {"BINANCE_API_KEY": "wrong"}, "the exchange refuses the key: Invalid API-key"),
        ("BTCUSDT", {"BINANCE_API_SECRET": "wrong"}, "Signature for this request is not valid"),
        ("XBTUSD", {}, "Binance spot has no XBTUSD"),
        ("BTCUSDT", {"BINANCE_API_KEY": ""}, "BINANCE_API_KEY is missing"),
        ("BTCUSDT", {"EXCHANGE": "binance"}, "MAX_LOSS is not set"),
    ],
)
def test_what_cannot_trade_is_told_in_a_line_with_exit_code_2(
    exchange: Exchange, tmp_path: Path, symbol: str, environ: dict[str, str], words: str
) -> None:
    assert words in refused(exchange, tmp_path, symbol, environ)


def refused(exchange: Exchange, tmp_path: Path, symbol: str, environ: dict[str, str]) -> str:
    """What is said by a run that cannot begin."""
    command = [sys.executable, "-m", "market_maker", symbol]
    (tmp_path / "settings.py").write_text(f"STATE_DIR = {str(tmp_path)!r}\n")
    ended = subprocess.run(
        command,
        cwd=tmp_path,
        env=exchange.environ(**environ),
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert "Traceback" not in ended.stderr
    assert ended.returncode == 2, ended.stderr
    return ended.stderr
