"""Workflows for the board: which there are, what their steps look like as a drawing, and starting one by its name."""

import asyncio
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

from mosaic.app.build import Application
from mosaic.app.first_run import example_folder
from mosaic.app.requests import INSTALLED_TOOLS, run_request
from mosaic.core.context import Context
from mosaic.core.errors import InvalidInput, NotFound
from mosaic.core.values import JsonObject
from mosaic.runs.schemas import Run
from mosaic.workflows import Definition, load
from mosaic.workflows.schemas import (
    AgentStep,
    AskStep,
    ForkStep,
    ForStep,
    HandoffStep,
    HttpStep,
    ListenStep,
    RunStep,
    Step,
    SwitchStep,
    ToolStep,
    TryStep,
    ValidateStep,
    VoteStep,
    WaitStep,
    WhileStep,
    WorkflowStep,
)

__all__ = ["EXAMPLES", "outline", "start_workflow", "workflow", "workflows"]

EXAMPLES = ("hello-team", "fix-failing-test")
_LOOKED_AT = 20  # runs that say what a workflow usually costs
_LONGEST = 200


@dataclass(frozen=True, slots=True)
class _Known:
    definition: Definition
    folder: Path | None = None  # of an example


async def workflows(app: Application, ctx: Context) -> JsonObject:
    """Return every workflow that ran here and every example, by name."""
    known = await _known(app, ctx)
    return {"items": [_row(known[name]) for name in sorted(known)]}


async def workflow(app: Application, ctx: Context, name: str) -> JsonObject:
    """Return one workflow with its steps, its agents, and what its latest runs took.

    Raises:
        NotFound: when no workflow has that name.
    """
    found = await _find(app, ctx, name)
    definition = found.definition
    page = await app.operations.runs(ctx, status=None, workflow=name, limit=_LOOKED_AT, cursor=None)
    previous = (await app.runs.page(ctx, workflow=name, limit=1)).items
    return {
        **_row(found),
        "steps": outline(definition.steps),
        "agents": [
            {
                "name": entry.name,
                "description": entry.spec.description,
                "model": [_short(model) for model in entry.spec.model],
                "tools": list(entry.spec.tools),
                "handoffs": list(entry.spec.handoffs),
            }
            for entry in definition.agents.values()
        ],
        "policies": dict(definition.policies),
        "limits": {
            "usd": float(definition.limits.usd.as_usd) if definition.limits.usd is not None else None,
            "tokens": definition.limits.tokens,
            "duration_s": definition.limits.duration_s,
        },
        "workspace_source": _source(found, previous),
        "runs": page["items"],
    }


async def start_workflow(
    app: Application, ctx: Context, name: str, inputs: JsonObject, options: JsonObject
) -> JsonObject:
    """Start a workflow by its name; returns the run.

    An example works on the folder that came with it, any other on the one its latest run worked on, unless `options`
    name another.

    Raises:
        NotFound: when no workflow has that name.
        InvalidInput: when the inputs do not fit, or the workflow needs a folder and nobody has named one.
    """
    found = await _find(app, ctx, name)
    if found.folder is not None:
        request = await asyncio.to_thread(run_request, found.folder, inputs=inputs, options=options)
        return await app.operations.start_run(ctx, request)
    chosen = {**await _folders(app, ctx, name), **options}
    if found.definition.workspace is not None and "workspace_source" not in chosen:
        raise InvalidInput(
            f"{name} works on a folder.",
            hint="Give `options.workspace_source`, its whole path on the server.",
        )
    bundle = json.loads(found.definition.bundle.to_bytes())
    return await app.operations.start_run(ctx, {"bundle": bundle, "inputs": inputs, "options": chosen})


def outline(steps: Sequence[Step]) -> list[JsonObject]:
    """Return steps as a tree to draw: what each is, who does it, and the blocks inside it, each with its label."""
    return [
        {
            "name": step.name,
            "path": step.path,
            "kind": _kind(step),
            "detail": _cut(_detail(step)),
            "description": _cut(step.description),
            "agents": _agents(step),
            "condition": _cut(step.condition.text) if step.condition is not None else None,
            "needs": list(step.needs),
            "goto": step.on_fail.goto if step.on_fail is not None else None,
            "parallel": isinstance(step, ForkStep),
            "blocks": [
                {"label": label, "steps": outline(inside)} for label, inside in _blocks(step) if inside
            ],
        }
        for step in steps
    ]


def _kind(step: Step) -> str:
    return type(step).__name__.removesuffix("Step").lower()


def _agents(step: Step) -> list[str]:
    match step:
        case AgentStep():
            return [step.agent]
        case HandoffStep():
            return [step.start, *(name for name in step.among if name != step.start)]
        case VoteStep():
            return list(step.agents)
    return []


def _detail(step: Step) -> str:
    match step:
        case ToolStep():
            return step.tool
        case RunStep():
            return step.shell.template.text if step.shell is not None else _words(step.argv)
        case ValidateStep():
            return ", ".join(check.name for check in step.checks)
        case AskStep() if step.question is not None:
            return step.question.text
        case HttpStep():
            return f"{step.method} {step.url.text}"
        case ListenStep():
            return step.signal.text
        case WaitStep():
            return _words((step.duration, step.until))
    return _rule(step)


def _rule(step: Step) -> str:
    """Return how a step repeats or joins what is inside it."""
    match step:
        case WhileStep():
            return f"{step.condition_.text}, at most {step.max} times"
        case ForStep():
            return f"{step.each}, {step.parallel} at a time"
        case ForkStep():
            return f"join {step.join.mode}"
    return ""


def _words(parts: Sequence[Any] | None) -> str:
    return " ".join(part.text for part in parts or () if part is not None)


def _blocks(step: Step) -> list[tuple[str, tuple[Step, ...]]]:
    inside: list[tuple[str, tuple[Step, ...]]] = []
    match step:
        case ForkStep():
            inside = [(branch.name, (branch,)) for branch in step.branches]
        case SwitchStep():
            inside = [(case.when.text, case.do) for case in step.cases]
            inside.append(("otherwise", step.default or ()))
        case TryStep():
            inside = [("", step.do), ("finally", step.finally_)]
        case WorkflowStep():
            pass
        case _:
            inside = [("", getattr(step, "do", ()))]
    inside += [(f"if it fails: {', '.join(clause.on) or 'anything'}", clause.do) for clause in step.catch]
    inside.append(("to undo it", step.compensate))
    return [(_cut(label), steps) for label, steps in inside]


def _row(found: _Known) -> JsonObject:
    definition = found.definition
    return {
        "name": definition.name,
        "version": definition.version,
        "description": definition.description or "",
        "content_hash": definition.content_hash,
        "example": found.folder is not None,
        "inputs": dict(definition.inputs_schema),
        "works_on_folder": definition.workspace is not None,
        "agent_names": list(definition.agents),
        "step_count": _count(definition.steps),
    }


def _count(steps: Sequence[Step]) -> int:
    return sum(1 + sum(_count(inside) for _, inside in _blocks(step)) for step in steps)


async def _known(app: Application, ctx: Context) -> dict[str, _Known]:
    """Return workflows by name: as they ran last, and examples whether or not they ran."""
    found = {one.name: _Known(one) for one in await app.definitions.newest(ctx)}
    for name, (folder, definition) in (await asyncio.to_thread(_examples)).items():
        ran = found.get(name)
        # One that was changed after it was copied is somebody's own; it keeps its name and its folder.
        if ran is None or ran.definition.content_hash == definition.content_hash:
            found[name] = _Known(definition, folder)
    return found


async def _find(app: Application, ctx: Context, name: str) -> _Known:
    known = await _known(app, ctx)
    if name not in known:
        names = ", ".join(sorted(known)[:20]) or "none yet"
        raise NotFound(f"There is no workflow {name[:80]!r} that ran here before.", hint=f"Known: {names}.")
    return known[name]


@lru_cache(maxsize=1)
def _examples() -> Mapping[str, tuple[Path, Definition]]:
    found: dict[str, tuple[Path, Definition]] = {}
    for name in EXAMPLES:
        folder = example_folder(name)
        if folder is not None:
            found[name] = (folder, load(folder / "workflow.yaml", tools=INSTALLED_TOOLS))
    return found


async def _folders(app: Application, ctx: Context, name: str) -> dict[str, Any]:
    latest = (await app.runs.page(ctx, workflow=name, limit=1)).items
    options = dict(latest[0].options) if latest else {}
    chosen = ("workspace_source", "workspace_sources")
    return {key: options[key] for key in chosen if options.get(key)}


def _source(found: _Known, previous: Sequence[Run]) -> str | None:
    if found.definition.workspace is None:
        return None
    if found.folder is not None:
        return str((found.folder / found.definition.workspace.source).resolve())
    source = previous[0].options.get("workspace_source") if previous else None
    return str(source) if source else None


def _short(model: str) -> str:
    """Return a model's name without the folder of a script, which says nothing to a reader."""
    kind, _, name = model.partition(":")
    return f"scripted:{Path(name).name}" if kind == "scripted" else model


def _cut(text: str) -> str:
    line = " ".join(text.split())
    return line if len(line) <= _LONGEST else f"{line[: _LONGEST - 1]}…"
