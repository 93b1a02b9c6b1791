"""The guard: a second process that cancels the bot's orders when the bot falls silent."""

import random
import signal
import socket
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from market_maker import venue
from market_maker.clock import Clock, ManualClock
from market_maker.commands.guard import clear
from market_maker.exchanges.base import Capabilities, ExchangeError
from market_maker.exchanges.deadman import DeadMansSwitch
from market_maker.exchanges.guard import (
    GuardClient,
    GuardLocked,
    GuardServer,
    Watch,
    mac,
    parse_address,
)
from market_maker.exchanges.throttle import RateBudget
from market_maker.model.wire import Answer
from market_maker.utils.errors import AuthenticationError
from tests.doubles import StillMarket, Wire
from tests.process import Exchange, Process, running, until
from tests.world import World

SECRET = "a secret of the two"
NAME = "bitmex-1234-XBTUSD-mm_bitmex_"


class Lock:
    is_set = False


@contextmanager
def serving(clock: Clock) -> Iterator[tuple[GuardServer, Lock]]:
    lock = Lock()
    server = GuardServer(("127.0.0.1", 0), SECRET, NAME, Watch(clock, lambda: lock.is_set))
    threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
    try:
        yield server, lock
    finally:
        server.shutdown()
        server.server_close()


def client(server: GuardServer, secret: str = SECRET, name: str = NAME) -> GuardClient:
    return GuardClient(f"127.0.0.1:{server.server_address[1]}", secret, name)


# -- the heartbeat --------------------------------------------------------------------------------


def test_silence_after_a_heartbeat_is_due_and_a_disarmed_guard_never_is() -> None:
    clock = ManualClock()
    with serving(clock) as (server, _):
        bot = client(server)
        assert not server.watch.is_due()
        assert bot.beat(5.0)
        clock.now_s += 4
        assert bot.beat(5.0)
        clock.now_s += 4.9
        assert not server.watch.is_due()
        clock.now_s += 0.2
        assert server.watch.is_due()
        assert bot.beat(None)
        clock.now_s += 100
        assert not server.watch.is_due()


def test_a_locked_guard_refuses_every_heartbeat() -> None:
    clock = ManualClock()
    with serving(clock) as (server, lock):
        bot = client(server)
        assert bot.beat(5.0)
        clock.now_s += 6
        assert server.watch.lock(lambda: setattr(lock, "is_set", True))
        for ask in (lambda: bot.beat(5.0), bot.look):
            with pytest.raises(GuardLocked):
                ask()
        lock.is_set = False
        assert bot.beat(5.0)


def test_a_heartbeat_that_comes_just_in_time_stops_the_lock() -> None:
    clock = ManualClock()
    watch = Watch(clock, lambda: False)
    watch.beat(5.0)
    clock.now_s += 6
    assert watch.is_due()
    watch.beat(5.0)
    assert not watch.lock(lambda: pytest.fail("it locked a bot that lives"))


def test_a_guard_that_cannot_write_its_lock_locks_all_the_same() -> None:
    clock = ManualClock()
    watch = Watch(clock, lambda: False)
    watch.beat(5.0)
    clock.now_s += 6

    def write() -> None:
        raise OSError("No space left on device")

    assert watch.lock(write)  # the orders are cancelled whatever the disk says
    assert not watch.beat(5.0)


@pytest.mark.parametrize(("secret", "name"), [("another", NAME), (SECRET, "another bot")])
def test_a_heartbeat_of_somebody_else_arms_nothing(secret: str, name: str) -> None:
    clock = ManualClock()
    with serving(clock) as (server, _):
        assert not client(server, secret, name).beat(5.0)
        clock.now_s += 100
        assert not server.watch.is_due()


def test_a_heartbeat_cannot_be_played_back() -> None:
    clock = ManualClock()
    with serving(clock) as (server, _):
        where = server.server_address[:2]

        def hello(line: socket.socket) -> str:
            return line.makefile().readline().split()[1]

        with socket.create_connection(where) as first:
            nonce = hello(first)
            heard = f"beat 1 5 {mac(SECRET, 'beat', nonce, 1, '5', NAME)}\n".encode()
            first.sendall(heard)
            assert first.recv(200).startswith(b"ok 1 ")
            first.sendall(heard)  # the same again
            assert first.recv(200) == b""
        with socket.create_connection(where) as second:
            hello(second)
            second.sendall(heard)  # on another connection
            assert second.recv(200) == b""


def test_the_bot_takes_no_other_process_for_its_guard() -> None:
    with socket.create_server(("127.0.0.1", 0)) as false:

        def answer() -> None:
            for _ in range(2):
                line, _ = false.accept()
                line.sendall(f"hello {'0' * 32}\n".encode())
                line.recv(200)
                line.sendall(b"ok 1 " + b"0" * 64 + b"\n")

        threading.Thread(target=answer, daemon=True).start()
        assert not GuardClient(f"127.0.0.1:{false.getsockname()[1]}", SECRET, NAME).beat(5.0)


@pytest.mark.parametrize("text", ["8100", "host:", "host:port", "host:70000", ":8100"])
def test_an_address_needs_host_and_port(text: str) -> None:
    with pytest.raises(ValueError, match="HOST:PORT"):
        parse_address(text)


# -- within the bot -------------------------------------------------------------------------------


class NoSwitch:
    caps = Capabilities(dead_man_s=None)


def test_heartbeats_go_out_only_while_rounds_complete() -> None:
    clock, beats = ManualClock(), []
    switch = DeadMansSwitch(NoSwitch(), clock, RateBudget(clock, 100, 1))  # type: ignore[arg-type]
    switch.guard = lambda timeout_s: beats.append(timeout_s) or True  # type: ignore[func-returns-value]
    assert switch.arm(8.0)
    for _ in range(20):
        clock.sleep(1)
        switch.note_round(8.0)
    assert len(beats) >= 9
    before = len(beats)
    clock.sleep(60)  # the main loop hangs
    assert len(beats) - before <= 2
    assert not switch.is_armed


def test_without_its_guard_no_order_goes_out() -> None:
    clock = ManualClock()
    switch = DeadMansSwitch(NoSwitch(), clock, RateBudget(clock, 100, 1))  # type: ignore[arg-type]
    switch.guard = lambda _: False
    assert not switch.arm(8.0)


@pytest.mark.parametrize("lies", ["beside the journal", "at the guard"])
def test_a_lock_keeps_the_bot_from_starting_but_nobody_from_cancelling(
    tmp_path: Path, lies: str
) -> None:
    clock = ManualClock()
    account = {"EXCHANGE": "bitmex", "BASE_URL": "http://127.0.0.1:9/api/v1/",
               "BITMEX_API_KEY": "k" * 24, "BITMEX_API_SECRET": "s" * 48,
               "STATE_DIR": str(tmp_path)}  # fmt: skip
    settings = World().settings(**account)
    connector = venue.open_connector(settings, "XBTUSD", clock)
    with serving(clock) as (server, lock):
        if lies == "at the guard":
            server.name, lock.is_set = venue.guard_name(settings, connector), True
            settings.GUARD = f"127.0.0.1:{server.server_address[1]}"
            settings.GUARD_SECRET = SECRET
        else:
            venue.guard_lock(settings, connector).touch()
        for _ in range(2):
            with pytest.raises(GuardLocked, match="marketmaker unlock XBTUSD"):
                venue.open_desk(settings, "XBTUSD", clock, random.Random(1))
        desk = venue.open_desk(settings, "XBTUSD", clock, random.Random(1), only_cancels=True)
        desk.journal.close()


# -- at work --------------------------------------------------------------------------------------


def test_the_guard_cancels_until_no_request_of_the_bot_can_still_arrive() -> None:
    world = World(StillMarket())
    late = iter(range(3))

    def arrive() -> float | None:
        number = next(late, None)
        if number is not None:
            order = {"symbol": "XBTUSD", "side": "Buy", "orderQty": 100, "price": 59_000.0}
            world.engine.place(world.account.number, {**order, "clOrdID": f"mm_bitmex_{number}"})
        return None if number is None else 5.0

    world.clock.repeat(arrive, "late")
    connector = world.connector(world.settings(), "classic", None)
    assert clear(connector, "mm_bitmex_", world.clock) == 3
    assert world.open_orders() == []


@pytest.mark.parametrize("answer", [Answer(0, None, {}, error="timed out"), Answer(200, [], {})])
def test_the_guard_believes_no_cancel_before_the_exchange_lists_nothing(answer: Answer) -> None:
    world, wire = World(StillMarket()), Wire()
    bot = world.bot(wrap=wire)
    world.run(bot, 2)
    heals_s = world.clock.now() + 10
    wire.script = lambda r: answer if r.verb == "DELETE" and world.clock.now() < heals_s else None
    assert clear(bot.exchange.desk.connector, "mm_bitmex_", world.clock) == 12
    assert world.open_orders() == []


@pytest.mark.parametrize(
    "failure",
    [
        ExchangeError(503, "overloaded"),
        AuthenticationError("the exchange refuses the key: Invalid API Key."),
        KeyError("orderID"),
    ],
    ids=["no answer", "a refused key", "an odd answer"],
)
@pytest.mark.parametrize("call", ["fetch_open_orders", "cancel"])
def test_the_guard_goes_on_whatever_an_answer_is(
    call: str, failure: Exception, monkeypatch: pytest.MonkeyPatch
) -> None:
    world = World(StillMarket())
    bot = world.bot()
    world.run(bot, 2)
    connector, heals_s = bot.exchange.desk.connector, world.clock.now() + 10
    real = getattr(connector, call)

    def fail(*what: Any) -> Any:
        if world.clock.now() < heals_s:
            raise failure
        return real(*what)

    monkeypatch.setattr(connector, call, fail)
    assert clear(connector, "mm_bitmex_", world.clock) == 12
    assert world.open_orders() == []


# -- as processes ---------------------------------------------------------------------------


@pytest.fixture
def exchange(tmp_path: Path) -> Iterator[Exchange]:
    exchange = Exchange(tmp_path)
    yield exchange
    exchange.close()


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port: int = taken.getsockname()[1]
        return port


@pytest.mark.parametrize(
    ("wrong", "words"),
    [
        ({"BITMEX_API_SECRET": "wrong"}, "the exchange refuses the key"),
        ({"BASE_URL": "http://127.0.0.1:9/api/v1/"}, "Is BASE_URL right"),
    ],
    ids=["key", "address"],
)
def test_a_guard_that_could_not_cancel_does_not_begin(
    exchange: Exchange, tmp_path: Path, wrong: dict[str, str], words: str
) -> None:
    env = exchange.env(tmp_path, GUARD_SECRET=SECRET, GUARD="127.0.0.1:0") | wrong
    (tmp_path / "settings.py").write_text("GUARD = '127.0.0.1:0'\n")
    guard = Process(["-m", "market_maker", "guard", "XBTUSD"], tmp_path, env)
    assert guard.end() == 2, guard.text
    assert words in guard.lines[-1]
    assert len(guard.lines) == 1


@pytest.mark.skipif(sys.platform == "win32", reason="SIGKILL")
def test_a_killed_bot_leaves_no_order_and_starts_again_only_once_unlocked(
    exchange: Exchange, tmp_path: Path
) -> None:
    port = free_port()
    (tmp_path / "settings.py").write_text(
        f"GUARD = '127.0.0.1:{port}'\nDEADMAN_TIMEOUT = 5\nLOOP_INTERVAL = 1\n"
    )
    env = exchange.env(tmp_path, GUARD_SECRET=SECRET)
    command = ["-m", "market_maker"]
    by_hand = {"symbol": "XBTUSD", "orderQty": 100, "price": 100.0, "side": "Buy"}
    with running([*command, "guard", "XBTUSD"], tmp_path, env) as guard:
        guard.wait_for("listening on")
        with running([*command, "XBTUSD"], tmp_path, env) as bot:
            until(lambda: len(exchange.open_orders()) >= 2)
            bot.signal(signal.SIGKILL)
            bot.end()
        # as if the venue had no switch of its own: an order that came after it fired
        late = {**by_hand, "clOrdID": "mm_bitmex_late"}
        until(lambda: not exchange.open_orders())
        exchange.connector.place([late, {**by_hand, "clOrdID": "by hand", "price": 101.0}])
        guard.wait_for("The bot has fallen silent")
        guard.wait_for("the exchange lists none of ours")
        assert [row["clOrdID"] for row in exchange.open_orders()] == ["by hand"]
        refused = Process([*command, "XBTUSD"], tmp_path, env)
        assert refused.end() == 3
        assert "marketmaker unlock XBTUSD" in refused.text
        unlocked = Process([*command, "unlock", "XBTUSD"], tmp_path, env)
        assert unlocked.end() == 0
        assert "may trade XBTUSD again" in unlocked.text
        with running([*command, "XBTUSD"], tmp_path, env) as bot:
            until(lambda: len(exchange.open_orders()) >= 3)
            bot.signal(signal.SIGTERM)
            assert bot.end() == 0
        guard.signal(signal.SIGTERM)
        assert guard.end() == 0
    assert "fallen silent" not in "".join(guard.text.split("none of ours")[1:])
