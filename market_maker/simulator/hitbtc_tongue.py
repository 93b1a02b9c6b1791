"""HitBTC's language on the wire: signatures, its two sockets, its own form of every failure."""

from collections.abc import Callable
from typing import Any
from urllib.parse import parse_qsl

from market_maker import jsonx
from market_maker.model.wire import Answer, Request
from market_maker.simulator.dialects.bitmex_feed import Scoped
from market_maker.simulator.dialects.hitbtc import API, HitbtcRest
from market_maker.simulator.dialects.hitbtc_desk import HitbtcError
from market_maker.simulator.dialects.hitbtc_rows import error_body
from market_maker.simulator.dialects.hitbtc_stream import HitbtcFeed, HitbtcSession
from market_maker.simulator.events import Event
from market_maker.simulator.exchange import Account, Engine
from market_maker.simulator.tongue import Call, Heard, Line

STREAM = f"{API}/ws"
SOCKETS = ("public", "trading")
_WORDS = {429: "Too many requests", 500: "Internal Server Error", 503: "Service Unavailable"}


class HitbtcDialect:
    """HitBTC v3 over one engine."""

    def __init__(self, engine: Engine) -> None:
        self.engine = engine
        self.rest = HitbtcRest(engine)
        self.feed = HitbtcFeed(self.rest)
        self.feed.on_late = lambda: self.deliver(self.feed.take_late())
        self.deliver: Callable[[list[Scoped]], None] = lambda _: None

    def handle(self, request: Request, account: Account | None) -> Answer:
        """Answer one call; *account* is whose key signed it."""
        return self.rest.handle(request._replace(path=request.path.removeprefix(API)), account)

    def render(self, event: Event) -> list[Scoped]:
        """The pushes that tell of *event*, each with whom it is for."""
        return self.feed.render(event)


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
        return HitbtcSession(self.dialect.feed, call.path.rpartition("/")[2]), []

    def refusal(self, status: int, message: str, name: str = "") -> Answer:
        del name
        error = HitbtcError(status, _WORDS.get(status, message), message, status)
        return Answer(status, error_body(error), {})


def _body(text: str, is_form: bool) -> Any:
    if not text.strip():
        return None
    if is_form:
        return dict(parse_qsl(text))
    try:
        return jsonx.loads(text)
    except (ValueError, RecursionError):
        raise HitbtcError(10001, "Validation error", "the body is no JSON") from None
