"""Judges an answer before it counts: who gives it, what it is for, how long it holds."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TypedDict

from mosaic.core.clock import Clock
from mosaic.core.context import Context
from mosaic.core.errors import InvalidInput, PermissionDenied, Unsupported
from mosaic.core.redaction import Redactor
from mosaic.core.values import JsonObject, JsonValue
from mosaic.tools.approving.edits import edited, masked_places
from mosaic.tools.approving.patterns import ArgumentPattern
from mosaic.tools.errors import InvalidArguments
from mosaic.tools.interfaces import Roles
from mosaic.tools.repository import ApprovalRow
from mosaic.tools.schemas import Approval, ApprovalScope, Vote
from mosaic.tools.validation import problems_of

__all__ = ["Answer", "Judge", "Said"]

_NOTE_CHARACTERS = 4_000


@dataclass(frozen=True, slots=True)
class Answer:
    """What somebody says to an approval.

    Attributes:
        approve: yes or no.
        note: a word to whoever asked; the agent reads it.
        arguments: other arguments than those that were asked about; only with yes, only for a tool.
        changes: or changes to single places of them: dotted place -> value.
        answer: the answer to a question of kind ``ask``.
        scope: how long the yes holds; ``run`` and ``always`` become a rule.
        match: argument -> what it must be like, for a yes that lasts; the same arguments when empty.
    """

    approve: bool
    note: str | None = None
    arguments: JsonObject | None = None
    changes: Mapping[str, JsonValue] | None = None
    answer: JsonValue = None
    scope: ApprovalScope = "once"
    match: Mapping[str, JsonValue] | None = None


class Said(TypedDict, total=False):
    """Everything of an `Answer` but yes or no."""

    note: str | None
    arguments: JsonObject | None
    changes: Mapping[str, JsonValue] | None
    answer: JsonValue
    scope: ApprovalScope
    match: Mapping[str, JsonValue] | None


class Judge:
    """Says whether an answer can count, and makes it a vote.

    Args:
        roles: says who holds which role.
        keeps_rules: whether a yes can hold for more than one call here.
        redactor: masks secrets.
        clock: the time.
    """

    def __init__(self, roles: Roles, *, keeps_rules: bool, redactor: Redactor, clock: Clock) -> None:
        self._roles = roles
        self._keeps_rules = keeps_rules
        self._redactor = redactor
        self._clock = clock

    async def admit(self, ctx: Context, approval: Approval, *, approve: bool) -> None:
        """Check that the actor may answer like this.

        Raises:
            PermissionDenied: if not.
        """
        told = f"{ctx.actor} may not answer {approval.id}"
        if ctx.actor.kind in ("agent", "system"):
            raise PermissionDenied(f"{told}: only people answer, an agent never does.")
        if not await self._roles.holds_any(ctx, approval.roles):
            needed = f"one of the roles {', '.join(approval.roles)}" if approval.roles else "a person"
            raise PermissionDenied(f"{told}; it needs {needed}.")
        if approve and approval.separate and str(ctx.actor) == approval.requested_by:
            raise PermissionDenied(
                f"{told} with yes: the run is theirs, and somebody else must agree.",
                hint="They may reject it.",
            )

    def vote(self, ctx: Context, row: ApprovalRow, answer: Answer) -> Vote:
        """Return the answer as a vote.

        Raises:
            InvalidInput: if arguments, answer or pattern do not fit.
            Unsupported: if a yes that lasts cannot be kept here.
        """
        if not answer.approve and (answer.scope != "once" or answer.match):
            raise InvalidInput(
                "A no holds for this call.", hint="To refuse such calls always, deny the tool in `policies`."
            )
        arguments = self.arguments(row, answer)
        pattern = self.pattern(row, answer, arguments)
        note = self._redactor.text(answer.note)[:_NOTE_CHARACTERS].replace("\0", "") if answer.note else None
        return Vote(
            actor=str(ctx.actor),
            approve=answer.approve,
            voted_at=self._clock(),
            note=note,
            arguments=arguments,
            answer=answer.answer,
            scope=answer.scope,
            pattern=pattern.to_json() if pattern is not None else None,
        )

    def arguments(self, row: ApprovalRow, answer: Answer) -> JsonObject | None:
        """Return the edited arguments; None when they were left alone.

        Raises:
            InvalidInput: if they, or the answer to a question, do not fit.
        """
        kind, schema = row.value.kind, row.arguments_schema
        touched = answer.arguments is not None or bool(answer.changes)
        if touched and (kind != "tool" or not answer.approve):
            raise InvalidInput("Arguments can be edited only when approving a tool call.")
        if answer.answer is not None and kind == "tool":
            raise InvalidInput(
                "A tool call takes yes or no, not an answer.", hint="Edit `arguments` instead."
            )
        arguments = edited(row.asked_arguments, arguments=answer.arguments, changes=answer.changes)
        given = arguments if kind == "tool" else answer.answer
        if given is not None and self._redactor.value(given) != given:
            raise InvalidInput("The answer holds something that looks like a secret.", hint="Leave it out.")
        if schema is None or (given is None and not (kind == "ask" and answer.approve)):
            return arguments
        if problems := problems_of(given, schema):
            told = "The edited arguments do not fit." if kind == "tool" else "The answer does not fit."
            raise InvalidArguments(told, problems=problems)
        return arguments

    def pattern(
        self, row: ApprovalRow, answer: Answer, arguments: JsonObject | None
    ) -> ArgumentPattern | None:
        """Return what a yes that lasts holds for; None for one that holds once.

        Raises:
            InvalidInput: if it does not hold for the call itself, or compares a masked secret.
            Unsupported: if no rules are kept here.
        """
        if answer.scope == "once":
            if answer.match:
                raise InvalidInput(
                    "A pattern needs a yes that lasts.", hint="Say for how long: run or always."
                )
            return None
        if row.value.kind != "tool":
            raise InvalidInput("Only a yes to a tool call can hold for more than once.")
        policy = row.value.detail.get("policy")
        if isinstance(policy, dict) and policy.get("remember") is False:
            raise InvalidInput(
                f"The rule {policy.get('rule') or 'that asks'} asks each time: a yes holds once.",
                hint="Say yes once; or give the rule `approval: {remember: true}` in policy.yaml.",
            )
        if not self._keeps_rules:
            raise Unsupported("This installation keeps no rules: a yes holds once.", hint="Say yes once.")
        asked = arguments if arguments is not None else row.asked_arguments
        if asked is None:
            raise InvalidInput("What was asked about is too large to make a rule of.", hint="Say yes once.")
        pattern = ArgumentPattern.around(asked, answer.match or {})
        compared = {name: condition.value for name, condition in pattern.conditions.items()}
        if places := list(masked_places(compared)):
            raise InvalidInput(
                f"A secret was masked in {', '.join(places)[:200]}: no other call can be compared with it.",
                hint="Let that argument be anything (**), or say yes once.",
            )
        return pattern
