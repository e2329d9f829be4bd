"""What agents' calls share with those from outside: routes, live figures, breakers."""

from time import monotonic

from mosaic.core.context import Context
from mosaic.core.errors import MosaicError
from mosaic.inference.guards import Guards
from mosaic.providers import ModelRequest, UriPart, estimate_tokens
from mosaic.providers.parts import BlobPart
from mosaic.routing import Decision, LiveStats, Outcome, Router, RouteRequest, Target

__all__ = ["ROUTE", "Observation", "Traffic"]

ROUTE = "route"
"""Stands in a model's reference where the provider's name stands, when a route is meant: ``route:<name>``."""


class Observation:
    """One attempt of an agent at a target, seen by breakers and live figures. `end` it, once."""

    __slots__ = ("_admitted", "_started", "_target", "_traffic")

    def __init__(self, traffic: "Traffic", target: Target | None) -> None:
        self._traffic = traffic
        self._target = target
        # An agent without another model to turn to is not refused: its own retries pace it.
        self._admitted = target is not None and traffic.guards.admit(target) is None
        self._started = monotonic()
        if target is not None:
            traffic.live.begin(target.id)

    def end(self, error: MosaicError | None = None, *, left: bool = False) -> None:
        """Note how it ended; `left` when the caller broke it off."""
        target, self._target = self._target, None
        if target is None:
            return
        wait_s = error.data.get("retry_after_s") if error is not None else None
        retry_at = self._traffic.live.clock() + wait_s if isinstance(wait_s, int | float) else None
        outcome = Outcome(
            error is None and not left,
            monotonic() - self._started,
            error_code=error.code if error is not None else None,
            retry_at=retry_at,
        )
        self._traffic.live.end(target.id, outcome)
        if self._admitted:
            self._traffic.guards.ended(target, outcome, error)


class Traffic:
    """Routes and the state of their targets."""

    def __init__(self, router: Router, guards: Guards) -> None:
        self.router = router
        self.live: LiveStats = router.live
        self.guards = guards

    def has_route(self, name: str) -> bool:
        """Say whether there is a route of models with this name."""
        route = self.router.settings.routes.get(name)
        return route is not None and route.kind == "ai"

    def decide(
        self,
        ctx: Context,
        name: str,
        *,
        request: ModelRequest | None = None,
        agent: str | None,
        call: str = "",
    ) -> Decision:
        """Return where a route sends an agent's call now.

        Raises:
            MosaicError: as `Router.decide`.
        """
        return self.router.decide(
            RouteRequest(
                kind="ai",
                name=name,
                tenant=ctx.tenant,
                project=ctx.project,
                operation="chat",
                agent=agent,
                needs=_needs(request) if request is not None else frozenset(),
                input_tokens=estimate_tokens(request) if request is not None else 0,
                max_output_tokens=(request.max_output_tokens or 0) if request is not None else 0,
                session=f"{ctx.correlation or ''}/{agent or ''}",
                request_id=call,
            )
        )

    def targets_of(self, name: str) -> tuple[Target, ...]:
        """Return the targets that a route names itself, those that cannot be used left out."""
        route = self.router.settings.routes[name]
        return self.router.targets.picked(route.targets, route.kind)

    def observe(self, reference: str) -> Observation:
        """Begin to observe an attempt at ``<provider>:<model>``."""
        return Observation(self, self.router.targets.get(reference))


def _needs(request: ModelRequest) -> frozenset[str]:
    needs = {"tools"} if request.tools else set()
    for message in request.messages:
        for part in message.parts:
            if isinstance(part, BlobPart | UriPart):
                needs.add(
                    "vision" if part.modality == "image" else f"{part.modality}s".replace("audios", "audio")
                )
    return frozenset(needs & {"tools", "vision", "audio", "documents"})
