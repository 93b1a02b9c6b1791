"""How much the mid moves."""

import math
from collections import deque


class Volatility:
    """sigma from the mid, sampled once in *every_s*, at least 1 s; a gap in the samples counts for
    nothing. Faster samples would see the mid bounce between two ticks, and take it for moves.

    *pace_s*: the longest usual wait between two rounds; a sample that comes so late is no gap.
    """

    def __init__(self, every_s: float, window: int, pace_s: float = 0.0) -> None:
        self._every_s = max(1.0, every_s)
        self._gap_s = 5 * max(self._every_s, pace_s)
        self._last: tuple[float, float] | None = None  # time and mid
        self._rates: deque[float] = deque(maxlen=window)  # squared ticks per second

    def sample(self, now_s: float, mid_ticks: float) -> None:
        """The mid at this moment."""
        if self._last is not None:
            elapsed_s, moved = now_s - self._last[0], mid_ticks - self._last[1]
            if elapsed_s < self._every_s * (1 - 1e-9):
                return
            if elapsed_s <= self._gap_s:
                self._rates.append(moved**2 / elapsed_s)
        self._last = (now_s, mid_ticks)

    def forget_last(self) -> None:
        """The feed was in doubt: what the mid did meanwhile is not known."""
        self._last = None

    def __len__(self) -> int:
        return len(self._rates)

    @property
    def sigma(self) -> float:
        """Ticks per square root of a second."""
        return math.sqrt(sum(self._rates) / len(self._rates)) if self._rates else 0.0
