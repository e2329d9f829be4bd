"""Models as each vendor lists them."""

import json

import pytest

from mosaic.core.errors import Unsupported
from mosaic.gateway.wires import anthropic_model, anthropic_models, codec, openai_model, openai_models
from tests.gateway.wires import judges

CREATED = 1_700_000_000


def test_openais_list_is_what_it_describes():
    models = [openai_model(name, owner="route", created=CREATED) for name in ("fast", "openai:gpt")]
    listed = json.loads(openai_models(models))
    judges.check(judges.OPENAI, "ListModelsResponse", listed)
    assert [model["id"] for model in listed["data"]] == ["fast", "openai:gpt"]


def test_anthropics_list_is_what_it_describes():
    models = [anthropic_model(name, created=CREATED) for name in ("fast", "slow")]
    for model in models:
        judges.check(judges.ANTHROPIC, "__ModelInfo", model)
    assert models[0]["created_at"] == "2023-11-14T22:13:20Z"
    listed = json.loads(anthropic_models(models))
    assert (listed["first_id"], listed["last_id"], listed["has_more"]) == ("fast", "slow", False)
    assert json.loads(anthropic_models([]))["first_id"] is None


@pytest.mark.parametrize("wire", ["openai.embeddings", "anthropic.count_tokens"])
def test_what_never_streams_says_so(wire):
    with pytest.raises(Unsupported):
        codec(wire).writer(None)
