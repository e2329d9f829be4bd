"""A run as a task of the A2A protocol."""

import base64
import json
from collections.abc import Sequence
from datetime import datetime
from typing import Any

from a2a.types import Artifact, Message, Part, Role, Task, TaskState, TaskStatus
from google.protobuf.json_format import ParseDict
from google.protobuf.struct_pb2 import Value
from google.protobuf.timestamp_pb2 import Timestamp

from mosaic.core.values import JsonObject, JsonValue

__all__ = ["ENDED", "artifact_of", "context_of", "state_of", "status_of", "task_of"]

ENDED = frozenset({"succeeded", "failed", "cancelled"})
_STATES = {
    "queued": TaskState.TASK_STATE_SUBMITTED,
    "running": TaskState.TASK_STATE_WORKING,
    "succeeded": TaskState.TASK_STATE_COMPLETED,
    "failed": TaskState.TASK_STATE_FAILED,
    "cancelled": TaskState.TASK_STATE_CANCELED,
}
_MOST_TEXT = 256_000
_FILE = frozenset({"url", "base64", "filename", "mediaType"})


def context_of(run_id: str) -> str:
    """Return the conversation that a run belongs to where its first message named none."""
    return f"ctx_{run_id.removeprefix('run_')}"


def state_of(run: JsonObject) -> TaskState:
    """Return the task's state. One that asks a person needs input, whatever else it still does."""
    if run["approvals"] and run["status"] not in ENDED:
        return TaskState.TASK_STATE_INPUT_REQUIRED
    return _STATES.get(run["status"], TaskState.TASK_STATE_WORKING)


def status_of(run: JsonObject, context_id: str) -> TaskStatus:
    """Return where a run stands, with a word to whoever asks."""
    at = Timestamp()
    at.FromDatetime(datetime.fromisoformat(run["finished_at"] or run["started_at"] or run["created_at"]))
    text = _word(run)
    message = None
    if text is not None:
        message = Message(
            message_id=f"{run['id']}/{run['status']}", task_id=run["id"], context_id=context_id,
            role=Role.ROLE_AGENT, parts=[Part(text=text)],
        )  # fmt: skip
    return TaskStatus(state=state_of(run), timestamp=at, message=message)


def _word(run: JsonObject) -> str | None:
    if run["status"] == "failed" and run["error"]:
        return str(run["error"].get("message", "The run failed."))[:2_000]
    if run["approvals"]:
        asked = ", ".join(run["approvals"])
        return (
            f'A person must answer first: {asked}. Whoever may answers with a data part {{"approve": true}}.'
        )
    return None


def artifact_of(outputs: JsonValue) -> Artifact:
    """Return a run's outputs as an artifact.

    The only one is itself: text as text, ``{url, ...}`` and ``{base64, ...}`` with ``filename`` and ``mediaType`` as a
    file. Several are data, all together.
    """
    name, value = "outputs", outputs
    if isinstance(outputs, dict) and len(outputs) == 1:
        [(name, value)] = outputs.items()
        if (part := _file(value)) is not None:
            return Artifact(artifact_id=name, name=name, parts=[part])
        if not isinstance(value, str):
            name, value = "outputs", outputs
    if isinstance(value, str):
        part = Part(text=value[:_MOST_TEXT], media_type="text/plain")
    else:
        part = Part(data=ParseDict(json.loads(json.dumps(value)), Value()), media_type="application/json")
    return Artifact(artifact_id=name, name=name, parts=[part])


def _file(value: JsonValue) -> Part | None:
    if not isinstance(value, dict) or not {"url", "base64"} & value.keys() or not _FILE.issuperset(value):
        return None
    about: dict[str, Any] = {"filename": value.get("filename", ""), "media_type": value.get("mediaType", "")}
    if not all(isinstance(text, str) for text in about.values()):
        return None
    if "url" in value:
        return Part(url=str(value["url"]), **about)
    try:
        return Part(raw=base64.b64decode(str(value["base64"]), validate=True), **about)
    except ValueError:
        return None


def task_of(
    run: JsonObject,
    *,
    context_id: str,
    history: Sequence[Message] = (),
    kept: Sequence[tuple[JsonObject, bytes]] = (),
) -> Task:
    """Return a run as a task.

    Args:
        run: as the operations show it.
        context_id: the conversation it belongs to.
        history: messages, oldest first.
        kept: artifacts of the run, with their content.
    """
    artifacts = []
    if run["status"] == "succeeded" and run["outputs"] is not None:
        artifacts.append(artifact_of(run["outputs"]))
    artifacts += [_kept(about, data) for about, data in kept]
    made: dict[str, Any] = {"id": run["id"], "context_id": context_id, "status": status_of(run, context_id)}
    task = Task(**made, artifacts=artifacts, history=list(history))
    ParseDict(
        {"workflow": run["workflow"], "costUsd": run["cost"]["usd"] if run.get("cost") else None},
        task.metadata,
    )
    return task


def _kept(about: JsonObject, data: bytes) -> Artifact:
    try:
        part = Part(text=data.decode(), filename=about["name"], media_type=about["media_type"])
    except UnicodeDecodeError:
        part = Part(raw=data, filename=about["name"], media_type=about["media_type"])
    return Artifact(artifact_id=about["id"], name=about["name"], parts=[part])
