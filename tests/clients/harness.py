"""What the client scripts share: an environment, the exchange, and the exchange's own word.

A script runs twice. The first run, with the project's Python, makes the client's environment,
starts `marketmaker simulate --json` and begins the second run with the environment's Python;
that one drives the client and compares what it sees with the exchange's REST answers.
The second run needs nothing but the client and the standard library.
"""

import argparse
import hashlib
import hmac
import json
import os
import subprocess
import sys
import tempfile
import time
import venv
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NamedTuple
from urllib.error import HTTPError
from urllib.parse import urlencode, urlsplit
from urllib.request import Request, urlopen

ROOT = Path(__file__).resolve().parents[2]
INSIDE = "MARKETMAKER_CLIENT_RUN"  # environment variable: what the second run is told
ENVIRONMENTS = "MARKETMAKER_CLIENT_ENVIRONMENTS"  # environment variable: where they are kept
LIFETIME_S = 60  # how long a signature of ours is good for


class Failed(Exception):
    """A fact does not hold; its text says which."""


class Account(NamedTuple):
    """One account of the exchange, over plain signed REST."""

    base_url: str
    key: str
    secret: str

    def get(self, path: str, **query: Any) -> Any:
        return self._call("GET", path, query, None)

    def post(self, path: str, **body: Any) -> Any:
        return self._call("POST", path, {}, body)

    def put(self, path: str, **body: Any) -> Any:
        return self._call("PUT", path, {}, body)

    def delete(self, path: str, **body: Any) -> Any:
        return self._call("DELETE", path, {}, body)

    def open_orders(self) -> list[dict[str, Any]]:
        return self.get("/order", filter=json.dumps({"open": True}), count=500)

    def book(self, symbol: str, depth: int = 0) -> dict[tuple[str, float], int]:
        rows = self.get("/orderBook/L2", symbol=symbol, depth=depth)
        return {(row["side"], row["price"]): row["size"] for row in rows}

    def _call(self, verb: str, path: str, query: dict[str, Any], body: Any) -> Any:
        url = self.base_url + path + (f"?{urlencode(query)}" if query else "")
        data = json.dumps(body) if body else ""
        target, expires = url[url.index("/api/v1") :], str(int(time.time()) + LIFETIME_S)
        signed = f"{verb}{target}{expires}{data}".encode()
        headers = {
            "content-type": "application/json",
            "api-key": self.key,
            "api-expires": expires,
            "api-signature": hmac.new(self.secret.encode(), signed, hashlib.sha256).hexdigest(),
        }
        return fetch(Request(url, data.encode() or None, headers, method=verb))


def fetch(request: Request) -> Any:
    """The answer to *request*, decoded. Raises Failed where it is refused."""
    try:
        with urlopen(request, timeout=10) as answer:
            return json.load(answer)
    except HTTPError as error:
        text = error.read().decode(errors="replace")
        verb, path = request.get_method(), urlsplit(request.full_url).path
        raise Failed(f"{verb} {path} answers {error.code}: {text}") from None


class Exchange(NamedTuple):
    """A running exchange: *account* is the client's, *other* trades against it and watches."""

    account: Any  # an Account, or another venue's
    other: Any
    ws_url: str
    options: argparse.Namespace

    @property
    def base_url(self) -> str:
        """REST with its path, without a slash at the end."""
        return self.account.base_url

    @property
    def origin(self) -> str:
        """Scheme, host and port alone."""
        parts = urlsplit(self.base_url)
        return f"{parts.scheme}://{parts.netloc}"


def check(fact: str, holds: Any, seen: Any = None) -> None:
    """Print *fact* with what was *seen*; raises Failed where it does not hold."""
    line = fact if seen is None else f"{fact}: {seen}"
    if not holds:
        raise Failed(line)
    print(f"ok    {line}", flush=True)


def agree(fact: str, client: Any, exchange: Any) -> None:
    """Check that the client and the exchange say the same of *fact*."""
    check(fact, client == exchange, client if client == exchange else f"{client} != {exchange}")


def until(condition: Callable[[], Any], seconds: float = 10, pause: float = 0.1) -> Any:
    """The first true answer of *condition* within *seconds*, or its last one."""
    end = time.monotonic() + seconds
    found = condition()
    while not found and time.monotonic() < end:
        time.sleep(pause)
        found = condition()
    return found


# -- the two runs


def main(
    client: Callable[[Exchange], None],
    requirements: Sequence[str],
    profile: str = "last",
    minutes: float = 0,
    dialect: str = "bitmex",
    account: Callable[..., Any] = Account,
) -> None:
    """Run a client script: checks that hold end it with 0, anything else with 1.

    *account* makes, of address and key, what asks the exchange in the words of *dialect*.
    """
    options = _parser(requirements, minutes).parse_args()
    if INSIDE in os.environ:
        sys.exit(_inside(client, account, json.loads(os.environ[INSIDE]), options))
    python = environment(Path(options.environments), requirements)
    with start_exchange(profile, dialect) as exchange:
        told = exchange.stdout.readline()
        command = [str(python), str(Path(sys.argv[0]).resolve()), *sys.argv[1:]]
        with tempfile.TemporaryDirectory(prefix="client-") as folder:
            ended = subprocess.run(command, env={**os.environ, INSIDE: told}, cwd=folder)
        exchange.stdin.close()
    sys.exit(1 if ended.returncode else 0)


def _parser(requirements: Sequence[str], minutes: float) -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        description=f"Run {requirements[0]}, installed from the package index and unmodified, "
        "against the built-in exchange."
    )
    place = os.environ.get(ENVIRONMENTS) or str(Path(tempfile.gettempdir()) / "client-environments")
    parser.add_argument(
        "--environments",
        default=place,
        metavar="FOLDER",
        help=f"where environments are made and kept (default {place})",
    )
    if minutes:
        parser.add_argument("--minutes", type=float, default=minutes, help="how long it trades")
    return parser


def environment(folder: Path, requirements: Sequence[str]) -> Path:
    """The Python of an environment that holds *requirements*; made at the first call."""
    place = folder / "-".join(requirements).replace("==", "-")
    python = place / "bin" / "python"
    complete = place / "complete"
    if not complete.exists():
        print(f"Installing {' '.join(requirements)} into {place}", flush=True)
        venv.create(place, with_pip=True, clear=True)
        subprocess.run([str(python), "-m", "pip", "install", "-q", *requirements], check=True)
        complete.touch()
    return python


def start_exchange(profile: str, dialect: str) -> "subprocess.Popen[str]":
    """The exchange as a process that ends with this one."""
    command = [sys.executable, "-m", "market_maker", "simulate", "--json", "--parent-pipe"]
    command += ["--profile", profile, "--dialect", dialect, "--accounts", "2", "--seed", "1"]
    pipe = subprocess.PIPE
    return subprocess.Popen(command, stdin=pipe, stdout=pipe, text=True, cwd=ROOT)


def _inside(
    client: Callable[[Exchange], None],
    account: Callable[..., Any],
    told: dict[str, Any],
    options: argparse.Namespace,
) -> int:
    accounts = [account(told["base_url"].rstrip("/"), **row) for row in told["accounts"]]
    exchange = Exchange(*accounts, told["ws_url"], options)
    try:
        client(exchange)
        left = exchange.account.open_orders()
        check("no order is left at the end", not left, len(left))
    except Failed as failed:
        print(f"FAIL  {failed}", flush=True)
        return 1
    return 0
