"""HitBTC's language on the wire: signatures, its two sockets, its own form of every failure."""

from collections.abc import Mapping
from typing import Any
from urllib.parse import parse_qsl

from market_maker import jsonx
from market_maker.model.wire import Answer, Request
from market_maker.simulator.dialects.hitbtc import API
from market_maker.simulator.dialects.hitbtc_desk import HitbtcError
from market_maker.simulator.dialects.hitbtc_dialect import HitbtcDialect
from market_maker.simulator.dialects.hitbtc_feed import channel_of
from market_maker.simulator.dialects.hitbtc_rows import error_body
from market_maker.simulator.dialects.hitbtc_session import HitbtcSession
from market_maker.simulator.exchange import Account, Engine
from market_maker.simulator.faults import Fate, Faults
from market_maker.simulator.faulty_dialect import Faulty, shift_times
from market_maker.simulator.tongue import Call, Heard, Line

STREAM = f"{API}/ws"
SOCKETS = ("public", "trading")
# The bot's names of tables, which faults use, by the channel that tells of them.
_TABLES = {
    "spot_order": ("order", "execution"), "spot_balance": ("margin", "position"),
    "orderbook/top": ("quote",), "orderbook/full": ("orderBookL2",), "trades": ("trade",),
    "ticker": ("instrument",),
}  # fmt: skip
_WORDS = {429: "Too many requests", 500: "Internal Server Error", 503: "Service Unavailable"}


class HitbtcTongue:
    """HitBTC v3."""

    root = API
    stream = STREAM
    sockets: tuple[str, ...] = tuple(f"{STREAM}/{kind}" for kind in SOCKETS)

    def __init__(self, dialect: HitbtcDialect) -> None:
        self.dialect = dialect

    def keys(self, account: Account) -> dict[str, str]:
        return {"key": account.key, "secret": account.secret}

    def key_of(self, call: Call) -> str:
        return self.dialect.rest.key_of(call.headers)

    def read(self, call: Call) -> Heard:
        request, account = Request(call.verb, call.path, dict(parse_qsl(call.query_text))), None
        try:
            if not call.path.startswith(f"{API}/"):
                raise HitbtcError(404, "Not found", status=404)
            text = call.body.decode("utf-8", "replace")
            account = self.dialect.rest.identify(call.headers, call.verb, call.target, text)
            is_form = "form" in call.headers.get("content-type", "")
            return Heard(request._replace(body=_body(text, is_form)), account)
        except HitbtcError as error:
            return Heard(request, account, Answer(error.status, error_body(error), {}))

    def open_session(self, call: Call, line: Line) -> tuple[HitbtcSession, list[str]] | Answer:
        del line
        return HitbtcSession(self.dialect, call.path.rpartition("/")[2]), []

    def refusal(self, status: int, message: str, name: str = "") -> Answer:
        del name
        return _refusal(status, message)


class FaultyHitbtc(Faulty, HitbtcDialect):
    """HitBTC's dialect on a wire that breaks."""

    def __init__(self, engine: Engine, faults: Faults) -> None:
        super().__init__(engine)
        self.break_by(faults)

    def fate(self, request: Request, account: Account | None) -> Fate:
        return super().fate(request._replace(path=request.path.removeprefix(API)), account)

    def worded(self, answer: Answer) -> Answer:
        is_told = isinstance(answer.body, Mapping) and answer.status
        return _refusal(answer.status, "", answer.headers) if is_told else answer

    def shifted(self, body: Any, seconds: float) -> Any:
        return shift_times(_in_milliseconds(body, round(seconds * 1000)), seconds)

    def names_of(self, table: str) -> tuple[str, ...]:
        return (table, *_TABLES.get(channel_of(table) or table, ()))


def faulty_hitbtc(engine: Engine, faults: Faults | None = None) -> HitbtcTongue:
    """HitBTC's language on a wire that breaks as *faults* say."""
    return HitbtcTongue(FaultyHitbtc(engine, faults or Faults(engine)))


def _in_milliseconds(body: Any, later_ms: int) -> Any:
    """A copy of *body* whose times in milliseconds are moved."""
    if isinstance(body, list):
        return [_in_milliseconds(item, later_ms) for item in body]
    if not isinstance(body, Mapping):
        return body
    return {
        name: value + later_ms
        if name == "t" and isinstance(value, int)
        else _in_milliseconds(value, later_ms)
        for name, value in body.items()
    }


def _refusal(status: int, message: str, headers: Mapping[str, str] | None = None) -> Answer:
    error = HitbtcError(status, _WORDS.get(status, message or "Refused"), message, status)
    return Answer(status, error_body(error), headers or {})


def _body(text: str, is_form: bool) -> Any:
    if not text.strip():
        return None
    if is_form:
        return dict(parse_qsl(text))
    try:
        return jsonx.loads(text)
    except (ValueError, RecursionError):
        raise HitbtcError(10001, "Validation error", "the body is no JSON") from None
