"""Conditions of rules: CEL over `call`."""

from dataclasses import dataclass
from difflib import get_close_matches

from mosaic.core.values import JsonObject
from mosaic.expressions import CelError, Program, compile_program, json_kind
from mosaic.tools.policies.patterns import RuleFailed

__all__ = ["CALL_FIELDS", "Condition", "compile_condition"]

CALL_FIELDS = frozenset(
    {
        "tool", "risk", "effects", "arguments", "agent", "project", "tenant", "workflow", "actor", "run",
        "cost_usd",
    }
)  # fmt: skip
"""What ``call.`` has in a condition."""


@dataclass(frozen=True, slots=True)
class Condition:
    """One compiled condition.

    Attributes:
        source: the expression.
        wants_cost: it looks at what the run has cost so far.
    """

    source: str
    program: Program
    wants_cost: bool

    def holds(self, call: JsonObject) -> bool:
        """Say whether it is true for a call.

        Raises:
            RuleFailed: if it cannot be evaluated, or gives neither true nor false.
        """
        try:
            value = self.program.run({"call": call})
        except CelError as error:
            tip = f" ({error.suggestion})" if error.suggestion else ""
            raise RuleFailed(f"`when` failed: {error.message}{tip}") from None
        if not isinstance(value, bool):
            raise RuleFailed(f"`when` gave {json_kind(value)} and not true or false")
        return value


def compile_condition(text: str) -> Condition:
    """Return the compiled form of a condition, with or without ``${...}`` around it.

    Raises:
        CelError: if the expression is wrong, or asks for something that a call does not have.
    """
    body = text.strip()
    shift = len(text) - len(text.lstrip())
    if body.startswith("${") and body.endswith("}"):
        body, shift = body[2:-1], shift + 2
    try:
        program = compile_program(body)
        return Condition(body, program, wants_cost="cost_usd" in _fields(program))
    except CelError as error:
        raise CelError(error.message, error.offset + shift, error.suggestion) from None


def _fields(program: Program) -> frozenset[str]:
    found: set[str] = set()
    for reference in program.scan.references:
        if reference.name != "call":
            hint = "a rule sees `call` and nothing else"
            raise CelError(f"unknown variable `{reference.name}`", reference.offset, hint)
        first = reference.path[0] if reference.path else None
        if first is None or first.kind != "field":
            found |= CALL_FIELDS
        elif first.key in CALL_FIELDS:
            found.add(str(first.key))
        else:
            near = get_close_matches(str(first.key), CALL_FIELDS, n=1)
            hint = f"did you mean `call.{near[0]}`?" if near else f"it has: {', '.join(sorted(CALL_FIELDS))}"
            raise CelError(f"a call has no field `{first.key}`", first.offset, hint)
    return frozenset(found)
