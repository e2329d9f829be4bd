"""The model door for calls from outside: quota, route, cache, budget, attempts, record."""

from mosaic.core.errors import MosaicError, PermissionDenied, Unavailable
from mosaic.inference.answers import KnownAnswers
from mosaic.inference.door_call import Answer, DoorCall
from mosaic.inference.door_rooms import DoorRooms
from mosaic.inference.failover import fails_over, for_client, is_our_affair, may_have_acted, unknown_outcome
from mosaic.inference.hedging import Hedges
from mosaic.inference.passage import Passage
from mosaic.inference.sending import Sending
from mosaic.inference.shadowing import Shadows
from mosaic.inference.similar import SimilarAnswers
from mosaic.routing import Decision, RouteRequest, Target

__all__ = ["OPERATIONS", "ModelDoor"]

OPERATIONS = {
    "openai.chat": "chat",
    "openai.responses": "chat",
    "anthropic.messages": "chat",
    "openai.embeddings": "embed",
    "anthropic.count_tokens": "count_tokens",
}
"""What each wire is for: a key's scope, and what rules match as the operation."""
_MOSTLY = 0.5
_EMBEDDINGS = frozenset({"embeddings"})


class ModelDoor:
    """Every call of a model that comes from outside passes here."""

    def __init__(self, rooms: DoorRooms) -> None:
        self._rooms = rooms
        self._known = KnownAnswers(rooms, SimilarAnswers(rooms, rooms.similar))
        self._sending = Sending(rooms)
        self._hedges = Hedges(self._sending)
        self._shadows = Shadows(rooms, self._sending)

    @property
    def is_traced(self) -> bool:
        """Whether spans are made of calls."""
        return self._rooms.telemetry is not None

    async def open(self, call: DoorCall) -> Answer:
        """Return the answer to a call; a stream's end settles it.

        Raises:
            LimitExceeded: if a quota is used up, or too many calls are open.
            PermissionDenied: if the key may not use the route that the request leads to.
            BudgetExceeded: if a budget has no room; nothing was sent.
            NotFound: if no route and no model has the name.
            Unavailable: if no target can take it now.
            MosaicError: the last target's error.
        """
        rooms = self._rooms
        quota = rooms.enter(call)
        try:
            decision = self._decide(_asked(call))
            _permit(call, decision)
        except BaseException:
            quota.leave(0)
            rooms.left()
            raise
        passage = Passage(rooms, call, decision, quota)
        try:
            if decision.policy.cache_ttl_s and call.codec.name != "anthropic.count_tokens":
                answer = await self._known.answer(passage, lambda: self._ask(passage, decision))
            else:
                answer = await self._ask(passage, decision)
        except MosaicError as error:
            passage.failed(error)
            if is_our_affair(error):
                raise for_client(error) from error
            raise
        except BaseException:
            passage.abandoned()
            raise
        if decision.shadow and not call.peek.acts:
            self._shadows.start(call, decision)
        return answer

    def forget(self) -> None:
        """Look up again what is remembered of targets: providers or routes have changed."""
        self._rooms.forget()

    async def close(self) -> None:
        """Stop what goes on in the background."""
        await self._shadows.close()
        await self._known.close()
        if self._rooms.captures is not None:
            await self._rooms.captures.close()

    def _decide(self, request: RouteRequest) -> Decision:
        """Return where a call goes: where nobody is well, to those who failed, rather than nowhere."""
        try:
            return self._rooms.router.decide(request)
        except Unavailable:
            with self._rooms.guards.forgiving():
                return self._rooms.router.decide(request)

    async def _ask(self, passage: Passage, decision: Decision) -> Answer:
        """Ask the candidates in order until one answers; when none does, those that rest after failures."""
        failure: MosaicError | None = None
        guards, retries = self._rooms.guards, self._rooms.retries
        attempts = decision.policy.attempts or self._rooms.settings.attempts
        waiting = [ranked.target for ranked in decision.candidates]
        resting = self._resting(decision) if decision.rejected else []
        while (waiting or resting) and passage.tried < attempts:
            anyway = not waiting
            target = (waiting or resting).pop(0)
            free = guards.may_probe(target) if anyway else failure is None or self._answers(target)
            if not free and not retries.take():
                passage.skipped(target, "the retry budget is used up")
                break
            refusal = guards.admit(target, anyway=anyway)
            if refusal is not None:
                passage.skipped(target, refusal)
                if not anyway and guards.is_open(target.id):
                    resting.append(target)
                continue
            try:
                if decision.policy.hedge_after_s is not None and not passage.call.peek.acts:
                    return await self._hedges.send(passage, target, waiting)
                return await self._sending.send(passage, target)
            except MosaicError as error:
                # Without its traceback: with it, the error would hold this frame and this frame the error, and with them the
                # request's body, until somebody collects garbage.
                failure = error.with_traceback(None)
                if passage.call.peek.acts and may_have_acted(error):
                    raise unknown_outcome(error) from error
                if not fails_over(error):
                    break
        if failure is None:
            failure = _nobody(passage)
        try:
            raise failure
        finally:
            failure = None

    def _answers(self, target: Target) -> bool:
        """Say whether a target mostly answers, so that it can take what others failed to answer.

        Asking those who fail may be what keeps them down: that has a budget.
        """
        return self._rooms.live.of(target.id).error_rate < _MOSTLY

    def _resting(self, decision: Decision) -> list[Target]:
        """Return the targets that were left out for their failures, without those that asked for rest."""
        live = self._rooms.live
        now = live.clock()
        found = (entry.target for entry in decision.rejected if entry.constraint == "resting")
        return [target for target in found if live.of(target.id).retry_at <= now]


def _asked(call: DoorCall) -> RouteRequest:
    peek, payer = call.peek, call.payer
    metadata = peek.metadata
    return RouteRequest(
        kind="ai",
        name=peek.model,
        tenant=payer.tenant,
        project=payer.project,
        operation=OPERATIONS[call.codec.name],
        key_id=payer.key_id,
        agent=payer.agent,
        needs=_EMBEDDINGS if call.codec.name == "openai.embeddings" else frozenset(peek.needs),
        input_tokens=peek.input_tokens,
        max_output_tokens=peek.max_tokens or 0,
        privacy="strict" if metadata and metadata.get("privacy") == "strict" else "any",
        attributes=metadata,
        session=call.session,
        request_id=call.request_id,
    )


def _permit(call: DoorCall, decision: Decision) -> None:
    if call.key is None or call.key.admits_route(decision.route):
        return
    where = f"the route {decision.route!r}" if decision.route else "models without a route"
    raise PermissionDenied(f"This key may not use {where}.", hint="Ask for a key whose routes include it.")


def _nobody(passage: Passage) -> MosaicError:
    reasons = "; ".join(f"{attempt['target']}: {attempt['skipped']}" for attempt in passage.attempts)
    return Unavailable(
        f"No target of {passage.decision.route or passage.call.peek.model!r} takes requests now ({reasons}).",
        hint="Try again in a moment; `mosaic providers list` says who is in trouble.",
        retry_after_s=passage.rooms.guards.next_chance_s(passage.decision),
    )
