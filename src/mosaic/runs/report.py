"""The report of a run: what was asked, who did what, what it cost, what came out. Computed from the journal."""

from collections.abc import Sequence
from typing import Any

from mosaic.core.values import JsonObject, JsonValue, canonical_json
from mosaic.runs.schemas import Run

__all__ = ["render_report"]

_MAX_VALUE = 4000


def render_report(
    run: Run, events: Sequence[JsonObject], *, cost: JsonObject, commit: JsonObject | None, outputs: JsonValue
) -> str:
    """Return the report as Markdown.

    Args:
        run: the run.
        events: its journal, in order.
        cost: usd, calls, tokens, and whether the model was scripted.
        commit: sha, branch and counts, when the run left one.
        outputs: what the workflow returned.
    """
    parts = [
        f"# {run.workflow} {run.version}\n\nRun `{run.id}`, definition `{run.definition_hash}`.",
        _inputs(run.inputs),
        _outputs(outputs),
        _commit(commit),
        _steps(events),
        _asks(events),
        _tools(events),
        _costs(events, cost),
    ]
    return "\n\n".join(part for part in parts if part) + "\n"


def _inputs(inputs: JsonObject) -> str:
    if not inputs:
        return ""
    return "## Asked\n\n" + "\n".join(
        f"- **{_text(name)}**: {_text(value)}" for name, value in inputs.items()
    )


def _outputs(outputs: JsonValue) -> str:
    if not outputs:
        return ""
    if isinstance(outputs, dict):
        return "## Result\n\n" + "\n".join(
            f"- **{_text(name)}**: {_text(value)}" for name, value in outputs.items()
        )
    return f"## Result\n\n{_text(outputs)}"


def _commit(commit: JsonObject | None) -> str:
    if not commit:
        return ""
    files = "\n".join(f"- `{name}`" for name in commit.get("files", [])[:50])
    return (
        f"## Commit\n\n`{commit['sha']}` on `{commit['branch']}`: "
        f"+{commit.get('insertions', 0)} -{commit.get('deletions', 0)} lines\n\n{files}"
    )


def _steps(events: Sequence[JsonObject]) -> str:
    rows = []
    for event in events:
        if event["type"] in ("step.completed", "step.failed", "step.skipped"):
            data: JsonObject = event["data"]
            state = str(event["type"]).removeprefix("step.")
            seconds = (
                f"{float(data['duration_ms']) / 1000:.1f} s" if data.get("duration_ms") is not None else ""
            )
            reason = _text((data.get("error") or {}).get("message") or data.get("reason") or "")
            rows.append(f"| `{event['path']}` | {state} | {seconds} | {_cell(reason)} |")
    if not rows:
        return ""
    return "## Steps\n\n| step | state | time | why |\n|---|---|---|---|\n" + "\n".join(rows)


def _asks(events: Sequence[JsonObject]) -> str:
    titles: dict[str, str] = {}
    rows = []
    for event in events:
        data: JsonObject = event["data"]
        if event["type"] == "approval.requested":
            titles[str(data["approval"])] = str(data.get("title", ""))
        elif event["type"] in ("approval.decided", "approval.expired"):
            by = f" by {data['by']}" if data.get("by") else ""
            remark = f": {_text(data['note'])}" if data.get("note") else ""
            rows.append(
                f"- {_text(titles.get(str(data['approval']), data['approval']))}: **{data.get('status', 'expired')}**{by}{remark}"
            )
    return "## Asked of people\n\n" + "\n".join(rows) if rows else ""


def _tools(events: Sequence[JsonObject]) -> str:
    counts: dict[str, list[int]] = {}
    for event in events:
        if event["type"] in ("tool.called", "tool.failed"):
            entry = counts.setdefault(str(event["data"].get("tool")), [0, 0])
            entry[0] += 1
            entry[1] += event["type"] == "tool.failed"
    if not counts:
        return ""
    lines = [f"| `{tool}` | {calls} | {failed} |" for tool, (calls, failed) in sorted(counts.items())]
    return "## Tools\n\n| tool | calls | failed |\n|---|---|---|\n" + "\n".join(lines)


def _costs(events: Sequence[JsonObject], cost: JsonObject) -> str:
    models: dict[tuple[str, str], list[Any]] = {}
    for event in events:
        if event["type"] == "model.called":
            data = event["data"]
            entry = models.setdefault((str(data.get("agent") or "-"), str(data.get("model"))), [0, 0, 0])
            entry[0] += 1
            entry[1] += int(data.get("input_tokens") or 0)
            entry[2] += int(data.get("output_tokens") or 0)
    lines = [
        f"| {agent} | {model} | {c[0]} | {c[1]} | {c[2]} |" for (agent, model), c in sorted(models.items())
    ]
    head = f"## Cost\n\n${cost['usd']} for {cost['calls']} model calls, {cost['tokens']} tokens."
    if cost.get("scripted"):
        head += " The model was scripted: its answers came from a file and nothing was paid."
    if not lines:
        return head
    return (
        head
        + "\n\n| agent | model | calls | tokens in | tokens out |\n|---|---|---|---|---|\n"
        + "\n".join(lines)
    )


def _text(value: JsonValue) -> str:
    text = value if isinstance(value, str) else canonical_json(value).decode()
    return text if len(text) <= _MAX_VALUE else text[:_MAX_VALUE] + "…"


def _cell(text: str) -> str:
    return " ".join(text.replace("|", "\\|").split())
