"""Lots that were opened at another venue, in another journal of the same folder.

Each venue has a journal of its own: whoever changes EXCHANGE begins with an empty one.
"""

import sqlite3
from pathlib import Path
from typing import Any

from market_maker import journal_file, jsonx
from market_maker.decisions.tables import SETUP, VENUE
from market_maker.lockfile import is_at_work
from market_maker.utils.errors import StopTrading


def venue_with_lots(journal: str, settings: Any, venue: str) -> str:
    """The other venue where the same symbol and prefix have lots and no bot is at work; or ""."""
    ours = Path(journal)
    for path in sorted(ours.parent.glob("*.sqlite3")) if ours.is_file() else ():
        if path.samefile(ours) or is_at_work(Path(f"{path}.lock")):
            continue
        try:
            with journal_file.reading(path) as db:
                found = _venue_of_lots(db, settings)
        except (StopTrading, sqlite3.Error):
            continue  # whoever trades by it is told
        if found not in ("", venue):
            return found
    return ""


def _venue_of_lots(db: sqlite3.Connection, settings: Any) -> str:
    """The venue of a journal with lots of the symbol and prefix of *settings*; or ""."""
    has_table = "SELECT 1 FROM sqlite_master WHERE name = 'lots'"
    if not db.execute(has_table).fetchone() or not db.execute("SELECT 1 FROM lots").fetchone():
        return ""
    latest = (
        "SELECT value FROM settings JOIN runs ON settings.hash = runs.settings"
        " ORDER BY runs.id DESC LIMIT 1"
    )
    run = db.execute(latest).fetchone()
    setup = db.execute("SELECT value FROM cursors WHERE name = ?", (SETUP,)).fetchone()
    was = jsonx.loads(run[0]) if run else {}
    is_same = all(was.get(name) == settings[name] for name in ("SYMBOL", "ORDERID_PREFIX"))
    return str(jsonx.loads(setup[0]).get(VENUE, "")) if is_same and setup else ""
