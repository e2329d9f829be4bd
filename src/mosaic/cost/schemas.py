"""What the cost room gives to others."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Literal

from mosaic.core.money import ZERO, Money
from mosaic.core.values import JsonObject
from mosaic.providers import Usage

__all__ = ["CostSettings", "ModelCall", "Reservation", "RunCost", "TokenPrice"]


@dataclass(frozen=True, slots=True)
class TokenPrice:
    """A price in US dollars for a million tokens; what is not given for the cache costs the same as other input."""

    input_usd_per_mtok: float
    output_usd_per_mtok: float
    cached_input_usd_per_mtok: float | None = None
    cache_write_usd_per_mtok: float | None = None


@dataclass(frozen=True, slots=True)
class CostSettings:
    """The cost room's section of the settings.

    Attributes:
        prices: ``provider:model``, with ``*`` and ``?`` as wildcards -> price. They win over the price list.
        unpriced: what a run with a budget in dollars does about a model whose price nobody knows: `refuse` the
            call before it is sent, or `allow` it, uncounted.
    """

    prices: Mapping[str, TokenPrice] = field(default_factory=dict)
    unpriced: Literal["refuse", "allow"] = "refuse"


@dataclass(frozen=True, slots=True)
class Reservation:
    """An amount set aside for one sending of one call.

    Attributes:
        key: the effect's key; with `run_id` it names the call.
        turn: 1 for the first sending; more when a crash made us send it again.
        money: what was set aside; `Money(0)` where the price is not known.
        repeated: the call was sent before, and nobody knows what came of it.
    """

    tenant: str
    run_id: str
    key: str
    turn: int
    root_run_id: str
    money: Money
    tokens: int
    repeated: bool = False


@dataclass(frozen=True, slots=True)
class ModelCall:
    """One row of the ledger.

    Attributes:
        money: what it cost; None where nobody knows the price.
        estimated: the provider did not say what was used.
    """

    path: str
    agent: str | None
    provider: str
    model: str
    usage: Usage
    money: Money | None
    response_id: str | None = None
    estimated: bool = False
    occurred_at: datetime | None = None

    def to_json(self) -> JsonObject:
        """Return the call as a JSON object."""
        return {
            "path": self.path,
            "agent": self.agent,
            "provider": self.provider,
            "model": self.model,
            "usage": self.usage.to_json(),
            "usd": float(self.money.as_usd) if self.money is not None else None,
            "response_id": self.response_id,
            "estimated": self.estimated,
            "occurred_at": self.occurred_at.isoformat() if self.occurred_at else None,
        }


@dataclass(frozen=True, slots=True)
class RunCost:
    """What a run has cost so far, with all its child runs.

    Attributes:
        money: the ledger's sum.
        calls: answered calls.
        unpriced_calls: those of them whose price nobody knows; `money` does not hold them.
        scripted: some answers came from a script, not from a model.
        reserved: set aside for calls in flight.
        unconfirmed: for calls whose answer was lost; it counts as spent against the limit.
        limit: the hard limit in dollars; None when there is none.
        limit_tokens: the hard limit in tokens; None when there is none.
    """

    money: Money
    usage: Usage
    calls: int
    unpriced_calls: int = 0
    scripted: bool = False
    reserved: Money = ZERO
    unconfirmed: Money = ZERO
    limit: Money | None = None
    limit_tokens: int | None = None

    def to_json(self) -> JsonObject:
        """Return the cost as a JSON object."""
        return {
            "usd": float(self.money.as_usd),
            "usage": self.usage.to_json(),
            "calls": self.calls,
            "unpriced_calls": self.unpriced_calls,
            "scripted": self.scripted,
            "reserved_usd": float(self.reserved.as_usd),
            "unconfirmed_usd": float(self.unconfirmed.as_usd),
            "limit_usd": float(self.limit.as_usd) if self.limit is not None else None,
            "limit_tokens": self.limit_tokens,
        }
