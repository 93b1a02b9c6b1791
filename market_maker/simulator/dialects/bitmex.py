"""BitMEX's wire language over the engine, on Python objects: no bytes, no sockets.

Two profiles: `classic` (null columns present, bulk endpoints, `Invalid ordStatus`: what
the original market maker was written for) and `last` (mid 2026: nulls omitted, no bulk,
`Invalid ordStatus: Filled`).
"""

from collections.abc import Mapping
from typing import Any

from market_maker.model.wire import Answer, Request
from market_maker.simulator.dialects.bitmex_ages import NULL_STAYS
from market_maker.simulator.dialects.bitmex_call import Call
from market_maker.simulator.dialects.bitmex_feed import Feed, Message, Scoped
from market_maker.simulator.dialects.bitmex_rest import ROUTES
from market_maker.simulator.dialects.bitmex_select import BadParameter
from market_maker.simulator.events import Event
from market_maker.simulator.exchange import Account, Engine, Refused

PROFILES = ("classic", "last")
API_ROOT = "/api/v1"


class Dialect:
    """One profile of BitMEX's protocol over one engine."""

    def __init__(self, engine: Engine, profile: str = "classic") -> None:
        if profile not in PROFILES:
            raise ValueError(f"profile must be one of {', '.join(PROFILES)}, was {profile!r}")
        self.engine = engine
        self.profile = profile
        self.is_classic = profile == "classic"
        self.feed = Feed(engine, self.is_classic)

    def handle(self, request: Request, account: Account | None) -> Answer:
        """Answer one REST call; *account* is whose key signed it."""
        try:
            return Answer(200, self._handle(request, account), {})
        except Refused as refused:
            return error_answer(refused.status, self._wording(refused.message), refused.name)
        except BadParameter as bad:
            return error_answer(400, str(bad), "ValidationError")

    def _handle(self, request: Request, account: Account | None) -> Any:
        route = ROUTES.get((request.verb.upper(), route_path(request.path)))
        if route is None or (route.is_bulk and not self.is_classic):
            raise Refused("Not Found", 404)
        if route.needs is not None:
            if account is None:
                raise Refused("Authorization Required", 401)
            if route.needs and not route.needs & account.permissions:
                raise Refused("Access Denied", 403)
        body = request.body if isinstance(request.body, Mapping) else {}
        found = route.answer(Call(self.feed, {**(request.query or {}), **body}, account))
        return found if self.is_classic else _omit_nulls(found)

    def _wording(self, message: str) -> str:
        # "Invalid ordStatus: Filled" came in 2021; the original compares with the bare words.
        if self.is_classic and message.startswith("Invalid ordStatus"):
            return "Invalid ordStatus"
        return message

    def render(self, event: Event) -> list[Scoped]:
        """The stream messages that tell of *event*, each with whom it is for."""
        return self.feed.render(event)

    def partial(self, table: str, symbol: str | None, account: int | None) -> Message:
        """The image that begins a subscription."""
        return self.feed.partial(table, symbol, account)


def route_path(path: str) -> str:
    """*path* below the API root, doubled and trailing slashes taken out."""
    return "".join(f"/{part}" for part in path.split("/") if part)


def error_answer(status: int, message: str, name: str = "HTTPError") -> Answer:
    return Answer(status, {"error": {"message": message, "name": name}}, {})


def _omit_nulls(found: Any) -> Any:
    if isinstance(found, list):
        return [_omit_nulls(row) for row in found]
    if not isinstance(found, dict):
        return found
    return {
        name: value
        for name, value in found.items()
        if (value is not None and value != "") or name in NULL_STAYS
    }
