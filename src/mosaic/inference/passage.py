"""One call on its way through the model door: where it was tried, how it ended, what is recorded of it."""

from time import monotonic
from typing import Any

from mosaic.core.errors import MosaicError
from mosaic.core.values import JsonObject
from mosaic.cost import LedgerEntry, QuotaEntry
from mosaic.inference.attempt import Attempt
from mosaic.inference.door_call import DoorCall
from mosaic.inference.door_rooms import DoorRooms
from mosaic.inference.tracing import trace_of
from mosaic.providers import Usage
from mosaic.routing import Decision, Target

__all__ = ["Passage"]

_NOTHING = Usage()


class Passage:
    """The state of one call. Every way out goes through `answered`, `failed`, `abandoned` or `from_cache`, once.

    Attributes:
        tried: attempts that were sent.
        tries: these attempts, where spans are made of them.
        outcome: how it ended: ``ok``, ``cancelled`` or an error's code; None before that.
        used: what it used, once it has ended.
        heard: of the answer, where calls are captured; else None.
        hushed: the answers that end now are not the call's.
    """

    __slots__ = (
        "_done", "_quota", "attempts", "call", "decision", "first_byte_s", "heard", "hushed", "outcome", "rooms", "shadow", "started",
        "target", "tried", "tries", "used",
    )  # fmt: skip

    def __init__(
        self, rooms: DoorRooms, call: DoorCall, decision: Decision, quota: QuotaEntry, *, shadow: bool = False
    ) -> None:
        self._quota = quota
        self._done = False
        self.hushed = False
        self.heard = bytearray() if rooms.captures is not None and not shadow else None
        self.rooms = rooms
        self.call = call
        self.decision = decision
        self.shadow = shadow
        self.target: Target = decision.target
        self.attempts: list[JsonObject] = []
        self.tried = 0
        self.tries: list[Attempt] = []
        self.started = monotonic()
        self.first_byte_s: float | None = None
        self.outcome: str | None = None
        self.used = _NOTHING

    def attempt(self, target: Target) -> Attempt:
        """Return an attempt at a target that was admitted; `Attempt.begin` starts it."""
        self.tried += 1
        self.target = target
        attempt = Attempt(self.rooms, self.call, self.decision, target)
        self.attempts.append(attempt.summary)
        if self.rooms.telemetry is not None:
            self.tries.append(attempt)
        return attempt

    def hear(self, data: bytes) -> None:
        """Take down a piece of the answer, where calls are captured."""
        if self.heard is not None and self.rooms.captures is not None:
            self.rooms.captures.hear(self.heard, data)

    def skipped(self, target: Target, reason: str) -> None:
        """Note that a target was not asked."""
        self.attempts.append({"target": target.id, "skipped": reason})

    def answered(
        self,
        attempt: Attempt,
        usage: Usage | None,
        *,
        estimate: Usage | None,
        model: str | None,
        response_id: str | None,
        finish_reason: str | None,
        error: MosaicError | None = None,
        cancelled: bool = False,
    ) -> int | None:
        """Settle the attempt that answered and record the call; return its cost in billionths of a dollar, if known.

        Args:
            attempt: the one that answered.
            usage: what the provider said.
            estimate: what counts when it said nothing; nothing at all when this is None, too.
            model: the name the provider answered with.
            response_id: the provider's id of the answer.
            finish_reason: why it ended.
            error: what broke it off after it had begun; what was written until then is billed.
            cancelled: the client left before the end.
        """
        used = usage or estimate or _NOTHING
        nanos = attempt.settled(used, error=error, cancelled=cancelled)
        if (
            self._done or self.hushed
        ):  # two were asked and both have answered: this one only has to be paid for
            return nanos
        self.target, self.first_byte_s = attempt.target, attempt.first_byte_s
        self._record(
            used, nanos, usage is None, model=model, response_id=response_id,
            outcome=error.code if error else "cancelled" if cancelled else "ok", finish_reason=finish_reason,
        )  # fmt: skip
        return nanos

    def failed(self, error: MosaicError) -> None:
        """Record that no target answered."""
        self.rooms.metrics.refusal(error.code)
        self._record(_NOTHING, 0, False, model=None, response_id=None, outcome=error.code, finish_reason=None)

    def abandoned(self) -> None:
        """Record that the caller left before there was an answer."""
        if not self._done:
            self._record(
                _NOTHING, 0, False, model=None, response_id=None, outcome="cancelled", finish_reason=None
            )

    def from_cache(self, usage: Usage, *, model: str | None) -> None:
        """Record an answer that cost nothing because it was known."""
        self._record(
            usage, 0, False, model=model, response_id=None, outcome="ok", finish_reason=None, cached=True
        )

    def _record(
        self,
        used: Usage,
        nanos: int | None,
        estimated: bool,
        *,
        model: str | None,
        response_id: str | None,
        outcome: str,
        finish_reason: str | None,
        cached: bool = False,
    ) -> None:
        if self._done:
            raise RuntimeError("a call is recorded once")
        self._done = True
        self.outcome, self.used = outcome, used
        call, rooms, taken = self.call, self.rooms, monotonic() - self.started
        self._quota.leave(used.total_tokens)
        rooms.left()
        if not self.shadow:
            rooms.metrics.call(self.decision, self.target, used, nanos, taken, outcome, cached=cached)
        rooms.ledger.record(
            LedgerEntry(
                call.payer,
                f"{call.request_id}/shadow/{self.target.id}" if self.shadow else call.request_id,
                call.codec.name,
                self.decision.route,
                self.target.provider,
                model or self.target.model or "",
                used,
                nanos,
                estimated,
                response_id,
                round(taken * 1000),
                cached,
                outcome,
                self._told(finish_reason),
            )
        )
        if rooms.telemetry is not None:
            answer = {
                "model": model,
                "response_id": response_id,
                "finish_reason": finish_reason,
                "cached": cached,
            }
            rooms.telemetry.record(trace_of(self, used, nanos, **answer))

    def _told(self, finish_reason: str | None) -> JsonObject:
        told: dict[str, Any] = {
            "asked": self.call.peek.model,
            "stream": self.call.peek.stream,
            "strategy": self.decision.strategy,
            "attempts": self.attempts,
        }
        if finish_reason is not None:
            told["finish_reason"] = finish_reason
        if self.first_byte_s is not None:
            told["first_byte_ms"] = round(self.first_byte_s * 1000, 1)
        if self.decision.rule is not None:
            told["rule"] = self.decision.rule
        if self.shadow:
            told["shadow"] = True
        if self.heard is not None and self.rooms.captures is not None:
            call, heard = self.call, bytes(self.heard)
            kept = self.rooms.captures.keep(call.body, heard, self.outcome or "", stream=call.peek.stream)
            if kept is not None:
                told["capture"] = kept
        if len(self.attempts) > 1:
            told["decision"] = self.decision.to_json()  # what was unusual can be looked into later
        return told
