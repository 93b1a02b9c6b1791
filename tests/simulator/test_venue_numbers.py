"""A venue's own numbers for orders: they stay with their orders, and go with them."""

import gc
from collections import deque
from collections.abc import Callable
from types import BuiltinFunctionType, FunctionType, MethodType, ModuleType
from typing import Any

import pytest

from market_maker.clock import ManualClock
from market_maker.model.wire import Request
from market_maker.simulator.binance_tongue import faulty_binance
from market_maker.simulator.dialects.binance_rows import BTCUSDT
from market_maker.simulator.dialects.okx_rows import INSTRUMENTS
from market_maker.simulator.exchange import Account, Engine
from market_maker.simulator.hitbtc_tongue import faulty_hitbtc
from market_maker.simulator.instruments import DEFAULT_INSTRUMENTS, XBT_USDT
from market_maker.simulator.okx_tongue import faulty_okx
from market_maker.simulator.plain_tongue import faulty_plain
from market_maker.simulator.state import State, Writer

MORE_THAN_KEPT = 1_200  # the engine forgets all but a thousand finished orders


class Venue:
    """An engine in one language, and a customer of it."""

    def __init__(self, language: str, engine: Engine | None = None) -> None:
        tongue, instruments = {
            "okx": (faulty_okx, INSTRUMENTS), "hitbtc": (faulty_hitbtc, [XBT_USDT]),
            "binance": (faulty_binance, [BTCUSDT]), "plain": (faulty_plain, DEFAULT_INSTRUMENTS),
        }[language]  # fmt: skip
        self.clock = ManualClock()
        self.engine = engine or Engine(self.clock, instruments, seed=1)
        self.clock.attach(self.engine)
        speak: Callable[[Engine], Any] = tongue
        self.dialect = speak(self.engine).dialect
        self.engine.listeners.append(self.dialect.render)
        accounts = self.engine.accounts()
        self.account: Account = accounts[0] if accounts else self.engine.open_account()
        self._language = language

    def ask(self, verb: str, path: str, params: Any) -> Any:
        query = params if isinstance(params, dict) else {}
        answer = self.dialect.handle(Request(verb, path, query, params), self.account)
        assert answer.status == 200, answer
        self.clock.sleep(0.01)
        return answer.body

    def place(self, name: str) -> str:
        """Enter an order; the venue's number of it."""
        match self._language:
            case "okx":
                told = self.ask("POST", "/trade/order", {
                    "instId": "BTC-USD-SWAP", "tdMode": "cross", "side": "buy", "sz": "1",
                    "ordType": "limit", "px": "50000", "clOrdId": name, "tag": "mine",
                })  # fmt: skip
                return str(told["data"][0]["ordId"])
            case "hitbtc":
                return str(self.ask("POST", "/spot/order", {
                    "symbol": "BTCUSDT", "side": "buy", "quantity": "0.001", "price": "50000",
                    "client_order_id": name,
                })["id"])  # fmt: skip
            case "binance":
                self.dialect.api.weights.is_on = False
                return str(self.ask("POST", "/api/v3/order", {
                    "symbol": "BTCUSDT", "side": "BUY", "type": "LIMIT", "timeInForce": "GTC",
                    "quantity": "0.001", "price": "50000", "newClientOrderId": name,
                })["orderId"])  # fmt: skip
        order = {"symbol": "XBTUSD", "side": "buy", "size": 100, "price": 50_000}
        return str(self.ask("POST", "/orders", order)["id"])

    def cancel(self, number: str, name: str) -> None:
        match self._language:
            case "okx":
                wire = {"instId": "BTC-USD-SWAP", "ordId": number}
                assert self.ask("POST", "/trade/cancel-order", wire)["code"] == "0"
            case "hitbtc":
                assert str(self.ask("DELETE", f"/spot/order/{name}", {})["id"]) == number
            case "binance":
                self.ask("DELETE", "/api/v3/order", {"symbol": "BTCUSDT", "orderId": number})
            case _:
                assert self.ask("DELETE", f"/orders/{number}", {})["id"] == number


LANGUAGES = ("okx", "hitbtc", "binance", "plain")


def largest(root: Any, without: Any) -> int:
    """The most entries of any container that *root* leads to, *without* apart."""
    seen, todo, most = {id(without)}, [root], 0
    while todo:
        thing = todo.pop()
        aside = (ModuleType, BuiltinFunctionType, type)
        if id(thing) in seen or isinstance(thing, aside):
            continue
        seen.add(id(thing))
        if isinstance(thing, FunctionType):
            todo += [cell.cell_contents for cell in thing.__closure__ or ()]
            continue
        if isinstance(thing, dict | list | set | deque):
            most = max(most, len(thing))
        todo += [thing.__self__] if isinstance(thing, MethodType) else gc.get_referents(thing)
    return most


@pytest.mark.parametrize("language", LANGUAGES)
def test_a_dialect_keeps_no_more_of_orders_than_the_engine(language: str) -> None:
    venue = Venue(language)
    for n in range(MORE_THAN_KEPT):
        if n == MORE_THAN_KEPT // 2:
            venue.clock.sleep(86_400)  # HitBTC remembers the client ids of a day
        name = f"order{n:05d}"
        venue.cancel(venue.place(name), name)
    assert largest(venue.dialect, venue.engine) < MORE_THAN_KEPT


@pytest.mark.parametrize("language", LANGUAGES)
def test_numbers_survive_a_restart_and_are_never_given_twice(language: str) -> None:
    venue = Venue(language)
    before = [venue.place(f"order{n:05d}") for n in range(3)]
    clock = ManualClock(venue.clock.now())
    engine = Engine(clock, [venue.engine.instrument(s) for s in venue.engine.symbols()])
    State(Writer().render(venue.engine)).restore(engine)
    again = Venue(language, engine)
    assert again.place("order00003") not in before
    for n, number in enumerate(before):
        again.cancel(number, f"order{n:05d}")
    again.clock.sleep(1)
    assert sum(order.leaves_qty > 0 for order in engine.orders(again.account.number)) == 1


def test_the_tag_of_an_order_survives_a_restart() -> None:
    venue = Venue("okx")
    venue.place("order00000")
    engine = Engine(ManualClock(venue.clock.now()), INSTRUMENTS)
    State(Writer().render(venue.engine)).restore(engine)
    again = Venue("okx", engine)
    again.ask("POST", "/trade/cancel-all-after", {"timeOut": "10", "tag": "mine"})
    again.clock.sleep(11)
    assert not [order for order in engine.orders(again.account.number) if order.leaves_qty]
