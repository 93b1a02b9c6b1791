"""HTTP requests of the server, and the upgrade to WebSocket on the same port."""

from http.server import BaseHTTPRequestHandler
from typing import TYPE_CHECKING

from market_maker import jsonx
from market_maker.model.wire import Answer
from market_maker.simulator.dialects.bitmex import error_answer, route_path
from market_maker.simulator.exchange import Refused
from market_maker.simulator.hub import Call
from market_maker.simulator.session import REALTIME
from market_maker.simulator.websocket import SocketClient, accept_token

if TYPE_CHECKING:
    from market_maker.simulator.server import Server

MAX_BODY = 1_000_000  # bytes


class Handler(BaseHTTPRequestHandler):
    """One connection; HTTP/1.1 keeps it for the next request."""

    protocol_version = "HTTP/1.1"
    server_version = "marketmaker"
    sys_version = ""
    disable_nagle_algorithm = True
    wbufsize = 65_536  # head and body leave together; the base class flushes after each request
    server: "Server"

    def do_GET(self) -> None:
        call = self._call(b"")
        if route_path(call.path) == REALTIME and "websocket" in self._header("upgrade").lower():
            self._upgrade(call)
            return
        self._answer_rest()

    def do_POST(self) -> None:
        self._answer_rest()

    def do_PUT(self) -> None:
        self._answer_rest()

    def do_DELETE(self) -> None:
        self._answer_rest()

    def _answer_rest(self) -> None:
        body = self._body()
        if body is not None:
            self._reply(self.server.hub.answer(self._call(body)))

    def _body(self) -> bytes | None:
        if self._header("transfer-encoding"):
            self.close_connection = True
            self._reply(error_answer(411, "Length Required"))
            return None
        try:
            length = int(self._header("content-length") or 0)
        except ValueError:
            length = -1
        if not 0 <= length <= MAX_BODY:
            self.close_connection = True
            self._reply(error_answer(413 if length > 0 else 400, "Invalid Content-Length"))
            return None
        return self.rfile.read(length) if length else b""

    def _call(self, body: bytes) -> Call:
        # the request line, because the base class tidies self.path and the signature covers it
        target = self.requestline.split()[1]
        headers = {name.lower(): value for name, value in self.headers.items()}
        return Call(self.command, target, headers, body, str(self.client_address[0]))

    def _header(self, name: str) -> str:
        return str(self.headers.get(name) or "")

    def _reply(self, answer: Answer) -> None:
        payload = jsonx.dumps(answer.body).encode()
        self.send_response(answer.status)
        for name, value in answer.headers.items():
            self.send_header(name, value)
        self.send_header("Content-Type", "application/json; charset=utf-8")
        self.send_header("Content-Length", str(len(payload)))
        self.end_headers()
        self.wfile.write(payload)

    def _upgrade(self, call: Call) -> None:
        self.close_connection = True
        key = self._header("sec-websocket-key")
        if not key:
            self._reply(error_answer(400, "Sec-WebSocket-Key is missing"))
            return
        try:
            session, topics = self.server.hub.open_session(call)
        except Refused as refused:
            self._reply(error_answer(refused.status, refused.message, refused.name))
            return
        self.send_response(101)
        self.send_header("Upgrade", "websocket")
        self.send_header("Connection", "Upgrade")
        self.send_header("Sec-WebSocket-Accept", accept_token(key))
        self.end_headers()
        self.wfile.flush()
        SocketClient(self.server.hub, session, self.connection, self.rfile).run(topics)

    def log_message(self, format: str, *args: object) -> None:
        """Nothing is logged: a request line may carry a key."""
