"""A vendor whose models follow a script, and use only what they were offered, as a real one would."""

import json
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Any

from mosaic.providers.testing.endpoint import Endpoint, Received, Reply, event_reply, json_reply
from tests.gateway.clients.upstreams import Vendor, responses_events, tool_results
from tests.plugins.said import Said, halves
from tests.plugins.vendors import error_body, reply, stream

__all__ = ["Call", "ScriptedVendor", "Turn"]

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
    """What a model says once."""

    text: str
    call: Call | None = None
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
        if turn.call is not None and not _named(turn.call.tool, offered):
            names = ", ".join(_name(tool) for tool in offered)
            return self._refuse(400, f"The script calls {turn.call.tool}; it was offered {names}.")
        return make(_settled(turn, received), asked, len(self.asked))

    def _refuse(self, status: int, message: str) -> Reply:
        self.refused.append(message)
        return json_reply(error_body(self.vendor, message, "invalid_request_error"), status=status)


def _complaint(vendor: Vendor, received: Received) -> str | None:
    """Return what the vendor would say against a request."""
    body = received.json
    if vendor == "anthropic":
        named = received.headers.get("anthropic-beta", "")
        for member, beta in _BETAS.items():
            if member in body and beta not in named:
                return f"{member}: Extra inputs are not permitted"
    return None


def _settled(turn: Turn, received: Received) -> Turn:
    """Return the turn with the arguments of its call, where they follow from the last result."""
    call = turn.call
    if call is None or not callable(call.given):
        return turn
    return replace(turn, call=Call(call.tool, call.given(tool_results(received)[-1])))


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


def _said(turn: Turn, asked: dict[str, Any], number: int) -> Said:
    """Return the turn as a vendor without custom tools says it: one text becomes a tool's only argument."""
    if turn.call is None:
        return Said(turn.text, usage=turn.usage)
    offer = _named(turn.call.tool, _offered(asked))
    assert offer is not None
    tool, given = offer[1], turn.call.given
    if isinstance(given, str):
        schema = tool.get("input_schema") or tool["parameters"]
        (only,) = schema["properties"]
        given = {only: given}
    return Said(turn.text, calls=((f"call_{number}", tool["name"], json.dumps(given)),), usage=turn.usage)


def _messages(turn: Turn, asked: dict[str, Any], number: int) -> Reply:
    said = _said(turn, asked, number)
    return stream("anthropic", said) if asked.get("stream") else reply("anthropic", said)


def _chat(turn: Turn, asked: dict[str, Any], number: int) -> Reply:
    said = _said(turn, asked, number)
    return stream("openai", said) if asked.get("stream") else reply("openai", said)


def _responses(turn: Turn, asked: dict[str, Any], number: int) -> Reply:
    """Return the events of a response; agents always stream."""
    *begun, (_, completed) = responses_events(Said(turn.text, usage=turn.usage))
    events = [event for _, event in begun]
    if turn.call is not None:
        output = completed["response"]["output"]
        item = _item(turn.call, asked, number)
        events += _item_events(item, len(output))
        output.append(item)
    events.append(completed)
    return event_reply([(event["type"], {**event, "sequence_number": n}) for n, event in enumerate(events)])


def _item(call: Call, asked: dict[str, Any], number: int) -> dict[str, Any]:
    """Return the call as OpenAI's models make it."""
    offer = _named(call.tool, _offered(asked))
    assert offer is not None
    namespace, tool = offer
    kind = "custom_tool_call" if tool["type"] == "custom" else "function_call"
    item = {
        "id": f"item_{number}",
        "type": kind,
        "call_id": f"call_{number}",
        "status": "completed",
        "name": tool["name"],
    }
    if namespace:
        item["namespace"] = namespace
    return (
        {**item, "input": call.given}
        if kind == "custom_tool_call"
        else {**item, "arguments": json.dumps(call.given)}
    )


def _item_events(item: dict[str, Any], index: int) -> list[dict[str, Any]]:
    member, kind = (
        ("input", "custom_tool_call_input") if "input" in item else ("arguments", "function_call_arguments")
    )
    where = {"item_id": item["id"], "output_index": index}
    return [
        {
            "type": "response.output_item.added",
            "output_index": index,
            "item": {**item, member: "", "status": "in_progress"},
        },
        *({"type": f"response.{kind}.delta", **where, "delta": half} for half in halves(item[member])),
        {"type": f"response.{kind}.done", **where, "name": item["name"], member: item[member]},
        {"type": "response.output_item.done", "output_index": index, "item": item},
    ]


_OPERATIONS: dict[tuple[str, str], Any] = {
    ("openai", "/v1/chat/completions"): _chat,
    ("openai", "/v1/responses"): _responses,
    ("anthropic", "/v1/messages"): _messages,
}
