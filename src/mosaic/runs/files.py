"""Whether a run needs files of its own: then it gets a workspace, an empty one when its definition names none."""

from collections.abc import Iterator
from fnmatch import fnmatchcase
from functools import cache

from mosaic.agents import AgentSpec
from mosaic.workflows import Definition
from mosaic.workflows.schemas import RunStep, Step, ToolEntry, ToolStep, ValidateStep

__all__ = ["needs_files"]

_INNER = ("do", "branches", "finally_", "default", "compensate")


def needs_files(definition: Definition) -> bool:
    """Say whether anything in the definition works on files: a command, a file tool, a program that starts there."""
    if definition.workspace is not None or any(_is_on_files(entry) for entry in definition.tools.values()):
        return True
    if any(_works_on_files(entry.spec) for entry in definition.agents.values()):
        return True
    blocks = (definition.steps, *(clause.do for clause in definition.catch))
    return any(_acts_on_files(step, definition) for block in blocks for step in _all(block))


@cache
def _file_tools() -> frozenset[str]:
    from mosaic.tools.builtin import BUILTINS  # noqa: PLC0415  # they take a while to make: only for a run

    return frozenset(tool.spec.name for tool in BUILTINS)


def _all(block: tuple[Step, ...]) -> Iterator[Step]:
    for step in block:
        yield step
        for inner in _blocks(step):
            yield from _all(inner)


def _blocks(step: Step) -> Iterator[tuple[Step, ...]]:
    """Yield every block inside a step, those of its clauses too."""
    for name in _INNER:
        yield getattr(step, name, None) or ()
    for clause in (*getattr(step, "cases", ()), *step.catch):
        yield clause.do


def _acts_on_files(step: Step, definition: Definition) -> bool:
    if isinstance(step, RunStep):
        return True
    if isinstance(step, ValidateStep):
        return any(check.kind == "run" or check.file is not None for check in step.checks)
    return isinstance(step, ToolStep) and (step.tool in _file_tools() or step.tool in _narrowed(definition))


def _narrowed(definition: Definition) -> set[str]:
    """Return the names under which the definition offers a built-in tool with rules of its own."""
    known = (entry for entry in definition.tools.values() if entry.source == "known")
    return {entry.name for entry in known if (entry.tool or entry.name) in _file_tools()}


def _works_on_files(agent: AgentSpec) -> bool:
    return agent.kind == "acp" or any(
        fnmatchcase(name, wanted) for wanted in agent.tools for name in _file_tools()
    )


def _is_on_files(entry: ToolEntry) -> bool:
    """Say whether a tool is a program that starts in the workspace: a stdio server, a function of a file."""
    server = entry.server
    return entry.file is not None or (
        server is not None and not isinstance(server, str) and bool(server.command)
    )
