"""What the bot has heard of its trades, beside what the exchange has booked for it."""

from collections.abc import Callable, Iterator
from typing import Any

from market_maker.market_maker import OrderManager
from market_maker.model.rows import Row
from market_maker.model.ticks import SIZE_DECIMALS
from market_maker.simulator.judge import Judge

_LATE_S = 3.0  # of trades so shortly before its end a bot need not hear any more
_LATE_POLLING_S = 13.0  # ... where it can only ask, for one order after the other


class Books:
    """Keeps the fills that a bot hears of, and holds them against its account at the exchange."""

    def __init__(self, bot: OrderManager, judge: Judge, held: Callable[[], float]) -> None:
        """*held* is the position as the exchange has it, in the bot's sizes."""
        desk = bot.exchange.desk
        self._state = desk.state
        self._late_s = _LATE_POLLING_S if desk.connector.caps.events == "poll" else _LATE_S
        self._judge, self._held = judge, held
        self._heard: dict[str, float] = {}  # execID -> signed size
        self._doubled = ""
        self._on_fill = bot.on_fill
        bot.on_fill = self._hear  # type: ignore[method-assign]

    def _hear(self, fill: Row) -> Any:
        if fill["execID"] in self._heard:
            self._doubled = str(fill["execID"])
        self._heard[fill["execID"]] = fill["lastQty"] * (1 if fill["side"] == "Buy" else -1)
        return self._on_fill(fill)

    def differences(self, ended_s: float, unit: float) -> Iterator[str]:
        """Where they are not the exchange's, in words. *unit* is one of its contracts."""
        if self._doubled:
            yield f"the fill {self._doubled} was heard twice"
        low, high = self._state.position_range()
        held = round(self._held(), SIZE_DECIMALS)
        since_s = ended_s - self._late_s
        late = sum(abs(qty) for time_s, qty in self._judge.traded if time_s >= since_s) * unit
        if not low - late <= held <= high + late:
            yield f"the position is {held:g}, the bot takes it for {low:g} to {high:g}"
        for name, sign in (("bought", 1), ("sold", -1)):
            traded = [(t, q * sign * unit) for t, q in self._judge.traded if q * sign > 0]
            heard = round(sum(q * sign for q in self._heard.values() if q * sign > 0), 8)
            most = round(sum(q for _, q in traded), 8)
            least = round(sum(q for t, q in traded if t < since_s), 8)
            if not least <= heard <= most:
                yield f"it has {name} {most:g}, the bot has heard of {heard:g}"
