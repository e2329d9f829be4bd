"""POST /embeddings, of OpenAI and compatible servers."""

import base64
import struct
from collections.abc import Sequence
from typing import Any

from mosaic.core.values import JsonObject
from mosaic.providers.adapter import HttpAdapter, joined_embeddings, reading
from mosaic.providers.ai import Usage
from mosaic.providers.embeddings import EmbeddingRequest, EmbeddingResponse

__all__ = ["OpenAiEmbeddings"]

_INPUTS_AT_ONCE = 2048
_FLOAT_BYTES = 4


class OpenAiEmbeddings(HttpAdapter):
    """Vectors of texts."""

    async def embed(self, request: EmbeddingRequest) -> EmbeddingResponse:
        """Return one vector for each text, in order. The API does not ask what the vectors are for."""
        return await joined_embeddings(request, self._embed_some, at_once=_INPUTS_AT_ONCE)

    async def _embed_some(self, request: EmbeddingRequest, timeout_s: float) -> EmbeddingResponse:
        body: JsonObject = {
            "model": request.model,
            "input": list(request.inputs),
            "encoding_format": "float",
        }
        if request.dimensions is not None:
            body["dimensions"] = request.dimensions
        answer = await self._http.post("/embeddings", body, timeout_s=timeout_s)
        with reading(self.name):
            entries = sorted(answer["data"], key=lambda entry: entry["index"])
            usage = answer.get("usage")
            return EmbeddingResponse(
                vectors=tuple(_vector(entry["embedding"]) for entry in entries),
                model=answer.get("model") or request.model,
                provider=self.name,
                usage=Usage(input_tokens=int(usage["prompt_tokens"])) if usage else Usage(),
                usage_estimated=not usage,
            )


def _vector(shown: Sequence[Any] | str) -> tuple[float, ...]:
    """Return the numbers; some servers send base64 whatever they are asked."""
    if isinstance(shown, str):
        raw = base64.b64decode(shown)
        return struct.unpack(f"<{len(raw) // _FLOAT_BYTES}f", raw)
    return tuple(float(number) for number in shown)
