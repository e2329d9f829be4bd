"""The example team: it runs once on an empty installation, so that there is something to see."""

import asyncio
from collections.abc import Callable
from pathlib import Path

import mosaic
from mosaic.app.build import Application
from mosaic.app.requests import run_request
from mosaic.core.context import Actor, Context
from mosaic.core.values import JsonObject

__all__ = ["example_folder", "run_example_once"]

_NAME = "hello-team"
_RUN_ID = "run_" + "0" * 26


def example_folder(name: str = _NAME) -> Path | None:
    """Return the folder of an example: shipped inside the package, or beside it in a checkout."""
    package = Path(mosaic.__file__).parent
    for folder in (package / "examples" / name, package.parents[1] / "examples" / name):
        if (folder / "workflow.yaml").is_file():
            return folder
    return None


async def run_example_once(application: Application, *, on_start: Callable[[str], None]) -> JsonObject | None:
    """Run the example team if this installation never ran anything; return the finished run.

    The run has a fixed id, so two starts at the same moment are one run.
    """
    settings = application.settings
    ctx = Context(settings.tenant, settings.project, Actor("system", "first-run"))
    folder = example_folder()
    operations = application.operations
    if (
        folder is None
        or (await operations.runs(ctx, status=None, workflow=None, limit=1, cursor=None))["items"]
    ):
        return None
    request = await asyncio.to_thread(run_request, folder, inputs={}, options={"run_id": _RUN_ID})
    run = await operations.start_run(ctx, request)
    on_start(run["id"])
    await application.runs.wait(ctx, run["id"])
    return await operations.run(ctx, run["id"])
