"""A scripted model behind OpenAI's protocol on 127.0.0.1: the n-th answer of a conversation is the script's n-th.

Which answer is due is read from the request (how many the conversation holds already), so an interrupted job that
asks again hears the same.
"""

import json
from collections.abc import Callable, Sequence
from typing import Any

from tests.providers.endpoint import Endpoint, Received, Reply, json_reply

Answer = dict[str, Any]
Turn = Answer | Reply | Callable[[Any], Answer | Reply]


def call(name: str, arguments: Any = None, *, id: str | None = None) -> dict[str, Any]:  # noqa: A002
    """One tool call; `arguments` may be text, as a careless model writes it."""
    text = arguments if isinstance(arguments, str) else json.dumps(arguments or {})
    return {"id": id, "type": "function", "function": {"name": name.replace(".", "_"), "arguments": text}}


def says(text: str | None = None, *calls: dict[str, Any], finish: str | None = None) -> Answer:
    """One answer of the model."""
    message: dict[str, Any] = {"role": "assistant", "content": text}
    if calls:
        message["tool_calls"] = [
            {**one, "id": one["id"] or f"call_{number}"} for number, one in enumerate(calls)
        ]
    return {
        "id": "chatcmpl-1",
        "object": "chat.completion",
        "model": "test-model",
        "choices": [
            {"index": 0, "message": message, "finish_reason": finish or ("tool_calls" if calls else "stop")}
        ],
        "usage": {"prompt_tokens": 100, "completion_tokens": 10, "total_tokens": 110},
    }


class ScriptedModel:
    """Answers chat completions by a script."""

    def __init__(self, endpoint: Endpoint) -> None:
        self.endpoint = endpoint
        self.script: Sequence[Turn] = ()
        endpoint.answer = self._answer

    def will(self, *turns: Turn) -> None:
        """Set the answers; the last one is repeated."""
        self.script = turns

    @property
    def asked(self) -> list[Any]:
        """The bodies of the requests for an answer, oldest first."""
        return [one.json for one in self.endpoint.requests if one.path.endswith("/chat/completions")]

    def _answer(self, received: Received) -> Reply:
        if not received.path.endswith("/chat/completions"):
            return json_reply({"object": "list", "data": [{"id": "test-model", "object": "model"}]})
        due = sum(message["role"] == "assistant" for message in received.json["messages"])
        turn = self.script[min(due, len(self.script) - 1)]
        made = turn(received.json) if callable(turn) else turn
        return made if isinstance(made, Reply) else json_reply(made)


def texts(body: Any, role: str) -> list[str]:
    """The texts of a request's messages of one role."""
    return [message["content"] or "" for message in body["messages"] if message["role"] == role]
