"""How to sample and how much to think is asked for where the model takes it, and left out where it refuses it."""

import pytest

from mosaic.providers import Message, ModelRequest, ReasoningPart, ToolCallPart, ToolCallResponsePart
from tests.plugins import contracts
from tests.plugins.test_requests import TOOLS, sent
from tests.plugins.vendors import VENDORS, make_provider

pytestmark = pytest.mark.anyio

EVERYTHING = {
    "tools": TOOLS,
    "top_p": 0.9,
    "seed": 7,
    "reasoning_effort": "high",
    "parallel_tool_calls": False,
    "prompt_cache": True,
    "stop": ("END",),
    "max_output_tokens": 30_000,
}
# A model of each vendor that samples, and one that reasons.
SAMPLING = {
    "openai": "gpt-4.1",
    "responses": "gpt-4.1",
    "anthropic": "claude-haiku-4-5",
    "ollama": "llama3.1",
    "gemini": "gemini-4-argon",
    "cohere": "command-a-03-2025",
}


@pytest.mark.parametrize("vendor", VENDORS)
@pytest.mark.parametrize("model", ["the newest", "one that samples"])
async def test_a_request_with_every_wish_fits_the_vendors_description(endpoint, vendor, model):
    contracts.need(vendor)
    given = {} if model == "the newest" else {"model": SAMPLING[vendor]}
    body = await sent(endpoint, vendor, **EVERYTHING, **given)
    contracts.check(vendor, "request", body)


@pytest.mark.parametrize(
    ("vendor", "where", "shown"),
    [
        ("openai", "top_p", 0.9),
        ("responses", "top_p", 0.9),
        ("anthropic", "top_p", 0.9),
        ("cohere", "p", 0.9),
        ("ollama", "options.top_p", 0.9),
        ("gemini", "generationConfig.topP", 0.9),
        ("openai", "seed", 7),
        ("cohere", "seed", 7),
        ("ollama", "options.seed", 7),
        ("gemini", "generationConfig.seed", 7),
    ],
)
async def test_sampling_goes_where_the_vendor_wants_it(endpoint, vendor, where, shown):
    body = await sent(endpoint, vendor, model=SAMPLING[vendor], top_p=0.9, seed=7)
    for name in where.split("."):
        body = body[name]
    assert body == shown


@pytest.mark.parametrize("vendor", ["openai", "responses", "anthropic"])
async def test_top_p_is_left_out_where_the_model_refuses_it(endpoint, vendor):
    assert "top_p" not in await sent(endpoint, vendor, top_p=0.9)


async def test_anthropic_takes_one_of_temperature_and_top_p(endpoint):
    body = await sent(endpoint, "anthropic", model="claude-haiku-4-5", top_p=0.9, temperature=0.1)
    assert "top_p" not in body
    assert body["temperature"] == 0.1


@pytest.mark.parametrize(
    ("vendor", "model", "effort", "shown"),
    [
        ("openai", "gpt-6.1-sol", "high", {"reasoning_effort": "high"}),
        ("openai", "gpt-6.1-sol", "none", {"reasoning_effort": "low"}),
        ("openai", "gpt-6.1-sol", "max", {"reasoning_effort": "xhigh"}),
        ("openai", "gpt-5.1", "none", {"reasoning_effort": "none"}),
        ("openai", "gpt-5", "xhigh", {"reasoning_effort": "high"}),
        ("responses", "gpt-6.1-sol", "max", {"reasoning": {"effort": "max"}}),
        (
            "anthropic",
            "claude-sonnet-5-5",
            "xhigh",
            {"thinking": {"type": "adaptive"}, "output_config": {"effort": "xhigh"}},
        ),
        ("anthropic", "claude-sonnet-5-5", "none", {"thinking": {"type": "between_tools"}}),
        ("anthropic", "claude-opus-5", "none", {"thinking": {"type": "disabled"}}),
        (
            "anthropic",
            "claude-sonnet-4-6",
            "xhigh",
            {"thinking": {"type": "adaptive"}, "output_config": {"effort": "max"}},
        ),
        ("anthropic", "claude-haiku-4-5", "low", {"thinking": {"type": "enabled", "budget_tokens": 2048}}),
        ("cohere", "command-a-reasoning-08-2025", "none", {"thinking": {"type": "disabled"}}),
        (
            "cohere",
            "command-a-reasoning-08-2025",
            "low",
            {"thinking": {"type": "enabled", "token_budget": 2048}},
        ),
        ("ollama", "qwen3:8b", "high", {"think": True}),
        ("ollama", "qwen3:8b", "none", {"think": False}),
        ("ollama", "gpt-oss:20b", "minimal", {"think": "low"}),
        (
            "gemini",
            "gemini-4-argon",
            "max",
            {"thinkingConfig": {"includeThoughts": True, "thinkingLevel": "HIGH"}},
        ),
        (
            "gemini",
            "gemini-2.5-flash",
            "none",
            {"thinkingConfig": {"includeThoughts": False, "thinkingBudget": 0}},
        ),
    ],
)
async def test_an_effort_becomes_the_nearest_one_that_the_model_has(endpoint, vendor, model, effort, shown):
    plain = (Message.of("user", "hi"),)
    body = await sent(endpoint, vendor, model=model, reasoning_effort=effort, messages=plain)
    body = body.get("generationConfig", body)
    assert {name: body.get(name) for name in shown} == shown


@pytest.mark.parametrize("vendor", ["openai", "responses", "ollama", "cohere"])
async def test_a_model_that_does_not_reason_is_not_told_how_much_to_think(endpoint, vendor):
    body = await sent(endpoint, vendor, model=SAMPLING[vendor], reasoning_effort="high")
    assert not {"reasoning_effort", "reasoning", "think", "thinking"}.intersection(body)


async def test_an_unknown_model_of_a_compatible_server_is_told_nothing_it_may_refuse(endpoint):
    body = await sent(endpoint, "openai", **{**EVERYTHING, "model": "somebody/some-model"})
    assert not {"reasoning_effort", "prompt_cache_key"}.intersection(body)
    assert body["max_tokens"] == 30_000


@pytest.mark.requirement("ENT-46")
async def test_a_compatible_servers_own_models_are_as_the_configuration_declares_them(endpoint):
    declared = {"acme/": {"context_tokens": 64_000, "efforts": ["low", "high"], "images": False}}
    body = await sent(
        endpoint,
        "openai",
        model="acme/thinker",
        reasoning_effort="medium",
        messages=(Message.of("user", "hi"),),
        config={"models": declared},
    )
    assert body["reasoning_effort"] == "high"
    priced = {"acme/": {**declared["acme/"], "input_usd_per_mtok": 0.5}}
    able = make_provider("openai", endpoint.url, models=priced).capabilities("acme/thinker")
    assert (able.context_tokens, able.reasoning, able.images) == (64_000, True, False)
    assert able.price is not None
    assert able.price.input_usd_per_mtok == 0.5


async def test_thought_is_not_asked_for_where_anthropic_would_refuse_it_with_the_request(endpoint):
    given = {"model": "claude-haiku-4-5", "reasoning_effort": "high", "tools": TOOLS}
    forced = await sent(endpoint, "anthropic", **given, tool_choice="required")
    small = await sent(endpoint, "anthropic", **given, max_output_tokens=500)
    call = ToolCallPart("c1", "files.read", {"path": "a"})
    result = Message("tool", (ToolCallResponsePart("c1", "files.read", "x"),))
    unsealed = (Message.of("user", "go"), Message("assistant", (call,)), result)
    answering = await sent(endpoint, "anthropic", **given, messages=unsealed)
    for body in (forced, small, answering):
        assert "thinking" not in body
    sealed = Message("assistant", (ReasoningPart("hm", signature="sealed"), call))
    body = await sent(endpoint, "anthropic", **given, messages=(Message.of("user", "go"), sealed, result))
    assert body["thinking"]["type"] == "enabled"
    assert "temperature" not in body


@pytest.mark.parametrize(
    ("vendor", "shown"),
    [
        ("openai", lambda body: body["parallel_tool_calls"]),
        ("responses", lambda body: body["parallel_tool_calls"]),
        ("anthropic", lambda body: not body["tool_choice"]["disable_parallel_tool_use"]),
    ],
)
@pytest.mark.parametrize("wanted", [True, False])
async def test_parallel_calls_are_switched_where_there_is_a_switch(endpoint, vendor, shown, wanted):
    assert shown(await sent(endpoint, vendor, tools=TOOLS, parallel_tool_calls=wanted)) is wanted


async def test_a_model_without_the_switch_for_parallel_calls_is_not_sent_it(endpoint):
    body = await sent(endpoint, "openai", model="o3", tools=TOOLS, parallel_tool_calls=False)
    assert "parallel_tool_calls" not in body
    assert "parallel_tool_calls" not in await sent(endpoint, "openai", parallel_tool_calls=False)


async def test_stop_texts_are_left_out_where_the_model_refuses_them(endpoint):
    assert "stop" not in await sent(endpoint, "openai", stop=("END",))
    assert (await sent(endpoint, "openai", model="gpt-4.1", stop=("END",)))["stop"] == ["END"]


async def test_anthropic_marks_where_the_stable_part_of_the_prompt_ends(endpoint):
    body = await sent(endpoint, "anthropic", prompt_cache=True)
    mark = {"type": "ephemeral"}
    assert body["system"] == [{"type": "text", "text": "Be brief.", "cache_control": mark}]
    assert body["cache_control"] == mark
    plain = (Message.of("user", "hi"),)
    tools = (await sent(endpoint, "anthropic", prompt_cache=True, tools=TOOLS, messages=plain))["tools"]
    assert "cache_control" not in tools[0]
    assert tools[-1]["cache_control"] == mark
    off = {"prompt_cache": False}
    assert "cache_control" not in str(await sent(endpoint, "anthropic", prompt_cache=True, config=off))


async def test_openai_is_told_which_prompts_share_their_beginning():
    """The official address cannot be called here, so the body is what is looked at."""
    from mosaic.plugins.openai.request import write_request
    from mosaic.providers.catalog import model_facts
    from mosaic.providers.naming import ToolNames

    def body(system, user, model="gpt-6.1-sol"):
        messages = (Message.of("system", system), Message.of("user", user))
        request = ModelRequest(model, messages, prompt_cache=True)
        facts = model_facts("openai", model)
        return write_request(request, names=ToolNames(request), facts=facts, official=True, stream=False)

    one, two, other = body("a", "1"), body("a", "2"), body("b", "1")
    assert one["prompt_cache_key"] == two["prompt_cache_key"] != other["prompt_cache_key"]
    marked = [{"type": "text", "text": "a", "prompt_cache_breakpoint": {"mode": "explicit"}}]
    assert one["messages"][0]["content"] == marked
    assert body("a", "1", "gpt-5")["messages"][0]["content"] == "a"
    if (contracts.FOLDER / contracts.FILES["openai"]).is_file():
        contracts.check("openai", "request", one)


async def test_ollama_runs_models_as_configured(endpoint):
    gpu = {"num_gpu": -1, "num_thread": 4, "num_batch": 512}
    body = await sent(endpoint, "ollama", config={"options": gpu, "keep_alive": "30m"}, temperature=0.5)
    assert {name: body["options"][name] for name in gpu} == gpu
    assert body["options"]["temperature"] == 0.5
    assert body["keep_alive"] == "30m"
