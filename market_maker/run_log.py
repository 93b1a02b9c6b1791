"""Which runs there were on a journal: from when to when, and with which settings in force."""

import hashlib

from market_maker.clock import Clock
from market_maker.journal import Journal
from market_maker.utils.constants import VERSION

_KEPT_S = 90 * 86_400.0  # runs, and the settings that were in force


class RunLog:
    """Writes the start of a run down, and its end. A run without an end was killed, or goes on."""

    def __init__(self, journal: Journal, clock: Clock) -> None:
        self._journal = journal
        self._clock = clock
        self._run: int | None = None

    def begin(self, symbol: str, settings: str) -> None:
        """*settings* is JSON without any secret; the same text is kept once."""
        digest = hashlib.sha256(settings.encode()).hexdigest()[:12]
        with self._journal.transaction() as db:
            old_s = self._clock.now() - _KEPT_S
            db.execute("DELETE FROM runs WHERE started_at < ?", (old_s,))
            db.execute("DELETE FROM settings WHERE hash NOT IN (SELECT settings FROM runs)")
            db.execute("INSERT OR IGNORE INTO settings VALUES (?, ?)", (digest, settings))
            insert = "INSERT INTO runs VALUES (NULL, ?, NULL, NULL, ?, ?, ?)"
            values = (self._clock.now(), VERSION, symbol, digest)
            self._run = db.execute(insert, values).lastrowid

    def end(self, exit_code: int) -> None:
        """May be called twice; only the first end counts."""
        update = "UPDATE runs SET stopped_at = ?, exit_code = ? WHERE id = ?"
        with self._journal.transaction() as db:
            db.execute(update, (self._clock.now(), exit_code, self._run))
        self._run = None
