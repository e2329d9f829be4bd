"""What vendors offer besides answering, as whoever uses the installation reaches it: tools under policy and approval."""

import base64
from typing import Any

import pytest

from mosaic.core.errors import Unsupported
from tests.acceptance.installation import OWNER, Desk, Installation, on_sqlite
from tests.plugins.test_ollama_store import PULLING, SHOWN
from tests.plugins.vendors import Said, reply
from tests.providers.endpoint import Endpoint, Reply, json_reply, line_reply

pytestmark = [pytest.mark.anyio, on_sqlite]

OPENAI = "providers.openai"
OLLAMA = "providers.ollama"


@pytest.fixture
def installation(installation: Installation, endpoint: Endpoint) -> Installation:
    ollama = {"ollama": {"base_url": endpoint.url}}
    return Installation(installation.home, installation.database_url, installation.providers | ollama)


async def called(desk: Desk, tool: str, **arguments: Any) -> Any:
    """Call a tool that asks nobody."""
    found = await desk.application.tool_operations.call_tool(desk.ctx, tool, arguments)
    assert found["status"] == "completed", found
    assert not found["result"].get("is_error"), found
    return found["result"]["content"]


async def approved(desk: Desk, tool: str, **arguments: Any) -> Any:
    """Call a tool that spends money or removes something: a person says yes first."""
    found = await desk.application.tool_operations.call_tool(desk.ctx, tool, arguments)
    assert found["status"] == "waiting", found
    await desk.operations.decide(OWNER, found["approval"], {"approve": True})
    result = await desk.application.outside.calls.wait(desk.ctx, found["call_id"], timeout_s=60)
    assert not result.is_error, result
    return result.content


@pytest.mark.requirement("ORC-209", "ORC-210", "ORC-207", "ORC-208")
async def test_a_local_model_is_downloaded_made_described_and_removed(desk: Desk, endpoint: Endpoint):
    lines: list[str] = []
    outside = desk.application.outside
    endpoint.will(line_reply(PULLING))
    await outside.calls.call(
        desk.ctx,
        tool=f"{OLLAMA}.pull_model",
        arguments={"model": "llama3.1"},
        toolbox=await outside.toolbox(desk.ctx),
        policy=await outside.policy(desk.ctx),
        client="test",
        progress=lines.append,
    )
    assert [line for line in lines if "%" in line] == [f"pulling aabb {share}%" for share in (0, 40, 100)]
    endpoint.will(line_reply([{"status": "success"}]))
    sampling = {"temperature": 0.7, "top_k": 40, "top_p": 0.9}
    made = await called(
        desk,
        f"{OLLAMA}.create_model",
        name="ours",
        base="llama3.1",
        system="You are brief.",
        template="{{ .Prompt }}",
        parameters=sampling,
    )
    assert made == {"status": "success"}
    sent = endpoint.last.json
    assert (sent["from"], sent["parameters"], sent["system"]) == ("llama3.1", sampling, "You are brief.")
    assert sent["template"] == "{{ .Prompt }}"
    weights = {"model.gguf": f"sha256:{'a' * 64}"}
    endpoint.will(line_reply([{"status": "success"}]))
    await called(desk, f"{OLLAMA}.create_model", name="own", files=weights, format="gguf")
    assert endpoint.last.json["files"] == weights
    with pytest.raises(Unsupported):
        await called(desk, f"{OLLAMA}.create_model", name="own", files=weights, format="pytorch")
    endpoint.will(json_reply(SHOWN))
    assert (await called(desk, f"{OLLAMA}.local_model", model="ours"))["quantization"] == "Q4_K_M"
    endpoint.will(json_reply({}))
    assert await approved(desk, f"{OLLAMA}.delete_model", model="ours") == {"deleted": "ours"}


@pytest.mark.requirement("ORC-201", "ORC-197")
async def test_a_recording_is_written_down_and_a_text_read_aloud_after_a_person_agreed(
    desk: Desk, endpoint: Endpoint
):
    audio = base64.b64encode(b"RIFF").decode()
    endpoint.will(json_reply({"text": "Guten Tag."}))
    heard = await approved(
        desk,
        f"{OPENAI}.transcribe",
        model="whisper-1",
        audio_base64=audio,
        filename="a.wav",
        language="de",
        format="text",
    )
    assert (heard["text"], heard["language"]) == ("Guten Tag.", "de")
    assert b'name="language"\r\n\r\nde' in endpoint.last.body
    assert b"RIFF" in endpoint.last.body
    sound = bytes(range(256)) * 600
    endpoint.will(Reply((sound,), headers={"content-type": "audio/mpeg"}))
    spoken = await approved(desk, f"{OPENAI}.speak", model="tts-1-hd", text="Guten Tag.", voice="alloy")
    assert base64.b64decode(spoken["audio_base64"]) == sound


@pytest.mark.requirement("ORC-197", "ORC-196")
async def test_content_is_judged_and_a_model_trained_further_on_a_file_given(desk: Desk, endpoint: Endpoint):
    result = {"flagged": True, "categories": {"hate": True}, "category_scores": {"hate": 0.9}}
    endpoint.will(json_reply({"id": "m", "model": "omni-moderation-latest", "results": [result]}))
    (verdict,) = await called(desk, f"{OPENAI}.moderate", texts=["..."])
    assert verdict["flagged"]
    kept = {"id": "file-1", "filename": "a.jsonl", "bytes": 2, "purpose": "fine-tune", "created_at": 1}
    endpoint.will(json_reply(kept))
    examples = base64.b64encode(b"{}").decode()
    file = await called(
        desk, f"{OPENAI}.upload_file", filename="a.jsonl", content_base64=examples, purpose="fine-tune"
    )
    job = {"id": "ftjob-1", "model": "gpt-4o-mini", "status": "queued"}
    endpoint.will(json_reply(job))
    started = await approved(desk, f"{OPENAI}.start_fine_tune", model="gpt-4o-mini", training_file=file["id"])
    assert started["status"] == "queued"
    assert endpoint.last.json["training_file"] == "file-1"
    endpoint.will(json_reply({**job, "status": "succeeded", "fine_tuned_model": "ft:ours"}))
    assert (await called(desk, f"{OPENAI}.fine_tune", fine_tune="ftjob-1"))["result_model"] == "ft:ours"


@pytest.mark.requirement("ORC-204", "ORC-205", "ORC-196", "MOZ-41")
async def test_answers_in_xml_and_artifacts_are_asked_for_and_accounted_for(desk: Desk, endpoint: Endpoint):
    endpoint.will(reply("openai", Said("<answer><risk>low</risk><why>a < b</why></answer>")))
    answer = await called(
        desk, f"{OPENAI}.complete_xml", model="test-model", prompt="How risky?", elements=["risk", "why"]
    )
    assert answer["value"] == {"risk": "low", "why": "a < b"}
    endpoint.will(reply("openai", Said('Here.\n<artifact id="a" type="svg">\n<svg/>\n</artifact>')))
    made = await called(
        desk, f"{OPENAI}.generate_artifact", model="test-model", prompt="Draw a dot.", type="svg"
    )
    assert made["text"] == "Here."
    assert [(one["type"], one["content"]) for one in made["artifacts"]] == [("svg", "<svg/>")]
    (usage,) = await called(desk, f"{OPENAI}.usage")
    assert (usage["calls"], usage["input_tokens"]) == (2, 22)
    assert "tools" in (await called(desk, f"{OPENAI}.model", model="gpt-4-turbo"))["features"]
