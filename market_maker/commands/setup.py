"""`marketmaker setup`: a folder to work in. Nothing that exists is overwritten."""

import os
import shutil
from pathlib import Path

PACKAGE = Path(__file__).resolve().parent.parent
ENV_TEXT = """\
# Key and secret of the exchange account. Only you should be able to read this file.
BITMEX_API_KEY=
BITMEX_API_SECRET=

# For EXCHANGE = "okx" or "okx-demo".
OKX_API_KEY=
OKX_API_SECRET=
OKX_API_PASSPHRASE=

# For EXCHANGE = "binance" or "binance-testnet".
BINANCE_API_KEY=
BINANCE_API_SECRET=

# For EXCHANGE = "hitbtc" or "hitbtc-demo".
HITBTC_API_KEY=
HITBTC_API_SECRET=

# For EXCHANGE = "plain".
PLAIN_API_KEY=
PLAIN_API_SECRET=

# For EXCHANGE = "ccxt:...". The passphrase is for OKX.
CCXT_API_KEY=
CCXT_API_SECRET=
CCXT_API_PASSPHRASE=

# For GUARD: the same on both sides.
GUARD_SECRET=

# For STRATEGY = "decision" with DECISION_URL.
QUANT_API_KEY=

# These stand above settings.py when they have a value:
# EXCHANGE=bitmex
# BASE_URL=http://127.0.0.1:8000/api/v1/
"""


def write_project(folder: Path | None = None, *, copy_package: bool = True) -> int:
    """Write settings.py, .env, my_strategy.py and ./market_maker/ as far as they are missing.

    Returns the exit code: 1 when an old copy of sample-market-maker stands in the way.
    """
    here = folder or Path.cwd()
    defaults = (PACKAGE / "_settings_base.py").read_text(encoding="utf-8")
    strategy = (PACKAGE / "custom_strategy.py").read_text(encoding="utf-8")
    _write(here / "settings.py", defaults, "what to trade and how")
    _write(here / ".env", ENV_TEXT, "the place for your key and secret", mode=0o600)
    _write(here / "my_strategy.py", strategy, "a strategy to change: python my_strategy.py XBTUSD")
    if is_old_copy(here / "market_maker"):
        print(
            f"{here / 'market_maker'} is a copy of the old sample-market-maker, which Python "
            "would use here in place of this program: rename or remove it."
        )
        return 1
    if copy_package:
        _copy_package(here / "market_maker")
    return 0


def is_old_copy(folder: Path) -> bool:
    """Whether *folder* holds a package `market_maker` from before this program."""
    return (folder / "market_maker.py").is_file() and not (folder / "model").is_dir()


def _write(path: Path, text: str, purpose: str, mode: int = 0o666) -> None:
    try:
        # The mode is given at creation, so that no other user can read a secret in between.
        number = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode)
    except FileExistsError:
        print(f"{path.name} exists: left as it is.")
        return
    with os.fdopen(number, "w", encoding="utf-8") as file:
        file.write(text)
    print(f"{path.name} written: {purpose}.")


def _copy_package(target: Path) -> None:
    if target.exists():
        print("Market Maker project already exists!")
        return
    shutil.copytree(PACKAGE, target, ignore=shutil.ignore_patterns("__pycache__", "*.pyc"))
    print("market_maker/ written: a copy of the program to change.")
