"""Figures of one run, the table they make, and the goals they are held against."""

from gateway_rig.report import Figures, median

DIRECT, FASTMCP, CONTEXTFORGE, MOSAIC = "direct", "FastMCP", "ContextForge", "MosAIc"
JUDGED_AT = 32
"""The number of connections at which throughput is judged."""
ADDED_AT = 1
"""The number of connections at which the added time is judged: nobody waits for another there."""
MOST_ADDED_MS = 5.0
FASTER = {FASTMCP: 5.0, CONTEXTFORGE: 20.0}

Cell = tuple[str, int]
"""Contender, connections."""


def table(cells: dict[Cell, list[Figures]]) -> str:
    """One table, ratios against MosAIc's calls a second and processor time."""
    lines = [
        f"{'':14}{'conns':>6}{'calls/s':>9}{'p50 ms':>9}{'p99 ms':>9}{'+p50':>8}{'CPU us':>9}{'MB':>7}"
        f"{'MosAIc is faster':>17}{'CPU / MosAIc':>13}{'errors':>7}"
    ]
    for connections in sorted({count for _, count in cells}):
        at = {name: median(got) for (name, n), got in cells.items() if n == connections}
        lines += [_line(name, connections, figures, at) for name, figures in at.items()]
    return "\n".join(lines)


def _line(name: str, connections: int, figures: Figures, at: dict[str, Figures]) -> str:
    base, ours = at.get(DIRECT), at.get(MOSAIC)
    added = f"{figures.p50_ms - base.p50_ms:.2f}" if base is not None and base is not figures else "-"
    other = ours is not None and name not in (DIRECT, MOSAIC)
    faster = f"{ours.requests_per_s / figures.requests_per_s:.1f}x" if ours is not None and other else "-"
    spent = figures.cpu_us is not None and ours is not None and ours.cpu_us
    ratio = (
        f"{figures.cpu_us / ours.cpu_us:.1f}" if spent and figures.cpu_us and ours and ours.cpu_us else "-"
    )
    cpu = f"{figures.cpu_us:.0f}" if figures.cpu_us is not None else "-"
    memory = f"{figures.memory_mb:.0f}" if figures.memory_mb is not None else "-"
    return (
        f"{name:14}{connections:6}{figures.requests_per_s:9.0f}{figures.p50_ms:9.2f}{figures.p99_ms:9.2f}{added:>8}"
        f"{cpu:>9}{memory:>7}{faster:>17}{ratio:>13}{figures.errors:7}"
    )


def missed(cells: dict[Cell, list[Figures]], absent: dict[str, str]) -> tuple[list[str], list[str]]:
    """The goals that were missed, and those that could not be judged."""
    wrong, unjudged = [], []
    ours = cells.get((MOSAIC, JUDGED_AT))
    for peer, times in FASTER.items():
        theirs = cells.get((peer, JUDGED_AT))
        if ours is None or theirs is None:
            who = MOSAIC if ours is None else peer
            unjudged.append(f"against {peer}: no figures of {who} ({absent.get(who, 'not in this run')})")
            continue
        ratio = median(ours).requests_per_s / median(theirs).requests_per_s
        if ratio < times:
            wrong.append(f"{ratio:.1f} times the calls a second of {peer}, less than {times:.0f}")
    alone, base = cells.get((MOSAIC, ADDED_AT)), cells.get((DIRECT, ADDED_AT))
    if alone is None or base is None:
        unjudged.append("the added time: it needs direct and MosAIc at one connection")
    elif (added := median(alone).p50_ms - median(base).p50_ms) >= MOST_ADDED_MS:
        wrong.append(f"{added:.1f} ms are added to a call, not less than {MOST_ADDED_MS:.0f}")
    wrong += [
        f"{sum(one.errors for one in got)} errors of {name} at {connections} connections"
        for (name, connections), got in cells.items()
        if name == MOSAIC and any(one.errors for one in got)
    ]
    if not any(name == MOSAIC for name, _ in cells):
        wrong.append(
            f"MosAIc answered nothing: {absent.get(MOSAIC, 'every call failed, or it was not asked')}"
        )
    return wrong, unjudged
