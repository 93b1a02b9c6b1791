"""Real processes for tests: an exchange, and bots that trade on it."""

import json
import os
import random
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from market_maker.clock import Clock
from market_maker.exchanges.dial import open_connector
from market_maker.model.rows import Row

ROOT = Path(__file__).resolve().parents[1]
PATIENCE_S = 20.0


def environment(**extra: str) -> dict[str, str]:
    """This environment without anything that would steer a bot."""
    steering = ("BITMEX_API_KEY", "BITMEX_API_SECRET", "BASE_URL", "EXCHANGE")
    env = {n: v for n, v in os.environ.items() if n not in steering and "proxy" not in n.lower()}
    return {**env, "PYTHONPATH": str(ROOT), "PYTHONUNBUFFERED": "1", **extra}


class Process:
    """A child whose lines of output can be waited for."""

    def __init__(self, args: list[str], cwd: Path, env: dict[str, str]) -> None:
        self.lines: list[str] = []
        self._news = threading.Condition()
        self._process = subprocess.Popen(
            [sys.executable, *args],
            cwd=cwd,
            env=env,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def _read(self) -> None:
        assert self._process.stdout is not None
        for line in self._process.stdout:
            with self._news:
                self.lines.append(line.rstrip())
                self._news.notify_all()

    @property
    def text(self) -> str:
        return "\n".join(self.lines)

    def wait_for(self, words: str, times: int = 1) -> str:
        """The line in which *words* stand (for the *times*-th time), when it comes."""

        def found() -> list[str]:
            return [line for line in self.lines if words in line]

        with self._news:
            came = self._news.wait_for(lambda: len(found()) >= times, PATIENCE_S)
        assert came, f"{words!r} never came:\n{self.text}"
        return found()[times - 1]

    @property
    def pid(self) -> int:
        return self._process.pid

    def signal(self, number: int) -> None:
        self._process.send_signal(number)

    def end(self) -> int:
        """The exit code, when it comes."""
        try:
            code = self._process.wait(PATIENCE_S)
        except subprocess.TimeoutExpired:
            raise AssertionError(f"it did not end:\n{self.text}") from None
        self._reader.join(PATIENCE_S)
        return code

    def kill(self) -> None:
        if self._process.poll() is None:
            self._process.kill()
        self._process.wait()
        self._reader.join(PATIENCE_S)


class Exchange:
    """The built-in exchange as a process of its own, asked as any client may ask it."""

    def __init__(self, cwd: Path, *args: str) -> None:
        module = ["-m", "market_maker.simulator.server", "--json", "--no-rate-limit"]
        self.process = Process([*module, "--profile", "classic", *args], cwd, environment())
        greeting = json.loads(self.process.wait_for("base_url"))
        self.base_url: str = greeting["base_url"]
        self.key: str = greeting["accounts"][0]["key"]
        self.secret: str = greeting["accounts"][0]["secret"]
        self.connector = open_connector(
            self.base_url, "XBTUSD", self.key, self.secret, clock=Clock(), rng=random.Random(1)
        )

    def open_orders(self) -> list[Row]:
        return self.connector.fetch_open_orders()

    def rows(self, table: str, **query: Any) -> list[Row]:
        return self.connector.fetch_rows(table, **query)

    def env(self, cwd: Path, **extra: str) -> dict[str, str]:
        """What makes a bot trade here."""
        keys = {"BITMEX_API_KEY": self.key, "BITMEX_API_SECRET": self.secret}
        where = {"EXCHANGE": "bitmex", "BASE_URL": self.base_url, "XDG_STATE_HOME": str(cwd)}
        return environment(**keys, **where, **extra)

    def close(self) -> None:
        self.connector.transport.close()
        self.process.kill()


@contextmanager
def running(args: list[str], cwd: Path, env: dict[str, str]) -> Iterator[Process]:
    """A process that is gone afterwards, whatever happens."""
    process = Process(args, cwd, env)
    try:
        yield process
    finally:
        process.kill()


def until(condition: Any) -> Any:
    """Ask until the answer is something."""
    deadline_s = time.monotonic() + PATIENCE_S
    while time.monotonic() < deadline_s:
        answer = condition()
        if answer:
            return answer
        time.sleep(0.02)
    raise AssertionError("it never came true")
