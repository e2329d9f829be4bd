"""Journals of an earlier release replay: the same way, the same outputs, and nothing is called again."""

import json
from pathlib import Path

import pytest

from mosaic.app.lifespan import open_application
from mosaic.app.settings import load_settings
from tests.replay.golden import OWNER, RECORDED, effects_of, file_of, put_effects

pytestmark = pytest.mark.anyio


@pytest.mark.parametrize("name", RECORDED)
async def test_a_golden_journal_replays_to_the_same_outputs_without_a_call(
    name: str, database_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    golden = json.loads(file_of(name).read_text())
    monkeypatch.setenv("MOSAIC_DATABASE_URL", database_url)
    run_id = "run_" + "0" * 26
    async with open_application(load_settings(tmp_path / "home", environ={}), execute=True) as application:
        await put_effects(application.database, run_id, golden["effects"])
        request = {"bundle": golden["bundle"], "inputs": golden["inputs"], "options": {"run_id": run_id}}
        await application.operations.start_run(OWNER, request)
        run = await application.runs.wait(OWNER, run_id, timeout_s=60)
        assert run.status == "succeeded", run.error
        assert run.outputs == golden["outputs"]
        # A step, model or tool that was not answered from the journal would have left an effect of its own.
        assert await effects_of(application.database, run_id) == golden["effects"]
        events = await application.journal.read(OWNER, run_id=run_id, limit=500)
        assert {event.type for event in events} <= {
            "run.created",
            "run.started",
            "run.succeeded",
            "artifact.stored",
            "execution.succeeded",
        }


def test_a_journal_that_lacks_an_effect_is_noticed() -> None:
    """The check above can fail: the recorded effects are what answers, not something else."""
    golden = json.loads(file_of("hello-team").read_text())
    assert any(row["key"].endswith("#output") for row in golden["effects"])
    assert len(golden["effects"]) >= 8
