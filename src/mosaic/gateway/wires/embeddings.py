"""POST /v1/embeddings: a client's body in our own words, and the vectors as it expects them."""

import base64
import sys
from array import array
from typing import Any

from mosaic.core.errors import Unsupported
from mosaic.gateway.wires.encoding import as_json
from mosaic.gateway.wires.members import invalid
from mosaic.gateway.wires.reading import choice, optional_text, read_body, sequence, text_at, whole_number
from mosaic.gateway.wires.schemas import AskedEmbeddings
from mosaic.providers import EmbeddingRequest, EmbeddingResponse

__all__ = ["read_embeddings_request", "write_embeddings_response"]

_INPUTS_LIMIT = 2048
_DIMENSIONS_LIMIT = 65_536


def read_embeddings_request(body: bytes) -> AskedEmbeddings:
    """Return what a client asks for.

    Raises:
        InvalidInput: if it is not a request for embeddings, with the path of what is wrong.
        Unsupported: if the texts are already cut into the tokens of OpenAI's models.
    """
    shown = read_body(body)
    model = text_at(shown.get("model"), "model")
    form = choice(shown.get("encoding_format") or "float", "encoding_format", ("float", "base64"))
    request = EmbeddingRequest(
        model=model,
        inputs=_inputs(shown.get("input")),
        dimensions=whole_number(shown.get("dimensions"), "dimensions", low=1, high=_DIMENSIONS_LIMIT),
    )
    return AskedEmbeddings(
        wire="openai.embeddings",
        model=model,
        request=request,
        base64=form == "base64",
        user=optional_text(shown.get("user"), "user"),
    )


def write_embeddings_response(response: EmbeddingResponse, asked: AskedEmbeddings) -> bytes:
    """Return the whole body."""
    vectors: list[Any] = [_packed(vector) if asked.base64 else vector for vector in response.vectors]
    used = response.usage.input_tokens
    return as_json(
        {
            "object": "list",
            "data": [
                {"object": "embedding", "index": index, "embedding": vector}
                for index, vector in enumerate(vectors)
            ],
            "model": asked.model,
            "usage": {"prompt_tokens": used, "total_tokens": used},
        }
    )


def _inputs(value: Any) -> tuple[str, ...]:
    if isinstance(value, str):
        return (value,)
    shown = sequence(value, "input")
    if not 1 <= len(shown) <= _INPUTS_LIMIT:
        raise invalid("input", f"Expected a text, or 1 to {_INPUTS_LIMIT} texts.")
    if isinstance(shown[0], int | list) and not isinstance(shown[0], bool):
        raise Unsupported(
            "input: Tokens mean something to the models of one provider only.",
            hint="Send the texts themselves.",
        )
    return tuple(text_at(item, f"input[{index}]") for index, item in enumerate(shown))


def _packed(vector: tuple[float, ...]) -> str:
    numbers = array("f", vector)
    if sys.byteorder == "big":
        numbers.byteswap()
    return base64.b64encode(numbers.tobytes()).decode()
