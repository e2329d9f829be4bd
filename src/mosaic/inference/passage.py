"""One call on its way through the model door: what it holds, where it was tried, how it is settled and recorded."""

from contextlib import AbstractContextManager
from time import monotonic
from typing import Any

from mosaic.core.errors import BudgetExceeded, MosaicError
from mosaic.core.values import JsonObject
from mosaic.cost import Hold, LedgerEntry, QuotaEntry, TokenCost
from mosaic.inference.door_call import DoorCall
from mosaic.inference.door_rooms import DoorRooms
from mosaic.providers import Usage
from mosaic.routing import Decision, Outcome, Target

__all__ = ["Passage"]

# Bytes are never fewer than tokens, so a body's size bounds what its text can cost; what is fetched from an address
# is bounded by the most that vendors count for an image.
_TOKENS_PER_ADDRESS = 8_000


class Passage:
    """The state of one call. Every way out goes through `answered`, `failed` or `left`, once."""

    __slots__ = (
        "_attempt_started", "_done", "_hold", "_lease", "_price", "_quota", "attempts", "call", "decision",
        "first_byte_s", "limit", "outcome", "provider", "rooms", "skips", "started", "target", "used",
    )  # fmt: skip

    def __init__(self, rooms: DoorRooms, call: DoorCall, decision: Decision, quota: QuotaEntry) -> None:
        self.rooms = rooms
        self._quota = quota
        self._hold: Hold | None = None
        self._price: TokenCost | None = None
        self._lease: AbstractContextManager[Any] | None = None
        self._done = False
        self._attempt_started = 0.0
        self.call = call
        self.decision = decision
        self.target: Target = decision.target
        self.provider: Any = None
        self.skips = 0
        self.outcome: str | None = None
        self.used = Usage()
        self.attempts: list[JsonObject] = []
        self.started = monotonic()
        self.first_byte_s: float | None = None
        self.limit: int | None = None

    # --- one attempt at one target ---

    async def begin(self, target: Target) -> None:
        """Set aside the most that `target` can cost; `limit` is then the answer's limit to write, if any.

        Raises:
            BudgetExceeded: naming the budget that has no room; nothing was sent.
        """
        self.target = target
        self.first_byte_s = None
        # Kept until the answer has ended, so that a reload does not close a provider that still streams.
        lease = self.rooms.providers.lease(target.provider)
        self.provider = lease.__enter__()
        self._lease = lease
        try:
            await self._prepare(target)
        except BaseException:
            self._let_go()
            raise
        self._attempt_started = monotonic()
        self.rooms.live.begin(target.id)

    def _let_go(self) -> None:
        lease, self._lease, self.provider = self._lease, None, None
        if lease is not None:
            lease.__exit__(None, None, None)

    async def _prepare(self, target: Target) -> None:
        self._price = self.rooms.price_of(target, self.call.payer.tenant)
        if self.rooms.budgets.limited(self.call.payer):
            await self._set_aside(target)

    async def _set_aside(self, target: Target) -> None:
        peek, settings = self.call.peek, self.rooms.settings
        output = peek.max_tokens
        if output is None:
            output = settings.max_output_tokens
            known = self.rooms.most_output(target)
            self.limit = output = min(output, known) if known else output
        try:
            self._hold = await self._held(output)
        except BudgetExceeded as error:
            fitting = self._fitting(error, output) if peek.max_tokens is None else None
            if fitting is None:
                raise
            self.limit = fitting
            self._hold = await self._held(fitting)

    async def _held(self, output_tokens: int) -> Hold:
        budgets, payer = self.rooms.budgets, self.call.payer
        nanos = self._most(output_tokens)
        tokens = self._input_bound() + output_tokens
        return budgets.try_hold(payer, nanos, tokens) or await budgets.hold(payer, nanos, tokens)

    def _most(self, output_tokens: int) -> int | None:
        return self._price.most(self._input_bound(), output_tokens) if self._price is not None else None

    def _input_bound(self) -> int:
        peek = self.call.peek
        return peek.n_bytes + (_TOKENS_PER_ADDRESS if "vision" in peek.needs else 0)

    def _fitting(self, error: BudgetExceeded, output_tokens: int) -> int | None:
        """Return a lower limit of the answer that fits what the budget has left; None when there is none."""
        if "left_tokens" in error.data:
            fitting = int(error.data["left_tokens"]) - self._input_bound()
        else:
            base, full, left = self._most(0), self._most(output_tokens), int(error.data.get("left_nanos", 0))
            if base is None or full is None or full <= base:
                return None
            fitting = (left - base) * output_tokens // (full - base)
        return fitting if self.rooms.settings.least_output_tokens <= fitting < output_tokens else None

    def first_byte(self) -> None:
        """Note that the answer has begun."""
        if self.first_byte_s is None:
            self.first_byte_s = monotonic() - self._attempt_started

    def attempt_failed(self, error: MosaicError) -> None:
        """End the attempt: what it held is given back, or counts as spent where it may have been billed."""
        self._end_attempt(ok=False, error=error)
        hold, self._hold = self._hold, None
        if hold is None:
            return
        if error.data.get("sent") and error.data.get("status") is None:
            self.rooms.budgets.leave_unconfirmed(hold)
        else:
            self.rooms.budgets.release(hold)

    def skipped(self, target: Target, reason: str) -> None:
        """Note that a target was not asked."""
        self.skips += 1
        self.attempts.append({"target": target.id, "skipped": reason})

    def attempt_left(self) -> None:
        """End an attempt that the caller broke off before there was an answer: it may have been billed."""
        self._end_attempt(ok=False, error=None)
        hold, self._hold = self._hold, None
        if hold is not None:
            self.rooms.budgets.leave_unconfirmed(hold)

    def _end_attempt(self, *, ok: bool, error: MosaicError | None, tokens: int = 0) -> None:
        self._let_go()
        taken = monotonic() - self._attempt_started
        code = error.code if error is not None else None
        retry_at = None
        if error is not None and isinstance(wait_s := error.data.get("retry_after_s"), int | float):
            retry_at = self.rooms.live.clock() + wait_s
        outcome = Outcome(ok, taken, self.first_byte_s, code, retry_at, tokens)
        self.rooms.live.end(self.target.id, outcome)
        self.rooms.guards.ended(self.target, outcome, error)
        attempt: JsonObject = {"target": self.target.id, "ms": round(taken * 1000, 1)}
        if code is not None:
            attempt["error"] = code
        self.attempts.append(attempt)

    # --- the end of the call ---

    def answered(
        self,
        usage: Usage | None,
        *,
        estimate: Usage,
        model: str | None,
        response_id: str | None,
        finish_reason: str | None,
        error: MosaicError | None = None,
        cancelled: bool = False,
    ) -> int | None:
        """Settle what was used and record the call; return its cost in billionths of a dollar, if known.

        Args:
            usage: what the provider said.
            estimate: what counts when it said nothing.
            model: the name the provider answered with.
            response_id: the provider's id of the answer.
            finish_reason: why it ended.
            error: what broke it off after it had begun; what was written until then is billed.
            cancelled: the client left before the end.
        """
        used = usage or estimate
        nanos = self._price.of(used) if self._price is not None else None
        self._end_attempt(ok=not cancelled and error is None, error=error, tokens=used.total_tokens)
        hold, self._hold = self._hold, None
        if hold is not None:
            self.rooms.budgets.settle(hold, nanos or 0, used.total_tokens)
        self._record(
            used, nanos, usage is None, model=model, response_id=response_id,
            outcome=error.code if error else "cancelled" if cancelled else "ok", finish_reason=finish_reason,
        )  # fmt: skip
        return nanos

    def failed(self, error: MosaicError) -> None:
        """Record that no target answered."""
        self.rooms.metrics.refusal(error.code)
        self._record(Usage(), 0, False, model=None, response_id=None, outcome=error.code, finish_reason=None)

    def abandoned(self) -> None:
        """Record that the caller left before there was an answer."""
        if not self._done:
            self._record(
                Usage(), 0, False, model=None, response_id=None, outcome="cancelled", finish_reason=None
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
        rooms.metrics.call(self.decision, self.target, used, nanos, taken, outcome, cached=cached)
        rooms.ledger.record(
            LedgerEntry(
                payer=call.payer,
                call_key=call.request_id,
                operation=call.codec.name,
                route=self.decision.route,
                provider=self.target.provider,
                model=model or self.target.model or "",
                usage=used,
                nanos=nanos,
                estimated=estimated,
                response_id=response_id,
                latency_ms=round(taken * 1000),
                cached=cached,
                outcome=outcome,
                data=self._told(finish_reason),
            )
        )

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
        if len(self.attempts) > 1:
            told["decision"] = self.decision.to_json()  # what was unusual can be looked into later
        return told
