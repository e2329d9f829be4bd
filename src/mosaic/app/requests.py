"""The request that starts a run, made from a workflow file on this machine."""

import json
from collections.abc import Callable
from pathlib import Path

from mosaic.core.values import JsonObject
from mosaic.workflows import Definition, find_workflow, load

__all__ = ["INSTALLED_TOOLS", "run_request"]

INSTALLED_TOOLS = ("http.request",)
"""Tools of every installation that are not among the built-ins the language knows by itself."""


def run_request(
    target: Path, *, inputs: JsonObject | Callable[[JsonObject], JsonObject], options: JsonObject
) -> JsonObject:
    """Return what `Operations.start_run` takes: the checked bundle, inputs and options.

    Args:
        target: the workflow's file or folder.
        inputs: the inputs, or what makes them from the workflow's schema of its inputs.
        options: see `RunOptions`.

    The folder that a definition works on lies beside its file and is not in the bundle; it travels by its path, those
    of child workflows by the child's hash.

    Raises:
        InvalidDefinition: if the file is wrong; every problem is named.
    """
    path = find_workflow(target)
    definition = load(path, tools=INSTALLED_TOOLS)
    chosen = dict(options)
    given = inputs(dict(definition.inputs_schema)) if callable(inputs) else inputs
    if definition.workspace is not None:
        chosen.setdefault("workspace_source", _folder(path.parent, definition))
    if folders := _child_folders(path.parent, definition):
        chosen["workspace_sources"] = folders
    return {"bundle": json.loads(definition.bundle.to_bytes()), "inputs": given, "options": chosen}


def _child_folders(root: Path, definition: Definition) -> dict[str, str]:
    folders: dict[str, str] = {}
    for child in definition.children.values():
        folders |= _child_folders(root, child)
        if child.workspace is not None:
            folders[child.content_hash] = _folder(root, child)
    return folders


def _folder(root: Path, definition: Definition) -> str:
    """Return the folder a definition works on; its entry is named from the folder of the outermost file."""
    source = definition.workspace.source if definition.workspace is not None else "."
    return str((root / Path(definition.bundle.entry).parent / source).resolve())
