"""Settings: layers, the one global object, and a line for every fault."""

import ast
import copy
import logging
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from market_maker import _settings_base
from market_maker._settings_rules import RULES, find_faults, one_letter_apart
from market_maker._settings_venues import SECRET_NAMES
from market_maker.settings import Settings, check, first_words, load, or_exit
from market_maker.settings import settings as the_settings
from market_maker.utils.errors import SettingsError

ROOT = Path(__file__).resolve().parent.parent
Loader = Callable[..., Settings]


@pytest.fixture
def here(tmp_path: Path) -> Path:
    folder = tmp_path / "work"
    folder.mkdir()
    return folder


@pytest.fixture
def loaded(here: Path) -> Loader:
    """Writes the given files, then loads in their folder, with an empty environment."""

    def load_with(files: dict[str, str] | None = None, **kwargs: Any) -> Settings:
        for name, text in (files or {}).items():
            (here / name).write_text(text, encoding="utf-8")
        return load(**{"environ": {}, "cwd": here, **kwargs})

    return load_with


def faults_of(settings: Any) -> list[str]:
    with pytest.raises(SettingsError) as caught:
        check(settings)
    return caught.value.faults


# -- defaults and example -------------------------------------------------------------------


def test_the_example_is_the_text_of_the_defaults() -> None:
    example = (ROOT / "settings.py.example").read_text(encoding="utf-8")
    assert example == Path(_settings_base.__file__).read_text(encoding="utf-8")


def test_every_setting_stands_in_the_example_beside_a_comment() -> None:
    lines = (ROOT / "settings.py.example").read_text(encoding="utf-8").splitlines()
    text = "\n".join(lines)
    assert [name for name in RULES if not re.search(rf"\b{name}\b", text)] == []
    for number, line in enumerate(lines):
        name = line.partition(" =")[0]
        if name in RULES:
            block = text.split("\n\n")
            paragraph = next(part for part in block if line in part.split("\n"))
            assert "#" in paragraph, f"line {number + 1}: {name} has no comment"


def test_the_defaults_have_no_fault_and_are_those_of_the_example(loaded: Loader) -> None:
    settings = loaded()
    check(settings)
    example = {"settings.py": (ROOT / "settings.py.example").read_text(encoding="utf-8")}
    assert {name: loaded(example).get(name) for name in RULES} == {n: settings[n] for n in RULES}


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("EXCHANGE", "simulator"),
        ("BASE_URL", None),
        ("SYMBOL", "XBTUSD"),
        ("ORDER_PAIRS", 6),
        ("ORDER_START_SIZE", 100),
        ("ORDER_STEP_SIZE", 100),
        ("MAINTAIN_SPREADS", True),
        ("CHECK_POSITION_LIMITS", True),
        ("POST_ONLY", True),
        ("MIN_POSITION", -10000),
        ("LOOP_INTERVAL", 5),
        ("TIMEOUT", 7),
        ("DRY_BTC", 50),
        ("LOG_LEVEL", logging.INFO),
        ("ORDERID_PREFIX", "mm_bitmex_"),
        ("CONTRACTS", ["XBTUSD"]),
    ],
)
def test_defaults_are_the_originals_but_for_the_named_ones(
    loaded: Loader, name: str, value: object
) -> None:
    assert loaded()[name] == value
    assert loaded().where(name) == "default"


def test_defaults_are_never_shared_between_two_loads(loaded: Loader) -> None:
    loaded().CONTRACTS.append("ETHUSD")
    assert loaded().CONTRACTS == ["XBTUSD"]


# -- layers ---------------------------------------------------------------------------------


def test_each_layer_covers_the_one_before(here: Path, loaded: Loader) -> None:
    (here.parent / "settings-XBTUSD.py").write_text("MAX_POSITION = 1\n")
    files = {
        "settings.py": "ORDER_PAIRS = 2\nINTERVAL = 0.1\nEXCHANGE = 'bitmex'\nBASE_URL = 'http://a/'\n",
        "settings-XBTUSD.py": "ORDER_PAIRS = 3\nDRY_RUN = False\nMIN_SPREAD = 0.5\n",
        ".env": "BASE_URL=http://b/\nBITMEX_API_KEY=from-env-file\n",
    }
    settings = loaded(
        files,
        symbol="XBTUSD",
        environ={"BITMEX_API_KEY": "from-environment"},
        overrides={"DRY_RUN": True},
    )
    wanted = {
        "ORDER_PAIRS": (3, "settings-XBTUSD.py line 1"),
        "INTERVAL": (0.1, "settings.py line 2"),
        "BASE_URL": ("http://b/", ".env line 1"),
        "BITMEX_API_KEY": ("from-environment", "environment"),
        "DRY_RUN": (True, "command line"),
        "SYMBOL": ("XBTUSD", "command line"),
        "MAX_POSITION": (10000, "default"),  # one symbol file is read: the nearer one
    }
    assert {n: (settings[n], settings.where(n)) for n in wanted} == wanted
    assert [path.name for path in settings.loaded_files()] == [
        *("settings.py", "settings-XBTUSD.py", ".env")
    ]


def test_the_symbol_file_of_the_parent_folder_is_read_as_before(
    here: Path, loaded: Loader, capsys: pytest.CaptureFixture[str]
) -> None:
    (here.parent / "settings-ETHUSD.py").write_text("\nORDER_PAIRS = 9\n")
    settings = loaded({"settings.py": "SYMBOL = 'ETHUSD'\n"})
    assert settings.ORDER_PAIRS == 9
    assert settings.where("ORDER_PAIRS") == "../settings-ETHUSD.py line 2"
    assert capsys.readouterr().out == "Importing symbol settings for ETHUSD...\n"


@pytest.mark.parametrize("symbol", ["../x", "a/b", "", "XBTUSD"])
def test_a_symbol_without_a_file_is_no_fault(loaded: Loader, symbol: str) -> None:
    assert loaded(symbol=symbol).ORDER_PAIRS == 6


def test_another_file_stands_in_for_settings_py(loaded: Loader) -> None:
    settings = loaded({"settings.py": "ORDER_PAIRS = 2\n", "b.py": "SYMBOL = 'X'\n"}, path="b.py")
    assert (settings.ORDER_PAIRS, settings.SYMBOL) == (6, "X")
    assert settings.where("SYMBOL") == "b.py line 1"


def test_names_of_the_user_pass_through_lower_case_ones_too(loaded: Loader) -> None:
    text = "import math\nMY_EDGE = 2\nfee = math.pi\nSYMBOL_LIST = ['A']\ndef skew(x): return x\n"
    settings = loaded({"settings.py": text})
    check(settings)
    assert (settings.MY_EDGE, settings["fee"], settings.skew(3)) == (2, pytest.approx(3.14159), 3)
    assert settings.where("MY_EDGE") == "settings.py line 2"


def test_a_settings_file_may_import_what_lies_beside_it(loaded: Loader) -> None:
    path_before = list(sys.path)
    files = {"beside_it_7261.py": "PAIRS = 4\n"}
    settings = loaded({**files, "settings.py": "from beside_it_7261 import PAIRS as ORDER_PAIRS\n"})
    assert settings.ORDER_PAIRS == 4
    assert sys.path == path_before


def test_the_old_names_of_the_key_still_work_and_the_environment_covers_them(
    loaded: Loader,
) -> None:
    files = {"settings.py": "API_KEY = 'old-key-1'\nAPI_SECRET = 'old-secret-1'\n"}
    settings = loaded(files)
    assert (settings.BITMEX_API_KEY, settings.BITMEX_API_SECRET) == ("old-key-1", "old-secret-1")
    settings = loaded(files, environ={"BITMEX_API_KEY": "new-key-1", "BITMEX_API_SECRET": ""})
    assert (settings.API_KEY, settings.API_SECRET) == ("new-key-1", "old-secret-1")


def test_a_secret_of_the_env_file_may_hold_a_dollar_sign(loaded: Loader) -> None:
    settings = loaded({".env": "BITMEX_API_SECRET='a$HOME-${X}'\nUNRELATED=1\n"})
    assert settings.BITMEX_API_SECRET == "a$HOME-${X}"
    assert settings.UNRELATED is None


def test_whole_numbers_may_be_written_as_1e4(loaded: Loader) -> None:
    settings = loaded({"settings.py": "MAX_POSITION = 1e4\nMIN_POSITION = -1e4\n"})
    check(settings)
    assert isinstance(settings.MAX_POSITION, int)


# -- which exchange -------------------------------------------------------------------------

URL = "http://127.0.0.1:8000/api/v1/"


@pytest.mark.parametrize(
    ("file", "environ", "exchange", "base_url"),
    [
        ("", {}, "simulator", None),
        (f"BASE_URL = '{URL}'", {}, "bitmex", URL),
        ("BASE_URL = 'simulator'", {}, "simulator", None),
        (f"EXCHANGE = 'bitmex'\nBASE_URL = '{URL}'", {}, "bitmex", URL),
        ("", {"BASE_URL": URL}, "bitmex", URL),
        (f"BASE_URL = '{URL}'", {"BASE_URL": "simulator"}, "simulator", None),
        (f"EXCHANGE = 'bitmex'\nBASE_URL = '{URL}'", {"EXCHANGE": "simulator"}, "simulator", None),
        ("BASE_URL = 'http://old/'", {"BASE_URL": URL, "EXCHANGE": "bitmex"}, "bitmex", URL),
    ],
)
def test_exchange_names_the_venue_and_base_url_its_address(
    loaded: Loader, file: str, environ: dict[str, str], exchange: str, base_url: str | None
) -> None:
    keys = {"BITMEX_API_KEY": "k" * 24, "BITMEX_API_SECRET": "s" * 48}
    settings = loaded({"settings.py": file}, environ={**environ, **keys})
    check(settings)
    assert (exchange, base_url) == (settings.EXCHANGE, settings.BASE_URL)


@pytest.mark.parametrize("host", ["testnet.bitmex.com", "www.bitmex.com", "bitmex.com"])
def test_an_address_of_bitmex_gets_one_line_that_says_what_happened(
    loaded: Loader, host: str
) -> None:
    settings = loaded({"settings.py": f"# old\nBASE_URL = 'https://{host}/api/v1/'\n"})
    (line,) = faults_of(settings)
    assert "settings.py line 2" in line
    assert "BitMEX closed on 2026-09-23" in line
    assert "EXCHANGE = 'simulator'" in line


@pytest.mark.parametrize(
    ("file", "environ", "line"),
    [
        ("EXCHANGE = 'bitmex'", {}, "EXCHANGE = 'bitmex' (settings.py line 1) needs BASE_URL"),
        (
            "EXCHANGE = 'simulator'",
            {"BASE_URL": URL},
            f"BASE_URL = '{URL}' (environment) does not go with EXCHANGE = 'simulator' "
            "(settings.py line 1): set EXCHANGE = 'bitmex'",
        ),
        (f"BASE_URL = '{URL}'\nAPI_KEY = 'abcdef'", {}, "BITMEX_API_SECRET is missing"),
        ("EXCHANGE = 'Bitmex'", {}, "Did you mean 'bitmex'?"),
        ("BASE_URL = 'localhost:8000'", {}, "BASE_URL = 'localhost:8000' (settings.py line 1)"),
    ],
)
def test_a_contradiction_of_exchange_and_address_is_a_fault(
    loaded: Loader, file: str, environ: dict[str, str], line: str
) -> None:
    (fault,) = faults_of(loaded({"settings.py": file}, environ=environ))
    assert line in fault


def test_a_dry_run_needs_no_key(loaded: Loader) -> None:
    settings = loaded({"settings.py": f"BASE_URL = '{URL}'\nDRY_RUN = True\n"})
    check(settings)
    assert (settings.EXCHANGE, settings.BITMEX_API_KEY) == ("bitmex", "")


# -- faults ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("line", "allowed"),
    [
        ("ORDER_PAIRS = 0", "a whole number from 1 to 100"),
        ("ORDER_PAIRS = '6'", "a whole number from 1 to 100"),
        ("ORDER_PAIRS = True", "a whole number from 1 to 100"),
        ("ORDER_START_SIZE = 0", "a number above 0"),
        ("ORDER_STEP_SIZE = -1", "a number of at least 0"),
        ("ORDER_STEP_SIZE = True", "a number of at least 0"),
        ("INTERVAL = 0", "a ratio above 0 and below 1"),
        ("INTERVAL = float('nan')", "a ratio above 0 and below 1"),
        ("MIN_SPREAD = 1", "a ratio from 0 to below 1"),
        ("RELIST_INTERVAL = -0.1", "a ratio from 0 to below 1"),
        ("MAINTAIN_SPREADS = 1", "True or False"),
        ("POST_ONLY = 'False'", "True or False"),
        ("ORDER_BULK = 'yes'", "'auto' or True or False"),
        ("LOOP_INTERVAL = 0", "a number of seconds above 0"),
        ("LOOP_INTERVAL = None", "a number of seconds above 0"),
        ("TIMEOUT = float('inf')", "a number of seconds above 0"),
        ("DEADMAN_TIMEOUT = 3", "0 or a number of seconds from 5 to 3600"),
        ("TOPUP_BELOW = 2", "a number from 0 to 1"),
        ("MAKER_FEE = 5", "None or a ratio between -0.1 and 0.1"),
        ("DRY_BTC = -1", "an amount of XBT above 0"),
        ("ORDERID_PREFIX = 'a_prefix_too_long'", "text of 1 to 13 characters"),
        ("ORDERID_PREFIX = ''", "text of 1 to 13 characters"),
        ("LOG_LEVEL = 'LOUD'", "a level such as logging.INFO"),
        ("WATCHED_FILES = 'settings.py'", "None or a list of texts"),
        ("CONTRACTS = 'XBTUSD'", "a list of texts"),
        ("SYMBOL = 'xbtusd'", "a symbol in capitals such as 'XBTUSD'"),
        ("SIM_PROFILE = 'new'", "'classic' or 'last'"),
        ("SIM_MARKET = 'wild'", "'practice' or 'calm' or 'busy' or 'trending' or 'crash'"),
        ("SIM_FAULT = []", "None or a fault in quotes or a list of them"),
        ("SIM_SPEED = 0", "a number from 0.01 to 1000"),
    ],
)
def test_a_wrong_value_is_one_line_with_setting_value_allowed_and_place(
    loaded: Loader, line: str, allowed: str
) -> None:
    (fault,) = faults_of(loaded({"settings.py": f"\n{line}\n"}))
    name, value = line.split(" = ")
    shown = repr(eval(value))
    assert fault.startswith(f"{name} = {shown} (settings.py line 2): must be {allowed}")
    assert "\n" not in fault


def test_every_fault_has_its_line(loaded: Loader) -> None:
    text = "ORDER_PAIRS = 0\nINTERVAL = 2\nSYMOBL = 'XBTUSD'\nMIN_POSITION = 20000\n"
    assert len(faults_of(loaded({"settings.py": text}))) == 4


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("MIN_POSITION = 5\nMAX_POSITION = 5\n", "must be below MAX_POSITION = 5"),
        (
            "RANDOM_ORDER_SIZE = True\nMIN_ORDER_SIZE = 9\nMAX_ORDER_SIZE = 8\n",
            "must be at most MAX_ORDER_SIZE = 8",
        ),
        ("RANDOM_ORDER_SIZE = True\nMIN_ORDER_SIZE = None\n", "needs MIN_ORDER_SIZE"),
        ("GRID_MIN_PRICE = 2\nGRID_MAX_PRICE = 1\n", "must be below GRID_MAX_PRICE = 1"),
        ("STRATEGY = 'inventory'\nINVENTORY_MAX = 50\n", "must be at most INVENTORY_MAX = 50"),
        (
            "STRATEGY = 'inventory'\nRANDOM_ORDER_SIZE = True\nMIN_ORDER_SIZE = None\n",
            "needs MIN_ORDER_SIZE",
        ),
    ],
)
def test_settings_that_do_not_go_together_are_a_fault(
    loaded: Loader, text: str, words: str
) -> None:
    (fault,) = faults_of(loaded({"settings.py": text}))
    assert words in fault


@pytest.mark.parametrize("value", [0.09, 0, 1.01, 100])
def test_less_than_a_tenth_or_more_than_all_of_the_balance_is_not_traded(
    loaded: Loader, value: float
) -> None:
    (fault,) = faults_of(loaded({"settings.py": f"TRADING_BALANCE_SIZE = {value}\n"}))
    assert ": must be a ratio from 0.1 to 1" in fault
    check(loaded({"settings.py": "TRADING_BALANCE_SIZE = 0.1\n"}))


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "needs one of DECISION_URL, DECISION_FILE, DECISION_CALL: there is none of them"),
        ("DECISION_FILE = 'a'\nDECISION_CALL = print", "DECISION_FILE and DECISION_CALL"),
        ("DECISION_FILE = 'a'\nDECISION_EVERY = 180", "must be above DECISION_EVERY = 180"),
        ("DECISION_FILE = 'a'\nQUANT_ALGO = 'x'", "must be 'BitcoinFuturesMarketMaker'"),
    ],
)
def test_a_position_manager_has_one_source_and_asks_it_in_time(
    loaded: Loader, text: str, words: str
) -> None:
    (fault,) = faults_of(loaded({"settings.py": f"STRATEGY = 'decision'\n{text}\n"}))
    assert words in fault


@pytest.mark.parametrize(
    ("name", "meant"),
    [
        ("ORDER_PAIR", "ORDER_PAIRS"),
        ("ORDERPAIRS", "ORDER_PAIRS"),
        ("ORDER_PAIRZ", "ORDER_PAIRS"),
        ("SYMOBL", "SYMBOL"),
        ("MIN_SPRAED", "MIN_SPREAD"),
        ("MAX_POSITIONS", "MAX_POSITION"),
    ],
)
def test_a_name_one_letter_away_from_ours_is_a_fault_that_names_ours(
    loaded: Loader, name: str, meant: str
) -> None:
    (fault,) = faults_of(loaded({"settings.py": f"{name} = 3\n"}))
    assert fault == f"{name} (settings.py line 1) is not a setting: did you mean {meant}?"


@pytest.mark.parametrize("name", ["PAIRS", "ORDER_PARTS", "symbol", "_SYMBOL", "SYMBOL_2", "X"])
def test_a_name_further_away_is_the_users_own(loaded: Loader, name: str) -> None:
    settings = loaded({"settings.py": f"{name} = 3\n"})
    check(settings)
    assert settings[name] == 3


def test_a_misspelt_name_in_the_env_file_is_named_without_its_value(loaded: Loader) -> None:
    (fault,) = faults_of(loaded({".env": "\nBITMEX_API_SECRT=topsecret\n"}))
    assert fault == (
        "BITMEX_API_SECRT (.env line 2) is not a setting: did you mean BITMEX_API_SECRET?"
    )


def test_a_secret_never_appears_in_a_fault(loaded: Loader) -> None:
    (fault, *_) = faults_of(loaded({"settings.py": "API_SECRET = 123456789\n"}))
    assert "123456789" not in fault


def test_settings_changed_at_run_time_are_checked_as_well(loaded: Loader) -> None:
    settings = loaded()
    settings.ORDER_PAIRS = -1
    (fault,) = faults_of(settings)
    assert fault.startswith("ORDER_PAIRS = -1 (set by the program)")


ALPHABET = st.text(alphabet="ABC_", min_size=1, max_size=6)


@given(word=ALPHABET, letter=st.sampled_from("ABC_"), at=st.integers(0, 6))
def test_one_letter_more_or_less_or_other_is_one_letter_apart(
    word: str, letter: str, at: int
) -> None:
    at = min(at, len(word))
    longer = word[:at] + letter + word[at:]
    changed = word[:at] + letter + word[at + 1 :]
    assert one_letter_apart(word, longer)
    assert one_letter_apart(longer, word)
    assert one_letter_apart(word, changed) == (changed != word)


@given(a=ALPHABET, b=ALPHABET)
def test_one_letter_apart_is_symmetric_and_never_of_itself(a: str, b: str) -> None:
    assert one_letter_apart(a, b) == one_letter_apart(b, a)
    assert not one_letter_apart(a, a)


@given(
    values=st.dictionaries(
        st.sampled_from(sorted(RULES)),
        st.one_of(
            st.none(), st.booleans(), st.integers(), st.floats(), st.text(), st.lists(st.text())
        ),
    )
)
def test_no_value_of_any_kind_breaks_the_check(values: dict[str, Any]) -> None:
    for line in find_faults(values, lambda _: "here"):
        assert "\n" not in line


# -- files that cannot be run ---------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("A = 1\nB = = 2\n", "settings.py line 2: invalid syntax"),
        ("A = 1\nB = unknown\n", "settings.py line 2: NameError: name 'unknown' is not defined"),
        ("import no_such_module_5\n", "settings.py line 1: ModuleNotFoundError"),
        ("def f():\n    return 1 / 0\nA = f()\n", "settings.py line 2: ZeroDivisionError"),
        ("raise SystemExit(3)\n", "settings.py line 1: SystemExit: 3"),
        ("A = 'a\x00b'\n", "settings.py"),
    ],
)
def test_a_file_that_cannot_be_run_is_one_line_with_its_place(
    loaded: Loader, text: str, line: str
) -> None:
    with pytest.raises(SettingsError) as caught:
        loaded({"settings.py": text})
    (fault,) = caught.value.faults
    assert fault.startswith(line)
    assert "\n" not in fault


def test_an_unquoted_secret_is_not_shown(loaded: Loader) -> None:
    with pytest.raises(SettingsError) as caught:
        loaded({"settings.py": "API_SECRET = abcdef0123\n"})
    (fault,) = caught.value.faults
    assert fault.startswith("settings.py line 1: NameError while setting API_SECRET")
    assert "abcdef0123" not in fault


def test_a_missing_file_and_a_folder_are_named(here: Path, loaded: Loader) -> None:
    (here / "folder.py").mkdir()
    for name in ("missing.py", "folder.py"):
        with pytest.raises(SettingsError, match=rf"^{name}: cannot be read: "):
            loaded(path=name)


def test_an_env_file_that_is_no_text_is_one_line(here: Path, loaded: Loader) -> None:
    (here / ".env").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(SettingsError, match=r"^\.env: cannot be read"):
        loaded()


# -- the object -----------------------------------------------------------------------------


def test_absent_names_read_as_none_and_changes_act_at_once(loaded: Loader) -> None:
    settings = loaded()
    assert settings.NO_SUCH is None
    assert settings.get("NO_SUCH", 5) == 5
    settings.NO_SUCH = 1
    assert settings["NO_SUCH"] == settings.NO_SUCH == 1
    assert settings.where("NO_SUCH") == "set by the program"
    assert isinstance(settings, dict)


def test_the_first_words_tell_a_newcomer_where_he_is(loaded: Loader) -> None:
    assert first_words(loaded()) == (
        "No settings.py here: built-in exchange, play money. 'marketmaker setup' writes one."
    )
    assert first_words(loaded(environ={"BASE_URL": URL})) == (
        "No settings.py here: the defaults apply. 'marketmaker setup' writes one."
    )
    assert first_words(loaded({".env": "BITMEX_API_KEY=a-key"})) == first_words(loaded())
    assert first_words(loaded({"settings.py": ""})) is None


def test_or_exit_prints_each_fault_and_ends_with_2(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as end:
        or_exit(lambda: check(Settings()))
    assert end.value.code == 2
    assert "ORDER_PAIRS = None" in capsys.readouterr().err


def test_the_global_object_can_be_copied(monkeypatch: pytest.MonkeyPatch, here: Path) -> None:
    monkeypatch.chdir(here)
    monkeypatch.setattr(sys, "argv", ["bot.py"])
    assert copy.deepcopy(the_settings).SYMBOL == the_settings.SYMBOL
    assert {**the_settings} == dict(the_settings)


def script(here: Path, code: str, *argv: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", code, *argv],
        cwd=here,
        env={"PYTHONPATH": str(ROOT), "PATH": ""},
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )


def test_importing_reads_no_file_and_the_first_use_does(here: Path) -> None:
    (here / "settings.py").write_text("print('read')\nORDER_PAIRS = 4\n")
    (here / "settings-XBTUSD.py").write_text("INTERVAL = 0.25\n")
    code = (
        "from market_maker.settings import settings; print('imported'); "
        "settings.DRY_RUN = True; print(settings.ORDER_PAIRS, settings.INTERVAL, settings.DRY_RUN)"
    )
    done = script(here, code, "XBTUSD")
    assert done.stdout.split("\n")[:4] == [
        "imported",
        "read",
        "Importing symbol settings for XBTUSD...",
        "4 0.25 True",
    ]


@pytest.mark.parametrize(
    ("word", "symbol"),
    [("ETHUSD", "ETHUSD"), ("ethusd", "ethusd"), ("-v", "XBTUSD"), ("settings.py", "XBTUSD")],
)
def test_a_script_trades_the_first_word_of_its_command_line(
    here: Path, word: str, symbol: str
) -> None:
    (here / "settings.py").write_text("")
    done = script(here, "from market_maker.settings import settings; print(settings.SYMBOL)", word)
    assert done.stdout == f"{symbol}\n"


def test_a_broken_file_ends_a_script_with_one_line_and_code_2(here: Path) -> None:
    (here / "settings.py").write_text("A = \n")
    done = script(here, "from market_maker.settings import settings; settings.SYMBOL")
    assert (done.returncode, done.stderr) == (2, "settings.py line 1: invalid syntax\n")


def test_a_settings_file_may_read_the_settings_object(here: Path) -> None:
    (here / "settings.py").write_text(
        "from market_maker.settings import settings\nMINE = settings.SYMBOL\n"
    )
    done = script(here, "from market_maker.settings import settings; print(settings.MINE)")
    assert (done.stdout, done.stderr) == ("None\n", "")


def test_only_names_of_the_base_file_and_the_key_are_settings() -> None:
    tree = ast.parse(Path(_settings_base.__file__).read_text(encoding="utf-8"))
    names = {t.id for n in tree.body if isinstance(n, ast.Assign) for t in n.targets}  # type: ignore[attr-defined]
    assert names | set(SECRET_NAMES) == set(RULES)
