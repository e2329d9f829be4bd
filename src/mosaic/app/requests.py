"""The request that starts a run, made from a workflow file on this machine."""

import json
from pathlib import Path

from mosaic.core.values import JsonObject
from mosaic.workflows import find_workflow, load

__all__ = ["run_request"]


def run_request(target: Path, *, inputs: JsonObject, options: JsonObject) -> JsonObject:
    """Return what `Operations.start_run` takes: the checked bundle, inputs and options.

    The workspace's source is a folder beside the workflow, which a bundle does not hold; it travels by its path.

    Raises:
        InvalidDefinition: if the file is wrong; every problem is named.
    """
    path = find_workflow(target)
    definition = load(path)
    chosen = dict(options)
    if definition.workspace is not None:
        chosen.setdefault("workspace_source", str((path.parent / definition.workspace.source).resolve()))
    return {"bundle": json.loads(definition.bundle.to_bytes()), "inputs": inputs, "options": chosen}
