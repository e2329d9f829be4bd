"""Sealed thoughts in the one field that OpenAI's responses have for them.

A provider takes back only what it sealed itself. In our own words a seal of OpenAI's is ``openai:<item>:<seal>``,
of Anthropic's the bare signature, of anyone else's ``<vendor>:<seal>``. The field of a response holds OpenAI's own
seals bare, so every other one is written with its owner's name.
"""

from mosaic.providers import ReasoningPart

__all__ = ["read_seal", "written_seal"]

_ANTHROPIC = "anthropic:"
_REDACTED = "redacted:"


def written_seal(part: ReasoningPart) -> str | None:
    """Return what stands in `encrypted_content` for a thought."""
    if part.redacted is not None:
        return _REDACTED + part.redacted
    if part.signature is None or ":" in part.signature:
        return part.signature
    return _ANTHROPIC + part.signature


def read_seal(content: str, identifier: str, encrypted: str | None) -> ReasoningPart | None:
    """Return the thought that an item holds; None when it holds nothing."""
    if not encrypted:
        return ReasoningPart(content) if content else None
    if encrypted.startswith(_REDACTED):
        return ReasoningPart(content, redacted=encrypted.removeprefix(_REDACTED))
    if encrypted.startswith(_ANTHROPIC):
        return ReasoningPart(content, signature=encrypted.removeprefix(_ANTHROPIC))
    signature = encrypted if ":" in encrypted else f"openai:{identifier}:{encrypted}"
    return ReasoningPart(content, signature=signature)
