"""Prints what a first visit to the board loads, packed, and fails above a limit.

    first_load.py BUILD LIMIT_BYTES

Counted: the page, what the entry and Home import, their styles, and the two fonts for Latin text.
"""

import gzip
import json
import sys
from pathlib import Path

_FONTS = ("inter-latin-wght-normal", "jetbrains-mono-latin-wght-normal")


def main(folder: Path, limit: int) -> int:
    """Print and compare; return the exit status."""
    manifest = json.loads((folder / ".vite" / "manifest.json").read_text())
    wanted: set[str] = {"index.html", "theme.js"}
    seen: set[str] = set()

    def take(name: str) -> None:
        if name in seen:
            return
        seen.add(name)
        chunk = manifest[name]
        wanted.update((chunk["file"], *chunk.get("css", ())))
        for other in chunk.get("imports", ()):
            take(other)

    take("index.html")
    take("src/features/home/home.tsx")
    total = 0
    for name in sorted(wanted):
        size = len(gzip.compress((folder / name).read_bytes(), 9))
        total += size
        sys.stdout.write(f"  {size:>8,}  {name}\n")
    for path in (folder / "assets").glob("*.woff2"):
        if path.name.startswith(_FONTS):
            total += path.stat().st_size
            sys.stdout.write(f"  {path.stat().st_size:>8,}  assets/{path.name}\n")
    sys.stdout.write(f"web: a first visit loads {total:,} bytes; {limit:,} are allowed\n")
    return 0 if total <= limit else 1


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1]), int(sys.argv[2])))
