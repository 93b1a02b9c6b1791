"""What time the exchange has, measured by its answers."""

import re
import statistics
import threading
from collections import deque
from email.utils import parsedate_to_datetime
from typing import Any

from market_maker.clock import Clock

_SERVER_TIME = re.compile(r"`?expires`? is in the past\. Current time: (\d{9,11})\b")


class ServerClock:
    """What time the exchange has, from the `Date` of its answers and from its complaints."""

    def __init__(self, clock: Clock) -> None:
        self.offset_s = 0.0
        self.clock = clock
        self._samples: deque[float] = deque(maxlen=7)
        self._last_date = ""
        self._lock = threading.Lock()

    def local(self) -> float:
        return self.clock.now()

    def learn(self, date: str | None, body: Any, sent_at: float) -> None:
        """Measure by an answer to what was sent at *sent_at* (our clock)."""
        if isinstance(body, dict) and "error" in body:
            complaint = _SERVER_TIME.search(str(body["error"]))
            if complaint:
                self._add(int(complaint[1]), sent_at, certain=True)
                return
        if date and date != self._last_date:  # the same second again would teach nothing
            self._last_date = date
            try:
                server_s = parsedate_to_datetime(date).timestamp()
            except (TypeError, ValueError):
                return
            self._add(server_s, sent_at)

    def _add(self, server_s: float, sent_at: float, *, certain: bool = False) -> None:
        # The second is cut off, not rounded; the exchange looked at its clock on our half way.
        offset_s = server_s + 0.5 - (sent_at + self.clock.now()) / 2
        with self._lock:
            if certain:  # it refused us for our clock: older measurements were wrong
                self._samples.clear()
            self._samples.append(offset_s)
            # The median, since one slow answer must not turn the clock.
            self.offset_s = statistics.median(self._samples)
