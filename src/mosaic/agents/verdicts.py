"""What one model answer means: it calls tools, it is the answer, it is wrong, or it is a refusal."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Literal

from mosaic.agents.answers import AnswerContract
from mosaic.core.values import JsonValue
from mosaic.providers.ai import Message, ModelResponse, TextPart, ToolCallPart

__all__ = ["NO_ANSWER", "Verdict", "judge", "normalised"]

NO_ANSWER = "(no answer)"
"""Stands for an answer without any content: a conversation cannot hold an empty message."""


@dataclass(frozen=True, slots=True)
class Verdict:
    """What one model answer means.

    Attributes:
        kind: ``calls`` tools; ``final``, `value` is the answer; ``wrong``, `problem` goes back to the model;
            ``refused``.
    """

    kind: Literal["calls", "final", "wrong", "refused"]
    value: JsonValue = None
    problem: str = ""


def judge(response: ModelResponse, contract: AnswerContract) -> Verdict:
    """Return what an answer means under a contract. Depends on nothing else."""
    if response.finish_reason == "content_filter":
        return Verdict("refused")
    if response.message.tool_calls:
        return Verdict("calls")
    if response.finish_reason == "length":
        return Verdict("wrong", problem="Your answer was cut off at the length limit. Give a shorter one.")
    if response.finish_reason == "error":
        return Verdict("wrong", problem="Your answer broke off. Give it again.")
    if not response.message.text.strip():
        return Verdict("wrong", problem="Your answer was empty. Call a tool or give your answer.")
    checked = contract.check_text(response.message.text)
    if checked.problem is not None:
        return Verdict("wrong", problem=checked.problem)
    return Verdict("final", checked.value)


def normalised(message: Message, *, earlier: Sequence[Message], prefix: str) -> Message:
    """Return an answer as the conversation keeps it: every call has an id of its own, and there is some content.

    Args:
        message: the answer.
        earlier: the conversation before it; its call ids are taken.
        prefix: of the ids made here.
    """
    known = {call.id for before in earlier for call in before.tool_calls}
    parts = []
    for place, part in enumerate(message.parts):
        if isinstance(part, ToolCallPart):
            if not part.id or part.id in known:
                part = replace(part, id=f"{prefix}{place}")
            known.add(part.id)
        parts.append(part)
    if not message.text.strip() and not message.tool_calls:
        parts = [part for part in parts if not isinstance(part, TextPart)] + [TextPart(NO_ANSWER)]
    return Message("assistant", tuple(parts))
