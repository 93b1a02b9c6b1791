"""The trading socket with a wire that a test may cut or make lose what passes."""

from collections.abc import Callable, Iterator
from typing import Any

from market_maker.model.rows import Row
from market_maker.model.wire import Message

LOSE_REQUEST, LOSE_ANSWER = "the request is lost", "the answer is lost"
CUT_BEFORE, CUT_AFTER = "cut before it arrives", "cut once it has arrived"
REFUSE_503, REFUSE_429 = "refused with 503", "refused with 429"
FATES = (LOSE_REQUEST, LOSE_ANSWER, CUT_BEFORE, CUT_AFTER, REFUSE_503, REFUSE_429)


class Line:
    """Stands between a connector and its trading socket. `fate` names what befalls a request."""

    pushed = True

    def __init__(self, stream: Any) -> None:
        self._stream = stream
        self.fate: Callable[[Row], str] = lambda frame: ""
        self.sent: list[Row] = []
        self._muted: set[int] = set()
        self._fates: list[str] = []

    def befall(self, *fates: str) -> None:
        """What befalls the next requests, one after the other."""
        self._fates = list(fates)

    def attach(self, sink: Any) -> None:
        def hear(event: Any) -> None:
            if isinstance(event, Message) and event.data.get("id") in self._muted:
                return
            sink(event)

        self._sink = hear
        self._stream.attach(hear)

    def send(self, frame: Row) -> None:
        self.sent.append(frame)
        fate = self._fates.pop(0) if self._fates else self.fate(frame)
        if fate in (LOSE_ANSWER, CUT_AFTER):
            self._muted.add(frame["id"])
        if fate in ("", LOSE_ANSWER, CUT_AFTER):
            self._stream.send(frame)
        if fate in (CUT_BEFORE, CUT_AFTER):
            self._stream.reconnect()
        codes = {REFUSE_503: 503, REFUSE_429: 429}
        if fate in codes:
            error = {"code": codes[fate], "message": "no", "description": ""}
            self._sink(Message(0, {"jsonrpc": "2.0", "error": error, "id": frame["id"]}))

    def methods(self) -> list[str]:
        return [str(frame["method"]) for frame in self.sent]

    def __iter__(self) -> Iterator[Any]:
        return iter(())

    def subscribe(self, topic: Any) -> None:
        self._stream.subscribe(topic)

    def reconnect(self) -> None:
        self._stream.reconnect()

    def close(self) -> None:
        self._stream.close()
