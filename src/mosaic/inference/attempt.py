"""One attempt of a call at one target: what it sets aside, and how that ends."""

from contextlib import AbstractContextManager
from time import monotonic
from typing import Any

from mosaic.core.errors import BudgetExceeded, MosaicError
from mosaic.core.values import JsonObject
from mosaic.cost import Hold, TokenCost
from mosaic.inference.door_call import DoorCall
from mosaic.inference.door_rooms import DoorRooms
from mosaic.providers import Usage
from mosaic.routing import Decision, Outcome, Target

__all__ = ["Attempt"]

_FREE = "anthropic.count_tokens"


class Attempt:
    """A call at a target that was admitted. After `begin` it ends by `settled`, `failed` or `left`, once.

    Attributes:
        provider: of the target; kept until the end, so that a reload does not close one that still streams.
        limit: of the answer, where the client named none and a budget holds; None leaves the request as it is.
        first_byte_s: until the answer began.
        summary: for the record of the call.
        headers: of the provider's answer, where it passed through: they tell what its rate limit has left.
    """

    __slots__ = (
        "_hold", "_lease", "_price", "_started", "call", "decision", "first_byte_s", "headers", "limit", "provider",
        "rooms", "summary", "target",
    )  # fmt: skip

    def __init__(self, rooms: DoorRooms, call: DoorCall, decision: Decision, target: Target) -> None:
        self._hold: Hold | None = None
        self._lease: AbstractContextManager[Any] | None = None
        self._price: TokenCost | None = None
        self._started = 0.0
        self.rooms = rooms
        self.call = call
        self.decision = decision
        self.target = target
        self.provider: Any = None
        self.limit: int | None = None
        self.first_byte_s: float | None = None
        self.headers: list[tuple[bytes, bytes]] | None = None
        self.summary: JsonObject = {"target": target.id}

    @property
    def started(self) -> float:
        """When it was sent, on the monotonic clock; 0.0 before that."""
        return self._started

    async def begin(self) -> None:
        """Set aside the most that the target can cost.

        Raises:
            BudgetExceeded: naming the budget that has no room; nothing was sent.
            MosaicError: if the provider cannot be used.
        """
        lease = self.rooms.providers.lease(self.target.provider, self.call.request_id)
        self.provider = lease.__enter__()
        self._lease = lease
        try:
            self._price = self.rooms.price_of(self.target, self.call.payer.tenant)
            if self.call.codec.name != _FREE and self.rooms.budgets.limited(self.call.payer):
                output = self._most_output()
                try:
                    self._hold = self._held_at_once(output)
                except BudgetExceeded:
                    self._hold = None  # it is met again, and a lower limit looked for
                if self._hold is None:
                    await self._set_aside(output)
        except BaseException:
            self._let_go()
            raise
        self._started = monotonic()
        self.rooms.live.begin(self.target.id)

    def first_byte(self) -> None:
        """Note that the answer has begun."""
        if self.first_byte_s is None:
            self.first_byte_s = monotonic() - self._started

    def settled(
        self, used: Usage, *, error: MosaicError | None = None, cancelled: bool = False
    ) -> int | None:
        """Replace what was set aside by what was used; return its cost in billionths of a dollar, if known.

        Args:
            used: what the provider said, or our estimate.
            error: what broke the answer off after it had begun.
            cancelled: the client left before the end.
        """
        nanos = self._price.of(used) if self._price is not None else None
        self._end(ok=not cancelled and error is None, error=error, tokens=used.total_tokens, nanos=nanos)
        hold, self._hold = self._hold, None
        if hold is not None:
            self.rooms.budgets.settle(hold, nanos or 0, used.total_tokens)
        return nanos

    def failed(self, error: MosaicError) -> None:
        """End without an answer: what was set aside is given back, or counts as spent where it may have been billed."""
        self._end(ok=False, error=error)
        hold, self._hold = self._hold, None
        if hold is None:
            return
        if error.data.get("sent") and error.data.get("status") is None:
            self.rooms.budgets.leave_unconfirmed(hold)
        else:
            self.rooms.budgets.release(hold)

    def left(self) -> None:
        """End an attempt that was broken off before there was an answer: it may have been billed."""
        self._end(ok=False, error=None)
        hold, self._hold = self._hold, None
        if hold is not None:
            self.rooms.budgets.leave_unconfirmed(hold)

    def _end(self, *, ok: bool, error: MosaicError | None, tokens: int = 0, nanos: int | None = None) -> None:
        self._let_go()
        taken = monotonic() - self._started
        code = error.code if error is not None else None
        retry_at = None
        if error is not None and isinstance(wait_s := error.data.get("retry_after_s"), int | float):
            retry_at = self.rooms.live.clock() + wait_s
        outcome = Outcome(ok, taken, self.first_byte_s, code, retry_at, tokens)
        self.rooms.ended(self.decision, self.target, outcome, error, nanos=nanos, headers=self.headers)
        self.summary["ms"] = round(taken * 1000, 1)
        if code is not None:
            self.summary["error"] = code

    def _let_go(self) -> None:
        lease, self._lease = self._lease, None
        if lease is not None:
            lease.__exit__(None, None, None)

    def _most_output(self) -> int:
        """Return the limit of the answer: the client's, or else ours, which then goes into the request."""
        output = self.call.peek.max_tokens
        if output is None:
            output = self.rooms.settings.max_output_tokens
            known = self.rooms.most_output(self.target)
            self.limit = output = min(output, known) if known else output
        return output

    async def _set_aside(self, output: int) -> None:
        try:
            self._hold = await self._held(output)
        except BudgetExceeded as error:
            fitting = self._fitting(error, output) if self.call.peek.max_tokens is None else None
            if fitting is None:
                raise
            self.limit = fitting
            self._hold = await self._held(fitting)

    def _held_at_once(self, output_tokens: int) -> Hold | None:
        """Return what `_held` does; None when the database must be asked."""
        call, price = self.call, self._price
        read, written = call.peek.most_input_tokens, output_tokens * call.peek.n
        nanos = price.most(read, written) if price is not None else None
        return self.rooms.budgets.try_hold(call.payer, nanos, read + written)

    async def _held(self, output_tokens: int) -> Hold:
        peek = self.call.peek
        tokens = peek.most_input_tokens + output_tokens * peek.n
        return await self.rooms.budgets.hold(self.call.payer, self._most(output_tokens), tokens)

    def _most(self, output_tokens: int) -> int | None:
        if self._price is None:
            return None
        return self._price.most(self.call.peek.most_input_tokens, output_tokens * self.call.peek.n)

    def _fitting(self, error: BudgetExceeded, output_tokens: int) -> int | None:
        """Return a lower limit of the answer that fits what the budget has left; None when there is none."""
        if "left_tokens" in error.data:
            fitting = (int(error.data["left_tokens"]) - self.call.peek.most_input_tokens) // self.call.peek.n
        else:
            base, full, left = self._most(0), self._most(output_tokens), int(error.data.get("left_nanos", 0))
            if base is None or full is None or full <= base:
                return None
            fitting = (left - base) * output_tokens // (full - base)
        return fitting if self.rooms.settings.least_output_tokens <= fitting < output_tokens else None
