"""Answers as OpenAI's responses, Gemini and Cohere give them."""

import json
from typing import Any

from tests.plugins.said import Said, halves, lines

# OpenAI's responses


def responses_output(said: Said) -> list[dict[str, Any]]:
    items: list[dict[str, Any]] = []
    if said.thought:
        summary = [{"type": "summary_text", "text": said.thought}]
        items.append({"type": "reasoning", "id": "rs_1", "summary": summary, "encrypted_content": "sealed"})
    content: list[dict[str, Any]] = []
    if said.text:
        content.append({"type": "output_text", "text": said.text, "annotations": [], "logprobs": []})
    if said.extra.get("refusal"):
        content.append({"type": "refusal", "refusal": said.extra["refusal"]})
    if content:
        message = {"type": "message", "id": "msg_1", "role": "assistant", "status": "completed"}
        items.append({**message, "content": content})
    items += [
        {
            "type": "function_call",
            "id": f"fc_{n}",
            "call_id": id_,
            "name": name,
            "arguments": arguments,
            "status": "completed",
        }
        for n, (id_, name, arguments) in enumerate(said.calls)
    ]
    return items


def responses_body(said: Said) -> dict[str, Any]:
    read, written = said.usage
    reason = {"length": "max_output_tokens", "content_filter": "content_filter"}.get(said.finish)
    return {
        "id": "resp_1",
        "object": "response",
        "created_at": 1,
        "status": "incomplete" if reason else "completed",
        "error": None,
        "incomplete_details": {"reason": reason} if reason else None,
        "instructions": None,
        "model": "gpt-6.1-sol-2026-10-01",
        "output": responses_output(said),
        "parallel_tool_calls": True,
        "temperature": None,
        "tool_choice": "auto",
        "tools": [],
        "top_p": None,
        "metadata": {},
        "usage": {
            "input_tokens": read,
            "input_tokens_details": {"cached_tokens": 4, "cache_write_tokens": 1},
            "output_tokens": written,
            "output_tokens_details": {"reasoning_tokens": 2},
            "total_tokens": read + written,
        },
    }


def responses_events(said: Said) -> list[Any]:
    whole = responses_body(said)
    started = {**whole, "status": "in_progress", "output": [], "incomplete_details": None}
    started.pop("usage")
    events: list[dict[str, Any]] = [{"type": "response.created", "response": started}]
    for index, item in enumerate(whole["output"]):
        empty = {**item, "status": "in_progress"} if item["type"] != "reasoning" else dict(item)
        place = {"output_index": index, "item_id": item["id"]}
        if item["type"] == "message":
            empty["content"] = []
        elif item["type"] == "function_call":
            empty["arguments"] = ""
        events.append({"type": "response.output_item.added", "output_index": index, "item": empty})
        if item["type"] == "reasoning":
            delta = {**place, "summary_index": 0, "delta": said.thought}
            events.append({"type": "response.reasoning_summary_text.delta", **delta})
        elif item["type"] == "message":
            for word in lines(said.text):
                delta = {**place, "content_index": 0, "delta": word, "logprobs": []}
                events.append({"type": "response.output_text.delta", **delta})
        else:
            kind = "response.function_call_arguments.delta"
            events += [{"type": kind, **place, "delta": piece} for piece in halves(item["arguments"])]
        events.append({"type": "response.output_item.done", "output_index": index, "item": item})
    kind = "incomplete" if whole["incomplete_details"] else "completed"
    events.append({"type": f"response.{kind}", "response": whole})
    return [(event["type"], {**event, "sequence_number": n}) for n, event in enumerate(events)]


# Gemini


def gemini_parts(said: Said) -> list[dict[str, Any]]:
    parts: list[dict[str, Any]] = []
    if said.thought:
        parts.append({"text": said.thought, "thought": True})
    if said.text:
        parts.append({"text": said.text})
    parts += [
        {"functionCall": {"name": name, "args": json.loads(arguments)}} for _, name, arguments in said.calls
    ]
    return parts + said.extra.get("parts", [])


def gemini_body(said: Said) -> dict[str, Any]:
    return gemini_chunk(gemini_parts(said), said, last=True)


def gemini_chunk(parts: list[dict[str, Any]], said: Said, *, last: bool) -> dict[str, Any]:
    read, written = said.usage
    candidate: dict[str, Any] = {"index": 0, "content": {"role": "model", "parts": parts}}
    if last:
        candidate["finishReason"] = said.finish or "STOP"
    return {
        "candidates": [candidate],
        "modelVersion": "gemini-4-argon",
        "responseId": "resp-1",
        "usageMetadata": {
            "promptTokenCount": read,
            "candidatesTokenCount": written - 2,
            "thoughtsTokenCount": 2,
            "cachedContentTokenCount": 4,
            "totalTokenCount": read + written,
        },
    }


def gemini_events(said: Said) -> list[Any]:
    pieces: list[dict[str, Any]] = []
    for part in gemini_parts(said):
        if "text" in part and not part.get("thoughtSignature"):
            pieces += [{**part, "text": word} for word in lines(part["text"])]
        else:
            pieces.append(part)
    chunks = [gemini_chunk([piece], said, last=False) for piece in pieces]
    return [*chunks, gemini_chunk([], said, last=True)]


# Cohere


def cohere_message(said: Said) -> dict[str, Any]:
    message: dict[str, Any] = {"role": "assistant"}
    content: list[dict[str, Any]] = []
    if said.thought:
        content.append({"type": "thinking", "thinking": said.thought})
    if said.text:
        content.append({"type": "text", "text": said.text})
    if content:
        message["content"] = content
    if said.calls:
        message["tool_calls"] = [
            {"id": id_, "type": "function", "function": {"name": name, "arguments": arguments}}
            for id_, name, arguments in said.calls
        ]
    return message


def cohere_usage(said: Said) -> dict[str, Any]:
    read, written = said.usage
    return {
        "billed_units": {"input_tokens": read, "output_tokens": written},
        "tokens": {"input_tokens": read + 60, "output_tokens": written},
        "cached_tokens": 4,
    }


def cohere_finish(said: Said) -> str:
    return said.finish or ("TOOL_CALL" if said.calls else "COMPLETE")


def cohere_body(said: Said) -> dict[str, Any]:
    return {
        "id": "c0",
        "finish_reason": cohere_finish(said),
        "message": cohere_message(said),
        "usage": cohere_usage(said),
    }


def cohere_events(said: Said) -> list[Any]:
    start = {"message": {"role": "assistant", "content": [], "tool_plan": "", "tool_calls": []}}
    events: list[dict[str, Any]] = [{"type": "message-start", "id": "c0", "delta": start}]
    for index, piece in enumerate(cohere_message(said).get("content", [])):
        kind = piece["type"]

        def told(text: str, kind: str = kind) -> dict[str, Any]:
            return {"delta": {"message": {"content": {kind: text}}}}

        begin = {"delta": {"message": {"content": {"type": kind, kind: ""}}}}
        events.append({"type": "content-start", "index": index, **begin})
        events += [{"type": "content-delta", "index": index, **told(word)} for word in lines(piece[kind])]
        events.append({"type": "content-end", "index": index})
    for index, call in enumerate(cohere_message(said).get("tool_calls", [])):
        empty = {**call, "function": {**call["function"], "arguments": ""}}
        events.append(
            {"type": "tool-call-start", "index": index, "delta": {"message": {"tool_calls": empty}}}
        )
        for text in halves(call["function"]["arguments"]):
            piece = {"message": {"tool_calls": {"function": {"arguments": text}}}}
            events.append({"type": "tool-call-delta", "index": index, "delta": piece})
        events.append({"type": "tool-call-end", "index": index})
    end = {"finish_reason": cohere_finish(said), "usage": cohere_usage(said)}
    events.append({"type": "message-end", "delta": end})
    return [(event["type"], event) for event in events]
