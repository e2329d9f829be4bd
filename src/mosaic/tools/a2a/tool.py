"""The call that gives an agent elsewhere a task: through the tool door, like all that reaches the world."""

from mosaic.core.errors import InvalidInput
from mosaic.core.values import JsonObject
from mosaic.engine import Safety
from mosaic.tools.a2a.peer import A2aPeer
from mosaic.tools.a2a.peers import A2aPeers
from mosaic.tools.interfaces import BaseTool, Invocation
from mosaic.tools.schemas import RiskClass, ToolEffect, ToolResult, ToolSpec

__all__ = ["TOOL_PREFIX", "AskAgent"]

TOOL_PREFIX = "a2a."
_TEXT = 400_000
# Longer than our own bounds of its requests, so that those say what became of the task.
_TIMEOUT_S = 120.0


class AskAgent(BaseTool):
    """Sends one agent elsewhere a message and returns what it says first, which is mostly the task's id.

    A crash in between leaves it unknown whether the task was taken: it is then not sent again.

    Args:
        agent: what the workflow calls it.
        peer: where it is.
        peers: makes clients.
        description: one line about it.
        skill: which of its skills is meant.
    """

    def __init__(
        self, agent: str, peer: A2aPeer, peers: A2aPeers, *, description: str = "", skill: str | None = None
    ) -> None:
        super().__init__(
            ToolSpec(
                name=f"{TOOL_PREFIX}{agent}",
                description=f"Give the agent at {peer.url} a task. {description}".strip(),
                input_schema={
                    "type": "object",
                    "additionalProperties": False,
                    "required": ["message"],
                    "properties": {
                        "message": {"type": "string", "minLength": 1, "maxLength": _TEXT},
                        "task": {"type": "string", "description": "The task it goes on with."},
                        "context": {"type": "string", "description": "The conversation it belongs to."},
                    },
                },
                risk=RiskClass.EXTERNAL_API,
                effects=frozenset({ToolEffect.NETWORK}),
                timeout_s=_TIMEOUT_S,
                safety=Safety.UNSAFE,
                source=f"a2a:{peer.name}",
                retries=False,
                result_bytes=1_000_000,
                # The settings' own word for it; an address is the workflow's.
                original=f"own:{TOOL_PREFIX}{peer.url}"
                if peer.name == peer.url
                else f"{TOOL_PREFIX}{peer.name}",
            )
        )
        self._peer = peer
        self._peers = peers
        self._skill = skill

    async def call(self, invocation: Invocation, arguments: JsonObject) -> ToolResult:
        """Send it, and return as soon as it is taken."""
        message = arguments["message"]
        if not isinstance(message, str):
            raise InvalidInput("The message is no text.")
        async with await self._peers.client(self._peer) as client:
            said = await client.send(
                message,
                key=invocation.idempotency_key,
                task=_text(arguments.get("task")),
                context=_text(arguments.get("context")),
                skill=self._skill,
            )
        return ToolResult(said.to_json())


def _text(value: object) -> str | None:
    return value if isinstance(value, str) and value else None
