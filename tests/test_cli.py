"""The command line: dispatch, exit codes, one clear line for each mistake."""

import os
import re
import subprocess
import sys
import types
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest

from market_maker import cli
from market_maker.commands.help import HELP
from market_maker.exchanges.base import Capabilities, ExchangeError, Result, Status
from market_maker.model.wire import Answer
from market_maker.settings import settings
from market_maker.utils.constants import VERSION
from market_maker.utils.errors import AuthenticationError, NotSupported, StopTrading

ROOT = Path(__file__).resolve().parent.parent
LIVE = "EXCHANGE = 'bitmex'\nBASE_URL = 'http://127.0.0.1:9/api/v1/'\n"
KEYS = "API_KEY = 'the-api-key'\nAPI_SECRET = 'the-api-secret'\n"
INSTRUMENT = {
    "symbol": "XBTUSD",
    "state": "Open",
    "tickSize": 0.5,
    "lotSize": 100,
    "multiplier": -100_000_000,
    "isInverse": True,
    "midPrice": 50_000.0,
    "initMargin": 0.01,
    "takerFee": 0.0005,
}


class FakeConnector:
    """A connector with fixed answers that notes what is asked of it."""

    caps = Capabilities(max_cancel=2)
    account_key = "a1b2c3d4"

    def __init__(self, symbol: str = "XBTUSD") -> None:
        self.symbol = symbol
        self.tables: dict[str, list[dict[str, Any]]] = {
            "instrument": [INSTRUMENT],
            "margin": [{"availableMargin": 100_000_000}],
            "position": [{"symbol": "XBTUSD", "currentQty": -300, "avgEntryPrice": 49_000.5}],
        }
        self.orders: list[dict[str, Any]] = []
        self.answers: dict[tuple[str, str], Answer] = {}
        self.calls: list[tuple[str, str, Any]] = []
        self.cancelled: list[list[str]] = []
        self.stubborn = False
        self.stopped = False

    def stop(self) -> None:
        self.stopped = True

    def server_offset_s(self) -> float:
        return 0.2

    def fetch_rows(self, table: str, **_: Any) -> list[dict[str, Any]]:
        return self.tables[table]

    def fetch_open_orders(self) -> list[dict[str, Any]]:
        return list(self.orders)

    def cancel(self, order_ids: Sequence[str]) -> list[Result]:
        self.cancelled.append(list(order_ids))
        if self.stubborn:
            return [Result(Status.REJECTED, {}, "no") for _ in order_ids]
        self.orders = [row for row in self.orders if row["orderID"] not in order_ids]
        return [Result(Status.OK, {}) for _ in order_ids]

    def call(
        self, verb: str, path: str, query: Mapping[str, Any] | None = None, body: Any = None
    ) -> Answer:
        self.calls.append((verb, path, body))
        return self.answers.get((verb, path), refusal(404, "Not Found"))


def refusal(status: int, message: str) -> Answer:
    return Answer(status, {"error": {"message": message, "name": "HTTPError"}}, {})


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    work = tmp_path / "work"
    work.mkdir()
    monkeypatch.chdir(work)
    for name in ("BASE_URL", "EXCHANGE", "BITMEX_API_KEY", "BITMEX_API_SECRET"):
        monkeypatch.delenv(name, raising=False)
    return work


@pytest.fixture
def connector(monkeypatch: pytest.MonkeyPatch) -> FakeConnector:
    from market_maker import venue

    fake = FakeConnector()

    def open_connector(_: Any, symbol: str, __: Any) -> FakeConnector:
        fake.symbol = symbol
        return fake

    monkeypatch.setattr(venue, "open_connector", open_connector)
    return fake


@pytest.fixture
def bot(monkeypatch: pytest.MonkeyPatch) -> list[tuple[Any, ...]]:
    """Stands in for the bot; notes with which settings it was run."""
    import market_maker

    runs: list[tuple[Any, ...]] = []

    def run() -> None:
        runs.append((settings.SYMBOL, settings.DRY_RUN, settings.LOG_LEVEL))

    fake = types.SimpleNamespace(run=run)
    monkeypatch.setitem(sys.modules, "market_maker.market_maker", fake)
    monkeypatch.setattr(market_maker, "market_maker", fake, raising=False)
    return runs


# -- help -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("argument", "words"),
    [
        ("--speed 0", "must be a number from 0.01 to 1000, was 0"),
        ("--market wild", "invalid choice: 'wild'"),
        ("--mraket busy", "what is '--mraket'? Did you mean --market?"),
        ("--fault dropp", "No fault is named 'dropp'"),
    ],
)
def test_simulate_says_in_one_line_what_is_wrong(
    argument: str, words: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert cli.main(["simulate", *argument.split()]) == 2
    said = capsys.readouterr().err
    assert words in said and said.count("\n") == 1


def test_help_fits_80_columns_and_tells_examples_exit_codes_and_the_risk(
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert cli.main(["--help"]) == 0
    text = capsys.readouterr().out
    assert max(map(len, text.splitlines())) <= 80
    for words in ("examples:", "exit codes: 0 ", "Risk: ", *cli.COMMANDS):
        assert words in text


@pytest.mark.parametrize("command", ["setup", "check", "cancel-all", "withdraw"])
def test_each_command_has_its_help(command: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main([command, "--help"]) == 0
    assert max(map(len, capsys.readouterr().out.splitlines())) <= 80


def test_every_option_stands_in_the_help() -> None:
    for option in (
        "--dry-run",
        "--settings",
        "--bot",
        "--log-level",
        "--yes",
        "--version",
        "--help",
    ):
        assert option in HELP


def test_help_loads_nothing_slow() -> None:
    code = (
        "import sys; from market_maker.cli import main; main(['--help']); "
        "slow = {'requests', 'websocket', 'dotenv', 'logging', 'asyncio', 'sqlite3', 'ssl'}; "
        "assert not slow & set(sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, check=False)
    assert (done.returncode, done.stderr) == (0, b"")


def test_help_answers_in_150_ms() -> None:
    def seconds() -> float:
        """Of the processor, since other work on the machine must not fail this."""
        before = os.times()
        subprocess.run(
            [sys.executable, "-m", "market_maker", "--help"],
            cwd=ROOT,
            stdout=subprocess.DEVNULL,
            check=True,
        )
        after = os.times()
        user_s = after.children_user - before.children_user
        return user_s + after.children_system - before.children_system

    assert min(seconds() for _ in range(3)) < 0.15


def test_version(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["--version"]) == 0
    assert capsys.readouterr().out == f"marketmaker {VERSION}\n"


def test_the_package_runs_the_command_line_as_it_always_did(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    import market_maker

    monkeypatch.setattr(sys, "argv", ["marketmaker", "xbtusd"])
    with pytest.raises(SystemExit) as end:
        market_maker.run()
    assert end.value.code == 2


# -- mistakes -------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("argv", "line"),
    [
        ("setpu", "'setpu' is not a command: did you mean 'setup'?"),
        ("SETPU", "'SETPU' is not a command: did you mean 'setup'?"),
        ("chekc XBTUSD", "'chekc' is not a command: did you mean 'check'?"),
        ("cancelall", "'cancelall' is not a command: did you mean 'cancel-all'?"),
        ("simulat", "'simulat' is not a command: did you mean 'simulate'?"),
        ("setpu --no-copy", "'setpu' is not a command: did you mean 'setup'?"),
        ("xbtusd", "'xbtusd' is not a symbol: did you mean 'XBTUSD'?"),
        ("check xbtusd", "'xbtusd' is not a symbol: did you mean 'XBTUSD'?"),
        ("XBTUSD --dryrun", "what is '--dryrun'? Did you mean --dry-run?"),
        ("XBTUSD ETHUSD", "what is 'ETHUSD'?"),
        ("--settings none.py", "none.py: cannot be read: No such file or directory"),
        ("--log-level loud", "invalid choice: 'loud'"),
        ("withdraw 0.1", "the following arguments are required: address"),
        ("withdraw 0.123456789 abc", "the amount must be XBT with at most 8 decimals"),
        ("withdraw 0 abc", "the amount must be XBT with at most 8 decimals"),
        ("withdraw nan abc", "the amount must be XBT with at most 8 decimals"),
        ("withdraw 1 a/b", "'a/b' is no address"),
        ("withdraw 1 abc --fee -1", "the fee must be XBT"),
    ],
)
def test_a_mistake_is_one_line_with_the_nearest_and_code_2(
    argv: str, line: str, capsys: pytest.CaptureFixture[str], bot: list[Any]
) -> None:
    assert cli.main(argv.split()) == 2
    err = capsys.readouterr().err
    assert line in err
    assert err.count("\n") == 1
    assert bot == []


@pytest.mark.parametrize("symbol", ["SETUSD", "XBTUSD", ".BXBT", "BTC-USD-SWAP", "XBTZ26"])
def test_a_symbol_is_not_taken_for_a_misspelt_command(symbol: str) -> None:
    assert cli.symbol_fault(symbol) is None


def test_faults_of_the_settings_are_a_line_each_and_code_2(
    folder: Path, capsys: pytest.CaptureFixture[str], bot: list[Any]
) -> None:
    (folder / "settings.py").write_text("ORDER_PAIRS = 0\nINTERVAL = 'x'\n")
    assert cli.main(["XBTUSD"]) == 2
    assert [line.split(" = ")[0] for line in capsys.readouterr().err.splitlines()] == [
        "ORDER_PAIRS",
        "INTERVAL",
    ]
    assert bot == []


@pytest.mark.parametrize("command", ["strategies", "report", "drill", "state"])
def test_what_trades_no_real_money_needs_no_keys(
    command: str, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("report", "drill"):
        monkeypatch.setattr(f"market_maker.commands.{name}.{name}", lambda *_: 0)
    (folder / "settings.py").write_text(f"EXCHANGE = 'okx'\nSTATE_DIR = {str(folder)!r}\n")
    assert cli.main([command]) == 0


def test_an_old_settings_file_with_an_address_of_bitmex_gets_its_line(
    folder: Path, capsys: pytest.CaptureFixture[str], bot: list[Any]
) -> None:
    (folder / "settings.py").write_text("BASE_URL = 'https://testnet.bitmex.com/api/v1/'\n")
    assert cli.main([]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert "settings.py line 1" in line
    assert "closed on 2026-09-23" in line


# -- run ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("argv", "seen"),
    [
        ([], ("XBTUSD", False, 20)),
        (["ETHUSD"], ("ETHUSD", False, 20)),
        (["--dry-run", "ETHUSD"], ("ETHUSD", True, 20)),
        (["ETHUSD", "--log-level", "DEBUG", "--yes"], ("ETHUSD", False, 10)),
    ],
)
def test_the_command_line_reaches_the_settings_of_the_bot(
    argv: list[str], seen: tuple[Any, ...], bot: list[Any]
) -> None:
    assert cli.main(argv) == 0
    assert bot == [seen]


def test_a_newcomer_is_told_that_it_is_play_money(
    folder: Path, capsys: pytest.CaptureFixture[str], bot: list[Any]
) -> None:
    line = "No settings.py here: built-in exchange, play money. 'marketmaker setup' writes one."
    cli.main(["XBTUSD"])
    assert line in capsys.readouterr().err.splitlines()
    (folder / "settings.py").write_text("")
    cli.main(["XBTUSD"])
    assert "No settings.py" not in capsys.readouterr().err


@pytest.mark.parametrize(
    ("end", "code"),
    [
        (SystemExit(), 0),
        (SystemExit(0), 0),
        (SystemExit(1), 1),
        (SystemExit("gone wrong"), 1),
        (KeyboardInterrupt(), 0),
        (StopTrading("out of funds"), 1),
        (AuthenticationError("no key"), 2),
        (ModuleNotFoundError("No module named 'requests'", name="requests"), 1),
    ],
)
def test_each_end_of_the_bot_has_its_exit_code(
    end: BaseException, code: int, bot: list[Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    def run() -> None:
        raise end

    monkeypatch.setattr(sys.modules["market_maker.market_maker"], "run", run)
    assert cli.main(["XBTUSD"]) == code


def test_an_error_of_a_strategy_keeps_its_traceback(
    bot: list[Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    def run() -> None:
        raise ImportError("cannot import name 'x' from 'mine'")

    monkeypatch.setattr(sys.modules["market_maker.market_maker"], "run", run)
    with pytest.raises(ImportError):
        cli.main(["XBTUSD"])


def test_simulate_hands_its_arguments_on(monkeypatch: pytest.MonkeyPatch) -> None:
    from market_maker.simulator import server

    seen: list[list[str]] = []
    monkeypatch.setattr(server, "main", lambda argv: seen.append(argv) or 0)
    assert cli.main(["SIMULATE", "--port", "0", "--json"]) == 0
    assert seen == [["--port", "0", "--json"]]


# -- check ----------------------------------------------------------------------------------


def check_lines(capsys: pytest.CaptureFixture[str]) -> dict[str, str]:
    return {line[:10].strip(): line[10:] for line in capsys.readouterr().out.splitlines()}


def test_check_shows_everything_and_places_nothing(
    folder: Path, connector: FakeConnector, capsys: pytest.CaptureFixture[str]
) -> None:
    (folder / "settings.py").write_text(LIVE + KEYS)
    rights = [{"id": "the-api-key", "permissions": ["order"]}, {"id": "other"}]
    connector.answers["GET", "/apiKey"] = Answer(200, rights, {})
    connector.orders = [{"orderID": "1", "clOrdID": "mm_bitmex_1"}, {"orderID": "2"}]
    assert cli.main(["check", "XBTUSD"]) == 0
    assert check_lines(capsys) == {
        "Settings": "settings.py: no faults",
        "Strategy": "layered",
        "Exchange": "bitmex at http://127.0.0.1:9/api/v1/",
        "Symbol": "XBTUSD Open, tick 0.5, lot 100",
        "Clock": "the exchange is +0.2 s from ours",
        "Key": "valid; rights: order",
        "Funds": "1.000000 XBT available, the ladder needs 0.000924",
        "Orders": "1 of ours open, 1 of others",
        "Position": "-300 contracts at 49000.5",
    }
    assert {verb for verb, _, _ in connector.calls} == {"GET"}
    assert connector.stopped


def test_check_warns_of_a_key_that_may_withdraw_or_that_others_can_read(
    folder: Path, connector: FakeConnector, capsys: pytest.CaptureFixture[str]
) -> None:
    (folder / "settings.py").write_text(LIVE + KEYS)
    (folder / ".env").write_text("BITMEX_API_KEY=the-api-key\n")
    (folder / ".env").chmod(0o644)
    rights = [{"id": "the-api-key", "permissions": ["order", "withdraw"]}]
    connector.answers["GET", "/apiKey"] = Answer(200, rights, {})
    assert cli.main(["check", "XBTUSD"]) == 0
    lines = check_lines(capsys)
    assert "it may withdraw money" in lines["Key"]
    if os.name != "nt":
        assert "can be read by other users" in lines["Warning"]


@pytest.mark.parametrize(
    ("answer", "line", "code"),
    [
        (refusal(404, "Not Found"), "valid; may trade", 0),
        (refusal(400, "Invalid orderID"), "valid; may trade", 0),
        (refusal(403, "Access Denied"), "may not trade: Access Denied", 1),
        (refusal(401, "Invalid API Key."), "may not trade: Invalid API Key.", 1),
        (refusal(429, "Rate limit exceeded"), "rights unknown: Rate limit exceeded", 0),
        (Answer(0, None, {}, True, "timed out"), "rights unknown: timed out", 0),
    ],
)
def test_where_rights_are_not_listed_an_order_that_cannot_exist_tells_them(
    connector: FakeConnector,
    capsys: pytest.CaptureFixture[str],
    answer: Answer,
    line: str,
    code: int,
) -> None:
    connector.answers["PUT", "/order"] = answer
    assert cli.main(["check"]) == code
    assert check_lines(capsys)["Key"] == line
    nobody = {"orderID": "00000000-0000-0000-0000-000000000000", "leavesQty": 0}
    assert connector.calls[-1] == ("PUT", "/order", nobody)


def test_check_names_the_nearest_symbol(
    connector: FakeConnector, capsys: pytest.CaptureFixture[str]
) -> None:
    known = [{"symbol": "ETHUSD"}, {"symbol": "XBTUSD"}]
    connector.answers["GET", "/instrument/active"] = Answer(200, known, {})
    assert cli.main(["check", "XBTUSDT"]) == 1
    assert check_lines(capsys)["Symbol"] == ("the exchange has no XBTUSDT: did you mean XBTUSD?")


def test_check_says_when_the_funds_do_not_carry_the_ladder(
    connector: FakeConnector, capsys: pytest.CaptureFixture[str]
) -> None:
    connector.tables["margin"] = [{"availableMargin": 1000}]
    assert cli.main(["check"]) == 1
    assert "too little" in check_lines(capsys)["Funds"]


def test_check_counts_the_funds_in_the_currency_that_the_contract_settles_in(
    folder: Path, connector: FakeConnector, capsys: pytest.CaptureFixture[str]
) -> None:
    linear = {"isInverse": False, "multiplier": 100, "settlCurrency": "USDt"}
    connector.tables["instrument"] = [{**INSTRUMENT, **linear}]
    connector.tables["margin"].append({"currency": "USDt", "availableMargin": 5_000_000})
    assert cli.main(["check"]) == 1
    assert check_lines(capsys)["Funds"].startswith("5.000000 USDT available, the ladder needs ")
    (folder / "settings.py").write_text('STRATEGY = "grid"\n')
    assert cli.main(["check"]) == 0
    assert check_lines(capsys)["Funds"] == "5.000000 USDT available"


NOBODY = "No answer of the exchange:"
IS_IT_RIGHT = "Is BASE_URL right, and does the exchange serve you?"


@pytest.mark.parametrize(
    ("error", "line"),
    [
        (ExchangeError(403, "Access Denied"), "The exchange says: Access Denied\n"),
        (ExchangeError(0, "timed out"), "No answer of the exchange: timed out\n"),
        (ExchangeError(0, "connection refused"), f"{NOBODY} connection refused. {IS_IT_RIGHT}\n"),
        (ExchangeError(451, "Not for you."), f"The exchange says: Not for you. {IS_IT_RIGHT}\n"),
        (AuthenticationError("the exchange refuses the key"), "the exchange refuses the key\n"),
        (NotSupported("okx has no such call"), "okx has no such call\n"),
    ],
)
def test_what_the_exchange_refuses_is_one_line(
    error: Exception,
    line: str,
    connector: FakeConnector,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def refuse(*_: Any, **__: Any) -> None:
        raise error

    monkeypatch.setattr(connector, "fetch_rows", refuse)
    assert cli.main(["check"]) == getattr(error, "exit_code", 2 if IS_IT_RIGHT in line else 1)
    assert capsys.readouterr().err == line
    assert connector.stopped


# -- cancel-all -----------------------------------------------------------------------------


def test_cancel_all_cancels_in_batches_and_asks_afterwards(
    folder: Path, connector: FakeConnector, capsys: pytest.CaptureFixture[str]
) -> None:
    (folder / "settings.py").write_text(LIVE + KEYS)
    order = {"side": "Buy", "leavesQty": 100, "price": 5.0, "clOrdID": "mm_bitmex_x"}
    connector.orders = [{**order, "orderID": str(n)} for n in range(3)]
    connector.orders[2]["clOrdID"] = ""
    assert cli.main(["cancel-all", "XBTUSD"]) == 0
    assert connector.cancelled == [["0", "1"], ["2"]]
    assert capsys.readouterr().out.splitlines() == [
        "Canceling: Buy 100 @ 5.0",
        "Canceling: Buy 100 @ 5.0",
        "Canceling: Buy 100 @ 5.0 (not of this bot)",
        "3 cancelled, none left.",
    ]
    assert cli.main(["cancel-all"]) == 0
    assert capsys.readouterr().out == "No open orders of XBTUSD.\n"


def test_orders_that_stay_are_an_error(
    folder: Path, connector: FakeConnector, capsys: pytest.CaptureFixture[str]
) -> None:
    (folder / "settings.py").write_text(LIVE + KEYS)
    connector.orders = [{"orderID": "1", "side": "Buy"}]
    connector.stubborn = True
    assert cli.main(["cancel-all"]) == 1
    assert "1 orders are LEFT." in capsys.readouterr().out


def test_a_dry_run_cancels_nothing(
    folder: Path, connector: FakeConnector, capsys: pytest.CaptureFixture[str]
) -> None:
    (folder / "settings.py").write_text(LIVE + KEYS + "DRY_RUN = True\n")
    connector.orders = [{"orderID": "1", "side": "Buy"}]
    assert cli.main(["cancel-all"]) == 0
    assert connector.cancelled == []
    assert "nothing was sent" in capsys.readouterr().out


def test_the_built_in_exchange_has_nothing_to_cancel(
    connector: FakeConnector, capsys: pytest.CaptureFixture[str]
) -> None:
    connector.orders = [{"orderID": "1"}]
    assert cli.main(["cancel-all"]) == 0
    assert connector.cancelled == []
    assert "starts anew" in capsys.readouterr().out


# -- withdraw -------------------------------------------------------------------------------

SENT = Answer(200, {"transactStatus": "Pending"}, {})
ADDRESS = "bc1qexample"


def test_a_withdrawal_shows_its_units_and_wants_the_amount_again(
    connector: FakeConnector, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    connector.answers["POST", "/user/requestWithdrawal"] = SENT
    monkeypatch.setattr("sys.stdin.isatty", lambda: True)
    monkeypatch.setattr("builtins.input", lambda _: "0.50")
    assert cli.main(["withdraw", "0.5", ADDRESS, "--fee", "0.0001"]) == 0
    body = {
        "currency": "XBt",
        "network": "btc",
        "amount": 50_000_000,
        "address": ADDRESS,
        "fee": 10_000,
    }
    assert connector.calls == [("POST", "/user/requestWithdrawal", body)]
    text = capsys.readouterr().out
    assert "0.50000000 XBT (50000000 satoshi)" in text
    assert "0.00010000 XBT (10000 satoshi)" in text
    assert re.search(r"e-mail or .*second factor", text)
    assert "Pending" in text


@pytest.mark.parametrize("typed", ["0.4", "", "yes"])
def test_another_amount_sends_nothing(
    typed: str, connector: FakeConnector, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sys.stdin.isatty", lambda: True)
    monkeypatch.setattr("builtins.input", lambda _: typed)
    assert cli.main(["withdraw", "0.5", ADDRESS]) == 2
    assert connector.calls == []


def test_without_a_terminal_a_withdrawal_needs_yes(
    connector: FakeConnector, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sys.stdin.isatty", lambda: False)
    assert cli.main(["withdraw", "0.5", ADDRESS]) == 2
    assert "needs --yes" in capsys.readouterr().err
    assert connector.calls == []
    connector.answers["POST", "/user/requestWithdrawal"] = SENT
    assert cli.main(["withdraw", "0.5", ADDRESS, "--yes"]) == 0
    assert "fee" not in connector.calls[0][2]


@pytest.mark.parametrize(
    ("answer", "line"),
    [
        (refusal(403, "Access Denied"), "The exchange refuses: Access Denied"),
        (Answer(0, None, {}, True, "timed out"), "the request may have been taken"),
        (refusal(503, "overloaded"), "the request may have been taken"),
        (Answer(0, None, {}, False, "refused"), "The exchange refuses: refused"),
    ],
)
def test_a_withdrawal_without_a_yes_of_the_exchange_is_an_error(
    answer: Answer, line: str, connector: FakeConnector, capsys: pytest.CaptureFixture[str]
) -> None:
    connector.answers["POST", "/user/requestWithdrawal"] = answer
    assert cli.main(["withdraw", "0.5", ADDRESS, "--yes"]) == 1
    assert line in capsys.readouterr().err
