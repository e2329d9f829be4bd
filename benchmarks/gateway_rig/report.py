"""Figures of one run, the table they make, and the goals they are held against."""

import statistics
from dataclasses import dataclass

DIRECT, NGINX, LITELLM, PORTKEY, MOSAIC = "direct", "nginx", "LiteLLM", "Portkey", "MosAIc"
JUDGED_AT = 32
"""The number of connections at which goals are judged."""


@dataclass(frozen=True)
class Figures:
    """One contender under one load.

    Attributes:
        cpu_us: processor microseconds per request of the contender's processes; None for the model itself.
        memory_mb: resident after the load.
        errors: requests that were not answered as they should.
    """

    requests: int
    errors: int
    requests_per_s: float
    p50_ms: float
    p99_ms: float
    cpu_us: float | None
    memory_mb: float | None


Cell = tuple[str, bool, int]
"""Contender, whether it streams, connections."""


def median(rounds: list[Figures]) -> Figures:
    """The round whose processor time (or speed, for the model itself) is in the middle."""
    ordered = sorted(rounds, key=lambda one: one.cpu_us if one.cpu_us is not None else 1 / one.requests_per_s)
    return ordered[len(ordered) // 2]


def table(cells: dict[Cell, list[Figures]]) -> str:
    """One table per kind of load, ratios against MosAIc's processor time."""
    lines: list[str] = []
    for streams in sorted({streams for _, streams, _ in cells}):
        lines.append("")
        lines.append("streaming, 100 events an answer" if streams else "not streaming")
        lines.append(
            f"{'':10}{'conns':>6}{'req/s':>9}{'p50 ms':>9}{'p99 ms':>9}{'+p50':>8}{'+p99':>8}{'CPU us':>9}"
            f"{'req/s/core':>11}{'MB':>7}{'/ MosAIc':>9}{'errors':>7}"
        )
        for connections in sorted({count for _, kind, count in cells if kind == streams}):
            at = {
                name: median(got)
                for (name, kind, n), got in cells.items()
                if (kind, n) == (streams, connections)
            }
            lines += [_line(name, connections, figures, at) for name, figures in at.items()]
    return "\n".join(lines)


def _line(name: str, connections: int, figures: Figures, at: dict[str, Figures]) -> str:
    base, ours = at.get(DIRECT), at.get(MOSAIC)
    added = [
        f"{value - getattr(base, name_):.2f}" if base and base is not figures else "-"
        for name_, value in (("p50_ms", figures.p50_ms), ("p99_ms", figures.p99_ms))
    ]
    ratio = figures.cpu_us / ours.cpu_us if ours and ours.cpu_us and figures.cpu_us else None
    return (
        f"{name:10}{connections:6}{figures.requests_per_s:9.0f}{figures.p50_ms:9.2f}{figures.p99_ms:9.2f}"
        f"{added[0]:>8}{added[1]:>8}{_or_dash(figures.cpu_us, 0):>9}"
        f"{_or_dash(1e6 / figures.cpu_us if figures.cpu_us else None, 0):>11}{_or_dash(figures.memory_mb, 0):>7}"
        f"{_or_dash(ratio, 2):>9}{figures.errors:7}"
    )


def _or_dash(value: float | None, digits: int) -> str:
    return "-" if value is None else f"{value:.{digits}f}"


def missed(cells: dict[Cell, list[Figures]], absent: dict[str, str]) -> tuple[list[str], list[str]]:
    """The goals that were missed, and those that could not be judged."""
    wrong, open_ = [], []

    def cpu(name: str, streams: bool) -> float | None:
        got = cells.get((name, streams, JUDGED_AT))
        return statistics.median(one.cpu_us or 0.0 for one in got) if got else None

    goals = [(False, LITELLM, 1 / 60), (False, PORTKEY, 1 / 15), (False, NGINX, 8.0), (True, LITELLM, 1 / 60)]
    for streams, peer, share in goals:
        kind = "streaming" if streams else "not streaming"
        ours, theirs = cpu(MOSAIC, streams), cpu(peer, streams)
        if ours is None or theirs is None:
            who = MOSAIC if ours is None else peer
            open_.append(
                f"{kind}, against {peer}: no figures of {who} ({absent.get(who, 'not in this run')})"
            )
        elif ours > theirs * share:
            goal = f"{share:.0f}x" if share > 1 else f"1/{1 / share:.0f}"
            wrong.append(f"{kind}: {ours:.0f} us of CPU a request, more than {goal} of {peer}'s {theirs:.0f}")
    ours = cpu(MOSAIC, streams=False)
    if ours is not None and 1e6 / ours < 6000:
        wrong.append(f"not streaming: {1e6 / ours:.0f} requests a second and core, fewer than 6,000")
    for (name, streams, connections), got in cells.items():
        if name == MOSAIC and any(one.errors for one in got):
            wrong.append(
                f"{sum(one.errors for one in got)} errors at {connections} connections, streaming: {streams}"
            )
    if not any(name == MOSAIC for name, _, _ in cells):
        wrong.append(
            f"MosAIc answered nothing: {absent.get(MOSAIC, 'every request failed, or it was not asked')}"
        )
    return wrong, open_
