"""`marketmaker XBTUSD` on an exchange that speaks OKX's language, over real sockets."""

import contextlib
import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from market_maker.auth.okx import OkxSigner
from market_maker.exchanges.transport import HttpTransport
from market_maker.model.contracts import Contract
from market_maker.model.wire import Answer, Request

ROOT = Path(__file__).resolve().parent.parent
CONTRACT = Contract("XBTUSD", -100_000_000, True, lot_size=100)
STRATEGY = """
import json, sys
from market_maker.market_maker import OrderManager


class Bookkeeper(OrderManager):
    def on_start(self):
        self.book = open("fills.jsonl", "w")
        self.end_s = self.clock.monotonic() + self.settings.MY_SECONDS

    def on_fill(self, fill):
        print(json.dumps(fill), file=self.book, flush=True)

    def place_orders(self):
        if self.clock.monotonic() > self.end_s:
            raise KeyboardInterrupt
        super().place_orders()


Bookkeeper().run_loop()
"""


class Exchange(NamedTuple):
    """A running `marketmaker simulate --dialect okx` and its one account."""

    base_url: str
    key: str
    secret: str
    passphrase: str

    def get(self, path: str, **query: str) -> list[dict[str, Any]]:
        (answer,) = self._transport().send([Request("GET", f"/api/v5{path}", query)])
        assert answer.status == 200, answer
        data: list[dict[str, Any]] = answer.body["data"]
        return data

    def post(self, path: str, body: Any) -> Answer:
        return self._transport().send([Request("POST", f"/api/v5{path}", None, body)])[0]

    def _transport(self) -> HttpTransport:
        signer = OkxSigner(self.key, self.secret, self.passphrase, time.time)
        return HttpTransport(self.base_url.partition("/api")[0], signer)

    def environ(self, **more: str) -> dict[str, str]:
        return {
            **os.environ,
            "PYTHONPATH": str(ROOT),
            "EXCHANGE": "okx-demo",
            "BASE_URL": self.base_url,
            "OKX_API_KEY": self.key,
            "OKX_API_SECRET": self.secret,
            "OKX_API_PASSPHRASE": self.passphrase,
            **more,
        }


@contextlib.contextmanager
def simulate(*options: str) -> Iterator[Exchange]:
    command = [sys.executable, "-m", "market_maker", "simulate", "--json", "--parent-pipe"]
    command += ["--dialect", "okx", "--seed", "1", *options]
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
    with simulate("--market", "busy") as running:
        yield running


def trade(exchange: Exchange, folder: Path, seconds: float, settings: str = "") -> str:
    """Run the default strategy for so long, then compare its books with the exchange's."""
    (folder / "strategy.py").write_text(STRATEGY)
    (folder / "settings.py").write_text(
        f'MY_SECONDS = {seconds}\nON_STOP = "flatten"\nWATCHED_FILES = []\n'
        f"STATE_DIR = {str(folder)!r}\n{settings}"
    )
    command = [sys.executable, "strategy.py", "XBTUSD"]
    ended = subprocess.run(
        command,
        cwd=folder,
        env=exchange.environ(),
        capture_output=True,
        text=True,
        timeout=seconds + 60,
    )
    assert ended.returncode == 0, ended.stderr[-3000:]
    fills = [json.loads(line) for line in (folder / "fills.jsonl").read_text().splitlines()]
    assert fills
    signed = [f["lastQty"] if f["side"] == "Buy" else -f["lastQty"] for f in fills]
    costs = [CONTRACT.cost(q, f["lastPx"]) for q, f in zip(signed, fills, strict=True)]
    fees = sum(f["execComm"] for f in fills)
    positions = exchange.get("/account/positions", instId="BTC-USD-SWAP")
    assert sum(signed) == 100 * sum(float(row["pos"]) for row in positions)
    assert len({f["execID"] for f in fills}) == len(fills)
    assert exchange.get("/trade/orders-pending") == []
    (balance,) = exchange.get("/account/balance")
    (detail,) = [row for row in balance["details"] if row["ccy"] == "BTC"]
    cash = round(float(detail["cashBal"]) * 1e8)
    booked = 100_000_000 - sum(costs) - fees
    print(f"fills {len(fills)}, contracts {sum(map(abs, signed))}, fees {fees} sat")
    print(f"position {sum(signed)} and {positions}; balance {booked} booked, {cash} at OKX")
    assert sum(signed) == 0
    assert abs(cash - booked) <= len(fills)  # a satoshi of rounding each
    return ended.stderr


@pytest.mark.parametrize("entry", ["ws", "rest"])
def test_the_bot_trades_over_sockets_and_its_books_are_the_exchanges(
    exchange: Exchange, tmp_path: Path, entry: str
) -> None:
    said = trade(exchange, tmp_path, 12, f'OKX_ORDER_ENTRY = "{entry}"\n')
    assert "(demo)" in said
    assert "429" not in said
    assert "Too Many" not in said
    assert "Traceback" not in said


@pytest.mark.parametrize("entry", ["ws", "rest"])
def test_on_a_wire_that_breaks_the_books_agree_too(tmp_path: Path, entry: str) -> None:
    trouble = [
        "close:start=4",
        "drop-answer:for=13,p=0.05,path=/trade",
        "late-answer:for=13,p=0.1,seconds=0.5",
        "502:for=13,p=0.05,path=/trade/",
        "duplicate:for=13,p=0.1",
        "freeze:start=8,for=2",
        "refuse:start=10,for=1",
    ]
    options = [word for fault in trouble for word in ("--fault", fault)]
    with simulate("--market", "busy", *options) as exchange:
        said = trade(exchange, tmp_path, 15, f'OKX_ORDER_ENTRY = "{entry}"\nTIMEOUT = 2\n')
    assert "Traceback" not in said


@pytest.mark.slow
def test_for_ten_minutes_of_a_busy_market_the_books_agree(
    exchange: Exchange, tmp_path: Path
) -> None:
    said = trade(exchange, tmp_path, 600)
    assert "Too Many" not in said
    assert "Traceback" not in said


def run(exchange: Exchange, folder: Path, symbol: str = "XBTUSD", **environ: str) -> Any:
    command = [sys.executable, "-m", "market_maker", symbol]
    env = exchange.environ(STATE=str(folder), **environ)
    return subprocess.run(command, cwd=folder, env=env, capture_output=True, text=True, timeout=60)


@pytest.mark.parametrize(
    ("symbol", "environ", "words"),
    [
        ("XBTUSD", {"OKX_API_KEY": "wrong"}, "the exchange refuses the key: Invalid OK-ACCESS-KEY"),
        ("XBTUSD", {"OKX_API_SECRET": "wrong"}, "Invalid Sign"),
        ("XBTUSD", {"OKX_API_PASSPHRASE": "wrong"}, "OK-ACCESS-PASSPHRASE incorrect"),
        ("BTC-USD-SWOP", {}, "OKX has no BTC-USD-SWOP"),
        ("XBTUSD", {"OKX_API_KEY": ""}, "OKX_API_KEY is missing"),
        ("XBTUSD", {"EXCHANGE": "okx"}, "MAX_LOSS is not set"),
    ],
)
def test_what_cannot_trade_is_told_in_a_line_with_exit_code_2(
    exchange: Exchange, tmp_path: Path, symbol: str, environ: dict[str, str], words: str
) -> None:
    ended = run(exchange, tmp_path, symbol, **environ)
    assert ended.returncode == 2, ended.stderr
    assert words in ended.stderr
    assert "Traceback" not in ended.stderr


def test_a_key_without_the_right_to_trade_is_told_with_exit_code_2(tmp_path: Path) -> None:
    with simulate("--permissions", "read") as exchange:
        ended = run(exchange, tmp_path)
    assert ended.returncode == 2, ended.stderr
    assert "the key may not trade: its rights are read_only" in ended.stderr


def test_a_closed_instrument_is_told_with_exit_code_2(tmp_path: Path) -> None:
    with simulate("--fault", "closing") as exchange:
        ended = run(exchange, tmp_path)
    assert ended.returncode == 2, ended.stderr
    assert "OKX has closed XBTUSD" in ended.stderr


def test_no_server_at_the_address_is_told_in_a_line(tmp_path: Path) -> None:
    nowhere = Exchange("http://127.0.0.1:9/", "k" * 8, "s" * 8, "p" * 8)
    ended = run(nowhere, tmp_path)
    assert ended.returncode == 1
    assert "No answer of the exchange: connection refused" in ended.stderr
    assert "Traceback" not in ended.stderr


def test_too_many_calls_are_answered_with_okxs_own_code(exchange: Exchange) -> None:
    answers = [exchange.post("/trade/cancel-order", {"instId": "BTC-USD-SWAP", "ordId": "1"})
               for _ in range(61)]  # fmt: skip
    assert {a.status for a in answers[:60]} == {200}
    assert (answers[60].status, answers[60].body["code"]) == (429, "50011")
