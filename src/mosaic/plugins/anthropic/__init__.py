"""Anthropic's messages API."""

from mosaic.plugins.anthropic.provider import AnthropicProvider, provider

__all__ = ["AnthropicProvider", "provider"]
