"""Speech to text and text to speech, of OpenAI and compatible servers."""

import mimetypes

from mosaic.core.errors import Unsupported
from mosaic.core.values import JsonObject
from mosaic.providers.adapter import HttpAdapter, reading
from mosaic.providers.ai import Usage
from mosaic.providers.audio import (
    Speech,
    SpeechRequest,
    Transcription,
    TranscriptionRequest,
    TranscriptionSegment,
)
from mosaic.providers.http import Form

__all__ = ["OpenAiAudio"]

_WHISPER = "whisper"
_MIME_TYPES = {
    "mp3": "audio/mpeg",
    "opus": "audio/ogg",
    "aac": "audio/aac",
    "flac": "audio/flac",
    "wav": "audio/wav",
    "pcm": "audio/pcm",
}


class OpenAiAudio(HttpAdapter):
    """Recordings written down, and texts read aloud."""

    async def transcribe(self, request: TranscriptionRequest) -> Transcription:
        """Return what is said in the recording.

        Raises:
            Unsupported: if times or subtitles are asked of a model that only writes text.
            MosaicError: as the provider interface describes.
        """
        async with self._http.send(
            "POST", "/audio/transcriptions", body=_form(request), timeout_s=request.timeout_s
        ) as answer:
            if request.format in ("srt", "vtt"):
                text = (await answer.read()).decode("utf-8", "replace")
                return Transcription(text, request.model, self.name, language=request.language)
            body = await answer.json()
        with reading(self.name):
            return _transcription(body, request, provider=self.name)

    async def speak(self, request: SpeechRequest) -> Speech:
        """Return the text as sound."""
        body: JsonObject = {
            "model": request.model,
            "input": request.text,
            "voice": request.voice,
            "response_format": request.format,
        }
        if request.speed is not None:
            body["speed"] = request.speed
        if request.instructions:
            body["instructions"] = request.instructions
        async with self._http.send("POST", "/audio/speech", body=body, timeout_s=request.timeout_s) as answer:
            audio = await answer.read()
        return Speech(audio, _MIME_TYPES[request.format], request.model, self.name)


def _form(request: TranscriptionRequest) -> Form:
    formats = {"text": "json", "segments": "verbose_json", "srt": "srt", "vtt": "vtt"}
    if request.format != "text" and _WHISPER not in request.model:
        raise Unsupported(
            f"The model {request.model} writes text without times, so it has no form for {request.format!r}.",
            hint="Ask whisper-1, or for the format `text`.",
        )
    fields: dict[str, str | list[str]] = {
        "model": request.model,
        "response_format": formats[request.format],
    }
    if request.language:
        fields["language"] = request.language
    if request.prompt:
        fields["prompt"] = request.prompt
    if request.format == "segments":
        fields["timestamp_granularities[]"] = ["segment"]
    kind = mimetypes.guess_type(request.filename)[0] or "application/octet-stream"
    return Form(fields, {"file": (request.filename, request.audio, kind)})


def _transcription(body: JsonObject, request: TranscriptionRequest, *, provider: str) -> Transcription:
    shown = body.get("usage") or {}
    by_token = shown.get("type") == "tokens"
    usage = Usage(int(shown["input_tokens"]), int(shown["output_tokens"])) if by_token else None
    duration = body.get("duration", shown.get("seconds"))
    return Transcription(
        text=body["text"],
        model=request.model,
        provider=provider,
        language=body.get("language") or request.language,
        duration_s=None if duration is None else float(duration),
        segments=tuple(
            TranscriptionSegment(float(part["start"]), float(part["end"]), part["text"])
            for part in body.get("segments") or ()
        ),
        usage=usage,
    )
