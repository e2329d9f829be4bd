"""What every adapter does alike once its vendor's body is translated."""

import asyncio
import hashlib
from collections.abc import Awaitable, Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from typing import Any, ClassVar

from mosaic.core.errors import (
    ContractViolation,
    InvalidInput,
    ModelRefused,
    MosaicError,
    PermissionDenied,
    Unauthenticated,
)
from mosaic.providers.ai import ModelRequest, ModelResponse, Part, ToolCallPart, Usage
from mosaic.providers.embeddings import EmbeddingRequest, EmbeddingResponse
from mosaic.providers.http import ProviderHttp
from mosaic.providers.interfaces import ProviderHealth, Wire, WireEndpoint
from mosaic.providers.tokens import estimate_text, estimate_tokens

__all__ = [
    "CallIds",
    "HttpAdapter",
    "call_ids",
    "estimated_usage",
    "health_of",
    "joined_embeddings",
    "reading",
    "refused",
]


class HttpAdapter:
    """What adapters over HTTP share: a name that whoever configures them may change, connections, wires.

    Attributes:
        wires: the gateway's wires that the vendor speaks itself, with their paths below the base address.
    """

    wires: ClassVar[Mapping[Wire, str]] = {}

    def __init__(self, http: ProviderHttp) -> None:
        self._http = http
        self._endpoints: dict[Wire, WireEndpoint] = {}

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self._http.address!r})"

    @property
    def name(self) -> str:
        """The instance's name, in errors, answers and endpoints; the plugin's id unless someone sets another."""
        return self._http.provider

    @name.setter
    def name(self, name: str) -> None:
        self._http.provider = name
        self._endpoints.clear()

    def endpoint(self, wire: Wire, model: str, *, stream: bool) -> WireEndpoint | None:  # noqa: ARG002 - one address serves all
        """Return where a request of `wire` goes as it is; None when this provider does not speak it. No I/O."""
        known = self._endpoints.get(wire)
        if known is None and (path := self.wires.get(wire)) is not None:
            known = self._endpoints[wire] = self._http.endpoint(path)
        return known

    async def close(self) -> None:
        """Close the connections."""
        await self._http.close()


@contextmanager
def reading(provider: str) -> Iterator[None]:
    """Turn a surprise in a vendor's body into a ContractViolation that names the vendor."""
    try:
        yield
    except (KeyError, IndexError, TypeError, AttributeError, ValueError) as error:
        raise ContractViolation(
            f"{provider} answered outside its own protocol ({type(error).__name__}: {error}).",
            provider=provider,
        ) from error


class CallIds:
    """Gives every tool call of one answer an id of its own: some servers give none, or one twice.

    What is given depends on `seed` and the calls' order alone, so a streamed answer and a whole one agree.
    """

    def __init__(self, seed: str) -> None:
        self._seed = seed
        self._seen: set[str] = set()
        self._count = 0

    def next(self, given: str | None) -> str:
        """Return the id of the next call, the server's own where it is one."""
        number, self._count = self._count, self._count + 1
        if not given or given in self._seen:
            given = f"call_{hashlib.sha256(self._seed.encode()).hexdigest()[:12]}_{number}"
        self._seen.add(given)
        return given


def call_ids(parts: list[Part], *, seed: str) -> tuple[Part, ...]:
    """Return `parts` with an id for every tool call, each its own."""
    ids = CallIds(seed)
    return tuple(
        ToolCallPart(ids.next(part.id), part.name, part.arguments) if isinstance(part, ToolCallPart) else part
        for part in parts
    )


def estimated_usage(request: ModelRequest, parts: tuple[Part, ...]) -> Usage:
    """Return what an answer probably used, for a server that does not say."""
    written = sum(estimate_text(str(part.to_json())) for part in parts)
    return Usage(input_tokens=estimate_tokens(request), output_tokens=written)


async def joined_embeddings(
    request: EmbeddingRequest,
    embed: Callable[[EmbeddingRequest, float], Awaitable[EmbeddingResponse]],
    *,
    at_once: int,
) -> EmbeddingResponse:
    """Embed a request's texts some at a time, within its one time limit.

    Args:
        request: what to embed.
        embed: sends one part; takes the seconds that are left.
        at_once: the most texts that the vendor takes in one request.

    Raises:
        ContractViolation: if the vendor answers with more or fewer vectors than there are texts.
        MosaicError: as `embed` does; what was embedded before is lost.
    """
    clock = asyncio.get_running_loop().time
    deadline = clock() + request.timeout_s
    answers: list[EmbeddingResponse] = []
    for start in range(0, len(request.inputs), at_once):
        inputs = request.inputs[start : start + at_once]
        answer = await embed(replace(request, inputs=inputs), max(deadline - clock(), 0.001))
        if len(answer.vectors) != len(inputs):
            raise ContractViolation(
                f"{answer.provider} sent {len(answer.vectors)} vectors for {len(inputs)} texts.",
                provider=answer.provider,
            )
        if answer.usage_estimated:
            read = sum(estimate_text(text) for text in inputs)
            answer = replace(answer, usage=Usage(input_tokens=read))
        answers.append(answer)
    if not answers:
        raise InvalidInput("There is no text to embed.")
    return replace(
        answers[0],
        vectors=tuple(vector for answer in answers for vector in answer.vectors),
        usage=sum((answer.usage for answer in answers), Usage()),
        usage_estimated=any(answer.usage_estimated for answer in answers),
    )


def refused(response: ModelResponse, words: str) -> ModelRefused:
    """Return the error for a declined answer; it carries the usage, because a refusal is billed too."""
    said = words.strip() or "it gave no reason"
    return ModelRefused(
        f"{response.provider}:{response.model} declined to answer: {said[:500]}",
        hint="Rephrase the task, or name another model.",
        provider=response.provider,
        model=response.model,
        reason=response.finish_reason,
        response_id=response.response_id,
        usage=response.usage.to_json(),
    )


def health_of(error: MosaicError, provider: str) -> ProviderHealth:
    """Return what a failed check says about a provider."""
    status: Any = "refused" if isinstance(error, Unauthenticated | PermissionDenied) else "unreachable"
    return ProviderHealth(provider, status, error.message, error.hint)
