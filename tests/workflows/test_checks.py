"""What the checks let through, and what they say in words."""

from pathlib import Path

import pytest

from mosaic.core.errors import Problem
from mosaic.workflows import check, load, parse_duration, render_problems
from mosaic.workflows.checks.graphs import find_cycle, in_order, reachable

HEAD = "mosaic: v1\nkind: Workflow\nmetadata: {name: x}\n"
AGENTS = """\
agents:
  planner: {output: {type: object, properties: {tasks: {type: array, items: {type: object, properties: {id: {type: string}}}}, note: {type: [string, 'null']}}, additionalProperties: false}}
  open: {output: {type: object, properties: {a: {}}, additionalProperties: true}}
  writer: {}
  rival: {acp: claude}
"""


@pytest.mark.parametrize(
    "steps",
    [
        # names of the enclosing blocks, and of what was before
        "- a: {set: 1}\n- b: {do: [{c: {set: '${a}'}}, {d: {set: '${c + a}'}}]}\n- e: {set: '${b}'}",
        # one name in two blocks beside each other
        "- a: {do: [{x: {set: 1}}]}\n- b: {do: [{x: {set: 2}}]}\n- x: {set: '${a}'}",
        # a skipped step and a fork that did not finish are null
        "- a: {agent: planner, if: 'false'}\n- b: {set: '${a == null ? 0 : size(a.tasks)}'}",
        # unknown shapes are not guessed at
        "- a: {tool: files.list}\n- b: {set: '${a.x.y[0].z}'}",
        "- a: {agent: open}\n- b: {set: '${a.anything.goes}'}",
        "- a: {agent: rival}\n- b: {set: '${a.anything}'}",
        "- a: {listen: go}\n- b: {set: '${a.anything}'}",
        "- a: {agent: planner, catch: [{do: [{x: {set: 1}}]}]}\n- b: {set: '${a.anything}'}",
        # fields through lists, forks, blocks and set
        "- a: {agent: planner}\n- b: {set: {first: '${a.tasks[0]}', all: '${a}'}}\n- c: {set: '${b.first.id} ${b.all.tasks}'}",
        "- a: {fork: {x: {agent: planner}, y: {agent: writer}}}\n- b: {set: '${a.x.tasks[0].id} ${a.y}'}",
        "- a: {agent: planner}\n- b: {for: {each: t, in: '${a.tasks}', index: n}, do: [{c: {set: '${t.id} ${n}'}}]}\n- d: {set: '${b[0]}'}",
        "- a: {agent: planner}\n- b: {set: '${a.tasks.filter(t, t.id != \"\").map(t, t.id)} ${a.note}'}",
        # while: its own steps from the time before; a step that hides one outside
        "- r: {agent: planner}\n- w: {while: 'size(r.tasks) > 0 && iteration < 3', do: [{d: {set: '${r} ${d} ${iteration}'}}, {r: {agent: planner}}]}",
        # validate: the value is that of the step before
        "- a: {agent: planner}\n- b: {validate: [{expect: 'size(value.tasks) > 0', message: '${value.note}'}]}\n- c: {set: '${b.tasks}'}",
        # branches that need others see them, through others too
        "- a: {fork: {x: {agent: planner}, y: {set: '${x.tasks}', needs: x}, z: {set: '${x.tasks} ${y}', needs: [y]}}}",
        # catch, compensate, feedback
        "- a: {set: 1, catch: [{as: oops, if: 'oops.code == \"x\"', do: [{x: {set: '${oops.message} ${oops.data.any}'}}]}]}",
        "- a: {agent: planner, compensate: [{x: {set: '${a.tasks} ${error.step}'}}]}",
        "- a: {agent: writer, with: '${feedback.message}'}\n- b: {validate: [{expect: 'true'}], on_fail: {goto: b, max: 1}}",
        # for over an object, with a graph
        "- a: {for: {each: t, in: {k: 1}}, do: [{x: {set: '${t.key} ${t.value}'}}]}",
        "- a: {for: {each: t, in: [{id: a}, {id: b, needs: [a]}], needs: '${has(t.needs) ? t.needs : null}'}, do: [{x: {set: '${needed}'}}]}",
        # outputs with a schema of the step's own
        "- a: {tool: files.list, output: {type: object, properties: {n: {type: integer}}}}\n- b: {set: '${a.n}'}",
        "- a: {ask: {question: q, answer: {type: object, properties: {n: {}}}}}\n- b: {set: '${a.answer.n} ${a.approved}'}",
        "- a: {run: x, parse: json}\n- b: {set: '${a.value.any} ${a.exit_code}'}",
        "- a: {http: x}\n- b: {set: '${a.body.any} ${a.headers[\"etag\"]} ${a.status}'}",
        "- a: {vote: {agents: [writer, planner]}}\n- b: {set: '${a.decision} ${a.tally.approve} ${a.votes[0].reason}'}",
        "- a: {handoff: {start: writer, among: [writer, planner]}}\n- b: {set: '${a}'}",
    ],
)  # fmt: skip
def test_what_is_right_is_let_through(steps: str, tmp_path: Path) -> None:
    indented = "".join(f"  {line}\n" for line in steps.split("\n"))
    (tmp_path / "workflow.yaml").write_text(f"{HEAD}{AGENTS}do:\n{indented}")
    assert [str(problem) for problem in check(tmp_path)] == []
    load(tmp_path)


DESIGN = """\
mosaic: v1
kind: Workflow
metadata: {name: ship-change, version: 1.2.0, description: ...}
inputs: {type: object, required: [goal], properties: {goal: {type: string}}}      # JSON Schema
limits: {usd: 5, tokens: 2000000, duration: 2h, concurrency: 4}
policies: {read: allow, write: allow, exec: ask, network: ask, destructive: deny}   # per risk class; narrower wins
agents:
  planner: {model: [anthropic:claude-x, openai:gpt-y], instructions: file:prompts/planner.md, output: {$ref: schemas/plan.json}, handoffs: [architect]}
  coder: {acp: claude, isolation: {worktree: true, sandbox: bubblewrap, egress: gateway}}
  architect: {}
  security: {output: {type: object, properties: {score: {type: number}}}}
  performance: {}
  a: {}
  b: {}
  c: {}
tools:
  deploy: {mcp: ops, risk: destructive, approval: {roles: [lead], timeout: 24h, on_timeout: deny}}
do:
  - plan: {agent: planner, with: "${inputs.goal}"}
  - build:
      for: {each: task, in: "${plan.tasks}", needs: "${task.needs}", parallel: 4}     # a DAG, not only a loop
      do:
        - code: {agent: coder, with: "${task.prompt}"}
        - check: {validate: [{run: pytest -q}, {schema: schemas/report.json}], on_fail: {goto: code, max: 3}}
  - gate: {switch: [{when: "${build.exists(b, b.risk == 'high')}", do: [{sign_off: {ask: {roles: [lead]}}}]}, {default: continue}]}
  - review: {fork: {security: {agent: security}, performance: {agent: performance}}, join: all}    # all | any | {quorum: 2}
  - refine: {while: "${review.security.score < 0.9}", max: 3, do: [{review: {fork: {security: {agent: security}}}}]}
  - talk: {handoff: {start: planner, among: [planner, architect], max_turns: 12}}
  - decide: {vote: {agents: [a, b, c], rule: majority}}      # majority | two_thirds | unanimous | weighted | ranked
catch: [{on: budget_exceeded, do: [{more: {ask: {roles: [owner]}}}]}]
outputs: {pull_request: "${build[0].pull_request}"}
"""


def test_the_workflow_of_the_design_loads(tmp_path: Path) -> None:
    (tmp_path / "prompts").mkdir()
    (tmp_path / "prompts/planner.md").write_text("Plan.")
    (tmp_path / "schemas").mkdir()
    (tmp_path / "schemas/plan.json").write_text(
        '{"type": "object", "properties": {"tasks": {"type": "array"}}}'
    )
    (tmp_path / "schemas/report.json").write_text('{"type": "object"}')
    (tmp_path / "workflow.yaml").write_text(DESIGN)
    assert render_problems(check(tmp_path)) == ""
    assert [step.name for step in load(tmp_path).steps] == [
        "plan", "build", "gate", "review", "refine", "talk", "decide",
    ]  # fmt: skip


def test_every_example_is_right() -> None:
    examples = sorted((Path(__file__).parents[2] / "examples").rglob("workflow.yaml"))
    assert examples
    for file in examples:
        assert render_problems(check(file)) == ""


def test_problems_are_shown_with_their_line_a_caret_and_a_suggestion(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "flows").mkdir()
    (tmp_path / "flows/w.yaml").write_text(f"{HEAD}do:\n  - a: {{sett: 1}}\n  - b:\n      set: ${{a +}}\n")
    assert render_problems(check("flows/w.yaml")) == (
        "flows/w.yaml:5:9: `sett` is not a kind of step.\n"
        "   5 |   - a: {sett: 1}\n"
        "     |         ^\n"
        "      = did you mean `set`?\n"
        "\n"
        "flows/w.yaml:7:17: Wrong expression: the expression ends too early.\n"
        "   7 |       set: ${a +}\n"
        "     |                 ^"
    )
    assert render_problems([]) == ""
    assert render_problems([Problem("is missing", "inputs.goal")]) == "inputs.goal: is missing"
    assert (
        render_problems([Problem("gone", "", "none.yaml", 3, 1, "look")])
        == "none.yaml:3:1: gone\n      = look"
    )


def test_a_very_long_line_is_shown_around_the_place(tmp_path: Path) -> None:
    file = tmp_path / "w.yaml"
    file.write_text(f"{HEAD}do:\n  - a: {{set: [{', '.join(['1'] * 2000)}], sett: 1}}\n")
    shown = render_problems(check(file)).split("\n")
    assert len(shown[1]) < 300
    assert shown[1][shown[2].index("^") :].startswith("sett")


@pytest.mark.parametrize(
    ("text", "seconds"),
    [("90s", 90), ("2h", 7200), ("1h30m", 5400), ("1d", 86400), ("250ms", 0.25), ("1.5h", 5400), ("0s", 0), ("1d2h3m4s5ms", 93784.005)],
)  # fmt: skip
def test_durations_are_read(text: str, seconds: float) -> None:
    assert parse_duration(text) == seconds


@pytest.mark.parametrize(
    "text", ["", "2", "2 h", "h", "1m1h", "1h1h", "-1s", "1w", "1e3s", "\uff19s", "4000d", "1" * 50 + "s"]
)
def test_what_is_no_duration_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"duration|ten years"):
        parse_duration(text)


def test_graphs_name_their_cycles_and_give_an_order() -> None:
    assert find_cycle({"a": ["b"], "b": ["c"], "c": []}) == ()
    assert find_cycle({"a": ["b"], "b": ["c"], "c": ["b"]}) == ("b", "c", "b")
    assert find_cycle({"a": ["a"]}) == ("a", "a")
    assert find_cycle({"a": ["none"]}) == ()
    diamonds = {f"{row}{side}": [f"{row + 1}l", f"{row + 1}r"] for row in range(200) for side in "lr"}
    assert find_cycle(diamonds) == ()
    assert reachable({"a": ["b"], "b": ["a"]}, "a") == {"a", "b"}
    assert in_order({"a": ["b", "c"], "b": ["c"], "c": []}) == ["c", "b", "a"]
    assert sorted(in_order({"a": ["b"], "b": ["a"]})) == ["a", "b"]
    assert len(in_order({f"n{n}": [f"n{n + 1}"] for n in range(5000)})) == 5000
