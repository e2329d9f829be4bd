"""Static paths of steps: the names of the enclosing steps, so that each step of a definition has its own."""

from dataclasses import replace
from typing import Any

from mosaic.workflows.control_steps import Case, DoStep, ForkStep, ForStep, SwitchStep, TryStep, WhileStep
from mosaic.workflows.step_base import Catch
from mosaic.workflows.steps import Step

__all__ = ["with_catch_paths", "with_paths"]


def with_paths(steps: tuple[Step, ...], prefix: str, pointers: dict[str, str]) -> tuple[Step, ...]:
    """Return the steps with their static paths; `pointers` gets where in the file each path stands.

    Until then a step's `path` is its place in the file (``do[1].build``).
    """
    return tuple(_step(step, prefix, pointers) for step in steps)


def with_catch_paths(clauses: tuple[Catch, ...], prefix: str, pointers: dict[str, str]) -> tuple[Catch, ...]:
    """Return the clauses with the paths of their steps: ``catch0/<name>`` below the step."""
    return tuple(
        replace(clause, do=with_paths(clause.do, f"{prefix}catch{index}/", pointers))
        for index, clause in enumerate(clauses)
    )


def _step(step: Step, prefix: str, pointers: dict[str, str]) -> Step:
    path = prefix + step.name
    pointers.setdefault(path, step.path)
    inside = path + "/"
    changed: dict[str, Any] = {"path": path}
    if step.catch:
        changed["catch"] = with_catch_paths(step.catch, inside, pointers)
    if step.compensate:
        changed["compensate"] = with_paths(step.compensate, inside + "compensate/", pointers)
    if isinstance(step, DoStep | ForStep | WhileStep | TryStep):
        changed["do"] = with_paths(step.do, inside, pointers)
    if isinstance(step, TryStep):
        changed["finally_"] = with_paths(step.finally_, inside + "finally/", pointers)
    if isinstance(step, ForkStep):
        changed["branches"] = with_paths(step.branches, inside, pointers)
    if isinstance(step, SwitchStep):
        changed["cases"] = tuple(
            Case(case.when, with_paths(case.do, f"{inside}case{index}/", pointers))
            for index, case in enumerate(step.cases)
        )
        if step.default:
            changed["default"] = with_paths(step.default, inside + "default/", pointers)
    return replace(step, **changed)
