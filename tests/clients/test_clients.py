"""Clients that other people wrote, unmodified, against `marketmaker simulate`.

Each is a script of this folder that may also be run by hand. They install from the package
index and take minutes, so they run when asked for: `pytest -m clients`.
"""

import subprocess
import sys
from pathlib import Path

import pytest

FOLDER = Path(__file__).parent
SCRIPTS = (
    "bitmex_market_maker.py",
    "bitmex_ws.py",
    "ccxt_binance.py",
    "ccxt_bitmex.py",
    "ccxt_hitbtc.py",
    "ccxt_okx.py",
    "nautilus_bitmex.py",
)


@pytest.mark.clients
@pytest.mark.parametrize("script", SCRIPTS)
def test_the_client_trades_and_agrees_with_the_exchange(script: str) -> None:
    command = [sys.executable, str(FOLDER / script)]
    ended = subprocess.run(command, capture_output=True, text=True, timeout=1200)
    print(ended.stdout)
    assert ended.returncode == 0, f"{ended.stdout[-3000:]}\n{ended.stderr[-3000:]}"
