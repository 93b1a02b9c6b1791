"""The built-in exchange as a child process of the bot.

It has a session of its own, so that Ctrl-C does not reach it before the bot has cancelled its
orders; it ends when its pipe from the bot closes, however the bot ended; and it survives the
bot's own re-exec with its account and position.
"""

import contextlib
import http.client
import json
import os
import queue
import signal
import subprocess
import sys
import tempfile
import threading
from collections.abc import MutableMapping, Sequence
from pathlib import Path
from typing import IO, Any, Self
from urllib.parse import urlsplit

from market_maker.clock import Clock
from market_maker.utils.errors import StopTrading

VARIABLE = "MARKETMAKER_SIMULATOR"  # hands the child over a re-exec
START_TIMEOUT_S = 10.0
_END_TIMEOUT_S = 3.0
_ASK_TIMEOUT_S = 2.0
_POLL_S = 0.01


class SimulatorChild:
    """A running exchange and the one account the bot has there."""

    def __init__(
        self,
        greeting: dict[str, Any],
        pid: int,
        pipe_fd: int,
        clock: Clock,
        process: subprocess.Popen[bytes] | None = None,
        *,
        is_shared: bool = False,
    ) -> None:
        account = greeting["accounts"][0]
        self.base_url = str(greeting["base_url"])
        self.ws_url = str(greeting["ws_url"])
        self.key = str(account["key"])
        self.secret = str(account["secret"])
        self.pid = pid
        self.is_shared = is_shared  # others trade here too: it ends with the last of us
        self._greeting = greeting
        self._pipe_fd = pipe_fd  # the child lives as long as this end is open
        self._process = process  # None after a re-exec: then the pid is all we have
        self._clock = clock

    @classmethod
    def start(cls, args: Sequence[str] = (), clock: Clock | None = None) -> Self:
        """Start an exchange with *args* of `marketmaker simulate`.

        Raises StopTrading, with the child's own last words, when it does not come up.
        """
        with tempfile.TemporaryFile() as errors:
            process = _spawn(args, errors)
            try:
                greeting = json.loads(_first_line(process))
                assert process.stdin is not None and process.stdout is not None
                # our own copy: the Popen object's file would close it behind our back
                pipe_fd = os.dup(process.stdin.fileno())
                process.stdin.close()
                process.stdout.close()
                return cls(greeting, process.pid, pipe_fd, clock or Clock(), process)
            except (ValueError, queue.Empty):
                process.kill()
                process.communicate()
                errors.seek(0)
                words = errors.read().decode(errors="replace").strip().splitlines()
                reason = words[-1] if words else f"no answer within {START_TIMEOUT_S:g} s"
                raise StopTrading(f"The built-in exchange did not start: {reason}") from None

    @classmethod
    def adopt(cls, environ: MutableMapping[str, str], clock: Clock | None = None) -> Self | None:
        """Take over the exchange that `export_env` left before a re-exec, if it is alive."""
        text = environ.pop(VARIABLE, None)
        if text is None:
            return None
        try:
            left = json.loads(text)
            pid, fd, is_shared = int(left["pid"]), int(left["fd"]), bool(left["is_shared"])
            child = cls(left["greeting"], pid, fd, clock or Clock(), is_shared=is_shared)
            os.set_inheritable(child._pipe_fd, False)
        except (ValueError, TypeError, LookupError, OSError):
            return None
        if child.is_alive():
            return child
        child.close()
        return None

    def export_env(self) -> None:
        """Let the process that replaces us by exec adopt this child."""
        os.set_inheritable(self._pipe_fd, True)
        os.environ[VARIABLE] = self._legacy(self.is_shared)

    def share(self) -> tuple[str, int]:
        """What a process needs in its environment, as VARIABLE, and the file descriptor it must
        inherit, to trade here beside others."""
        return self._legacy(is_shared=True), self._pipe_fd

    def _legacy(self, is_shared: bool) -> str:
        left = {"pid": self.pid, "fd": self._pipe_fd, "greeting": self._greeting}
        return json.dumps({**left, "is_shared": is_shared})

    def is_alive(self) -> bool:
        """Whether the process runs and its port answers."""
        return not self._has_ended() and self._answers()

    def close(self) -> None:
        """End the exchange and wait until it is gone; one that is shared, only let go of it."""
        with contextlib.suppress(OSError):
            os.close(self._pipe_fd)
        if self.is_shared:
            return
        for number in (None, signal.SIGTERM, getattr(signal, "SIGKILL", signal.SIGTERM)):
            if number is not None:
                with contextlib.suppress(OSError):
                    os.kill(self.pid, number)
            deadline_s = self._clock.monotonic() + _END_TIMEOUT_S
            while self._clock.monotonic() < deadline_s:
                if self._has_ended():
                    return
                self._clock.sleep(_POLL_S)

    def _has_ended(self) -> bool:
        if self._process is not None:
            return self._process.poll() is not None
        try:
            # after a re-exec it is still our child, and a dead one must be reaped
            return os.waitpid(self.pid, os.WNOHANG)[0] == self.pid
        except (ChildProcessError, AttributeError):
            pass
        try:
            os.kill(self.pid, 0)
        except OSError:
            return True
        return False

    def _answers(self) -> bool:
        address = urlsplit(self.base_url)
        connection = http.client.HTTPConnection(
            address.hostname or "", address.port, timeout=_ASK_TIMEOUT_S
        )
        try:
            connection.request("GET", address.path)
            return connection.getresponse().status == 200
        except (OSError, http.client.HTTPException):
            return False
        finally:
            connection.close()


def _spawn(args: Sequence[str], errors: IO[bytes]) -> subprocess.Popen[bytes]:
    module = "market_maker.simulator.server"
    # -P keeps the working folder off the path: the child is to be the package that we are
    root = str(Path(__file__).resolve().parents[2])
    inherited = os.environ.get("PYTHONPATH")
    path = os.pathsep.join([root, inherited] if inherited else [root])
    return subprocess.Popen(
        [sys.executable, "-P", "-m", module, "--json", "--parent-pipe", *args],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=errors,
        env={**os.environ, "PYTHONPATH": path},
        start_new_session=True,
        creationflags=getattr(subprocess, "CREATE_NEW_PROCESS_GROUP", 0),
    )


def _first_line(process: subprocess.Popen[bytes]) -> bytes:
    """The child's first line of output; raises queue.Empty when it takes too long."""
    assert process.stdout is not None
    lines: queue.Queue[bytes] = queue.Queue()
    read = process.stdout.readline
    threading.Thread(target=lambda: lines.put(read()), daemon=True).start()
    return lines.get(timeout=START_TIMEOUT_S)
