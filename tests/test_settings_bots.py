"""BOTS: which settings each bot has, and one line for whatever is wrong with the list."""

from pathlib import Path
from typing import Any

import pytest

from market_maker import cli
from market_maker.settings import check_all, load, load_all
from market_maker.utils.errors import SettingsError

THREE = """\
ORDER_PAIRS = 3
MY_OWN = "all"
BOTS = [
    {"symbol": "XBTUSD"},
    {"symbol": "ETHUSD", "strategy": "grid", "order_pairs": 4, "MY_OWN": "eth", "my_word": 1},
    {"symbol": "ETHUSD", "name": "second", "ORDERID_PREFIX": "second_"},
]
"""


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    for name in ("EXCHANGE", "BASE_URL", "BITMEX_API_KEY", "BITMEX_API_SECRET"):
        monkeypatch.delenv(name, raising=False)
    return tmp_path


def write(folder: Path, text: str) -> None:
    (folder / "settings.py").write_text(text)


def faults(text: str, folder: Path) -> list[str]:
    write(folder, text)
    with pytest.raises(SettingsError) as error:
        check_all(load_all())
    return error.value.faults


def test_each_bot_has_the_settings_of_all_and_its_own(folder: Path) -> None:
    write(folder, THREE)
    first, second, third = (settings for _, settings in load_all())
    assert (first.SYMBOL, first.STRATEGY, first.ORDER_PAIRS) == ("XBTUSD", "layered", 3)
    assert (second.SYMBOL, second.STRATEGY, second.ORDER_PAIRS) == ("ETHUSD", "grid", 4)
    assert (first.MY_OWN, second.MY_OWN, second.my_word) == ("all", "eth", 1)
    assert (third.STRATEGY, third.ORDERID_PREFIX) == ("layered", "second_")
    assert second.where("ORDER_PAIRS") == "BOTS[1] (ETHUSD), settings.py line 3"


def test_the_layers_cover_each_other_in_their_order(folder: Path) -> None:
    write(folder, 'INTERVAL = 0.1\nMIN_SPREAD = 0.1\nBOTS = [{"symbol": "ETHUSD", "TIMEOUT": 2}]')
    (folder / "settings-ETHUSD.py").write_text("MIN_SPREAD = 0.2\nTIMEOUT = 1\nLOOP_INTERVAL = 9")
    (folder / ".env").write_text("BASE_URL=http://127.0.0.1:1/api/v1/\n")
    ((_, bot),) = load_all(overrides={"LOOP_INTERVAL": 4})
    assert (bot.INTERVAL, bot.MIN_SPREAD, bot.TIMEOUT, bot.LOOP_INTERVAL) == (0.1, 0.2, 2, 4)
    assert bot.EXCHANGE == "bitmex", "the environment stands above BOTS"


@pytest.mark.parametrize(
    ("chosen", "found"),
    [
        ({"symbol": "XBTUSD"}, ("XBTUSD", "mm_bitmex_", 3)),
        ({"bot": "second"}, ("ETHUSD", "second_", 3)),
        ({"bot": "ETHUSD"}, ("ETHUSD", "mm_bitmex_", 4)),
        ({"symbol": "XBTUSDT"}, ("XBTUSDT", "mm_bitmex_", 3)),
        ({}, ("XBTUSD", "mm_bitmex_", 3)),
    ],
)
def test_a_bot_is_chosen_by_its_name_or_its_symbol(
    folder: Path, chosen: dict[str, str], found: tuple[str, str, int]
) -> None:
    write(folder, THREE)
    settings = load(**chosen, environ={})  # type: ignore[arg-type]
    assert found == (settings.SYMBOL, settings.ORDERID_PREFIX, settings.ORDER_PAIRS)


@pytest.mark.parametrize(
    ("chosen", "words"),
    [
        ({"symbol": "ETHUSD"}, "several bots for ETHUSD: choose one, --bot ETHUSD, second"),
        ({"bot": "third"}, "no bot 'third': it has XBTUSD, ETHUSD, second"),
        ({"bot": "second", "symbol": "XBTUSD"}, "'second' trades ETHUSD, not XBTUSD"),
    ],
)
def test_a_choice_that_tells_nothing_is_refused(
    folder: Path, chosen: dict[str, str], words: str
) -> None:
    write(folder, THREE)
    with pytest.raises(SettingsError, match=words):
        load(**chosen, environ={})  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("bots", "found"),
    [
        ("7", ["BOTS: must be a list such as"]),
        ('{"symbol": "XBTUSD", "API_SECRET": "abcdefgh"}', ["BOTS: must be a list such as"]),
        ('["XBTUSD"]', ["BOTS[0]: must be a dict such as"]),
        ('[{"strategy": "grid"}]', ["BOTS[0]: needs a 'symbol'"]),
        ('[{"symbol": "xbtusd"}]', ["BOTS[0]: needs a 'symbol' in capitals"]),
        ('[{"symbol": "XBTUSD", "name": ""}]', ["BOTS[0] (XBTUSD): 'name' must be"]),
        ('[{"symbol": "XBTUSD", "name": "--yes"}]', ["BOTS[0] (XBTUSD): 'name' must be"]),
        (
            '[{"symbol": "XBTUSD", "SYMBOL": "ETHUSD"}, {"symbol": "XBTUSDT", "SIM_SEED": 1}]',
            ["BOTS[0] (ETHUSD): SYMBOL is given twice", "BOTS[1] (XBTUSDT): SIM_SEED is the same"],
        ),
        ('[{"symbol": "XBTUSD", "state_dir": "x"}]', ["BOTS[0] (XBTUSD): STATE_DIR is the same"]),
        (
            '[{"symbol": "XBTUSD"}, {"symbol": "ETHUSD"}, {"symbol": "XBTUSD"}]',
            ["BOTS[2] (XBTUSD): BOTS[0] has this name too"],
        ),
        (
            '[{"symbol": "XBTUSD"}, {"symbol": "XBTUSD", "name": "b"}]',
            ["BOTS[1] (b): trades XBTUSD on one account with BOTS[0] (XBTUSD): give one"],
        ),
        (
            '[{"symbol": "XBTUSD"}, {"symbol": "XBTUSD", "name": "b", "ORDERID_PREFIX": "mm_"}]',
            ["BOTS[1] (b): ORDERID_PREFIX 'mm_' and 'mm_bitmex_' of BOTS[0] (XBTUSD) begin alike"],
        ),
        (
            '[{"symbol": "XBTUSD", "strategy": "decision", "DECISION_FILE": "a"},'
            ' {"symbol": "XBTUSD", "name": "b", "ORDERID_PREFIX": "b_"},'
            ' {"symbol": "ETHUSD", "strategy": "decision", "DECISION_FILE": "a"}]',
            ["BOTS[1] (b): trades XBTUSD on one account with BOTS[0] (XBTUSD): 'decision' takes"],
        ),
        (
            '[{"symbol": "XBTUSD", "ORDER_PAIRS": 0}, {"symbol": "ETHUSD", "GRID_KIND": "x"}]',
            [
                "ORDER_PAIRS = 0 (BOTS[0] (XBTUSD), settings.py line 1): must be",
                "GRID_KIND = 'x' (BOTS[1] (ETHUSD), settings.py line 1): must be",
            ],
        ),
        (
            '[{"symbol": "XBTUSD", "ODRER_PAIRS": 1}]',
            ["ODRER_PAIRS (BOTS[0] (XBTUSD), settings.py line 1) is not a setting"],
        ),
        (
            '[{"symbol": "XBTUSD", "EXCHANGE": "okx", "OKX_API_KEY": 7}]',
            [
                "OKX_API_KEY = (not shown) (BOTS[0] (XBTUSD), settings.py line 1): must be",
                "OKX_API_SECRET is missing",
                "OKX_API_PASSPHRASE is missing",
            ],
        ),
    ],
)
def test_each_fault_of_the_list_has_one_line_with_index_and_name(
    folder: Path, bots: str, found: list[str]
) -> None:
    lines = faults(f"BOTS = {bots}", folder)
    assert [line[: len(start)] for line, start in zip(lines, found, strict=True)] == found
    assert "abcdefgh" not in "".join(lines)


def test_a_fault_of_all_bots_is_said_once(folder: Path) -> None:
    text = 'INTERVAL = 2\nBOTS = [{"symbol": "XBTUSD"}, {"symbol": "ETHUSD"}]'
    assert len(faults(text, folder)) == 1


def test_two_bots_do_not_write_one_log_file(folder: Path) -> None:
    text = 'USE_LOG_FILE = {}\nBOTS = [{{"symbol": "XBTUSD"}}, {{"symbol": "ETHUSD"}}]'
    assert faults(text.format('"my.log"'), folder) == [
        "BOTS[1] (ETHUSD): USE_LOG_FILE is that of BOTS[0] (XBTUSD) too: True gives each its own"
    ]
    write(folder, text.format(True))
    check_all(load_all())


def test_recorded_data_has_one_symbol_only(folder: Path) -> None:
    text = 'SIM_DATA = "x"\nBOTS = [{"symbol": "XBTUSD"}, {"symbol": "ETHUSD"}]'
    assert faults(text, folder) == ["SIM_DATA replays one symbol, and BOTS has ETHUSD, XBTUSD"]


@pytest.mark.parametrize("command", ["resume", "unlock", "guard", "drill"])
def test_a_command_for_one_bot_asks_which(
    folder: Path, command: str, capsys: pytest.CaptureFixture[Any]
) -> None:
    write(folder, THREE)
    assert cli.main([command]) == 2
    expected = "BOTS has several bots: choose one with --bot, of XBTUSD, ETHUSD, second\n"
    assert capsys.readouterr().err == expected
