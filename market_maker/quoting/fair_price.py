"""What a contract is worth now, read off the touch of the others or off another market.

The three readings of the touch are those of Krypto-trading-bot: the mean of bid and ask, the mean
weighted by their sizes, and the same with the sizes swapped, which leans to the side that will
give way; that one is the microprice of Stoikov, "The Micro-Price" (2018), in its simplest form.
"""

import math

from market_maker.quoting.touch import Touch


def mid(touch: Touch) -> float:
    """Half way between bid and ask; both are there."""
    assert touch.bid is not None and touch.ask is not None, "asked only with both sides there"
    return (touch.bid + touch.ask) / 2


def weighted(touch: Touch) -> float:
    """Nearer to the larger side; the mid where no sizes are known."""
    return _between(touch, touch.ask_size)


def micro(touch: Touch) -> float:
    """Nearer to the smaller side: there the price will go. The mid where no sizes are known."""
    return _between(touch, touch.bid_size)


def _between(touch: Touch, towards_ask: float) -> float:
    middle, total = mid(touch), touch.bid_size + touch.ask_size
    if total <= 0:
        return middle
    assert touch.bid is not None and touch.ask is not None
    return touch.bid + (touch.ask - touch.bid) * towards_ask / total


OF_THE_TOUCH = {"mid": mid, "weighted": weighted, "micro": micro}


class Basis:
    """What another market is usually away from ours: the difference, averaged exponentially over
    *over_s* seconds. Its fair price is told in our market's terms by adding it."""

    def __init__(self) -> None:
        self._value: float | None = None
        self._last_s = 0.0

    def add(self, difference: float, over_s: float, now_s: float) -> float:
        """The average, with the difference of this moment; with 0 seconds there is no basis."""
        if not over_s:
            return 0.0
        if self._value is None:
            self._value = difference
        else:
            weight = -math.expm1(-max(0.0, now_s - self._last_s) / over_s)
            self._value += weight * (difference - self._value)
        self._last_s = now_s
        return self._value
