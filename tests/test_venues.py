"""From settings to the right exchange: keys, addresses, rate budget, and real money's own rules."""

import io
import random
import sys
from pathlib import Path
from typing import Any

import pytest

from market_maker import live, venue
from market_maker._settings_venues import KEYS as KEY_NAMES
from market_maker.clock import Clock, ManualClock
from market_maker.exchanges.okx_dial import stream_url
from market_maker.exchanges.throttle import RateBudget
from market_maker.settings import Settings, check, load
from market_maker.utils.errors import SettingsError
from tests.doubles import StillMarket
from tests.okx_world import OkxWorld

KEYS = {"OKX_API_KEY": "k" * 8, "OKX_API_SECRET": "s" * 8, "OKX_API_PASSPHRASE": "p" * 8}


def loaded(tmp_path: Path, text: str = "", **environ: str) -> Settings:
    (tmp_path / "settings.py").write_text(text)
    return load("XBTUSD", environ=environ, cwd=tmp_path)


# -- settings --------------------------------------------------------------------------------------


def test_okx_needs_its_three_words_and_no_address(tmp_path: Path) -> None:
    with pytest.raises(SettingsError) as caught:
        check(loaded(tmp_path, 'EXCHANGE = "okx-demo"'))
    assert [line.split()[0] for line in caught.value.faults] == list(KEYS)
    check(loaded(tmp_path, 'EXCHANGE = "okx-demo"', **KEYS))
    check(loaded(tmp_path, 'EXCHANGE = "okx"\nDRY_RUN = True'))


def test_a_word_may_stand_in_a_file_of_its_own(tmp_path: Path) -> None:
    (tmp_path / "word").write_text("hidden-word\n")
    given = {**KEYS, "OKX_API_PASSPHRASE": "", "OKX_API_PASSPHRASE_FILE": "word"}
    assert loaded(tmp_path, 'EXCHANGE = "okx"', **given).OKX_API_PASSPHRASE == "hidden-word"


@pytest.mark.parametrize(
    ("line", "allowed"),
    [
        ('OKX_ORDER_ENTRY = "fix"', "'ws' or 'rest'"),
        ('OKX_MARGIN_MODE = "cash"', "'cross' or 'isolated'"),
        ("SPOT_BASE_INVENTORY = -1", "0 or more"),
        ("LIVE = 1", "True or False"),
        ('EXCHANGE = "okex"', "Did you mean 'okx'?"),
    ],
)
def test_a_wrong_value_is_named_with_what_is_allowed(
    tmp_path: Path, line: str, allowed: str
) -> None:
    with pytest.raises(SettingsError) as caught:
        check(loaded(tmp_path, line))
    assert allowed in caught.value.faults[0]


# -- addresses -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("origin", "is_demo", "line"),
    [
        ("https://www.okx.com", False, "wss://ws.okx.com:8443/ws/v5"),
        ("https://www.okx.com", True, "wss://wspap.okx.com:8443/ws/v5"),
        ("https://eea.okx.com", False, "wss://wseea.okx.com:8443/ws/v5"),
        ("http://127.0.0.1:8000", True, "ws://127.0.0.1:8000/ws/v5"),
        ("https://proxy.example", False, "wss://proxy.example/ws/v5"),
    ],
)
def test_the_sockets_are_found_by_the_address(origin: str, is_demo: bool, line: str) -> None:
    assert stream_url(origin, is_demo) == line


@pytest.mark.parametrize("exchange", ["okx", "okx-demo"])
def test_base_url_changes_the_address_and_nothing_else(tmp_path: Path, exchange: str) -> None:
    text = f'EXCHANGE = "{exchange}"\nBASE_URL = "http://127.0.0.1:9/api/v5/"'
    settings = loaded(tmp_path, text, **KEYS)
    connector = venue.open_connector(settings, "XBTUSD", Clock())
    try:
        wire: Any = connector
        assert wire._transport._origin == "http://127.0.0.1:9"
        assert {n: s._url for n, s in wire._streams.items()} == {
            "public": "ws://127.0.0.1:9/ws/v5/public",
            "private": "ws://127.0.0.1:9/ws/v5/private",
        }
        headers = wire._transport.signer("GET", "/api/v5/account/config")
        assert headers.get("x-simulated-trading") == ("1" if exchange == "okx-demo" else None)
        assert headers["OK-ACCESS-PASSPHRASE"] == KEYS["OKX_API_PASSPHRASE"]
    finally:
        connector.stop()


# -- how much may be asked -------------------------------------------------------------------------


def test_no_two_seconds_of_orders_pass_what_okx_allows() -> None:
    world = OkxWorld(StillMarket())
    caps = world.connector(world.settings(), "ws", None).caps
    clock = ManualClock()
    for rate, limit in ((caps.budget, 300), ((caps.requests_per_s,) * 2, 60)):
        budget = RateBudget(clock, *rate)
        taken = []
        for _ in range(4_000):
            while budget.take(1, urgent=True):
                taken.append(clock.now_s)
            clock.sleep(0.005)
        worst = max(sum(t <= u < t + 2 for u in taken[i : i + 700]) for i, t in enumerate(taken))
        assert 0.6 * limit < worst <= limit


# -- real money ------------------------------------------------------------------------------------


@pytest.fixture
def terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys.stdin, "isatty", lambda: True, raising=False)


def live_settings(tmp_path: Path, text: str = "") -> Settings:
    limits = "MAX_LOSS = 0.01\nMAX_POSITION = 600\nMIN_POSITION = -600\n"
    return loaded(tmp_path, f'EXCHANGE = "okx"\n{limits}{text}', **KEYS)


def test_without_limits_of_the_users_own_nothing_real_is_traded(tmp_path: Path) -> None:
    with pytest.raises(SettingsError) as caught:
        live.check_limits(loaded(tmp_path, 'EXCHANGE = "okx"', **KEYS))
    assert [line.split()[0] for line in caught.value.faults] == ["MAX_LOSS", "MAX_POSITION"]
    live.check_limits(live_settings(tmp_path))


def test_the_first_start_says_what_may_be_lost_and_wants_a_word(
    tmp_path: Path, terminal: None, capsys: pytest.CaptureFixture[str]
) -> None:
    world = OkxWorld(StillMarket())
    connector = world.connector(world.settings(), "ws", None)
    settings = live_settings(tmp_path)
    live.confirm(settings, connector, lambda _: "LIVE")
    said = capsys.readouterr().out
    for words in ("okx", f"uid {world.account.number}", "XBTUSD", "-600 to 600", "0.01 in a run"):
        assert words in said
    assert "worth 0.009999 XBT" in said
    with pytest.raises(SettingsError, match="Not confirmed"):
        live.confirm(settings, connector, lambda _: "yes")


def test_without_a_terminal_the_setting_is_needed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    world = OkxWorld(StillMarket())
    connector = world.connector(world.settings(), "ws", None)
    monkeypatch.setattr(sys.stdin, "isatty", lambda: False, raising=False)
    with pytest.raises(SettingsError, match="LIVE = True"):
        live.confirm(live_settings(tmp_path), connector)
    live.confirm(live_settings(tmp_path, "LIVE = True"), connector)


@pytest.mark.parametrize(
    ("exchange", "words"),
    [("simulator", "play money"), ("okx-demo", "demo"), ("okx", ""), ("bitmex", "")],
)
def test_what_is_no_real_money_is_marked(exchange: str, words: str) -> None:
    assert venue.stakes({"EXCHANGE": exchange}) == words


def test_a_run_on_the_demo_is_marked_in_every_status_block(
    caplog: pytest.LogCaptureFixture,
) -> None:
    world = OkxWorld(StillMarket())
    bot = world.bot(EXCHANGE="okx-demo", **KEYS)
    world.run(bot, 2)
    bot.shut_down()
    assert "Live run: demo." in caplog.text
    balances = [r.message for r in caplog.records if "Balance" in r.message]
    assert balances
    assert all("(demo)" in line for line in balances)


@pytest.mark.parametrize("exchange", ["okx", "binance", "hitbtc", "plain"])
def test_a_first_live_start_that_reaches_nobody_is_one_line(tmp_path: Path, exchange: str) -> None:
    text = f'EXCHANGE = "{exchange}"\nBASE_URL = "http://127.0.0.1:9/"\nSTATE_DIR = "{tmp_path}"\n'
    keys = dict.fromkeys(KEY_NAMES[exchange], "k" * 8)
    settings = loaded(tmp_path, f"{text}MAX_LOSS = 1\nMAX_POSITION = 1\n", **keys)
    with pytest.raises(
        SettingsError, match=r"^No answer of the exchange: connection refused. Is B"
    ):
        venue.open_desk(settings, "BTCUSDT", Clock(), random.Random())


def first_start(tmp_path: Path, text: str = "") -> Settings:
    """At an exchange of whose account and prices nothing needs to be asked."""
    lines = ['EXCHANGE = "hitbtc"', 'BASE_URL = "http://127.0.0.1:9/"', "CHECK_POSITION_LIMITS = 0"]
    text = "\n".join([*lines, f'STATE_DIR = "{tmp_path}"', text])
    return loaded(tmp_path, text, **dict.fromkeys(KEY_NAMES["hitbtc"], "k" * 8))


def start(settings: Settings, **how: bool) -> None:
    desk = venue.open_desk(settings, "BTCUSDT", Clock(), random.Random(), **how)
    desk.connector.stop()
    desk.journal.close()


@pytest.mark.parametrize("missing", ["MAX_LOSS", "MAX_POSITION"])
def test_no_live_desk_opens_without_the_users_own_limits_but_to_cancel(
    tmp_path: Path, missing: str
) -> None:
    given = {"MAX_LOSS": 1, "MAX_POSITION": 1}
    lines = [f"{name} = {value}" for name, value in given.items() if name != missing]
    settings = first_start(tmp_path, "\n".join([*lines, "LIVE = True"]))
    with pytest.raises(SettingsError, match=missing):
        start(settings)
    start(settings, only_cancels=True)
    start(settings, dry_run=True)


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def test_the_first_live_start_is_asked_and_no_later_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "stdin", terminal := Terminal("no\nLIVE\n"))
    settings = first_start(tmp_path, "MAX_LOSS = 1\nMAX_POSITION = 1")
    start(settings, dry_run=True)
    with pytest.raises(SettingsError, match="Not confirmed"):
        start(settings)
    for _ in range(2):
        start(settings)
    assert terminal.read() == ""


def test_a_line_that_refuses_us_is_one_error_and_not_a_traceback(tmp_path: Path) -> None:
    text = 'EXCHANGE = "okx-demo"\nBASE_URL = "http://127.0.0.1:9/"'
    settings = loaded(tmp_path, text, **KEYS)
    desk = venue.open_desk(settings, "XBTUSD", Clock(), random.Random())
    try:
        with pytest.raises(venue.BotError, match="No answer of the exchange: connection refused"):
            desk.open()
    finally:
        desk.connector.stop()
