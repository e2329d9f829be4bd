"""Runs that a `workflow` step starts: ordinary runs that know their parent and share its budget."""

import hashlib
from typing import TYPE_CHECKING

from mosaic.core.context import Context
from mosaic.core.errors import Cancelled, Conflict, InvalidInput, MosaicError, error_from_json
from mosaic.core.values import JsonObject, JsonValue
from mosaic.runs.schemas import RunOptions, RunStatus
from mosaic.workflows import Definition

if TYPE_CHECKING:
    from mosaic.runs.service import RunService

__all__ = ["ChildRuns"]

_ALPHABET = "0123456789abcdefghjkmnpqrstvwxyz"


class ChildRuns:
    """Starts, awaits and cancels child runs through the front desk."""

    def __init__(self, runs: "RunService") -> None:
        self._runs = runs

    async def start(
        self,
        ctx: Context,
        definition: Definition,
        inputs: JsonObject,
        *,
        parent_run_id: str,
        parent_path: str,
        key: str,
        options: JsonObject,
    ) -> str:
        """Start a child run and return its id; the same parent and `key` give the same run.

        Raises:
            InvalidInput: if the child works on a folder and nobody said where it is.
        """
        folders: dict[str, str] = options.get("workspace_sources") or {}
        source = folders.get(definition.content_hash)
        if definition.workspace is not None and source is None:
            raise InvalidInput(
                f"The child workflow {definition.name} works on a folder of its own, and nobody said where it is.",
                hint=f"Give it in `workspace_sources` under {definition.content_hash}.",
            )
        identifier = _run_id(f"{ctx.tenant}\n{parent_run_id}\n{key}")
        child = await self._runs.start_definition(
            ctx,
            definition,
            inputs,
            options=RunOptions(
                model=options.get("model"),
                priority=int(options.get("priority") or 10),
                workspace_source=source,
                workspace_sources=folders or None,
                parent_run_id=parent_run_id,
                parent_path=parent_path,
                run_id=identifier,
            ),
        )
        return child.id

    async def wait(self, ctx: Context, run_id: str) -> JsonValue:
        """Wait for a child's end and return its outputs.

        Raises:
            MosaicError: the child's error.
            Cancelled: if it was cancelled.
        """
        run = await self._runs.wait(ctx, run_id)
        if run.status is RunStatus.SUCCEEDED:
            return run.outputs
        if run.status is RunStatus.CANCELLED:
            raise Cancelled(f"The child run {run_id} was cancelled.", run_id=run_id)
        raise error_from_json(run.error) if run.error else MosaicError(f"The child run {run_id} failed.")

    async def cancel(self, ctx: Context, run_id: str) -> None:
        """Cancel a child; does nothing when it has ended."""
        try:
            await self._runs.cancel(ctx, run_id)
        except Conflict:
            return


def _run_id(text: str) -> str:
    """Return the run id that stands for `text`: the same text, the same id, in the form of every run id."""
    number = int.from_bytes(hashlib.sha256(text.encode()).digest()[:17], "big")
    return "run_" + "".join(_ALPHABET[(number >> shift) & 31] for shift in range(125, -1, -5))
