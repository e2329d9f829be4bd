"""Artifacts: whole files, documents or drawings that a model writes beside what it says.

No vendor has a parameter for them; the form is ours, and any model can keep to it::

    <artifact id="parser" type="code" language="python" title="A parser">
    ...the content, as it is...
    </artifact>
"""

import re
from dataclasses import dataclass, replace
from typing import Literal, get_args

from mosaic.core.errors import ContractViolation, InvalidInput
from mosaic.core.values import JsonObject
from mosaic.providers.ai import Message, ModelRequest, ModelResponse
from mosaic.providers.interfaces import AiProvider

__all__ = [
    "Artifact",
    "ArtifactAnswer",
    "ArtifactType",
    "generate_artifacts",
    "read_artifacts",
    "with_artifacts",
]

ArtifactType = Literal["code", "document", "html", "svg", "mermaid", "react", "json"]

_OPENING = re.compile(r"<artifact\b([^<>]*)>[ \t]*\n?")
_CLOSING = "</artifact>"
_ATTRIBUTE = re.compile(r"""([a-z_]+)\s*=\s*(?:"([^"]*)"|'([^']*)')""")


@dataclass(frozen=True, slots=True)
class Artifact:
    """One artifact.

    Attributes:
        id: names it, so that a later answer can replace it.
        type: what it is, in the model's words; one of `ArtifactType` when it kept to the form.
        language: of code.
    """

    id: str
    type: str
    content: str
    title: str = ""
    language: str = ""

    def to_json(self) -> JsonObject:
        """Return the artifact as a JSON object."""
        return {
            "id": self.id,
            "type": self.type,
            "content": self.content,
            "title": self.title,
            "language": self.language,
        }


@dataclass(frozen=True, slots=True)
class ArtifactAnswer:
    """What a model said, the artifacts it wrote, and the whole response they came in."""

    text: str
    artifacts: tuple[Artifact, ...]
    response: ModelResponse


def with_artifacts(request: ModelRequest, wanted: ArtifactType) -> ModelRequest:
    """Return `request` with the demand to write an artifact of the type `wanted`.

    Raises:
        InvalidInput: if there is no such type, or the request asks for an output schema.
    """
    if wanted not in get_args(ArtifactType):
        raise InvalidInput(
            f"There is no artifact type {wanted!r}.", hint=f"Known are {', '.join(get_args(ArtifactType))}."
        )
    if request.output_schema is not None:
        raise InvalidInput("An answer has one form: artifacts or an output schema.")
    words = (
        f"Write what you make as an artifact of the type {wanted}, complete, in exactly this form, and explain "
        'outside it in a few words:\n<artifact id="short-name" type="'
        f'{wanted}" language="" title="">\nthe content, unescaped, without a code fence\n</artifact>'
    )
    return replace(request, messages=(Message.of("system", words), *request.messages))


async def generate_artifacts(
    provider: AiProvider, request: ModelRequest, wanted: ArtifactType, *, idempotency_key: str
) -> ArtifactAnswer:
    """Ask a model for an artifact and read its answer; one attempt.

    Raises:
        ContractViolation: if the answer holds none; `data["usage"]` says what it cost.
        MosaicError: as `AiProvider.complete`.
    """
    response = await provider.complete(with_artifacts(request, wanted), idempotency_key=idempotency_key)
    text, artifacts = read_artifacts(response.message.text)
    if not artifacts:
        raise ContractViolation(
            "The answer holds no artifact.",
            hint="Ask again, or another model.",
            provider=response.provider,
            usage=response.usage.to_json(),
        )
    return ArtifactAnswer(text, artifacts, response)


def read_artifacts(text: str) -> tuple[str, tuple[Artifact, ...]]:
    """Return what `text` says outside its artifacts, and the artifacts. One that is cut off is left in the text."""
    outside: list[str] = []
    artifacts: list[Artifact] = []
    position = 0
    while opening := _OPENING.search(text, position):
        end = text.find(_CLOSING, opening.end())
        if end < 0:
            break
        outside.append(text[position : opening.start()])
        given = {name: double or single for name, double, single in _ATTRIBUTE.findall(opening[1])}
        artifacts.append(
            Artifact(
                id=given.get("id") or f"artifact-{len(artifacts) + 1}",
                type=given.get("type", "document"),
                content=text[opening.end() : end].removesuffix("\n"),
                title=given.get("title", ""),
                language=given.get("language", ""),
            )
        )
        position = end + len(_CLOSING)
    outside.append(text[position:])
    return "\n".join(piece.strip() for piece in outside if piece.strip()), tuple(artifacts)
