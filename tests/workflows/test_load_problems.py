"""Files that are wrong in their shape, and everything that is said about each: place, message, suggestion."""

from pathlib import Path

import pytest

from tests.workflows.broken_files import HEAD, WITH_AGENTS, Broken, refused

FILES = (
    Broken(
        "an empty file",
        "",
        ("1:1: The file is empty.",),
    ),
    Broken(
        "only a comment",
        """\
# nothing
""",
        ("1:1: The file is empty.",),
    ),
    Broken(
        "a list at the top",
        """\
- a
""",
        ("1:1: A workflow is a mapping that starts with `mosaic: v1`, not a list.",),
    ),
    Broken(
        "text at the top",
        "hello",
        ("1:1: A workflow is a mapping that starts with `mosaic: v1`, not `hello`.",),
    ),
    Broken(
        "YAML that does not parse",
        """\
mosaic: v1
kind: [Workflow
""",
        ("3:1: This is not YAML: expected ',' or ']', but got '<stream end>'.",),
    ),
    Broken(
        "a tab for indentation",
        """\
mosaic: v1
metadata:
	name: x
""",
        ("3:1: This is not YAML: found character '\\t' that cannot start any token. (indent with spaces)",),
    ),
    Broken(
        "an unquoted expression in a flow mapping",
        HEAD
        + """\
do:
  - a: {set: ${inputs.x}}
""",
        ("5:15: This is not YAML: expected ',' or '}', but got '{'. (put expressions in quotes)",),
    ),
    Broken(
        "a colon in unquoted text",
        HEAD
        + """\
do:
  - a:
      agent: x
      with: fix: it
""",
        ("7:16: This is not YAML: mapping values are not allowed here. (quote text that holds `: `)",),
    ),
    Broken(
        "a key given twice",
        HEAD
        + """\
do:
  - a: {set: 1}
kind: Workflow
""",
        ("6:1: The key `kind` is here twice; first on line 2. (remove one)",),
    ),
    Broken(
        "two documents",
        HEAD
        + """\
do:
  - a: {set: 1}
---
mosaic: v1
""",
        ("6:1: The file holds a second document; a file is one document.",),
    ),
    Broken(
        "a merge key",
        HEAD
        + """\
do:
  - a: {<<: {set: 1}}
""",
        (
            "5:8: This step does not say what it does. (one of agent, tool, run, validate, workflow, http, set, ask, listen, wait, emit, for, while, fork, switch, try, handoff, vote, do)",
            "5:9: Merge keys (`<<`) are not part of YAML 1.2. (repeat the keys, or use an alias)",
        ),
    ),
    Broken(
        "a YAML tag",
        HEAD
        + """\
do:
  - a: {set: !env HOME}
""",
        ("5:14: YAML tags (`!name`) have no meaning here. (remove it)",),
    ),
    Broken(
        "nothing but the version",
        """\
mosaic: v1
""",
        (
            "1:1: The key `kind` is missing in a workflow. (`Workflow`.)",
            "1:1: The key `metadata` is missing in a workflow. (Name, version, description.)",
            "1:1: The key `do` is missing in a workflow. (The steps.)",
        ),
    ),
    Broken(
        "another version and kind",
        """\
mosaic: v2
kind: workflow
metadata: {name: x}
do:
  - a: {set: 1}
""",
        (
            "1:9: `mosaic` must be `v1`, not `v2`.",
            "2:7: `kind` must be `Workflow`, not `workflow`. (did you mean `Workflow`?)",
        ),
    ),
    Broken(
        "misspelt keys at the top",
        """\
mosaic: v1
kind: Workflow
metadata: {nam: x}
limit: {usd: 1}
agent: {}
do:
  - a: {set: 1}
""",
        (
            "3:11: The key `name` is missing in the metadata. (Name of the workflow.)",
            "3:12: Unknown key `nam` in the metadata. (did you mean `name`?)",
            "4:1: Unknown key `limit` in a workflow. (did you mean `limits`?)",
            "5:1: Unknown key `agent` in a workflow. (did you mean `agents`?)",
        ),
    ),
    Broken(
        "a number for a version",
        """\
mosaic: v1
kind: Workflow
metadata: {name: my flow!, version: 1.2}
do:
  - a: {set: 1}
""",
        (
            "3:18: `name` must be a name: letters, digits, `-`, `_` and `.`, not `my flow!`. (for example `ship-change`)",
            "3:37: `version` must be a version in quotes, such as 1.2.0, not the number 1.2. (put it in quotes)",
        ),
    ),
    Broken(
        "no steps",
        HEAD
        + """\
do: []
""",
        ("4:5: This list of steps is empty.",),
    ),
    Broken(
        "steps as a mapping",
        HEAD
        + """\
do:
  a: {set: 1}
  b: {set: 2}
""",
        (
            "5:3: This must be a list of steps, each `- name: {...}`, not a mapping. (put `- ` before each step)",
        ),
    ),
    Broken(
        "a step without a name",
        HEAD
        + """\
do:
  - agent: planner
    with: x
""",
        (
            "5:5: This step has no name, or its body is not indented below it. (write `- name:` and indent the keys below it)",
        ),
    ),
    Broken(
        "a body that is not indented",
        HEAD
        + """\
do:
  - plan:
    set: 1
""",
        (
            "5:5: This step has no name, or its body is not indented below it. (write `- name:` and indent the keys below it)",
        ),
    ),
    Broken(
        "two steps in one item",
        HEAD
        + """\
do:
  - a: {set: 1}
    b: {set: 2}
""",
        ("6:5: One list item is one step. (put `- ` before each step)",),
    ),
    Broken(
        "a step that is text",
        HEAD
        + """\
do:
  - a: set
  - just text
  - [x]
""",
        (
            "5:8: A step is a mapping such as {agent: planner}, not `set`.",
            "6:5: A step is written `- name: {...}`; this is `just text`.",
            "7:5: A step is written `- name: {...}`; this is a list.",
        ),
    ),
    Broken(
        "a step without a kind",
        HEAD
        + """\
do:
  - a: {with: 1}
  - b: {}
""",
        (
            "5:8: This step does not say what it does. (one of agent, tool, run, validate, workflow, http, set, ask, listen, wait, emit, for, while, fork, switch, try, handoff, vote, do)",
            "6:8: This step does not say what it does. (one of agent, tool, run, validate, workflow, http, set, ask, listen, wait, emit, for, while, fork, switch, try, handoff, vote, do)",
        ),
    ),
    Broken(
        "a misspelt kind",
        WITH_AGENTS
        + """\
do:
  - a: {agnet: planner, with: x}
  - b: {set: "${a.x}"}
""",
        ("6:9: `agnet` is not a kind of step. (did you mean `agent`?)",),
    ),
    Broken(
        "two kinds in one step",
        WITH_AGENTS
        + """\
do:
  - a: {agent: planner, run: pytest}
""",
        ("6:25: A step does one thing; this has `agent` and `run`. (make two steps of it)",),
    ),
    Broken(
        "a key of another kind",
        WITH_AGENTS
        + """\
do:
  - a: {agent: planner, env: {A: b}}
  - b: {set: 1, timeout: 3s}
  - c: {agent: planner, wiht: x}
""",
        (
            "6:25: Unknown key `env` in an `agent` step. (known: agent, catch, compensate, description, if, max_turns, needs, on_fail, output, policies, retry, task_kind, timeout, tools, with)",
            "7:17: Unknown key `timeout` in a `set` step. (known: catch, compensate, description, if, needs, on_fail, output, set)",
            "8:25: Unknown key `wiht` in an `agent` step. (did you mean `with`?)",
        ),
    ),
    Broken(
        "step names that are not names",
        HEAD
        + """\
do:
  - sign-off: {set: 1}
  - 2nd: {set: 1}
  - inputs: {set: 1}
  - for: {set: 1}
  - case0: {set: 1}
""",
        (
            "5:5: `sign-off` cannot be a name: letters, digits and `_`, not a digit first, at most 63. (write `sign_off`)",
            "6:5: `2nd` cannot be a name: letters, digits and `_`, not a digit first, at most 63.",
            "7:5: `inputs` is a reserved word. (write `inputs_step`)",
            "8:5: `for` is a reserved word. (write `for_step`)",
            "9:5: `case0` is a reserved word. (write `case0_step`)",
        ),
    ),
    Broken(
        "one step name twice",
        HEAD
        + """\
do:
  - a: {set: 1}
  - a: {set: 2}
""",
        ("6:5: The step name `a` is taken: line 5. (names are unique in their list)",),
    ),
    Broken(
        "one branch name twice",
        HEAD
        + """\
do:
  - f: {fork: {a: {set: 1}, a: {set: 2}}}
""",
        ("5:29: The key `a` is here twice; first on line 5. (remove one)",),
    ),
    Broken(
        "bad durations",
        WITH_AGENTS
        + """\
limits: {duration: 2 hours}
do:
  - a: {agent: planner, timeout: 30}
  - b: {agent: planner, timeout: 1m1h}
  - c: {agent: planner, timeout: 0s}
  - d: {wait: soon}
  - e: {wait: {until: tomorrow}}
  - f: {wait: 90}
  - g: {agent: planner, timeout: "${inputs.t}"}
""",
        (
            "5:20: `duration` must be a duration such as 90s, 2h or 1h30m, not `2 hours`. (did you mean `2h`?)",
            "7:34: `timeout` must be a duration such as 90s, 2h or 1h30m, not the number 30. (write `30s` for seconds)",
            "8:34: `timeout` must be a duration such as 90s, 2h or 1h30m, not `1m1h`. (did you mean `1h1m`?)",
            "9:34: This duration must be longer than nothing.",
            "10:15: `wait` must be a duration such as 90s, 2h or 1h30m, or an expression for one.",
            "11:23: `until` must be a time with its zone, or an expression for one. (for example 2030-01-31T08:00:00Z)",
            "12:15: `wait` must be a duration such as 90s, 2h or 1h30m, or an expression for one. (write `90s` for seconds)",
            "13:34: `timeout` must be a duration such as 90s, 2h or 1h30m, not `${inputs.t}`. (an expression cannot stand here)",
        ),
    ),
    Broken(
        "bad money",
        HEAD
        + """\
limits: {usd: 5 USD, tokens: many, concurrency: 0}
do:
  - a: {set: 1}
""",
        (
            "4:15: `usd` must be an amount of US dollars such as 5 or 0.50, not `5 USD`. (write `5`)",
            "4:30: `tokens` must be a whole number from 1 to 1000000000000000, not `many`.",
            "4:49: `concurrency` must be a whole number from 1 to 1000, not the number 0.",
        ),
    ),
    Broken(
        "negative money",
        HEAD
        + """\
limits: {usd: -1, retries: 1.5}
do:
  - a: {set: 1}
""",
        (
            "4:15: `usd` must be an amount of US dollars such as 5 or 0.50, not the number -1.",
            "4:28: `retries` must be a whole number from 0 to 10000, not the number 1.5.",
        ),
    ),
    Broken(
        "a quorum larger than the fork",
        WITH_AGENTS
        + """\
do:
  - a: {fork: {x: {agent: planner}, y: {agent: coder}}, join: {quorum: 3}}
  - b: {fork: {x: {agent: planner}}, join: some}
  - c: {vote: {agents: [planner, coder], quorum: 3}}
""",
        (
            "6:72: `quorum` is 3, but the fork has only 2 branches. (at most 2)",
            "7:44: `join` must be `all`, `any` or {quorum: 2}, not `some`.",
            "8:50: `quorum` is 3, but only 2 agents vote. (at most 2)",
        ),
    ),
    Broken(
        "an unknown vote rule and missing weights",
        WITH_AGENTS
        + """\
do:
  - a: {vote: {agents: [planner, coder], rule: majorty}}
  - b: {vote: {agents: [planner, coder], rule: weighted, weights: {planner: 1, codr: 2}}}
  - c: {vote: {agents: [planner, coder], rule: ranked}}
""",
        (
            "6:48: `rule` must be `majority`, `two_thirds`, `unanimous`, `weighted` or `ranked`, not `majorty`. (did you mean `majority`?)",
            "7:15: The rule `weighted` needs a weight for `coder`. (weights: {coder: 1})",
            "7:86: `codr` has a weight, but does not vote. (did you mean `coder`?)",
            "8:48: The rule `ranked` needs `choices` to rank. (choices: [first, second, third])",
        ),
    ),
    Broken(
        "on_timeout without timeout",
        WITH_AGENTS
        + """\
tools: {deploy: {mcp: ops, approval: {on_timeout: deny}}}
do:
  - a: {ask: {on_timeout: approve}}
  - b: {listen: {signal: go, on_timeout: continue}}
""",
        (
            "5:51: `on_timeout` has no `timeout`: it would never happen. (add `timeout: 24h`)",
            "7:27: `on_timeout` has no `timeout`: it would never happen. (add `timeout: 24h`)",
            "8:42: `on_timeout` has no `timeout`: it would never happen. (add `timeout: 24h`)",
        ),
    ),
    Broken(
        "wrong types",
        WITH_AGENTS
        + """\
do:
  - a: {agent: [planner]}
  - b: {run: {x: 1}}
  - c: {run: []}
  - d: {while: 3, do: [{x: {set: 1}}]}
  - e: {for: tasks, do: [{x: {set: 1}}]}
  - f: {switch: {when: true}}
  - g: {retry: 0, tool: files.list}
  - h: {retry: {attempt: 3}, tool: files.list}
""",
        (
            "6:16: `agent` must be the name of an agent, not a list.",
            "7:14: `run` must be a command line, or a list of a program and its arguments, not a mapping.",
            "8:14: This list is empty.",
            "9:16: `while` must be a condition, such as `review.score < 0.9`, not the number 3.",
            '10:14: `for` must be a `for`, such as {each: task, in: "${plan.tasks}"}, not `tasks`.',
            "11:17: `switch` must be a list, each item a case, such as {when: ..., do: [...]}, not a mapping.",
            "12:16: `retry` must be a whole number from 1 to 20, not the number 0.",
            "13:17: Unknown key `attempt` in a retry policy. (did you mean `attempts`?)",
        ),
    ),
    Broken(
        "iteration without a bound",
        HEAD
        + """\
do:
  - a: {while: "true", max: 0, do: [{x: {set: 1}}]}
  - b: {while: "true", max: many, do: [{x: {set: 1}}]}
""",
        (
            "5:29: `max` must be a whole number from 1 to 1000, not the number 0.",
            "6:29: `max` must be a whole number from 1 to 1000, not `many`.",
        ),
    ),
    Broken(
        "cases out of order",
        HEAD
        + """\
do:
  - a: {switch: [{default: continue}, {when: "true", do: [{x: {set: 1}}]}]}
  - b: {switch: [{when: "true"}, {do: [{x: {set: 1}}]}, {default: stop}]}
  - c: {switch: []}
""",
        (
            "5:18: `default` comes last: the cases after it would never be looked at.",
            "6:18: The key `do` is missing in this case. (a case is {when: ..., do: [...]})",
            "6:34: A case needs one of `when`, `default`.",
            "6:67: `default` must be `continue`, `fail` or a list of steps, not `stop`.",
            "7:17: This list is empty.",
        ),
    ),
    Broken(
        "a try without catch",
        HEAD
        + """\
do:
  - a: {try: [{x: {set: 1}}]}
  - b: {try: [{x: {set: 1}}], catch: [{on: budget_exeeded, do: [{x: {set: 1}}]}]}
  - c: {set: 1, catch: [{max: 3, extend: {usd: 5}}]}
""",
        (
            "5:8: A `try` needs `catch` or `finally`. (or write `do:`)",
            "6:44: `on` must be the code of an error, such as `timed_out`, or `any`, not `budget_exeeded`. (did you mean `budget_exceeded`?)",
            "7:31: `max` says how often to retry. (add `then: retry`)",
            "7:42: `extend` raises a limit that nothing uses then. (add `then: retry`, so that the step that failed runs under the new limit)",
        ),
    ),
)


@pytest.mark.parametrize("broken", FILES, ids=lambda broken: broken.name.replace(" ", "-"))
def test_every_problem_of_shape_is_told_at_its_place(
    broken: Broken, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert refused(broken.text) == broken.problems
