"""The built-in exchange as a real child process."""

import http.client
import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest

from market_maker.simulator import child as child_module
from market_maker.simulator.auth import NAMES, signature
from market_maker.simulator.child import VARIABLE, SimulatorChild
from market_maker.utils.errors import StopTrading

ROOT = Path(__file__).parents[2]
TIMEOUT_S = 20.0
pytestmark = pytest.mark.skipif(os.name != "posix", reason="processes are handed over by POSIX")

STARTS_AND_WAITS = """
import sys
from market_maker.simulator.child import SimulatorChild
child = SimulatorChild.start(["--profile", "classic"])
print(child.base_url, child.pid, flush=True)
sys.stdin.read()
"""

STARTS_AND_EXECS = """
import os, sys
from market_maker.simulator.child import SimulatorChild
child = SimulatorChild.adopt(os.environ)
if child is None:
    child = SimulatorChild.start([])
    child.export_env()
    print(child.pid, child.key, flush=True)
    os.execv(sys.executable, [sys.executable, *sys.orig_argv[1:]])
print(child.pid, child.key, child.is_alive(), "MARKETMAKER_SIMULATOR" in os.environ, flush=True)
sys.stdin.read()
child.close()
print("closed", flush=True)
"""


@pytest.fixture
def child() -> Iterator[SimulatorChild]:
    started = SimulatorChild.start(["--profile", "classic", "--balance", "2"])
    yield started
    started.close()


def get(child: SimulatorChild, path: str) -> Any:
    address = urlsplit(child.base_url)
    target = address.path + path
    expires = str(int(time.time()) + 30)
    signed = signature(child.secret, "GET", target, expires)
    line = http.client.HTTPConnection(str(address.hostname), address.port, timeout=TIMEOUT_S)
    line.request("GET", target, headers=dict(zip(NAMES, (child.key, expires, signed), strict=True)))
    body = json.loads(line.getresponse().read())
    line.close()
    return body


def line_to(base_url: str) -> socket.socket:
    """A connection that stays open as long as the exchange lives."""
    address = urlsplit(base_url)
    return socket.create_connection((str(address.hostname), address.port), TIMEOUT_S)


def is_cut(line: socket.socket) -> bool:
    """Wait until the other end is gone."""
    try:
        return line.recv(1) == b""
    except ConnectionResetError:  # it went before it had taken the connection
        return True


def run_script(source: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-c", source],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
    )


def first_words(script: subprocess.Popen[str]) -> list[str]:
    assert script.stdout is not None
    return script.stdout.readline().split()


def test_it_has_an_account_with_the_asked_balance_and_a_market(child: SimulatorChild) -> None:
    assert child.is_alive()
    assert get(child, "user/margin")["walletBalance"] == 200_000_000
    assert get(child, "instrument?symbol=XBTUSD")[0]["bidPrice"] > 0
    assert child.ws_url.startswith("ws://127.0.0.1:")


def test_it_has_a_session_of_its_own_so_that_ctrl_c_does_not_reach_it(
    child: SimulatorChild,
) -> None:
    assert os.getsid(child.pid) == child.pid != os.getsid(0)


def test_closing_it_leaves_no_process_and_no_port(child: SimulatorChild) -> None:
    with line_to(child.base_url) as line:
        child.close()
        assert is_cut(line)
    assert not child.is_alive()
    with pytest.raises(ProcessLookupError):
        os.kill(child.pid, 0)
    child.close()


def test_it_ends_at_once_when_its_parent_is_killed() -> None:
    with run_script(STARTS_AND_WAITS) as parent:
        base_url, _ = first_words(parent)
        with line_to(base_url) as line:
            os.kill(parent.pid, signal.SIGKILL)
            assert is_cut(line)


def test_sigterm_ends_it_cleanly(child: SimulatorChild) -> None:
    with line_to(child.base_url) as line:
        os.kill(child.pid, signal.SIGTERM)
        assert is_cut(line)
    assert child._process is not None
    assert child._process.wait(TIMEOUT_S) == 0


def test_one_that_ignores_everything_is_killed(
    child: SimulatorChild, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(child_module, "_END_TIMEOUT_S", 0.05)
    os.kill(child.pid, signal.SIGSTOP)
    child.close()
    assert child._process is not None
    assert child._process.wait(TIMEOUT_S) == -signal.SIGKILL


def test_it_survives_a_re_exec_with_its_account() -> None:
    with run_script(STARTS_AND_EXECS) as script:
        before = first_words(script)
        after = first_words(script)
        assert after == [*before, "True", "False"]
        assert script.stdin is not None
        script.stdin.close()
        assert first_words(script) == ["closed"]
        assert script.wait(TIMEOUT_S) == 0
    with pytest.raises(ProcessLookupError):
        os.kill(int(before[0]), 0)


@pytest.mark.parametrize("text", ["", "{", "{}", '{"pid": 1, "fd": 99999, "greeting": {}}'])
def test_what_cannot_be_adopted_is_ignored_and_forgotten(text: str) -> None:
    environ = {VARIABLE: text}
    assert SimulatorChild.adopt(environ) is None
    assert environ == {}
    assert SimulatorChild.adopt(environ) is None


def test_a_dead_one_is_not_adopted(child: SimulatorChild, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(VARIABLE, "")  # so that it is put back afterwards
    child.export_env()
    environ = {VARIABLE: os.environ[VARIABLE]}
    os.kill(child.pid, signal.SIGKILL)
    assert child._process is not None
    child._process.wait(TIMEOUT_S)
    assert SimulatorChild.adopt(environ) is None


@pytest.mark.parametrize(
    ("args", "words"),
    [
        (["--data", "/no/such/folder"], "/no/such/folder"),
        (["--profile", "newest"], "newest"),
        (["--nonsense"], "--nonsense"),
    ],
)
def test_a_failed_start_repeats_its_last_words(args: list[str], words: str) -> None:
    with pytest.raises(StopTrading, match="The built-in exchange did not start: ") as error:
        SimulatorChild.start(args)
    assert words in str(error.value)
    assert "\n" not in str(error.value)


def test_one_that_never_answers_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(child_module, "START_TIMEOUT_S", 0.01)
    with pytest.raises(StopTrading, match=r"no answer within 0.01 s"):
        SimulatorChild.start([])


def test_it_needs_only_the_folder_of_its_own_package(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # a stale copy of the package in the working folder must not be what runs
    (tmp_path / "market_maker").mkdir()
    (tmp_path / "market_maker" / "__init__.py").write_text("raise SystemExit('wrong one')")
    monkeypatch.chdir(tmp_path)
    started = SimulatorChild.start([])
    assert started.is_alive()
    started.close()
