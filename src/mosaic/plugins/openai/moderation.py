"""POST /moderations."""

from mosaic.core.errors import InvalidInput
from mosaic.core.values import JsonObject
from mosaic.plugins.openai.request import content_part
from mosaic.providers.adapter import HttpAdapter, reading
from mosaic.providers.moderation import ModerationRequest, ModerationVerdict

__all__ = ["OpenAiModeration"]

_MODEL = "omni-moderation-latest"


class OpenAiModeration(HttpAdapter):
    """Verdicts on whether content is harmful."""

    async def moderate(self, request: ModerationRequest) -> list[ModerationVerdict]:
        """Return a verdict for each text, or one for the whole content.

        Raises:
            InvalidInput: if neither or both are given.
            MosaicError: as the provider interface describes.
        """
        if bool(request.texts) == bool(request.content):
            raise InvalidInput("Give either texts or one content to judge.")
        given = list(request.texts) if request.texts else [content_part(part) for part in request.content]
        body: JsonObject = {"model": request.model or _MODEL, "input": given}
        answer = await self._http.post("/moderations", body, timeout_s=request.timeout_s)
        with reading(self.name):
            return [
                ModerationVerdict(
                    flagged=bool(result["flagged"]),
                    categories=tuple(name for name, found in result["categories"].items() if found),
                    scores={name: float(score) for name, score in result["category_scores"].items()},
                    model=answer["model"],
                    provider=self.name,
                )
                for result in answer["results"]
            ]
