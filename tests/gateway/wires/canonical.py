"""Requests and answers in our own words, drawn by hypothesis, and an answer cut into pieces."""

import json

from hypothesis import strategies as st

from mosaic.providers import (
    BlobPart,
    Delta,
    Message,
    ModelRequest,
    ModelResponse,
    ReasoningPart,
    TextPart,
    ToolCallPart,
    ToolCallResponsePart,
    ToolDefinition,
    UriPart,
    Usage,
)

texts = st.text(min_size=1, max_size=24)
names = st.from_regex(r"[a-z][a-z0-9_]{0,12}", fullmatch=True)
base64s = st.sampled_from(["AAAA", "aGVsbG8=", "/9j/4AAQ"])
addresses = st.sampled_from(["https://example.org/a.png", "http://127.0.0.1:9/b?c=d"])
_plain = st.none() | st.booleans() | st.integers(-(2**53), 2**53) | texts | st.floats(-1e9, 1e9, width=32)
values = st.recursive(
    _plain,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(names, inner, max_size=3),
    max_leaves=6,
)
objects = st.dictionaries(names, values, max_size=4)
schemas = st.just({"type": "object", "properties": {"n": {"type": "integer"}}, "required": ["n"]})
tools = st.builds(ToolDefinition, names, st.text(max_size=20), schemas)
usages = st.builds(
    lambda read, cached, stored, written, thought: Usage(
        read + cached + stored, written + thought, cached, stored, thought
    ),
    *[st.integers(0, 10_000)] * 5,
)

images = st.builds(
    BlobPart, st.just("image"), st.sampled_from(["image/png", "image/jpeg"]), base64s
) | st.builds(UriPart, st.just("image"), st.none(), addresses)
documents = st.builds(BlobPart, st.just("document"), st.just("application/pdf"), base64s)
sounds = st.builds(BlobPart, st.just("audio"), st.sampled_from(["audio/wav", "audio/mpeg"]), base64s)
said = st.builds(TextPart, texts)


@st.composite
def users(draw, *, audio):
    kinds = said | images | documents
    return Message("user", tuple(draw(st.lists(kinds | sounds if audio else kinds, min_size=1, max_size=3))))


@st.composite
def exchanges(draw, number, *, thoughts, errors):
    """What an assistant said, and the results of the tools it called."""
    parts = []
    if thoughts is not None and draw(st.booleans()):
        parts.append(draw(thoughts))
    if draw(st.booleans()):
        parts.append(draw(said))
    calls = [
        ToolCallPart(f"call_{number}_{index}", draw(names), draw(objects))
        for index in range(draw(st.integers(0 if parts else 1, 3)))
    ]
    results = tuple(
        ToolCallResponsePart(call.id, call.name, draw(texts), is_error=errors and draw(st.booleans()))
        for call in calls
    )
    return [Message("assistant", (*parts, *calls)), *([Message("tool", results)] if results else [])]


@st.composite
def requests(draw, *, audio=False, thoughts=None, errors=False, parallel=True, **fields):
    """A whole conversation; `fields` are strategies for what this wire knows beside it."""
    messages = [Message.of("system", text) for text in draw(st.lists(texts, max_size=2))]
    for number in range(draw(st.integers(1, 3))):
        messages.append(draw(users(audio=audio)))
        messages += draw(exchanges(number, thoughts=thoughts, errors=errors))
    messages.append(draw(users(audio=audio)))
    offered = tuple(draw(st.lists(tools, max_size=3, unique_by=lambda tool: tool.name)))
    choices = ["auto", "none", "required", *[tool.name for tool in offered]] if offered else ["auto"]
    return ModelRequest(
        model=draw(names),
        messages=tuple(messages),
        tools=offered,
        tool_choice=draw(st.sampled_from(choices)),
        output_schema=draw(st.none() | schemas),
        temperature=draw(st.none() | st.floats(0, 1)),
        top_p=draw(st.none() | st.floats(0, 1)),
        parallel_tool_calls=draw(st.none() | st.booleans()) if offered and parallel else None,
        **{name: draw(strategy) for name, strategy in fields.items()},
    )


@st.composite
def responses(draw):
    """A whole answer: thoughts, text and calls, in that order, each there or not."""
    parts = []
    if draw(st.booleans()):
        parts.append(ReasoningPart(draw(texts), signature=draw(st.none() | st.just("c2VhbA=="))))
    if draw(st.booleans()):
        parts.append(draw(said))
    calls = [
        ToolCallPart(f"call_{index}", draw(names), draw(objects)) for index in range(draw(st.integers(0, 3)))
    ]
    finish = "tool_call" if calls else draw(st.sampled_from(["stop", "length", "content_filter"]))
    return ModelResponse(Message("assistant", (*parts, *calls)), finish, draw(usages), "m", "p", "up_1")


def pieces(text, size):
    return [text[start : start + size] for start in range(0, len(text), size)]


def deltas(response, *, size=3, seals=True, late_names=False):
    """The answer as a provider streams it.

    `seals`: the seal of a thought comes with it; `late_names`: calls are named only in the whole answer.
    """
    found = []
    for index, part in enumerate(response.message.parts):
        if isinstance(part, ReasoningPart):
            found += [Delta("reasoning", piece, index) for piece in pieces(part.content, size)]
            if seals and part.signature:
                found.append(Delta("reasoning", "", index, id=part.signature))
        elif isinstance(part, TextPart):
            found += [Delta("text", piece, index) for piece in pieces(part.content, size)]
        elif isinstance(part, ToolCallPart):
            if not late_names:
                found.append(Delta("tool_call", "", index, id=part.id, name=part.name))
            text = json.dumps(part.arguments, ensure_ascii=False)
            found += [Delta("tool_call", piece, index) for piece in pieces(text, size)]
    return found
