"""What is asked of models besides answers: vectors, and how many tokens a request takes. Through our own words."""

from dataclasses import replace
from typing import Any

from mosaic.core.errors import Unsupported
from mosaic.inference.attempt import Attempt
from mosaic.inference.door_call import Answer
from mosaic.inference.passage import Passage
from mosaic.inference.telling import told
from mosaic.inference.translation import foreign_code
from mosaic.providers import Embedder, ModelRequest, TokenCounter, Usage, estimate_tokens

__all__ = ["count_tokens", "embed"]


async def embed(passage: Passage, attempt: Attempt, provider: Any) -> Answer:
    """Return the vectors of the passage's texts.

    Raises:
        Unsupported: if the provider makes none.
        MosaicError: if it did not answer.
    """
    target, codec = attempt.target, passage.call.codec
    if not isinstance(provider, Embedder):
        raise Unsupported(
            f"{target.provider} makes no embeddings.",
            hint="Name a model for embeddings, such as openai:text-embedding-3-small.",
            provider=target.provider,
        )
    asked = codec.read_request(passage.call.body)
    request = replace(
        asked.request,
        model=target.model or asked.request.model,
        timeout_s=attempt.decision.policy.total_s or passage.rooms.settings.timeouts.total_s,
    )
    with foreign_code(target.provider):
        response = await provider.embed(request)
    attempt.first_byte()
    nanos = passage.answered(
        attempt,
        None if response.usage_estimated else response.usage,
        estimate=response.usage,
        model=response.model,
        response_id=None,
        finish_reason=None,
    )
    return Answer(told(passage, nanos), codec.write_response(response, asked))


async def count_tokens(passage: Passage, attempt: Attempt, provider: Any) -> Answer:
    """Return how many input tokens the passage's request takes, by the vendor's count where it has one."""
    target, codec = attempt.target, passage.call.codec
    asked = codec.read_request(passage.call.body)
    request: ModelRequest = replace(asked.request, model=target.model or asked.request.model)
    counted: int | None = None
    if isinstance(provider, TokenCounter):
        with foreign_code(target.provider):
            try:
                counted = await provider.count_tokens(request)
            except Unsupported:
                counted = None
    attempt.first_byte()
    passage.answered(attempt, Usage(), estimate=Usage(), model=None, response_id=None, finish_reason=None)
    total = counted if counted is not None else estimate_tokens(request)
    headers = (
        told(passage, 0) if counted is not None else (*told(passage, 0), (b"x-mosaic-estimated", b"true"))
    )
    return Answer(headers, codec.write_response(total, asked))
