"""The file of `--state`: one exchange at a time, never half written, readable by its owner only."""

import os
import tempfile
from pathlib import Path

from market_maker.lockfile import FileLock, LockHeld
from market_maker.simulator.events import Event, OrderEvent, TransactEvent
from market_maker.simulator.exchange import Engine
from market_maker.simulator.state import FOREIGN, BadState, State, Writer
from market_maker.utils.errors import SettingsError


class StateFile:
    """Reads a state at the start and keeps it up to date. Raises SettingsError, in one line."""

    def __init__(self, path: str) -> None:
        self._path = Path(path).expanduser().absolute()
        self._writer = Writer()
        self._is_stale, self._actions = True, 0
        try:
            self._lock = FileLock(self._path.with_name(f"{self._path.name}.lock"))
        except LockHeld as held:
            raise self._fault(f"process {held.pid} uses it") from None
        except OSError as error:
            raise self._fault(error.strerror or str(error)) from None
        self.state = self._read()

    def _read(self) -> State | None:
        """What was saved, or None for a new file."""
        try:
            return State(self._path.read_text(encoding="utf-8"))
        except FileNotFoundError:
            return None
        except OSError as error:
            raise self._fault(error.strerror or str(error)) from None
        except (BadState, UnicodeDecodeError) as error:
            raise self._fault(str(error) if isinstance(error, BadState) else FOREIGN) from None

    def restore(self, engine: Engine) -> None:
        """Put the saved state, if there is one, into a fresh engine; then follow its changes."""
        if self.state is not None:
            try:
                self.state.restore(engine)
            except BadState as error:
                raise self._fault(str(error)) from None
        engine.listeners.append(self._on_event)

    def _on_event(self, event: Event) -> None:
        if isinstance(event, OrderEvent | TransactEvent):
            self._is_stale = True

    def render(self, engine: Engine, actions: int = 0) -> str | None:
        """What is to be written, under the engine's lock; None if nothing changed.

        *actions* counts requests: some change what no event tells, such as a timer.
        """
        if not self._is_stale and actions == self._actions:
            return None
        self._is_stale, self._actions = False, actions
        return self._writer.render(engine)

    def write(self, text: str) -> None:
        """Replace the file in one step: after a crash it is the old one or the new one."""
        folder = self._path.parent
        try:
            number, name = tempfile.mkstemp(prefix=f".{self._path.name}.", dir=folder)  # mode 0600
            try:
                with os.fdopen(number, "w", encoding="utf-8") as file:
                    file.write(text)
                    file.flush()
                    os.fsync(file.fileno())
                Path(name).replace(self._path)
            except OSError:
                Path(name).unlink(missing_ok=True)
                raise
        except OSError as error:
            raise self._fault(error.strerror or str(error)) from None

    def close(self) -> None:
        self._lock.release()

    def _fault(self, reason: str) -> SettingsError:
        return SettingsError([f"Cannot use --state {self._path}: {reason}."])
