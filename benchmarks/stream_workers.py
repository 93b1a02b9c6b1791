"""Readers of the stream that are timed: `python stream_workers.py NAME`, asked line by line.

Runs with the Python of the client's environment. Asked {"apply": WORKLOAD, "count": N} it folds so
many frames in and answers the microseconds of CPU for each; asked {"receive": WORKLOAD, "port": P,
"count": N} it reads them from a socket, and answers that and the messages a second.
"""

import json
import logging
import socket
import sys
import threading
import time
from pathlib import Path
from types import SimpleNamespace

from frames import INSTRUMENTS, frames, images

LAST = '{"last":true}'


class Floor:
    """orjson and a dict for each table: no locks, no checks, no errors."""

    def __init__(self):
        import orjson

        self.loads, self.keys, self.rows = orjson.loads, {}, {}

    def hear(self, text):
        message = self.loads(text)
        table, action = message["table"], message["action"]
        if action == "partial":
            self.keys[table] = keys = message["keys"]
            self.rows[table] = {tuple(row[k] for k in keys): row for row in message["data"]}
        elif action == "update":
            keys, rows = self.keys[table], self.rows[table]
            for row in message["data"]:
                rows[tuple([row[k] for k in keys])].update(row)
        else:
            self.rows[table] = message["data"]

    def receive(self, url):
        """A bare socket, and a frame cut where its length says."""
        from urllib.parse import urlsplit

        where = urlsplit(url)
        sock = socket.create_connection((where.hostname, where.port))
        sock.sendall(
            f"GET {where.path} HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\n"
            "Connection: Upgrade\r\nSec-WebSocket-Version: 13\r\n"
            "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n".encode()
        )
        data = b""
        while b"\r\n\r\n" not in data:
            data += sock.recv(65536)
        data = data.partition(b"\r\n\r\n")[2]
        while True:
            pos = 0
            while len(data) - pos > 10:
                length, start = data[pos + 1], pos + 2
                if length > 125:
                    start = pos + (4 if length == 126 else 10)
                    length = int.from_bytes(data[pos + 2 : start], "big")
                if len(data) < start + length:
                    break
                text, pos = data[start : start + length], start + length
                if text == LAST.encode():
                    return
                self.hear(text)
            data = data[pos:] + sock.recv(65536)


class Ours:
    """What our bot does with a frame: tables alone, or all that it believes with `receive`."""

    def __init__(self):
        sys.path.insert(0, str(Path(__file__).parents[1]))
        from market_maker import jsonx
        from market_maker.exchanges.tables import TableStore

        self.loads, self.apply = jsonx.loads, TableStore().apply

    def hear(self, text):
        self.apply(self.loads(text))

    def receive(self, url):
        """The receive thread, and a loop that drains when it is woken."""
        import random

        from market_maker.clock import Clock
        from market_maker.exchanges.receiver import start_receiving
        from market_maker.exchanges.state import LiveState
        from market_maker.exchanges.stream import WebSocketStream
        from market_maker.model.wire import Message

        clock, ended = Clock(), threading.Event()
        state = LiveState("XBTUSD", lambda name: name.startswith("mm_bitmex_"), clock)
        stream = WebSocketStream(url, [], clock=clock, rng=random.Random(1))

        def sink(event):
            if isinstance(event, Message) and "last" in event.data:
                ended.set()
            state.put(event)

        start_receiving(stream, sink, "receive")
        while not ended.is_set():
            clock.wait(state.wake, 1)
            state.drain()
            state.take_notices()
        state.drain()
        assert not state.overflowed
        stream.close()


class Subscriber:
    """A client that hears of each message from websocket-client."""

    def receive(self, url):
        import websocket

        def on_message(app, text=None):  # the old one hands the text over alone
            if text == LAST or app == LAST:
                self.app.close()
            else:
                self.hear(app if text is None else text)

        self.app = websocket.WebSocketApp(url, on_message=on_message)
        self.app.run_forever()


class Original(Subscriber):
    def __init__(self):
        sys.argv = sys.argv[:1]
        Path("settings.py").write_text(
            'BASE_URL = "http://127.0.0.1:1/api/v1/"\nSYMBOL = "XBTUSD"\n'
        )
        sys.path.insert(0, "")
        from market_maker.ws.ws_thread import BitMEXWebsocket

        logging.getLogger("root").setLevel(logging.INFO)
        BitMEXWebsocket.__del__ = lambda _: None
        self.hear = BitMEXWebsocket()._BitMEXWebsocket__on_message


class BitmexWs(Subscriber):
    def __init__(self):
        from bitmex_websocket import BitMEXWebsocket

        client = object.__new__(BitMEXWebsocket)
        client.data, client.keys, client.exited = {}, {}, False
        client.logger = logging.getLogger("bitmex-ws")
        heard = client._BitMEXWebsocket__on_message
        self.hear = lambda text: heard(None, text)


class CcxtPro:
    """ccxt's unified objects from the same frames; it does not follow quotes."""

    def __init__(self):
        import ccxt.pro
        import orjson

        self.exchange = ccxt.pro.bitmex()
        names = ["XBTUSD", *(f"SYM{number}" for number in range(1, INSTRUMENTS))]
        self.exchange.set_markets([self.market(name) for name in names])
        # Nobody waits for what it hears where its own client does not run.
        self.client = SimpleNamespace(resolve=lambda *_: None, reject=lambda *_: None)
        self.loads = orjson.loads

    @staticmethod
    def market(name):
        swap = {"type": "swap", "swap": True, "spot": False, "contract": True, "inverse": True}
        coins = {"base": "BTC", "quote": "USD", "settle": "BTC", "baseId": "XBT", "quoteId": "USD"}
        grid = {"contractSize": 1.0, "precision": {"price": 0.5, "amount": 1.0}, "limits": {}}
        symbol = "BTC/USD:BTC" if name == "XBTUSD" else name
        return {"id": name, "symbol": symbol, "linear": False, "info": {}, **swap, **coins, **grid}

    def hear(self, text):
        self.exchange.handle_message(self.client, self.loads(text))


class OurBook:
    """Our order book for strategies, with its levels sorted."""

    def __init__(self):
        sys.path.insert(0, str(Path(__file__).parents[1]))
        from market_maker import jsonx
        from market_maker.model.order_book import OrderBook
        from market_maker.model.ticks import PriceGrid

        self.loads, self.book = jsonx.loads, OrderBook(PriceGrid.of(0.5))

    def hear(self, text):
        message = self.loads(text)
        self.book.apply(message["action"], message["data"])


CLIENTS = {
    "ours": Ours, "ours, sorted book": OurBook, "floor": Floor, "original": Original,
    "bitmex-ws": BitmexWs, "ccxt.pro": CcxtPro,
}  # fmt: skip


def main():
    name = sys.argv[1]
    client = CLIENTS[name]
    for line in sys.stdin:
        asked = json.loads(line)
        reader, count = client(), asked["count"]
        if "apply" in asked:
            image, texts = frames(asked["apply"], count)
            if asked["apply"] != "instrument" and name == "original":
                reader.hear(frames("instrument", 0)[0])
            reader.hear(image)
            hear, began = reader.hear, time.process_time()
            for text in texts:
                hear(text)
            found = [(time.process_time() - began) / count * 1e6]
        else:
            workload = asked["receive"].replace(" ", "-")
            url = f"ws://127.0.0.1:{asked['port']}/{workload}/{count}"
            began, began_wall = time.process_time(), time.perf_counter()
            reader.receive(url)
            spent, wall = time.process_time() - began, time.perf_counter() - began_wall
            found = [spent / count * 1e6, count / wall]
        print("= " + json.dumps(found), flush=True)


def serve():
    """Send every client the images, as many frames as its address says, and a last word."""
    listener = socket.create_server(("127.0.0.1", 0))
    print("= " + json.dumps(listener.getsockname()[1]), flush=True)
    while True:
        client, _ = listener.accept()
        threading.Thread(target=send, args=(client,), daemon=True).start()


def send(client):
    import base64
    import hashlib

    head = client.recv(65536).decode()
    _, workload, count = head.split(" ")[1].split("/")
    key = head.lower().find("sec-websocket-key: ") + 19
    key = head[key:].split("\r\n")[0] + "258EAFA5-E914-47DA-95CA-C5AB0DC85B11"
    accept = base64.b64encode(hashlib.sha1(key.encode()).digest()).decode()
    image, texts = frames(workload.replace("-", " "), 1000)
    client.sendall(
        "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
        f"Sec-WebSocket-Accept: {accept}\r\n\r\n".encode()
    )
    client.sendall(b"".join(map(frame, [*images(), image])))
    blocks = [b"".join(map(frame, texts[n : n + 10])) for n in range(0, 1000, 10)]
    try:
        for n in range(int(count) // 10):
            client.sendall(blocks[n % 100])
        client.sendall(frame(LAST))
        while client.recv(65536):
            pass
    except OSError:
        pass


def frame(text):
    payload = text.encode()
    if len(payload) < 126:
        return bytes([0x81, len(payload)]) + payload
    mark, size = (126, 2) if len(payload) < 65_536 else (127, 8)
    return bytes([0x81, mark]) + len(payload).to_bytes(size, "big") + payload


if __name__ == "__main__":
    serve() if sys.argv[1] == "serve" else main()
