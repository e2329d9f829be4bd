"""OpenAI's chat completions, and every server that speaks them (vLLM, llama.cpp, LM Studio, OpenRouter, Groq, ...)."""

from mosaic.plugins.openai.provider import OpenAiProvider, provider

__all__ = ["OpenAiProvider", "provider"]
