"""Plays a script as if it were a model."""

import asyncio
import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

from mosaic.core.errors import MosaicError, NotFound, error_from_json
from mosaic.core.values import JsonObject
from mosaic.plugins.scripted.reader import load_script
from mosaic.plugins.scripted.script import Answer, Script
from mosaic.providers.ai import (
    Delta,
    FinishReason,
    Message,
    ModelRequest,
    ModelResponse,
    Part,
    ReasoningPart,
    TextPart,
    ToolCallPart,
    Usage,
    tool_arguments,
)
from mosaic.providers.interfaces import DeclaredPrice, ModelCapabilities, ModelInfo, ProviderHealth
from mosaic.providers.manifest import ProviderManifest, ProviderPlugin
from mosaic.providers.tokens import estimate_text, estimate_tokens

__all__ = ["SCRIPT_FILE", "ScriptedProvider", "provider"]

SCRIPT_FILE = "scripted.yaml"
"""The name under which an example keeps its script, beside its workflow."""

_FREE = DeclaredPrice(0.0, 0.0)


class ScriptedProvider:
    """Answers from script files; the model's name is the script's path."""

    name = "scripted"

    def __init__(self, script: str | None = None) -> None:
        self._default = script
        self._scripts: dict[Path, tuple[int, Script]] = {}

    def script(self, model: str) -> Script:
        """Return the script that `model` names; a changed file is read again.

        Raises:
            NotFound: if there is none.
            InvalidInput: if it is not a script.
        """
        if model in ("", "default"):
            if not self._default:
                raise NotFound(
                    "The scripted provider has no default script.",
                    hint="Write `scripted:<path of a script>`, or set MOSAIC_SCRIPT.",
                )
            model = self._default
        path = Path(model).expanduser().absolute()
        try:
            changed = path.stat().st_mtime_ns
        except OSError:
            changed = 0
        known = self._scripts.get(path)
        if known is None or known[0] != changed:
            known = (changed, load_script(path))
            self._scripts[path] = known
        return known[1]

    async def complete(self, request: ModelRequest, *, idempotency_key: str) -> ModelResponse:  # noqa: ARG002 - the interface's
        """Return the script's answer after its delay."""
        response = None
        async for item in self._play(request):
            response = item
        if not isinstance(response, ModelResponse):
            raise TypeError("a script's play ends with its response")
        return response

    async def stream(
        self,
        request: ModelRequest,
        *,
        idempotency_key: str,  # noqa: ARG002 - the interface's
    ) -> AsyncIterator[Delta | ModelResponse]:
        """Yield the script's answer word by word, then whole."""
        async for item in self._play(request):
            yield item

    async def _play(self, request: ModelRequest) -> AsyncIterator[Delta | ModelResponse]:
        script = self.script(request.model)
        answer = script.answer(request)
        delay_s = float(answer.get("delay_s", script.delay_s))
        if delay_s > request.timeout_s:
            await asyncio.sleep(request.timeout_s)
            raise error_from_json(
                {
                    "code": "timed_out",
                    "message": f"The script took longer than {request.timeout_s:g} s.",
                    "data": {"sent": True},
                }
            )
        if delay_s:
            await asyncio.sleep(delay_s)
        _fail_as_written(answer, request)
        response = _response(script, answer, request, provider=self.name)
        for index, part in enumerate(response.message.parts):
            for piece in _pieces(part):
                yield _delta(
                    part, piece, index
                )  # a tool call is one piece, so each of its deltas is the first
        yield response

    async def models(self) -> list[ModelInfo]:
        """Return the default script, when there is one."""
        return [ModelInfo(self.name, "default", name=self._default)] if self._default else []

    async def default_model(self) -> str | None:
        """Return the default script, when there is one."""
        return "default" if self._default else None

    async def check(self, model: str | None = None, *, thorough: bool = False) -> ProviderHealth:  # noqa: ARG002 - the interface's
        """Say whether the script can be read."""
        if model is None and not self._default:
            return ProviderHealth(self.name, "ready", "plays the script that the model's name gives")
        try:
            script = self.script(model or "default")
        except MosaicError as error:
            return ProviderHealth(self.name, "unconfigured", error.message, error.hint)
        return ProviderHealth(self.name, "ready", f"plays the script {script.name!r}; no model is asked")

    def capabilities(self, model: str) -> ModelCapabilities:
        """Return what a script can do, and its declared price; without one its answers cost nothing."""
        try:
            price = self.script(model).price or _FREE
        except MosaicError:
            price = _FREE
        return ModelCapabilities(images=True, idempotent=True, price=price, local=True)

    async def close(self) -> None:
        """Nothing to release."""


def _fail_as_written(answer: Answer, request: ModelRequest) -> None:
    error = answer.get("error")
    if error is None:
        return
    attempts = error.get("attempts")
    if attempts is not None and int(request.metadata.get("attempt", "1")) > int(attempts):
        return
    data: JsonObject = {"scripted": True}
    if "retry_after_s" in error:
        data["retry_after_s"] = error["retry_after_s"]
    message = error.get("message") or f"The script fails here on purpose ({error['code']})."
    raise error_from_json(
        {"code": error["code"], "message": message, "hint": error.get("hint"), "data": data}
    )


def _response(script: Script, answer: Answer, request: ModelRequest, *, provider: str) -> ModelResponse:
    parts: list[Part] = []
    if answer.get("reasoning"):
        parts.append(ReasoningPart(str(answer.get("reasoning"))))
    if answer.get("text"):
        parts.append(TextPart(str(answer.get("text"))))
    if "output" in answer.fields:
        parts.append(TextPart(json.dumps(answer.get("output"), ensure_ascii=False)))
    calls = answer.get("tool_calls") or []
    parts += [_call(call, answer.turn, index) for index, call in enumerate(calls)]
    finish: FinishReason = answer.get("finish") or ("tool_call" if calls else "stop")
    return ModelResponse(
        message=Message("assistant", tuple(parts)),
        finish_reason=finish,
        usage=_usage(answer, request, parts),
        model=script.name,
        provider=provider,
        response_id=None,
    )


def _call(call: JsonObject, turn: int, index: int) -> ToolCallPart:
    arguments = tool_arguments(call["raw"]) if "raw" in call else call.get("arguments") or {}
    return ToolCallPart(str(call.get("id") or f"call_{turn + 1}_{index + 1}"), call["tool"], arguments)


def _usage(answer: Answer, request: ModelRequest, parts: list[Part]) -> Usage:
    written: JsonObject = answer.get("usage") or {}
    said = sum(estimate_text(json.dumps(part.to_json(), ensure_ascii=False)) for part in parts)
    return Usage.from_json({"input_tokens": estimate_tokens(request), "output_tokens": said, **written})


def _pieces(part: Any) -> list[str]:
    if isinstance(part, ToolCallPart):
        return [json.dumps(part.arguments, ensure_ascii=False)]
    return [word for word in str(getattr(part, "content", "")).splitlines(keepends=True) if word]


def _delta(part: Part, text: str, index: int) -> Delta:
    if isinstance(part, ToolCallPart):
        return Delta("tool_call", text, index, id=part.id, name=part.name)
    return Delta("reasoning" if isinstance(part, ReasoningPart) else "text", text, index)


provider = ProviderPlugin(
    manifest=ProviderManifest(
        id="scripted",
        kind="ai",
        name="Scripted",
        version="1",
        description="Plays a model's part from a script file. No model is asked.",
        base_url="",
        configuration={
            "type": "object",
            "properties": {"script": {"type": "string", "description": "path of the default script"}},
            "additionalProperties": False,
        },
        environment={"script": "MOSAIC_SCRIPT"},
    ),
    create=lambda config: ScriptedProvider(config.get("script")),
)
