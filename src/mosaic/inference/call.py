"""One attempt at one model call: set the cost aside, send, record the answer with its real cost."""

import asyncio
import hashlib
import json
import logging
from collections.abc import Callable
from contextlib import aclosing
from dataclasses import dataclass, replace
from time import monotonic
from typing import Any

from mosaic.core.context import Context
from mosaic.core.errors import BudgetExceeded, ContractViolation, MosaicError, TimedOut
from mosaic.core.money import ZERO, Money
from mosaic.core.values import JsonObject
from mosaic.cost import Cost, ModelCall, Reservation
from mosaic.engine import EffectCall, Outcome
from mosaic.events import NewEvent
from mosaic.inference.settings import InferenceSettings
from mosaic.inference.tracing import usage_attributes
from mosaic.inference.traffic import Observation, Traffic
from mosaic.observability import AttemptTrace, CallTrace
from mosaic.providers import (
    AiProvider,
    Delta,
    ModelCapabilities,
    ModelRequest,
    ModelResponse,
    ProviderRegistry,
    Usage,
    estimate_tokens,
)

__all__ = ["CallSite", "ModelAttempt"]

_log = logging.getLogger(__name__)

# Adapters keep the request's time themselves; this is for those that do not.
_GRACE_S = 5.0


@dataclass(frozen=True, slots=True)
class CallSite:
    """Where a call comes from.

    Attributes:
        key: the effect's key.
        attempt: which attempt at this model, from 1.
    """

    ctx: Context
    run_id: str
    path: str
    key: str
    agent: str | None
    attempt: int


class ModelAttempt:
    """One attempt, as the call of one effect."""

    def __init__(
        self,
        site: CallSite,
        request: ModelRequest,
        *,
        provider: str,
        registry: ProviderRegistry,
        cost: Cost,
        settings: InferenceSettings,
        on_delta: Callable[[Delta], None] | None,
        traffic: Traffic | None = None,
        trace: CallTrace | None = None,
    ) -> None:
        self._traffic = traffic
        self._trace = trace
        self._site = site
        self._provider = provider
        self._registry = registry
        self._cost = cost
        self._settings = settings
        self._on_delta = on_delta
        self._given = request
        self._request = request
        self._input_tokens = 0
        self._started = monotonic()
        self._reservation: Reservation | None = None
        self._unconfirmed: Money = ZERO

    async def run(self, call: EffectCall) -> Outcome:
        """Make the call.

        Raises:
            BudgetExceeded: if the run's budget has no room; nothing was sent.
            MosaicError: as `AiProvider.complete`.
        """
        # Leased: a reload waits for the answer before it closes the provider.
        with self._registry.lease(self._provider, self._site.key) as provider:
            return await self._run(provider, call)

    async def _run(self, provider: AiProvider, call: EffectCall) -> Outcome:
        able = provider.capabilities(self._given.model)
        self._request = self._prepared(able)
        self._input_tokens = estimate_tokens(self._request)
        if able.price is None and not able.local:
            await asyncio.to_thread(self._cost.prices.load)
        reservation = self._reservation = await self._reserve(able)
        self._started = monotonic()
        seen = self._traffic.observe(f"{self._provider}:{self._request.model}") if self._traffic else None
        try:
            response = await self._send(provider, call.idempotency_key)
        except MosaicError as error:
            self._seen(seen, error)
            await self._unanswered(error, able, reservation)
            raise
        except asyncio.CancelledError:
            self._seen(seen, left=True)
            if able.idempotent or able.local:
                self._cost.release_soon(reservation)
            raise
        self._seen(seen)
        entry = self._entry(response, able)
        if self._trace is not None:
            self._trace.attributes |= _attributes(self._provider, self._request, response, self._site.agent)
            self._trace.attributes["mosaic.cost.usd"] = entry.money and float(entry.money.as_usd)
        return Outcome(
            response.to_json(),
            events=(*self._repetition(), NewEvent("model.called", self._called(response, entry.money))),
            writes=self._cost.settle(self._site.ctx, reservation, entry),
        )

    def _seen(
        self, seen: Observation | None, error: MosaicError | None = None, *, left: bool = False
    ) -> None:
        """Tell breakers and observers how the attempt ended."""
        if seen is not None:
            seen.end(error, left=left)
        if self._trace is not None:
            code = "cancelled" if left else error.code if error is not None else None
            taken_s = monotonic() - self._started
            attempt = AttemptTrace(self._provider, self._request.model, self._started, taken_s, error=code)
            self._trace.attempts.append(attempt)

    def failure_events(self, error: MosaicError) -> tuple[NewEvent, ...]:
        """Return what to journal with an error."""
        return (*self._repetition(), NewEvent("model.failed", self._failed(error)))

    def _prepared(self, able: ModelCapabilities) -> ModelRequest:
        request = self._given
        metadata = {
            **request.metadata,
            "agent": self._site.agent or request.metadata.get("agent") or "*",
            "path": self._site.path,
            "attempt": str(self._site.attempt),
        }
        limit = request.max_output_tokens or self._settings.max_output_tokens
        if able.max_output_tokens is not None:
            limit = min(limit, able.max_output_tokens)
        timeout_s = self._registry.timeout_s(self._provider) or request.timeout_s
        return replace(request, metadata=metadata, max_output_tokens=limit, timeout_s=timeout_s)

    async def _reserve(self, able: ModelCapabilities) -> Reservation:
        """Set aside the most the call can cost; with a limit of our own making, lower it to what is left."""
        while True:
            output_tokens = self._request.max_output_tokens or 0
            try:
                return await self._cost.reserve(
                    self._site.ctx,
                    self._site.run_id,
                    self._site.key,
                    money=self._estimate(able, output_tokens),
                    tokens=self._input_tokens + output_tokens,
                    forget_lost=able.idempotent or able.local,
                    agent=self._site.agent,
                )
            except BudgetExceeded as error:
                fitting = self._fitting(error, able, output_tokens)
                if fitting is None:
                    raise
                self._request = replace(self._request, max_output_tokens=fitting)

    def _fitting(self, error: BudgetExceeded, able: ModelCapabilities, output_tokens: int) -> int | None:
        """Return a lower output limit that fits what the budget has left; None when there is none."""
        if self._given.max_output_tokens is not None:
            return None
        least = self._settings.least_output_tokens
        if "left_tokens" in error.data:
            fitting = int(error.data["left_tokens"]) - self._input_tokens
        elif "left_nanos" in error.data:
            fitting = self._affordable(Money(int(error.data["left_nanos"])), able, output_tokens)
        else:
            return None
        return fitting if least <= fitting < output_tokens else None

    def _affordable(self, left: Money, able: ModelCapabilities, output_tokens: int) -> int:
        base, full = self._estimate(able, 0), self._estimate(able, output_tokens)
        if base is None or full is None or full <= base or left <= base:
            return 0
        # Prices may have steps, so the share is checked again by the next reservation, not trusted.
        return int((left - base).nanos * output_tokens // (full - base).nanos)

    def _estimate(self, able: ModelCapabilities, output_tokens: int) -> Money | None:
        return self._cost.estimate(
            self._provider,
            self._request.model,
            tenant=self._site.ctx.tenant,
            input_tokens=self._input_tokens,
            max_output_tokens=output_tokens,
            capabilities=able,
        )

    async def _send(self, provider: AiProvider, key: str) -> ModelResponse:
        timeout_s = self._request.timeout_s + _GRACE_S
        try:
            async with asyncio.timeout(timeout_s):
                if self._on_delta is None:
                    return await provider.complete(self._request, idempotency_key=key)
                return await self._streamed(provider, key, self._on_delta)
        except TimeoutError as error:
            raise TimedOut(
                f"{self._provider} did not answer in {timeout_s:g} s.", sent=True, provider=self._provider
            ) from error
        except (MosaicError, asyncio.CancelledError):
            raise
        except Exception as error:
            _log.exception("the provider plugin %s failed", self._provider)
            raise ContractViolation(
                f"The provider plugin {self._provider!r} failed: {type(error).__name__}.",
                hint="The log has the details.",
                provider=self._provider,
            ) from error

    async def _streamed(
        self, provider: AiProvider, key: str, on_delta: Callable[[Delta], None]
    ) -> ModelResponse:
        async with aclosing(provider.stream(self._request, idempotency_key=key)) as stream:  # type: ignore[type-var]  # the interface's iterators are generators
            async for item in stream:
                if isinstance(item, ModelResponse):
                    return item
                on_delta(item)
        raise ContractViolation(
            f"{self._provider} ended its stream without a response.", provider=self._provider
        )

    async def _unanswered(
        self, error: MosaicError, able: ModelCapabilities, reservation: Reservation
    ) -> None:
        """Put the reservation right after a failure: spent, given back, or perhaps spent."""
        usage = error.data.get("usage")
        if isinstance(usage, dict):
            used = Usage.from_json(usage)
            entry = ModelCall(
                path=self._site.path,
                agent=self._site.agent,
                provider=self._provider,
                model=self._request.model,
                usage=used,
                money=self._price(self._request.model, used, able),
                response_id=error.data.get("response_id"),
            )
            await self._cost.settle_now(self._site.ctx, reservation, entry)
        elif error.data.get("sent") and not (able.idempotent or able.local):
            self._unconfirmed = reservation.money
            await self._cost.leave_unconfirmed(reservation)
        else:
            await self._cost.release(reservation)

    def _price(self, model: str, usage: Usage, able: ModelCapabilities) -> Money | None:
        tenant = self._site.ctx.tenant
        return self._cost.price(self._provider, model, usage, tenant=tenant, capabilities=able)

    def _entry(self, response: ModelResponse, able: ModelCapabilities) -> ModelCall:
        money = None
        # The answer's own name of the model is the exact one; a router may give a name that no list knows.
        for model in dict.fromkeys((response.model, self._request.model)):
            money = self._price(model, response.usage, able)
            if money is not None:
                break
        return ModelCall(
            path=self._site.path,
            agent=self._site.agent,
            provider=self._provider,
            model=response.model,
            usage=response.usage,
            money=money,
            response_id=response.response_id,
            estimated=response.usage_estimated,
        )

    def _repetition(self) -> tuple[NewEvent, ...]:
        if self._reservation is None or not self._reservation.repeated:
            return ()
        data: JsonObject = {
            **self._about(),
            "turn": self._reservation.turn,
            "reason": "the call was sent before a crash and its answer was lost; it may have been billed twice",
        }
        return (NewEvent("model.repeated", data),)

    def _about(self) -> JsonObject:
        return {
            "model": f"{self._provider}:{self._request.model}",
            "agent": self._site.agent,
            "attempt": self._site.attempt,
        }

    def _called(self, response: ModelResponse, money: Money | None) -> JsonObject:
        usage = response.usage
        return {
            **self._about(),
            "input_tokens": usage.input_tokens,
            "output_tokens": usage.output_tokens,
            "usage": usage.to_json(),
            "usage_estimated": response.usage_estimated,
            "usd": float(money.as_usd) if money is not None else None,
            "scripted": self._provider == "scripted",
            "latency_ms": self._elapsed_ms(),
            "finish_reason": response.finish_reason,
            "request": self._shape(),
            "gen_ai": _attributes(self._provider, self._request, response, self._site.agent),
        }

    def _failed(self, error: MosaicError) -> JsonObject:
        failed: JsonObject = {**self._about(), "error": error.to_json(), "latency_ms": self._elapsed_ms()}
        if self._unconfirmed != ZERO:
            failed["unconfirmed_usd"] = float(self._unconfirmed.as_usd)
        return failed

    def _shape(self) -> JsonObject:
        """Return the prompt's size and hash: what the model was asked is not in the event itself."""
        return {
            "messages": len(self._request.messages),
            "tools": len(self._request.tools),
            "estimated_input_tokens": self._input_tokens,
            "max_output_tokens": self._request.max_output_tokens,
            "hash": _hash(self._given),
        }

    def _elapsed_ms(self) -> int:
        return round((monotonic() - self._started) * 1000)


def _hash(request: ModelRequest) -> str:
    """Return a hash of what decides the answer; text of any kind has one, lone surrogates included."""
    return "sha256:" + hashlib.sha256(json.dumps(request.to_json(), sort_keys=True).encode()).hexdigest()


def _attributes(
    provider: str, request: ModelRequest, response: ModelResponse, agent: str | None
) -> dict[str, Any]:
    """Return the call as OpenTelemetry's GenAI attributes."""
    return {
        "gen_ai.operation.name": "chat",
        "gen_ai.provider.name": provider,
        "gen_ai.request.model": request.model,
        "gen_ai.request.max_tokens": request.max_output_tokens,
        "gen_ai.response.model": response.model,
        "gen_ai.response.id": response.response_id,
        "gen_ai.response.finish_reasons": [response.finish_reason],
        **usage_attributes(response.usage),
        "gen_ai.agent.name": agent,
    }
