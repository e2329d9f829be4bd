"""How a model is named: ``<provider>:<model>``."""

from mosaic.core.errors import InvalidInput

__all__ = ["split_reference"]


def split_reference(reference: str) -> tuple[str, str | None]:
    """Return provider and model; the model is None for a provider's id alone.

    Raises:
        InvalidInput: if the reference names no provider.
    """
    provider, colon, model = reference.strip().partition(":")
    if not provider or (colon and not model) or "/" in provider:
        raise InvalidInput(
            f"{reference!r} does not name a model.",
            hint="Write <provider>:<model>, such as anthropic:claude-sonnet-5-5.",
        )
    return provider, model or None
