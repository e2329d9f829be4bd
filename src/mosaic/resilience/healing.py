"""Healing one target in four steps: send traffic elsewhere, find out what is wrong, mend it, see that it works."""

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from typing import Literal

from mosaic.core.errors import MosaicError
from mosaic.core.values import JsonObject

__all__ = ["Diagnosis", "HealingReport", "heal"]

Step = Literal["reroute", "diagnose", "fix", "verify"]


@dataclass(frozen=True, slots=True)
class Diagnosis:
    """What is wrong with a target.

    Attributes:
        cause: a short name, by which a fix is chosen; empty when nothing is wrong.
        detail: one sentence for a person.
    """

    cause: str
    detail: str = ""


@dataclass(slots=True)
class HealingReport:
    """What was done for a target.

    Attributes:
        healed: it works again, and traffic is back.
        cause: as diagnosed.
        fixed_by: the fix that was applied; empty when there is none for the cause.
        steps: each step with its outcome, in order.
    """

    target: str
    healed: bool = False
    cause: str = ""
    fixed_by: str = ""
    steps: list[tuple[Step, str]] = field(default_factory=list)

    def to_json(self) -> JsonObject:
        """Return the report as a JSON object."""
        return {
            "target": self.target,
            "healed": self.healed,
            "cause": self.cause,
            "fixed_by": self.fixed_by,
            "steps": [{"step": step, "outcome": outcome} for step, outcome in self.steps],
        }


async def heal(
    target: str,
    *,
    reroute: Callable[[str, bool], None],
    diagnose: Callable[[str], Awaitable[Diagnosis]],
    fixes: Mapping[str, Callable[[str], Awaitable[str]]],
    verify: Callable[[str], Awaitable[bool]],
) -> HealingReport:
    """Try to heal `target`; traffic stays away from it until it has been seen to work.

    Args:
        target: its id.
        reroute: takes it out of traffic (True) or back in (False).
        diagnose: finds what is wrong; sends nothing that costs money.
        fixes: by cause; each mends and says in one sentence what it did. Safe to apply twice.
        verify: whether the target works now.
    """
    report = HealingReport(target)
    reroute(target, True)
    report.steps.append(("reroute", "traffic goes elsewhere"))
    try:
        diagnosis = await diagnose(target)
        report.cause = diagnosis.cause
        report.steps.append(("diagnose", diagnosis.detail or diagnosis.cause or "nothing is wrong"))
        fix = fixes.get(diagnosis.cause)
        if fix is not None:
            report.steps.append(("fix", await fix(target)))
            report.fixed_by = diagnosis.cause
        elif diagnosis.cause:
            report.steps.append(("fix", "there is no fix for this; a person has to look"))
        report.healed = await verify(target)
        report.steps.append(("verify", "it works" if report.healed else "it does not work yet"))
    except MosaicError as error:
        step: Step = ("diagnose", "fix", "verify")[min(len(report.steps) - 1, 2)]
        report.steps.append((step, f"failed: {error.message}"))
    if report.healed:
        reroute(target, False)
    return report
