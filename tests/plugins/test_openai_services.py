"""What OpenAI does besides answering: sound, verdicts, files, training."""

from datetime import UTC, datetime
from email.message import Message as Email
from email.parser import BytesParser

import pytest

from mosaic.core.errors import ContractViolation, InvalidInput, NotFound, Unauthenticated, Unsupported
from mosaic.providers import (
    BlobPart,
    FileStore,
    FineTuner,
    FineTuneRequest,
    Message,
    ModerationRequest,
    Moderator,
    Speaker,
    SpeechRequest,
    TextPart,
    Transcriber,
    TranscriptionRequest,
    TranscriptionSegment,
    UriPart,
    Usage,
)
from tests.plugins import contracts
from tests.plugins.test_requests import sent
from tests.plugins.vendors import error_body, make_provider
from tests.providers.endpoint import Reply, json_reply

pytestmark = pytest.mark.anyio

FILE = {
    "id": "file-1",
    "object": "file",
    "bytes": 3,
    "created_at": 1_700_000_000,
    "expires_at": 1_800_000_000,
    "filename": "train.jsonl",
    "purpose": "fine-tune",
    "status": "processed",
}
JOB = {
    "id": "ftjob-1",
    "object": "fine_tuning.job",
    "model": "gpt-4o-mini",
    "status": "running",
    "created_at": 1_700_000_000,
    "training_file": "file-1",
}


@pytest.fixture
async def openai(endpoint):
    provider = make_provider("openai", endpoint.url)
    yield provider
    await provider.close()


def form(received) -> dict[str, Email]:
    """The parts of a form, by their names."""
    head = f"content-type: {received.headers['content-type']}\r\n\r\n".encode()
    parts = BytesParser().parsebytes(head + received.body).get_payload()
    return {part.get_param("name", header="content-disposition"): part for part in parts}


def text(part: Email) -> str:
    return part.get_payload(decode=True).decode()


def fits(kind: str, body: object) -> None:
    if (contracts.FOLDER / contracts.FILES["openai"]).is_file():
        contracts.check("openai", kind, body)


def test_the_adapter_offers_them_all(openai):
    for service in (Transcriber, Speaker, Moderator, FileStore, FineTuner):
        assert isinstance(openai, service)


@pytest.mark.requirement("ORC-201", "ORC-197")
async def test_a_recording_is_written_down(endpoint, openai):
    usage = {"type": "tokens", "input_tokens": 14, "output_tokens": 3, "total_tokens": 17}
    body = {"text": "Good day.", "usage": usage}
    fits("transcription", body)
    endpoint.will(json_reply(body))
    request = TranscriptionRequest(
        "gpt-4o-transcribe", b"\x00RIFF", "call.wav", language="en", prompt="MosAIc"
    )
    heard = await openai.transcribe(request)
    assert (heard.text, heard.language, heard.usage) == ("Good day.", "en", Usage(14, 3))
    parts = form(endpoint.last)
    shown = {name: text(part) for name, part in parts.items() if name != "file"}
    assert shown == {
        "model": "gpt-4o-transcribe",
        "response_format": "json",
        "language": "en",
        "prompt": "MosAIc",
    }
    assert parts["file"].get_filename() == "call.wav"
    assert parts["file"].get_payload(decode=True) == b"\x00RIFF"
    assert endpoint.last.path == "/v1/audio/transcriptions"


@pytest.mark.requirement("ORC-201")
async def test_a_recording_is_written_down_with_times(endpoint, openai):
    segment = {
        "id": 0,
        "seek": 0,
        "start": 0.0,
        "end": 1.5,
        "text": "Hi.",
        "tokens": [1],
        "temperature": 0.0,
        "avg_logprob": -0.1,
        "compression_ratio": 1.0,
        "no_speech_prob": 0.0,
    }
    body = {"language": "english", "duration": 1.5, "text": "Hi.", "segments": [segment]}
    fits("transcription with times", body)
    endpoint.will(json_reply(body))
    heard = await openai.transcribe(TranscriptionRequest("whisper-1", b"x", "a.mp3", format="segments"))
    assert heard.segments == (TranscriptionSegment(0.0, 1.5, "Hi."),)
    assert (heard.duration_s, heard.usage) == (1.5, None)
    assert text(form(endpoint.last)["timestamp_granularities[]"]) == "segment"


@pytest.mark.requirement("ORC-201")
async def test_subtitles_are_given_as_they_are(endpoint, openai):
    endpoint.will(Reply((b"WEBVTT\n\n00:00.000 --> 00:01.000\nHi\n",), headers={"content-type": "text/vtt"}))
    heard = await openai.transcribe(TranscriptionRequest("whisper-1", b"x", "a.mp3", format="vtt"))
    assert heard.text.startswith("WEBVTT")


async def test_times_are_not_asked_of_a_model_that_has_none(endpoint, openai):
    with pytest.raises(Unsupported):
        await openai.transcribe(TranscriptionRequest("gpt-4o-transcribe", b"x", "a.mp3", format="srt"))
    assert not endpoint.requests


@pytest.mark.requirement("ORC-197")
async def test_a_text_is_read_aloud(endpoint, openai):
    endpoint.will(Reply((b"ID3", b"sound"), headers={"content-type": "audio/mpeg"}))
    request = SpeechRequest("gpt-4o-mini-tts", "Hello", "alloy", speed=1.25, instructions="Calmly.")
    speech = await openai.speak(request)
    assert (speech.audio, speech.mime_type) == (b"ID3sound", "audio/mpeg")
    fits("speech request", endpoint.last.json)
    assert endpoint.last.path == "/v1/audio/speech"


VERDICT = {
    "flagged": True,
    "categories": {"hate": False, "violence": True},
    "category_scores": {"hate": 0.01, "violence": 0.97},
    "category_applied_input_types": {"violence": ["text"]},
}


@pytest.mark.requirement("ORC-197")
async def test_texts_are_judged_one_by_one(endpoint, openai):
    calm = {**VERDICT, "flagged": False, "categories": {"hate": False, "violence": False}}
    endpoint.will(json_reply({"id": "m", "model": "omni-moderation-2024-09-26", "results": [VERDICT, calm]}))
    found = await openai.moderate(ModerationRequest(texts=("a", "b")))
    assert [verdict.flagged for verdict in found] == [True, False]
    assert found[0].categories == ("violence",)
    assert found[0].scores == {"hate": 0.01, "violence": 0.97}
    assert endpoint.last.json["input"] == ["a", "b"]
    fits("moderation request", endpoint.last.json)


async def test_text_and_image_are_judged_together(endpoint, openai):
    endpoint.will(json_reply({"id": "m", "model": "omni", "results": [VERDICT]}))
    content = (TextPart("look"), UriPart("image", None, "https://x.test/a.png"))
    assert len(await openai.moderate(ModerationRequest(content=content))) == 1
    fits("moderation request", endpoint.last.json)


async def test_nothing_or_two_things_to_judge_are_refused(endpoint, openai):
    for request in (ModerationRequest(), ModerationRequest(texts=("a",), content=(TextPart("b"),))):
        with pytest.raises(InvalidInput):
            await openai.moderate(request)
    assert not endpoint.requests


async def test_a_file_is_stored_described_read_and_removed(endpoint, openai):
    fits("file", FILE)
    endpoint.will(json_reply(FILE))
    stored = await openai.upload_file("train.jsonl", b"{}\n", purpose="fine-tune")
    assert (stored.id, stored.size_bytes, stored.purpose) == ("file-1", 3, "fine-tune")
    assert stored.created_at == datetime.fromtimestamp(1_700_000_000, UTC)
    parts = form(endpoint.last)
    assert text(parts["purpose"]) == "fine-tune"
    assert parts["file"].get_payload(decode=True) == b"{}\n"
    assert await openai.stored_file("file-1") == stored
    endpoint.will(Reply((b"{}\n",), headers={"content-type": "application/octet-stream"}))
    assert await openai.file_content("file-1") == b"{}\n"
    endpoint.will(json_reply({"id": "file-1", "object": "file", "deleted": True}))
    await openai.delete_file("file-1")
    assert (endpoint.last.method, endpoint.last.path) == ("DELETE", "/v1/files/file-1")


async def test_a_files_id_cannot_leave_its_place_in_the_path(endpoint, openai):
    endpoint.will(json_reply(FILE))
    await openai.stored_file("../models?x=1")
    assert endpoint.last.path == "/v1/files/..%2Fmodels%3Fx%3D1"


async def test_a_listing_follows_every_page(endpoint, openai):
    first = {
        "object": "list",
        "data": [FILE, {**FILE, "id": "file-2"}],
        "has_more": True,
        "first_id": "file-1",
        "last_id": "file-2",
    }
    last = {**first, "data": [{**FILE, "id": "file-3"}], "has_more": False}
    fits("files", first)
    endpoint.will(json_reply(first), json_reply(last))
    assert [file.id for file in await openai.stored_files(purpose="batch")] == ["file-1", "file-2", "file-3"]
    assert endpoint.requests[0].path == "/v1/files?purpose=batch&limit=100"
    assert endpoint.requests[1].path == "/v1/files?purpose=batch&limit=100&after=file-2"


async def test_a_listing_that_breaks_off_is_no_listing(endpoint, openai):
    page = {"object": "list", "data": [FILE], "has_more": True}
    endpoint.will(json_reply(page), json_reply(error_body("openai", "no"), status=401))
    with pytest.raises(Unauthenticated):
        await openai.stored_files()


@pytest.mark.requirement("ORC-197", "ORC-196")
async def test_a_model_is_trained_further_from_start_to_end(endpoint, openai):
    endpoint.will(json_reply({**JOB, "status": "validating_files"}))
    request = FineTuneRequest("gpt-4o-mini", "file-1", hyperparameters={"n_epochs": 2}, suffix="ours", seed=1)
    job = await openai.start_fine_tune(request)
    assert (job.status, job.finished) == ("validating", False)
    assert endpoint.last.json == {
        "model": "gpt-4o-mini",
        "training_file": "file-1",
        "method": {"type": "supervised", "supervised": {"hyperparameters": {"n_epochs": 2}}},
        "suffix": "ours",
        "seed": 1,
    }
    done = {**JOB, "status": "succeeded", "fine_tuned_model": "ft:gpt-4o-mini:ours", "trained_tokens": 9}
    endpoint.will(json_reply(done))
    job = await openai.fine_tune("ftjob-1")
    assert (job.finished, job.result_model, job.trained_tokens) == (True, "ft:gpt-4o-mini:ours", 9)
    event = {"id": "e1", "level": "info", "message": "Step 1", "created_at": 1_700_000_000}
    endpoint.will(json_reply({"object": "list", "data": [event], "has_more": False}))
    assert [told.message for told in await openai.fine_tune_events("ftjob-1")] == ["Step 1"]
    endpoint.will(json_reply({"object": "list", "data": [JOB], "has_more": False}))
    assert [one.id for one in await openai.fine_tunes()] == ["ftjob-1"]
    failed = {**JOB, "status": "failed", "error": {"code": "x", "message": "bad file", "param": None}}
    endpoint.will(json_reply(failed))
    job = await openai.cancel_fine_tune("ftjob-1")
    assert endpoint.last.path == "/v1/fine_tuning/jobs/ftjob-1/cancel"
    assert (job.status, job.error) == ("failed", "bad file")


async def test_a_training_that_is_not_there_is_not_found(endpoint, openai):
    endpoint.will(json_reply(error_body("openai", "no such job"), status=404))
    with pytest.raises(NotFound):
        await openai.fine_tune("nope")


async def test_a_state_that_nobody_knows_breaks_the_contract(endpoint, openai):
    endpoint.will(json_reply({**JOB, "status": "dreaming"}))
    with pytest.raises(ContractViolation):
        await openai.fine_tune("ftjob-1")


@pytest.mark.requirement("ORC-206")
async def test_anthropic_keeps_files_and_is_asked_about_them_by_their_ids(endpoint):
    anthropic = make_provider("anthropic", endpoint.url)
    assert isinstance(anthropic, FileStore)
    body = {
        "id": "file_1",
        "type": "file",
        "filename": "report.pdf",
        "mime_type": "application/pdf",
        "size_bytes": 4,
        "created_at": "2026-11-01T10:00:00Z",
    }
    endpoint.will(json_reply(body))
    stored = await anthropic.upload_file("report.pdf", b"%PDF", purpose="user_data")
    assert form(endpoint.last)["file"].get_content_type() == "application/pdf"
    page = {"data": [body], "next_page": "page_2"}
    endpoint.will(json_reply(page), json_reply({"data": [{**body, "id": "file_2"}], "next_page": None}))
    assert [file.id for file in await anthropic.stored_files()] == ["file_1", "file_2"]
    assert endpoint.last.path.endswith("&page=page_2")
    endpoint.will(json_reply(body))
    await anthropic.delete_file("file_1")
    asked = Message("user", (TextPart("Sum it up."), UriPart("document", None, stored.uri)))
    await anthropic.close()
    sent_body = await sent(endpoint, "anthropic", messages=(asked,))
    assert sent_body["messages"][0]["content"][1]["source"] == {"type": "file", "file_id": "file_1"}
    if (contracts.FOLDER / contracts.FILES["anthropic"]).is_file():
        contracts.check("anthropic", "request", sent_body)


@pytest.mark.parametrize(
    ("vendor", "part", "shown"),
    [
        ("openai", UriPart("document", None, "file-id:f1"), {"type": "file", "file": {"file_id": "f1"}}),
        ("responses", UriPart("document", None, "file-id:f1"), {"type": "input_file", "file_id": "f1"}),
        (
            "responses",
            UriPart("image", None, "file-id:f1"),
            {"type": "input_image", "detail": "auto", "file_id": "f1"},
        ),
        (
            "responses",
            UriPart("document", None, "https://x.test/a.pdf"),
            {"type": "input_file", "file_url": "https://x.test/a.pdf"},
        ),
        (
            "responses",
            BlobPart("document", "application/pdf", "aGk="),
            {
                "type": "input_file",
                "filename": "document",
                "file_data": "data:application/pdf;base64,aGk=",
            },
        ),
        (
            "gemini",
            BlobPart("audio", "audio/wav", "aGk="),
            {"inlineData": {"mimeType": "audio/wav", "data": "aGk="}},
        ),
        (
            "gemini",
            UriPart("video", None, "https://x.test/a.mp4"),
            {"fileData": {"fileUri": "https://x.test/a.mp4", "mimeType": "video/mp4"}},
        ),
        (
            "cohere",
            UriPart("image", None, "https://x.test/a.png"),
            {"type": "image_url", "image_url": {"url": "https://x.test/a.png"}},
        ),
    ],
)
async def test_stored_files_and_media_take_the_vendors_form(endpoint, vendor, part, shown):
    body = await sent(endpoint, vendor, messages=(Message("user", (part,)),))
    first = (body.get("messages") or body.get("input") or body.get("contents"))[0]
    assert first.get("content", first.get("parts")) == [shown]
    contracts.need(vendor)
    contracts.check(vendor, "request", body)
