"""Order clients that are timed: `python workers.py NAME PORT KEY SECRET`, asked line by line.

Runs with the Python of the client's environment: nothing but the client is imported.
Asked {"orders": 12, "times": 10} it re-prices that many orders that many times, and answers how
long each took until all were acknowledged, in seconds.
"""

import hashlib
import hmac
import json
import logging
import select
import socket
import sys
import time
from pathlib import Path

SYMBOL = "XBTUSD"


class Raw:
    """The floor: bytes over plain sockets, all at once, and nothing checked."""

    def __init__(self, port, key, secret):
        self.port, self.key = port, key
        self.mac = hmac.new(secret.encode(), digestmod=hashlib.sha256)
        self.socks = []

    def send(self, sock, verb, body):
        expires = int(time.time()) + 5
        mac = self.mac.copy()
        mac.update(f"{verb}/api/v1/order{expires}{body}".encode())
        sock.sendall(
            f"{verb} /api/v1/order HTTP/1.1\r\nHost: x\r\napi-key: {self.key}\r\n"
            f"api-expires: {expires}\r\napi-signature: {mac.hexdigest()}\r\n"
            f"Content-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n{body}".encode()
        )

    def receive(self, sock):
        data = b""
        while True:
            data += sock.recv(65536)
            head, end, body = data.partition(b"\r\n\r\n")
            if end:
                length = int(head.lower().partition(b"content-length: ")[2].split(b"\r\n")[0])
                if len(body) >= length:
                    return json.loads(body)

    def act(self, verb, rows):
        while len(self.socks) < len(rows):
            sock = socket.create_connection(("127.0.0.1", self.port))
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            self.socks.append(sock)
        socks = self.socks[: len(rows)]
        for sock, row in zip(socks, rows, strict=True):
            self.send(sock, verb, json.dumps(row))
        answers, waiting = {}, {sock.fileno(): sock for sock in socks}
        while waiting:
            for number in select.select(list(waiting), [], [])[0]:
                answers[number] = self.receive(waiting.pop(number))
        return [answers[sock.fileno()] for sock in socks]

    def place(self, rows):
        return self.act("POST", rows)

    def amend(self, rows):
        return self.act("PUT", rows)


class Ours:
    """The bot's connector, as the gateway calls it."""

    def __init__(self, port, key, secret, bulk=False):
        import random

        sys.path.insert(0, str(Path(__file__).parents[1]))
        from market_maker.clock import Clock
        from market_maker.exchanges.dial import open_connector

        url = f"http://127.0.0.1:{port}/api/v1/"
        self.connector = open_connector(
            url, SYMBOL, key, secret, clock=Clock(), rng=random.Random(1), bulk=bulk
        )
        self.connector.transport.keep_warm(1 if bulk else 12)

    def place(self, rows):
        return [result.row for result in self.connector.place(rows)]

    def amend(self, rows):
        results = self.connector.amend(rows)
        assert all(result.status.value == "ok" for result in results), results[0]
        return [result.row for result in results]


class OursBulk(Ours):
    def __init__(self, port, key, secret):
        super().__init__(port, key, secret, bulk=True)


class Original:
    """bitmex-market-maker's connector: one order after the other."""

    def __init__(self, port, key, secret):
        Path("settings.py").write_text(
            f'BASE_URL="http://127.0.0.1:{port}/api/v1/"\nAPI_KEY="{key}"\nAPI_SECRET="{secret}"\n'
        )
        sys.path.insert(0, str(Path.cwd()))
        sys.argv = ["marketmaker"]
        from market_maker import bitmex

        logging.getLogger().setLevel(logging.WARNING)
        self.client = bitmex.BitMEX(
            base_url=f"http://127.0.0.1:{port}/api/v1/", symbol=SYMBOL, apiKey=key,
            apiSecret=secret, shouldWSAuth=True,
        )  # fmt: skip

    def place(self, rows):
        return [self.client._curl_bitmex("order", postdict=row, verb="POST") for row in rows]

    def amend(self, rows):
        return [self.client._curl_bitmex("order", postdict=row, verb="PUT") for row in rows]


class Ccxt:
    """ccxt's synchronous client."""

    def __init__(self, port, key, secret):
        import ccxt

        self.client = ccxt.bitmex({"apiKey": key, "secret": secret, "enableRateLimit": False})
        self.client.urls["api"] = dict.fromkeys(("public", "private"), f"http://127.0.0.1:{port}")
        self.client.load_markets()
        [self.symbol] = [m["symbol"] for m in self.client.markets.values() if m["id"] == SYMBOL]

    def place(self, rows):
        call = self.client.create_order
        made = [
            call(self.symbol, "limit", row["side"].lower(), row["orderQty"], row["price"])
            for row in rows
        ]
        return [{"orderID": one["id"]} for one in made]

    def amend(self, rows):
        call = self.client.edit_order
        return [
            call(row["orderID"], self.symbol, "limit", row["side"].lower(), row["orderQty"],
                 row["price"])
            for row in rows
        ]  # fmt: skip


CLIENTS = {"raw": Raw, "ours": Ours, "ours-bulk": OursBulk, "original": Original, "ccxt": Ccxt}


def main():
    name, port, key, secret = sys.argv[1:5]
    client = CLIENTS[name](int(port), key, secret)
    placed, moved = [], 0
    for line in sys.stdin:
        asked = json.loads(line)
        while len(placed) < asked["orders"]:
            side = "Buy" if len(placed) % 2 else "Sell"
            price = 40_000.0 - len(placed) if side == "Buy" else 50_000.0 + len(placed)
            row = {"symbol": SYMBOL, "side": side, "orderQty": 100, "price": price}
            row["orderID"] = client.place([row])[0]["orderID"]
            placed.append(row)
        times = []
        for _ in range(asked["times"]):
            moved = 0.5 - moved
            rows = [{**row, "price": row["price"] + moved} for row in placed[: asked["orders"]]]
            if name != "ccxt":
                rows = [{k: row[k] for k in ("orderID", "orderQty", "price")} for row in rows]
            started = time.perf_counter()
            client.amend(rows)
            times.append(time.perf_counter() - started)
        print("= " + json.dumps(times), flush=True)


if __name__ == "__main__":
    main()
