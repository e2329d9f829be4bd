"""Delivers what a run kept to the control plane: one message for each run that has succeeded."""

import base64
import json
from collections.abc import Mapping
from typing import Any, Protocol

from mosaic.app.hook_sections import ControlPlaneSection
from mosaic.core.context import Context
from mosaic.core.errors import Unavailable
from mosaic.core.redaction import Redactor
from mosaic.core.values import JsonObject
from mosaic.cost import Cost
from mosaic.events import Event, Journal
from mosaic.runs.schemas import Artifact, Run
from mosaic.runs.service import RunService
from mosaic.webhooks import Message, Webhook

__all__ = ["SECRET_HEADER", "ArtifactDelivery", "DeliveryRooms"]

SECRET_HEADER = "x-runtime-secret"  # noqa: S105  # the name of a header
_PATH = "/api/v1/artifacts/receive"
_STEP_ENDS = ("step.completed", "step.failed", "step.skipped")
_MOST_STEPS = 500


class DeliveryRooms(Protocol):
    """The rooms that know what a run made."""

    runs: RunService
    journal: Journal
    cost: Cost
    redactor: Redactor
    address: str | None


class ArtifactDelivery:
    """Makes the messages to the control plane.

    Args:
        rooms: where the artifacts are.
        section: the control plane.
        environ: where its secret is.
    """

    def __init__(
        self, rooms: DeliveryRooms, section: ControlPlaneSection, *, environ: Mapping[str, str]
    ) -> None:
        self._rooms = rooms
        self._section = section
        self._environ = environ

    def problem(self, webhook: Webhook) -> str | None:  # noqa: ARG002  # the interface's
        """Return why nothing can be delivered from here."""
        variable = self._section.secret.secret if self._section.secret is not None else ""
        return None if self._environ.get(variable) else f"The variable {variable} is not set here."

    async def message(self, ctx: Context, webhook: Webhook, event: Event) -> Message | None:
        """Return what a run kept, and what it took; None for a run that is part of another one.

        Raises:
            Unavailable: if the secret is not set.
            NotFound: if the run or something of it is gone.
        """
        run = await self._rooms.runs.get(ctx, str(event.run_id))
        if run.parent_run_id is not None:
            return None
        secret = self._secret()
        body = await self._body(ctx, run)
        headers = {
            "content-type": "application/json",
            "idempotency-key": event.id,
            SECRET_HEADER: secret,
        }
        return Message(webhook.url.rstrip("/") + _PATH, headers, json.dumps(body).encode())

    def _secret(self) -> str:
        section = self._section.secret
        secret = self._environ.get(section.secret, "") if section is not None else ""
        if section is None or not secret:
            raise Unavailable("The variable with the secret of the control plane is not set.")
        self._rooms.redactor.add(secret)
        return section.prefix + secret

    async def _body(self, ctx: Context, run: Run) -> JsonObject:
        artifacts = await self._rooms.runs.artifacts(ctx, run.id)
        return {
            "app_id": run.project,
            "workflow_id": run.workflow,
            "version": run.version,
            "execution_id": run.id,
            "artifacts": await self._artifacts(ctx, artifacts),
            "validation_results": await self._validation(ctx, run),
            "token_usage": await self._usage(ctx, run),
        }

    async def _artifacts(self, ctx: Context, artifacts: list[Artifact]) -> list[JsonObject]:
        """Return the artifacts, each with its content while there is room for it."""
        room = self._section.max_body_bytes
        shown = []
        for artifact in artifacts:
            item: JsonObject = {
                "id": artifact.id,
                "name": artifact.name,
                "media_type": artifact.media_type,
                "digest": artifact.digest,
                "size_bytes": artifact.size_bytes,
            }
            if (length := 4 * -(-artifact.size_bytes // 3)) <= room:
                room -= length
                _, content = await self._rooms.runs.artifact(ctx, artifact.id)
                item["content_base64"] = base64.b64encode(content).decode()
            elif self._rooms.address is not None:
                item["url"] = f"{self._rooms.address}/api/v1/artifacts/{artifact.id}/content"
            shown.append(item)
        return shown

    async def _validation(self, ctx: Context, run: Run) -> JsonObject:
        """Return how each step ended; the run has succeeded, so what failed was tried again or caught."""
        events = await self._rooms.journal.read(ctx, run_id=run.id, types=_STEP_ENDS, limit=_MOST_STEPS)
        steps = [
            {"step": event.path, "status": event.type.removeprefix("step."), "reason": _reason(event.data)}
            for event in events
        ]
        return {"passed": True, "steps": steps}

    async def _usage(self, ctx: Context, run: Run) -> JsonObject:
        usage = (await self._rooms.cost.run_cost(ctx, run.id)).usage
        most: dict[str, int] = {}
        for call in await self._rooms.cost.calls(ctx, run.id):
            model = f"{call.provider}:{call.model}"
            most[model] = most.get(model, 0) + call.usage.input_tokens + call.usage.output_tokens
        return {
            "prompt_tokens": usage.input_tokens,
            "completion_tokens": usage.output_tokens,
            "model": max(most, key=lambda model: most[model]) if most else None,
        }


def _reason(data: JsonObject) -> Any:
    error = data.get("error")
    return (error or {}).get("message") if isinstance(error, dict) else data.get("reason")
