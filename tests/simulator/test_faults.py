"""Faults on demand, in process on a manual clock."""

import contextlib
from typing import Any

import pytest
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from market_maker.clock import ManualClock
from market_maker.model.wire import Answer, Connected, Disconnected, Message, Request
from market_maker.simulator.exchange import Engine
from market_maker.simulator.fault_kinds import GROUPS, KINDS, REQUEST, BadFault, help_text, parse
from market_maker.simulator.faults import BAD_GATEWAY, OVERLOADED
from market_maker.simulator.faulty_dialect import shift_times
from market_maker.simulator.market.synthetic import SyntheticMarket
from market_maker.simulator.twin import Twin

LOST = Answer(0, None, {}, True, "timed out")
CUT = Answer(0, None, {}, True, "connection lost")
TIMEOUT_S = 7.0


class Bot:
    """A client in the process, on a quiet exchange unless it has a market."""

    def __init__(self, *faults: str, market: bool = False) -> None:
        self.clock = ManualClock()
        source = SyntheticMarket(seed=7) if market else None
        self.engine = Engine(self.clock, market=source, seed=7)
        self.clock.attach(self.engine)
        self.account = self.engine.open_account()
        self.twin = Twin(self.engine, self.account, "classic", clock=self.clock)
        self.events: list[tuple[float, Any]] = []
        self.start_s = self.clock.now()
        self.twin.stream.attach(lambda event: self.events.append((self.passed_s(), event)))
        self.events.clear()
        for fault in faults:
            self.twin.faults.add(fault)

    def passed_s(self) -> float:
        return round(self.clock.now() - self.start_s, 3)

    def send(self, verb: str, path: str, **body: Any) -> Answer:
        (answer,) = self.twin.transport.send([Request(verb, path, None, body)])
        return answer

    def place(self, price: float = 59000, qty: int = 100, **more: Any) -> Answer:
        order = {"symbol": "XBTUSD", "side": "Buy", "orderQty": qty, "price": price, **more}
        return self.send("POST", "/order", **order)

    def resting(self) -> int:
        return sum(order.leaves_qty > 0 for order in self.engine.orders(self.account.number))

    def heard(self, table: str) -> list[tuple[float, Any]]:
        """When each message of *table* came, and its rows."""
        return [
            (at, event.data["data"])
            for at, event in self.events
            if isinstance(event, Message) and event.data.get("table") == table
        ]


# -- requests ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("fault", "answer", "resting", "waited_s"),
    [
        ("drop-request", LOST, 0, TIMEOUT_S),
        ("drop-request:lost=cut", CUT, 0, 0),
        ("drop-answer", LOST, 1, TIMEOUT_S),
        ("drop-answer:lost=cut", CUT, 1, 0),
        ("late-act", LOST, 0, TIMEOUT_S),
        ("late-request:seconds=30", LOST, 0, TIMEOUT_S),
        ("late-answer:seconds=30", LOST, 1, TIMEOUT_S),
    ],
)
def test_an_answer_that_never_comes_is_told_as_transports_tell_it(
    fault: str, answer: Answer, resting: int, waited_s: float
) -> None:
    bot = Bot(fault)
    assert bot.place() == answer
    assert (bot.resting(), bot.passed_s()) == (resting, waited_s)


@pytest.mark.parametrize(
    ("fault", "acts_s"), [("late-act:seconds=9", 9), ("late-request:seconds=12", 12)]
)
def test_a_request_may_be_acted_on_after_the_client_gave_up(fault: str, acts_s: float) -> None:
    bot = Bot(fault)
    bot.place()
    bot.clock.sleep(acts_s - TIMEOUT_S - 0.001)
    assert bot.resting() == 0
    bot.clock.sleep(0.001)
    assert bot.resting() == 1
    assert [at for at, _ in bot.heard("order")] == [acts_s]


@pytest.mark.parametrize(
    ("fault", "acted_s"), [("late-request:seconds=2", 2), ("late-answer:seconds=2", 0)]
)
def test_a_delay_is_before_or_after_the_act(fault: str, acted_s: float) -> None:
    bot = Bot(fault)
    answer = bot.place()
    assert (answer.status, bot.passed_s()) == (200, 2)
    assert [at for at, _ in bot.heard("order")] == [acted_s]


def test_requests_of_one_batch_wait_at_the_same_time() -> None:
    bot = Bot("late-answer:seconds=2", "late-request:seconds=1,every=2")
    order = {"symbol": "XBTUSD", "orderQty": 100, "price": 59000}
    answers = bot.twin.transport.send([Request("POST", "/order", None, order)] * 3)
    assert [answer.status for answer in answers] == [200, 200, 200]
    assert [at for at, _ in bot.heard("order")] == [0, 0, 1]
    assert bot.passed_s() == 3


def test_a_delay_lets_the_market_move_on_meanwhile() -> None:
    bot = Bot("late-answer:seconds=5", market=True)
    bot.send("GET", "/position")
    times = [at for at, _ in bot.heard("quote")]
    assert len(times) > 5
    assert times == sorted(times)


@pytest.mark.parametrize(
    ("fault", "status", "text"),
    [
        ("401", 401, "Invalid API Key."),
        ("403", 403, "Access Denied"),
        ("429:retry=7", 429, "Rate limit exceeded, retry in 7 seconds."),
        ("500", 500, "Internal Server Error"),
        ("503", 503, OVERLOADED),
    ],
)
def test_a_refusing_status_has_the_exchange_s_text_and_nothing_is_done(
    fault: str, status: int, text: str
) -> None:
    bot = Bot(fault)
    answer = bot.place()
    assert (answer.status, answer.body["error"]["message"]) == (status, text)
    assert answer.headers.get("retry-after") == ("7" if status == 429 else None)
    assert bot.resting() == 0


def test_a_gateway_fails_in_html() -> None:
    answer = Bot("502").place()
    assert (answer.status, answer.body) == (502, BAD_GATEWAY)


@pytest.mark.parametrize("fault", ["500", "502", "503", "429"])
def test_a_failing_status_may_hide_that_the_exchange_acted(fault: str) -> None:
    bot = Bot(f"{fault}:acts=1")
    assert bot.place().status == int(fault)
    assert bot.resting() == 1


def test_an_answer_may_overtake_its_events() -> None:
    bot = Bot("answer-first:seconds=0.5,path=/order")
    assert bot.place().status == 200
    assert bot.heard("order") == []
    bot.clock.sleep(0.5)
    assert [at for at, _ in bot.heard("order")] == [0.5]
    assert [at for at, _ in bot.heard("margin")] == [0.5]


@pytest.mark.parametrize(
    ("given", "statuses"),
    [
        ("503:verb=DELETE", [200, 200, 200]),
        ("503:verb=PUT+POST", [503, 503, 503]),
        ("503:path=/order/bulk", [200, 200, 200]),
        ("503:path=/order", [503, 503, 503]),
        ("503:every=2", [200, 503, 200]),
        ("503:count=1", [503, 200, 200]),
        ("503:p=0", [200, 200, 200]),
        ("503:start=0.5,for=1", [200, 503, 200]),
        ("503:account=1", [200, 200, 200]),
    ],
)
def test_a_fault_strikes_only_what_it_is_about(given: str, statuses: list[int]) -> None:
    bot = Bot(given)
    found = []
    for _ in range(3):
        found.append(bot.place().status)
        bot.clock.sleep(1)
    assert found == statuses


def test_the_same_seed_strikes_the_same_requests() -> None:
    def run(seed: int) -> list[int]:
        bot = Bot()
        bot.twin.faults._rng.seed(seed)
        bot.twin.faults.add("503:p=0.5")
        return [bot.place().status for _ in range(30)]

    assert run(1) == run(1) != run(2)
    assert {200, 503} == set(run(1))


# -- stream -----------------------------------------------------------------------------------


def book(bot: Bot) -> dict[int, int]:
    """The own levels of the book, id to size, as a client keeps it by the stream."""
    levels: dict[int, int] = {}
    for _, event in bot.events:
        if isinstance(event, Message) and event.data.get("table") == "orderBookL2":
            for row in event.data["data"]:
                if event.data["action"] in ("partial", "insert"):
                    levels[row["id"]] = row["size"]
                elif event.data["action"] == "delete":
                    levels.pop(row["id"], None)
                elif row["id"] in levels:
                    levels[row["id"]] = row["size"]
    return levels


def test_a_message_may_come_twice() -> None:
    bot = Bot("duplicate:table=execution")
    bot.place()
    rows = bot.heard("execution")
    assert len(rows) == 2
    assert rows[0] == rows[1]
    assert rows[0][1] is not rows[1][1]
    assert len(bot.heard("order")) == 1


def test_a_message_may_come_after_the_next_one() -> None:
    bot = Bot("reorder:count=1")
    bot.place()
    tables = [event.data["table"] for _, event in bot.events]
    assert tables[:2] == ["execution", "order"]  # the exchange tells them the other way round


def test_a_message_overtaken_by_nothing_comes_after_a_while() -> None:
    bot = Bot("reorder:table=instrument,seconds=3")
    bot.place()
    assert bot.heard("instrument") == []
    bot.clock.sleep(3)
    assert len(bot.heard("instrument")) == 1


def test_a_missed_delta_leaves_a_wrong_book() -> None:
    right, wrong = Bot(), Bot("skip:table=orderBookL2,count=1")
    for bot in (right, wrong):
        bot.place(59000)
        bot.place(58999.5)
    assert len(book(right)) == 2
    assert len(book(wrong)) == 1


def test_a_stale_stream_is_silent_and_still_answers() -> None:
    bot = Bot("stale:for=10", market=True)
    bot.clock.sleep(9)
    assert bot.events == []
    bot.twin.stream.send({"op": "help"})
    assert len(bot.events) == 1
    bot.clock.sleep(2)
    assert len(bot.heard("quote")) > 1


def test_a_late_position_row_does_not_delay_the_others() -> None:
    bot = Bot("late-position:seconds=2")
    bot.place()
    assert len(bot.heard("order")) == 1
    assert bot.heard("position") == []
    bot.clock.sleep(2)
    assert [at for at, _ in bot.heard("position")] == [2]


def test_late_events_keep_their_order() -> None:
    bot = Bot("late-event:seconds=2")
    prompt = Bot()
    for each in (bot, prompt):
        each.place()
        each.place(58000)
        each.clock.sleep(3)
    tables = [[e.data["table"] for _, e in each.events] for each in (bot, prompt)]
    private = ("order", "execution", "position", "margin")
    assert [t for t in tables[0] if t in private] == [t for t in tables[1] if t in private]


# -- accounts, sockets and the clock ----------------------------------------------------------


def test_the_dead_man_s_switch_may_fire() -> None:
    bot = Bot("deadman:start=5")
    bot.place()
    bot.clock.sleep(4.9)
    assert bot.resting() == 1
    bot.clock.sleep(0.1)
    assert bot.resting() == 0
    assert bot.heard("order")[-1][1][0]["text"].startswith("Canceled: Canceled via Cancel All")
    assert bot.twin.faults.active == []


def test_a_deed_may_repeat() -> None:
    bot = Bot("deadman:start=1,every=2,count=3")
    found = []
    for _ in range(8):
        bot.place()
        found.append(bot.resting())
        bot.clock.sleep(1)
    assert found == [1, 1, 2, 1, 2, 1, 2, 3]


def test_another_hand_may_trade_on_the_account() -> None:
    bot = Bot("hand-trade:qty=-300,start=2", market=True)
    bot.clock.sleep(1)
    assert bot.engine.position_symbols(bot.account.number) == []
    bot.clock.sleep(2)
    row = bot.engine.position_row(bot.account.number, "XBTUSD")
    assert row["currentQty"] == -300
    heard = [row.get("currentQty") for _, rows in bot.heard("position") for row in rows]
    assert -300 in heard


@pytest.mark.parametrize(("fault", "left"), [("liquidation", 0), ("deleveraging:qty=200", 300)])
def test_the_exchange_may_take_a_position_away(fault: str, left: int) -> None:
    bot = Bot(f"{fault},start=5" if ":" in fault else f"{fault}:start=5", market=True)
    bot.send("POST", "/order", symbol="XBTUSD", side="Buy", orderQty=500)
    bot.clock.sleep(1)
    bot.place(50000)
    assert bot.engine.position_row(bot.account.number, "XBTUSD")["currentQty"] == 500
    bot.clock.sleep(6)
    assert bot.engine.position_row(bot.account.number, "XBTUSD")["currentQty"] == left
    heard = [row.get("currentQty") for _, rows in bot.heard("position") for row in rows]
    assert left in heard
    assert bot.engine.imbalance_sat() == 0


def test_funding_may_come_beside_its_times() -> None:
    bot = Bot("funding:start=5,every=5,count=2", market=True)
    bot.send("POST", "/order", symbol="XBTUSD", side="Buy", orderQty=500)
    bot.clock.sleep(12)
    paid = [e for e in bot.engine.executions(bot.account.number) if e.exec_type == "Funding"]
    assert [bool(event.fill and event.fill.comm_sat) for event in paid] == [True, True]
    assert len(bot.engine.fundings("XBTUSD")) == 2
    assert bot.engine.imbalance_sat() == 0


def test_the_tick_and_the_lot_size_may_change() -> None:
    bot = Bot("tick-size:size=2.5", "lot-size:start=1", market=True)
    lot_size = bot.engine.instrument("XBTUSD").lot_size
    bot.clock.sleep(2)
    row = bot.engine.instrument_row("XBTUSD")
    assert (row["tickSize"], row["lotSize"]) == (2.5, 2 * lot_size)
    assert bot.place(59000.5, 2 * lot_size).body["error"]["message"] == "Invalid price tickSize"


def test_a_symbol_may_close_and_open_again() -> None:
    bot = Bot("closing:for=10", market=True)
    bot.clock.sleep(1)
    assert bot.place().status == 400
    assert bot.engine.instrument_row("XBTUSD")["state"] == "Closed"
    bot.clock.sleep(10)
    assert bot.place().status == 200


def test_two_faults_of_a_kind_last_as_long_as_the_longer() -> None:
    bot = Bot("closing:for=30", "closing:for=5", "closing:for=5,symbol=ETHUSD")
    for after_s, answer in ((2.0, "Closed"), (10.0, "Closed"), (20.0, "Open")):
        bot.clock.sleep(after_s)
        assert bot.engine.instrument_row("XBTUSD")["state"] == answer
    assert bot.engine.instrument_row("ETHUSD")["state"] == "Open"
    assert bot.place().status == 200


def test_what_expires_while_it_is_closed_does_not_open_again() -> None:
    bot = Bot()
    future = next(s for s in bot.engine.symbols() if bot.engine.instrument(s).expiry_s)
    left_s = (bot.engine.instrument(future).expiry_s or 0) - bot.clock.now()
    bot.twin.faults.add(f"closing:symbol={future},start={left_s - 5},for=10")
    bot.clock.sleep(left_s + 60)
    assert bot.engine.instrument_row(future)["state"] == "Settled"
    assert len(bot.engine.settlements(future)) == 1


def test_post_only_orders_may_be_cancelled_as_if_they_crossed() -> None:
    bot = Bot("post-only-cancelled:count=1")
    row = bot.place(execInst="ParticipateDoNotInitiate").body
    assert row["ordStatus"] == "Canceled"
    assert row["text"].startswith("Canceled: Order had execInst of ParticipateDoNotInitiate")
    assert bot.place(execInst="ParticipateDoNotInitiate").body["ordStatus"] == "New"


def test_other_orders_do_not_bounce() -> None:
    assert Bot("post-only-cancelled").place().body["ordStatus"] == "New"


@pytest.mark.parametrize("qty", [1, 30, 1000])
def test_orders_may_fill_a_few_contracts_at_a_time(qty: int) -> None:
    bot = Bot(f"small-fills:qty={qty}", market=True)
    bot.clock.sleep(0)
    bot.send("POST", "/order", symbol="XBTUSD", side="Buy", orderQty=100)
    fills = [
        row["lastQty"]
        for _, rows in bot.heard("execution")
        for row in rows
        if row["execType"] == "Trade"
    ]
    assert sum(fills) == 100
    assert max(fills) <= qty
    assert bot.engine.imbalance_sat() == 0


def test_a_resting_order_fills_a_few_contracts_at_a_time_too() -> None:
    bot = Bot("small-fills", market=True)
    bot.clock.sleep(0)
    price = bot.engine.instrument_row("XBTUSD")["bidPrice"]
    bot.place(price, 100)
    bot.clock.sleep(60)
    (order,) = bot.engine.orders(bot.account.number)
    assert order.cum_qty == 100
    assert len([event for event in bot.engine.executions(bot.account.number) if event.fill]) == 100


def test_a_fault_on_an_unknown_symbol_is_refused() -> None:
    with pytest.raises(BadFault, match="The exchange has no symbol 'ABC'"):
        Bot("closing:symbol=ABC")


def test_a_stream_may_be_cut_and_comes_back_with_fresh_images() -> None:
    bot = Bot("close:start=3")
    bot.place()
    bot.events.clear()
    bot.clock.sleep(5)
    kinds = [(at, type(event)) for at, event in bot.events if not isinstance(event, Message)]
    assert kinds[:2] == [(3, Disconnected), (4, Connected)]
    assert bot.heard("order")[0][1][0]["orderQty"] == 100


def test_a_refusing_exchange_takes_no_request_and_no_stream() -> None:
    bot = Bot("refuse:for=10", "close")
    bot.clock.sleep(1)
    assert bot.place() == Answer(0, None, {}, False, "connection refused")
    bot.clock.sleep(20)
    connected = [at for at, event in bot.events if isinstance(event, Connected)]
    assert connected == [10]
    assert bot.place().status == 200


def test_a_closed_stream_stays_closed() -> None:
    bot = Bot("close")
    bot.clock.sleep(0.5)
    bot.twin.stream.close()
    bot.clock.sleep(5)
    assert not any(isinstance(event, Connected) for _, event in bot.events)


def test_a_frozen_socket_carries_nothing_until_it_thaws() -> None:
    bot = Bot("freeze:for=10")
    bot.clock.sleep(0)
    bot.place()
    bot.twin.stream.send({"op": "help"})
    assert bot.events == []
    bot.clock.sleep(10)
    assert {at for at, _ in bot.events} == {10}
    assert len(bot.heard("order")) == 1


def test_the_exchange_s_clock_may_be_wrong() -> None:
    bot = Bot("clock-skew:seconds=-30")
    bot.clock.sleep(0)
    row = bot.place().body
    assert row["timestamp"] == "2020-09-13T12:26:10.000Z"
    assert bot.heard("order")[0][1][0]["timestamp"] == row["timestamp"]
    bot.twin.faults.clear("clock-skew")
    assert bot.place().body["timestamp"] == "2020-09-13T12:26:40.000Z"


@given(st.integers(-10_000_000, 10_000_000))
def test_moving_times_there_and_back_changes_nothing(seconds: int) -> None:
    rows = [{"timestamp": "2020-02-29T23:59:59.999Z", "price": 1.5, "text": "at 2020", "a": None}]
    assert shift_times(shift_times(rows, seconds), -seconds) == rows


# -- asking for faults ------------------------------------------------------------------------


def test_faults_are_listed_and_cleared() -> None:
    bot = Bot("503:count=1", "late-position", "freeze")
    bot.place()
    assert [(row["fault"], row["hits"]) for row in bot.twin.faults.rows()] == [
        ("503:count=1", 1),
        ("late-position", 0),
        ("freeze", 0),
    ]
    assert bot.twin.faults.clear("503") == 1
    assert bot.twin.faults.clear() == 2
    assert bot.twin.faults.rows() == []
    assert bot.place().status == 200


def test_a_fault_that_is_over_leaves_the_list() -> None:
    bot = Bot("503:for=5", "freeze:for=5")
    bot.clock.sleep(5)
    assert bot.twin.faults.rows() == []


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("drop-anser", "No fault is named 'drop-anser': did you mean drop-answer?"),
        ("x", "No fault is named 'x': '--fault help' lists them."),
        ("503:paht=/order", "503 knows no 'paht'; it knows start, for, p, every, count, verb"),
        ("503:p=2", "p is a number from 0 to 1, was '2'."),
        ("503:p=often", "p is a number from 0 to 1, was 'often'."),
        ("503:for=-1", "for is a number from 0 to 31536000, was '-1'."),
        ("503:for=nan", "for is a number from 0 to 31536000, was 'nan'."),
        ("hand-trade:qty=0", "qty is a whole number other than 0, was '0'."),
        ("hand-trade:qty=inf", "qty is a number from -10000000 to 10000000, was 'inf'."),
        ("small-fills:qty=0.5", "qty is a whole number other than 0, was '0.5'."),
        ("late-answer:seconds=-1", "seconds of late-answer is 0 or more, was -1."),
        ("hand-trade:every=0.001", "hand-trade comes every 0.1 s at most."),
        ("drop-answer:lost=x", "lost is timeout or cut, was 'x'."),
    ],
)
def test_a_fault_misspelt_is_one_clear_line(text: str, message: str) -> None:
    with pytest.raises(BadFault) as error:
        parse(text)
    assert str(error.value).startswith(message)
    assert "\n" not in str(error.value)


NUMBERS = st.one_of(st.integers(-3, 500), st.floats(-50, 50), st.sampled_from([1e4, 1e-9, 1e7]))


@given(st.data())
@hypothesis_settings(max_examples=60, deadline=None)
def test_no_fault_that_is_taken_breaks_the_exchange(data: st.DataObject) -> None:
    bot = Bot(market=True)
    bot.send("POST", "/order", symbol="XBTUSD", side="Buy", orderQty=500)
    for _ in range(data.draw(st.integers(1, 3))):
        kind = data.draw(st.sampled_from(list(KINDS.values())))
        keys = [key for key, value in {**GROUPS[kind.group], **kind.own}.items() if value != ""]
        chosen = data.draw(st.lists(st.sampled_from(keys), max_size=3, unique=True))
        text = ",".join(f"{key}={data.draw(NUMBERS)}" for key in chosen)
        with contextlib.suppress(BadFault):
            bot.twin.faults.add(f"{kind.name}:{text}")
    for _ in range(3):
        bot.place(execInst="ParticipateDoNotInitiate")
        bot.send("GET", "/position")
        bot.clock.sleep(2)
    assert bot.engine.imbalance_sat() == 0


@pytest.mark.parametrize("name", KINDS)
def test_every_fault_can_be_had_by_its_name_alone(name: str) -> None:
    bot = Bot(name, market=True)
    bot.clock.sleep(1)
    bot.place()
    bot.clock.sleep(30)
    assert bot.engine.imbalance_sat() == 0
    assert f"  {name} " in help_text()


def test_the_help_fits_a_terminal() -> None:
    assert [line for line in help_text().splitlines() if len(line) > 79] == []


@pytest.mark.parametrize("name", [kind.name for kind in KINDS.values() if kind.group == REQUEST])
def test_without_its_fault_a_request_is_unharmed(name: str) -> None:
    bot = Bot(f"{name}:p=0")
    assert bot.place().status == 200
    assert bot.passed_s() == 0
