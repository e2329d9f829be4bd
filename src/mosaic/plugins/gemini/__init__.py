"""Google's Gemini API."""

from mosaic.plugins.gemini.provider import GeminiProvider, provider

__all__ = ["GeminiProvider", "provider"]
