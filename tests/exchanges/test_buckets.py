"""One rate budget for several processes: real ones, over a real file."""

import gc
import json
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from market_maker.clock import ManualClock
from market_maker.exchanges.base import Capabilities
from market_maker.exchanges.buckets import SharedBucket
from market_maker.exchanges.throttle import RateBudget, account_budgets, fresh_bucket
from tests.process import environment

CAPACITY, PER_S, RESERVE = 60.0, 100.0, 10.0
TAKER = """\
import json, sys
from pathlib import Path
from market_maker.clock import Clock
from market_maker.exchanges.base import Capabilities
from market_maker.exchanges.buckets import SharedBucket
from market_maker.exchanges.throttle import RateBudget, account_budgets, fresh_bucket

path, capacity, per_s, reserve, is_urgent = json.loads(sys.argv[1])
clock = Clock()
store = SharedBucket(Path(path), fresh_bucket(clock, capacity, per_s), clock)
budget = RateBudget(clock, capacity, per_s, reserve, store)
print("ready", flush=True)
sys.stdin.readline()
began_s = clock.monotonic()
tries = taken = 0
while clock.monotonic() < began_s + 1.0:
    tries += 1
    taken += budget.take(1, is_urgent)
    clock.sleep(0.05 if is_urgent else 0)
print(json.dumps([began_s, clock.monotonic(), tries, taken]), flush=True)
sys.stdin.readline()
"""


def start(path: Path, is_urgent: bool = False) -> "subprocess.Popen[str]":
    args = json.dumps([str(path), CAPACITY, PER_S, RESERVE, is_urgent])
    process = subprocess.Popen(
        [sys.executable, "-c", TAKER, args],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        env=environment(),
    )
    assert process.stdout is not None and process.stdout.readline() == "ready\n"
    return process


def go(process: "subprocess.Popen[str]") -> None:
    assert process.stdin is not None
    process.stdin.write("\n")
    process.stdin.flush()


def result(process: "subprocess.Popen[str]") -> Any:
    assert process.stdout is not None
    return json.loads(process.stdout.readline())


def test_processes_together_stay_within_the_limit_and_starve_no_cancel(tmp_path: Path) -> None:
    path = tmp_path / "account.rate"
    quoters, canceller = [start(path) for _ in range(3)], start(path, is_urgent=True)
    processes = [*quoters, canceller]
    for process in processes:
        go(process)
    results = [result(process) for process in processes]
    for process in processes:
        process.kill()
        process.communicate()
    lasted_s = max(r[1] for r in results) - min(r[0] for r in results)
    taken = sum(r[3] for r in results)
    assert taken <= CAPACITY + PER_S * lasted_s + 1
    assert taken >= CAPACITY - RESERVE + PER_S * 0.5, "the budget is used, not only kept"
    assert results[-1][2:] == [results[-1][2]] * 2, "every cancel could go"
    assert results[-1][2] > 3


@pytest.mark.skipif(os.name == "nt", reason="no such signals on Windows")
def test_a_killed_process_leaves_the_budget_usable(tmp_path: Path) -> None:
    path = tmp_path / "account.rate"
    process = start(path)
    go(process)
    clock = ManualClock()
    store = SharedBucket(path, fresh_bucket(clock, CAPACITY, PER_S), clock)
    process.send_signal(signal.SIGKILL)  # in the middle of taking, most likely
    process.communicate()
    with store.held() as bucket:
        assert bucket.capacity == CAPACITY


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock()


def shared(path: Path, clock: ManualClock, capacity: float = 5, per_s: float = 1) -> RateBudget:
    store = SharedBucket(path, fresh_bucket(clock, capacity, per_s), clock)
    return RateBudget(clock, capacity, per_s, 1.0, store)


def test_what_one_spends_or_hears_the_other_knows(tmp_path: Path, clock: ManualClock) -> None:
    one, two = (shared(tmp_path / "rate", clock) for _ in range(2))
    assert one.take(3) and two.take(1)
    assert not one.take(1) and not two.take(1)
    assert two.take(1, urgent=True) and not one.take(1, urgent=True)
    clock.sleep(4)
    one.learn({"x-ratelimit-limit": "9", "x-ratelimit-remaining": "2"})
    assert two.take(1) and not two.take(1)
    two.block_until(clock.now() + 30)
    assert one.wait_s(1, urgent=True) == 30


@pytest.mark.parametrize(
    "spoil",
    [
        lambda data: b"",
        lambda data: data[:20],
        lambda data: bytes(len(data)),
        lambda data: data[:30] + bytes([data[30] ^ 1]) + data[31:],
        lambda data: os.urandom(len(data)),
    ],
)
def test_a_broken_file_is_made_anew(tmp_path: Path, clock: ManualClock, spoil: Any) -> None:
    path = tmp_path / "rate"
    budget = shared(path, clock)
    assert budget.take(4) and not budget.take(1)
    path.write_bytes(spoil(path.read_bytes()))
    assert [budget.take() for _ in range(5)] == [True] * 4 + [False]
    assert not shared(path, clock).take()


def test_other_limits_and_another_day_begin_with_a_full_bucket(
    tmp_path: Path, clock: ManualClock
) -> None:
    path = tmp_path / "rate"
    assert shared(path, clock).take(4)
    assert shared(path, clock, capacity=7).take(6)
    assert not shared(path, clock, capacity=7).take(1)
    clock.now_s -= 1000  # the machine was started anew
    assert shared(path, clock, capacity=7).take(6)


def test_a_full_disk_stops_quotes_but_no_cancel(
    tmp_path: Path, clock: ManualClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    def write(*_: Any) -> int:
        raise OSError(28, "No space left on device")

    budget = shared(tmp_path / "rate", clock)
    with monkeypatch.context() as patch:
        patch.setattr(os, "write", write)
        assert not budget.take()
        assert budget.take(urgent=True)
    assert budget.take()


def test_where_there_is_no_place_for_the_file_one_line_says_so(
    tmp_path: Path,
    clock: ManualClock,
    caplog: pytest.LogCaptureFixture,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    loud: list[Any] = []
    monkeypatch.setattr(sys, "unraisablehook", loud.append)
    (tmp_path / "file").touch()
    long, _ = account_budgets(
        tmp_path / "file" / "okx", Capabilities(budget=(4.0, 1.0, 1.0)), clock
    )
    gc.collect()
    assert not loud
    assert long.take(3) and not long.take(1)
    assert {text.split(":")[0] for text in caplog.messages} == {
        "The rate budget is not shared with other bots"
    }


@pytest.mark.skipif(os.name == "nt", reason="no such signals on Windows")
def test_who_hangs_with_the_lock_stops_quotes_but_no_cancel(tmp_path: Path) -> None:
    path = tmp_path / "rate"
    clock = ManualClock()
    budget, other = shared(path, clock), SharedBucket(path, fresh_bucket(clock, 5, 1), clock)
    with other.held():
        assert not budget.take()
        assert budget.wait_s() > 0
        assert budget.take(urgent=True)
    assert budget.take()


def test_bots_that_were_started_apart_share_the_budget_of_their_account(tmp_path: Path) -> None:
    clock = ManualClock()
    one, two, other = (
        account_budgets(tmp_path / name, Capabilities(budget=(4.0, 1.0, 1.0)), clock)
        for name in ("okx-1", "okx-1", "okx-2")
    )
    assert one[0].take(3) and not two[0].take(1)
    assert one[1].take(10) and two[1].wait_s(1) > 0
    assert other[0].take(3) and other[1].take(10)
    alone = account_budgets(None, Capabilities(), clock)
    assert alone[0].take(1) and sorted(path.name for path in tmp_path.iterdir()) == [
        *("okx-1.burst", "okx-1.rate", "okx-2.burst", "okx-2.rate")
    ]
