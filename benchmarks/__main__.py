"""Every benchmark one after the other, their figures in one file.

    python -m benchmarks [--json FILE] [--only NAME ...] [options of every benchmark]

Peers are installed from the package index into environments of their own. Takes about 12 minutes;
`python benchmarks/document.py` makes docs/performance.md and its picture of the figures.
"""

import argparse
import subprocess
import sys
from pathlib import Path

FOLDER = Path(__file__).resolve().parent
NAMES = (
    "table_upkeep", "receive", "rest_order", "batch_12", "tick_to_order", "startup", "memory",
    "in_process",
)  # fmt: skip


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__,
                                     formatter_class=argparse.RawTextHelpFormatter)  # fmt: skip
    parser.add_argument("--json", type=Path, default=FOLDER / "results.json")
    parser.add_argument("--only", action="append", choices=NAMES)
    options, others = parser.parse_known_args()
    failed = []
    for name in options.only or NAMES:
        print(f"== {name}", flush=True)
        command = [sys.executable, str(FOLDER / f"{name}.py"), "--json", str(options.json)]
        if subprocess.run([*command, *others], check=False).returncode:
            failed.append(name)
    print(f"figures: {options.json}")
    print(f"into docs/performance.md: python benchmarks/document.py {options.json}")
    if failed:
        raise SystemExit(f"failed: {', '.join(failed)}")


if __name__ == "__main__":
    main()
