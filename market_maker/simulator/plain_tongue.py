"""The plain REST exchange on the wire: signatures, and no stream at all."""

from collections.abc import Mapping
from typing import Any
from urllib.parse import parse_qsl

from market_maker import jsonx
from market_maker.model.wire import Answer, Request
from market_maker.simulator.dialects.plain import API, PlainError, PlainRest, identify, refusal
from market_maker.simulator.exchange import Account, Engine
from market_maker.simulator.faults import Faults
from market_maker.simulator.faulty_dialect import Faulty
from market_maker.simulator.limits import Bucket, Charge
from market_maker.simulator.tongue import Call, Heard, Line, Session

_SIZE, _WINDOW_S = 600, 60.0
_NAMES = {
    400: "body", 401: "key", 403: "right", 404: "path", 429: "rate", 500: "broken", 503: "busy",
}  # fmt: skip


class PlainLimits:
    """Ten requests a second and 600 at a time, for each account and each address."""

    def __init__(self) -> None:
        self._buckets: dict[str, Bucket] = {}

    def charge(self, client: str, has_key: bool, request: Request, now_s: float) -> Charge:
        """Count one request of *client* (an account or an address)."""
        del has_key, request
        bucket = self._buckets.setdefault(client, Bucket(_SIZE, _WINDOW_S, now_s))
        if bucket.refill(now_s) < 1:
            wait_s = bucket.wait_s(1)
            return Charge({"retry-after": str(wait_s)}, wait_s)
        bucket.take(1)
        return Charge({}, 0)

    def connect(self, address: str, now_s: float) -> Charge:
        """There is no stream to connect to."""
        del address, now_s
        return Charge({}, 0)


class PlainTongue:
    """A language that is only asked."""

    root = API
    stream = ""
    sockets: tuple[str, ...] = ()

    def __init__(self, dialect: PlainRest) -> None:
        self.dialect = dialect

    def keys(self, account: Account) -> dict[str, str]:
        return {"key": account.key, "secret": account.secret}

    def key_of(self, call: Call) -> str:
        return call.headers.get("x-key", "")

    def read(self, call: Call) -> Heard:
        path = call.path.removeprefix(API)
        request = Request(call.verb, path, dict(parse_qsl(call.query_text)))
        try:
            if path == call.path:
                raise PlainError(404, "path", "There is nothing here")
            text = call.body.decode("utf-8", "replace")
            account = identify(self.dialect.engine, call.headers, call.verb, call.target, text)
            return Heard(request._replace(body=_body(text)), account)
        except PlainError as error:
            return Heard(request, None, refusal(error))

    def open_session(self, call: Call, line: Line) -> tuple[Session, list[str]] | Answer:
        del call, line
        return self.refusal(404, "There is no stream")

    def refusal(self, status: int, message: str, name: str = "") -> Answer:
        del name
        return refusal(PlainError(status, _NAMES.get(status, "refused"), message))


class FaultyPlain(Faulty, PlainRest):
    """The plain exchange on a wire that breaks."""

    def __init__(self, engine: Engine, faults: Faults) -> None:
        super().__init__(engine)
        self.break_by(faults)

    def worded(self, answer: Answer) -> Answer:
        if not isinstance(answer.body, Mapping):
            return answer
        told = PlainError(answer.status, _NAMES.get(answer.status, "refused"), _words(answer))
        return refusal(told)._replace(headers=answer.headers)

    def shifted(self, body: Any, seconds: float) -> Any:
        if isinstance(body, list):
            return [self.shifted(item, seconds) for item in body]
        if not isinstance(body, Mapping):
            return body
        is_moved = isinstance(body.get("time"), int)
        return {**body, "time": body["time"] + round(seconds * 1000)} if is_moved else body


def faulty_plain(engine: Engine, faults: Faults | None = None) -> PlainTongue:
    """The plain exchange's language on a wire that breaks as *faults* say."""
    return PlainTongue(FaultyPlain(engine, faults or Faults(engine)))


def _words(answer: Answer) -> str:
    error = answer.body.get("error")
    return str(error.get("message")) if isinstance(error, Mapping) else "Refused"


def _body(text: str) -> Any:
    try:
        return jsonx.loads(text) if text.strip() else None
    except (ValueError, RecursionError):
        raise PlainError(400, "body", "The body is no JSON") from None
