"""The gateway: the doors that clients of OpenAI and of Anthropic come through."""
