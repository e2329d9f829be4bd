"""Whether content is harmful, as a provider's classifier sees it."""

from dataclasses import dataclass, field

from mosaic.core.values import JsonObject
from mosaic.providers.parts import BlobPart, TextPart, UriPart

__all__ = ["ModerationRequest", "ModerationVerdict"]


@dataclass(frozen=True, slots=True)
class ModerationRequest:
    """Texts to judge one by one, or one content of text and images to judge as a whole.

    Attributes:
        texts: judged each by itself.
        content: judged together; give one of the two.
        model: None means the provider's own choice.
    """

    texts: tuple[str, ...] = ()
    content: tuple[TextPart | UriPart | BlobPart, ...] = ()
    model: str | None = None
    timeout_s: float = 30.0


@dataclass(frozen=True, slots=True)
class ModerationVerdict:
    """What the classifier found in one content.

    Attributes:
        categories: the vendor's names of what it found.
        scores: the vendor's name -> how sure it is, from 0 to 1; all categories.
    """

    flagged: bool
    categories: tuple[str, ...]
    scores: dict[str, float] = field(default_factory=dict)
    model: str = ""
    provider: str = ""

    def to_json(self) -> JsonObject:
        """Return the verdict as a JSON object."""
        return {
            "flagged": self.flagged,
            "categories": list(self.categories),
            "scores": self.scores,
            "model": self.model,
            "provider": self.provider,
        }
