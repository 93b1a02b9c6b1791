"""Ten thousand messages a second: rounds keep their pace, and each decides on the latest."""

import itertools
from collections.abc import Iterator

from market_maker.exchanges.state import LiveState
from market_maker.market_maker import OrderManager
from market_maker.model.wire import Message
from tests.world import World

PER_S, SECONDS, LEAST_S = 10_000, 2.0, 0.25


class Burst:
    """Quotes that move with each message, as the clock does."""

    def __init__(self, state: LiveState, now_s: float) -> None:
        self.bid = 10_000.0
        self._steps: Iterator[float] = itertools.cycle((0.5, 1.0, -0.5, -1.0, 3.0, -3.0))
        self._state, self._due_s = state, now_s

    def next_event_time(self) -> float:
        return self._due_s

    def advance_to(self, now_s: float) -> None:
        while self._due_s <= now_s:
            self.bid += next(self._steps)
            row = {"symbol": "XBTUSD", "bidPrice": self.bid, "askPrice": self.bid + 0.5}
            self._state.put(Message(0, {"table": "quote", "action": "insert", "data": [row]}))
            self._due_s += 1 / PER_S


class Noting(OrderManager):
    """Notes when it decided and on what."""

    burst: Burst | None = None

    def place_orders(self) -> None:
        if self.burst is not None:
            self.decided.append((self.clock.now(), self.get_ticker()["buy"], self.burst.bid))
        else:
            self.decided: list[tuple[float, float, float]] = []
        super().place_orders()


def test_a_burst_neither_starves_rounds_nor_makes_them_decide_on_what_has_passed() -> None:
    world = World()
    bot = world.bot(Noting, MIN_REQUOTE_INTERVAL=LEAST_S)
    assert isinstance(bot, Noting)
    bot.start()
    state, began_s = bot.exchange.desk.state, world.clock.now()
    bot.burst = Burst(state, began_s)
    world.clock.worlds = [bot.burst]  # the exchange itself stands still meanwhile
    while world.clock.now() < began_s + SECONDS:
        bot.wait_for_change()
        bot.run_once()
    assert len(bot.decided) >= SECONDS / LEAST_S - 1
    gaps = [b[0] - a[0] for a, b in itertools.pairwise(bot.decided)]
    assert all(LEAST_S - 1e-3 <= gap <= LEAST_S + 0.01 for gap in gaps)
    assert [seen for _, seen, _ in bot.decided] == [latest for _, _, latest in bot.decided]
    assert not state.overflowed
