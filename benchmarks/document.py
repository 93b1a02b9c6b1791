"""docs/performance.md and its picture, from the figures of a run.

    python benchmarks/document.py [results.json]

What stands between "<!-- NAME -->" and "<!-- end -->" there is written anew, each by the function
here of that name; where the file has no figures for it, the text stays as it is.
"""

import json
import re
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from plot import ROOT, draw

DOCS = ROOT / "docs"
Table = dict[str, Any]
Figures = dict[str, Any]


def main() -> None:
    source = Path(sys.argv[1]) if len(sys.argv) > 1 else ROOT / "benchmarks" / "results.json"
    found: Figures = json.loads(source.read_text())
    target = DOCS / "performance.md"

    def anew(match: re.Match[str]) -> str:
        try:
            text = PARTS[match[1]](found)
        except (KeyError, IndexError):
            print(f"no figures for {match[1]!r}: left as it is")
            return match[0]
        return f"<!-- {match[1]} -->\n{text}\n<!-- end -->"

    text = re.sub(r"<!-- ([\w ]+) -->\n.*?<!-- end -->", anew, target.read_text(), flags=re.DOTALL)
    target.write_text(text)
    draw(found, DOCS / "performance.svg")
    print(f"{target} and its picture are written")


# -- the parts of the document ------------------------------------------------------------


def run(found: Figures) -> str:
    told = found["run"]
    return f"Measured on {told['date']} with Python {told['python']} on {told['cores']} cores."


def first_amend(found: Figures) -> str:
    return _by_condition(found, "to the first amend")


def all_acknowledged(found: Figures) -> str:
    return _by_condition(found, "to all acknowledged")


def orders(found: Figures) -> str:
    return _grid("measure", [*found["rest_order"], *found["batch_12"]])


def tables(found: Figures) -> str:
    return _grid("table", found["table_upkeep"])


def stream(found: Figures) -> str:
    return _grid("measure", found["receive"])


def start(found: Figures) -> str:
    rows = [
        [name, cell(row)]
        for table in found["startup"]
        for name, row in _named(table, "first quotes")
    ]
    return _lines(["start", "ms"], rows)


def memory(found: Figures) -> str:
    rows = [
        [name, f"{row['cpu']:.1%}", *(f"{row['rss_mb'][at]:g}" for at in (0, -1))]
        for name, row in found["memory"][0]["watched"].items()
    ]
    return _lines(["bot", "CPU, of a core", "MB at first", "MB at last"], rows)


def hour(found: Figures) -> str:
    row = found["memory of an hour"][0]["watched"]["ours"]
    first, middle, last = (row["rss_mb"][at] for at in (0, len(row["rss_mb"]) // 2, -1))
    return (
        f"{row['messages']:,} messages in {row['seconds']:.0f} seconds: {first:g} MB at "
        f"first, {middle:g} half way, {last:g} at the end; {row['cpu']:.0%} of a core."
    )


def one_thread(found: Figures) -> str:
    return _grid("measure", found["in_process"])


PARTS = {
    part.__name__.replace("_", " "): part
    for part in (
        *(run, first_amend, all_acknowledged, orders, tables, stream, start, memory, hour),
        one_thread,
    )
}


# -- as tables ----------------------------------------------------------------------------


def _by_condition(found: Figures, measure: str) -> str:
    chosen = [
        {**table, "title": table["title"].removesuffix(f": {measure}")}
        for table in found["tick_to_order"]
        if table["title"].endswith(measure)
    ]
    return _grid("condition", chosen)


def _grid(head: str, chosen: list[Table]) -> str:
    """One line for each table, a column for each client, and how many times faster we are."""
    units = {table["unit"] for table in chosen}
    head = f"{head}, {units.pop()}" if len(units) == 1 else head
    clients = list(dict.fromkeys(name for table in chosen for name in table["rows"]))
    ours, *others = clients
    peers = [name for name in others if name.startswith(("original", "nautilus", "ccxt"))]
    rows = []
    for table in chosen:
        by, title = table["rows"], table["title"]
        title += f", {table['unit']}" if units else ""
        figures = [cell(by.get(name)) for name in clients]
        ratios = [_times(by, ours, name, table["unit"]) for name in peers]
        rows.append([title, *figures, *ratios, f"{table['load']:.1f}"])
    faster = [f"ours to {re.split('[,_]', name)[0]}" for name in peers]
    return _lines([head, *clients, *faster, "load"], rows)


def _times(by: dict[str, Any], ours: str, peer: str, unit: str) -> str:
    """How many times faster we are: a time is the better the shorter, a rate the higher."""
    if ours not in by or peer not in by:
        return ""
    ratio = by[peer]["median"] / by[ours]["median"]
    return f"{1 / ratio if unit == '1/s' else ratio:.2g} x"


def _named(table: Table, title: str) -> Iterable[tuple[str, Any]]:
    for name, row in table["rows"].items():
        yield (f"{name}, {table['title']}" if table["title"].endswith(title) else name), row


def cell(row: dict[str, float] | None) -> str:
    """A median, and in brackets the range of the rounds' medians."""
    if row is None:
        return ""
    return f"{_short(row['median'])} ({_short(row['low'])} - {_short(row['high'])})"


def _short(value: float) -> str:
    return f"{value:,.0f}" if value >= 1000 else f"{value:.3g}"


def _lines(head: list[str], rows: list[list[str]]) -> str:
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


if __name__ == "__main__":
    main()
