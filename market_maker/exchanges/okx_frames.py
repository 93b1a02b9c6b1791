"""Orders over OKX's private socket: requests and answers matched by an id that nobody guesses."""

import logging
import secrets
import threading
from collections.abc import Callable, Mapping
from typing import Any

from market_maker.clock import Clock
from market_maker.exchanges.okx_orders import items_of
from market_maker.model.wire import Answer, Stream

logger = logging.getLogger("root")

_OPS = {
    "order": ("order", "batch-orders"),
    "amend": ("amend-order", "batch-amend-orders"),
    "cancel": ("cancel-order", "batch-cancel-orders"),
}
_BAD_INSTRUMENT = ("51000", "51001")


class OrderFrames:
    """Calls over a stream. Answers come by the receive thread through `reply`."""

    def __init__(
        self, stream: Stream, clock: Clock, timeout_s: float, expires: Callable[[], str]
    ) -> None:
        self._stream = stream
        self._clock = clock
        self._timeout_s = timeout_s
        self._expires = expires
        self._waiting: dict[str, _Waiting] = {}

    def call(self, kind: str, batch: list[dict[str, Any]], inst_id_code: int) -> Answer:
        """Send orders of one *kind* and wait for the answer.

        The frames name the instrument by its number (since 2026).
        """
        single, many = _OPS[kind]
        number = secrets.token_hex(8)
        args = [_numbered(item, inst_id_code) for item in batch]
        frame = {"id": number, "op": many if len(batch) > 1 else single, "args": args}
        if self._expires():
            frame["expTime"] = self._expires()
        waiting = self._waiting[number] = _Waiting()
        try:
            self._stream.send(frame)
            self._clock.wait(waiting.has_come, self._timeout_s)
        except ConnectionError:
            waiting.has_come.set()
        finally:
            del self._waiting[number]
        if waiting.answer is None:
            why = "the stream was lost" if waiting.has_come.is_set() else "timed out"
            return Answer(0, None, {}, sent=True, error=why)
        return Answer(200, dict(waiting.answer), {})

    def reply(self, message: Mapping[str, Any]) -> None:
        """An answer came; a late, repeated or foreign one changes nothing."""
        waiting = self._waiting.get(str(message.get("id")))
        if waiting is None or waiting.answer is not None:
            logger.info("Skipped an answer to a request that nobody waits for.")
            return
        waiting.answer = message
        waiting.has_come.set()

    def lose(self) -> None:
        """The connection is gone: what had no answer by now will have none."""
        for waiting in list(self._waiting.values()):
            waiting.has_come.set()

    def refuses_instrument(self, answer: Answer) -> bool:
        """Whether all was refused for the number of the instrument, so that nothing happened."""
        body = answer.body if isinstance(answer.body, Mapping) else {}
        told = [(item.get("sCode"), item.get("sMsg")) for item in items_of(answer)]
        told = told or [(body.get("code"), body.get("msg"))]  # of the frame as a whole
        texts = [str(text).lower() for code, text in told if code in _BAD_INSTRUMENT]
        return len(texts) == len(told) and any("inst" in text for text in texts)


class _Waiting:
    """A request on its way."""

    def __init__(self) -> None:
        self.has_come = threading.Event()
        self.answer: Mapping[str, Any] | None = None


def _numbered(item: dict[str, Any], inst_id_code: int) -> dict[str, Any]:
    return {"instIdCode": inst_id_code} | {k: v for k, v in item.items() if k != "instId"}
