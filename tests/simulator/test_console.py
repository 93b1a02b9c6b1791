"""The command line of the built-in exchange: options, what it shows, and its status line."""

import io
import json
import re
import signal
from pathlib import Path
from typing import Any

import pytest

from market_maker.clock import ManualClock
from market_maker.simulator import server as server_module
from market_maker.simulator.bitmex_tongue import faulty_bitmex
from market_maker.simulator.console import StatusLine
from market_maker.simulator.exchange import Engine
from market_maker.simulator.fault_kinds import KINDS
from market_maker.simulator.faulty_hub import FaultyHub
from market_maker.simulator.market.synthetic import SyntheticMarket
from market_maker.simulator.options import read_options
from market_maker.simulator.server import main
from market_maker.simulator.tongue import Call

DOCS = Path(__file__).parents[2] / "docs/simulator.md"


class Screen(io.StringIO):
    def isatty(self) -> bool:
        return True


def busy_hub() -> tuple[ManualClock, FaultyHub]:
    clock = ManualClock()
    engine = Engine(clock, market=SyntheticMarket(seed=1), seed=1)
    engine.open_account()
    return clock, FaultyHub(faulty_bitmex(engine, "classic"), clock, token="t")


def test_the_status_line_says_how_it_goes() -> None:
    clock, hub = busy_hub()
    line = StatusLine(Screen(), hub)
    hub.faults.add("503:p=0.5")
    hub.faults.add("late-position")
    account = hub.engine.accounts()[0]
    hub.engine.place(account.number, {"symbol": "XBTUSD", "orderQty": 100, "price": 50000})
    for _ in range(5):
        hub.answer(Call("POST", "/api/v1/order", {}, b"{}", "127.0.0.1"))
    clock.sleep(2)
    text = line.text()
    assert text.startswith("12:26:42  XBTUSD ")
    assert "  streams 0  orders 1  2.5/s  faults 503 late-position" in text


def test_the_status_line_is_written_over_itself_and_fits() -> None:
    _, hub = busy_hub()
    for name in KINDS:
        hub.faults.add(f"{name}:start=100")
    screen = Screen()
    line = StatusLine(screen, hub)
    line.show()
    line.show()
    line.end()
    first, second = screen.getvalue().removesuffix("\n").split("\r")[1:]
    assert len(first) == len(second) == 79
    assert "\n" not in first


def test_piped_there_is_no_status_line() -> None:
    _, hub = busy_hub()
    out = io.StringIO()
    line = StatusLine(out, hub)
    line.show()
    line.end()
    assert out.getvalue() == ""


def test_the_help_fits_a_terminal_and_names_every_fault(
    capsys: pytest.CaptureFixture[str],
) -> None:
    with pytest.raises(SystemExit) as end:
        read_options(["--help"])
    assert end.value.code == 0
    said = capsys.readouterr().out
    assert [line for line in said.splitlines() if len(line) > 80] == []
    assert [name for name in KINDS if name not in said] == []


def test_the_documentation_names_every_option_and_fault(
    capsys: pytest.CaptureFixture[str],
) -> None:
    text = DOCS.read_text(encoding="utf-8")
    with pytest.raises(SystemExit):
        read_options(["--help"])
    options = set(re.findall(r"^  (--[a-z-]+)", capsys.readouterr().out, re.M))
    assert [name for name in sorted(options) if f"| `{name}" not in text] == []
    cells = [cell for line in re.findall(r"^\| (`.*?) \|", text, re.M) for cell in line.split("`")]
    assert [name for name in KINDS if name not in cells] == []


def test_fault_help_explains_every_fault(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as end:
        read_options(["--fault", "help"])
    assert end.value.code == 0
    said = capsys.readouterr().out
    assert [kind.name for kind in KINDS.values() if kind.meaning not in said] == []


@pytest.mark.parametrize(
    ("argv", "message"),
    [
        (["--fault", "drop-anser"], "No fault is named 'drop-anser': did you mean"),
        (["--fault", "503:p=x"], "p is a number from 0 to 1, was 'x'."),
        (["--permissions", "everything"], "a key's rights are read, order, orderCancel, withdraw"),
        (["--permissions", "order,orderCancel"], "either the right order or orderCancel"),
        (["--bulk-cost", "2"], "must be a number from 0 to 1, was 2"),
        (["--host", ""], "must be an address, such as 0.0.0.0 for all"),
        (["--rate-limit", "0"], "must be a number from 1 to 1000000, was 0"),
    ],
)
def test_a_wrong_option_is_one_clear_line(
    argv: list[str], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as end:
        read_options(argv)
    assert end.value.code == 2
    assert message in capsys.readouterr().err.splitlines()[-1]


def test_a_recorded_run_plays_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(server_module, "_await_parent", lambda ended: ended.set())
    run = str(tmp_path / "run.jsonl")
    assert main(["--market", "busy", "--record", run, "--parent-pipe"]) == 0
    assert main(["--data", run, "--parent-pipe"]) == 0


def test_a_file_that_cannot_be_recorded_to_is_one_line(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["--record", str(tmp_path)]) == 2
    assert capsys.readouterr().err.startswith("Cannot record to ")


def test_the_options_reach_the_exchange(monkeypatch: pytest.MonkeyPatch) -> None:
    built: list[Any] = []
    build = server_module._build
    monkeypatch.setattr(
        server_module, "_build", lambda *given: built.append(build(*given)) or built[0]
    )
    monkeypatch.setattr(server_module, "_await_parent", lambda ended: ended.set())
    argv = ["--permissions", "orderCancel", "--fault", "503", "--fault", "skip:p=0.5"]
    assert main([*argv, "--balance", "2.5", "--rate-limit", "7", "--parent-pipe"]) == 0
    (hub,) = built
    (account,) = hub.engine.accounts()
    assert account.permissions == {"orderCancel"}
    assert hub.engine.margin_row(account.number)["walletBalance"] == 250_000_000
    assert [row["fault"] for row in hub.faults.rows()] == ["503", "skip:p=0.5"]
    answer = hub.answer(Call("GET", "/api/v1", {}, b"", "127.0.0.1"))
    assert answer.headers["x-ratelimit-limit"] == "1"
    assert signal.getsignal(signal.SIGTERM) == signal.SIG_DFL


@pytest.mark.parametrize(
    ("dialect", "names"),
    [
        ("bitmex", ["key", "secret"]),
        ("okx", ["key", "secret", "passphrase"]),
        ("binance", ["key", "secret"]),
        ("hitbtc", ["key", "secret"]),
        ("plain", ["key", "secret"]),
    ],
)
def test_json_names_what_each_account_is_known_by(
    dialect: str,
    names: list[str],
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setattr(server_module, "_run", lambda *_: None)  # it ends at once
    assert main(["--dialect", dialect, "--json", "--accounts", "2"]) == 0
    told = json.loads(capsys.readouterr().out)
    accounts = told["accounts"]
    assert [list(account) for account in accounts] == [names] * 2
    assert len({word for account in accounts for word in account.values()}) == 2 * len(names)
    assert (told["ws_url"] is None) == (dialect == "plain")
