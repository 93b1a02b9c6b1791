"""The control call: faults, keys and a status, over HTTP from this machine while the exchange runs.

A web page that the user has open can reach loopback too. So a call needs the token that is
printed at the start, in a header that pages of other origins cannot send; and a call with an
Origin, for another host name, or from another machine is refused.
"""

import hmac
from collections.abc import Mapping
from ipaddress import ip_address
from typing import TYPE_CHECKING, Any

from market_maker import jsonx
from market_maker.model.wire import Answer
from market_maker.simulator.dialects.bitmex import error_answer, route_path
from market_maker.simulator.fault_kinds import BadFault
from market_maker.simulator.faults import Faults
from market_maker.simulator.instruments import iso_time
from market_maker.simulator.keys import read_permissions

if TYPE_CHECKING:
    from market_maker.simulator.hub import Hub
    from market_maker.simulator.tongue import Call

PREFIX = "/control/"
TOKEN_HEADER = "x-control-token"
_FOREIGN = ("origin", "referer", "x-forwarded-for", "forwarded")  # no plain client sends these


class Control:
    """Answers the calls below /control. Call it under the engine's lock."""

    def __init__(self, hub: "Hub", faults: Faults, token: str) -> None:
        self.token = token
        self._hub, self._faults = hub, faults
        self._start_s = hub.engine.now()

    def answer(self, call: "Call") -> Answer:
        """Act on one call: GET status, GET fault, POST fault or POST key."""
        refusal = self._refusal(call)
        if refusal:
            return error_answer(403, refusal)
        match (call.verb, route_path(call.path)):
            case ("GET", "/control/status"):
                return Answer(200, self.status(), {})
            case ("GET", "/control/fault"):
                return Answer(200, self._faults.rows(), {})
            case ("POST", "/control/fault"):
                return self._change(call.body)
            case ("POST", "/control/key"):
                return self._change_key(call.body)
        return error_answer(404, "Not Found")

    def _refusal(self, call: "Call") -> str:
        if not self.token or not _is_loopback(call.address):
            return "Control calls are taken from this machine only."
        if any(name in call.headers for name in _FOREIGN):
            return "Control calls are not taken from web pages or through proxies."
        if call.headers.get("sec-fetch-site", "none") != "none":
            return "Control calls are not taken from web pages or through proxies."
        if not _is_loopback(_host_name(call.headers.get("host", ""))):
            return "Control calls are taken for this machine's own name only."
        given = call.headers.get(TOKEN_HEADER, "")
        if not hmac.compare_digest(given.encode(), self.token.encode()):
            return f"Send the token that was printed at the start in the header {TOKEN_HEADER}."
        return ""

    def _change(self, body: bytes) -> Answer:
        asked = _object(body)
        if len(asked) != 1 or not asked.keys() <= {"add", "clear"}:
            return error_answer(400, 'Send {"add": "NAME:key=value"} or {"clear": "NAME"}.')
        if "clear" in asked:
            name = asked["clear"]
            self._faults.clear(name if isinstance(name, str) else "")
            return Answer(200, self._faults.rows(), {})
        try:
            self._faults.add(str(asked["add"]))
        except BadFault as bad:
            return error_answer(400, str(bad))
        return Answer(200, self._faults.rows(), {})

    def _change_key(self, body: bytes) -> Answer:
        """Give the account of a key one more with rights of its own, or disable a key."""
        asked, engine = _object(body), self._hub.engine
        account = engine.account_by_key(str(asked.get("disable", asked.get("of"))))
        if asked.keys() not in ({"of", "permissions"}, {"disable"}):
            return error_answer(400, 'Send {"of": KEY, "permissions": LIST} or {"disable": KEY}.')
        if account is None:
            return error_answer(400, "No account has this key.")
        if "disable" in asked:
            engine.disable_key(account.key)
            return Answer(200, {"key": account.key, "enabled": False}, {})
        try:
            new = engine.add_key(account.number, read_permissions(str(asked["permissions"])))
        except ValueError as error:
            return error_answer(400, str(error))
        told = {"key": new.key, "secret": new.secret, "permissions": sorted(new.permissions)}
        return Answer(200, told, {})

    def status(self) -> dict[str, Any]:
        """What goes on, for a person or a script to read."""
        engine = self._hub.engine
        numbers = {account.number for account in engine.accounts()}
        return {
            "time": iso_time(engine.now()),
            "uptime_s": round(engine.now() - self._start_s, 3),
            "profile": getattr(self._hub.dialect, "profile", None),  # BitMEX has two
            "accounts": len(numbers),
            "streams": self._hub.streams,
            "open_orders": engine.open_order_count(),
            "markets": {symbol: self._market(symbol) for symbol in engine.symbols()},
            "faults": self._faults.rows(),
        }

    def _market(self, symbol: str) -> dict[str, Any]:
        row = self._hub.engine.instrument_row(symbol)
        names = ("state", "bidPrice", "askPrice", "lastPrice", "markPrice")
        return {name: row.get(name) for name in names}


def _object(body: bytes) -> Mapping[str, Any]:
    """The JSON object in *body*; an empty one where there is none."""
    try:
        asked = jsonx.loads(body)
    except (ValueError, RecursionError):
        return {}
    return asked if isinstance(asked, Mapping) else {}


def _host_name(host: str) -> str:
    """The name in a Host header, which may be an address in brackets and may have a port."""
    if host.startswith("["):
        return host[1:].partition("]")[0]
    return host.partition(":")[0]


def _is_loopback(name: str) -> bool:
    if name.lower() == "localhost":
        return True
    try:
        return ip_address(name).is_loopback
    except ValueError:
        return False
