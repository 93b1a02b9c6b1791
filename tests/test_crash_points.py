"""Death at every point of a round, and a restart on the same journal and the same exchange.

Each effect (a journal write, a request, a belief) has a point before it and one after it. The bot
dies at each of them in turn, with no clean-up at all; the exchange lives on.
"""

import logging
import sqlite3
from collections.abc import Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from market_maker.journal import Journal
from market_maker.market_maker import OrderManager
from market_maker.model.wire import Answer, Request
from tests.doubles import StillMarket
from tests.test_invariants import watch
from tests.world import World

SETTINGS: dict[str, Any] = {
    "ORDER_PAIRS": 2,
    "MAX_POSITION": 600,
    "MIN_POSITION": -600,
    "LOG_LEVEL": logging.ERROR,
}


class Died(BaseException):
    """The process is gone: nothing of it may run any more."""


class Points:
    """Counts the points a run passes, and ends it at one of them."""

    def __init__(self, dies_at: int | None) -> None:
        self.dies_at = dies_at
        self.passed = 0
        self.is_dead = False

    def cross(self) -> None:
        if self.is_dead:
            raise AssertionError("the dead act")
        self.is_dead = self.passed == self.dies_at
        self.passed += 1
        if self.is_dead:
            raise Died

    def guard(self, owner: Any, *names: str) -> None:
        """Make a point before and after each of the owner's methods *names*."""
        for name in names:
            method = getattr(owner, name)

            def guarded(*args: Any, _method: Any = method, **kwargs: Any) -> Any:
                self.cross()
                result = _method(*args, **kwargs)
                self.cross()
                return result

            setattr(owner, name, guarded)


class Line:
    """A wire that a dying bot's last request may still be on: it arrives when told."""

    def __init__(self, transport: Any, points: Points, is_slow: bool) -> None:
        self._transport = transport
        self._points = points
        self._is_slow = is_slow
        self.under_way: list[Request] = []

    def send(self, requests: Sequence[Request]) -> list[Answer]:
        self._points.cross()
        answers = []
        for request in requests:
            if self._is_slow and self._points.passed == self._points.dies_at:
                self.under_way.append(request)
                continue
            answers += self._transport.send([request])
        self._points.cross()
        return answers

    def arrive(self) -> None:
        for request in self.under_way:
            self._transport.send([request])
        self.under_way.clear()

    def close(self) -> None:
        """Nothing to close."""


class Life:
    """One run of the bot on a journal file, through all that a round can meet."""

    def __init__(self, dies_at: int | None, folder: Path, is_slow: bool = False) -> None:
        self.market = StillMarket()
        self.world = World(self.market)
        self.path = folder / "journal"
        self.points = Points(dies_at)
        self.journal = Journal(self.path, self.world.clock)
        lines: list[Line] = []

        def wrap(transport: Any) -> Line:
            lines.append(Line(transport, self.points, is_slow))
            return lines[0]

        self.bot = self.world.bot(wrap=wrap, journal=self.journal, **SETTINGS)
        self.line = lines[0]
        rules = SimpleNamespace(settings=self.world.settings(**SETTINGS))  # not what a bot changes
        self.positions = watch(self.world, rules)
        store = self.bot.exchange.desk.state.orders
        self.points.guard(
            self.journal, "record", "settle", "book_fills", "put_all", "close_unsettled"
        )
        self.points.guard(store, "settle", "intend_create", "intend_amend", "intend_cancel")

    def live(self) -> bool:
        """Creates, amends, a fill, a top-up and cancels; False if it died on the way."""
        bot, market, world = self.bot, self.market, self.world
        try:
            bot.start()
            world.run(bot, 1.5)
            market.show(60_050.0, 60_050.5)
            world.run(bot, 1.5)
            market.show(60_050.0, 60_050.5, size=0)
            market.take("Sell", 150, 60_000.0)
            market.show(60_050.0, 60_050.5)
            world.run(bot, 2.5)
            bot.settings.ORDER_PAIRS = 1
            world.run(bot, 1.5)
            bot.settings.ORDER_PAIRS = 2
            bot.shut_down()
        except Died:
            self._bury()
            return False
        return True

    def _bury(self) -> None:
        """What the operating system does when a process is gone."""
        desk = self.bot.exchange.desk
        desk.connector.stream.close()
        desk.gateway.switch.abandon()
        self.journal._db.close()
        self.journal._release()

    def restart(self) -> OrderManager:
        journal = Journal(self.path, self.world.clock)
        return self.world.bot(journal=journal, **SETTINGS)

    def check(self) -> None:
        """Nothing is doubled, nothing is left, and the books are the exchange's."""
        account = self.world.account.number
        assert self.world.open_orders() == []
        ids = [order.cl_ord_id for order in self.world.engine.orders(account)]
        assert len(ids) == len(set(ids))
        db = sqlite3.connect(self.path)
        booked = [row[0] for row in db.execute("SELECT exec_id FROM fills")]
        (size,) = db.execute(
            "SELECT count(*) FROM outbox WHERE state IN ('NEW', 'SENT')"
        ).fetchone()
        db.close()
        assert len(booked) == len(set(booked))
        assert size == 0, "every request is settled by now"


def count_points(folder: Path) -> int:
    life = Life(None, folder)
    assert life.live()
    life.check()
    assert life.positions
    assert life.world.position()["currentQty"], "a fill is part of it"
    return life.points.passed


def die_and_restart(dies_at: int, after_s: float, is_slow: bool, folder: Path) -> None:
    folder.mkdir()
    life = Life(dies_at, folder, is_slow)
    assert not life.live()
    life.world.clock.sleep(after_s)
    again = life.restart()
    if is_slow:
        life.world.clock.sleep(0.5)
        life.line.arrive()
    life.world.run(again, 4)
    sides = sorted(order.side for order in life.world.open_orders())
    assert sides == ["Buy", "Buy", "Sell", "Sell"]
    again.shut_down()
    assert again.exit_code == 0
    life.check()


# How long nobody runs, and whether the last request is still under way when somebody does.
PAUSES = ((0.0, False), (3.0, True), (20.0, False))


def test_a_restart_after_death_at_any_point_doubles_and_orphans_nothing(tmp_path: Path) -> None:
    (tmp_path / "whole").mkdir()
    points = count_points(tmp_path / "whole")
    assert points > 80
    for dies_at in range(points):
        after_s, is_slow = PAUSES[dies_at % len(PAUSES)]
        die_and_restart(dies_at, after_s, is_slow, tmp_path / f"{dies_at}")


@pytest.mark.slow
@pytest.mark.parametrize(("after_s", "is_slow"), PAUSES)
def test_and_so_after_every_pause(after_s: float, is_slow: bool, tmp_path: Path) -> None:
    (tmp_path / "whole").mkdir()
    for dies_at in range(count_points(tmp_path / "whole")):
        die_and_restart(dies_at, after_s, is_slow, tmp_path / f"{dies_at}")


@pytest.mark.parametrize("after_s", [0.0, 30.0, 100.0])
def test_the_dead_mans_switch_clears_what_nobody_restarts(after_s: float, tmp_path: Path) -> None:
    life = Life(60, tmp_path)
    assert not life.live()
    life.world.clock.sleep(after_s)
    assert bool(life.world.open_orders()) == (after_s < 60)
