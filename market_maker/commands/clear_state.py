"""`marketmaker clear-state`: forget lots, decisions and levels, with a backup."""

import os
import sqlite3
import sys
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path

from market_maker import venue
from market_maker.clock import Clock
from market_maker.decisions import book
from market_maker.exchanges.base import Connector
from market_maker.journal import Journal
from market_maker.model.ticks import plain
from market_maker.settings import Settings

OLD_FILES = ("open_longs.py", "open_shorts.py", "last_algo_call_state.py")


def clear_state(settings: Settings, *, force: bool) -> int:
    """Forget lots, decisions and levels of the symbol, with a backup; 1 if it is refused.

    Files that Quant-trading.network's bot has left here go out of the way, unread: they are
    pickles, and reading one would run whatever it holds.
    """
    code = 0
    if venue.is_play_money(settings):
        print("The built-in exchange starts anew with each bot: no journal is kept.")
    else:
        code = _clear_journal(settings, force=force)
    if not code:
        for name in OLD_FILES:
            _set_aside(Path(name))
    return code


def _clear_journal(settings: Settings, *, force: bool) -> int:
    clock = Clock()
    connector = venue.open_connector(settings, str(settings.SYMBOL), clock)
    try:
        path = Path(venue.journal_path(settings, connector))
        if not path.exists():
            print(f"No state is kept of {connector.symbol} here.")
            return 0
        with closing(Journal(path, clock)) as journal:
            held = 0.0 if force else _position(connector)
            if held:
                print(
                    f"A position of {plain(held)} contracts of {connector.symbol} is open: close "
                    "it first, or clear with --force.",
                    file=sys.stderr,
                )
                return 1
            backup = _back_up(journal, path)
            cleared = book.forget(journal)
    finally:
        connector.stop()
    print(f"Forgotten: {', '.join(f'{count} {name}' for name, count in cleared.items())}.")
    print(f"As it was: {backup}")
    return 0


def _position(connector: Connector) -> float:
    rows = [r for r in connector.fetch_rows("position") if r.get("symbol") == connector.symbol]
    return sum(float(row.get("currentQty") or 0) for row in rows)


def _back_up(journal: Journal, path: Path) -> Path:
    """A copy of the whole journal beside it, which only the owner can read."""
    backup = _free_name(path)
    os.close(os.open(backup, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600))
    with journal.transaction() as db, closing(sqlite3.connect(backup)) as copy:
        db.backup(copy)
    return backup


def _set_aside(path: Path) -> None:
    if path.is_file() or path.is_symlink():
        backup = _free_name(path)
        path.rename(backup)
        print(f"Set aside, unread: {path} is {backup} now.")


def _free_name(path: Path) -> Path:
    """A name beside *path* for a backup of it."""
    moment = datetime.fromtimestamp(Clock().now(), UTC).strftime("%Y%m%dT%H%M%S")
    names = (path.with_name(f"{path.name}.{moment}{n or ''}.bak") for n in range(1_000))
    return next(name for name in names if not name.exists())
