"""The exchange's wire within the process."""

import copy
import json
from typing import Any

import pytest

from market_maker.clock import ManualClock
from market_maker.model.wire import Connected, Disconnected, Message, Ready, Request
from market_maker.simulator.exchange import Engine
from market_maker.simulator.market.synthetic import SyntheticMarket
from market_maker.simulator.twin import TOPICS, Twin

TABLES = ("order", "execution", "position", "margin", "quote", "trade", "orderBookL2", "instrument")


class Bot:
    """A twin on a quiet exchange, and all that its stream said."""

    def __init__(self, *, market: bool = False, topics: Any = TOPICS, seed: int = 7) -> None:
        self.clock = ManualClock()
        source = SyntheticMarket(seed=seed) if market else None
        self.engine = Engine(self.clock, market=source, seed=seed)
        self.clock.attach(self.engine)
        self.account = self.engine.open_account()
        self.twin = Twin(self.engine, self.account, "classic", topics)
        self.events: list[Any] = []

    def attach(self) -> "Bot":
        self.twin.stream.attach(self.events.append)
        return self

    def send(self, verb: str, path: str, **body: Any) -> Any:
        (answer,) = self.twin.transport.send([Request(verb, path, None, body)])
        assert answer.status == 200, answer.body
        return answer.body

    def place(self, side: str, price: float, qty: int = 100) -> Any:
        return self.send("POST", "/order", symbol="XBTUSD", side=side, orderQty=qty, price=price)

    @property
    def messages(self) -> list[Any]:
        return [event.data for event in self.events if isinstance(event, Message)]


def test_attaching_connects_welcomes_subscribes_and_shows_every_image() -> None:
    bot = Bot().attach()
    assert isinstance(bot.events[0], Connected)
    assert isinstance(bot.events[2], Ready)
    assert bot.messages[0]["info"].startswith("Welcome")
    partials = [m["table"] for m in bot.messages if m.get("action") == "partial"]
    assert sorted(partials) == sorted(TABLES)
    assert [m["subscribe"] for m in bot.messages if "subscribe" in m] == list(TOPICS)
    assert bot.twin.stream.pushed
    assert list(bot.twin.stream) == []


def test_messages_arrive_before_the_answer() -> None:
    bot = Bot().attach()
    bot.events.clear()
    order = bot.place("Buy", 59000)
    assert bot.messages[0]["table"] == "order"
    assert bot.messages[0]["data"][0]["orderID"] == order["orderID"]


def test_only_the_own_account_and_the_asked_symbol_are_heard() -> None:
    bot = Bot(topics=["order", "trade:ETHUSD", "quote:XBTUSD"]).attach()
    other = bot.engine.open_account()
    bot.events.clear()
    bot.engine.place(other.number, {"symbol": "XBTUSD", "orderQty": 100, "price": 59000})
    bot.place("Sell", 59000)
    assert {m["table"] for m in bot.messages} == {"order", "quote"}
    rows = [row for m in bot.messages if m["table"] == "order" for row in m["data"]]
    assert {row["account"] for row in rows} == {bot.account.number}


def test_nothing_is_pushed_before_attaching_or_after_closing() -> None:
    bot = Bot()
    bot.place("Buy", 59000)
    assert bot.events == []
    bot.attach()
    assert [row["price"] for m in bot.messages if m.get("table") == "order" for row in m["data"]]
    bot.twin.stream.close()
    assert isinstance(bot.events[-1], Disconnected)
    said = len(bot.events)
    bot.place("Buy", 59001)
    bot.twin.stream.close()
    assert len(bot.events) == said


def test_a_second_attach_starts_over_with_images() -> None:
    bot = Bot().attach()
    bot.twin.stream.close()
    bot.events.clear()
    bot.attach()
    assert len([m for m in bot.messages if m.get("action") == "partial"]) == len(TABLES)


def test_reconnecting_drops_the_line_and_shows_fresh_images() -> None:
    bot = Bot(topics=["order"])
    bot.twin.stream.reconnect()
    assert bot.events == []
    bot.attach()
    bot.twin.stream.subscribe("quote:XBTUSD")
    assert bot.messages[-1]["table"] == "quote"
    bot.events.clear()
    bot.twin.stream.reconnect()
    assert isinstance(bot.events[0], Disconnected)
    assert isinstance(bot.events[1], Connected)
    partials = [m["table"] for m in bot.messages if m.get("action") == "partial"]
    assert partials == ["order", "quote"]


def test_editing_a_received_row_changes_nothing() -> None:
    bot = Bot().attach()
    bot.place("Buy", 59000)
    for message in bot.messages:
        for row in message.get("data", []):
            row.clear()
    bot.events.clear()
    order = bot.place("Buy", 59001)
    update = bot.send("PUT", "/order", orderID=order["orderID"], orderQty=200)
    assert update["orderQty"] == 200
    changes = [m["data"][0] for m in bot.messages if m.get("action") == "update"]
    orders = [row for row in changes if "orderID" in row]
    assert orders[0]["orderQty"] == 200
    assert any("openOrderBuyQty" in row for row in changes)


def test_requests_of_one_send_are_answered_in_order() -> None:
    bot = Bot()
    answers = bot.twin.transport.send(
        [
            Request("GET", "/nothing"),
            Request("GET", "/user/margin"),
            Request("GET", "/order", {"filter": '{"open":true}'}),
        ]
    )
    assert [answer.status for answer in answers] == [404, 200, 200]
    bot.twin.transport.close()


def test_cancel_all_after_over_the_stream_cancels_when_time_is_up() -> None:
    bot = Bot().attach()
    bot.place("Buy", 59000)
    bot.twin.stream.send({"op": "cancelAllAfter", "args": 15000})
    assert bot.messages[-1]["cancelTime"] == "2020-09-13T12:26:55.000Z"
    bot.clock.sleep(14.9)
    (order,) = bot.engine.orders(bot.account.number)
    assert order.ord_status == "New"
    bot.clock.sleep(0.2)
    assert bot.engine.orders(bot.account.number)[0].ord_status == "Canceled"
    bot.twin.stream.send({"op": "cancelAllAfter", "args": [0]})
    assert bot.messages[-1]["cancelTime"] == 0


@pytest.mark.parametrize(
    ("message", "said"),
    [
        ({"op": "subscribe", "args": ["orderBookL2_25:XBTUSD"]}, {"success": True}),
        (
            {"op": "subscribe", "args": "order"},
            {
                "status": 400,
                "error": "You are already subscribed to this topic:order. "
                "Please see the documentation at https://www.bitmex.com/app/wsAPI.",
                "meta": {},
            },
        ),
        ({"op": "subscribe", "args": ["x"]}, {"status": 400, "error": "Unknown table: x"}),
        ({"op": "subscribe", "args": "wallet"}, {"success": True, "subscribe": "wallet"}),
        (
            {"op": "subscribe", "args": ["quote:FOO"]},
            {"status": 400, "error": "Unknown or expired symbol."},
        ),
        ({"op": "unsubscribe", "args": ["order"]}, {"success": True, "unsubscribe": "order"}),
        ({"op": "unsubscribe", "args": "chat"}, {"status": 400}),
        ({"op": "authKeyExpires", "args": ["k", 1, "s"]}, {"status": 400}),
        ({"op": "cancelAllAfter"}, {"status": 400, "error": "Invalid timeout"}),
        ({"op": "dance", "args": []}, {"status": 400}),
        ({"op": "help"}, {"info": "See https://www.bitmex.com/app/wsAPI for more information."}),
        ("help", {"info": "See https://www.bitmex.com/app/wsAPI for more information."}),
        ([1], {"status": 400}),
    ],
)
def test_each_command_is_answered_as_documented(message: Any, said: dict[str, Any]) -> None:
    bot = Bot().attach()
    bot.events.clear()
    bot.twin.stream.send(message)
    answer = bot.messages[0]
    assert said.items() <= answer.items()
    if isinstance(message, dict) and "args" in message and message["op"] != "help":
        assert answer["request"] == message


def test_one_bad_topic_fails_the_whole_request() -> None:
    bot = Bot(topics=[]).attach()
    bot.events.clear()
    bot.twin.stream.send({"op": "subscribe", "args": ["order", "quote:FOO"]})
    assert [m["error"] for m in bot.messages] == ["Unknown or expired symbol."]
    bot.place("Buy", 59000)
    assert len(bot.messages) == 1


def test_the_last_profile_names_the_symbol_it_does_not_know() -> None:
    bot = Bot(topics=[])
    twin = Twin(bot.engine, bot.account, "last", ["quote:FOO"])
    twin.stream.attach(bot.events.append)
    assert bot.messages[-1]["error"].startswith("Unknown or expired symbol: FOO.")


def test_unsubscribing_ends_the_deltas() -> None:
    bot = Bot(topics=["order"]).attach()
    bot.twin.stream.send({"op": "unsubscribe", "args": ["order"]})
    bot.events.clear()
    bot.place("Buy", 59000)
    assert bot.messages == []


def run_market(seed: int) -> str:
    """Two minutes of market with a maker that joins the touch every second."""
    bot = Bot(market=True, seed=seed).attach()
    for _ in range(120):
        quote = bot.engine.quote("XBTUSD")
        grid = bot.engine.grid("XBTUSD")
        bot.send("DELETE", "/order/all")
        for side, ticks in (("Buy", quote.bid_ticks), ("Sell", quote.ask_ticks)):
            if ticks is not None:
                bot.place(side, grid.price(ticks))
        bot.clock.sleep(1.0)
    assert any(m.get("table") == "execution" and m["data"] for m in bot.messages)
    return json.dumps(copy.deepcopy(bot.events))


def test_two_runs_are_equal_to_the_byte_and_another_seed_is_not() -> None:
    assert run_market(5) == run_market(5)
    assert run_market(5) != run_market(6)
