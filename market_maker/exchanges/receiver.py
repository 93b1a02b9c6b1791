"""The receive thread: it hands what the stream yields to the inbox, and touches nothing else."""

import logging
import threading
from time import monotonic_ns
from typing import Protocol, cast, runtime_checkable

from market_maker.exchanges.base import Sink
from market_maker.model.wire import Disconnected, Stream

logger = logging.getLogger(__name__)

_PAUSE_S = 1.0


@runtime_checkable
class PushedStream(Protocol):
    """A stream without a thread: it hands its events over while the clock moves."""

    pushed: bool

    def attach(self, sink: Sink) -> None: ...


def start_receiving(stream: Stream, sink: Sink, name: str) -> threading.Thread | None:
    """Feed *sink* from *stream* until the stream is closed."""
    if isinstance(stream, PushedStream):
        cast(PushedStream, stream).attach(sink)
        return None
    thread = threading.Thread(target=_receive, args=(stream, sink), name=name, daemon=True)
    thread.start()
    return thread


def _receive(stream: Stream, sink: Sink) -> None:
    while True:
        try:
            for event in stream:
                sink(event)
            return
        except Exception:  # the top of a thread: nobody else would ever say it
            logger.exception("Receiving failed; connecting anew.")
            sink(Disconnected(monotonic_ns(), "an error of our own"))
            threading.Event().wait(_PAUSE_S)
