"""The tools that are the server's own: they touch nothing but what their caller has asked for already."""

from mosaic.engine import Safety
from mosaic.tools import RiskClass, ToolEffect, ToolSpec

__all__ = ["ANSWER_TOOL", "RESULT_TOOL"]

RESULT_TOOL = ToolSpec(
    name="calls.result",
    description="Returns what an earlier call of yours gave back, which had to wait or took long.",
    input_schema={
        "type": "object",
        "additionalProperties": False,
        "required": ["call"],
        "properties": {
            "call": {
                "type": "string",
                "maxLength": 200,
                "description": "The id that the earlier answer named.",
            },
            "wait_s": {"type": "number", "minimum": 0, "maximum": 50, "default": 20},
        },
    },
    risk=RiskClass.READ_ONLY,
    effects=frozenset({ToolEffect.READ}),
    safety=Safety.REPEATABLE,
    source="mosaic",
)

ANSWER_TOOL = ToolSpec(
    name="approvals.answer",
    description="Shows an open approval to the person at your side and takes their answer. You cannot answer it.",
    input_schema={
        "type": "object",
        "additionalProperties": False,
        "required": ["approval"],
        "properties": {"approval": {"type": "string", "maxLength": 200, "description": "The approval's id."}},
    },
    risk=RiskClass.GENERATIVE,
    effects=frozenset({ToolEffect.WRITE}),
    safety=Safety.REPEATABLE,
    source="mosaic",
)
