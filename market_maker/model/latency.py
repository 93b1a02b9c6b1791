"""Where the time goes between a frame of the market and the answer to the orders that follow it.

Kept as histograms of fixed size whatever the length of a run, at well under a microsecond a value.
"""

import math
from collections.abc import Callable
from typing import Any, Protocol, runtime_checkable

# In the order in which they happen.
STAGES = ("receive", "parse", "apply", "wake", "decide", "send", "acknowledge", "tick to order")
_UNIT_S = 1e-7
_STEPS_BITS = 4  # 16 steps between one power of two and the next: values are good to 6 %


class Histogram:
    """Counts durations in steps that grow with them."""

    def __init__(self) -> None:
        self.count = 0
        self.longest_s = 0.0
        self._counts: dict[int, int] = {}

    def add(self, seconds: float) -> None:
        units = max(0, int(seconds / _UNIT_S))
        shift = max(0, units.bit_length() - _STEPS_BITS - 1)
        step = (units >> shift << shift) + (1 << shift)  # where its step ends
        self._counts[step] = self._counts.get(step, 0) + 1
        self.count += 1
        self.longest_s = max(self.longest_s, seconds)

    def quantile_s(self, part: float) -> float:
        """What *part* (0 to 1) of all values do not exceed, rounded up to the end of a step."""
        left = part * self.count
        for step in sorted(self._counts):
            left -= self._counts[step]
            if left <= 0:
                return min(step * _UNIT_S, self.longest_s)
        return self.longest_s


class Latency:
    """Times the stages of a run by *now*, a clock that never jumps (seconds).

    receive: one read of the socket cut into frames; parse: one frame; apply: one message folded
    into what we know; wake: from the arrival of news to the round it starts, or from the end of a
    wait for MIN_REQUOTE_INTERVAL or the rate budget if that is later; decide: from there until the
    orders are approved and written down; send: until the last request of a batch is written;
    acknowledge: until its last answer is read; tick to order: from where `wake` begins to the
    first request.
    """

    def __init__(self, now: Callable[[], float]) -> None:
        self.stages = {stage: Histogram() for stage in STAGES}
        self._now = now
        self._moved_s: float | None = None  # since when there is news for this round
        self._free_s = -math.inf  # when the last wait between two rounds ended
        self._began_s: float | None = None  # when this round did, until it sends something
        self._sent_s: float | None = None  # when the batch under way was handed over
        self._written_s: float | None = None  # and its latest request written

    def timed(self, stage: str, step: Callable[[Any], Any]) -> Callable[[Any], Any]:
        """*step*, its durations counted as *stage*."""
        now, add = self._now, self.stages[stage].add

        def measured(what: Any) -> Any:
            began_s = now()
            try:
                return step(what)
            finally:
                add(now() - began_s)

        return measured

    def begin_round(self, moved_s: float | None) -> None:
        """A round begins, for news that arrived at *moved_s* if there are any."""
        self._began_s = self._now()
        self._moved_s = None if moved_s is None else max(moved_s, self._free_s)
        if self._moved_s is not None:
            self.stages["wake"].add(self._began_s - self._moved_s)

    def end_round(self) -> None:
        """What is sent from now on belongs to no round."""
        self._began_s = self._moved_s = None

    def end_pause(self) -> None:
        """A wait that was meant is over: what came meanwhile counts from here."""
        self._free_s = self._now()

    def sending(self) -> None:
        """A batch is about to leave."""
        self._sent_s, self._written_s = self._now(), None
        if self._began_s is not None:
            self.stages["decide"].add(self._sent_s - self._began_s)
            self._began_s = None

    def written(self) -> None:
        """A request of the batch has been written to its socket."""
        if self._sent_s is None:
            return
        self._written_s = self._now()
        if self._moved_s is not None:
            self.stages["tick to order"].add(self._written_s - self._moved_s)
            self._moved_s = None

    def answered(self) -> None:
        """Every answer of the batch is here."""
        sent_s, written_s = self._sent_s, self._written_s
        self._sent_s = None
        if sent_s is None:
            return
        if written_s is not None:
            self.stages["send"].add(written_s - sent_s)
        self.stages["acknowledge"].add(self._now() - (written_s or sent_s))

    def lines(self) -> list[str]:
        """The histograms as a table, in microseconds."""
        table = [f"{'Latency, us':<16}{'count':>12}{'p50':>13}{'p90':>13}{'p99':>13}{'max':>13}"]
        for stage, found in self.stages.items():
            values = [found.quantile_s(part) for part in (0.5, 0.9, 0.99)]
            figures = "".join(f"{value * 1e6:>13,.1f}" for value in (*values, found.longest_s))
            table.append(f"  {stage:<14}{found.count:>12,}{figures if found.count else ''}")
        return table


@runtime_checkable
class Measured(Protocol):
    """What can tell how long its steps take."""

    def measure(self, latency: Latency) -> None:
        """Do so from now on; called before it begins to work."""


def measure_all(latency: Latency, *parts: object) -> None:
    """Measure those of *parts* that can be."""
    for part in parts:
        if isinstance(part, Measured):
            part.measure(latency)
