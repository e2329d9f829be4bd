"""What providers of models do besides answering, as operations: speech, trainings, files, models of one's own machine."""

import base64
import binascii
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass
from typing import Any, get_args

from mosaic.core.errors import InvalidInput, Unsupported
from mosaic.core.values import JsonObject, JsonValue
from mosaic.engine import Safety
from mosaic.providers import (
    FineTuneRequest,
    ModelFormat,
    ModelRecipe,
    ModerationRequest,
    ProviderRegistry,
    SpeechRequest,
    StoreProgress,
    TranscriptionRequest,
)
from mosaic.tools import Invocation, RiskClass, ToolEffect, ToolSpec

__all__ = ["MODEL", "TEXT", "Operation", "ProviderServices", "able"]

TEXT: JsonObject = {"type": "string", "minLength": 1, "maxLength": 1_000_000}
MODEL: JsonObject = {"type": "string", "minLength": 1, "maxLength": 200, "description": "The vendor's name."}
_ID: JsonObject = {"type": "string", "minLength": 1, "maxLength": 200}
_BASE64: JsonObject = {"type": "string", "minLength": 1, "maxLength": 8_000_000, "contentEncoding": "base64"}
_VENDORS_OWN: JsonObject = {"type": "object", "maxProperties": 100}

_AUDIO_S = 300.0
_STORE_S = 6 * 3_600.0
_SOUND_BYTES = 4_000_000

Work = Callable[[str, Invocation, JsonObject], Awaitable[JsonValue]]


@dataclass(frozen=True, slots=True)
class Operation:
    """One operation of a provider kind, as a tool.

    Attributes:
        capability: what a provider must be able to do, as its capabilities name it.
        repeatable: a call that was cut short may simply be made again.
        result_bytes: how much of the result is kept; None means the door's own bound.
    """

    name: str
    capability: str
    description: str
    properties: JsonObject
    required: tuple[str, ...]
    risk: RiskClass
    work: Work
    timeout_s: float = 60.0
    repeatable: bool = True
    result_bytes: int | None = None

    def spec(self, provider: str) -> ToolSpec:
        """Return this operation of one instance as a tool."""
        reads = self.risk is RiskClass.READ_ONLY
        return ToolSpec(
            name=f"providers.{provider}.{self.name}",
            description=f"{self.description} Provider: {provider}.",
            input_schema={
                "type": "object",
                "additionalProperties": False,
                "required": list(self.required),
                "properties": self.properties,
            },
            risk=self.risk,
            effects=frozenset({ToolEffect.READ} if reads else {ToolEffect.NETWORK}),
            timeout_s=self.timeout_s,
            safety=Safety.REPEATABLE if self.repeatable else Safety.UNSAFE,
            source=f"provider:{provider}",
            retries=reads,
            result_bytes=self.result_bytes,
        )


def able(provider: Any, operation: str, name: str) -> Any:
    """Return a provider's method.

    Raises:
        Unsupported: if it has none.
    """
    found = getattr(provider, operation, None)
    if found is None:
        raise Unsupported(f"The provider {name} has no operation {operation}.")
    return found


class ProviderServices:
    """Makes these operations.

    What a vendor bills by the minute, the letter or the training is in no ledger and below no budget: such an operation
    is financial, and a person is asked unless the policy says otherwise.
    """

    def __init__(self, providers: ProviderRegistry) -> None:
        self._providers = providers

    def operations(self) -> tuple[Operation, ...]:
        """Return all of them; which ones an instance has, its capabilities say."""
        return (*self._of_media(), *self._of_trainings(), *self._of_own_models())

    def _of_media(self) -> tuple[Operation, ...]:
        texts: JsonObject = {"type": "array", "items": TEXT, "minItems": 1, "maxItems": 100}
        return (
            Operation(
                "moderate",
                "moderation",
                "Say whether texts are harmful, where the provider can.",
                {"texts": texts, "model": MODEL},
                ("texts",),
                RiskClass.EXTERNAL_API,
                self._moderate,
            ),
            Operation(
                "transcribe",
                "transcription",
                "Write down what is said in a recording.",
                {
                    "model": MODEL,
                    "audio_base64": _BASE64,
                    "filename": {**_ID, "description": "Its ending tells the format, such as a.wav."},
                    "language": {"type": "string", "pattern": "^[a-z]{2}$", "description": "ISO 639-1."},
                    "prompt": TEXT,
                    "format": {"enum": ["text", "segments", "srt", "vtt"]},
                },
                ("model", "audio_base64", "filename"),
                RiskClass.FINANCIAL,
                self._transcribe,
                _AUDIO_S,
            ),
            Operation(
                "speak",
                "speech",
                "Read a text aloud; the sound comes as base64.",
                {
                    "model": MODEL,
                    "text": {**TEXT, "maxLength": 20_000},
                    "voice": _ID,
                    "format": {"enum": ["mp3", "opus", "aac", "flac", "wav", "pcm"]},
                    "speed": {"type": "number", "minimum": 0.25, "maximum": 4},
                    "instructions": TEXT,
                },
                ("model", "text", "voice"),
                RiskClass.FINANCIAL,
                self._speak,
                _AUDIO_S,
                result_bytes=_SOUND_BYTES,
            ),
            Operation(
                "upload_file",
                "files",
                "Give the provider a file to keep, such as examples for a training.",
                {"filename": _ID, "content_base64": _BASE64, "purpose": _ID},
                ("filename", "content_base64", "purpose"),
                RiskClass.EXTERNAL_API,
                self._upload,
                _AUDIO_S,
                repeatable=False,
            ),
        )

    def _of_trainings(self) -> tuple[Operation, ...]:
        training: JsonObject = {"fine_tune": _ID}
        return (
            Operation(
                "start_fine_tune",
                "fine_tuning",
                "Train a model further on files that the provider keeps.",
                {
                    "model": MODEL,
                    "training_file": _ID,
                    "validation_file": _ID,
                    "method": {"enum": ["supervised", "dpo"]},
                    "hyperparameters": _VENDORS_OWN,
                    "suffix": _ID,
                    "seed": {"type": "integer"},
                },
                ("model", "training_file"),
                RiskClass.FINANCIAL,
                self._start_fine_tune,
                repeatable=False,
            ),
            Operation(
                "fine_tune",
                "fine_tuning",
                "Say how a training stands.",
                training,
                ("fine_tune",),
                RiskClass.READ_ONLY,
                self._fine_tune,
            ),
            Operation(
                "cancel_fine_tune",
                "fine_tuning",
                "Stop a training.",
                training,
                ("fine_tune",),
                RiskClass.DESTRUCTIVE,
                self._cancel_fine_tune,
            ),
        )

    def _of_own_models(self) -> tuple[Operation, ...]:
        return (
            Operation(
                "pull_model",
                "local_models",
                "Download a model to the provider's machine, telling how far it has come.",
                {"model": MODEL},
                ("model",),
                RiskClass.EXTERNAL_API,
                self._pull,
                _STORE_S,
            ),
            Operation(
                "create_model",
                "local_models",
                "Make a model from a base, or from weights that the server holds, with a prompt and parameters.",
                {
                    "name": MODEL,
                    "base": MODEL,
                    "files": {
                        "type": "object",
                        "minProperties": 1,
                        "maxProperties": 1_000,
                        "additionalProperties": {"type": "string", "pattern": "^sha256:[0-9a-f]{64}$"},
                        "description": "Name of each file of weights to its digest.",
                    },
                    "format": {"enum": list(get_args(ModelFormat)), "description": "Of the files."},
                    "system": TEXT,
                    "template": TEXT,
                    "parameters": {
                        **_VENDORS_OWN,
                        "description": "Such as temperature 0.7, top_k 40, top_p 0.9.",
                    },
                    "license": TEXT,
                    "quantize": _ID,
                },
                ("name",),
                RiskClass.EXTERNAL_API,
                self._create,
                _STORE_S,
            ),
            Operation(
                "local_model",
                "local_models",
                "Describe a model of the provider's machine: family, size, quantization, context.",
                {"model": MODEL},
                ("model",),
                RiskClass.READ_ONLY,
                self._local,
            ),
            Operation(
                "delete_model",
                "local_models",
                "Remove a model from the provider's machine.",
                {"model": MODEL},
                ("model",),
                RiskClass.DESTRUCTIVE,
                self._delete,
            ),
        )

    async def _moderate(self, provider: str, invocation: Invocation, asked: JsonObject) -> JsonValue:
        request = ModerationRequest(
            texts=tuple(asked["texts"]), model=asked.get("model"), timeout_s=invocation.timeout_s
        )
        with self._providers.lease(provider) as seat:
            verdicts = await able(seat, "moderate", provider)(request)
        return [verdict.to_json() for verdict in verdicts]

    async def _transcribe(self, provider: str, invocation: Invocation, asked: JsonObject) -> JsonValue:
        given = {**asked, "audio": _decoded(asked, "audio_base64"), "timeout_s": invocation.timeout_s}
        del given["audio_base64"]
        with self._providers.lease(provider) as seat:
            heard = await able(seat, "transcribe", provider)(TranscriptionRequest(**given))
        told: JsonObject = heard.to_json()
        return told

    async def _speak(self, provider: str, invocation: Invocation, asked: JsonObject) -> JsonValue:
        with self._providers.lease(provider) as seat:
            spoken = await able(seat, "speak", provider)(
                SpeechRequest(**asked, timeout_s=invocation.timeout_s)
            )
        return {
            "audio_base64": base64.b64encode(spoken.audio).decode(),
            "mime_type": spoken.mime_type,
            "model": spoken.model,
        }

    async def _upload(self, provider: str, _: Invocation, asked: JsonObject) -> JsonValue:
        content = _decoded(asked, "content_base64")
        with self._providers.lease(provider) as seat:
            kept = await able(seat, "upload_file", provider)(
                asked["filename"], content, purpose=asked["purpose"]
            )
        told: JsonObject = kept.to_json()
        return told

    async def _start_fine_tune(self, provider: str, _: Invocation, asked: JsonObject) -> JsonValue:
        return await self._told(provider, "start_fine_tune", FineTuneRequest(**asked))

    async def _fine_tune(self, provider: str, _: Invocation, asked: JsonObject) -> JsonValue:
        return await self._told(provider, "fine_tune", asked["fine_tune"])

    async def _cancel_fine_tune(self, provider: str, _: Invocation, asked: JsonObject) -> JsonValue:
        return await self._told(provider, "cancel_fine_tune", asked["fine_tune"])

    async def _local(self, provider: str, _: Invocation, asked: JsonObject) -> JsonValue:
        return await self._told(provider, "local_model", asked["model"])

    async def _told(self, provider: str, operation: str, asked: Any) -> JsonValue:
        with self._providers.lease(provider) as seat:
            found: JsonObject = (await able(seat, operation, provider)(asked)).to_json()
        return found

    async def _pull(self, provider: str, invocation: Invocation, asked: JsonObject) -> JsonValue:
        with self._providers.lease(provider) as seat:
            return await _watched(invocation, able(seat, "pull", provider)(asked["model"]))

    async def _create(self, provider: str, invocation: Invocation, asked: JsonObject) -> JsonValue:
        with self._providers.lease(provider) as seat:
            return await _watched(invocation, able(seat, "create_model", provider)(ModelRecipe(**asked)))

    async def _delete(self, provider: str, _: Invocation, asked: JsonObject) -> JsonValue:
        with self._providers.lease(provider) as seat:
            await able(seat, "delete_model", provider)(asked["model"])
        return {"deleted": asked["model"]}


async def _watched(invocation: Invocation, steps: AsyncIterator[StoreProgress]) -> JsonObject:
    """Pass on how far it has come, each whole percent once; return the last word."""
    told, last = "", ""
    async for step in steps:
        last = step.status
        line = last if step.share is None else f"{last} {step.share:.0%}"
        if line != told:
            invocation.progress(told := line)
    return {"status": last}


def _decoded(asked: JsonObject, name: str) -> bytes:
    try:
        return base64.b64decode(asked[name], validate=True)
    except binascii.Error as error:
        raise InvalidInput(f"`{name}` is no base64.") from error
