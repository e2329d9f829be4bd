"""Answers to similar questions, for routes and tenants that want them; their vectors are paid for like any other call."""

from collections.abc import Sequence
from fnmatch import fnmatchcase
from time import monotonic
from typing import Any
from uuid import uuid4

from mosaic.cache import CachePolicy, Found, Question, SemanticCache, read_question
from mosaic.core.errors import BudgetExceeded, MosaicError, NotFound, Unsupported
from mosaic.cost import LedgerEntry, Payer
from mosaic.inference.door_call import DoorCall
from mosaic.inference.door_rooms import DoorRooms, SimilarSettings
from mosaic.providers import Embedder, EmbeddingRequest, Usage
from mosaic.routing import Target

__all__ = ["SimilarAnswers"]

_OPERATION = "cache.embed"
_CHARACTERS_PER_TOKEN = 3
_MOST_PROJECTS = 1_000


class SimilarAnswers:
    """Finds answers to similar questions; each project of a tenant pays for the vectors of its own questions."""

    def __init__(self, rooms: DoorRooms, settings: SimilarSettings) -> None:
        self._rooms = rooms
        self._settings = settings
        self._projects: dict[tuple[str, str], SemanticCache] = {}
        self._wanted: dict[str, bool] = {}

    def question(self, call: DoorCall, key: str, route: str) -> Question | None:
        """Return what a call asks, or None when its answer must not be shared by similarity.

        Args:
            call: the call.
            key: the one that its answer is kept under.
            route: where it goes.
        """
        tenant = call.payer.tenant
        if not self._wants(tenant):
            return None
        found = read_question(call.codec.name, call.body, tenant=tenant, route=route)
        return found if found is not None and found.key == key else None

    async def find(self, call: DoorCall, question: Question, policy: CachePolicy) -> Found | None:
        """Return the answer of the most similar question, if it is similar enough. Never fails."""
        return await self._of(call.payer).find(question, policy)

    async def remember(self, call: DoorCall, question: Question, policy: CachePolicy) -> None:
        """Let others find the answer that is kept under the question's key. Never fails."""
        await self._of(call.payer).remember(question, policy)

    @property
    def similarity(self) -> float:
        """How alike questions must be."""
        return self._settings.similarity

    def _wants(self, tenant: str) -> bool:
        wanted = self._wanted.get(tenant)
        if wanted is None:
            settings = self._settings
            wanted = settings.embedder is not None and any(
                fnmatchcase(tenant, one) for one in settings.tenants
            )
            self._wanted[tenant] = wanted
        return wanted

    def _of(self, payer: Payer) -> SemanticCache:
        place = (payer.tenant, payer.project)
        found = self._projects.get(place)
        if found is None:
            if len(self._projects) >= _MOST_PROJECTS:
                self._projects.clear()

            async def embed(texts: Sequence[str]) -> Sequence[Sequence[float]]:
                return await self._embed(Payer(*place), texts)

            found = SemanticCache(self._rooms.cache, embed, timeout_s=self._settings.timeout_s)
            self._projects[place] = found
        return found

    async def _embed(self, payer: Payer, texts: Sequence[str]) -> Sequence[Sequence[float]]:
        """Return vectors; budgets hold for them as for any call, and the ledger names them."""
        rooms, target = self._rooms, self._target()
        price = rooms.price_of(target, payer.tenant)
        most = sum(len(text) for text in texts) // _CHARACTERS_PER_TOKEN + len(texts)
        hold = None
        if rooms.budgets.limited(payer):
            nanos = price.most(most, 0) if price is not None else None
            hold = rooms.budgets.try_hold(payer, nanos, most) or await rooms.budgets.hold(payer, nanos, most)
        started, used, spent, estimated, outcome = monotonic(), Usage(), 0, False, "ok"
        try:
            with rooms.providers.lease(target.provider) as provider:
                response = await _vectors(provider, target, tuple(texts), self._settings.timeout_s)
            used, estimated = response.usage, response.usage_estimated
            spent = (price.of(used) or 0) if price is not None else 0
            return list(response.vectors)
        except MosaicError as error:
            outcome = error.code
            raise
        finally:
            if hold is not None:
                rooms.budgets.settle(hold, spent, used.total_tokens)
            if outcome != BudgetExceeded.code:
                rooms.ledger.record(
                    LedgerEntry(
                        payer=payer, call_key=f"emb_{uuid4().hex}", operation=_OPERATION, route=None,
                        provider=target.provider, model=target.model or "", usage=used,
                        nanos=spent if price is not None else None, estimated=estimated,
                        latency_ms=round((monotonic() - started) * 1000), outcome=outcome,
                    )
                )  # fmt: skip

    def _target(self) -> Target:
        reference = self._settings.embedder or ""
        target = self._rooms.router.targets.get(reference)
        if target is None:
            raise NotFound(
                f"There is no model {reference!r} for the vectors of similar questions.",
                hint="Name one in `cache.semantic.embedder`, as provider:model.",
            )
        return target


async def _vectors(provider: Any, target: Target, texts: tuple[str, ...], timeout_s: float) -> Any:
    if not isinstance(provider, Embedder):
        raise Unsupported(f"{target.provider} makes no embeddings.", provider=target.provider)
    return await provider.embed(EmbeddingRequest(target.model or "", texts, timeout_s=timeout_s))
