"""The requests of Claude Code and Codex, in the shapes that they send."""

import json

from mosaic.gateway.wires import codec
from mosaic.providers import BlobPart, ReasoningPart, TextPart, ToolCallPart, ToolCallResponsePart
from tests.gateway.wires import judges

EPHEMERAL = {"type": "ephemeral"}
CLAUDE_CODE = {
    "model": "claude-sonnet-4-5-20250929",
    "max_tokens": 32000,
    "stream": True,
    "temperature": 1,
    "metadata": {"user_id": "user_0f_account_1a-2b_session_3c-4d"},
    "thinking": {"type": "enabled", "budget_tokens": 31999},
    "system": [
        {"type": "text", "text": "x-anthropic-billing-header: cc_version=2.1; cch=00000;"},
        {"type": "text", "text": "You are Claude Code.", "cache_control": EPHEMERAL},
        {"type": "text", "text": "\nYou help with software.", "cache_control": EPHEMERAL},
    ],
    "tools": [
        {
            "name": "Read",
            "description": "Reads a file.",
            "input_schema": {
                "$schema": "http://json-schema.org/draft-07/schema#",
                "type": "object",
                "properties": {"file_path": {"type": "string"}, "model": {"type": "string"}},
                "required": ["file_path"],
                "additionalProperties": False,
            },
        },
        {"type": "web_search_20250305", "name": "web_search", "max_uses": 8},
    ],
    "messages": [
        {
            "role": "user",
            "content": [
                {"type": "text", "text": "<system-reminder>\nToday is Monday.\n</system-reminder>"},
                {"type": "text", "text": "Look at a.png and a.txt", "cache_control": EPHEMERAL},
            ],
        },
        {
            "role": "assistant",
            "content": [
                {"type": "thinking", "thinking": "Two reads.", "signature": "EqQBCgIYAhIM"},
                {"type": "redacted_thinking", "data": "EmwKAhgB"},
                {"type": "text", "text": "Reading both."},
                {"type": "tool_use", "id": "toolu_1", "name": "Read", "input": {"file_path": "a.png"}},
                {"type": "tool_use", "id": "toolu_2", "name": "Read", "input": {"file_path": "a.txt"}},
            ],
        },
        {
            "role": "user",
            "content": [
                {
                    "type": "tool_result",
                    "tool_use_id": "toolu_1",
                    "content": [
                        {"type": "text", "text": "an image"},
                        {
                            "type": "image",
                            "source": {"type": "base64", "media_type": "image/png", "data": "iVBORw0K"},
                        },
                    ],
                },
                {
                    "type": "tool_result",
                    "tool_use_id": "toolu_2",
                    "is_error": True,
                    "content": "<tool_use_error>File does not exist.</tool_use_error>",
                    "cache_control": EPHEMERAL,
                },
                {"type": "text", "text": "[Request interrupted by user]"},
            ],
        },
    ],
}
CODEX = {
    "model": "gpt-5-codex",
    "stream": True,
    "store": False,
    "instructions": "You are a coding agent in the Codex CLI.",
    "include": ["reasoning.encrypted_content"],
    "reasoning": {"effort": "medium", "summary": "auto"},
    "prompt_cache_key": "0199-conversation",
    "tool_choice": "auto",
    "parallel_tool_calls": False,
    "text": {"verbosity": "medium"},
    "tools": [
        {
            "type": "function",
            "name": "shell",
            "description": "Runs a command.",
            "strict": False,
            "parameters": {
                "type": "object",
                "properties": {"command": {"type": "array", "items": {"type": "string"}}},
                "required": ["command"],
                "additionalProperties": False,
            },
        },
        {
            "type": "custom",
            "name": "apply_patch",
            "description": "Edits files.",
            "format": {"type": "grammar", "syntax": "lark", "definition": 'start: "*** Begin Patch"'},
        },
        {"type": "web_search", "external_web_access": False},
        {
            "type": "namespace",
            "name": "tracker",
            "description": "Issues.",
            "tools": [
                {"type": "function", "name": "find", "parameters": {"type": "object"}, "strict": False}
            ],
        },
    ],
    "input": [
        {
            "type": "message",
            "role": "developer",
            "content": [{"type": "input_text", "text": "<permissions>"}],
        },
        {"type": "message", "role": "user", "content": [{"type": "input_text", "text": "# AGENTS.md"}]},
        {"type": "message", "role": "user", "content": [{"type": "input_text", "text": "Fix it"}]},
        {
            "type": "reasoning",
            "id": "rs_1",
            "summary": [{"type": "summary_text", "text": "**Looking**"}],
            "content": None,
            "encrypted_content": "gAAAAABo",
        },
        {"type": "function_call", "name": "shell", "arguments": '{"command":["ls"]}', "call_id": "call_1"},
        {"type": "custom_tool_call", "name": "apply_patch", "input": "*** Begin Patch", "call_id": "call_2"},
        {
            "type": "function_call",
            "namespace": "tracker",
            "name": "find",
            "arguments": "{}",
            "call_id": "call_3",
        },
        {"type": "function_call_output", "call_id": "call_1", "output": '{"output":"a.py","metadata":{}}'},
        {"type": "custom_tool_call_output", "call_id": "call_2", "output": "Done"},
        {
            "type": "function_call_output",
            "call_id": "call_3",
            "output": [
                {"type": "input_text", "text": "none"},
                {"type": "input_image", "image_url": "data:image/png;base64,AA"},
            ],
        },
        {
            "type": "web_search_call",
            "id": "ws_1",
            "status": "completed",
            "action": {"type": "search", "query": "x"},
        },
    ],
}


def read(wire, body):
    return codec(wire).read_request(json.dumps(body).encode())


def test_the_request_of_claude_code_is_what_the_vendor_describes():
    judges.check(judges.ANTHROPIC, "__CreateMessageRequest", {**CLAUDE_CODE, "stream": False})


def test_claude_code_is_understood():
    asked = read("anthropic.messages", CLAUDE_CODE)
    request = asked.request
    assert [message.role for message in request.messages] == [
        "system",
        "system",
        "user",
        "assistant",
        "tool",
        "user",
    ]
    assert request.messages[0].text == "You are Claude Code."
    assert request.messages[3].parts == (
        ReasoningPart("Two reads.", signature="EqQBCgIYAhIM"),
        ReasoningPart("", redacted="EmwKAhgB"),
        TextPart("Reading both."),
        ToolCallPart("toolu_1", "Read", {"file_path": "a.png"}),
        ToolCallPart("toolu_2", "Read", {"file_path": "a.txt"}),
    )
    assert request.messages[4].parts == (
        ToolCallResponsePart("toolu_1", "Read", "an image"),
        BlobPart("image", "image/png", "iVBORw0K"),
        ToolCallResponsePart(
            "toolu_2", "Read", "<tool_use_error>File does not exist.</tool_use_error>", is_error=True
        ),
    )
    assert [tool.name for tool in request.tools] == ["Read"]
    assert (request.reasoning_effort, request.prompt_cache, request.max_output_tokens) == (
        "high",
        True,
        32000,
    )
    assert asked.ignored == ("web_search_20250305",)
    assert asked.extras["thinking"] is True


def test_claude_code_is_routed():
    peeked = codec("anthropic.messages").peek(json.dumps(CLAUDE_CODE).encode())
    assert peeked.model == "claude-sonnet-4-5-20250929"
    assert (peeked.session, peeked.max_tokens, peeked.stream) == ("3c-4d", 32000, True)
    assert peeked.needs == {"tools", "vision"}


def test_claude_code_may_count_its_tokens():
    body = {name: value for name, value in CLAUDE_CODE.items() if name not in ("max_tokens", "stream")}
    wire = codec("anthropic.count_tokens")
    peeked = wire.peek(json.dumps(body).encode())
    assert (peeked.max_tokens, peeked.stream) == (0, False)
    asked = wire.read_request(json.dumps(body).encode())
    assert len(asked.request.messages) == 6
    answer = json.loads(wire.write_response(1234, asked))
    judges.check(judges.ANTHROPIC, "__CountTokens", answer)
    assert answer == {"input_tokens": 1234}


def test_codex_is_understood():
    asked = read("openai.responses", CODEX)
    request = asked.request
    assert [message.role for message in request.messages] == [
        "system",
        "system",
        "user",
        "user",
        "assistant",
        "tool",
    ]
    assert request.messages[4].parts == (
        ReasoningPart("**Looking**", signature="openai:rs_1:gAAAAABo"),
        ToolCallPart("call_1", "shell", {"command": ["ls"]}),
        ToolCallPart("call_2", "apply_patch", {"input": "*** Begin Patch"}),
        ToolCallPart("call_3", "tracker__find", {}),
    )
    assert request.messages[5].parts == (
        ToolCallResponsePart("call_1", "shell", '{"output":"a.py","metadata":{}}'),
        ToolCallResponsePart("call_2", "apply_patch", "Done"),
        ToolCallResponsePart("call_3", "tracker__find", "none"),
        BlobPart("image", "image/png", "AA"),
    )
    assert [tool.name for tool in request.tools] == ["shell", "apply_patch", "tracker__find"]
    assert 'start: "*** Begin Patch"' in request.tools[1].description
    assert (request.reasoning_effort, request.parallel_tool_calls, request.prompt_cache) == (
        "medium",
        False,
        True,
    )
    assert asked.ignored == ("web_search", "web_search_call")


def test_codex_is_routed():
    peeked = codec("openai.responses").peek(json.dumps(CODEX).encode())
    assert (peeked.model, peeked.session, peeked.stream) == ("gpt-5-codex", "0199-conversation", True)
    assert peeked.needs == {"tools", "vision"}
