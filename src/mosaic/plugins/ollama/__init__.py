"""Ollama: models on the user's own machine."""

from mosaic.plugins.ollama.provider import OllamaProvider, provider

__all__ = ["OllamaProvider", "provider"]
