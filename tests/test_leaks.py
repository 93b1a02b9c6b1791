"""A bot that loses its connection again and again keeps no thread or handle of the lost ones."""

import signal
import sys
from pathlib import Path

import pytest

from tests.process import Exchange, running, until

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")


def held(pid: int) -> tuple[int, int]:
    """How many threads and how many handles a process has."""
    return tuple(len(list(Path(f"/proc/{pid}/{what}").iterdir())) for what in ("task", "fd"))  # type: ignore[return-value]


def lose_connections(count: int, every_s: int, folder: Path) -> None:
    exchange = Exchange(folder, "--fault", f"close:start=2,count={count + 1},every={every_s}")
    try:
        with running(["-m", "market_maker", "XBTUSD"], folder, exchange.env(folder)) as bot:
            bot.wait_for("Websocket Closed", 1)
            before = held(bot.pid)
            for number in range(2, count + 2):
                bot.wait_for("Websocket Closed", number)
            until(lambda: all(now <= then for now, then in zip(held(bot.pid), before, strict=True)))
            bot.signal(signal.SIGTERM)
            assert bot.end() == 0
        assert exchange.open_orders() == []
    finally:
        exchange.close()


def test_three_lost_connections_leave_nothing_behind(tmp_path: Path) -> None:
    lose_connections(3, 2, tmp_path)


@pytest.mark.slow
def test_nor_do_twenty(tmp_path: Path) -> None:
    lose_connections(20, 12, tmp_path)  # each lives long enough to be made anew at once
