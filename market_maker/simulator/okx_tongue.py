"""OKX's language on the wire: signatures, its two sockets, its own form of every failure."""

from collections.abc import Mapping
from typing import Any
from urllib.parse import parse_qsl

from market_maker import jsonx
from market_maker.model.wire import Answer, Request
from market_maker.simulator.dialects.okx import API, passphrase_of, refusal
from market_maker.simulator.dialects.okx_desk import OkxError
from market_maker.simulator.dialects.okx_dialect import OkxDialect
from market_maker.simulator.dialects.okx_session import SOCKETS, OkxSession
from market_maker.simulator.exchange import Account, Engine
from market_maker.simulator.faults import Fate, Faults
from market_maker.simulator.faulty_dialect import Faulty
from market_maker.simulator.tongue import Call, Heard, Line

STREAM = "/ws/v5"
_REFUSALS = {  # HTTP status -> what OKX says with it
    400: ("50002", "JSON syntax error"),
    401: ("50111", "Invalid OK-ACCESS-KEY"),
    403: ("50120", "This API key doesn't have permission to use this function"),
    404: ("404", "Not Found"),
    429: ("50011", "Too Many Requests"),
    500: ("50026", "System error. Try again later"),
    503: ("50001", "Service temporarily unavailable. Try again later"),
}
# The bot's names of tables, which faults use, by the channel that tells of them.
_TABLES = {
    "orders": ("order", "execution"), "account": ("margin",), "positions": ("position",),
    "bbo-tbt": ("quote",), "books5": ("orderBook10",), "books": ("orderBookL2",),
    "trades": ("trade",), "tickers": ("instrument",), "mark-price": ("instrument",),
    "price-limit": ("instrument",), "funding-rate": ("instrument",), "instruments": ("instrument",),
}  # fmt: skip
_PROMISED = frozenset(
    f"/trade/{name}"
    for name in ("amend-order", "cancel-order", "amend-batch-orders", "cancel-batch-orders")
)
_TIMES = frozenset(
    {"ts", "uTime", "cTime", "fillTime", "fundingTime", "nextFundingTime", "triggerTime"}
)


class OkxTongue:
    """OKX v5."""

    root = API
    stream = STREAM
    sockets: tuple[str, ...] = tuple(f"{STREAM}/{kind}" for kind in SOCKETS)

    def __init__(self, dialect: OkxDialect) -> None:
        self.dialect = dialect

    def keys(self, account: Account) -> dict[str, str]:
        return {
            "key": account.key, "secret": account.secret, "passphrase": passphrase_of(account),
        }  # fmt: skip

    def key_of(self, call: Call) -> str:
        return call.headers.get("ok-access-key", "")

    def read(self, call: Call) -> Heard:
        request = Request(call.verb, call.path, dict(parse_qsl(call.query_text)))
        rest, account = self.dialect.rest, None
        try:
            if not call.path.startswith(f"{API}/"):
                raise OkxError("404", "Not Found", 404)
            text = _decoded(call.body)
            account = rest.identify(call.headers, call.verb, call.target, text)
            rest.check_expiry(call.headers.get("exptime"))
            return Heard(request._replace(body=_body(text)), account)
        except OkxError as error:
            return Heard(request, account, refusal(error))

    def open_session(self, call: Call, line: Line) -> tuple[OkxSession, list[str]] | Answer:
        kind = call.path.rpartition("/")[2]
        return OkxSession(self.dialect, kind, charge=line.charge), []

    def refusal(self, status: int, message: str, name: str = "") -> Answer:
        del name
        code, words = _REFUSALS.get(status, ("50000", message))
        return refusal(OkxError(code, words, status))


class FaultyOkx(Faulty, OkxDialect):
    """OKX's dialect on a wire that breaks."""

    def __init__(self, engine: Engine, faults: Faults) -> None:
        super().__init__(engine)
        self.break_by(faults)

    def fate(self, request: Request, account: Account | None) -> Fate:
        return super().fate(request._replace(path=request.path.removeprefix(API)), account)

    def is_promised(self, request: Request) -> bool:
        return request.path.removeprefix(API) in _PROMISED

    def worded(self, answer: Answer) -> Answer:
        if not isinstance(answer.body, Mapping) or answer.status not in _REFUSALS:
            return answer
        return refusal(OkxError(*_REFUSALS[answer.status], answer.status))

    def shifted(self, body: Any, seconds: float) -> Any:
        if isinstance(body, list):
            return [self.shifted(item, seconds) for item in body]
        if not isinstance(body, Mapping):
            return body
        return {
            name: _moved(value, seconds) if name in _TIMES else self.shifted(value, seconds)
            for name, value in body.items()
        }

    def names_of(self, table: str) -> tuple[str, ...]:
        return (table, *_TABLES.get(table, ()))


def faulty_okx(engine: Engine, faults: Faults | None = None) -> OkxTongue:
    """OKX's language on a wire that breaks as *faults* say."""
    return OkxTongue(FaultyOkx(engine, faults or Faults(engine)))


def _decoded(body: bytes) -> str:
    try:
        return body.decode()
    except UnicodeDecodeError:
        raise OkxError("50002", "JSON syntax error", 400) from None


def _body(text: str) -> Any:
    try:
        return jsonx.loads(text) if text.strip() else None
    except (ValueError, RecursionError):
        raise OkxError("50002", "JSON syntax error", 400) from None


def _moved(value: Any, seconds: float) -> Any:
    is_time = isinstance(value, str) and value.isdigit() and len(value) == 13
    return str(int(value) + round(seconds * 1000)) if is_time else value
