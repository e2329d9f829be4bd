"""The model door: every call that spends tokens passes here."""

import logging
from collections.abc import Callable, Sequence
from dataclasses import replace
from time import monotonic
from typing import Any

from mosaic.core.errors import InvalidInput, MosaicError
from mosaic.cost import Cost
from mosaic.engine import EffectCall, Effects, Outcome, RetryPolicy, Safety
from mosaic.events import NewEvent
from mosaic.inference.call import CallSite, ModelAttempt
from mosaic.inference.choice import ModelChoice
from mosaic.inference.reference import split_reference
from mosaic.inference.settings import InferenceSettings
from mosaic.inference.traffic import ROUTE, Traffic
from mosaic.observability import CallTrace, Telemetry
from mosaic.providers import (
    Delta,
    ModelCapabilities,
    ModelInfo,
    ModelRequest,
    ModelResponse,
    ProviderHealth,
    ProviderRegistry,
)

__all__ = ["Inference"]

_log = logging.getLogger(__name__)

# Errors of one provider that say nothing against another: the call was certainly not answered and, but for a key or
# a name, would have been right.
_NOT_ITS_FAULT = frozenset({"unauthenticated", "permission_denied", "not_found"})


class Inference:
    """Budget, model, call, record: in this order, for every call.

    Attributes:
        traffic: routes and breakers that are shared with calls from outside; None where there are none.
    """

    def __init__(
        self,
        providers: ProviderRegistry,
        cost: Cost,
        settings: InferenceSettings | None = None,
        *,
        traffic: Traffic | None = None,
        telemetry: Telemetry | None = None,
    ) -> None:
        self._registry = providers
        self._telemetry = telemetry
        self._cost = cost
        self._settings = settings or InferenceSettings()
        self.traffic = traffic
        self._choice = ModelChoice(providers, self._settings, traffic)

    async def resolve(self, candidates: Sequence[str] = ()) -> str:
        """Return the first candidate that can be used now, as ``<provider>:<model>``.

        A candidate is ``provider:model``, a provider's id alone (then it chooses its model), the name of a route, or
        ``default`` for the installation's order of preference, which is also what no candidates mean. A route is
        answered as ``route:<name>``. The answer depends on keys and on who is reachable, so a handler records it
        (`Effects.remember`).

        Raises:
            NotFound: if none can be used; the message says why for each, the hint which variables to set.
            InvalidInput: if a candidate names no provider.
        """
        return await self._choice.resolve(candidates)

    def capabilities(self, model: str) -> ModelCapabilities:
        """Return what ``<provider>:<model>`` can do.

        Raises:
            NotFound: if there is no such provider.
            InvalidInput: if the reference is not one.
        """
        provider, name = split_reference(model)
        if provider == ROUTE and self.traffic is not None:
            return self._choice.of_route(name or "")
        return self._registry.ai(provider).capabilities(name or "")

    async def complete(
        self,
        effects: Effects,
        name: str,
        request: ModelRequest,
        *,
        model: str | Sequence[str],
        agent: str | None = None,
        on_delta: Callable[[Delta], None] | None = None,
        retry: RetryPolicy | None = None,
    ) -> ModelResponse:
        """Return a model's answer: from the journal when this call was answered before, else from the model.

        The call is one effect for each attempt, ``<name>/<attempt>``; those at a fallback model are
        ``<name>/fallback<n>/<attempt>``. Before it is sent, the most it can cost is set aside from the run's
        budget; the answer, its cost and its event are recorded in one transaction. A model call changes nothing
        but the bill, so after a crash it is sent again and ``model.repeated`` is journaled.

        Args:
            effects: the step's effects.
            name: unique at the step's path.
            request: what to ask; its `model` is replaced by the chosen model's name.
            model: one ``<provider>:<model>``, or several: the next is used when one cannot answer.
            agent: who asks, for the ledger.
            on_delta: called with each piece while the answer streams. Pieces are not recorded: a replay gives none,
                and a second attempt starts from the beginning. What it raises is logged and ends the pieces.
            retry: in place of the settings' policy.

        Raises:
            BudgetExceeded: if the run's budget has no room; nothing was sent.
            MosaicError: the last model's last error, as `AiProvider.complete` names them.
        """
        named = (model,) if isinstance(model, str) else tuple(model)
        if not named:
            raise InvalidInput("No model is named for this call.")
        candidates = await self._expanded(effects, name, request, named, agent)
        show = _guarded(on_delta)
        if self._telemetry is None:
            return await self._first_of(effects, name, request, candidates, agent, show, retry)
        trace = CallTrace("chat", " ".join(named), monotonic(), _whose(effects, agent))
        try:
            return await self._first_of(effects, name, request, candidates, agent, show, retry, trace)
        except MosaicError as error:
            trace.error = error.code
            raise
        finally:
            if trace.attempts:  # an answer from the journal was asked for by nobody
                self._telemetry.record(trace)

    async def _first_of(
        self,
        effects: Effects,
        name: str,
        request: ModelRequest,
        candidates: Sequence[str],
        agent: str | None,
        show: Callable[[Delta], None] | None,
        retry: RetryPolicy | None,
        trace: CallTrace | None = None,
    ) -> ModelResponse:
        """Return the first candidate's answer, or that of the next when it cannot answer."""
        for place, reference in enumerate(candidates):
            is_last = place == len(candidates) - 1
            policy = retry or (self._settings.retry if is_last else self._settings.retry_with_fallback)
            step = name if place == 0 else f"{name}/fallback{place}"
            try:
                return await self._complete_with(
                    effects, step, request, reference, agent, show, policy, trace
                )
            except MosaicError as error:
                if is_last or not _fails_over(error):
                    raise
                _log.info("%s cannot answer (%s); trying %s", reference, error.code, candidates[place + 1])
        raise AssertionError("unreachable")

    async def _expanded(
        self, effects: Effects, name: str, request: ModelRequest, named: Sequence[str], agent: str | None
    ) -> list[str]:
        """Return the references with each route replaced by its targets, best first; decided once, and recorded."""
        found: list[str] = []
        for place, reference in enumerate(named):
            provider, route = split_reference(reference)
            if provider == ROUTE and route is not None and self.traffic is not None:
                found += await self._routed(
                    self.traffic, effects, f"{name}/route{place}", request, route, agent
                )
            else:
                found.append(reference)
        return found

    async def _routed(
        self,
        traffic: Traffic,
        effects: Effects,
        key: str,
        request: ModelRequest,
        route: str,
        agent: str | None,
    ) -> list[str]:
        async def decide(_call: EffectCall) -> Outcome:
            call = f"{effects.run_id}/{effects.key(key)}"
            decision = traffic.decide(effects.ctx, route, request=request, agent=agent, call=call)
            targets = [ranked.target.id for ranked in decision.candidates]
            return Outcome(targets, events=(NewEvent("model.routed", decision.to_json()),))

        targets = await effects.effect(key, decide, safety=Safety.REPEATABLE)
        if not isinstance(targets, list):
            raise TypeError("a route's targets are recorded as a list")
        return [str(target) for target in targets]

    async def _complete_with(
        self,
        effects: Effects,
        step: str,
        request: ModelRequest,
        reference: str,
        agent: str | None,
        on_delta: Callable[[Delta], None] | None,
        policy: RetryPolicy,
        trace: CallTrace | None,
    ) -> ModelResponse:
        provider, vendor_model = split_reference(reference)
        if vendor_model is None:
            raise InvalidInput(f"{reference!r} names no model.", hint="Resolve it first.")
        asked = replace(request, model=vendor_model)

        async def attempt(number: int) -> ModelResponse:
            name = f"{step}/{number}"
            site = CallSite(effects.ctx, effects.run_id, effects.path, effects.key(name), agent, number)
            made = ModelAttempt(
                site,
                asked,
                provider=provider,
                registry=self._registry,
                cost=self._cost,
                settings=self._settings,
                on_delta=on_delta,
                traffic=self.traffic,
                trace=trace,
            )
            result = await effects.effect(
                name, made.run, safety=Safety.REPEATABLE, events_on_error=made.failure_events
            )
            if not isinstance(result, dict):
                raise TypeError("a model call is recorded as an object")
            return ModelResponse.from_json(result)

        return await effects.retrying(step, attempt, policy)

    async def models(self) -> list[ModelInfo]:
        """Return the models of every provider that can be used now; one that does not answer is left out."""
        found: list[ModelInfo] = []
        for name in self._registry.names():
            if not (await self._registry.health(name)).usable:
                continue
            try:
                found += await self._registry.ai(name).models()
            except MosaicError as error:
                _log.info("no models from %s: %s", name, error.message)
        return found

    async def health(self, *, thorough: bool = False) -> list[ProviderHealth]:
        """Return the health of every provider; `thorough` sends a small request to each that is configured."""
        return [await self._registry.health(name, thorough=thorough) for name in self._registry.names()]


def _whose(effects: Effects, agent: str | None) -> dict[str, Any]:
    ctx = effects.ctx
    return {
        "gen_ai.agent.name": agent,
        "gen_ai.conversation.id": effects.run_id,
        "mosaic.tenant": ctx.tenant,
        "mosaic.project": ctx.project,
        "mosaic.path": effects.path,
    }


def _fails_over(error: MosaicError) -> bool:
    unsent_timeout = error.code == "timed_out" and error.data.get("sent") is False
    return error.failover_safe or error.code in _NOT_ITS_FAULT or unsent_timeout


def _guarded(on_delta: Callable[[Delta], None] | None) -> Callable[[Delta], None] | None:
    """Return the callback with its failures kept from the call: a broken display must not lose a paid answer."""
    if on_delta is None:
        return None
    broken = False

    def show(delta: Delta) -> None:
        nonlocal broken
        if broken:
            return
        try:
            on_delta(delta)
        except Exception:  # noqa: BLE001  # anyone's callback; logged, and the paid answer goes on
            broken = True
            _log.exception("showing a streamed answer failed")

    return show
