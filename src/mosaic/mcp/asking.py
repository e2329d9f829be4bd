"""An approval as a form that a client shows to its user, and the answer to it."""

import json
from dataclasses import dataclass
from typing import Any

import mcp.types as mcp_types

from mosaic.core.errors import InvalidInput
from mosaic.core.values import JsonValue
from mosaic.tools import Approval

__all__ = ["FormAnswer", "answer_of", "question"]

_APPROVE, _REJECT = "approve", "reject"
_LONGEST_VALUE = 2_000
_LONGEST_NOTE = 1_000
# In this order: what is to happen first, then why, then what comes of it.
_SHOWN = (
    "tool", "risk", "reason", "question", "command", "diff", "arguments", "note", "why", "agent", "cost_so_far",
    "on_approve", "on_reject",
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class FormAnswer:
    """What a person said.

    Attributes:
        approve: yes or no.
        note: a word to whoever asked.
        answer: the answer to a question of kind ``ask``.
    """

    approve: bool
    note: str | None = None
    answer: JsonValue = None


def question(approval: Approval) -> mcp_types.ElicitRequest:
    """Return the form of an approval: who wants what exactly, why, and what happens on yes and on no."""
    lines = [approval.title, ""]
    lines += [
        f"{key}: {_shown(approval.detail[key])}" for key in _SHOWN if approval.detail.get(key) is not None
    ]
    lines += ["", f"Approval {approval.id}; it can be answered elsewhere too."]
    fields: dict[str, Any] = {
        "decision": {"type": "string", "enum": [_APPROVE, _REJECT], "title": "Decision"},
        "note": {
            "type": "string",
            "title": "Note",
            "description": "The agent reads it.",
            "maxLength": _LONGEST_NOTE,
        },
    }
    choices = approval.detail.get("choices")
    if approval.kind == "ask":
        fields["answer"] = (
            {"type": "string", "title": "Answer", "enum": [str(choice) for choice in choices]}
            if isinstance(choices, list) and choices
            else {"type": "string", "title": "Answer"}
        )
    schema = {"type": "object", "properties": fields, "required": ["decision"]}
    params = mcp_types.ElicitRequestFormParams(message="\n".join(lines), requested_schema=schema)
    return mcp_types.ElicitRequest(params=params)


def answer_of(approval: Approval, given: object) -> FormAnswer | None:
    """Return what a person said; None when they said nothing, so that the approval stays open.

    Raises:
        InvalidInput: if it is no answer to that form.
    """
    if not isinstance(given, mcp_types.ElicitResult):
        raise InvalidInput(f"The answer to {approval.id} is no answer to a form.")
    if given.action == "cancel":
        return None
    if given.action == "decline":
        return FormAnswer(approve=False, note="Declined in the client.")
    content = given.content or {}
    decision, note, answer = content.get("decision"), content.get("note"), content.get("answer")
    if decision not in (_APPROVE, _REJECT):
        raise InvalidInput(
            f"The answer to {approval.id} holds no decision.", hint=f"`decision` is {_APPROVE} or {_REJECT}."
        )
    said = str(note)[:_LONGEST_NOTE] if note else None
    kept: JsonValue = answer if approval.kind == "ask" and isinstance(answer, str) and answer else None
    return FormAnswer(approve=decision == _APPROVE, note=said, answer=kept)


def _shown(value: JsonValue) -> str:
    text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False, indent=1)
    return text if len(text) <= _LONGEST_VALUE else f"{text[:_LONGEST_VALUE]}... ({len(text)} characters)"
