"""Speech as text and text as speech: what is asked of a provider, and what it answers."""

from dataclasses import dataclass
from typing import Literal

from mosaic.core.values import JsonObject
from mosaic.providers.ai import Usage

__all__ = [
    "AudioFormat",
    "Speech",
    "SpeechRequest",
    "Transcription",
    "TranscriptionFormat",
    "TranscriptionRequest",
    "TranscriptionSegment",
]

TranscriptionFormat = Literal["text", "segments", "srt", "vtt"]
AudioFormat = Literal["mp3", "opus", "aac", "flac", "wav", "pcm"]


@dataclass(frozen=True, slots=True)
class TranscriptionRequest:
    """A request to write down what is said.

    Attributes:
        audio: the recording, in a format that the vendor reads (wav, mp3, m4a, ogg, flac, webm).
        filename: its ending tells the vendor the format.
        language: ISO 639-1, such as `de`; None lets the model find out.
        prompt: words that are likely to occur, or the text before this piece.
        format: plain text, text with times (`segments`), or subtitles.
    """

    model: str
    audio: bytes
    filename: str
    language: str | None = None
    prompt: str | None = None
    format: TranscriptionFormat = "text"
    timeout_s: float = 300.0


@dataclass(frozen=True, slots=True)
class TranscriptionSegment:
    """What is said between two moments."""

    start_s: float
    end_s: float
    text: str


@dataclass(frozen=True, slots=True)
class Transcription:
    """What was said.

    Attributes:
        text: plain, or the subtitles that were asked for.
        language: as the model named it; None when it did not.
        duration_s: how long the recording is; None when the provider did not say.
        segments: only when they were asked for.
        usage: None for models that are billed by the minute.
    """

    text: str
    model: str
    provider: str
    language: str | None = None
    duration_s: float | None = None
    segments: tuple[TranscriptionSegment, ...] = ()
    usage: Usage | None = None

    def to_json(self) -> JsonObject:
        """Return the transcription as a JSON object."""
        return {
            "text": self.text,
            "model": self.model,
            "provider": self.provider,
            "language": self.language,
            "duration_s": self.duration_s,
            "segments": [
                {"start_s": part.start_s, "end_s": part.end_s, "text": part.text} for part in self.segments
            ],
            "usage": self.usage.to_json() if self.usage else None,
        }


@dataclass(frozen=True, slots=True)
class SpeechRequest:
    """A request to read a text aloud.

    Attributes:
        speed: 1.0 is the voice's own.
        instructions: how to speak, for models that listen to it.
    """

    model: str
    text: str
    voice: str
    format: AudioFormat = "mp3"
    speed: float | None = None
    instructions: str | None = None
    timeout_s: float = 120.0


@dataclass(frozen=True, slots=True)
class Speech:
    """A text read aloud."""

    audio: bytes
    mime_type: str
    model: str
    provider: str
