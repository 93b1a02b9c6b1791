"""BitMEX's language on the wire."""

from collections.abc import Mapping
from typing import Any

from market_maker.model.wire import Answer, Request
from market_maker.simulator.auth import NAMES, NONCE, identify
from market_maker.simulator.dialects.bitmex import API_ROOT, Dialect, error_answer, route_path
from market_maker.simulator.exchange import Account, Engine, Refused
from market_maker.simulator.faults import Faults
from market_maker.simulator.faulty_dialect import FaultyDialect
from market_maker.simulator.parameters import parse_body, parse_query
from market_maker.simulator.session import REALTIME, STREAMS, Session
from market_maker.simulator.tongue import Call, Heard, Line


class BitmexTongue:
    """One profile of BitMEX's protocol."""

    root = API_ROOT
    stream = REALTIME
    sockets: tuple[str, ...] = STREAMS

    def __init__(self, dialect: Dialect) -> None:
        self.dialect = dialect

    def keys(self, account: Account) -> dict[str, str]:
        return {"key": account.key, "secret": account.secret}

    def key_of(self, call: Call) -> str:
        named = call.headers.get(NAMES[0]) or parse_query(call.query_text).get(NAMES[0])
        return str(named or "")

    def read(self, call: Call) -> Heard:
        path, query = route_path(call.path), parse_query(call.query_text)
        account, body, refusal = None, None, None
        try:
            account = identify_call(self.dialect.engine, call, query)
            body = parse_body(call.body, call.headers.get("content-type", ""))
        except Refused as refused:
            refusal = error_answer(refused.status, refused.message, refused.name)
        except ValueError:
            refusal = error_answer(400, "Invalid JSON in the body", "ValidationError")
        if not f"{path}/".startswith(f"{API_ROOT}/"):
            refusal = error_answer(404, "Not Found")
        return Heard(Request(call.verb, path[len(API_ROOT) :], query, body), account, refusal)

    def open_session(self, call: Call, line: Line) -> tuple[Session, list[str]] | Answer:
        query = parse_query(call.query_text)
        try:
            given = _credentials(call, query)
            account = identify(self.dialect.engine, given, "GET", REALTIME)
        except Refused as refused:
            return error_answer(refused.status, refused.message, refused.name)
        session = Session(self.dialect, account, line.handle, line.connects_left)
        return session, _topics(query.get("subscribe"))

    def refusal(self, status: int, message: str, name: str = "HTTPError") -> Answer:
        return error_answer(status, message, name)


def faulty_bitmex(engine: Engine, profile: str, faults: Faults | None = None) -> BitmexTongue:
    """BitMEX's language on a wire that breaks as *faults* say."""
    return BitmexTongue(FaultyDialect(engine, profile, faults or Faults(engine)))


def identify_call(engine: Engine, call: Call, query: dict[str, Any]) -> Account | None:
    """Whose key signed *call*; takes a signature in the query out of it. Raises Refused."""
    target = call.target
    if NAMES[0] in query and NAMES[0] not in call.headers:
        # a signature cannot cover itself: what is signed is the query without the three
        kept = [part for part in call.query_text.split("&") if part.partition("=")[0] not in NAMES]
        target = call.path + ("?" + "&".join(kept) if kept else "")
    credentials = _credentials(call, query)
    for name in (*NAMES, NONCE):
        query.pop(name, None)
    return identify(engine, credentials, call.verb, target, call.body)


def _credentials(call: Call, query: Mapping[str, Any]) -> dict[str, str]:
    source = call.headers if NAMES[0] in call.headers else query
    return {name: str(source[name]) for name in (*NAMES, NONCE) if name in source}


def _topics(asked: Any) -> list[str]:
    lists = asked if isinstance(asked, list) else [asked or ""]
    return [topic for text in lists for topic in str(text).split(",") if topic]
