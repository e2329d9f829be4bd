"""What this process knows of a budget: how much of its lease is free. In memory; `Budgets` keeps them under a lock."""

from dataclasses import dataclass

from mosaic.core.errors import BudgetExceeded
from mosaic.core.money import Money
from mosaic.cost.limits import Budget, usd
from mosaic.cost.payer import Payer

__all__ = ["ENDLESS", "Account", "Change", "Room"]

ENDLESS = 1 << 62
"""What is free where there is no limit."""

_FIRST_CHUNK_NANOS = 10_000_000  # a cent
_FIRST_CHUNK_TOKENS = 20_000


@dataclass(slots=True)
class Room:
    """A period's row as the last top-up found it.

    Attributes:
        left: nothing leased or spent; None where there is no limit.
        elsewhere: leased by other processes.
    """

    spent_nanos: int = 0
    spent_tokens: int = 0
    left_nanos: int | None = None
    left_tokens: int | None = None
    elsewhere_nanos: int = 0
    elsewhere_tokens: int = 0


class Account:
    """This process's lease of one budget in one period.

    At any time ``free = leased - held by calls - spent since the last write - being given back``, where there is a
    limit.

    Attributes:
        ends_at: when the period ends, in seconds since 1970; infinite for the one that does not.
        low_nanos: below this a top-up is asked for before anybody has to wait for it.
        refused_until: until when a refusal is repeated without asking the database again, in monotonic seconds.
        needed_nanos: what calls wait for.
        changed: it is in the list of what the next batch writes.
        flight: what the batch under way writes of it.
        returns: what is free goes back with the next batch.
        surplus_nanos: leased, and of no more use since there is no limit any more.
        gone: its budget was removed or replaced; it counts what is still open and lends nothing.
    """

    __slots__ = (
        "budget", "changed", "chunk_nanos", "chunk_tokens", "ends_at", "flight", "free_nanos", "free_tokens", "gone",
        "leased_nanos", "leased_tokens", "low_nanos", "low_tokens", "needed_nanos", "needed_tokens", "opened",
        "period", "refused_until", "returns", "room", "spent_nanos", "spent_tokens", "surplus_nanos",
        "surplus_tokens", "topped_at", "unconfirmed_nanos", "used_at",
    )  # fmt: skip

    def __init__(self, budget: Budget, period: str, ends_at: float) -> None:
        self.budget = budget
        self.period = period
        self.ends_at = ends_at
        self.free_nanos = 0 if budget.nanos is not None else ENDLESS
        self.free_tokens = 0 if budget.tokens is not None else ENDLESS
        self.leased_nanos = 0
        self.leased_tokens = 0
        self.surplus_nanos = 0
        self.surplus_tokens = 0
        self.spent_nanos = 0
        self.spent_tokens = 0
        self.unconfirmed_nanos = 0
        self.needed_nanos = 0
        self.needed_tokens = 0
        self.low_nanos = -1
        self.low_tokens = -1
        self.chunk_nanos = _FIRST_CHUNK_NANOS
        self.chunk_tokens = _FIRST_CHUNK_TOKENS
        self.refused_until = 0.0
        self.topped_at = 0.0
        self.used_at = 0.0
        self.room = Room()
        self.flight: Change | None = None
        self.opened = False
        self.changed = False
        self.returns = False
        self.gone = False

    @property
    def key(self) -> tuple[str, str, str]:
        """The period's row."""
        return (self.budget.tenant, self.budget.id, self.period)

    @property
    def held_nanos(self) -> int:
        """What calls hold."""
        whole = self.leased_nanos if self.budget.nanos is not None else ENDLESS
        flight = self.flight
        moving = flight.spent_nanos + flight.taken_nanos if flight is not None else 0
        return whole - self.free_nanos - self.spent_nanos - moving

    @property
    def held_tokens(self) -> int:
        """The tokens that calls hold."""
        whole = self.leased_tokens if self.budget.tokens is not None else ENDLESS
        flight = self.flight
        moving = flight.spent_tokens + flight.taken_tokens if flight is not None else 0
        return whole - self.free_tokens - self.spent_tokens - moving

    @property
    def has_lease(self) -> bool:
        """Something of it is leased and free."""
        return (self.leased_nanos > 0 and self.free_nanos > 0) or (
            self.leased_tokens > 0 and self.free_tokens > 0
        )

    @property
    def is_idle(self) -> bool:
        """Nothing of it is leased, held, or spent and not written."""
        moving = self.changed or self.flight is not None or self.leased_nanos or self.leased_tokens
        return not (moving or self.held_nanos or self.held_tokens or self.spent_nanos or self.spent_tokens)

    def refuses(self, nanos: int, tokens: int) -> bool:
        """Say whether, as far as the last top-up saw, there is no room for this much."""
        room = self.room
        return (room.left_nanos is not None and nanos > self.free_nanos + room.left_nanos) or (
            room.left_tokens is not None and tokens > self.free_tokens + room.left_tokens
        )

    def is_lent_elsewhere(self, nanos: int, tokens: int) -> bool:
        """Say whether there would be room if other processes gave back what they have."""
        room = self.room
        if room.left_nanos is not None and nanos > self.free_nanos + room.left_nanos + room.elsewhere_nanos:
            return False
        if (
            room.left_tokens is not None
            and tokens > self.free_tokens + room.left_tokens + room.elsewhere_tokens
        ):
            return False
        return bool(room.elsewhere_nanos or room.elsewhere_tokens)

    def refusal(self, nanos: int, tokens: int, payer: Payer) -> BudgetExceeded:
        """Return the error that says which budget has no room for a call, and how much it has."""
        budget, room = self.budget, self.room
        data: dict[str, object] = {
            "budget": budget.id, "scope": budget.scope, "subject": budget.subject or None,
            "period": budget.period, "tenant": payer.tenant,
        }  # fmt: skip
        left = max(self.free_nanos, 0) + (room.left_nanos or 0)
        if budget.nanos is not None and nanos > left:
            used = max(budget.nanos - left, 0)
            return BudgetExceeded(
                f"The budget of {Money(budget.nanos)} of the {budget} is not enough: {Money(used)} is spent or set "
                f"aside, this call may cost {Money(nanos)}.",
                hint=f"Raise it: `mosaic budgets set {budget.scope} {budget.subject}`; or use a cheaper model or a "
                "lower output limit.",
                **data, reason="usd", limit_usd=usd(budget.nanos), used_usd=usd(used), needed_usd=usd(nanos),
                left_nanos=left,
            )  # fmt: skip
        limit, left = budget.tokens or 0, max(self.free_tokens, 0) + (room.left_tokens or 0)
        return BudgetExceeded(
            f"The budget of {limit:,} tokens of the {budget} is not enough: {max(limit - left, 0):,} are used or set "
            f"aside, this call may use {tokens:,}.",
            hint=f"Raise it: `mosaic budgets set {budget.scope} {budget.subject}`; or use a lower output limit.",
            **data, reason="tokens", limit_tokens=limit, used_tokens=max(limit - left, 0), needed_tokens=tokens,
            left_tokens=left,
        )  # fmt: skip

    # What the next batch writes. The caller holds the lock.

    def take_change(self) -> "Change":
        """Move what is to be written into a change."""
        change = self.flight = Change(
            self,
            self.spent_nanos,
            self.spent_tokens,
            self.unconfirmed_nanos,
            self.leased_nanos + self.surplus_nanos,
            self.leased_tokens + self.surplus_tokens,
            has_nanos=self.budget.nanos is not None,
            has_tokens=self.budget.tokens is not None,
            given_nanos=self.surplus_nanos,
            given_tokens=self.surplus_tokens,
        )
        if self.returns:
            self._take_return(change)
        elif not self.gone and self._is_short():
            change.wants = True
            change.short_nanos = max(self.needed_nanos - max(self.free_nanos, 0), -self.free_nanos, 0)
            change.short_tokens = max(self.needed_tokens - max(self.free_tokens, 0), -self.free_tokens, 0)
        self.spent_nanos = self.spent_tokens = self.unconfirmed_nanos = 0
        self.needed_nanos = self.needed_tokens = self.surplus_nanos = self.surplus_tokens = 0
        self.changed = self.returns = False
        return change

    def _is_short(self) -> bool:
        return bool(
            self.needed_nanos
            or self.needed_tokens
            or self.low_nanos > self.free_nanos
            or self.low_tokens > self.free_tokens
        )

    def _take_return(self, change: "Change") -> None:
        if change.has_nanos and self.free_nanos > 0:
            change.taken_nanos = self.free_nanos
            change.given_nanos += self.free_nanos
            self.free_nanos = 0
        if change.has_tokens and self.free_tokens > 0:
            change.taken_tokens = self.free_tokens
            change.given_tokens += self.free_tokens
            self.free_tokens = 0
        self.low_nanos = self.low_tokens = -1

    def spend_held(self) -> None:
        """Count what calls hold as spent: nobody will be here to settle it."""
        nanos, tokens = max(self.held_nanos, 0), max(self.held_tokens, 0)
        self.spent_nanos += nanos
        self.spent_tokens += tokens
        self.unconfirmed_nanos += nanos

    def lose_lease(self) -> None:
        """Forget what was leased: somebody gave it back in our place, or counted it as spent."""
        if self.budget.nanos is not None:
            self.free_nanos -= self.leased_nanos
        if self.budget.tokens is not None:
            self.free_tokens -= self.leased_tokens
        if self.flight is not None:
            self.free_nanos += self.flight.taken_nanos
            self.free_tokens += self.flight.taken_tokens
            self.flight.lose_lease()
        self.leased_nanos = self.leased_tokens = self.surplus_nanos = self.surplus_tokens = 0

    def renew(self, budget: Budget | None) -> None:
        """Go on under a budget that somebody changed; None when it was removed."""
        self.refused_until = 0.0
        if budget == self.budget:
            return
        self.room = Room()
        if budget is None:
            self.gone = True
            self.lose_lease()
            return
        before, self.budget = self.budget, budget
        if before.nanos is not None and budget.nanos is None:
            self.free_nanos += ENDLESS - self.leased_nanos
            self.surplus_nanos, self.leased_nanos = self.surplus_nanos + self.leased_nanos, 0
        elif before.nanos is None and budget.nanos is not None:
            self.free_nanos -= ENDLESS
        if before.tokens is not None and budget.tokens is None:
            self.free_tokens += ENDLESS - self.leased_tokens
            self.surplus_tokens, self.leased_tokens = self.surplus_tokens + self.leased_tokens, 0
        elif before.tokens is None and budget.tokens is not None:
            self.free_tokens -= ENDLESS
        self.low_nanos = self.low_tokens = -1
        self.returns = True

    def applied(self, change: "Change", *, now: float) -> None:
        """Take over what a change has written."""
        self.opened, self.flight = True, None
        if self.gone:
            return
        if self.budget.nanos is not None:
            self.leased_nanos = change.leased_nanos_after
            self.free_nanos += change.granted_nanos + change.spent_nanos - change.covered_nanos
        else:
            self.surplus_nanos += change.leased_nanos_after
            self.free_nanos += change.spent_nanos
        if self.budget.tokens is not None:
            self.leased_tokens = change.leased_tokens_after
            self.free_tokens += change.granted_tokens + change.spent_tokens - change.covered_tokens
        else:
            self.surplus_tokens += change.leased_tokens_after
            self.free_tokens += change.spent_tokens
        if change.room is not None:
            self._topped_up(change, change.room, now)

    def _topped_up(self, change: "Change", room: Room, now: float) -> None:
        self.room = room
        short = change.granted_nanos < change.short_nanos or change.granted_tokens < change.short_tokens
        if short:
            self.refused_until = now + _REFUSED_S
        elif now - self.topped_at < _OFTEN_S:
            self.chunk_nanos = min(self.chunk_nanos * 2, _LARGEST_CHUNK_NANOS)
            self.chunk_tokens = min(self.chunk_tokens * 2, _LARGEST_CHUNK_TOKENS)
        self.topped_at = now
        self.low_nanos = _low(change.granted_nanos, room.left_nanos)
        self.low_tokens = _low(change.granted_tokens, room.left_tokens)


_REFUSED_S = 0.25
_OFTEN_S = 1.0
_LARGEST_CHUNK_NANOS = 10_000_000_000
_LARGEST_CHUNK_TOKENS = 20_000_000


def _low(granted: int, left: int | None) -> int:
    """Return the level below which more is asked for in advance; -1 where there is nothing more to get."""
    return granted // 4 if left else -1


@dataclass(slots=True)
class Change:
    """What one batch writes of one account.

    Attributes:
        leased_nanos: what the lease's row holds before it.
        has_nanos: there was a limit in dollars when it was made.
        wants: a top-up is asked for.
        short_nanos: what calls wait for; the grant covers it if it can.
        given_nanos: goes back.
        taken_nanos: the part of that which was free until now.
        covered_nanos: the part of what was spent that the lease pays for.
        room: what the top-up found; None when there was none.
    """

    account: Account
    spent_nanos: int
    spent_tokens: int
    unconfirmed_nanos: int
    leased_nanos: int
    leased_tokens: int
    has_nanos: bool
    has_tokens: bool
    given_nanos: int = 0
    given_tokens: int = 0
    taken_nanos: int = 0
    taken_tokens: int = 0
    wants: bool = False
    short_nanos: int = 0
    short_tokens: int = 0
    covered_nanos: int = 0
    covered_tokens: int = 0
    granted_nanos: int = 0
    granted_tokens: int = 0
    room: Room | None = None

    @property
    def leased_nanos_after(self) -> int:
        """The lease once the change is written."""
        return self.leased_nanos - self.covered_nanos - self.given_nanos + self.granted_nanos

    @property
    def leased_tokens_after(self) -> int:
        """The lease once the change is written."""
        return self.leased_tokens - self.covered_tokens - self.given_tokens + self.granted_tokens

    @property
    def is_empty(self) -> bool:
        """Nothing has to be written."""
        amounts = (
            self.spent_nanos, self.spent_tokens, self.given_nanos, self.given_tokens, self.unconfirmed_nanos,
        )  # fmt: skip
        return not (self.wants or any(amounts))

    def begin(self) -> None:
        """Work out what of the spent amounts the lease pays for; nothing is granted yet."""
        self.granted_nanos = self.granted_tokens = 0
        self.room = None
        self.covered_nanos = min(self.spent_nanos, self.leased_nanos) if self.has_nanos else 0
        self.covered_tokens = min(self.spent_tokens, self.leased_tokens) if self.has_tokens else 0

    def lose_lease(self) -> None:
        """Forget the lease it was made on."""
        self.leased_nanos = self.leased_tokens = self.given_nanos = self.given_tokens = 0
        self.taken_nanos = self.taken_tokens = 0
