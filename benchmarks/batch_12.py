"""Twelve orders re-priced until all are acknowledged, without bulk calls and with one.

python benchmarks/batch_12.py [--rounds 5] [--json FILE]
"""

from common import arguments, finish, report
from rest_order import measure


def main() -> None:
    options = arguments(__doc__, rounds=5)
    tables = []
    for service_ms, times in ((0, 20), (5, 10)):
        found = measure(options, 12, times, service_ms, 1e3, more=("ours-bulk",))
        title = f"12 orders until all acknowledged, service time {service_ms} ms"
        tables.append(report(title, "ms", found))
    finish(options, "batch_12", tables)


if __name__ == "__main__":
    main()
