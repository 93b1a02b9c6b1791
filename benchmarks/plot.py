"""The figures of a run as a picture.

Each bar is a median, its whisker the range of the rounds' medians; the scale is logarithmic. The
SVG is written as text, so that nothing needs to be installed.
"""

import math
from html import escape
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
CHOSEN = (
    ("tick_to_order", "warm, service time 0 ms: to the first amend"),
    ("tick_to_order", "warm, service time 5 ms: to all acknowledged"),
    ("batch_12", "12 orders until all acknowledged, service time 5 ms"),
    ("rest_order", "One order over REST, service time 0"),
    ("receive", "quote: receive, parse and apply"),
    ("table_upkeep", "quote"),
    ("table_upkeep", "instrument"),
    ("table_upkeep", "book of 10000"),
    ("startup", "start"),
)
COLOURS = {"ours": "#2b6cb0", "floor": "#a0aec0", "raw": "#a0aec0", "python -c pass": "#a0aec0"}
WIDTH, LABELS, ROW, FONT = 860, 250, 20, 12


def draw(found: dict[str, Any], target: Path) -> int:
    """Draw the chosen tables into *target*; how many there were."""
    tables = [
        table
        for benchmark, title in CHOSEN
        for table in found.get(benchmark, [])
        if table["title"] == title
    ]
    target.write_text(picture(tables))
    return len(tables)


def picture(tables: list[dict[str, Any]]) -> str:
    parts, y = [], 8
    for table in tables:
        y += 22
        parts.append(_text(10, y, f"{table['title']} [{table['unit']}]", weight="bold"))
        low, high = _bounds(table["rows"].values())
        for name, row in table["rows"].items():
            y += ROW
            parts += _bar(name, row, y, low, high)
        y += 10
    head = f'<svg xmlns="http://www.w3.org/2000/svg" width="{WIDTH}" height="{y + 10}">'
    ground = '<rect width="100%" height="100%" fill="white"/>'
    return "\n".join([head, ground, *parts, "</svg>", ""])


def _bounds(rows: Any) -> tuple[float, float]:
    """Whole powers of ten around all the medians."""
    low, high = min(r["low"] for r in rows), max(r["high"] for r in rows)
    return math.floor(math.log10(low)), math.ceil(math.log10(high) + 1e-9)


def _bar(name: str, row: dict[str, float], y: int, low: float, high: float) -> list[str]:
    def at(value: float) -> float:
        space = WIDTH - LABELS - 150
        return round(LABELS + space * (math.log10(value) - low) / (high - low), 1)

    colour = next((c for word, c in COLOURS.items() if name.startswith(word)), "#dd9787")
    end, middle = at(row["median"]), y - 4
    whisker = f"M{at(row['low'])} {middle}H{at(row['high'])}"
    return [
        _text(LABELS - 8, y, name, anchor="end"),
        f'<rect x="{LABELS}" y="{y - 12}" width="{max(1.0, end - LABELS)}" height="15" '
        f'fill="{colour}"/>',
        f'<path d="{whisker}" stroke="#222" stroke-width="1.5"/>',
        _text(max(end, at(row["high"])) + 6, y, f"{row['median']:.4g}  (x {row['ratio']:.2f})"),
    ]


def _text(x: float, y: int, text: str, anchor: str = "start", weight: str = "normal") -> str:
    style = f'font-family="sans-serif" font-size="{FONT}" font-weight="{weight}"'
    return f'<text x="{x}" y="{y}" text-anchor="{anchor}" {style}>{escape(text)}</text>'
