"""What the benchmarks share: the server, workers in turn, environments of peers, the report."""

import argparse
import json
import os
import platform
import random
import signal
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Callable, Sequence
from datetime import date
from pathlib import Path
from typing import Any
from urllib.request import Request, urlopen

ROOT = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(ROOT), str(ROOT / "tests" / "clients")]

from harness import environment  # noqa: E402 - found where it was just said

ORIGINAL = ("bitmex-market-maker==1.6.1", "websocket-client==0.57.0")
BITMEX_WS = ("bitmex-ws==1.5.0",)
CCXT = ("ccxt==4.5.83",)
NAUTILUS = ("nautilus_trader==1.221.0",)
ENVIRONMENTS = "MARKETMAKER_CLIENT_ENVIRONMENTS"


class Server:
    """benchmarks/server.py as a process that ends with this object."""

    def __init__(self) -> None:
        command = [sys.executable, str(ROOT / "benchmarks" / "server.py")]
        self._process = subprocess.Popen(command, stdout=subprocess.PIPE)
        assert self._process.stdout is not None
        self.told: dict[str, Any] = json.loads(self._process.stdout.readline())
        self.base_url = f"http://127.0.0.1:{self.told['port']}/api/v1/"

    def control(self, **fields: Any) -> dict[str, Any]:
        """Change what the server does, or just look."""
        data = json.dumps(fields).encode() if fields else None
        head = {"content-type": "application/json"}
        with urlopen(Request(f"http://127.0.0.1:{self.told['port']}/bench", data, head)) as found:
            return json.load(found)

    def __enter__(self) -> "Server":
        return self

    def __exit__(self, *_: object) -> None:
        self._process.kill()
        self._process.wait()


class Worker:
    """A client in a process of its own: it measures when it is told to."""

    def __init__(self, python: str | Path, script: str, *words: Any) -> None:
        command = [str(python), str(ROOT / "benchmarks" / script), *map(str, words)]
        pipe = subprocess.PIPE
        environ = {**os.environ, "NO_PROXY": "*", "no_proxy": "*"}
        self._folder = tempfile.TemporaryDirectory(prefix="bench-")
        with (Path(self._folder.name) / "log").open("w") as log:
            self.process = subprocess.Popen(
                command, stdin=pipe, stdout=log if script == "bots.py" else pipe, stderr=log,
                text=True, cwd=self._folder.name, env=environ,
            )  # fmt: skip

    def ask(self, **what: Any) -> Any:
        assert self.process.stdin is not None and self.process.stdout is not None
        self.process.stdin.write(json.dumps(what) + "\n")
        self.process.stdin.flush()
        return self.hear()

    def hear(self) -> Any:
        assert self.process.stdout is not None
        for line in self.process.stdout:
            if line.startswith("= "):
                return json.loads(line[2:])
        raise SystemExit(f"a client has ended: {self.process.args}")

    def close(self) -> None:
        self.process.kill()
        self.process.wait()
        self._folder.cleanup()


def arguments(text: str | None, rounds: int, **numbers: float) -> argparse.Namespace:
    """The options every benchmark has, and *numbers* of its own with their defaults."""
    _end_on_term()
    parser = argparse.ArgumentParser(description=(text or "").splitlines()[0])
    parser.add_argument("--rounds", type=int, default=rounds)
    for name, value in numbers.items():
        parser.add_argument(f"--{name}", type=type(value), default=value)
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the figures there too")
    place = os.environ.get(ENVIRONMENTS) or str(Path(tempfile.gettempdir()) / "client-environments")
    parser.add_argument("--environments", type=Path, default=place, metavar="FOLDER",
                        help=f"where peers are installed and kept (default {place})")  # fmt: skip
    parser.add_argument("--without", action="append", default=[], metavar="PEER")
    return parser.parse_args()


def _end_on_term() -> None:
    """Even a killed benchmark must not leave its bots behind."""
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))


def peer(options: argparse.Namespace, requirements: Sequence[str]) -> Path:
    """The Python that has a peer installed."""
    return environment(options.environments, requirements)


def in_turn(
    rounds: int, runs: dict[str, Callable[[], list[float]]]
) -> dict[str, list[list[float]]]:
    """Each round every client once, in an order that changes; a list of figures a round."""
    rng, found = random.Random(1), {name: [] for name in runs}  # type: ignore[var-annotated]
    for _ in range(rounds):
        for name in rng.sample(list(runs), len(runs)):
            found[name].append(runs[name]())
    return found


def report(title: str, unit: str, found: dict[str, list[list[float]]]) -> dict[str, Any]:
    """Print medians, spreads and ratios to the first; the same as a row for JSON."""
    load = os.getloadavg()[0]
    print(f"{title}  [{unit}; load {load:.1f}]")
    print(f"  {'':34}{'median':>10}{'rounds':>20}{'p99':>10}{'ratio':>8}")
    first, rows = None, {}
    for name, rounds in found.items():
        medians = [statistics.median(values) for values in rounds]
        every = sorted(value for values in rounds for value in values)
        median = statistics.median(every)
        p99 = every[min(len(every) - 1, int(len(every) * 0.99))]
        first = first or median
        spread = f"{min(medians):.4g} - {max(medians):.4g}"
        print(f"  {name:34}{median:10.4g}{spread:>20}{p99:10.4g}{median / first:8.2f}")
        rows[name] = {"median": median, "low": min(medians), "high": max(medians), "p99": p99,
                      "n": len(every), "ratio": median / first}  # fmt: skip
    print(flush=True)
    return {"title": title, "unit": unit, "load": load, "rows": rows}


def finish(options: argparse.Namespace, name: str, tables: list[dict[str, Any]]) -> None:
    """Write the figures to the file the user named, beside those of other benchmarks."""
    if options.json:
        known = json.loads(options.json.read_text()) if options.json.exists() else {}
        run = {"date": date.today().isoformat(), "python": platform.python_version(),
               "cores": os.cpu_count()}  # fmt: skip
        known.update({"run": run, name: tables})
        options.json.write_text(json.dumps(known, indent=1) + "\n")
