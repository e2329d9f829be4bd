"""Tools: risk classes, approvals, and the checks before and after every call."""

import asyncio
import sys
from typing import Any

import pytest

from mosaic.core.context import Actor, Context
from mosaic.core.errors import Conflict, TenantViolation, Unavailable
from mosaic.engine import Effects
from mosaic.tools import Invocation, Toolbox
from tests.acceptance.installation import ROOT, Desk, Installation, of, offered, on_sqlite, reason
from tests.agents.script import ScriptedModel, call, says, texts
from tests.providers.endpoint import Endpoint, json_reply

pytestmark = pytest.mark.anyio

CALL = """
tools: {act: {python: "acceptance:act"}}
do:
  - first: {tool: act, with: {what: "x"}}
"""


class Counted:
    """Tools that count how often they were really called."""

    def __init__(self, risk: str = "read_only", **options: Any) -> None:
        self.calls: list[str] = []

        @offered("act", risk, **options)
        def act(what: str, times: int = 1) -> str:
            """Act on something."""
            self.calls.append(what)
            return f"acted on {what}"

        self.tool = act


@on_sqlite
@pytest.mark.requirement("MOZ-26", "MOZ-27", "MOZ-28")
@pytest.mark.parametrize(
    ("risk", "audited"), [("read_only", False), ("generative", False), ("external_api", True)]
)
async def test_tools_of_the_lower_risk_classes_run_without_asking_and_external_ones_are_audited(
    desk: Desk, installation: Installation, risk: str, audited: bool
) -> None:
    counted = Counted(risk)
    desk.register(counted.tool)
    run = await desk.run(installation.workflow(CALL))
    assert (run["status"], counted.calls) == ("succeeded", ["x"])
    events = await desk.events(run["id"])
    assert [data["risk"] for data in of(events, "tool.called")] == [risk]
    assert not of(events, "approval.requested")
    assert [data["tool"] for data in of(events, "audit.tool_called")] == (["act"] if audited else [])


@pytest.mark.requirement("MOZ-29", "MOZ-30")
@pytest.mark.parametrize(("risk", "audited"), [("destructive", False), ("financial", True)])
async def test_a_destructive_or_financial_tool_runs_only_after_a_person_said_yes(
    desk: Desk, installation: Installation, risk: str, audited: bool
) -> None:
    counted = Counted(risk)
    desk.register(counted.tool)
    folder = installation.workflow(CALL)
    run_id = await desk.start(folder)
    asked = await desk.asked(run_id)
    assert counted.calls == []
    assert (asked["detail"]["risk"], asked["detail"]["arguments"]) == (risk, {"what": "x"})
    await desk.operations.decide(desk.ctx, asked["id"], {"approve": True})
    assert (await desk.ended(run_id))["status"] == "succeeded"
    assert counted.calls == ["x"]
    events = await desk.events(run_id)
    audits = of(events, "audit.tool_called")
    assert [(data["tool"], data["approved_by"]) for data in audits] == (
        [("act", "user:owner")] if audited else []
    )

    run_id = await desk.start(folder)
    await desk.operations.decide(desk.ctx, (await desk.asked(run_id))["id"], {"approve": False})
    assert (await desk.ended(run_id))["status"] == "failed"
    assert counted.calls == ["x"], "after a no it never runs"


@on_sqlite
@pytest.mark.requirement("MOZ-29")
async def test_a_tool_that_says_nothing_of_its_risk_is_destructive(
    desk: Desk, installation: Installation
) -> None:
    folder = installation.workflow(
        'tools: {plain: {python: "tools.py:plain"}}\ndo: [{first: {tool: plain, with: {name: x}}}]\n',
        tools_py='def plain(name: str) -> str:\n    "Greet."\n    return f"hello {name}"\n',
    )
    run_id = await desk.start(folder)
    asked = await desk.asked(run_id)
    assert asked["detail"]["risk"] == "destructive"
    await desk.operations.decide(desk.ctx, asked["id"], {"approve": True})
    assert (await desk.ended(run_id))["outputs"] == {"result": "hello x"}


@on_sqlite
@pytest.mark.requirement("MOZ-31")
async def test_a_tool_is_registered_with_its_schema_its_risk_class_and_who_may_approve_it(
    desk: Desk, installation: Installation, model: ScriptedModel
) -> None:
    counted = Counted("generative")
    desk.register(counted.tool)
    folder = installation.workflow("""
tools:
  deploy: {python: "acceptance:act", risk: financial, approval: {roles: [lead], timeout: 1h}, description: Ship it.}
agents:
  ops: {model: "openai:test-model", instructions: Deploy., tools: [deploy]}
  guest: {model: "openai:test-model", instructions: Look., tools: {allowed: ["*"], refused: [deploy]}}
do:
  - guest: {agent: guest, with: go}
  - ops: {agent: ops, with: go}
""")
    model.will(
        lambda body: says(
            "Done.", *([call("deploy", {"what": "v1"})] if _due(body) == 0 and _offered(body) else [])
        )
    )
    run_id = await desk.start(folder)
    asked = await desk.asked(run_id)
    assert [_offered(body) for body in model.asked] == [False, True], "not every agent may use it"
    (shown,) = [one["function"] for one in model.asked[-1]["tools"] if one["function"]["name"] == "deploy"]
    assert shown["description"] == "Ship it."
    assert shown["parameters"]["required"] == ["what"]
    assert shown["parameters"]["properties"]["times"]["type"] == "integer"
    assert (asked["detail"]["risk"], asked["roles"], asked["on_timeout"]) == ("financial", ["lead"], "deny")
    assert asked["expires_at"] is not None
    await desk.operations.decide(desk.ctx, asked["id"], {"approve": True})
    await desk.ended(run_id)
    assert counted.calls == ["v1"]


def _due(body: Any) -> int:
    return sum(message["role"] == "assistant" for message in body["messages"])


def _offered(body: Any) -> bool:
    return any(one["function"]["name"] == "deploy" for one in body.get("tools", ()))


@pytest.mark.requirement("MOZ-32")
async def test_what_needs_a_person_waits_in_one_queue_and_is_answered_from_another_process(
    installation: Installation,
) -> None:
    counted = Counted("destructive")
    folder = installation.workflow(CALL)
    async with installation.open() as desk:
        desk.register(counted.tool)
        runs = [await desk.start(folder) for _ in range(3)]
        for run_id in runs:
            await desk.asked(run_id)
    async with installation.open(execute=False) as door:  # nobody works; a person answers
        queue = (await door.operations.approvals(door.ctx, status="pending", run_id=None))["items"]
        assert {approval["run_id"] for approval in queue} == set(runs)
        by_run = {approval["run_id"]: approval["id"] for approval in queue}
        await door.operations.decide(door.ctx, by_run[runs[0]], {"approve": True, "note": "go"})
        await door.operations.decide(door.ctx, by_run[runs[1]], {"approve": False, "note": "not now"})
        with pytest.raises(Conflict):
            await door.operations.decide(door.ctx, by_run[runs[0]], {"approve": False})
        left = (await door.operations.approvals(door.ctx, status="pending", run_id=None))["items"]
        assert [approval["run_id"] for approval in left] == [runs[2]]
    assert counted.calls == []
    async with installation.open() as desk:
        desk.register(counted.tool)
        assert [(await desk.ended(run_id))["status"] for run_id in runs[:2]] == ["succeeded", "failed"]
        assert counted.calls == ["x"]
        assert (await desk.operations.run(desk.ctx, runs[2]))["status"] == "waiting"


@on_sqlite
@pytest.mark.requirement("MOZ-33")
async def test_arguments_that_do_not_fit_the_schema_never_reach_the_tool(
    desk: Desk, installation: Installation, model: ScriptedModel
) -> None:
    counted = Counted()
    desk.register(counted.tool)
    wrong = await desk.run(
        installation.workflow(CALL.replace('{what: "x"}', '{what: "x", times: "${1 > 0}"}'))
    )
    assert reason(wrong) == "invalid_arguments"
    assert "times" in wrong["error"]["message"]
    assert counted.calls == []

    model.will(
        says("I act.", call("act", {"wat": "x"})), says("Again.", call("act", {"what": "y"})), says("Done.")
    )
    run = await desk.run(
        installation.workflow("""
tools: {act: {python: "acceptance:act"}}
agents: {solo: {model: "openai:test-model", instructions: Act., tools: [act]}}
do: [{work: {agent: solo, with: go}}]
""")
    )
    assert run["status"] == "succeeded"
    assert counted.calls == ["y"]
    assert "what" in texts(model.asked[1], "tool")[0], "the model is told what is wrong"


@on_sqlite
@pytest.mark.requirement("MOZ-34")
async def test_a_call_beyond_its_permissions_is_refused_and_journaled(
    desk: Desk, installation: Installation, model: ScriptedModel
) -> None:
    counted = Counted("generative")
    desk.register(counted.tool)
    denied = await desk.run(installation.workflow("policies: {generative: deny}" + CALL))
    assert reason(denied) == "policy_denied"
    assert [data["tool"] for data in of(await desk.events(denied["id"]), "tool.denied")] == ["act"]

    model.will(says("I act.", call("act", {"what": "x"})), says("I see."))
    unlisted = await desk.run(
        installation.workflow("""
tools: {act: {python: "acceptance:act"}}
agents: {solo: {model: "openai:test-model", instructions: Act., tools: [files.list]}}
do: [{work: {agent: solo, with: go}}]
""")
    )
    assert unlisted["status"] == "succeeded"
    assert counted.calls == []

    folder = installation.workflow(
        'workspace: {source: repo/}\ndo: [{first: {tool: files.read, with: {path: "../secret.txt"}}}]\n',
        secret_txt="nobody may read this",
    )
    (folder / "repo").mkdir()
    (folder / "repo" / "a.txt").write_text("a")
    outside = await desk.run(folder)
    assert outside["status"] == "failed"
    assert "nobody may read this" not in str(await desk.events(outside["id"]))


@on_sqlite
@pytest.mark.requirement("MOZ-36")
async def test_a_tool_that_hangs_is_stopped_after_its_time_which_is_30_seconds_unless_told(
    desk: Desk, installation: Installation
) -> None:
    stopped = asyncio.Event()

    @offered("act")
    async def act(what: str, invocation: Invocation) -> str:
        """Never come back, unless asked how long it may take."""
        if what == "time":
            return str(invocation.timeout_s)
        try:
            return str(await asyncio.Event().wait())
        finally:
            stopped.set()

    desk.register(act)
    asked = await desk.run(installation.workflow(CALL.replace('"x"', '"time"')))
    assert asked["outputs"] == {"result": "30.0"}
    run = await desk.run(installation.workflow(CALL.replace('{what: "x"}}', '{what: "x"}, timeout: 200ms}')))
    assert reason(run) == "timed_out"
    assert stopped.is_set()


@on_sqlite
@pytest.mark.requirement("MOZ-36", "MAOS-11")
async def test_a_command_that_hangs_is_stopped_after_its_time_which_is_300_seconds_unless_told(
    desk: Desk, installation: Installation
) -> None:
    folder = installation.workflow(
        "workspace: {source: repo/}\ndo: [{first: {run: sleep 600, timeout: 500ms}}]\n"
    )
    (folder / "repo").mkdir()
    (folder / "repo" / "a.txt").write_text("a")
    run = await desk.run(folder)
    assert reason(run) == "timed_out"
    shell = desk.application.tools.boxes.registered().get("shell.run").spec
    assert shell.timeout_s == 300


@pytest.mark.requirement("MOZ-37", "ENT-42")
async def test_a_call_that_fails_for_now_is_tried_three_times_with_growing_delays(
    desk: Desk, installation: Installation
) -> None:
    attempts: list[int] = []

    @offered("act", retries=True)
    def act(what: str, invocation: Invocation) -> str:
        """Work the third time."""
        attempts.append(invocation.attempt)
        if len(attempts) < 3:
            raise Unavailable("Not now.")
        return what

    desk.register(act)
    retry = "retry: {delay: 20ms, factor: 3, jitter: 0}"  # how often is left to the default
    run = await desk.run(installation.workflow(CALL.replace('{what: "x"}}', f'{{what: "x"}}, {retry}}}')))
    assert (run["status"], attempts) == ("succeeded", [1, 2, 3])
    assert [data["delay_s"] for data in of(await desk.events(run["id"]), "retry")] == [0.02, 0.06]

    @offered("never", retries=True)
    def never(what: str) -> str:
        """Fail always."""
        attempts.append(0)
        raise Unavailable("Not now.")

    desk.register(never)
    attempts.clear()
    failed = await desk.run(
        installation.workflow(
            CALL.replace("acceptance:act", "acceptance:never").replace(
                '{what: "x"}}', f'{{what: "x"}}, {retry}}}'
            )
        )
    )
    assert (reason(failed), len(attempts)) == ("unavailable", 3)


@on_sqlite
@pytest.mark.requirement("MOZ-37")
async def test_tools_and_requests_are_tried_three_times_without_being_told_so(
    installation: Installation, endpoint: Endpoint
) -> None:
    answers = iter([json_reply({}, status=503), json_reply({}, status=503), json_reply({"fine": True})])
    endpoint.answer = lambda _: next(answers)
    async with installation.open(tools={"allow_private_hosts": ["127.0.0.1"]}) as desk:
        run = await desk.run(installation.workflow(f'do: [{{first: {{http: "{endpoint.url}/x"}}}}]\n'))
        assert run["status"] == "succeeded"
        assert len(endpoint.requests) == 3
        first, second = (data["delay_s"] for data in of(await desk.events(run["id"]), "retry"))
        assert 0.8 <= first <= 1.2
        assert 1.6 <= second <= 2.4


@on_sqlite
@pytest.mark.requirement("MOZ-39")
async def test_an_answer_outside_the_tools_schema_is_refused(desk: Desk, installation: Installation) -> None:
    @offered("act")
    def act(what: str) -> list[int]:
        """Promise numbers and give text."""
        return [what]  # type: ignore[list-item]  # that is the point

    desk.register(act)
    run = await desk.run(installation.workflow(CALL))
    assert reason(run) == "contract_violation"


@pytest.mark.requirement("MOZ-40", "ENT-14", "ORC-83", "MAOS-19", "MAOS-34", "STK-23")
async def test_every_call_is_on_record_with_who_what_when_on_what_and_with_what_result(
    desk: Desk, installation: Installation
) -> None:
    desk.register(Counted().tool)
    run = await desk.run(installation.workflow(CALL))
    (event,) = await desk.events(run["id"], "tool.called")
    assert event["id"].startswith("evt_")
    assert event["occurred_at"] >= run["created_at"]
    assert (event["tenant"], event["project"], event["actor"]) == ("local", "default", "user:owner")
    assert (event["run_id"], event["path"]) == (run["id"], "first")
    assert event["correlation"] == run["id"]
    data = event["data"]
    assert (data["tool"], data["arguments"], data["result"]) == ("act", {"what": "x"}, "acted on x")
    assert data["duration_ms"] >= 0


@pytest.mark.requirement("MOZ-41", "ENT-47", "ENT-65", "MOZ-130", "ORC-73")
async def test_tokens_are_accounted_for_by_run_project_agent_and_model(
    desk: Desk, installation: Installation, model: ScriptedModel
) -> None:
    desk.register(Counted().tool)
    model.will(says("I act.", call("act", {"what": "x"})), says("Done."))
    run = await desk.run(
        installation.workflow("""
tools: {act: {python: "acceptance:act"}}
agents: {solo: {model: "openai:test-model", instructions: Act., tools: [act]}}
do: [{work: {agent: solo, with: go}}]
""")
    )
    assert (run["cost"]["calls"], run["cost"]["tokens"]) == (2, 220)
    rows = await desk.application.cost.calls(desk.ctx, run["id"])
    assert [(row.path, row.agent, row.provider, row.model) for row in rows] == [
        ("work", "solo", "openai", "test-model")
    ] * 2
    assert [(row.usage.input_tokens, row.usage.output_tokens) for row in rows] == [(100, 10)] * 2


@on_sqlite
@pytest.mark.requirement("MOZ-42")
async def test_files_are_listed_read_searched_written_edited_and_checked_by_built_in_tools(
    desk: Desk, installation: Installation
) -> None:
    folder = installation.workflow("""
workspace: {source: repo/}
policies: {destructive: allow}
do:
  - write: {tool: files.write, with: {path: src/a.py, content: "x = 1\\n"}}
  - edit: {tool: files.edit, with: {path: src/a.py, old: "x = 1", new: "x = 2"}}
  - read: {tool: files.read, with: {path: src/a.py}}
  - search: {tool: files.search, with: {pattern: "x = \\\\d"}}
  - delete: {tool: files.delete, with: {path: old.txt}}
  - left: {tool: files.list, with: {}}
  - check: {validate: [{run: python -c "import ast; ast.parse(open('src/a.py').read())"}]}
outputs: {text: "${read.content}", found: "${search}", files: "${left}"}
""")
    (folder / "repo").mkdir()
    (folder / "repo" / "old.txt").write_text("old")
    run = await desk.run(folder)
    assert run["status"] == "succeeded", run["error"]
    assert run["outputs"]["text"] == "x = 2\n"
    assert "src/a.py" in str(run["outputs"]["found"])
    assert "src" in str(run["outputs"]["files"])
    assert "old.txt" not in str(run["outputs"]["files"])


@on_sqlite
@pytest.mark.requirement("STK-07", "STK-11", "STK-53")
async def test_agents_use_tools_of_an_mcp_server_and_functions_of_their_own_under_the_same_rules(
    desk: Desk, installation: Installation, model: ScriptedModel
) -> None:
    server = ROOT / "tests" / "tools" / "mcp_servers" / "sdk_server.py"
    folder = installation.workflow(
        f"""
tools:
  sums: {{mcp: {{command: ["{sys.executable}", "{server}"], trust_annotations: true}}, tool: "*"}}
  shout: {{python: "functions.py:shout"}}
agents: {{solo: {{model: "openai:test-model", instructions: Use them., tools: ["sums.add", shout]}}}}
do: [{{work: {{agent: solo, with: go}}}}]
""",
        functions_py="from mosaic.tools import tool\n\n"
        '@tool(risk="financial")\ndef shout(text: str) -> str:\n    "Shout."\n    return text.upper()\n',
    )
    model.will(
        says(None, call("sums__add", {"a": 2, "b": 3})),
        says(None, call("shout", {"text": "hi"})),
        says("Done."),
    )
    run_id = await desk.start(folder)
    asked = await desk.asked(run_id)
    assert asked["detail"]["tool"] == "shout"
    await desk.operations.decide(desk.ctx, asked["id"], {"approve": True})
    assert (await desk.ended(run_id))["status"] == "succeeded"
    called = of(await desk.events(run_id), "tool.called")
    assert [(data["tool"], data["risk"]) for data in called] == [
        ("sums.add", "read_only"),
        ("shout", "financial"),
    ]
    assert "5" in str(called[0]["result"])
    assert called[1]["result"] == "HI"


@on_sqlite
@pytest.mark.requirement("MOZ-35", "MOZ-38")
async def test_before_a_call_it_is_checked_that_tools_and_caller_are_of_one_tenant(desk: Desk) -> None:
    counted = Counted()
    desk.register(counted.tool)
    outside, journal = desk.application.outside, desk.application.journal
    ours, theirs = desk.ctx, Context("other", "default", Actor("user", "owner"))

    async def called(toolbox: Toolbox, ctx: Context) -> Any:
        return await desk.application.door.call(
            Effects.open(journal, ctx, "run_1", path="step"),
            "call",
            tool="act",
            arguments={"what": "x"},
            toolbox=toolbox,
            policy=await outside.policy(ctx),
        )

    toolbox = await outside.toolbox(ours)
    for narrowed in (toolbox, toolbox.only(lambda name: name == "act"), toolbox.narrowed([])):
        with pytest.raises(TenantViolation):
            await called(narrowed, theirs)
    assert counted.calls == []
    assert [event.type for event in await journal.read(theirs)] == []
    assert not (await called(toolbox, ours)).is_error
    assert counted.calls == ["x"]
