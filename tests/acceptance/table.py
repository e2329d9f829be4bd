"""Prints where the requirements stand: a table by theme and, last, `done N partial N gap N`."""

import sys
from collections import Counter
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))  # so that it runs as a file, too

from tests.acceptance.registry import STATUSES, Row, load


def table(rows: list[Row]) -> str:
    """The table, ending in the counts over everything."""
    width = max(len(row.theme) for row in rows)
    lines = [f"{'theme':<{width}}" + "".join(f"{status:>9}" for status in (*STATUSES, "total"))]
    for theme in dict.fromkeys(row.theme for row in rows):
        counts = Counter(row.status for row in rows if row.theme == theme)
        numbers = [*(counts[status] for status in STATUSES), counts.total()]
        lines.append(f"{theme:<{width}}" + "".join(f"{number:>9}" for number in numbers))
    counts = Counter(row.status for row in rows)
    lines.append(
        f"{'total':<{width}}" + "".join(f"{n:>9}" for n in [*map(counts.get, STATUSES, [0] * 3), len(rows)])
    )
    lines.append(" ".join(f"{status} {counts[status]}" for status in STATUSES))
    return "\n".join(lines)


if __name__ == "__main__":
    sys.stdout.write(table(load()) + "\n")
