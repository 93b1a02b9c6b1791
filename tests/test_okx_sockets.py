"""`marketmaker XBTUSD` on an exchange that speaks OKX's language, over real sockets."""

import contextlib
import json
import os
import re
import signal
import sqlite3
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
from market_maker.model.rows import Row
from market_maker.model.wire import Answer, Request

ROOT = Path(__file__).resolve().parent.parent
INVERSE = Contract("XBTUSD", -100_000_000, True, lot_size=100)
LINEAR = Contract("XBTUSDT", 1_000_000, False, lot_size=0.0001, settle_currency="USDt")
SMALL = "ORDER_START_SIZE = ORDER_STEP_SIZE = 0.001\n"
START = {"BTC": 10**8, "USDT": 10**11}


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


class Books(NamedTuple):
    """What the bot itself has booked in its journal."""

    fills: list[Row]
    fundings: list[Row]

    @classmethod
    def of(cls, folder: Path) -> "Books":
        (path,) = folder.glob("okx-demo-*.sqlite3")
        with contextlib.closing(sqlite3.connect(path)) as db:
            rows = [json.loads(wire) for (wire,) in db.execute("SELECT wire FROM fills")]
        by_kind = ([r for r in rows if r["execType"] == kind] for kind in ("Trade", "Funding"))
        return cls(*by_kind)

    @property
    def qty(self) -> float:
        sides = {"Buy": 1, "Sell": -1}
        return round(sum(sides[fill["side"]] * fill["lastQty"] for fill in self.fills), 8)

    def cost(self, contract: Contract) -> int:
        """What all was bought for less what it was sold for, in minor units."""
        sides = {"Buy": 1, "Sell": -1}
        return sum(contract.cost(sides[f["side"]] * f["lastQty"], f["lastPx"]) for f in self.fills)

    def fees(self, currency: str, decimals: int) -> int:
        paid = (fill["feeQty"] for fill in self.fills if fill["feeCurrency"] == currency)
        return sum(round(fee * 10**decimals) for fee in paid)

    def funding(self) -> int:
        return sum(row["execComm"] for row in self.fundings)


def has_traded(folder: Path) -> bool:
    return any(folder.glob("okx-demo-*.sqlite3")) and len(Books.of(folder).fills) > 1


def trade(
    exchange: Exchange, folder: Path, seconds: float, settings: str = "", symbol: str = "XBTUSD"
) -> tuple[str, Books]:
    """Run `marketmaker` for so long, on a busy machine until it has traded: what it said, and
    what it booked."""
    (folder / "settings.py").write_text(
        f"WATCHED_FILES = []\nSTATE_DIR = {str(folder)!r}\n{settings}"
    )
    process = subprocess.Popen(
        [sys.executable, "-m", "market_maker", symbol],
        cwd=folder,
        env=exchange.environ(),
        stderr=subprocess.PIPE,
        text=True,
    )
    for wait_s in (seconds, *[1.0] * 30):
        try:
            process.communicate(timeout=wait_s)
        except subprocess.TimeoutExpired:
            if not has_traded(folder):
                continue
        break
    process.send_signal(signal.SIGINT)
    _, said = process.communicate(timeout=60)
    assert process.returncode == 0, said[-3000:]
    assert exchange.get("/trade/orders-pending") == []
    books = Books.of(folder)
    assert len(books.fills) > 1
    assert len({fill["execID"] for fill in books.fills}) == len(books.fills)
    return said, books


def compare_swap(
    exchange: Exchange, books: Books, contract: Contract, inst_id: str, currency: str, unit: float
) -> None:
    """Position and balance, recomputed from the bot's own executions, are the exchange's."""
    decimals = {"BTC": 8, "USDT": 6}[currency]
    held = exchange.get("/account/positions", instId=inst_id)
    assert books.qty == round(unit * sum(float(row["pos"]) for row in held), 8)
    inside = contract.cost(books.qty, float(held[0]["avgPx"])) if books.qty else 0
    fees, funding = books.fees(currency, decimals), books.funding()
    booked = START[currency] - books.cost(contract) + inside - fees - funding
    told = cash(exchange, currency, decimals)
    print(
        f"{inst_id}: {len(books.fills)} fills, fees {fees}, {len(books.fundings)} fundings "
        f"{funding}, position {books.qty:g}; {currency} in minor units: {booked} booked, "
        f"{told} at the exchange"
    )
    assert abs(told - booked) <= len(books.fills) + 1  # a minor unit of rounding each


def cash(exchange: Exchange, currency: str, decimals: int) -> int:
    (balance,) = exchange.get("/account/balance")
    (detail,) = [row for row in balance["details"] if row["ccy"] == currency]
    return round(float(detail["cashBal"]) * 10**decimals)


@pytest.mark.parametrize("entry", ["ws", "rest"])
def test_the_bot_trades_over_sockets_and_its_books_are_the_exchanges(
    exchange: Exchange, tmp_path: Path, entry: str
) -> None:
    said, books = trade(exchange, tmp_path, 8, f'OKX_ORDER_ENTRY = "{entry}"\n')
    compare_swap(exchange, books, INVERSE, "BTC-USD-SWAP", "BTC", 100)
    assert "(demo)" in said
    assert re.search(r"(?<!,)\b429\b", said) is None  # nor a time of day with 429 milliseconds
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
        entry_by = f'OKX_ORDER_ENTRY = "{entry}"\nTIMEOUT = 2\n'
        said, books = trade(exchange, tmp_path, 15, entry_by)
        compare_swap(exchange, books, INVERSE, "BTC-USD-SWAP", "BTC", 100)
    assert "Traceback" not in said


def test_it_trades_the_linear_swap_over_sockets(exchange: Exchange, tmp_path: Path) -> None:
    _, books = trade(exchange, tmp_path, 8, SMALL, "BTC-USDT-SWAP")
    compare_swap(exchange, books, LINEAR, "BTC-USDT-SWAP", "USDT", 0.01)


def test_it_trades_spot_over_sockets(exchange: Exchange, tmp_path: Path) -> None:
    _, books = trade(exchange, tmp_path, 8, f"{SMALL}SPOT_BASE_INVENTORY = 1\n", "BTC-USDT")
    bought = round(books.qty * 10**8)
    assert cash(exchange, "BTC", 8) == START["BTC"] + bought - books.fees("BTC", 8)
    assert cash(exchange, "USDT", 6) == START["USDT"] - books.cost(LINEAR) - books.fees("USDT", 6)


@pytest.mark.slow
def test_for_ten_minutes_of_a_busy_market_the_books_agree(tmp_path: Path) -> None:
    """`pytest -m slow tests/test_okx_sockets.py -k ten_minutes -s` prints the figures."""
    with simulate("--market", "busy", "--fault", "funding:start=100,every=200,count=3") as exchange:
        said, books = trade(exchange, tmp_path, 600)
        compare_swap(exchange, books, INVERSE, "BTC-USD-SWAP", "BTC", 100)
    (quotes,) = re.findall(r"Quotes This Run.*", said)[-1:]
    print(quotes)
    assert books.funding() != 0
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
    assert ended.returncode == 2
    assert "No answer of the exchange: connection refused" in ended.stderr
    assert "Traceback" not in ended.stderr


def test_too_many_calls_are_answered_with_okxs_own_code(exchange: Exchange) -> None:
    answers = [exchange.post("/trade/cancel-order", {"instId": "BTC-USD-SWAP", "ordId": "1"})
               for _ in range(61)]  # fmt: skip
    assert {a.status for a in answers[:60]} == {200}
    assert (answers[60].status, answers[60].body["code"]) == (429, "50011")
