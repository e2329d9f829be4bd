"""Vendors' servers on 127.0.0.1, as the official clients expect them: every operation, whole and streamed.

A test says what the model answers, turn by turn; the upstream gives it in the form of whichever operation is called.
"""

import base64
import json
import struct
from collections import deque
from dataclasses import dataclass, field
from typing import Any, Literal

from tests.plugins.vendors import KEY, Said, error_body, halves, reply, stream
from tests.providers.endpoint import Endpoint, Received, Reply, event_reply, json_reply

Vendor = Literal["openai", "anthropic"]
MODELS = {"openai": "gpt-6.1-sol", "anthropic": "claude-sonnet-5-5"}
EMBEDDED = [0.25, -0.5, 0.125]


@dataclass
class Upstream:
    """One vendor's server and its script.

    Attributes:
        base: what a client of that vendor takes as its base URL.
        asked: the requests of models, in their order.
        script: what the model says next; the last one again and again.
    """

    vendor: Vendor
    endpoint: Endpoint
    asked: list[Received] = field(default_factory=list)
    script: deque[Said | Reply] = field(default_factory=deque)

    def __post_init__(self) -> None:
        self.endpoint.answer = self._answer

    @property
    def base(self) -> str:
        return f"{self.endpoint.url}/v1" if self.vendor == "openai" else self.endpoint.url

    @property
    def model(self) -> str:
        return MODELS[self.vendor]

    def says(self, *turns: Said | str) -> None:
        """The model's answers, one for each request; forgets what was asked before."""
        self.asked.clear()
        self.script = deque(Said(turn) if isinstance(turn, str) else turn for turn in turns)

    def fails(self, status: int, message: str, *, kind: str = "some_error", **headers: str) -> None:
        """Answer every request with the vendor's error."""
        self.asked.clear()
        self.script = deque(
            [json_reply(error_body(self.vendor, message, kind), status=status, headers=headers)]
        )

    def _answer(self, received: Received) -> Reply:
        path = received.path.partition("?")[0]
        if received.method == "GET" and path == "/v1/models":
            return json_reply(
                {
                    "object": "list",
                    "data": [{"id": self.model, "object": "model", "created": 1, "owned_by": "x"}],
                }
            )
        if not self._known(received):
            return json_reply(
                error_body(self.vendor, "Incorrect API key provided", "authentication_error"), status=401
            )
        self.asked.append(received)
        turn = self.script.popleft() if len(self.script) > 1 else self.script[0]
        if isinstance(turn, Reply):
            return turn
        make = _OPERATIONS.get((self.vendor, path))
        if make is None:
            return json_reply(error_body(self.vendor, f"No such path: {path}", "not_found_error"), status=404)
        return make(turn, received.json)

    def _known(self, received: Received) -> bool:
        return KEY in (
            received.headers.get("x-api-key"),
            received.headers.get("authorization", "").removeprefix("Bearer "),
        )


def _chat(said: Said, asked: Any) -> Reply:
    if not asked.get("stream"):
        return reply("openai", said)
    whole = stream("openai", said)
    if (asked.get("stream_options") or {}).get("include_usage"):
        return whole
    # Without being asked for it, the vendor sends no chunk with usage.
    return Reply((*whole.pieces[:-2], whole.pieces[-1]), headers=whole.headers)


def _messages(said: Said, asked: Any) -> Reply:
    return stream("anthropic", said) if asked.get("stream") else reply("anthropic", said)


def _count(said: Said, asked: Any) -> Reply:
    return json_reply({"input_tokens": said.usage[0]})


def _embeddings(said: Said, asked: Any) -> Reply:
    texts = asked["input"] if isinstance(asked["input"], list) else [asked["input"]]
    encoded = _base64(EMBEDDED) if asked.get("encoding_format") == "base64" else EMBEDDED
    data = [{"object": "embedding", "index": index, "embedding": encoded} for index, _ in enumerate(texts)]
    usage = {"prompt_tokens": said.usage[0], "total_tokens": said.usage[0]}
    return json_reply({"object": "list", "model": asked["model"], "data": data, "usage": usage})


def _base64(values: list[float]) -> str:
    return base64.b64encode(struct.pack(f"<{len(values)}f", *values)).decode()


def _responses(said: Said, asked: Any) -> Reply:
    if asked.get("stream"):
        return event_reply(responses_events(said))
    return json_reply(responses_body(said))


def responses_items(said: Said) -> list[dict[str, Any]]:
    """The output of a response."""
    items: list[dict[str, Any]] = []
    if said.thought:
        summary = [{"type": "summary_text", "text": said.thought}]
        items.append({"id": "rs_1", "type": "reasoning", "summary": summary, "encrypted_content": "sealed"})
    if said.text:
        part = {"type": "output_text", "text": said.text, "annotations": [], "logprobs": []}
        items.append(
            {"id": "msg_1", "type": "message", "role": "assistant", "status": "completed", "content": [part]}
        )
    for number, (call_id, name, arguments) in enumerate(said.calls):
        items.append(
            {
                "id": f"fc_{number}", "type": "function_call", "status": "completed",
                "call_id": call_id, "name": name, "arguments": arguments,
            }
        )  # fmt: skip
    return items


def responses_body(said: Said, *, status: str = "completed") -> dict[str, Any]:
    """A whole response."""
    read, written = said.usage
    done = status == "completed"
    usage = {
        "input_tokens": read,
        "input_tokens_details": {"cached_tokens": 4, "cache_write_tokens": 0},
        "output_tokens": written,
        "output_tokens_details": {"reasoning_tokens": 2},
        "total_tokens": read + written,
    }
    return {
        "id": "resp_1", "object": "response", "created_at": 1, "status": status, "error": None,
        "incomplete_details": None, "instructions": None, "max_output_tokens": None, "metadata": {},
        "model": "gpt-6.1-sol-2026-10-01", "output": responses_items(said) if done else [],
        "parallel_tool_calls": True, "previous_response_id": None, "reasoning": {"effort": None, "summary": None},
        "store": False, "temperature": 1.0, "text": {"format": {"type": "text"}}, "tool_choice": "auto",
        "tools": [], "top_p": 1.0, "truncation": "disabled", "usage": usage if done else None, "user": None,
    }  # fmt: skip


def responses_events(said: Said) -> list[tuple[str, dict[str, Any]]]:
    """A response as a stream of events, each with its number."""
    begun = responses_body(said, status="in_progress")
    events: list[dict[str, Any]] = [
        {"type": f"response.{kind}", "response": begun} for kind in ("created", "in_progress")
    ]
    for index, item in enumerate(responses_items(said)):
        where = {"item_id": item["id"], "output_index": index}
        empty = {**item, **_EMPTY[item["type"]]}
        events.append({"type": "response.output_item.added", "output_index": index, "item": empty})
        if item["type"] == "message":
            events += _text_events(item["content"][0], where)
        elif item["type"] == "reasoning":
            events += _summary_events(item["summary"][0], where)
        else:
            deltas = halves(item["arguments"])
            kind = "response.function_call_arguments"
            events += [{"type": f"{kind}.delta", **where, "delta": delta} for delta in deltas]
            events.append(
                {"type": f"{kind}.done", **where, "name": item["name"], "arguments": item["arguments"]}
            )
        events.append({"type": "response.output_item.done", "output_index": index, "item": item})
    events.append({"type": "response.completed", "response": responses_body(said)})
    return [(event["type"], {**event, "sequence_number": number}) for number, event in enumerate(events)]


_EMPTY: dict[str, dict[str, Any]] = {
    "message": {"content": [], "status": "in_progress"},
    "reasoning": {"summary": []},
    "function_call": {"arguments": "", "status": "in_progress"},
}


def _text_events(part: dict[str, Any], where: dict[str, Any]) -> list[dict[str, Any]]:
    at = {**where, "content_index": 0}
    words = part["text"].splitlines(keepends=True)
    return [
        {"type": "response.content_part.added", **at, "part": {**part, "text": ""}},
        *({"type": "response.output_text.delta", **at, "delta": word, "logprobs": []} for word in words),
        {"type": "response.output_text.done", **at, "text": part["text"], "logprobs": []},
        {"type": "response.content_part.done", **at, "part": part},
    ]


def _summary_events(part: dict[str, Any], where: dict[str, Any]) -> list[dict[str, Any]]:
    at = {**where, "summary_index": 0}
    kind = "response.reasoning_summary"
    return [
        {"type": f"{kind}_part.added", **at, "part": {**part, "text": ""}},
        {"type": f"{kind}_text.delta", **at, "delta": part["text"]},
        {"type": f"{kind}_text.done", **at, "text": part["text"]},
        {"type": f"{kind}_part.done", **at, "part": part},
    ]


_OPERATIONS: dict[tuple[str, str], Any] = {
    ("openai", "/v1/chat/completions"): _chat,
    ("openai", "/v1/responses"): _responses,
    ("openai", "/v1/embeddings"): _embeddings,
    ("anthropic", "/v1/messages"): _messages,
    ("anthropic", "/v1/messages/count_tokens"): _count,
}


def tool_results(asked: Received) -> list[str]:
    """The results of tools that a request carries, on any wire, in its order."""
    return [_text(result) for result in _results(json.loads(asked.body))]


def _results(body: dict[str, Any]) -> list[Any]:
    found: list[Any] = []
    for turn in body.get("messages") or body.get("input") or []:
        if turn.get("role") == "tool":
            found.append(turn["content"])
        elif turn.get("type") == "function_call_output":
            found.append(turn["output"])
        elif isinstance(turn.get("content"), list):
            found += [part.get("content") for part in turn["content"] if part.get("type") == "tool_result"]
    return found


def _text(result: Any) -> str:
    return "".join(part.get("text", "") for part in result) if isinstance(result, list) else str(result)
