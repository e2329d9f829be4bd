"""The agent-to-agent door: other agents find MosAIc's workflows as skills, send them messages, follow the tasks."""

from mosaic.a2a.door import A2aDoor
from mosaic.a2a.opening import open_a2a

__all__ = ["A2aDoor", "open_a2a"]
