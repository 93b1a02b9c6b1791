"""How long a start takes: help, imports, and from the process to its first quotes.

    python benchmarks/startup.py [--rounds 9] [--json FILE]

The first quotes go to the built-in exchange, which the bot starts itself. The floor is a Python
that does nothing.
"""

import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from common import CCXT, NAUTILUS, ORIGINAL, ROOT, arguments, finish, in_turn, peer, report

OURS = [sys.executable, "-m", "market_maker"]
IMPORTS = {
    "original": (ORIGINAL, "import market_maker.market_maker"),
    "ccxt.pro": (CCXT, "import ccxt.pro"),
    "nautilus_trader": (
        NAUTILUS,
        "import nautilus_trader.live.node, nautilus_trader.adapters.bitmex.factories",
    ),
}


def ended_ms(command: list[str], folder: str, path: str = str(ROOT)) -> list[float]:
    began = time.perf_counter()
    subprocess.run(command, cwd=folder, env=_environ(path), check=True, capture_output=True)
    return [(time.perf_counter() - began) * 1000]


def quoting_ms(folder: str) -> list[float]:
    """Until it says that it creates its orders."""
    began = time.perf_counter()
    bot = subprocess.Popen([*OURS, "XBTUSD"], cwd=folder, env=_environ(), text=True,
                           stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)  # fmt: skip
    try:
        assert bot.stderr is not None
        for line in bot.stderr:
            if "Creating" in line:
                return [(time.perf_counter() - began) * 1000]
        raise SystemExit("the bot has ended before it quoted")
    finally:
        bot.terminate()
        bot.communicate(timeout=30)


def _environ(path: str = str(ROOT)) -> dict[str, str]:
    # Compiled once, as what pip installs is: a start must not be the time that compiling takes.
    kept = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
    return {**kept, "PYTHONPATH": path, "NO_PROXY": "*"}


def main() -> None:
    options = arguments(__doc__, rounds=9)
    with tempfile.TemporaryDirectory() as folder:
        (Path(folder) / "peer").mkdir()
        apart = str(Path(folder) / "peer")
        text = 'BASE_URL = "http://127.0.0.1:1/"\nWATCHED_FILES = []\n'
        (Path(apart) / "settings.py").write_text(text)
        runs: dict[str, Any] = {
            "ours, --help": lambda: ended_ms([*OURS, "--help"], folder),
            "ours, import": lambda: ended_ms(
                [sys.executable, "-c", "import market_maker.market_maker"], folder
            ),
            "python -c pass": lambda: ended_ms([sys.executable, "-c", "pass"], folder),
        }
        for name, (requirements, code) in IMPORTS.items():
            if name not in options.without:
                python = str(peer(options, requirements))
                command = [python, "-c", code]
                runs[f"{name}, import"] = lambda c=command: ended_ms(c, apart, "")
        found = in_turn(options.rounds, runs)
        quotes = in_turn(options.rounds, {"ours": lambda: quoting_ms(folder)})
    tables = [report("start", "ms", found), report("to the first quotes", "ms", quotes)]
    finish(options, "startup", tables)


if __name__ == "__main__":
    main()
