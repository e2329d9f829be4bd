"""From a file, or a stored bundle, to a checked `Definition`: every problem is found in one go."""

from collections.abc import Collection, Sequence
from dataclasses import replace
from difflib import get_close_matches
from pathlib import Path
from typing import Any

from mosaic.core.errors import InvalidDefinition, Problem
from mosaic.core.redaction import looks_secret
from mosaic.workflows.bundle import Bundle
from mosaic.workflows.checks.names import BUILTIN_TOOLS, ReferenceChecks
from mosaic.workflows.checks.scope import ScopeChecks, inner_blocks
from mosaic.workflows.checks.secrets import find_secrets, masked
from mosaic.workflows.expressions import Value
from mosaic.workflows.language.document import MAX_BYTES, read_document
from mosaic.workflows.language.files import BundleFiles, DiskFiles, FileRefused, Files, Recording
from mosaic.workflows.language.nodes import MapNode
from mosaic.workflows.language.reading import Reading, join_pointer, kind_of
from mosaic.workflows.language.step_paths import with_catch_paths, with_paths
from mosaic.workflows.language.workflow import WORKFLOW
from mosaic.workflows.schemas import Definition, Limits, WorkflowStep
from mosaic.workflows.steps import Step

__all__ = ["check", "find_workflow", "load", "load_bundle"]

_NAMES = ("workflow.yaml", "workflow.yml")
_MAX_CHILDREN_DEPTH = 10
_SCRIPTED = "scripted:"


def find_workflow(target: Path | str) -> Path:
    """Return the workflow file that `target` means: itself, or the ``workflow.yaml`` in the directory `target`."""
    path = Path(target)
    if not path.is_dir():
        return path
    return next((path / name for name in _NAMES if (path / name).is_file()), path / _NAMES[0])


def load(path: Path | str, *, tools: Collection[str] = ()) -> Definition:
    """Return the definition in a file, with every file it refers to in its bundle.

    Args:
        path: the file, or a directory that holds a ``workflow.yaml``.
        tools: names of tools that the installation offers besides the built-in ones.

    Raises:
        InvalidDefinition: with every problem of the file and those it refers to, each at its place.
    """
    path = find_workflow(path)
    definition, problems = _load_path(path, tools)
    if definition is None or problems:
        raise _invalid(str(path), problems)
    return definition


def check(path: Path | str, *, tools: Collection[str] = ()) -> list[Problem]:
    """Return every problem of a file and those it refers to; empty when it is right. Arguments as for `load`."""
    return _load_path(find_workflow(path), tools)[1]


def load_bundle(bundle: Bundle, *, tools: Collection[str] | None = None) -> Definition:
    """Return the definition that a bundle holds; nothing is read from the disk.

    Args:
        bundle: what `Definition.bundle` was.
        tools: as for `load`; None = names of tools are not checked, as they were when the bundle was made.

    Raises:
        InvalidDefinition: if it holds none that is right.
    """
    loading = _Loading(tools)
    definition = loading.definition(BundleFiles(bundle.files), bundle.entry, ())
    if definition is None or loading.problems:
        raise _invalid(bundle.entry, loading.finished())
    return definition


def _load_path(path: Path, tools: Collection[str]) -> tuple[Definition | None, list[Problem]]:
    shown = str(path)
    if not path.is_file():
        return None, [_not_there(path)]
    loading = _Loading(tools)
    try:
        definition = loading.definition(DiskFiles(path.parent), path.name, ())
    except FileRefused as error:
        return None, [Problem(error.message, file=shown, line=1, column=1, suggestion=error.suggestion)]
    folder = "" if path.parent == Path() else f"{path.parent}/"
    problems = [replace(problem, file=folder + problem.file) for problem in loading.finished()]
    return definition, problems


def _not_there(path: Path) -> Problem:
    if path.exists():
        return Problem("This is not a file.", file=str(path), line=1, column=1)
    folder = path.parent
    names = sorted(entry.name for entry in folder.iterdir()) if folder.is_dir() else []
    near = get_close_matches(path.name, names, n=1)
    hint = f"did you mean `{folder / near[0]}`?" if near else None
    return Problem("There is no such file.", file=str(path), line=1, column=1, suggestion=hint)


def _invalid(shown: str, problems: list[Problem]) -> InvalidDefinition:
    first = str(problems[0]) if problems else "it cannot be read"
    more = f" (and {len(problems) - 1} more)" if len(problems) > 1 else ""
    return InvalidDefinition(
        f"{shown} is not a valid workflow: {first}{more}",
        problems=problems,
        hint=f"run `mosaic validate {shown}` to see every problem with its line",
    )


class _Loading:
    """One load: the problems and secrets of all its files, and the children read so far."""

    def __init__(self, tools: Collection[str] | None) -> None:
        self.tools = tools
        self.problems: list[Problem] = []
        self.secrets: list[str] = []
        self.children: dict[str, Definition | None] = {}

    def finished(self) -> list[Problem]:
        """Return the problems in the order of the files, secrets masked, each once."""
        entries = dict.fromkeys(masked(self.problems, self.secrets))
        return sorted(entries, key=lambda problem: (problem.file, problem.line, problem.column))

    def definition(self, files: Files, path: str, parents: tuple[str, ...]) -> Definition | None:
        """Return the definition at `path`; None when it is too broken to make one.

        Raises:
            FileRefused: if there is no such file.
        """
        content = files.read(path)
        document = read_document(content, path)
        self.problems.extend(document.problems)
        found, values = find_secrets(document)
        self.problems.extend(found)
        self.secrets.extend(values)
        if document.root is None:
            if not document.problems:
                self.problems.append(Problem("The file is empty.", file=path, line=1, column=1))
            return None
        reading = Reading(files, document, self.problems)
        if not isinstance(document.root, MapNode):
            message = f"A workflow is a mapping that starts with `mosaic: v1`, not {kind_of(document.root)}."
            reading.complain(document.root, "", message)
            return None
        return self.checked(WORKFLOW.read(document.root, reading, ""), reading, (*parents, path))

    def checked(self, values: dict[str, Any], reading: Reading, trail: tuple[str, ...]) -> Definition:
        pointers: dict[str, str] = {}
        steps = with_paths(values.get("do", ()), "", pointers)
        catch = with_catch_paths(values.get("catch", ()), "", pointers)
        self.workspace(values, reading)
        self.scripts(values, reading)
        children = self.child_definitions((steps, *(clause.do for clause in catch)), reading, pointers, trail)
        definition = _definition(values, reading, steps, catch, children)
        self.secret_files(reading)
        known = _every_tool(definition) if self.tools is None else {*BUILTIN_TOOLS, *self.tools}
        ReferenceChecks(reading, definition, pointers, known).run()
        ScopeChecks(reading, definition, pointers).run()
        return definition

    def workspace(self, values: dict[str, Any], reading: Reading) -> None:
        source = values["workspace"].source if values.get("workspace") else ""
        if not source:
            return
        pointer = "workspace.source"
        path = reading.path_of(source, reading.node_at(pointer), pointer)
        if path is not None:
            try:
                reading.files.check_directory(path)
            except FileRefused as error:
                reading.complain_at(pointer, error.message, error.suggestion)

    def scripts(self, values: dict[str, Any], reading: Reading) -> None:
        """Take the scripts of ``scripted:<file>`` models into the bundle: a run must not depend on a folder."""
        for name, entry in values.get("agents", {}).items():
            kinds = {f".{kind}": models for kind, models in entry.spec.models_by_task.items()}
            default = ".default" if kinds else ""
            for kind, models in {default: entry.spec.model, **kinds}.items():
                self._scripts_among(models, f"agents.{name}.model{kind}", reading)

    def _scripts_among(self, models: Sequence[str], pointer: str, reading: Reading) -> None:
        for index, model in enumerate(models):
            path = model.removeprefix(_SCRIPTED)
            if not model.startswith(_SCRIPTED) or path.startswith("/") or path == "default":
                continue
            try:
                reading.files.read(path)
            except FileRefused as error:
                reading.complain_at(f"{pointer}[{index}]", error.message, error.suggestion)

    def secret_files(self, reading: Reading) -> None:
        """Refuse a referenced file that holds a secret; texts were checked when they were read."""
        for path, content in reading.files.seen.items():
            text = content.decode("utf-8", "replace")
            if path != reading.file and looks_secret(text):
                line = next(
                    number
                    for number, row in enumerate(text.split("\n"), 1)
                    if looks_secret(row) or number > MAX_BYTES
                )
                message = "This file holds what looks like a secret; a definition never holds one."
                self.problems.append(Problem(message, file=path, line=line, column=1))

    def child_definitions(
        self,
        blocks: tuple[tuple[Step, ...], ...],
        reading: Reading,
        pointers: dict[str, str],
        trail: tuple[str, ...],
    ) -> dict[str, Definition]:
        found: dict[str, Definition] = {}
        for step in _all_steps(blocks):
            if isinstance(step, WorkflowStep) and step.workflow:
                pointer = join_pointer(pointers.get(step.path, ""), "workflow")
                child = self.child(step.workflow, reading, pointer, trail)
                if child is not None:
                    found[step.workflow] = child
        return found

    def child(self, path: str, reading: Reading, pointer: str, trail: tuple[str, ...]) -> Definition | None:
        if path in trail:
            chain = " -> ".join((*trail[trail.index(path) :], path))
            reading.complain_at(pointer, f"These workflows start each other without end: {chain}.")
            return None
        if len(trail) > _MAX_CHILDREN_DEPTH:
            reading.complain_at(pointer, f"Workflows nest deeper than {_MAX_CHILDREN_DEPTH}.")
            return None
        if path not in self.children:
            files = Recording(reading.files)
            try:
                self.children[path] = self.definition(files, path, trail)
            except FileRefused as error:
                reading.complain_at(pointer, error.message, error.suggestion)
                self.children[path] = None
        child = self.children[path]
        if child is not None:
            for name in child.bundle.files:
                reading.files.read(name)
        return child


def _definition(
    values: dict[str, Any], reading: Reading, steps: Any, catch: Any, children: dict[str, Definition]
) -> Definition:
    metadata = values.get("metadata", {})
    bundle = Bundle(entry=reading.file, files=dict(sorted(reading.files.seen.items())))
    outputs = values.get("outputs")
    return Definition(
        name=metadata.get("name", ""),
        version=metadata.get("version", "0"),
        description=metadata.get("description", ""),
        labels=metadata.get("labels", {}),
        content_hash=bundle.content_hash,
        bundle=bundle,
        inputs_schema=values.get("inputs", _NO_INPUTS),
        limits=values.get("limits", Limits()),
        policies=values.get("policies", {}),
        agents=values.get("agents", {}),
        tools=values.get("tools", {}),
        steps=steps,
        catch=catch,
        outputs=Value({name: value.tree for name, value in outputs.items()}) if outputs is not None else None,
        outputs_schema=values.get("outputs_schema"),
        workspace=values.get("workspace"),
        children=children,
    )


_NO_INPUTS = {"type": "object", "properties": {}, "additionalProperties": False}


def _all_steps(blocks: tuple[tuple[Step, ...], ...]) -> list[Step]:
    found: list[Step] = []
    stack = [step for block in blocks for step in block]
    while stack:
        step = stack.pop()
        found.append(step)
        for block in inner_blocks(step):
            stack.extend(block)
    return found


def _every_tool(definition: Definition) -> set[str]:
    """Return every tool name that a stored definition uses: what exists now is the run's affair."""
    names = {
        name for entry in definition.agents.values() for name in (*entry.spec.tools, *entry.spec.policies)
    }
    names |= {*definition.policies, *(entry.tool or name for name, entry in definition.tools.items())}
    for step in _all_steps((definition.steps, *(clause.do for clause in definition.catch))):
        names.update(getattr(step, "tools", None) or ())
        names.update(getattr(step, "policies", None) or ())
        names.add(getattr(step, "tool", ""))
    return names
