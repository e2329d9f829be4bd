"""Workflows: the patterns, the package, what is checked before anything runs, and what a run remembers."""

import json
import subprocess
import sys
from pathlib import Path

import pytest
from jsonschema import Draft202012Validator
from ruamel.yaml import YAML

import mosaic.workflows
from mosaic.core.errors import InvalidDefinition
from tests.acceptance.installation import (
    EXAMPLES,
    HEAD,
    OWNER,
    Desk,
    Installation,
    of,
    offered,
    on_sqlite,
    reason,
)
from tests.agents.script import ScriptedModel, call, says, texts

pytestmark = pytest.mark.anyio

AGENTS = """
agents:
  a: {model: "openai:test-model", instructions: You are a.}
  b: {model: "openai:test-model", instructions: You are b.}
  c: {model: "openai:test-model", instructions: You are c.}
"""


def echoing(model: ScriptedModel) -> list[str]:
    """Let each agent answer ``<its name>(<its task>)``; return the agents in the order they were asked."""
    asked: list[str] = []

    def answer(body):
        (agent,) = [name for name in "abc" if f"You are {name}." in texts(body, "system")[0]]
        asked.append(agent)
        task = texts(body, "user")[0].strip().splitlines()[-1]
        return says(f"{agent}({task})")

    model.will(answer)
    return asked


@on_sqlite
@pytest.mark.requirement("MOZ-43")
async def test_in_a_sequence_each_agent_ends_before_the_next_begins_and_sees_what_came_before(
    desk: Desk, installation: Installation, model: ScriptedModel
) -> None:
    asked = echoing(model)
    folder = installation.workflow(
        AGENTS
        + """
do:
  - one: {agent: a, with: start}
  - two: {agent: b}
  - three: {agent: c, with: "${one} and ${two}"}
"""
    )
    run = await desk.run(folder)
    assert run["outputs"] == {"result": "c(a(start) and b(a(start)))"}
    assert asked == ["a", "b", "c"]
    steps = [
        (event["type"], event["path"])
        for event in await desk.events(run["id"], "step.started", "step.completed")
    ]
    assert steps == [
        (kind, step) for step in ("one", "two", "three") for kind in ("step.started", "step.completed")
    ]


@on_sqlite
@pytest.mark.requirement("MOZ-43")
async def test_what_was_handed_over_accumulates_from_agent_to_agent(
    desk: Desk, installation: Installation, model: ScriptedModel
) -> None:
    def answer(body):
        (agent,) = [name for name in "abc" if f"You are {name}." in texts(body, "system")[0]]
        if agent == "c":
            return says("Done.")
        to = {"a": "b", "b": "c"}[agent]
        given = {"task": f"Go on, {to}.", "decisions": [f"{agent} decided"]}
        return says("Over to you.", call(f"handoff_to_{to}", given))

    model.will(answer)
    agents = AGENTS.replace("You are a.", "You are a., handoffs: [b]")
    agents = agents.replace("You are b.", "You are b., handoffs: [c]")
    run = await desk.run(installation.workflow(agents + "do: [{one: {agent: a, with: Begin.}}]\n"))
    assert run["outputs"] == {"result": "Done."}
    (told,) = texts(model.asked[-1], "user")
    assert "Go on, c." in told
    assert "b decided" in told
    assert "Go on, b." in told
    assert "a decided" in told


@on_sqlite
@pytest.mark.requirement("MOZ-44")
async def test_independent_steps_run_at_the_same_time_and_their_results_come_together(
    desk: Desk, installation: Installation
) -> None:
    import asyncio

    together = asyncio.Barrier(3)

    @offered("meet")
    async def meet(who: str) -> str:
        """Return when three are here."""
        await together.wait()
        return who

    desk.register(meet)
    branches = "\n".join(f"        {name}: {{tool: meet, with: {{who: {name}}}}}" for name in "xyz")
    folder = installation.workflow(
        'tools: {meet: {python: "acceptance:meet"}}\ndo:\n  - all:\n      fork:\n'
        + branches
        + '\n  - sum: {set: "${all.x + all.y + all.z}"}\n'
    )
    run = await desk.run(folder)
    assert run["outputs"] == {"result": "xyz"}


@on_sqlite
@pytest.mark.requirement("MOZ-45")
@pytest.mark.parametrize(("kind", "agent"), [("bug", "a"), ("idea", "b"), ("noise", "c")])
async def test_a_condition_evaluated_at_run_time_routes_to_the_next_agent(
    desk: Desk, installation: Installation, model: ScriptedModel, kind: str, agent: str
) -> None:
    asked = echoing(model)
    folder = installation.workflow(
        "inputs: {type: object, properties: {kind: {type: string}}}"
        + AGENTS
        + """
do:
  - route:
      switch:
        - {when: "inputs.kind == 'bug'", do: [{fix: {agent: a, with: fix}}]}
        - {when: "inputs.kind == 'idea'", do: [{think: {agent: b, with: think}}]}
        - {default: [{sort: {agent: c, with: sort}}]}
"""
    )
    run = await desk.run(folder, {"kind": kind})
    assert run["status"] == "succeeded"
    assert asked == [agent]


@on_sqlite
@pytest.mark.requirement("MOZ-46", "MOZ-82")
async def test_a_validator_sends_work_back_with_what_was_wrong_three_times_at_most(
    desk: Desk, installation: Installation, model: ScriptedModel
) -> None:
    folder = installation.workflow("""
agents: {a: {model: "openai:test-model", instructions: You are a.}}
do:
  - work: {agent: a, with: Count.}
  - check: {validate: [{expect: "value == 'three'", message: "that is not three"}], on_fail: {goto: work}}
""")
    answers = iter(["one", "two", "three"])
    model.will(lambda _: says(next(answers)))
    run = await desk.run(folder)
    assert run["outputs"] == {"result": "three"}
    first, second, _third = ("\n".join(texts(body, "user")) for body in model.asked)
    assert "that is not three" not in first
    assert "that is not three" in second

    model.will(says("wrong"))
    before = len(model.asked)
    failed = await desk.run(folder)
    assert reason(failed) == "contract_violation"
    assert len(model.asked) - before == 1 + 3, "the first time and three repetitions"


@on_sqlite
@pytest.mark.requirement("MOZ-51")
async def test_control_passes_only_along_the_handoffs_that_are_declared(
    desk: Desk, installation: Installation, model: ScriptedModel
) -> None:
    folder = installation.workflow("""
agents:
  a: {model: "openai:test-model", instructions: You are a., handoffs: [b]}
  b: {model: "openai:test-model", instructions: You are b., handoffs: [c]}
  c: {model: "openai:test-model", instructions: You are c., handoffs: [a]}
do:
  - work: {handoff: {start: a, among: [a, b, c], max_turns: 5}, with: Go.}
""")

    def answer(body):
        (agent,) = [name for name in "abc" if f"You are {name}." in texts(body, "system")[0]]
        offers = {tool["function"]["name"] for tool in body.get("tools", ())}
        assert offers == {f"handoff_to_{({'a': 'b', 'b': 'c', 'c': 'a'})[agent]}"}
        if agent == "a" and len(texts(body, "assistant")) == 0:
            return says("Skip one.", call("handoff_to_c", {"task": "go"}))
        if agent in "ab":
            return says("Next.", call(offers.pop(), {"task": "go"}))
        return says("c answers")

    model.will(answer)
    run = await desk.run(folder)
    assert run["outputs"] == {"result": "c answers"}
    moves = [(data["from"], data["to"]) for data in of(await desk.events(run["id"]), "handoff.made")]
    assert moves == [("a", "b"), ("b", "c")]


@pytest.mark.requirement("MOZ-47", "MOZ-49")
async def test_a_workflow_is_a_yaml_file_that_the_runtime_loads_with_what_it_names(
    desk: Desk, installation: Installation, model: ScriptedModel
) -> None:
    echoing(model)
    folder = installation.workflow(
        "inputs: {type: object, required: [goal], properties: {goal: {type: string}}}\n"
        "agents: {a: file:a.md}\n"
        'do: [{one: {agent: a, with: "${inputs.goal}"}}]\noutputs: {said: "${one}"}\n',
        a_md='---\nname: a\nmodel: "openai:test-model"\n---\nYou are a.\n',
    )
    run = await desk.run(folder, {"goal": "ship"})
    assert run["outputs"] == {"said": "a(ship)"}
    (folder / "a.md").write_text('---\nname: a\nmodel: "openai:test-model"\n---\nYou are b.\n')
    (folder / "workflow.yaml").write_text("not what it was")
    pinned = await desk.application.runs.definition(OWNER, run["id"])
    assert pinned.content_hash == run["definition_hash"]
    assert pinned.agents["a"].spec.instructions.strip() == "You are a.", (
        "a run keeps the bundle it was started with"
    )


@on_sqlite
@pytest.mark.requirement("MOZ-48")
async def test_a_package_holds_the_workflow_its_agents_its_schemas_and_its_functions(
    desk: Desk, installation: Installation, model: ScriptedModel
) -> None:
    model.will(says(None, call("shout", {"text": "hi"})), says('{"loud": "HI"}'))
    folder = installation.workflow(
        """
agents: {a: file:agent.yaml}
tools: {shout: {python: "functions.py:shout", risk: read_only}}
do: [{one: {agent: a, with: go}}]
outputs: {loud: "${one.loud}"}
""",
        agent_yaml='model: "openai:test-model"\ninstructions: Shout.\ntools: [shout]\noutput: {$ref: loud.json}\n',
        loud_json='{"type": "object", "required": ["loud"], "properties": {"loud": {"type": "string"}}}',
        functions_py="from mosaic.tools import tool\n\n"
        '@tool(risk="read_only")\ndef shout(text: str) -> str:\n    "Shout."\n    return text.upper()\n',
    )
    run = await desk.run(folder)
    assert run["outputs"] == {"loud": "HI"}, run["error"]
    assert texts(model.asked[-1], "tool")


@on_sqlite
@pytest.mark.requirement("MOZ-50", "MOZ-78")
async def test_a_workflow_is_checked_against_the_published_schema_before_anything_runs(
    desk: Desk, installation: Installation
) -> None:
    schema = json.loads((Path(mosaic.workflows.__file__).parent / "workflow.schema.json").read_text())
    Draft202012Validator.check_schema(schema)
    validator = Draft202012Validator(schema)
    for path in EXAMPLES.rglob("workflow.yaml"):
        assert not list(validator.iter_errors(YAML(typ="safe").load(path.read_text()))), path
    wrong = "do:\n  - one: {set: 1}\n  - two: {agnet: a}\nlimts: {usd: 1}\n"
    assert not validator.is_valid(YAML(typ="safe").load(HEAD + wrong))
    with pytest.raises(InvalidDefinition) as refused:
        await desk.start(installation.workflow(wrong))
    told = "\n".join(str(problem) for problem in refused.value.problems)
    assert "workflow.yaml:6:" in told
    assert "agent" in told
    assert "limits" in told
    assert (await desk.operations.runs(desk.ctx, status=None, workflow=None, limit=5, cursor=None))[
        "items"
    ] == []


@pytest.mark.requirement("MOZ-50", "MOZ-49")
def test_the_command_line_explains_every_mistake_of_a_file_at_once(tmp_path: Path) -> None:
    (tmp_path / "workflow.yaml").write_text(
        HEAD + "agents: {a: {}}\ndo:\n  - one: {agent: b, with: '${inputs.x}'}\n  - one: {set: 1}\n"
    )
    done = subprocess.run(
        [Path(sys.executable).with_name("mosaic"), "validate", tmp_path / "workflow.yaml"],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 2
    said = done.stdout + done.stderr
    assert "workflow.yaml:6:" in said
    assert "workflow.yaml:7:" in said


@pytest.mark.requirement("MAOS-12", "MOZ-02", "MAOS-44")
async def test_a_run_that_was_interrupted_goes_on_in_another_process_and_repeats_nothing(
    installation: Installation,
) -> None:
    calls: list[str] = []

    @offered("note")
    def note(what: str) -> str:
        """Note something."""
        calls.append(what)
        return what

    folder = installation.workflow(
        """
tools: {note: {python: "acceptance:note"}}
do:
  - before: {tool: note, with: {what: before}}
  - go: {listen: go}
  - after: {tool: note, with: {what: "after ${before} ${go.word}"}}
"""
    )
    async with installation.open() as desk:
        desk.register(note)
        run_id = await desk.start(folder)
        await desk.until(run_id, "step.started", when=lambda event: event["path"] == "go")
        assert (await desk.operations.run(desk.ctx, run_id))["status"] == "running"
    assert calls == ["before"]
    async with installation.open(execute=False) as door:
        assert (await door.operations.run(door.ctx, run_id))["status"] == "running"
        await door.operations.signal(door.ctx, run_id, "go", {"word": "now"})
    async with installation.open() as desk:
        desk.register(note)
        run = await desk.ended(run_id)
        assert run["outputs"] == {"result": "after before now"}
        assert of(await desk.events(run_id), "run.resumed") == [{"attempt": 2}]
    assert calls == ["before", "after before now"]


@on_sqlite
@pytest.mark.requirement("MOZ-01", "MOZ-02", "ENT-10")
async def test_the_runtime_knows_no_workflow_by_name_and_runs_whatever_is_declared(
    desk: Desk, installation: Installation
) -> None:
    generator = installation.workflow("""
inputs: {type: object, required: [name], properties: {name: {type: string}}}
workspace: {source: repo/}
do:
  - model: {tool: files.write, with: {path: "src/${inputs.name}.py", content: "NAME = '${inputs.name}'\\n"}}
  - check: {run: [python, "-c", "import runpy; print(runpy.run_path('src/${inputs.name}.py')['NAME'])"]}
outputs: {checked: "${check.stdout}"}
""")
    (generator / "repo").mkdir()
    (generator / "repo" / "README.md").write_text("An empty project.\n")
    run = await desk.run(generator, {"name": "invoice"})
    assert run["outputs"] == {"checked": "invoice\n"}, run["error"]
    assert run["workspace"]["commit"]
    child = installation.workflow("do: [{one: {set: 2}}]\n")
    assert (await desk.run(child))["outputs"] == {"result": 2}


@on_sqlite
@pytest.mark.requirement("MOZ-55", "MOZ-61", "MOZ-62", "MOZ-63", "MOZ-80")
async def test_what_a_run_made_is_checked_by_its_tests_and_by_the_schemas_of_its_files(
    desk: Desk, installation: Installation
) -> None:
    folder = installation.workflow(
        """
inputs: {type: object, properties: {port: {type: string}}}
workspace: {source: repo/}
do:
  - make: {tool: files.write, with: {path: config.yaml, content: "port: ${inputs.port}\\n"}}
  - check:
      validate:
        - {name: tests, run: python -m unittest -b}
        - {name: shape, schema: schema.json, file: config.yaml}
""",
        schema_json='{"type": "object", "required": ["port"], "properties": {"port": {"type": "integer"}}}',
    )
    (folder / "repo").mkdir()
    (folder / "repo" / "test_config.py").write_text(
        "import unittest\n\nclass Config(unittest.TestCase):\n    def test_port(self):\n"
        "        print('looking at the port')\n"
        "        self.assertEqual(open('config.yaml').read(), 'port: 80\\n')\n"
    )
    good = await desk.run(folder, {"port": "80"})
    assert good["status"] == "succeeded", good["error"]
    bad = await desk.run(folder, {"port": "many"})
    assert reason(bad) == "contract_violation"
    told = json.dumps(bad["error"])
    assert "tests" in told
    assert "looking at the port" in told, "what the tests printed"
    assert "port: must be integer" in told
