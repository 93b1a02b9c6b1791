"""Accounts and orders survive a restart of the built-in exchange."""

import hashlib
import json
import os
import signal
import stat
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from random import Random
from typing import Any

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from market_maker.clock import ManualClock
from market_maker.simulator.bitmex_tongue import faulty_bitmex
from market_maker.simulator.dialects.bitmex import Dialect
from market_maker.simulator.exchange import Engine, Refused
from market_maker.simulator.faulty_hub import FaultyHub
from market_maker.simulator.listings import all_instruments
from market_maker.simulator.market.synthetic import SyntheticMarket
from market_maker.simulator.state import BadState, State, Writer
from market_maker.simulator.state_file import StateFile
from market_maker.simulator.tongue import Call
from market_maker.utils.errors import SettingsError
from tests.process import Exchange

COLUMNS = ("currentQty", "currentCost", "realisedPnl", "rebalancedPnl", "currentComm")
COLUMNS += ("openOrderBuyQty", "openOrderSellQty", "openOrderBuyCost")
START_S = 1_600_000_000.0


def fresh(state: State | None = None, now_s: float = START_S, *, market: bool = False) -> Engine:
    """An exchange that goes on from *state*."""
    clock = ManualClock(now_s)
    listed = all_instruments(now_s)
    engine = Engine(clock, state.over(listed) if state else listed)
    if state is not None:
        state.restore(engine)
    if market:
        engine.open_market(SyntheticMarket(seed=5))
    clock.attach(engine)
    engine.clock = clock  # type: ignore[attr-defined]
    return engine


def sleep(engine: Engine, seconds: float) -> None:
    engine.clock.sleep(seconds)  # type: ignore[attr-defined]


def again(engine: Engine, later_s: float = 0.0, *, market: bool = False) -> Engine:
    """The exchange after a restart so much later."""
    return fresh(State(Writer().render(engine)), engine.now() + later_s, market=market)


def busy(seed: int, seconds: float = 60) -> Engine:
    """An exchange with three accounts that traded and have all sorts of orders."""
    engine = fresh(market=True)
    rng = Random(seed)
    accounts = [engine.open_account() for _ in range(3)]
    for _ in range(int(seconds)):
        account = rng.choice(accounts)
        row = engine.instrument_row("XBTUSD")
        side = rng.choice(["Buy", "Sell"])
        away = rng.choice([0, 2, 50, 500]) * (-1 if side == "Buy" else 1)
        fields: dict[str, Any] = {"symbol": "XBTUSD", "side": side, "orderQty": 100}
        kind = rng.choice(["Limit", "Limit", "Market", "Stop", "Day"])
        touch = row["bidPrice" if side == "Buy" else "askPrice"]
        if kind in ("Limit", "Day"):
            fields["price"] = touch + away
            fields["clOrdID"] = f"mine-{rng.getrandbits(60)}"
        if kind == "Day":
            fields["timeInForce"] = "Day"
        if kind == "Stop":
            fields |= {"ordType": "Stop", "stopPx": touch + (300 if side == "Buy" else -300)}
        try:
            engine.place(account.number, fields)
        except Refused as refused:
            assert "Too many" in refused.message, refused
        sleep(engine, 1)
    return engine


def all_of(engine: Engine) -> dict[str, Any]:
    """All that a customer can see of their own, but for what the market price moves."""
    seen = {}
    for account in engine.accounts():
        number = account.number
        seen[account.key] = (
            account,
            engine.orders(number),
            engine.executions(number),
            engine.transactions(number),
            engine.quote_counts(number),
            {
                symbol: [engine.position_row(number, symbol)[name] for name in COLUMNS]
                for symbol in engine.position_symbols(number)
            },
            {c: engine.margin_row(number, c)["walletBalance"] for c in engine.currencies(number)},
        )
    return seen


@pytest.mark.parametrize("seed", range(3))
def test_a_restart_keeps_every_account_to_the_satoshi(seed: int) -> None:
    before = busy(seed)
    after = again(before)
    assert all_of(after) == all_of(before)
    assert after.imbalance_sat() == 0
    assert after.imbalance_sat("USDt") == 0


def test_a_second_restart_changes_nothing() -> None:
    before = busy(1)
    once = again(before)
    assert Writer().render(again(once)) == Writer().render(once)


def test_orders_keep_their_priority() -> None:
    engine = fresh()
    first, second = engine.open_account(), engine.open_account()
    order = {"symbol": "XBTUSD", "side": "Buy", "price": 50000, "orderQty": 100}
    ids = [engine.place(account.number, order).order_id for account in (second, first, second)]
    engine.amend(second.number, {"orderID": ids[0], "orderQty": 200})  # goes to the end
    after = again(engine)
    third = after.open_account()
    after.place(third.number, {"symbol": "XBTUSD", "side": "Sell", "orderQty": 300, "price": 50000})
    left = {o.order_id: o.leaves_qty for a in (first, second) for o in after.orders(a.number)}
    assert [left[order_id] for order_id in ids] == [100, 0, 0]


def test_what_the_new_market_crosses_trades_as_a_maker() -> None:
    engine = fresh(market=True)
    account = engine.open_account()
    price = engine.instrument_row("XBTUSD")["askPrice"] - 0.5
    engine.place(
        account.number,
        {
            "symbol": "XBTUSD",
            "orderQty": 100,
            "price": price - 40,
            "execInst": "ParticipateDoNotInitiate",
        },
    )
    state = State(Writer().render(engine))
    state.instruments = [
        replace(spec, start_price=spec.start_price - 100) if spec.symbol == "XBTUSD" else spec
        for spec in state.instruments
    ]
    after = fresh(state, engine.now(), market=True)
    (order,) = after.orders(account.number)
    assert order.ord_status == "Filled"
    assert order.avg_px == price - 40
    (fill,) = {event.fill.is_maker for event in after.executions(account.number) if event.fill}
    assert fill
    assert after.imbalance_sat() == 0


def test_client_ids_of_open_orders_stay_taken() -> None:
    engine = fresh()
    account = engine.open_account()
    order = {"symbol": "XBTUSD", "orderQty": 100, "price": 50000, "clOrdID": "mine"}
    engine.place(account.number, order)
    with pytest.raises(Exception, match="Duplicate clOrdID"):
        again(engine).place(account.number, order)


def test_a_client_id_means_the_order_that_lives_again() -> None:
    engine = fresh()
    account = engine.open_account()
    sell = {"symbol": "XBTUSD", "side": "Sell", "orderQty": 100, "price": 60_000.0}
    buy = {**sell, "side": "Buy", "clOrdID": "mine"}
    revived, later = (
        (engine.place(account.number, buy), engine.place(account.number, sell))[0] for _ in range(2)
    )
    change = {"orderID": revived.order_id, "leavesQty": 100, "price": 50_000.0}
    engine.amend(account.number, change)
    after = again(engine)
    (cancelled,) = after.cancel(account.number, cl_ord_ids=["mine"])
    assert (later.ord_status, cancelled.error) == ("Filled", "")
    assert cancelled.order is not None
    assert cancelled.order.order_id == revived.order_id


def test_no_identifier_comes_twice() -> None:
    engine = busy(2, 20)
    after = again(engine, market=True)
    account = after.accounts()[0]
    for price in (50000, 50001, 50002):
        after.place(account.number, {"symbol": "XBTUSD", "orderQty": 100, "price": price})
    after.place(account.number, {"symbol": "XBTUSD", "orderQty": 100})
    execs = [e.exec_id for a in after.accounts() for e in after.executions(a.number)]
    orders = [o.order_id for a in after.accounts() for o in after.orders(a.number)]
    assert len(set(execs)) == len(execs)
    assert len(set(orders)) == len(orders)
    numbers = {a.number for a in after.accounts()}
    assert after.open_account().number not in numbers


def test_stops_still_wait_for_their_price() -> None:
    engine = fresh()
    account = engine.open_account()
    mark = engine.instrument_row("XBTUSD")["markPrice"]
    stop = {"symbol": "XBTUSD", "side": "Sell", "orderQty": 100, "ordType": "Stop"}
    engine.place(account.number, {**stop, "stopPx": 59800})
    after = again(engine)
    (order,) = after.orders(account.number)
    assert (order.ord_status, order.triggered) == ("New", "")
    after.liquidity("XBTUSD").set_index(mark - 300)
    after.open_market(SyntheticMarket(seed=1))
    sleep(after, 30)
    assert order is after.orders(account.number)[0]


def test_trailing_stops_and_pegged_orders_survive() -> None:
    engine = fresh(market=True)
    account = engine.open_account()
    fields = {"symbol": "XBTUSD", "side": "Sell", "orderQty": 100, "ordType": "Stop"}
    peg = {"pegPriceType": "TrailingStopPeg", "pegOffsetValue": -100}
    stop = engine.place(account.number, {**fields, **peg})
    after = again(engine)
    assert after.orders(account.number) == [stop]
    trails = after._desks["XBTUSD"]._trails
    assert trails


def test_the_stream_updates_an_order_of_a_run_before() -> None:
    engine = fresh()
    account = engine.open_account()
    order = {"symbol": "XBTUSD", "orderQty": 100, "price": 50000}
    order_id = engine.place(account.number, order).order_id
    after = again(engine)
    dialect = Dialect(after)
    heard: list[Any] = []
    after.listeners.append(lambda event: heard.extend(dialect.render(event)))
    image = dialect.partial("order", None, account.number)
    assert [row["orderID"] for row in image["data"]] == [order_id]
    after.cancel(account.number, [order_id])
    messages = [message for scope, message in heard if scope.table == "order"]
    assert [message["action"] for message in messages] == ["update"]


@pytest.mark.parametrize(("later_s", "resting"), [(0, 1), (59, 1), (61, 0)])
def test_a_dead_man_s_switch_goes_on_ticking(later_s: float, resting: int) -> None:
    engine = fresh()
    account = engine.open_account()
    engine.place(account.number, {"symbol": "XBTUSD", "orderQty": 100, "price": 50000})
    engine.cancel_all_after(account.number, 60_000)
    after = again(engine, later_s)
    after.advance_to(after.now())
    assert after.open_order_count() == resting


@pytest.mark.parametrize(("later_s", "resting"), [(0, 1), (86_400, 0)])
def test_a_day_order_ends_with_its_day(later_s: float, resting: int) -> None:
    engine = fresh()
    account = engine.open_account()
    fields = {"symbol": "XBTUSD", "orderQty": 100, "price": 50000, "timeInForce": "Day"}
    engine.place(account.number, fields)
    after = again(engine, later_s)
    after.advance_to(after.now())
    assert after.open_order_count() == resting


def test_pending_withdrawals_and_several_keys_survive() -> None:
    engine = fresh()
    account = engine.open_account()
    reader = engine.add_key(account.number, ())
    engine.request_withdrawal(account.number, {"amount": 1000, "address": "bc1", "currency": "XBt"})
    after = again(engine)
    assert after.account_by_key(reader.key) == reader
    assert after.account_by_key(account.key) == account
    assert all_of(after) == all_of(engine)


def test_a_future_that_expired_meanwhile_is_settled() -> None:
    engine = fresh()
    account = engine.open_account()
    (future,) = [s for s in engine.symbols() if engine.instrument(s).expiry_s]
    engine.move_position(account.number, future, 1000)
    after = again(engine, 200 * 86_400)
    after.advance_to(after.now())
    assert after.position_row(account.number, future)["currentQty"] == 0
    assert after.imbalance_sat() == 0
    assert future not in after.symbols()


def test_the_market_goes_on_where_it_was() -> None:
    engine = fresh(market=True)
    engine.liquidity("XBTUSD").set_index(50_000.0)
    sleep(engine, 0)
    mark = engine.instrument_row("XBTUSD")["markPrice"]
    after = again(engine, market=True)
    assert abs(after.instrument_row("XBTUSD")["markPrice"] - mark) < 50


@settings(max_examples=30, deadline=None)
@given(st.data())
def test_a_damaged_file_is_never_taken(data: st.DataObject) -> None:
    text = TEXT
    cut = data.draw(st.integers(0, len(text) - 1))
    change = data.draw(st.sampled_from(["cut", "drop", "swap"]))
    damaged = {
        "cut": text[:cut],
        "drop": text[:cut] + text[cut + 1 :],
        "swap": text[:cut] + "x" + text[cut + 1 :],
    }[change]
    assume(damaged.strip() != text.strip())
    with pytest.raises(BadState) as error:
        State(damaged)
    assert "\n" not in str(error.value)


TEXT = Writer().render(busy(3, 10))


# -- the file ---------------------------------------------------------------------------------


def saved(path: Path, engine: Engine) -> None:
    file = StateFile(str(path))
    text = file.render(engine)
    assert text is not None
    file.write(text)
    file.close()


def test_the_file_is_the_owner_s_alone_and_nothing_else_is_left(tmp_path: Path) -> None:
    saved(tmp_path / "state", busy(1, 5))
    assert stat.S_IMODE((tmp_path / "state").stat().st_mode) == 0o600
    assert sorted(p.name for p in tmp_path.iterdir()) == ["state", "state.lock"]


def test_it_is_written_only_when_something_changed(tmp_path: Path) -> None:
    engine = fresh()
    account = engine.open_account()
    file = StateFile(str(tmp_path / "state"))
    file.restore(engine)
    assert file.render(engine)
    assert file.render(engine) is None
    engine.place(account.number, {"symbol": "XBTUSD", "orderQty": 100, "price": 50000})
    text = file.render(engine)
    assert text is not None
    assert text == Writer().render(engine)
    file.close()


def test_a_new_file_holds_nothing(tmp_path: Path) -> None:
    file = StateFile(str(tmp_path / "state"))
    assert file.state is None
    file.close()


def break_version(text: str) -> str:
    return text.replace('"version":1', '"version":2').replace('"version": 1', '"version": 2')


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (lambda _: "", "it is damaged or no state file of this exchange"),
        (lambda _: "SYMBOL = 'XBTUSD'\n", "it is damaged or no state file of this exchange"),
        (lambda _: '{"format": "other"}', "it is damaged or no state file of this exchange"),
        (lambda _: "[1, 2]", "it is damaged or no state file of this exchange"),
        (lambda text: text[:500], "it is damaged or no state file of this exchange"),
        (break_version, "its version is 2, not 1"),
        (lambda text: text.replace("tick_size", "tock_size"), "it is damaged"),
    ],
)
def test_a_foreign_or_damaged_file_is_one_line_and_stays_as_it_is(
    tmp_path: Path, change: Callable[[str], str], reason: str
) -> None:
    path = tmp_path / "state"
    path.write_text(change(TEXT))
    before = path.read_bytes()
    with pytest.raises(SettingsError) as error:
        StateFile(str(path))
    assert str(error.value) == f"Cannot use --state {path}: {reason}."
    assert path.read_bytes() == before


def test_money_that_does_not_add_up_is_refused(tmp_path: Path) -> None:
    head, _, rest = TEXT.partition("\n")
    row = json.loads(head)
    row["cash"][-1][1]["XBt"] += 1
    path = tmp_path / "state"
    body = f"{json.dumps(row)}\n{rest.rpartition('{')[0]}"
    path.write_text(f'{body}{{"sha256":"{hashlib.sha256(body.encode()).hexdigest()}"}}\n')
    file = StateFile(str(path))
    assert file.state is not None
    engine = Engine(ManualClock(), file.state.over(()))
    with pytest.raises(SettingsError, match="its postings do not sum to zero"):
        file.restore(engine)


def test_a_market_without_the_symbols_is_refused() -> None:
    state = State(TEXT)
    engine = Engine(ManualClock(), [s for s in state.instruments if s.symbol == "ETHUSD"])
    with pytest.raises(BadState, match="it holds XBTUSD, which this market does not have"):
        state.restore(engine)


def test_two_exchanges_do_not_share_a_file(tmp_path: Path) -> None:
    file = StateFile(str(tmp_path / "state"))
    with pytest.raises(SettingsError, match=f"process {os.getpid()} uses it"):
        StateFile(str(tmp_path / "state"))
    file.close()
    StateFile(str(tmp_path / "state")).close()


def test_a_folder_that_is_not_there_is_one_line(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match=r"Cannot use --state .*: No such file or directory\."):
        StateFile(str(tmp_path / "no" / "state"))


def test_a_failed_write_leaves_the_old_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = StateFile(str(tmp_path / "state"))
    file.write("old")

    def full(_: Any) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(SettingsError, match="No space left on device"):
        file.write("new")
    assert (tmp_path / "state").read_text() == "old"
    assert sorted(p.name for p in tmp_path.iterdir()) == ["state", "state.lock"]
    file.close()


# -- the whole program ------------------------------------------------------------------------


def test_keys_given_by_a_control_call_are_kept(tmp_path: Path) -> None:
    engine = fresh()
    hub = FaultyHub(faulty_bitmex(engine, "last"), engine.clock, token="t")  # type: ignore[attr-defined]
    account = engine.open_account()
    file = StateFile(str(tmp_path / "state"))
    file.restore(engine)
    file.render(engine, hub.actions)
    body = json.dumps({"disable": account.key}).encode()
    headers = {"host": "localhost", "x-control-token": "t"}
    assert hub.answer(Call("POST", "/control/key", headers, body, "127.0.0.1")).status == 200
    text = file.render(engine, hub.actions)
    assert text is not None
    found = fresh(State(text)).account_by_key(account.key)
    assert found is not None
    assert not found.is_enabled
    file.close()


@pytest.mark.parametrize("ending", ["SIGTERM", "SIGINT", "SIGKILL"])
def test_the_program_keeps_its_state_however_it_ends(tmp_path: Path, ending: str) -> None:
    number = getattr(signal, ending, signal.SIGTERM)
    exchange = Exchange(tmp_path, "--state", "state", "--seed", "1")
    order = {"symbol": "XBTUSD", "side": "Buy", "orderQty": 100, "price": 50000}
    (placed,) = exchange.connector.place([{**order, "clOrdID": "mine"}])
    if ending == "SIGKILL":
        deadline_s = time.monotonic() + 20
        while placed.row["orderID"] not in (tmp_path / "state").read_text():
            assert time.monotonic() < deadline_s
            time.sleep(0.02)
    os.kill(exchange.process.pid, number)
    exchange.process.end()
    exchange.connector.transport.close()
    again = Exchange(tmp_path, "--state", "state", "--seed", "1")
    try:
        assert (again.key, again.secret) == (exchange.key, exchange.secret)
        (row,) = again.open_orders()
        assert (row["orderID"], row["clOrdID"]) == (placed.row["orderID"], "mine")
    finally:
        again.close()


def test_the_quotes_of_a_day_stay_one_count() -> None:
    engine = fresh()
    us = engine.open_account().number
    order = {"symbol": "XBTUSD", "orderQty": 100, "price": 50000.0}
    engine.place(us, order)
    after = again(engine)
    after.place(us, order)
    assert [count.submitted for count in after.quote_counts(us)] == [2]


def test_an_order_that_another_is_to_trigger_still_waits_for_it() -> None:
    engine = fresh()
    us, them = (engine.open_account().number for _ in range(2))
    link = {"symbol": "XBTUSD", "clOrdLinkID": "a"}
    first = {**link, "orderQty": 100, "price": 60000.0, "contingencyType": "OneTriggersTheOther"}
    engine.place(us, first)
    held = engine.place(us, {**link, "orderQty": -100, "price": 61000.0})
    after = again(engine)
    (_, waiting) = after.orders(us)
    assert (waiting.order_id, waiting.working) == (held.order_id, False)
    after.place(them, {"symbol": "XBTUSD", "orderQty": -100, "price": 60000.0})
    assert waiting.working


@pytest.mark.parametrize("later_s", [0.0, 86_400.0])
def test_what_an_expired_future_earned_survives(later_s: float) -> None:
    engine = fresh()
    account = engine.open_account()
    (future,) = [s for s in engine.symbols() if engine.instrument(s).expiry_s]
    engine.move_position(account.number, future, 10_000)
    engine.liquidity("XBTUSD").set_index(61_000.0)
    expiry_s = engine.instrument(future).expiry_s
    assert expiry_s is not None
    sleep(engine, expiry_s - engine.now() + 1)
    after = again(again(engine), later_s)
    assert all_of(after) == all_of(engine)
    assert after.instrument_row(future)["settledPrice"] == 61_000.0
    assert after.symbols() == engine.symbols()
    assert after.imbalance_sat() == 0


def test_a_restart_makes_up_for_no_funding_of_the_time_between() -> None:
    engine = fresh()
    account = engine.open_account()
    engine.move_position(account.number, "XBTUSD", 1000)
    before = engine.margin_row(account.number)["walletBalance"]
    after = again(engine, 200 * 86_400)
    after.advance_to(after.now())
    assert after.fundings() == []
    assert after.margin_row(account.number)["walletBalance"] == before


def test_an_order_of_the_liquidation_engine_is_offered_anew() -> None:
    engine = fresh()
    account = engine.open_account(3_000_000)
    engine.move_position(account.number, "XBTUSD", 100_000)
    engine.liquidity("XBTUSD").set_index(58_900.0)
    sleep(engine, 0)
    engine.cancel(account.number)
    engine._flush()
    (offered,) = engine.liquidations()
    after = again(engine)
    after._flush()
    (again_offered,) = after.liquidations()
    assert (again_offered.side, again_offered.leaves_qty) == (offered.side, offered.leaves_qty)
    assert after.imbalance_sat() == 0


def test_orders_of_a_market_that_is_not_there_are_left_out() -> None:
    engine = fresh()
    account = engine.open_account()
    order = engine.place(account.number, {"symbol": "ETHUSD", "orderQty": 1, "price": 3000.0})
    engine.cancel(account.number, [order.order_id])
    after = Engine(ManualClock(START_S), [engine.instrument("XBTUSD")])
    State(Writer().render(engine)).restore(after)
    assert after.orders(account.number) == []
    assert after.executions(account.number) == []
