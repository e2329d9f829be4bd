"""Cohere's chat and embeddings."""

from mosaic.plugins.cohere.provider import CohereProvider, provider

__all__ = ["CohereProvider", "provider"]
