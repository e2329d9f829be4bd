"""What must hold after a storm, read from the database itself."""

import asyncio
import json
import subprocess
from collections import Counter
from dataclasses import dataclass, field
from typing import Any

import sqlalchemy

from mosaic.app.build import Application
from mosaic.core.context import Context

__all__ = ["Final", "broken_rules", "differences", "figures_of", "final_of"]

_STORY = (
    "run.created", "run.started", "run.workspace", "run.committed", "run.succeeded",
    "step.completed", "step.skipped", "model.called", "tool.called", "handoff.made",
    "approval.requested", "approval.decided", "workflow.storm.shipped", "artifact.kept",
)  # fmt: skip
"""Events that a run tells exactly once for each thing that happens, whatever dies meanwhile."""

# Each finds rows that must not be. What is in the first column is counted, the rest is shown.
_RULES = {
    "the sequence of a tenant has gaps": """
        SELECT h.tenant_id, h.seq, COUNT(e.seq), MIN(e.seq), MAX(e.seq) FROM journal_head h
        LEFT JOIN event e ON e.tenant_id = h.tenant_id GROUP BY h.tenant_id, h.seq
        HAVING COUNT(e.seq) <> h.seq OR MIN(e.seq) <> 1 OR MAX(e.seq) <> h.seq""",
    "an effect is recorded twice": """
        SELECT tenant_id, run_id, key, COUNT(*) FROM effect GROUP BY tenant_id, run_id, key HAVING COUNT(*) > 1""",
    "an effect of a finished run has no end": """
        SELECT e.run_id, e.key FROM effect e JOIN run r ON r.tenant_id = e.tenant_id AND r.id = e.run_id
        WHERE e.status = 'started' AND r.status = 'succeeded'""",
    "two effects were written by one event": """
        SELECT event_id, COUNT(*) FROM effect WHERE event_id IS NOT NULL GROUP BY event_id HAVING COUNT(*) > 1""",
    "a step is completed twice": """
        SELECT run_id, path, COUNT(*) FROM event WHERE type = 'step.completed'
        GROUP BY run_id, path HAVING COUNT(*) > 1""",
    "an approval is decided twice or never": """
        SELECT a.id, a.status, COUNT(e.seq) FROM approval a
        LEFT JOIN event e ON e.run_id = a.run_id AND e.path = a.path AND e.type = 'approval.decided'
        GROUP BY a.id, a.status HAVING a.status <> 'approved' OR COUNT(e.seq) <> 1""",
    "a model call is in the ledger twice": """
        SELECT run_id, call_key, COUNT(*) FROM model_call GROUP BY run_id, call_key HAVING COUNT(*) > 1""",
    "a ledger row has no effect": """
        SELECT m.run_id, m.call_key FROM model_call m
        LEFT JOIN effect e ON e.tenant_id = m.tenant_id AND e.run_id = m.run_id AND e.key = m.call_key
        WHERE e.status IS NULL OR e.status <> 'done'""",
    "a model's answer is not in the ledger": """
        SELECT v.run_id, v.path, v.said, m.entered FROM
        (SELECT run_id, path, COUNT(*) AS said FROM event WHERE type = 'model.called' GROUP BY run_id, path) v
        LEFT JOIN (SELECT run_id, path, COUNT(*) AS entered FROM model_call GROUP BY run_id, path) m
        ON m.run_id = v.run_id AND m.path = v.path WHERE m.entered IS NULL OR m.entered <> v.said""",
    "a budget is not the sum of its ledger": """
        SELECT b.run_id, b.spent_nanos, b.spent_tokens, SUM(m.nanos), SUM(m.input_tokens + m.output_tokens)
        FROM budget b LEFT JOIN model_call m ON m.tenant_id = b.tenant_id AND m.root_run_id = b.run_id
        GROUP BY b.run_id, b.spent_nanos, b.spent_tokens
        HAVING b.spent_nanos <> COALESCE(SUM(m.nanos), 0)
        OR b.spent_tokens <> COALESCE(SUM(m.input_tokens + m.output_tokens), 0)""",
    "money is still set aside": """
        SELECT run_id, reserved_nanos, reserved_tokens FROM budget
        WHERE reserved_nanos <> 0 OR reserved_tokens <> 0""",
    "an execution has not succeeded": """
        SELECT id, status, crashes, error_code FROM execution WHERE status <> 'succeeded'""",
    "a run has not succeeded": "SELECT id, status, error FROM run WHERE status <> 'succeeded'",
}
_FIGURES = {
    "effects recorded": "SELECT COUNT(*) FROM effect",
    "events journaled": "SELECT COUNT(*) FROM event",
    "executions": "SELECT COUNT(*) FROM execution",
    "executions that went on in another process": "SELECT COUNT(*) FROM execution WHERE attempt > 1",
    "recoveries": "SELECT COALESCE(SUM(attempt - 1), 0) FROM execution WHERE attempt > 1",
    "most recoveries of one execution": "SELECT COALESCE(MAX(attempt - 1), 0) FROM execution",
    "most crashes in a row without progress": "SELECT COALESCE(MAX(crashes), 0) FROM execution",
    "unsafe calls cut short, outcome unknown": """
        SELECT COUNT(*) FROM effect WHERE status = 'failed' AND CAST(error AS TEXT) LIKE '%outcome_unknown%'
        AND (key LIKE '%#request%' OR key LIKE '%#command%')""",
    "model calls in the ledger": "SELECT COUNT(*) FROM model_call",
    "approvals decided": "SELECT COUNT(*) FROM approval WHERE status = 'approved'",
}


@dataclass
class Final:
    """What a run came to.

    Attributes:
        outputs: what it returned.
        tree: git's name for the files on its branch.
        story: what happened, by place and event.
        heard: what it told the world outside.
    """

    status: str
    outputs: Any
    tree: str | None
    story: Counter[tuple[str, str]] = field(default_factory=Counter)
    heard: frozenset[str] = frozenset()


async def final_of(application: Application, ctx: Context, run_id: str, heard: dict[str, set[str]]) -> Final:
    """Read how a run and its child runs ended."""
    run = await application.runs.get(ctx, run_id)
    workspace: dict[str, Any] = run.workspace or {}
    tree = await asyncio.to_thread(_tree, workspace) if workspace.get("commit") else None
    final = Final(run.status.value, run.outputs, tree)
    children = sqlalchemy.text("SELECT id FROM run WHERE parent_run_id = :run")
    async with application.database.transaction(read_only=True) as tx:
        family = [run_id, *(str(row["id"]) for row in await tx.rows(children.bindparams(run=run_id)))]
    told: set[str] = set()
    for number, member in enumerate(family):
        told |= heard.get(member, set())
        after = 0
        while events := await application.journal.read(
            ctx, after=after, run_id=member, types=_STORY, limit=500
        ):
            after = events[-1].seq
            for event in events:
                final.story[f"{'child ' if number else ''}{event.path or ''}", event.type] += 1
    final.heard = frozenset(told)
    return final


def _tree(workspace: dict[str, Any]) -> str:
    """Return the tree of the run's branch, which must stand at the run's commit."""
    repository, branch, commit = workspace["repository"], workspace["branch"], workspace["commit"]
    command = ["git", "-C", str(repository), "rev-parse", f"refs/heads/{branch}", f"{commit}^{{tree}}"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        return f"git: {done.stderr.strip()}"
    tip, tree = done.stdout.split()
    return tree if tip == commit else f"the branch stands at {tip} and not at {commit}"


def differences(wanted: Final, found: Final) -> list[str]:
    """Return in what a run differs from an undisturbed one."""
    told = []
    for name in ("status", "outputs", "tree", "heard"):
        one, other = getattr(wanted, name), getattr(found, name)
        if one != other:
            told.append(f"{name}: {_shown(other)} and not {_shown(one)}")
    for (path, event), count in ((found.story - wanted.story) + (wanted.story - found.story)).items():
        key = (path, event)
        if count:
            told.append(
                f"{event} at {path or 'the run'}: {found.story[key]} times and not {wanted.story[key]}"
            )
    return told


def _shown(value: Any) -> str:
    return json.dumps(value, default=sorted, sort_keys=True)[:600]


async def broken_rules(application: Application) -> list[str]:
    """Return every rule of the database that does not hold."""
    broken = []
    async with application.database.transaction(read_only=True) as tx:
        for rule, query in _RULES.items():
            rows = await tx.rows(sqlalchemy.text(query))
            if rows:
                examples = "; ".join(str(tuple(row.values()))[:300] for row in rows[:5])
                broken.append(f"{rule}: {len(rows)} times, such as {examples}")
    return broken


async def figures_of(application: Application) -> dict[str, int]:
    """Return what the database says about the storm."""
    async with application.database.transaction(read_only=True) as tx:
        return {name: int(await tx.scalar(sqlalchemy.text(query)) or 0) for name, query in _FIGURES.items()}
