"""`marketmaker state`: what the journals know, on pages of 80 columns or as JSON."""

import json
import sys
from collections.abc import Iterator
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

from market_maker import venue
from market_maker._settings_record import in_force
from market_maker.commands.journal_view import is_of, read_journal
from market_maker.model.ticks import plain
from market_maker.settings import DEFAULTS, Settings
from market_maker.utils.errors import StopTrading

_WIDTH = 80
_MOST = 40  # levels that are shown
_UNIX_S = (1e9, 1e10)  # a number between is a time: of 2001 to 2286


def state(settings: Settings, symbol: str | None, *, as_json: bool) -> int:
    """Show every journal of *symbol*, or all; asks nobody. 1 if one cannot be read."""
    folder = venue.state_dir(settings)
    views, faults = [], []
    for path in sorted(folder.glob("*.sqlite3")):
        try:
            views.append(read_journal(path))
        except StopTrading as reason:
            faults.append(str(reason))
    views = [view for view in views if symbol is None or is_of(view, symbol)]
    if as_json:
        print(json.dumps(views, indent=1, ensure_ascii=False))
    elif views:
        print("\n\n".join("\n".join(_page(view)) for view in views))
    elif not faults:
        what = f"of {symbol} " if symbol else ""
        print(f"No state {what}in {folder}. Play money and dry runs keep none.")
    for fault in faults:
        print(fault, file=sys.stderr)
    return 1 if faults else 0


# -- the page -------------------------------------------------------------------------------


def _page(view: dict[str, Any]) -> Iterator[str]:
    for line in _lines(view):
        yield line if len(line) <= _WIDTH else line[: _WIDTH - 1] + "…"


def _lines(view: dict[str, Any]) -> Iterator[str]:
    settings = view["settings"] or {}
    name = view["symbol"] or Path(view["journal"]).stem
    venue_name = f" on {settings['EXCHANGE']}" if settings else ""
    at_work = "a bot is running" if view["running"] else "no bot is running"
    yield f"{name}{venue_name}: {at_work}"
    yield from _wrapped(view["journal"], "  ")
    if view["notes"].get("stop"):
        yield f"  stopped: {view['notes']['stop']}"
    yield from _run_lines(view)
    yield from _setting_lines(settings)
    yield from _request_lines(view["requests"])
    yield from _fill_lines(view["fills"])
    yield from _decision_lines(view)
    yield from _level_lines(view["levels"])
    yield from _note_lines(view["notes"])


def _run_lines(view: dict[str, Any]) -> Iterator[str]:
    if not view["runs"]:
        return
    yield ""
    yield f"{'Runs, UTC':<22}{'ended':<22}{'exit':>4}  {'settings':<14}program"
    for number, run in enumerate(view["runs"]):
        goes_on = not number and view["running"]
        ended = "goes on" if goes_on else "was killed"
        if run["stopped_at"] is not None:
            ended = _time(run["stopped_at"])
        code = "" if run["exit_code"] is None else run["exit_code"]
        yield (
            f"{_time(run['started_at']):<22}{ended:<22}{code:>4}  "
            f"{run['settings']:<14}{run['program']}"
        )


def _setting_lines(settings: dict[str, Any]) -> Iterator[str]:
    usual = json.loads(in_force(DEFAULTS))
    changed = {name: value for name, value in settings.items() if value != usual.get(name)}
    if changed:
        yield ""
        yield "Settings of the latest run that are not the defaults"
        yield from (f"  {name} = {value!r}" for name, value in changed.items())


def _request_lines(requests: dict[str, Any]) -> Iterator[str]:
    count = sum(requests["by_state"].values())
    unsettled = requests["unsettled"]
    yield ""
    yield f"Requests: {count} kept, {len(unsettled)} of unknown outcome"
    for row in unsettled[:_MOST]:
        yield f"  {_time(row['sent_at'])} {row['action']} {row['cl_ord_id'] or row['order_id']}"


def _fill_lines(fills: dict[str, Any]) -> Iterator[str]:
    sums = [
        f"{row['number']} {side} of {plain(row['qty'])}" for side, row in fills["by_side"].items()
    ]
    yield f"Fills: {', '.join(sums) or 'none'}"
    for row in fills["last"]:
        what = f"{row['side']:>4} {plain(row['last_qty'])} @ {plain(row['last_px'])}"
        yield f"  {_time(row['booked_at'])} {what}"


def _decision_lines(view: dict[str, Any]) -> Iterator[str]:
    if view["decisions"] or view["lots"]:
        signs = {"Buy": 1, "Sell": -1}
        held = sum(float(lot["qty"]) * signs[lot["side"]] for lot in view["lots"])
        share = sum(float(lot["share"]) * signs[lot["side"]] for lot in view["lots"])
        what = f"{plain(float(held))} contracts, {share * 100:.2f} % of the trading balance"
        yield ""
        yield f"Lots: {len(view['lots'])}, {what}"
    for lot in view["lots"]:
        price = plain(round(float(lot["price"]), 8))
        yield (
            f"  {_time(lot['opened_at'])} {lot['side']:>4} {lot['qty']:>12} @ {price:<14} "
            f"{Decimal(lot['share']) * 100:.2f} %"
        )
    if view["pairs"]:
        yield "Latest pairs: closed, contracts, bought and sold at, per cent won"
    for pair in view["pairs"]:
        bought, sold = Decimal(pair["long_price"]), Decimal(pair["short_price"])
        prices = " ".join(plain(round(float(price), 8)) for price in (bought, sold))
        won = (sold / bought - 1) * 100
        yield f"  {_time(pair['closed_at'])} {pair['qty']:>12} {prices} {won:+.4f}"
    if view["decisions"]:
        yield "Latest decisions"
    for row in view["decisions"]:
        qty = f"{row['side']} {row['qty']}" if row["side"] else ""
        yield f"  {_time(row['decided_at'])} {row['word']:<13}{row['outcome']:<11}{qty}"


def _level_lines(levels: list[dict[str, Any]]) -> Iterator[str]:
    if not levels:
        return
    yield ""
    yield f"Levels: {len(levels)}"
    for row in levels[:_MOST]:
        filled = Decimal(row["filled"]) + Decimal(row["cum"])
        place = "in the book" if row["cl_ord_id"] else "waits"
        yield f"  {row['side']:>4} {row['size']:>10} @ {row['price']:<12} filled {filled}, {place}"
    if len(levels) > _MOST:
        yield f"  and {len(levels) - _MOST} more (--json shows all)"


def _note_lines(notes: dict[str, str]) -> Iterator[str]:
    """Up to where the exchange has been asked, and what else is kept between runs."""
    shown = {name: value for name, value in notes.items() if value and name != "stop"}
    if shown:
        yield ""
        yield "Cursors and notes"
    for name, value in shown.items():
        items = _items(value)
        if items:
            yield f"  {name}:"
            for item, part in items.items():
                yield from _wrapped(f"{item} = {part}", "    ")
        else:
            yield from _wrapped(f"{name} = {_moment(value)}", "  ")


def _items(value: str) -> dict[str, Any]:
    """What a note of several items says, or nothing where it is none."""
    try:
        found = json.loads(value)
    except ValueError:
        return {}
    return found if isinstance(found, dict) else {}


def _moment(value: str) -> str:
    """A note as it is, or the UTC where it is a time in Unix seconds."""
    try:
        unix_s = float(value)
    except ValueError:
        return value
    return f"{_time(unix_s)} UTC" if _UNIX_S[0] <= unix_s < _UNIX_S[1] else value


def _wrapped(text: str, indent: str) -> Iterator[str]:
    width = _WIDTH - len(indent)
    yield from (indent + text[start : start + width] for start in range(0, len(text), width))


def _time(unix_s: float) -> str:
    return datetime.fromtimestamp(unix_s, UTC).strftime("%Y-%m-%d %H:%M:%S")
