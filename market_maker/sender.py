"""Sends orders beside the thread that decides, so that no order call delays a market event.

One job at a time: who decides hands the next one over when the last has ended, and so knows what
came of it. On a manual clock a job is done at once, in the turn of the caller.
"""

import threading
from collections.abc import Callable

from market_maker.clock import Clock


class Sender:
    """Carries out one job after the other. What a job raises waits for `raise_error`."""

    def __init__(self, clock: Clock, wake: threading.Event) -> None:
        """*wake* is set when a job has ended."""
        self._clock = clock
        self._wake = wake
        self._idle = threading.Event()
        self._idle.set()
        self._error: BaseException | None = None

    @property
    def is_busy(self) -> bool:
        """Whether a job is on its way."""
        return not self._idle.is_set()

    def send(self, job: Callable[[], None]) -> None:
        """Begin *job*. Raises RuntimeError while another is on its way."""
        if self.is_busy:
            raise RuntimeError("the job before has not ended")
        self._idle.clear()
        self._clock.beside(lambda: self._carry_out(job), "sender")

    def finish(self, timeout_s: float) -> bool:
        """Wait for the job that is on its way; False if it takes longer than *timeout_s*."""
        return self._clock.wait(self._idle, timeout_s) if self.is_busy else True

    def raise_error(self) -> None:
        """Raise what the last job raised, once."""
        error, self._error = self._error, None
        if error is not None:
            raise error

    def _carry_out(self, job: Callable[[], None]) -> None:
        try:
            job()
        except BaseException as error:  # noqa: BLE001 - it is raised where the bot decides
            self._error = error
        finally:
            self._idle.set()
            self._wake.set()
