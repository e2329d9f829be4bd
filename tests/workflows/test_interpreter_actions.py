"""The kinds of step that act: commands, checks, questions, signals, time, HTTP, agents, votes, child runs."""

import asyncio
import json
from typing import Any

import pytest

from mosaic.core.errors import MosaicError, StepFailed
from mosaic.core.money import Money
from mosaic.engine import ExecutionStatus
from tests.providers.endpoint import json_reply, running_endpoint
from tests.workflows.bench import CTX, Bench

pytestmark = pytest.mark.anyio

WITH_FILES = "workspace: {source: files}\n"


async def failing(bench: Bench, text: str, **files: str) -> StepFailed:
    """Run a workflow that fails and return its error."""
    await bench.start(bench.define(text, **files))
    error = (await bench.result()).error
    assert isinstance(error, StepFailed), error
    return error


def reason(error: MosaicError | None) -> Any:
    assert error is not None
    return error.data["reason"]


# Commands and checks


async def test_a_command_gets_values_as_variables_and_never_as_code(bench: Bench) -> None:
    outputs = await bench.run(
        bench.define(
            WITH_FILES
            + """
inputs: {type: object, properties: {name: {type: string}}}
do:
  - shell: {run: "echo hello ${inputs.name} | tee out.txt", env: {MORE: "x ${inputs.name}"}}
  - argv: {run: [printf, "%s", "${inputs.name}"]}
  - lines: {run: "cat; echo $MORE", stdin: "a\\nb\\n", env: {MORE: "${inputs.name}"}, parse: lines}
  - number: {run: "echo '{\\"n\\": 1}'", parse: json}
  - odd: {run: "exit 3", ok: [3]}
  - inside: {run: pwd, cwd: sub}
outputs:
  shell: "${shell.stdout}"
  argv: "${argv.stdout}"
  lines: "${lines.value}"
  number: "${number.value.n}"
  odd: "${odd.exit_code}"
  inside: "${inside.stdout.contains('/sub')}"
""",
            files__sub__keep="",
        ),
        {"name": "$(touch owned); `id`'\""},
    )
    assert outputs == {
        "shell": "hello $(touch owned); `id`'\"\n",
        "argv": "$(touch owned); `id`'\"",
        "lines": ["a", "b", "$(touch owned); `id`'\""],
        "number": 1,
        "odd": 3,
        "inside": True,
    }


async def test_a_command_that_fails_tells_its_exit_code_and_what_it_said(bench: Bench) -> None:
    error = await failing(bench, WITH_FILES + "do: [{a: {run: 'echo oh no >&2; exit 7'}}]", files__a="")
    assert reason(error)["code"] == "tool_failed"
    assert reason(error)["data"]["exit_code"] == 7
    assert "oh no" in error.message


async def test_a_command_that_hangs_is_killed_with_its_children(bench: Bench) -> None:
    error = await failing(
        bench, WITH_FILES + "do: [{a: {run: 'sleep 86399 & sleep 86399', timeout: 700ms}}]", files__a=""
    )
    assert reason(error)["code"] == "timed_out"


async def test_output_that_is_no_json_is_a_broken_contract(bench: Bench) -> None:
    error = await failing(bench, WITH_FILES + "do: [{a: {run: 'echo {', parse: json}}]", files__a="")
    assert reason(error)["code"] == "contract_violation"


async def test_every_check_runs_and_every_failure_is_told(bench: Bench) -> None:
    text = (
        WITH_FILES
        + """
do:
  - report: {set: {score: 3}}
  - check:
      validate:
        - {run: "test -e there"}
        - {run: "echo broken; exit 1", name: build}
        - {schema: {type: object, required: [summary]}}
        - {schema: {type: object, properties: {n: {type: integer}}}, file: data.yaml}
        - {expect: "value.score > 5", message: "only ${value.score}"}
        - {expect: "value.score > 1"}
"""
    )
    error = await failing(bench, text, files__there="", files__data___yaml="n: text\n")
    checks = reason(error)["data"]["checks"]
    assert [check["passed"] for check in checks] == [True, False, False, False, False, True]
    assert checks[1]["output"] == "broken"
    assert "summary" in checks[2]["message"]
    assert "data.yaml" in checks[3]["message"]
    assert checks[4]["message"] == "only 3"
    assert "4 of 6 checks failed" in error.message


async def test_a_check_gives_on_what_it_checked(bench: Bench) -> None:
    assert await bench.steps("do: [{a: {set: {n: 1}}}, {check: {validate: [{expect: 'value.n == 1'}]}}]") == {
        "result": {"n": 1}
    }


# People, signals, time


async def test_a_question_waits_for_a_person_and_gives_the_answer(bench: Bench) -> None:
    text = """
do:
  - pick: {ask: {question: "Which one?", detail: {why: because}, choices: [left, right], roles: [lead]}}
  - go: {ask: "Go on?"}
outputs: {pick: "${pick.answer}", by: "${pick.decided_by}", note: "${go.note}"}
"""
    await bench.start(bench.define(text))
    (first,) = await bench.asked()
    approval = await bench.approvals.get(CTX, first)
    assert (approval.title, approval.kind, approval.roles, approval.path) == (
        "Which one?",
        "ask",
        ("lead",),
        "pick",
    )
    assert approval.detail["detail"] == {"why": "because"}
    with pytest.raises(MosaicError):
        await bench.approvals.decide(CTX, first, approve=True, answer="up")
    await bench.approvals.decide(CTX, first, approve=True, answer="right")
    (second,) = await bench.asked()
    await bench.approvals.decide(CTX, second, approve=True, note="fine")
    assert (await bench.result()).output == {"outputs": {"pick": "right", "by": "user:u1", "note": "fine"}}


async def test_a_no_fails_the_step_unless_it_may_go_on(bench: Bench) -> None:
    text = """
do:
  - soft: {ask: {question: a?, on_reject: continue}}
  - hard: {ask: {question: b?}}
"""
    await bench.start(bench.define(text))
    for _ in range(2):
        (asked,) = await bench.asked()
        await bench.approvals.decide(CTX, asked, approve=False, note="never")
    error = (await bench.result()).error
    assert reason(error)["code"] == "policy_denied"
    assert error is not None
    assert error.data["step"] == "hard"
    assert "never" in error.message


@pytest.mark.parametrize(
    ("silence", "wanted"),
    [("approve", {"approved": True, "timed_out": True}), ("fail", "timed_out"), ("reject", "policy_denied")],
)
async def test_silence_means_what_the_question_says(bench: Bench, silence: str, wanted: Any) -> None:
    text = f"""
do: [{{a: {{ask: {{question: a?, timeout: 50ms, on_timeout: {silence}}}}}}}]
outputs: {{approved: "${{a.approved}}", timed_out: "${{a.timed_out}}"}}
"""
    await bench.start(bench.define(text))
    result = await bench.result()
    if isinstance(wanted, dict):
        assert result.output == {"outputs": wanted}
    else:
        assert reason(result.error)["code"] == wanted


async def test_a_signal_is_waited_for_and_checked(bench: Bench) -> None:
    text = """
do:
  - ready: {listen: {signal: "deploy.${run.workflow}", schema: {type: object, required: [n]}}}
  - late: {listen: {signal: never, timeout: 50ms, on_timeout: continue}}
outputs: {n: "${ready.n}", late: "${late}"}
"""
    await bench.start(bench.define(text))
    async with bench.database.transaction() as tx:
        await bench.engine.send_signal(tx, CTX, "run_1", "deploy.test", {"n": 4})
    assert (await bench.result()).output == {"outputs": {"n": 4, "late": None}}


async def test_a_wait_takes_a_duration_or_a_time(bench: Bench) -> None:
    text = """
inputs: {type: object, properties: {pause: {type: string, default: 20ms}}}
do:
  - a: {wait: "${inputs.pause}"}
  - b: {wait: {until: "2020-01-01T00:00:00Z"}}
  - c: {set: done}
"""
    assert await bench.steps(text) == {"result": "done"}


async def test_a_wait_for_nonsense_says_so(bench: Bench) -> None:
    error = await failing(bench, "do: [{a: {set: soon}}, {b: {wait: '${a}'}}]")
    assert reason(error)["code"] == "invalid_input"
    assert "soon" in error.message


async def test_an_emitted_event_is_written_once_with_its_data(bench: Bench) -> None:
    await bench.steps("do: [{tell: {emit: {event: release.cut, data: {version: 3}}}}]")
    (event,) = await bench.events("workflow.release.cut")
    assert (event.data, event.path, event.run_id) == ({"version": 3}, "tell", "run_1")


# HTTP


async def test_a_request_sends_its_secret_and_never_shows_it(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OPS_TOKEN", "very-secret-0123456789")
    async with running_endpoint() as endpoint:
        endpoint.will(json_reply({"id": 7}, status=201))
        outputs = await bench.steps(
            f"""
do:
  - create:
      http:
        url: {endpoint.url}/items
        method: POST
        headers: {{authorization: {{secret: OPS_TOKEN, prefix: "Bearer "}}, x-run: "${{run.id}}"}}
        query: {{q: "${{run.workflow}}"}}
        body: {{name: "${{run.workflow}}"}}
outputs: {{status: "${{create.status}}", id: "${{create.body.id}}"}}
"""
        )
        sent = endpoint.last
    assert outputs == {"status": 201, "id": 7}
    assert sent.headers["authorization"] == "Bearer very-secret-0123456789"
    assert sent.headers["x-run"] == "run_1"
    assert sent.headers["idempotency-key"].startswith("mosaic-")
    assert sent.path == "/items?q=test"
    assert sent.json == {"name": "test"}
    assert "very-secret" not in json.dumps([event.to_json() for event in await bench.events()])


async def test_a_status_that_may_pass_is_tried_again_and_one_that_will_not_is_not(bench: Bench) -> None:
    async with running_endpoint() as endpoint:
        endpoint.will(json_reply({}, status=503), json_reply({}, status=429), json_reply({"ok": True}))
        text = f"do: [{{a: {{http: '{endpoint.url}/x', retry: {{attempts: 3, delay: 1ms}}}}}}]"
        await bench.steps(text)
        assert len(endpoint.requests) == 3
        endpoint.will(json_reply({"why": "gone"}, status=404))
        await bench.start(bench.define(text), run_id="run_2")
        error = (await bench.result("run_2")).error
        assert reason(error)["code"] == "tool_failed"
        assert reason(error)["data"]["status"] == 404
        assert len(endpoint.requests) == 4


# Tools that ask


async def test_a_tool_that_asks_waits_for_a_person_and_the_time_stands_still(bench: Bench) -> None:
    text = "do: [{a: {tool: drop, with: {what: it}, timeout: 400ms}}]"
    await bench.start(bench.define(text))
    (asked,) = await bench.asked()
    await asyncio.sleep(0.5)
    await bench.approvals.decide(CTX, asked, approve=True)
    assert (await bench.result()).output == {"outputs": {"result": "dropped it"}}


async def test_a_tool_that_a_person_refuses_fails_the_step(bench: Bench) -> None:
    await bench.start(bench.define("do: [{a: {tool: drop, with: {what: it}}}]"))
    (asked,) = await bench.asked()
    await bench.approvals.decide(CTX, asked, approve=False, note="keep it")
    error = (await bench.result()).error
    assert reason(error)["code"] == "policy_denied"
    assert "keep it" in str(error)


async def test_a_tool_that_the_policy_refuses_is_never_called(bench: Bench) -> None:
    error = await failing(bench, "policies: {destructive: deny}\ndo: [{a: {tool: drop, with: {what: it}}}]")
    assert reason(error)["code"] == "policy_denied"


# Agents

SCRIPT = """
scripted: 1
name: test
agents:
  planner:
    - when: {prompt: {contains: give up}}
      turns: [{error: {code: model_refused, message: no}}]
    - turns:
        - text: "I note it."
          tool_calls: [{tool: note, arguments: {text: planned}}]
        - output: {tasks: [a, b]}
  talker:
    - when: {prompt: {regex: "(?s)^(?P<all>.*)$"}}
      turns: [{text: "You said: <<all>>"}]
  dropper:
    - turns:
        - {text: "", tool_calls: [{tool: drop, arguments: {what: it}}]}
        - {text: done}
  lead:
    - turns:
        - {text: over, tool_calls: [{tool: handoff_to_worker, arguments: {task: do it, decisions: [keep it small]}}]}
  worker:
    - turns: [{text: worked}]
  pingpong:
    - turns: [{text: "", tool_calls: [{tool: handoff_to_lead, arguments: {task: again}}]}]
  yes1: [{output: {choice: approve, reason: good}}]
  yes2: [{output: {choice: approve, reason: fine}}]
  no1: [{output: {choice: reject, reason: bad}}]
  broken: [{error: {code: model_refused, message: I will not}}]
"""
PLAN = "{type: object, required: [tasks], properties: {tasks: {type: array, items: {type: string}}}}"
AGENTS = f"""
agents:
  planner: {{model: ["scripted:script.yaml"], instructions: Plan., tools: [note], output: {PLAN}}}
  talker: {{model: ["scripted:script.yaml"], instructions: Talk.}}
  dropper: {{model: ["scripted:script.yaml"], instructions: Drop., tools: [drop]}}
  lead: {{model: ["scripted:script.yaml"], instructions: Lead., handoffs: [worker]}}
  worker: {{model: ["scripted:script.yaml"], instructions: Work.}}
  pingpong: {{model: ["scripted:script.yaml"], instructions: Play.}}
  yes1: {{model: ["scripted:script.yaml"], instructions: Vote.}}
  yes2: {{model: ["scripted:script.yaml"], instructions: Vote.}}
  no1: {{model: ["scripted:script.yaml"], instructions: Vote.}}
  broken: {{model: ["scripted:script.yaml"], instructions: Vote.}}
"""


def agents(bench: Bench, text: str) -> Any:
    return bench.define(AGENTS + text, script__yaml=SCRIPT)


async def test_an_agent_works_with_tools_and_gives_a_value_that_fits(bench: Bench) -> None:
    outputs = await bench.run(
        agents(bench, 'do: [{plan: {agent: planner, with: go}}]\noutputs: {tasks: "${plan.tasks}"}')
    )
    assert outputs == {"tasks": ["a", "b"]}
    assert bench.notes() == ["planned"]
    called = await bench.events("model.called")
    assert [event.path for event in called] == ["plan", "plan"]


async def test_an_agent_without_a_prompt_gets_what_came_before(bench: Bench) -> None:
    outputs = await bench.run(
        agents(bench, "do: [{a: {set: the text before}}, {b: {agent: talker}}]\noutputs: {b: '${b}'}")
    )
    assert outputs == {"b": "You said: the text before"}


async def test_an_agent_that_failed_a_check_is_told_why(bench: Bench) -> None:
    error = await failing(
        bench,
        AGENTS
        + """
do:
  - say: {agent: talker, with: hello}
  - check: {validate: [{expect: "value.contains('shorter')", message: be shorter}], on_fail: {goto: say, max: 1}}
  - fail: {tool: refuse, with: {why: "${say}"}}
""",
        script__yaml=SCRIPT,
    )
    assert "hello" in error.message
    assert "did not pass 'check'" in error.message
    assert "be shorter" in error.message


async def test_an_agent_that_needs_a_person_waits_and_goes_on(bench: Bench) -> None:
    await bench.start(agents(bench, "do: [{a: {agent: dropper, with: go}}]"))
    (asked,) = await bench.asked()
    approval = await bench.approvals.get(CTX, asked)
    assert approval.path == "a"
    await bench.approvals.decide(CTX, asked, approve=True)
    assert (await bench.result()).output == {"outputs": {"result": "done"}}
    assert len(await bench.events("model.called")) == 2
    jobs = [info for info in await bench.engine.executions(CTX, "run_1") if info.handler == "agent"]
    assert len(jobs) == 2


async def test_an_agent_that_takes_too_long_is_stopped_where_it_runs(bench: Bench) -> None:
    script = SCRIPT.replace('turns: [{text: "You said', 'turns: [{delay_s: 600, text: "You said')
    error = await failing(
        bench, AGENTS + "do: [{a: {agent: talker, with: hi, timeout: 700ms}}]", script__yaml=script
    )
    assert reason(error)["code"] == "timed_out"
    job = (await bench.engine.executions(CTX, "run_1"))[-1]
    assert (await bench.engine.wait(job.id, timeout_s=30)).status is ExecutionStatus.CANCELLED


async def test_an_agents_job_is_tried_again_at_a_path_of_its_own(bench: Bench) -> None:
    script = SCRIPT.replace(
        "  talker:\n",
        "  talker:\n    - when: {path: {lacks: ['(2)']}}\n      turns: [{error: {code: model_refused, message: no}}]\n",
    )
    text = (
        AGENTS + "do: [{a: {agent: talker, with: hi, retry: {attempts: 2, delay: 1ms, on: model_refused}}}]"
    )
    assert await bench.run(bench.define(text, script__yaml=script)) == {"result": "You said: hi"}
    assert [event.path for event in await bench.events("model.called")] == ["a(2)"]
    assert len(await bench.events("retry")) == 1


async def test_control_goes_where_an_agent_hands_it(bench: Bench) -> None:
    outputs = await bench.run(
        agents(
            bench,
            """
do:
  - group: {handoff: {start: lead, among: [lead, worker], max_turns: 4}, with: build it}
  - alone: {agent: lead, with: build it}
outputs: {group: "${group}", alone: "${alone}"}
""",
        )
    )
    assert outputs == {"group": "worked", "alone": "worked"}
    made = await bench.events("handoff.made")
    assert [(event.path, event.data["from"], event.data["to"]) for event in made] == [
        ("group/lead(0)", "lead", "worker"),
        ("alone", "lead", "worker"),
    ]


async def test_a_group_that_never_answers_is_ended(bench: Bench) -> None:
    text = AGENTS.replace("handoffs: [worker]", "handoffs: [pingpong]")
    script = SCRIPT.replace("tool: handoff_to_worker", "tool: handoff_to_pingpong")
    error = await failing(
        bench,
        text + "do: [{g: {handoff: {start: lead, among: [lead, pingpong], max_turns: 4}, with: go}}]",
        script__yaml=script,
    )
    assert reason(error)["code"] == "limit_exceeded"
    assert len(await bench.events("handoff.made")) == 4


async def test_agents_vote_and_one_that_cannot_casts_none(bench: Bench) -> None:
    outputs = await bench.run(
        agents(
            bench,
            """
do:
  - decide: {vote: {agents: [yes1, no1, yes2, broken], rule: majority, quorum: 3}, with: Ship it?}
outputs: {decision: "${decide.decision}", tally: "${decide.tally}", votes: "${decide.votes}"}
""",
        )
    )
    assert outputs["decision"] == "approve"
    assert outputs["tally"] == {"approve": 2, "reject": 1}
    assert [vote["agent"] for vote in outputs["votes"]] == ["yes1", "no1", "yes2"]
    cast = await bench.events("vote.cast")
    assert {event.data["agent"]: event.data.get("choice") for event in cast} == {
        "yes1": "approve",
        "yes2": "approve",
        "no1": "reject",
        "broken": None,
    }


async def test_too_few_votes_fail_the_step(bench: Bench) -> None:
    error = await failing(
        bench, AGENTS + "do: [{d: {vote: {agents: [yes1, broken]}, with: Ship it?}}]", script__yaml=SCRIPT
    )
    assert reason(error)["code"] == "step_failed"
    assert "1 of the 2" in error.message


# Child runs

CHILD = """mosaic: v1
kind: Workflow
metadata: {name: child, version: 1.0.0}
inputs: {type: object, required: [n], properties: {n: {type: integer}}}
do:
  - note: {tool: note, with: {text: "child ${inputs.n}"}}
  - odd: {if: "inputs.n > 10", tool: refuse, with: {why: too much}}
outputs: {doubled: "${inputs.n * 2}"}
"""


async def test_a_child_run_gives_its_outputs(bench: Bench) -> None:
    outputs = await bench.run(
        bench.define(
            "do: [{sub: {workflow: child.yaml, with: {n: 4}}}]\noutputs: {n: '${sub.doubled}'}",
            child__yaml=CHILD,
        )
    )
    assert outputs == {"n": 8}
    assert {event.run_id for event in await bench.events("step.started")} != {"run_1"}


async def test_a_child_that_fails_fails_the_step_with_its_reason(bench: Bench) -> None:
    outputs = await bench.run(
        bench.define(
            """
do:
  - sub:
      workflow: child.yaml
      with: {n: 11}
      catch: [{on: invalid_input, do: [{told: {set: "${error.message}"}}]}]
""",
            child__yaml=CHILD,
        )
    )
    assert "too much" in outputs["result"]


async def test_a_child_that_is_not_needed_any_more_is_cancelled(bench: Bench) -> None:
    bench.shut("child")
    child = CHILD.replace(
        'note: {tool: note, with: {text: "child ${inputs.n}"}}',
        "wait_here: {tool: gate, with: {name: child}}",
    )
    definition = bench.define(
        """
do:
  - race:
      fork:
        slow: {workflow: child.yaml, with: {n: 1}}
        quick: {do: [{seen: {tool: gate, with: {name: quick}}}]}
      join: any
""",
        child__yaml=child,
    )
    bench.shut("quick")
    await bench.start(definition)
    await bench.reached("child")
    bench.open("quick")
    assert (await bench.result()).output == {"outputs": {"result": {"slow": None, "quick": "quick"}}}
    run_id = (await bench.events("step.started", run_id=None))[-1].run_id
    children = {event.run_id for event in await bench.events("step.started")} - {"run_1"}
    assert run_id is not None
    for child_id in children:
        assert child_id is not None
        result = await bench.engine.wait(child_id, timeout_s=30)
        assert result.status is ExecutionStatus.CANCELLED


# Money


async def test_a_budget_that_is_used_up_can_be_raised_and_the_run_goes_on(bench: Bench) -> None:
    script = SCRIPT.replace(
        "name: test\n", "name: test\nprice: {input_usd_per_mtok: 1000, output_usd_per_mtok: 1000}\n"
    )
    definition = bench.define(
        AGENTS
        + """
do:
  - before: {tool: note, with: {text: before}}
  - say: {agent: talker, with: hello}
catch:
  - on: budget_exceeded
    do: [{more: {ask: {question: "More money? ${error.message}", roles: [owner]}}}]
    then: retry
    extend: {usd: 1000}
""",
        script__yaml=script,
    )
    await bench.start(definition, usd=Money.usd("0.01"))
    (asked,) = await bench.asked()
    await bench.approvals.decide(CTX, asked, approve=True)
    result = await bench.result()
    assert result.output == {"outputs": {"result": "You said: hello"}}, result.error
    assert bench.notes() == ["before"]
    (extended,) = await bench.events("budget.extended")
    assert extended.data["usd"] == "$1000.00"


async def test_an_agent_that_ran_out_of_money_goes_on_with_its_conversation(bench: Bench) -> None:
    script = SCRIPT.replace(
        "name: test\n", "name: test\nprice: {input_usd_per_mtok: 0, output_usd_per_mtok: 1000}\n"
    ).replace(
        "- output: {tasks: [a, b]}",
        "- output: {tasks: [a, b]}\n          usage: {input_tokens: 1, output_tokens: 9}",
    )
    script = script.replace(
        'text: "I note it."', 'text: "I note it."\n          usage: {input_tokens: 1, output_tokens: 9}'
    )
    definition = bench.define(
        AGENTS.replace("tools: [note], output", "tools: [note], max_output_tokens: 10, output")
        + """
do: [{block: {do: [{plan: {agent: planner, with: go}}]}}]
catch: [{on: budget_exceeded, then: retry, extend: {usd: 10}}]
""",
        script__yaml=script,
    )
    # Enough for one answer, not for two.
    assert await bench.run(definition, usd=Money.usd("0.015")) == {"result": {"tasks": ["a", "b"]}}
    called = await bench.events("model.called")
    assert [event.path for event in called] == ["block/plan", "block/plan(2.1)"]
    assert bench.notes() == ["planned"]


# Cancelling


async def test_cancelling_a_run_reaches_what_it_is_doing_and_undoes_nothing(bench: Bench) -> None:
    text = """
do:
  - a: {tool: note, with: {text: a}, compensate: [{undo: {tool: note, with: {text: undo a}}}]}
  - b: {tool: hang, timeout: 60s}
"""
    await bench.start(bench.define(text))
    await bench.reached("hang")
    await bench.engine.cancel(CTX, "run_1")
    assert (await bench.result()).status is ExecutionStatus.CANCELLED
    assert bench.notes() == ["a"]
