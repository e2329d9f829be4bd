"""The handoff context: the one document an agent leaves for the next, small, checked and free of secrets."""

from dataclasses import asdict, dataclass, field
from typing import Any

from mosaic.core.errors import InvalidInput, Problem
from mosaic.core.redaction import looks_secret
from mosaic.core.values import JsonObject, JsonValue, canonical_json

__all__ = ["HANDOFF_KINDS", "HANDOFF_MAX_BYTES", "HANDOFF_SCHEMA", "HandoffContext", "SuccessCriterion"]

HANDOFF_MAX_BYTES = 10_000
HANDOFF_KINDS = (
    "planning_to_implementation",
    "implementation_to_verification",
    "verification_to_remediation",
    "recovery",
    "other",
)

_MOST_EARLIER = 20
_TEXTS: JsonObject = {"type": "array", "items": {"type": "string"}, "maxItems": 50}

HANDOFF_SCHEMA: JsonObject = {
    "$schema": "https://json-schema.org/draft/2020-12/schema",
    "title": "HandoffContext",
    "type": "object",
    "additionalProperties": False,
    "required": ["task", "next_agent"],
    "properties": {
        "task": {"type": "string", "minLength": 1, "description": "What is to be done, complete in itself."},
        "next_agent": {"type": "string", "minLength": 1, "description": "Who takes over."},
        "kind": {"enum": list(HANDOFF_KINDS), "description": "What sort of handoff this is."},
        "state": {
            "type": "object",
            "description": "How things stand: what is done, what is not, project and git state.",
        },
        "decisions": {**_TEXTS, "description": "What was decided, and why."},
        "continuation": {"type": "string", "description": "The exact point to go on from."},
        "success_criteria": {
            "type": "array",
            "maxItems": 50,
            "description": "What must hold at the end, and how each is checked.",
            "items": {
                "type": "object",
                "additionalProperties": False,
                "required": ["criterion"],
                "properties": {
                    "criterion": {"type": "string", "minLength": 1},
                    "validated_by": {"type": "string"},
                },
            },
        },
        "files_to_read": {**_TEXTS, "description": "Paths inside the repository to read first."},
        "warnings": {**_TEXTS, "description": "What to be careful about."},
        "evidence": {**_TEXTS, "description": "What proves the claims: test results, logs, artifacts."},
        "constraints": {"type": "object", "description": "Limits on the next agent's work."},
        "session": {"type": "string", "description": "The run, set by MosAIc."},
        "chain": {**_TEXTS, "description": "The agents so far, oldest first, set by MosAIc."},
        "earlier": {
            "type": "array",
            "maxItems": _MOST_EARLIER,
            "description": "What was handed over before this, oldest first, set by MosAIc.",
            "items": {
                "type": "object",
                "additionalProperties": False,
                "required": ["by", "task", "decisions"],
                "properties": {
                    "by": {"type": "string"},
                    "task": {"type": "string"},
                    "decisions": {"type": "array", "items": {"type": "string"}},
                },
            },
        },
    },
}


@dataclass(frozen=True, slots=True)
class SuccessCriterion:
    """Something that must hold at the end, and how it is checked."""

    criterion: str
    validated_by: str = ""


@dataclass(frozen=True, slots=True)
class HandoffContext:
    """What one agent leaves for the next. Under 10 KB as canonical JSON, never a secret.

    Attributes:
        task: what is to be done, complete in itself.
        next_agent: who takes over.
        kind: one of `HANDOFF_KINDS`.
        state: how things stand; project and git state.
        decisions: what was decided, and why.
        continuation: the point to go on from.
        success_criteria: what must hold at the end.
        files_to_read: paths inside the repository.
        warnings: what to be careful about.
        evidence: what proves the claims.
        constraints: limits on the next agent's work.
        session: the run.
        chain: the agents so far, oldest first; the last one wrote this.
        earlier: what they had handed over before this: who, the task, the decisions.
    """

    task: str
    next_agent: str
    kind: str = "other"
    state: JsonObject = field(default_factory=dict)
    decisions: tuple[str, ...] = ()
    continuation: str = ""
    success_criteria: tuple[SuccessCriterion, ...] = ()
    files_to_read: tuple[str, ...] = ()
    warnings: tuple[str, ...] = ()
    evidence: tuple[str, ...] = ()
    constraints: JsonObject = field(default_factory=dict)
    session: str = ""
    chain: tuple[str, ...] = ()
    earlier: tuple[JsonObject, ...] = ()

    def to_json(self) -> JsonObject:
        """Return the context as a JSON object that passes `HANDOFF_SCHEMA`; empty fields are left out."""
        shown: JsonObject = {}
        for key, value in asdict(self).items():
            if value or key in ("task", "next_agent"):
                shown[key] = list(value) if isinstance(value, tuple) else value
        return shown

    def continued(self) -> list[JsonObject]:
        """Return what the next context carries of this one and of those before it."""
        by = self.chain[-1] if self.chain else ""
        own: JsonObject = {"by": by, "task": self.task, "decisions": list(self.decisions)}
        return [*self.earlier, own][-_MOST_EARLIER:]

    @classmethod
    def from_json(cls, shown: JsonValue) -> "HandoffContext":
        """Return the context a JSON object holds, checked for shape, size and secrets.

        Raises:
            InvalidInput: naming each thing that is wrong; a secret is never repeated.
        """
        problems = handoff_problems(shown)
        if problems or not isinstance(shown, dict):
            raise InvalidInput("The handoff context is not acceptable.", problems=problems)
        values: dict[str, Any] = {
            key: tuple(value) if isinstance(value, list) else value for key, value in shown.items()
        }
        criteria = values.get("success_criteria", ())
        values["success_criteria"] = tuple(SuccessCriterion(**item) for item in criteria)
        return cls(**values)


def handoff_problems(shown: JsonValue) -> list[Problem]:
    """Return everything that is wrong with a would-be handoff context: secrets, size, shape."""
    from jsonschema import Draft202012Validator  # noqa: PLC0415 - 100 ms that most commands never need

    try:
        encoded = canonical_json(shown)
    except (TypeError, ValueError):
        return [Problem("A handoff context holds JSON values only.")]
    secret = _secret_path(shown)
    if secret is not None:
        hint = "name where it is kept, never its value"
        return [
            Problem("This looks like a secret; a handoff never carries one.", path=secret, suggestion=hint)
        ]
    found = []
    if len(encoded) >= HANDOFF_MAX_BYTES:
        found.append(
            Problem(
                f"A handoff context stays under {HANDOFF_MAX_BYTES} bytes; this one has {len(encoded)}.",
                suggestion="keep the decisions, name the files instead of quoting them",
            )
        )
    errors = Draft202012Validator(HANDOFF_SCHEMA).iter_errors(shown)
    found += [
        Problem(error.message[:300], path=error.json_path.removeprefix("$").lstrip(".")) for error in errors
    ]
    return found


def _secret_path(value: JsonValue, path: str = "") -> str | None:
    if isinstance(value, str):
        return (path or "context") if looks_secret(value) else None
    if isinstance(value, list):
        children = [(f"{path}[{index}]", item) for index, item in enumerate(value)]
    elif isinstance(value, dict):
        if any(looks_secret(key) for key in value):
            return path or "context"
        children = [(f"{path}.{key}".lstrip("."), item) for key, item in value.items()]
    else:
        return None
    return next((hit for place, item in children if (hit := _secret_path(item, place)) is not None), None)
