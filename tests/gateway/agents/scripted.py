"""A vendor whose models follow a script, and use only what they were offered, as a real one would."""

import json
import re
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Any

from mosaic.providers.testing.endpoint import Endpoint, Received, Reply, event_reply, json_reply
from tests.gateway.clients.upstreams import Vendor, responses_events, tool_results
from tests.plugins.said import Said, halves
from tests.plugins.vendors import error_body, reply, stream

__all__ = ["SEAL", "Call", "ScriptedVendor", "Turn"]

SEAL = "sealed"
"""What the vendors put on a thought; each takes back its own only."""

_IDS = re.compile(rb'"(msg_|resp_|rs_|chatcmpl-)1"')
# What Claude Code sends and Anthropic takes from those alone who name the beta in a header.
_BETAS = {"context_management": "context-management-2025-06-27"}


@dataclass(frozen=True)
class Call:
    """A use of a tool.

    Attributes:
        tool: its own name; with a namespace, the name in it.
        given: its arguments, the one text that it takes, or what makes its arguments of the last result.
    """

    tool: str
    given: dict[str, Any] | str | Callable[[str], dict[str, Any]]


@dataclass(frozen=True)
class Turn:
    """What a model says once, thinking first where it says a thought."""

    text: str
    calls: tuple[Call, ...] = ()
    thought: str = ""
    usage: tuple[int, int] = (1000, 50)


@dataclass
class ScriptedVendor:
    """One vendor's server.

    Attributes:
        scripts: what each model says, turn by turn; the last one again and again.
        asked: the requests of models, in their order.
        refused: the complaints about requests that the vendor would not have taken.
    """

    vendor: Vendor
    endpoint: Endpoint
    scripts: dict[str, deque[Turn]] = field(default_factory=dict)
    asked: list[Received] = field(default_factory=list)
    refused: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.endpoint.answer = self._answer

    def plays(self, model: str, *turns: Turn) -> None:
        """Have `model` say these."""
        self.scripts[model] = deque(turns)

    @property
    def models_asked(self) -> list[str]:
        """The model of each request."""
        return [received.json["model"] for received in self.asked]

    def _answer(self, received: Received) -> Reply:
        path = received.path.partition("?")[0]
        make = _OPERATIONS.get((self.vendor, path))
        if make is None:
            return self._refuse(404, f"No such path: {path}")
        asked = received.json
        self.asked.append(received)
        script = self.scripts.get(asked["model"])
        if script is None:
            return self._refuse(404, f"No such model: {asked['model']}")
        complaint = _complaint(self.vendor, received)
        if complaint is not None:
            return self._refuse(400, complaint)
        turn = script.popleft() if len(script) > 1 else script[0]
        offered = _offered(asked)
        missing = [call.tool for call in turn.calls if not _named(call.tool, offered)]
        if missing:
            names = ", ".join(_name(tool) for tool in offered)
            return self._refuse(400, f"The script calls {missing}; it was offered {names}.")
        name = f"{self.endpoint.url.rpartition(':')[2]}x{len(self.asked)}"
        return _renamed(make(_settled(turn, received), asked, name), name)

    def _refuse(self, status: int, message: str) -> Reply:
        self.refused.append(message)
        return json_reply(error_body(self.vendor, message, "invalid_request_error"), status=status)


def _renamed(reply: Reply, name: str) -> Reply:
    """Return the answer with ids that no other has: agents join messages of one id."""
    return replace(reply, pieces=[_IDS.sub(rb'"\g<1>%b"' % name.encode(), piece) for piece in reply.pieces])


def _complaint(vendor: Vendor, received: Received) -> str | None:
    """Return what the vendor would say against a request."""
    body = received.json
    if vendor == "anthropic":
        named = received.headers.get("anthropic-beta", "")
        for member, beta in _BETAS.items():
            if member in body and beta not in named:
                return f"{member}: Extra inputs are not permitted"
    seals = [seal for seal in _seals(body) if seal != SEAL]
    return f"A thought has a seal that is not of this vendor: {seals}" if seals else None


def _seals(body: dict[str, Any]) -> list[Any]:
    """Return the seals of the thoughts in a request."""
    seals = [
        item.get("encrypted_content") for item in body.get("input") or () if item.get("type") == "reasoning"
    ]
    for message in body.get("messages") or ():
        if isinstance(message.get("content"), list):
            seals += [part.get("signature") for part in message["content"] if part.get("type") == "thinking"]
    return seals


def _settled(turn: Turn, received: Received) -> Turn:
    """Return the turn with the arguments of its calls, where they follow from the last result."""
    calls = tuple(
        replace(call, given=call.given(tool_results(received)[-1])) if callable(call.given) else call
        for call in turn.calls
    )
    return replace(turn, calls=calls)


# Tools, as a request of any wire offers them: (namespace, tool).

_Offer = tuple[str, dict[str, Any]]


def _offered(asked: dict[str, Any]) -> list[_Offer]:
    lists = [asked.get("tools") or ()]
    lists += [item["tools"] for item in asked.get("input") or () if item.get("type") == "additional_tools"]
    found: list[_Offer] = []
    for tools in lists:
        for tool in tools:
            if tool.get("type") == "namespace":
                found += [(tool["name"], inner) for inner in tool["tools"]]
            else:
                found.append(("", tool.get("function", tool) if tool.get("type") == "function" else tool))
    return found


def _name(offer: _Offer) -> str:
    namespace, tool = offer
    return f"{namespace}/{tool.get('name')}" if namespace else str(tool.get("name"))


def _named(name: str, offered: list[_Offer]) -> _Offer | None:
    """Return the tool of that name; where namespaces are unknown, one whose name ends with it."""
    for offer in offered:
        told = str(offer[1].get("name"))
        if told == name or told.endswith(f"__{name}"):
            return offer
    return None


def _said(turn: Turn, asked: dict[str, Any], name: str) -> Said:
    """Return the turn as a vendor without custom tools says it: one text becomes a tool's only argument."""
    calls = []
    for index, call in enumerate(turn.calls):
        offer = _named(call.tool, _offered(asked))
        assert offer is not None
        tool, given = offer[1], call.given
        if isinstance(given, str):
            schema = tool.get("input_schema") or tool["parameters"]
            (only,) = schema["properties"]
            given = {only: given}
        calls.append((f"call_{name}_{index}", tool["name"], json.dumps(given)))
    return Said(turn.text, thought=turn.thought, calls=tuple(calls), usage=turn.usage)


def _messages(turn: Turn, asked: dict[str, Any], name: str) -> Reply:
    said = _said(turn, asked, name)
    return stream("anthropic", said) if asked.get("stream") else reply("anthropic", said)


def _chat(turn: Turn, asked: dict[str, Any], name: str) -> Reply:
    said = _said(turn, asked, name)
    return stream("openai", said) if asked.get("stream") else reply("openai", said)


def _responses(turn: Turn, asked: dict[str, Any], name: str) -> Reply:
    """Return the events of a response, or the whole of one."""
    said = Said(turn.text, thought=turn.thought, usage=turn.usage)
    *begun, (_, completed) = responses_events(said)
    events = [event for _, event in begun]
    output = completed["response"]["output"]
    for index, call in enumerate(turn.calls):
        item = _item(call, asked, f"{name}_{index}")
        events += _item_events(item, len(output))
        output.append(item)
    if not asked.get("stream"):
        return json_reply(completed["response"])
    events.append(completed)
    return event_reply([(event["type"], {**event, "sequence_number": n}) for n, event in enumerate(events)])


def _item(call: Call, asked: dict[str, Any], name: str) -> dict[str, Any]:
    """Return the call as OpenAI's models make it."""
    offer = _named(call.tool, _offered(asked))
    assert offer is not None
    namespace, tool = offer
    item = {"call_id": f"call_{name}", "status": "completed", "name": tool["name"]}
    if namespace:
        item["namespace"] = namespace
    if tool["type"] == "custom":
        return {"id": f"ctc_{name}", "type": "custom_tool_call", "input": call.given, **item}
    return {"id": f"fc_{name}", "type": "function_call", "arguments": json.dumps(call.given), **item}


def _item_events(item: dict[str, Any], index: int) -> list[dict[str, Any]]:
    member = "input" if item["type"] == "custom_tool_call" else "arguments"
    kind = "response.custom_tool_call_input" if member == "input" else "response.function_call_arguments"
    where = {"item_id": item["id"], "output_index": index}
    empty = {**item, member: "", "status": "in_progress"}
    return [
        {"type": "response.output_item.added", "output_index": index, "item": empty},
        *({"type": f"{kind}.delta", **where, "delta": half} for half in halves(item[member])),
        {"type": f"{kind}.done", **where, "name": item["name"], member: item[member]},
        {"type": "response.output_item.done", "output_index": index, "item": item},
    ]


_OPERATIONS: dict[tuple[str, str], Any] = {
    ("openai", "/v1/chat/completions"): _chat,
    ("openai", "/v1/responses"): _responses,
    ("anthropic", "/v1/messages"): _messages,
}
