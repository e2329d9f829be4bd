"""What the protocol's messages and tasks say, in our words; bounded, since it is a stranger's."""

import json
from collections.abc import Iterable

from a2a.types import Message, Part, Task, TaskState
from google.protobuf.json_format import MessageToDict

from mosaic.core.values import JsonValue
from mosaic.tools.a2a.said import Said

__all__ = ["said_of", "said_of_message"]

_MOST_TEXT = 200_000
_MOST_ID = 500
_STATES = {
    TaskState.TASK_STATE_COMPLETED: "completed",
    TaskState.TASK_STATE_FAILED: "failed",
    TaskState.TASK_STATE_REJECTED: "rejected",
    TaskState.TASK_STATE_CANCELED: "canceled",
    TaskState.TASK_STATE_INPUT_REQUIRED: "input_required",
    TaskState.TASK_STATE_AUTH_REQUIRED: "auth_required",
}
_COST = "costUsd"


def said_of(task: Task) -> Said:
    """Return what a task says: its artifacts once it is completed, else the word beside its state."""
    state = _STATES.get(task.status.state, "working")
    parts = [part for artifact in task.artifacts for part in artifact.parts] if state == "completed" else []
    text, data = _content(parts or task.status.message.parts)
    return Said(task.id[:_MOST_ID], task.context_id[:_MOST_ID], state, text, data, _claimed(task))


def said_of_message(message: Message) -> Said:
    """Return what an answer without a task says."""
    text, data = _content(message.parts)
    return Said(None, message.context_id[:_MOST_ID], "completed", text, data)


def _content(parts: Iterable[Part]) -> tuple[str, JsonValue]:
    """Return the text of parts, and the data when there is one piece of it and no text.

    Files that come along with an answer are left out; where there is nothing else, they are the answer.
    """
    found = list(parts)
    lines: list[str] = []
    data: list[JsonValue] = []
    for part in [part for part in found if not _is_file(part)] or found:
        if part.HasField("text"):
            lines.append(part.text)
        elif part.HasField("data"):
            data.append(MessageToDict(part.data))
        else:
            lines.append(f"[file {part.filename or 'without a name'}{': ' + part.url if part.url else ''}]")
    only = data[0] if len(data) == 1 and not lines else None
    if data and only is None:
        lines += [json.dumps(each, ensure_ascii=False) for each in data]
    text = "\n".join(lines) if only is None else json.dumps(only, ensure_ascii=False)
    if len(text) > _MOST_TEXT:
        return f"{text[:_MOST_TEXT]}\n[it said more]", None
    return text, only


def _is_file(part: Part) -> bool:
    return bool(part.filename) or not (part.HasField("text") or part.HasField("data"))


def _claimed(task: Task) -> float | None:
    cost = MessageToDict(task.metadata).get(_COST)
    usable = isinstance(cost, int | float) and not isinstance(cost, bool) and 0 <= cost < 1e9
    return float(cost) if usable else None
