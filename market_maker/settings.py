"""The settings: defaults, files, environment and command line in one dict with attributes.

Layers, last wins: `_settings_base.py`, `settings.py`, `settings-SYMBOL.py` (here, else in the
parent folder), the bot's entry in BOTS, `.env`, the environment, the command line. Nothing is read
by importing: the one global object loads at its first use, and `check` is called once at the start.
"""

import copy
import os
import re
import sys
import threading
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from market_maker import _settings_base
from market_maker._settings_bots import Entry, choose, find_conflicts, read_entries
from market_maker._settings_files import Layer, read_dotenv, read_python, read_secret
from market_maker._settings_rules import MAX_PREFIX, RULES, SIZES, find_faults, misspelt
from market_maker._settings_venues import SECRET_NAMES, SECRETS
from market_maker.utils import log
from market_maker.utils.dotdict import dotdict
from market_maker.utils.errors import SettingsError

__all__ = [
    "MAX_PREFIX",
    "Settings",
    "check",
    "check_all",
    "first_words",
    "load",
    "load_all",
    "or_exit",
    "reload",
    "settings",
    "warnings",
]

ENVIRONMENT_NAMES = (*SECRET_NAMES, "BASE_URL", "EXCHANGE")
SECRET_FILES = {f"{name}_FILE": name for name in SECRET_NAMES}
DEFAULTS: dict[str, Any] = {
    name: value for name, value in vars(_settings_base).items() if name in RULES
} | dict.fromkeys(SECRET_NAMES, "")

_SYMBOL = re.compile(r"[A-Z0-9.][A-Z0-9._:-]*")


class Settings(dotdict):
    """The final values. An absent name reads as None; changes at run time act at once."""

    _origins: dict[str, str]  # name -> where its value stands; absent: default
    _files: list[Path]

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        object.__setattr__(self, "_origins", dict.fromkeys(self, "set by the program"))
        object.__setattr__(self, "_files", [])

    def __setitem__(self, name: str, value: Any) -> None:
        super().__setitem__(name, value)
        self._origins[name] = "set by the program"

    def where(self, name: str) -> str:
        """Where the value of *name* stands, such as "settings.py line 12" or "default"."""
        return self._origins.get(name, "default")

    def loaded_files(self) -> list[Path]:
        """The settings files that were read, in order."""
        return list(self._files)

    def changed(self, where: str, **values: Any) -> "Settings":
        """A copy with other *values*, which stand at *where*."""
        result = Settings({**self, **values})
        result._origins.update({**self._origins, **dict.fromkeys(values, where)})
        return result

    def _apply(self, layer: Layer, path: Path | None = None) -> None:
        _agree(layer)
        self.update(layer.values)
        self._origins.update(layer.origins)
        if path is not None:
            self._files.append(path)


def load(
    symbol: str | None = None,
    path: str | Path | None = None,
    environ: Mapping[str, str] | None = None,
    overrides: Mapping[str, Any] | None = None,
    cwd: str | Path | None = None,
    bot: str | None = None,
    say: Callable[[str], None] = print,
) -> Settings:
    """Read every layer into fresh settings; nothing is checked yet but BOTS.

    *symbol*, *bot* and *overrides* are the command line's, *path* stands in for `settings.py`.
    Raises SettingsError with one line if a file cannot be read or run.
    """
    here = Path(cwd) if cwd is not None else Path.cwd()
    result = Settings()
    result._apply(Layer(copy.deepcopy(DEFAULTS), dict.fromkeys(DEFAULTS, "default")))
    if path is not None:
        result._apply(read_python(here / path, str(path)), here / path)
    elif (here / "settings.py").is_file():
        result._apply(read_python(here / "settings.py", "settings.py"), here / "settings.py")
    entry = choose(read_entries(result.BOTS), bot, symbol)
    if entry or symbol or not result.BOTS:
        _apply_symbol_file(result, entry.symbol if entry else symbol or result.SYMBOL, here, say)
    if entry:
        origin = f"{entry.label}, {result.where('BOTS')}"
        result._apply(Layer(dict(entry.values), dict.fromkeys(entry.values, origin)))
    _apply_environment(result, os.environ if environ is None else environ, here)
    given = dict(overrides or {}) | ({"SYMBOL": symbol} if symbol else {})
    result._apply(Layer(given, dict.fromkeys(given, "command line")))
    _finish(result)
    return result


def load_all(
    path: str | Path | None = None, overrides: Mapping[str, Any] | None = None
) -> list[tuple[Entry, Settings]]:
    """Each of BOTS with its settings, as `load` reads them."""
    entries = read_entries(load(path=path, overrides=overrides).BOTS)
    return [(e, load(None, path, None, overrides, None, e.name, _say_nothing)) for e in entries]


def check_all(bots: list[tuple[Entry, Settings]]) -> None:
    """Raise SettingsError with one line for each fault of any, or between two of them."""
    found = [fault for _, settings in bots for fault in find_faults(settings, settings.where)]
    faults = [*dict.fromkeys(found), *find_conflicts(list(bots))]
    if faults:
        raise SettingsError(faults)


def _say_nothing(_: str) -> None:
    """The bot itself will say it."""


def check(settings: Mapping[str, Any]) -> None:
    """Raise SettingsError with one line for each fault. Secrets that a program gave are hidden."""
    _hide_secrets(settings)
    where = settings.where if isinstance(settings, Settings) else lambda _: "set by the program"
    faults = find_faults(settings, where)
    if faults:
        raise SettingsError(faults)


def first_words(settings: Settings) -> str | None:
    """What a newcomer should know at the start, or None."""
    if any(path.suffix == ".py" for path in settings.loaded_files()):
        return None
    if settings.EXCHANGE == "simulator":
        return "No settings.py here: built-in exchange, play money. 'marketmaker setup' writes one."
    return "No settings.py here: the defaults apply. 'marketmaker setup' writes one."


def or_exit(step: Callable[[], Any]) -> None:
    """Do *step*; a SettingsError prints its lines to stderr and raises SystemExit(2)."""
    try:
        step()
    except SettingsError as error:
        print(error, file=sys.stderr)
        raise SystemExit(2) from error


def _apply_symbol_file(
    result: Settings, symbol: Any, here: Path, say: Callable[[str], None]
) -> None:
    if not isinstance(symbol, str) or not _SYMBOL.fullmatch(symbol):
        return
    name = f"settings-{symbol}.py"
    for path, label in ((here / name, name), (here.parent / name, f"../{name}")):
        if path.is_file():
            say(f"Importing symbol settings for {symbol}...")
            result._apply(read_python(path, label), path)
            return


def _apply_environment(result: Settings, environ: Mapping[str, str], here: Path) -> None:
    if (here / ".env").is_file():
        values, origins = read_dotenv(here / ".env")
        _read_secret_files(values, origins, here)
        # A misspelt name goes in as well, for `check` to name it; others are not for us.
        ours = {n: v for n, v in values.items() if n in ENVIRONMENT_NAMES or misspelt(n)}
        result._apply(Layer(ours, origins), here / ".env")
    names = (*ENVIRONMENT_NAMES, *SECRET_FILES)
    found = {name: environ[name] for name in names if environ.get(name)}
    origins = dict.fromkeys(found, "environment")
    _read_secret_files(found, origins, here)
    result._apply(Layer(found, origins))


def _read_secret_files(values: dict[str, Any], origins: dict[str, str], here: Path) -> None:
    """Put the content of the files that `BITMEX_API_KEY_FILE` and the like name in their place."""
    for file_name, name in SECRET_FILES.items():
        given = values.pop(file_name, None)
        if given and not values.get(name):
            values[name] = read_secret(here / given, file_name)
            origins[name] = str(given)


def warnings(settings: Mapping[str, Any]) -> list[str]:
    """What is unsafe about where the keys are kept, one line each."""
    if not isinstance(settings, Settings):
        return []
    kept = [path for path in settings.loaded_files() if path.name == ".env"]
    kept += [Path(settings.where(n)) for n in SECRET_FILES.values() if settings.get(n)]
    return [
        f"{path} can be read by other users of this machine: chmod 600 {path}"
        for path in dict.fromkeys(kept)
        if os.name != "nt" and path.is_file() and path.stat().st_mode & 0o077
    ]


def _agree(layer: Layer) -> None:
    """Make the names within one layer agree, before it covers the earlier ones."""
    values, origins = layer
    for ours, old in (("BITMEX_API_KEY", "API_KEY"), ("BITMEX_API_SECRET", "API_SECRET")):
        if ours in values or old in values:
            name = ours if values.get(ours) else old
            name = name if name in values else ours
            values[ours] = values[old] = values[name]
            origins[ours] = origins[old] = origins[name]
    if values.get("EXCHANGE", "simulator") != "simulator":
        return
    if values.get("BASE_URL") == "simulator":
        values["EXCHANGE"], values["BASE_URL"] = "simulator", None
        origins["EXCHANGE"] = origins["BASE_URL"]
    elif "EXCHANGE" in values and "BASE_URL" not in values:
        values["BASE_URL"] = None  # an address of an earlier layer belonged to another venue
        origins["BASE_URL"] = origins["EXCHANGE"]


def _finish(result: Settings) -> None:
    if result.BASE_URL and result.where("EXCHANGE") == "default":
        # A settings file from before EXCHANGE: its address speaks BitMEX's protocol.
        origin = result.where("BASE_URL")
        result._apply(Layer({"EXCHANGE": "bitmex"}, {"EXCHANGE": origin}))
    for name, rule in RULES.items():
        value = result.get(name)
        if isinstance(value, float) and value.is_integer() and rule.accepts(int(value)):
            whole = name in SIZES or not rule.accepts(value)  # such as MAX_POSITION = 1e4
            if whole:
                dict.__setitem__(result, name, int(value))
    _hide_secrets(result)


def _hide_secrets(settings: Mapping[str, Any]) -> None:
    """Blot out every key and secret of *settings*, those of other BOTS too."""
    for values in (settings, *(entry.values for entry in read_entries(settings.get("BOTS")))):
        found = [values.get(name) for name in SECRETS]
        log.hide(*(value for value in found if isinstance(value, str)))


_LOCK = threading.RLock()


class _GlobalSettings(Settings):
    """Settings that load themselves at their first use."""

    _state = "loading"  # or "new" or "loaded"

    def __init__(self) -> None:
        super().__init__()
        object.__setattr__(self, "_state", "new")

    def _ensure(self) -> None:
        if self._state == "loaded":
            return
        with _LOCK:
            if self._state == "new":  # "loading": the user's settings file asks for settings
                or_exit(self._load_first)

    def _load_first(self) -> None:
        object.__setattr__(self, "_state", "loading")
        try:
            self._take(load(_symbol_of_script()))
        finally:
            if self._state == "loading":
                object.__setattr__(self, "_state", "new")

    def _take(self, fresh: Settings) -> None:
        dict.clear(self)
        dict.update(self, fresh)
        object.__setattr__(self, "_origins", fresh._origins)
        object.__setattr__(self, "_files", fresh._files)
        object.__setattr__(self, "_state", "loaded")
        log.guard_streams()  # this process knows keys from here on

    def where(self, name: str) -> str:
        self._ensure()
        return super().where(name)

    def loaded_files(self) -> list[Path]:
        self._ensure()
        return super().loaded_files()


def _loading_first(method: str) -> Callable[..., Any]:
    inherited = getattr(Settings, method)

    def call(self: _GlobalSettings, *args: Any, **kwargs: Any) -> Any:
        self._ensure()
        return inherited(self, *args, **kwargs)

    return call


for _method in (
    *("__getitem__", "__setitem__", "__delitem__", "__contains__", "__iter__", "__len__"),
    *("__eq__", "__ne__", "__or__", "__ror__", "__ior__", "__repr__", "__reversed__"),
    *("get", "keys", "values", "items", "copy", "pop", "popitem", "setdefault", "update", "clear"),
):
    setattr(_GlobalSettings, _method, _loading_first(_method))


def _symbol_of_script() -> str | None:
    """The symbol of `python my_strategy.py XBTUSD`; a wrong one is a fault for `check`."""
    word = sys.argv[1] if len(sys.argv) > 1 else ""
    if not word or word.startswith("-"):
        return None
    is_a_file = not _SYMBOL.fullmatch(word) and Path(word.partition("::")[0]).exists()
    return None if is_a_file else word


settings = _GlobalSettings()


def reload(
    symbol: str | None = None,
    path: str | Path | None = None,
    environ: Mapping[str, str] | None = None,
    overrides: Mapping[str, Any] | None = None,
    cwd: str | Path | None = None,
    bot: str | None = None,
) -> Settings:
    """Load anew, as `load` does, into the one global object."""
    settings._take(load(symbol, path, environ, overrides, cwd, bot))
    return settings
