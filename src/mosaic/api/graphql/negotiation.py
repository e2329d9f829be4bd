"""The media type of an answer, as the client prefers it (RFC 9110) among those of GraphQL over HTTP."""

__all__ = ["JSON", "RESPONSE", "preferred"]

JSON = "application/json"
"""What older clients take: the status says only whether the request was one."""

RESPONSE = "application/graphql-response+json"
"""What the specification has: the status says whether the operation was run."""

_MOST_RANGES = 30


def preferred(accept: str | None) -> str | None:
    """Return the media type to answer with; None when the client takes neither.

    A client that says nothing, or takes anything, is taken for an older one.
    """
    if accept is None or not accept.strip():
        return JSON
    ranges = [_range(one) for one in accept.split(",")[:_MOST_RANGES]]
    json, response = _quality(ranges, JSON), _quality(ranges, RESPONSE)
    if max(json, response) <= 0:
        return None
    if response == json and any(media == RESPONSE for media, _ in ranges):
        return RESPONSE
    return RESPONSE if response > json else JSON


def _range(text: str) -> tuple[str, float]:
    media, *parameters = (part.strip().lower() for part in text.split(";"))
    for parameter in parameters:
        name, _, value = parameter.partition("=")
        if name.strip() == "q":
            try:
                return media, min(1.0, max(0.0, float(value)))
            except ValueError:
                return media, 0.0
        if name.strip() == "charset" and value.strip().strip('"') not in ("utf-8", "utf8"):
            return media, 0.0
    return media, 1.0


def _quality(ranges: list[tuple[str, float]], media: str) -> float:
    """Return how much a media type is wanted: the most specific range that names it decides."""
    for wanted in (media, "application/*", "*/*"):
        found = [quality for name, quality in ranges if name == wanted]
        if found:
            return max(found)
    return 0.0
