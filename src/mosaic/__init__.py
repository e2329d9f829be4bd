"""MosAIc: plans and runs software-delivery work with teams of AI agents."""

__version__ = "0.1.0"
