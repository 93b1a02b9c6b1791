"""The exchange that clients are timed against: one thread, epoll, no limits, nothing clever.

    python benchmarks/server.py

Prints its port. It speaks as much of BitMEX's protocol as the bots need: rows and images that do
not change come from the built-in exchange's tables, orders rest and never trade. Whatever is
asked of an order is answered after a service time that can be set, each request after its own.
It alone knows when an order request arrived, and when the frame left that caused it.

    POST /bench {"service_ms": 5, "quotes_per_s": 500, "ticking": true, "bulk": true, "move": 1.003}
    GET  /bench -> {"moved_ns", "arrived_ns": [...], "answered_ns": [...], "open": 12}

The market moves a moment after that was asked for, when whoever asked is asleep again: on a machine
of few cores it would stand in the way of the client that is timed.
"""

import base64
import hashlib
import heapq
import json
import select
import socket
import sys
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, urlsplit

sys.path.insert(0, str(Path(__file__).parents[1]))

from market_maker.clock import ManualClock
from market_maker.jsonx import dumps, loads
from market_maker.model.wire import Request
from market_maker.simulator.dialects.bitmex import Dialect
from market_maker.simulator.exchange import Engine
from market_maker.simulator.market.synthetic import SyntheticMarket

KEY, SECRET, SYMBOL = "benchmark-key", "benchmark-secret", "XBTUSD"
_GUID = "258EAFA5-E914-47DA-95CA-C5AB0DC85B11"
_ORDERS = {"/order", "/order/bulk", "/order/all"}
_MOVE_AFTER_S = 0.03
Row = dict[str, Any]


def now_text() -> str:
    return datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%S.%f")[:-3] + "Z"


class Book:
    """Prices, resting orders, and the rows that never change."""

    def __init__(self) -> None:
        clock = ManualClock(time.time())
        engine = Engine(clock, market=SyntheticMarket(seed=1), seed=1)
        clock.attach(engine)
        self.account = engine.open_account(10**12)
        clock.sleep(2.0)
        self.dialect = Dialect(engine, "last")
        quote, grid = engine.quote(SYMBOL), engine.grid(SYMBOL)
        self.mid = grid.price(quote.bid_ticks or 0)
        self.is_up = False  # by a tick
        self.orders: dict[str, Row] = {}
        fields = {"symbol": SYMBOL, "side": "Buy", "orderQty": 100, "price": 100.0}
        placed = self.dialect.handle(Request("POST", "/order", None, fields), self.account)
        self.template: Row = placed.body
        engine.cancel(self.account.number, [placed.body["orderID"]])

    def prices(self) -> tuple[float, float]:
        bid = round(self.mid * 2) / 2 + 0.5 * self.is_up
        return bid, bid + 0.5

    def frames(self, size: int) -> list[Row]:
        """Instrument and quote as the feed tells of the touch."""
        bid, ask = self.prices()
        stamp = now_text()
        instrument = {
            "symbol": SYMBOL, "bidPrice": bid, "midPrice": (bid + ask) / 2, "askPrice": ask,
            "lastPrice": bid, "markPrice": bid, "timestamp": stamp,
        }  # fmt: skip
        quote = {
            "timestamp": stamp, "symbol": SYMBOL, "bidSize": size, "bidPrice": bid,
            "askPrice": ask, "askSize": 35_211,
        }  # fmt: skip
        return [
            {"table": "instrument", "action": "update", "data": [instrument]},
            {"table": "quote", "action": "insert", "data": [quote]},
        ]

    def image(self, table: str) -> Row:
        private = {"order", "execution", "position", "margin", "wallet"}
        number = self.account.number if table in private else None
        symbol = None if table in {"position", "margin", "wallet"} else SYMBOL
        image = self.dialect.partial(table, symbol, number)
        bid, ask = self.prices()
        if table == "order":
            image = {**image, "data": list(self.orders.values())}
        elif table == "instrument":
            moved = {"bidPrice": bid, "askPrice": ask, "lastPrice": bid, "markPrice": bid}
            image = {**image, "data": [{**row, **moved} for row in image["data"]]}
        elif table == "quote":
            image = {**image, "data": self.frames(1000)[1]["data"]}
        return image

    def act(self, verb: str, fields: Row) -> Row:
        """Place or amend one order; its row."""
        if verb == "POST":
            number = len(self.orders) + 1
            qty = abs(fields.get("orderQty") or 0)
            side = fields.get("side") or ("Sell" if (fields.get("orderQty") or 0) < 0 else "Buy")
            order_id = f"{time.monotonic_ns():016x}-0000-4000-8000-{number:012d}"
            order_id = f"{order_id[:8]}-{order_id[8:12]}-4{order_id[13:16]}-8000-{number:012d}"
            row = {**self.template, "orderID": order_id, "side": side, "orderQty": qty,
                   "leavesQty": qty, "cumQty": 0, "ordStatus": "New"}  # fmt: skip
            row.update((k, v) for k, v in fields.items() if k not in ("orderQty", "side"))
        else:
            known = self.orders.get(str(fields.get("orderID"))) or next(
                (r for r in self.orders.values() if r.get("clOrdID") == fields.get("origClOrdID")),
                None,
            )
            if known is None:
                return {"error": {"message": "Invalid orderID", "name": "HTTPError"}}
            row = dict(known)
            row.update((k, fields[k]) for k in ("price", "orderQty") if fields.get(k))
            row["leavesQty"] = row["orderQty"]
        row["timestamp"] = row["transactTime"] = now_text()
        self.orders[row["orderID"]] = row
        return row

    def cancel(self, fields: Row | list[str]) -> list[Row]:
        wanted = fields if isinstance(fields, list) else fields.get("orderID")
        if isinstance(fields, dict) and fields.get("clOrdID"):
            names = fields["clOrdID"]
            names = names if isinstance(names, list) else [names]
            wanted = [i for i, row in self.orders.items() if row.get("clOrdID") in names]
        ids = (
            list(self.orders) if wanted is None else [wanted] if isinstance(wanted, str) else wanted
        )
        gone = [self.orders.pop(i) for i in ids if i in self.orders]
        done = {"ordStatus": "Canceled", "leavesQty": 0, "timestamp": now_text()}
        return [{**row, **done} for row in gone]


class Peer:
    """One connection: HTTP until it asks for the stream."""

    def __init__(self, sock: socket.socket) -> None:
        self.sock, self.data, self.is_stream = sock, b"", False
        self.tables: set[str] = set()

    def send(self, data: bytes) -> None:
        view = memoryview(data)
        while view:
            try:
                view = view[self.sock.send(view) :]
            except BlockingIOError:  # a slow reader: this server has nothing better to do
                select.select([], [self.sock], [], 1.0)
            except OSError:
                return


def numbers(form: Row) -> Row:
    """A form's fields, with numbers where order requests have them."""
    read = {"price": float, "orderQty": lambda text: int(float(text))}
    return {name: read.get(name, str)(value) for name, value in form.items()}


def text_frame(payload: bytes) -> bytes:
    if len(payload) < 126:
        return bytes([0x81, len(payload)]) + payload
    if len(payload) < 65_536:
        return b"\x81\x7e" + len(payload).to_bytes(2, "big") + payload
    return b"\x81\x7f" + len(payload).to_bytes(8, "big") + payload


def answer(status: int, body: Any) -> bytes:
    text = dumps(body).encode()
    head = f"HTTP/1.1 {status} OK\r\nContent-Type: application/json\r\n"
    return f"{head}Content-Length: {len(text)}\r\n\r\n".encode() + text


class Server:
    def __init__(self, port: int = 0) -> None:
        self.book = Book()
        self.listener = socket.create_server(("127.0.0.1", port), backlog=128)
        self.port = self.listener.getsockname()[1]
        self.poll = select.epoll()
        self.poll.register(self.listener, select.EPOLLIN)
        self.peers: dict[int, Peer] = {}
        self.due: list[tuple[float, int, Peer, bytes, Row]] = []
        self.service_s = self.quotes_per_s = 0.0
        self.bulk = self.is_ticking = False
        self.count = self.moved_ns = 0
        self.arrived_ns: list[int] = []
        self.answered_ns: list[int] = []
        self.next_quote_s = 0.0
        self.move_s, self.ratio = 0.0, 1.0  # when the market moves next, and how far

    def serve(self) -> None:
        while True:
            for number, _ in self.poll.poll(self.wait_s()):
                if number == self.listener.fileno():
                    self.accept()
                else:
                    self.read(self.peers[number])
            now_s = time.monotonic()
            while self.due and self.due[0][0] <= now_s:
                _, _, peer, data, news = heapq.heappop(self.due)
                self.finish(peer, data, news)
            if self.move_s and now_s >= self.move_s:
                self.move()
            elif self.quotes_per_s and now_s >= self.next_quote_s:
                self.next_quote_s = max(self.next_quote_s + 1 / self.quotes_per_s, now_s - 0.1)
                self.count += 1
                self.book.is_up = self.is_ticking and not self.book.is_up
                self.tell(self.book.frames(1000 + self.count % 1000)[1:])

    def wait_s(self) -> float:
        ends = [self.due[0][0]] if self.due else []
        if self.quotes_per_s:
            ends.append(self.next_quote_s)
        if self.move_s:
            ends.append(self.move_s)
        # epoll counts in whole milliseconds: the last one is spun away
        wait_s = min(ends, default=time.monotonic() + 60) - time.monotonic()
        return max(0.0, wait_s - 0.0012) if wait_s > 0.0012 else 0.0

    def accept(self) -> None:
        sock, _ = self.listener.accept()
        sock.setblocking(False)
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.peers[sock.fileno()] = Peer(sock)
        self.poll.register(sock, select.EPOLLIN)

    def read(self, peer: Peer) -> None:
        try:
            data = peer.sock.recv(65_536)
        except BlockingIOError:
            return
        except OSError:
            data = b""
        arrived_ns = time.monotonic_ns()
        if not data:
            self.poll.unregister(peer.sock)
            del self.peers[peer.sock.fileno()]
            peer.sock.close()
            return
        peer.data += data
        while (self.read_frame if peer.is_stream else self.read_request)(peer, arrived_ns):
            pass

    # -- REST ---------------------------------------------------------------------------------

    def read_request(self, peer: Peer, arrived_ns: int) -> bool:
        head, end, rest = peer.data.partition(b"\r\n\r\n")
        if not end:
            return False
        lines = head.decode("latin-1").split("\r\n")
        verb, target, _ = lines[0].split(" ", 2)
        headers = {k.lower(): v.strip() for k, _, v in (s.partition(":") for s in lines[1:])}
        length = int(headers.get("content-length", 0))
        if len(rest) < length:
            return False
        peer.data, body = rest[length:], rest[:length]
        if headers.get("upgrade", "").lower() == "websocket":
            self.upgrade(peer, target, headers["sec-websocket-key"])
            return True
        parts = urlsplit(target)
        fields: Any = dict(parse_qsl(parts.query))
        if body:
            is_form = "form" in headers.get("content-type", "")
            sent = numbers(dict(parse_qsl(body.decode()))) if is_form else loads(body)
            fields = {**fields, **sent} if isinstance(sent, dict) else sent
        path = parts.path.removeprefix("/api/v1").rstrip("/")
        if path == "/bench":
            peer.send(answer(200, self.control(verb, fields)))
        elif path in _ORDERS and verb != "GET":
            self.arrived_ns.append(arrived_ns)
            self.order(peer, verb, path, fields)
        elif path == "/order":
            peer.send(answer(200, list(self.book.orders.values())))
        else:
            query = {k: loads(v) if v[:1] in "{[" else v for k, v in fields.items()
                     if isinstance(v, str)} if verb == "GET" else None  # fmt: skip
            request = Request(verb, path, query, fields if verb != "GET" else None)
            found = self.book.dialect.handle(request, self.book.account)
            peer.send(answer(found.status, found.body))
        return True

    def order(self, peer: Peer, verb: str, path: str, fields: Any) -> None:
        if path == "/order/bulk" and not self.bulk:
            self.arrived_ns.pop()
            peer.send(answer(404, {"error": {"message": "Not Found", "name": "HTTPError"}}))
            return
        if verb == "DELETE":
            rows = self.book.cancel(fields)
            body: Any = rows
        else:
            many = fields.get("orders")
            many = loads(many) if isinstance(many, str) else many
            rows = [self.book.act(verb, one) for one in (many or [fields])]
            body = rows if many else rows[0]
        data = answer(200 if "error" not in body else 400, body)
        done = [row for row in rows if "error" not in row]
        action = "insert" if verb == "POST" else "update"
        news = {"table": "order", "action": action, "data": done}
        if self.service_s:
            self.count += 1
            item = (time.monotonic() + self.service_s, self.count, peer, data, news)
            heapq.heappush(self.due, item)
        else:
            self.finish(peer, data, news)

    def finish(self, peer: Peer, data: bytes, news: Row) -> None:
        peer.send(data)
        self.answered_ns.append(time.monotonic_ns())
        if news["data"]:
            self.tell([news])

    def control(self, verb: str, fields: Row) -> Row:
        if verb == "POST":
            self.service_s = fields.get("service_ms", self.service_s * 1000) / 1000
            self.quotes_per_s = fields.get("quotes_per_s", self.quotes_per_s)
            self.is_ticking = fields.get("ticking", self.is_ticking)
            self.bulk = fields.get("bulk", self.bulk)
            self.next_quote_s = time.monotonic()
            if "move" in fields:
                self.arrived_ns, self.answered_ns = [], []
                self.move_s, self.ratio = time.monotonic() + _MOVE_AFTER_S, fields["move"]
        return {
            "moved_ns": self.moved_ns, "arrived_ns": self.arrived_ns,
            "answered_ns": self.answered_ns, "open": len(self.book.orders), "told": self.count,
        }  # fmt: skip

    # -- the stream ---------------------------------------------------------------------------

    def move(self) -> None:
        self.move_s = 0.0
        self.book.mid *= self.ratio
        self.book.is_up = False
        self.count += 1
        self.moved_ns = self.tell(self.book.frames(1000 + self.count % 1000))

    def tell(self, messages: list[Row]) -> int:
        """Send to whom it concerns; the moment before the first byte left."""
        frames = {m["table"]: text_frame(dumps(m).encode()) for m in messages}
        sent_ns = time.monotonic_ns()
        for peer in list(self.peers.values()):
            data = b"".join(frame for table, frame in frames.items() if table in peer.tables)
            if data:
                peer.send(data)
        return sent_ns

    def upgrade(self, peer: Peer, target: str, key: str) -> None:
        accept = base64.b64encode(hashlib.sha1((key + _GUID).encode()).digest()).decode()
        peer.send(
            "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
            f"Sec-WebSocket-Accept: {accept}\r\n\r\n".encode()
        )
        peer.is_stream = True
        self.say(peer, {"info": "Welcome", "version": "2.0.0", "timestamp": now_text(),
                        "docs": "", "heartbeatEnabled": False, "limit": {}})  # fmt: skip
        asked = dict(parse_qsl(urlsplit(target).query)).get("subscribe", "")
        self.subscribe(peer, [topic for topic in asked.split(",") if topic])

    def read_frame(self, peer: Peer, _: int) -> bool:
        data = peer.data
        if len(data) < 6:
            return False
        length, start = data[1] & 127, 2
        if length == 126:
            length, start = int.from_bytes(data[2:4], "big"), 4
        elif length == 127:
            length, start = int.from_bytes(data[2:10], "big"), 10
        end = start + 4 + length
        if len(data) < end:
            return False
        mask = data[start : start + 4] * (length // 4 + 1)
        payload = bytes(a ^ b for a, b in zip(data[start + 4 : end], mask, strict=False))
        peer.data, opcode = data[end:], data[0] & 15
        if opcode == 9:
            peer.send(bytes([0x8A, length]) + payload)
        elif opcode == 8:
            peer.send(bytes([0x88, length]) + payload)
        elif payload == b"ping":
            peer.send(text_frame(b"pong"))
        elif opcode == 1:
            self.hear(peer, loads(payload))
        return True

    def hear(self, peer: Peer, message: Row) -> None:
        arguments = message.get("args") or []
        arguments = arguments if isinstance(arguments, list) else [arguments]
        if message.get("op") == "subscribe":
            self.subscribe(peer, arguments)
        elif message.get("op") in ("authKeyExpires", "authKey"):
            self.say(peer, {"success": True, "request": message})
        elif message.get("op") == "unsubscribe":
            for topic in arguments:
                self.say(peer, {"success": True, "unsubscribe": topic, "request": message})

    def subscribe(self, peer: Peer, topics: list[str]) -> None:
        for topic in topics:
            table = topic.partition(":")[0]
            asked = {"op": "subscribe", "args": [topic]}
            self.say(peer, {"success": True, "subscribe": topic, "request": asked})
            if table not in peer.tables:
                self.say(peer, self.book.image(table))
                peer.tables.add(table)

    def say(self, peer: Peer, message: Row) -> None:
        peer.send(text_frame(dumps(message).encode()))


if __name__ == "__main__":
    server = Server()
    print(json.dumps({"port": server.port, "key": KEY, "secret": SECRET}), flush=True)
    server.serve()
