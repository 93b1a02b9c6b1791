"""How many order calls a second the built-in exchange answers over loopback.

    python benchmarks/rest_orders.py [--connections 4] [--seconds 2] [--runs 5]

Half of the calls place an order, half cancel it, each signed, over connections that stay open.
The server has a core of its own where the system can pin one, the client the other. Prints the
median of the runs and their spread and, where /proc tells it, what a call costs the server: on a
machine with other work that is the steadier figure.
"""

import argparse
import json
import os
import socket
import statistics
import subprocess
import sys
import time
from pathlib import Path
from urllib.parse import urlsplit

sys.path.insert(0, str(Path(__file__).parents[1]))

from market_maker.auth.signing import sign

ROOT = Path(__file__).parents[1]
PLACE = '{"symbol":"XBTUSD","orderQty":100,"price":%s,"ordType":"Limit"}'
PATH = "/api/v1/order"


class Client:
    """One connection that places an order, cancels it, and so on."""

    def __init__(self, address: tuple[str, int], key: str, secret: str, price: float) -> None:
        self._socket = socket.create_connection(address)
        self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._key, self._secret = key, secret
        self._body = PLACE % price
        self._order_id = ""

    def send(self) -> None:
        verb, body = "DELETE", json.dumps({"orderID": self._order_id})
        if not self._order_id:
            verb, body = "POST", self._body
        expires = int(time.time()) + 30
        signature = sign(self._secret, verb, PATH, expires, body)
        self._socket.sendall(
            f"{verb} {PATH} HTTP/1.1\r\nHost: x\r\napi-key: {self._key}\r\n"
            f"api-expires: {expires}\r\napi-signature: {signature}\r\n"
            "Accept: */*\r\nAccept-Encoding: gzip\r\nUser-Agent: bench\r\n"
            "Content-Type: application/json\r\n"
            f"Content-Length: {len(body)}\r\n\r\n{body}".encode()
        )

    def receive(self) -> None:
        data = b""
        while b"\r\n\r\n" not in data:
            data += self._more()
        head, _, body = data.partition(b"\r\n\r\n")
        length = int(head.lower().partition(b"content-length:")[2].split(b"\r\n")[0])
        while len(body) < length:
            body += self._more()
        if not head.startswith(b"HTTP/1.1 200"):
            sys.exit(f"refused: {head.decode()} {body.decode()}")
        self._order_id = "" if self._order_id else json.loads(body)["orderID"]

    def _more(self) -> bytes:
        data = self._socket.recv(65_536)
        if not data:
            sys.exit("the server closed the connection")
        return data


def measure(clients: list[Client], seconds: float) -> float:
    """Calls per second; each client has one call under way at any time."""
    calls, start_s = 0, time.perf_counter()
    while (spent_s := time.perf_counter() - start_s) < seconds:
        for client in clients:
            client.send()
        for client in clients:
            client.receive()
        calls += len(clients)
    return calls / spent_s


def processor_s(pid: int) -> float:
    """Processor time of another process so far; 0 where the system does not tell."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return 0.0
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def pin(pid: int, core: int) -> None:
    if hasattr(os, "sched_setaffinity"):
        cores = sorted(os.sched_getaffinity(0))
        os.sched_setaffinity(pid, {cores[core % len(cores)]})


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--connections", type=int, default=4)
    parser.add_argument("--seconds", type=float, default=2.0)
    parser.add_argument("--runs", type=int, default=5)
    parser.add_argument("--tree", type=Path, default=ROOT, help="the checkout that serves")
    options = parser.parse_args()
    server = subprocess.Popen(
        [sys.executable, "-m", "market_maker.simulator.server", "--json", "--parent-pipe",
         "--no-rate-limit", "--seed", "1", "--balance", "1000"],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, cwd=options.tree,
    )  # fmt: skip
    try:
        assert server.stdout is not None
        greeting = json.loads(server.stdout.readline())
        pin(server.pid, 0)
        pin(0, 1)
        where = urlsplit(greeting["base_url"])
        account = greeting["accounts"][0]
        clients = [
            Client((where.hostname or "", where.port or 0), account["key"], account["secret"],
                   30_000 + number)
            for number in range(options.connections)
        ]  # fmt: skip
        measure(clients, 0.5)
        spent_s = processor_s(server.pid)
        rates = [measure(clients, options.seconds) for _ in range(options.runs)]
        spent_s = processor_s(server.pid) - spent_s
    finally:
        server.kill()
        server.wait()
    print(
        f"{statistics.median(rates):,.0f} order calls/s over {options.connections} connections "
        f"(median of {len(rates)}; {min(rates):,.0f} to {max(rates):,.0f})"
    )
    if spent_s:
        calls = sum(rates) * options.seconds
        print(f"{spent_s / calls * 1e6:,.0f} us of the server's processor time a call")


if __name__ == "__main__":
    main()
