"""Rows of the REST routes beside the definitions of BitMEX's own specification."""

import json
import re
from functools import cache
from pathlib import Path
from typing import Any

import pytest

from market_maker.clock import ManualClock
from market_maker.model.wire import Request
from market_maker.simulator.dialects.bitmex import Dialect
from market_maker.simulator.dialects.bitmex_rest import ROUTES
from market_maker.simulator.exchange import Engine

SPECIFICATION = Path(__file__).parents[3] / "shared/protocol/bitmex/swagger.json"

pytestmark = pytest.mark.skipif(
    not SPECIFICATION.exists(), reason="the specification in ../shared is absent"
)

Row = dict[str, Any]


@cache
def specification() -> Row:
    return dict(json.loads(SPECIFICATION.read_text()))


class Client:
    """Has done one of everything, and calls routes."""

    def __init__(self, profile: str) -> None:
        self.clock = ManualClock()
        self.engine = Engine(self.clock, seed=1)
        self.clock.attach(self.engine)
        self.dialect = Dialect(self.engine, profile)
        self.engine.listeners.append(self.dialect.render)  # as a server's hub does
        self.mine, self.other = (self.engine.open_account(10**10) for _ in range(2))
        self.order("Buy", 300, 59_990)
        fields = {"symbol": "XBTUSD", "orderQty": -200, "price": 59_990}
        self.engine.place(self.other.number, fields)
        self.engine.liquidity("XBTUSD").set_index(60_100.0)
        self.call("POST", "/user/requestWithdrawal", amount=1000, address="there")
        self.clock.sleep(24 * 3600)

    def order(self, side: str, qty: int, price: float, **fields: Any) -> Any:
        order = {"symbol": "XBTUSD", "side": side, "orderQty": qty, "price": price, **fields}
        return self.call("POST", "/order", **order)

    def call(self, verb: str, path: str, **params: Any) -> Any:
        answer = self.dialect.handle(Request(verb, path, params), self.mine)
        assert answer.status == 200, (verb, path, answer.body)
        return answer.body


@cache
def client(profile: str) -> Client:
    return Client(profile)


# what a route is called with, where it needs anything
PARAMETERS: dict[tuple[str, str], Row] = {
    ("GET", "/orderBook/L2"): {"symbol": "XBTUSD"},
    ("GET", "/user/walletHistory"): {"currency": "all"},
    ("POST", "/order/closePosition"): {"symbol": "XBTUSD", "price": 70_000},
    ("POST", "/order"): {"symbol": "XBTUSD", "orderQty": 100, "price": 50_000},
    ("POST", "/position/leverage"): {"symbol": "ETHUSD", "leverage": 10},
    ("POST", "/position/isolate"): {"symbol": "ETHUSD", "enabled": False},
    ("POST", "/position/riskLimit"): {"symbol": "ETHUSD", "riskLimit": 15_000_000_000},
    ("POST", "/user/requestWithdrawal"): {"amount": 100, "address": "there"},
}
EMPTY = {
    "/address": "nobody saves an address here",
    "/announcement": "nobody writes",
    "/announcement/urgent": "nobody writes",
    "/chat": "nobody writes",
    "/globalNotification": "nobody writes",
    "/liquidation": "no position was liquidated",
    "/settlement": "no contract expired",
    "/userEvent": "nobody keeps count of visits",
}
OTHERWISE = {
    ("PUT", "/order"): "needs an order: tested below",
    ("DELETE", "/order"): "needs an order: tested below",
    ("DELETE", "/order/all"): "needs an order: tested below",
    ("POST", "/position/transferMargin"): "needs an isolated position: tested with the money",
}


def defined() -> list[tuple[str, str, str]]:
    """Verb, path and definition of our routes whose answers the specification defines."""
    if not SPECIFICATION.exists():
        return []
    found = []
    for path, verbs in specification()["paths"].items():
        for verb, operation in verbs.items():
            schema = operation["responses"].get("200", {}).get("schema", {})
            reference = schema.get("$ref") or schema.get("items", {}).get("$ref", "")
            name = reference.rpartition("/")[2]
            if name and (verb.upper(), path) in ROUTES and "x-any" not in name:
                found.append((verb.upper(), path, name))
    return found


ROUTES_DEFINED = [case for case in defined() if case[:2] not in OTHERWISE]


@pytest.mark.parametrize("profile", ["classic", "last"])
@pytest.mark.parametrize(("verb", "path", "name"), ROUTES_DEFINED)
def test_a_route_answers_rows_as_defined(profile: str, verb: str, path: str, name: str) -> None:
    answer = client(profile).call(verb, path, **PARAMETERS.get((verb, path), {}))
    rows = answer if isinstance(answer, list) else [answer]
    assert (not rows) is (path in EMPTY)
    if name == "UserCommissionsBySymbol":  # symbol to rates; the definition names no column
        assert all(set(row) == {"makerFee", "takerFee", "settlementFee", "maxFee"}
                   for row in rows[0].values())  # fmt: skip
        return
    for row in rows:
        check(row, name, has_nulls=profile == "classic")


def test_changes_of_orders_answer_rows_as_defined() -> None:
    for profile in ("classic", "last"):
        mine = client(profile)
        rows = [mine.order("Buy", 100, 50_001)]
        order_id = rows[0]["orderID"]
        rows.append(mine.call("PUT", "/order", orderID=order_id, price=50_002))
        rows += mine.call("DELETE", "/order", orderID=order_id)
        mine.order("Buy", 100, 50_003)
        rows += mine.call("DELETE", "/order/all")
        for row in rows:
            check(row, "Order", has_nulls=profile == "classic")


SECRET = "secret"  # empty after the key was made, and what is empty is not sent by the last API


def check(row: Row, name: str, *, has_nulls: bool) -> None:
    """Every defined field is there and of its type; without nulls, what is null is not."""
    definition = specification()["definitions"][name]
    for field, kind in definition["properties"].items():
        is_required = field in definition.get("required", ()) and field != SECRET
        if has_nulls or is_required:
            assert field in row, field
        value = row.get(field)
        if value is not None and value != "":
            assert is_of(value, kind), (field, value, kind)


STAMP = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z")


def is_of(value: Any, kind: Row) -> bool:
    if isinstance(value, bool) or kind.get("type") == "boolean":
        return isinstance(value, bool) and kind["type"] == "boolean"
    match kind.get("format") or kind.get("type"):
        case "int32" | "int64":
            return isinstance(value, int)
        case "double" | "number":
            return isinstance(value, int | float)
        case "date-time":
            return isinstance(value, str) and bool(STAMP.fullmatch(value))
        case "array":
            return isinstance(value, list)
        case "guid" | "string":
            return isinstance(value, str)
    return isinstance(value, dict)


def test_every_route_that_is_left_out_above_is_left_out_for_a_reason() -> None:
    routes = {(verb, path) for verb, path, _ in defined()}
    assert OTHERWISE.keys() <= routes
    assert EMPTY.keys() <= {path for _, path in routes}
    assert PARAMETERS.keys() <= routes
