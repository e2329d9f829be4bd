"""Files that name what is not there, and everything that is said about each: place, message, suggestion."""

from pathlib import Path

import pytest

from tests.workflows.broken_files import HEAD, WITH_AGENTS, Broken, refused

FILES = (
    Broken(
        "a name of an outer step",
        HEAD
        + """\
do:
  - a: {set: 1}
  - b: {do: [{a: {set: 2}}]}
""",
        (
            "6:18: The step `a` hides something of that name outside its block (line 5). (choose another name)",
        ),
    ),
    Broken(
        "a missing agent and tool",
        WITH_AGENTS
        + """\
do:
  - a: {agent: planer}
  - b: {tool: files.raed, with: {path: x}}
  - c: {tool: deploy}
""",
        (
            "6:16: There is no agent `planer`. (did you mean `planner`?)",
            "7:15: There is no tool `files.raed`. (did you mean `files.read`?)",
            "8:15: There is no tool `deploy`. (known: files.delete, files.edit, files.list, files.read, files.search, files.write, git.diff, git.log, git.status, shell.run)",
        ),
    ),
    Broken(
        "agents that a group does not have",
        WITH_AGENTS
        + """\
do:
  - a: {handoff: {start: architect, among: [planner, codr]}}
  - b: {vote: {agents: [planner, x, planner], rule: most}}
""",
        (
            "6:26: `start` names `architect`, which is not in `among`. (known: codr, planner)",
            "6:54: There is no agent `codr`. (did you mean `coder`?)",
            "7:34: There is no agent `x`. (known: coder, planner)",
            "7:37: planner is in this list twice. (remove one)",
            "7:53: `rule` must be `majority`, `two_thirds`, `unanimous`, `weighted` or `ranked`, not `most`.",
        ),
    ),
    Broken(
        "goto to a later step",
        WITH_AGENTS
        + """\
do:
  - a: {agent: planner, on_fail: {goto: b}}
  - b: {validate: {run: pytest}, on_fail: {goto: cod}}
  - c: {validate: {run: pytest}, on_fail: {max: 3}}
""",
        (
            "6:41: `goto` leads to `b`, which is no earlier step of this list. (known: a)",
            "7:50: `goto` leads to `cod`, which is no earlier step of this list. (known: a, b)",
            "8:43: The key `goto` is missing in an `on_fail`. (Where to go on: an earlier step of the same list, or this one.)",
        ),
    ),
    Broken(
        "needs in a list",
        WITH_AGENTS
        + """\
do:
  - a: {agent: planner}
  - b: {agent: coder, needs: [a]}
""",
        (
            "7:23: `needs` belongs to the branches of a `fork`. (steps of a list run one after the other; for a graph use the branches of a `fork`, or `for.needs`)",
        ),
    ),
    Broken(
        "a cycle in needs",
        WITH_AGENTS
        + """\
do:
  - f:
      fork:
        a: {agent: planner, needs: [c]}
        b: {agent: planner, needs: [a]}
        c: {agent: planner, needs: [b]}
        d: {agent: planner, needs: [e, d]}
""",
        (
            "8:36: These branches need each other: a -> c -> b -> a. (remove one of these `needs`)",
            "11:36: `needs` names `e`, which is no branch of this fork. (known: a, b, c, d)",
            "11:36: The branch `d` needs itself.",
        ),
    ),
    Broken(
        "a cycle in items of the file",
        WITH_AGENTS
        + """\
do:
  - f:
      for:
        each: t
        in: [{id: a, needs: [b]}, {id: b, needs: [a]}, {id: c, needs: [x]}]
        needs: "${t.needs}"
      do:
        - w: {agent: coder, with: "${t.id}"}
""",
        (
            "9:56: The item `c` needs `x`, which is no item. (known: a, b, c)",
            "10:16: These items need each other: a -> b -> a. (remove one of these needs)",
        ),
    ),
    Broken(
        "wrong words",
        WITH_AGENTS
        + """\
policies: {read: yes, wrote: allow, files.write: ask, deploy: ask}
do:
  - a: {ask: {on_reject: stop}}
  - b: {http: {url: x, method: get}}
  - c: {run: x, parse: yaml}
""",
        (
            "5:18: `read` must be `deny`, `ask` or `allow`, not `yes`.",
            "5:23: `wrote` is neither a risk word nor a tool. (did you mean `write`?)",
            "5:55: `deploy` is neither a risk word nor a tool. (known: ask, destructive, exec, external_api, files.delete, files.edit, files.list, files.read, files.search, files.write, financial, generative, git.diff, git.log, git.status, network, read, read_only, shell.run, write)",
            "7:26: `on_reject` must be `fail` or `continue`, not `stop`.",
            "8:32: `method` must be `GET`, `HEAD`, `POST`, `PUT`, `PATCH`, `DELETE` or `OPTIONS`, not `get`. (did you mean `GET`?)",
            "9:24: `parse` must be `text`, `lines` or `json`, not `yaml`.",
        ),
    ),
    Broken(
        "wrong syntax in expressions",
        WITH_AGENTS
        + """\
do:
  - a: {agent: planner, with: "Plan ${inputs.goal +} now"}
  - b: {set: "${"}
  - c: {set: "${}"}
  - d: {set: "${lenght(a)}"}
  - e:
      set: |
        first line
        then ${a b} here
  - f: {switch: [{when: "a ==", do: [{x: {set: 1}}]}]}
  - g: {while: "${a} > 1", do: [{x: {set: 1}}]}
""",
        (
            "6:52: Wrong expression: the expression ends too early.",
            "7:15: Wrong expression: this `${` has no closing `}`. (write `$${` for a literal `${`, or close the expression)",
            "8:15: Wrong expression: this expression is empty.",
            "9:17: Wrong expression: unknown function `lenght`. (did you mean `size`?)",
            "13:18: Wrong expression: did not expect `b` here.",
            "14:30: Wrong expression: the expression ends too early.",
            "15:21: Wrong expression: a condition is one expression. (put all of it inside one `${...}`, or leave `${` out)",
        ),
    ),
    Broken(
        "unknown variables",
        WITH_AGENTS
        + """\
do:
  - a: {agent: planner, with: "${later}"}
  - later: {agent: planner, with: "${a.tasks} ${nothing.x}"}
  - c: {do: [{d: {set: "${c}"}}]}
  - e: {set: "${d}"}
  - f: {fork: {x: {set: "${y}"}, y: {set: 1}, z: {set: "${y}", needs: [y]}}}
  - g: {set: "${plan}"}
""",
        (
            "6:34: `later` is a step that runs later (line 7). (move this step behind it)",
            "7:49: Unknown variable `nothing`. (known: a, feedback, inputs, run)",
            "8:27: `c` is the step that this is part of: it has no output yet.",
            "9:17: `d` is a step inside `c` (line 8): it is visible only there. (use the output of `c`)",
            "10:28: `y` is another branch of the same fork (line 10): it may not be done yet. (add `needs: [y]` to this branch)",
            "11:17: Unknown variable `plan`. (known: a, c, e, f, feedback, inputs, later, run)",
        ),
    ),
    Broken(
        "unknown fields",
        WITH_AGENTS
        + """\
inputs: {type: object, properties: {goal: {type: string}, list: {type: array, items: {type: object, properties: {id: {type: string}}}}}}
do:
  - a: {agent: planner, with: "${inputs.gaol}"}
  - b: {set: "${a.taks}"}
  - c: {set: "${a.tasks[0].titel}"}
  - d: {set: "${a.tasks.exists(t, t.titl == 'x')}"}
  - e: {for: {each: t, in: "${a.tasks}"}, do: [{x: {set: "${t.tilte}"}}]}
  - f: {run: pytest}
  - g: {set: "${f.exitcode} ${run.name} ${a.tasks.title}"}
  - h: {set: "${has(a.maybe)}"}
  - i: {set: "${inputs.goal.x}"}
""",
        (
            "7:41: `inputs` has no field `gaol` (it has: goal, list). (did you mean `goal`?)",
            "8:19: `a` has no field `taks` (it has: tasks). (did you mean `tasks`?)",
            "9:28: `a.tasks[0]` has no field `titel` (it has: title). (did you mean `title`?)",
            "10:37: `a.tasks[*]` has no field `titl` (it has: title). (did you mean `title`?)",
            "11:63: `t` has no field `tilte` (it has: title). (did you mean `title`?)",
            "13:19: `f` has no field `exitcode` (it has: exit_code, stderr, stdout, truncated). (did you mean `exit_code`?)",
            "13:35: `run` has no field `name` (it has: id, version, workflow).",
            "13:51: `a.tasks` is a list: it has no field `title`.",
            "15:29: `inputs.goal` is text: it has no field `x`.",
        ),
    ),
    Broken(
        "no inputs declared",
        HEAD
        + """\
do:
  - a: {set: "${inputs.goal}"}
""",
        ("5:24: `inputs` has no field `goal`. (declare it in `inputs:` at the top)",),
    ),
    Broken(
        "a variable of the shell",
        HEAD
        + """\
do:
  - a: {run: "echo ${HOME}"}
  - b: {run: "echo '${a.stdout}'"}
""",
        (
            "5:22: Unknown variable `HOME`. (for a variable of the shell write `$HOME` or `$${HOME}`)",
            "6:21: Wrong expression: an expression cannot stand inside single quotes in a script. (use double quotes: the value is passed as a variable, never read as code)",
        ),
    ),
    Broken(
        "a list that is no list",
        WITH_AGENTS
        + """\
do:
  - a: {agent: planner}
  - b: {for: {each: t, in: a.tasks}, do: [{x: {set: 1}}]}
  - c: {for: {each: t, in: "${a.tasks}", needs: [x], id: "${t}"}, do: [{x: {set: 1}}]}
  - d: {for: {each: a, in: "${a.tasks}", index: a}, do: [{x: {set: 1}}]}
""",
        (
            "7:28: This must be a list, or an expression for one. (write `${a.tasks}`)",
            "8:49: This must be an expression for the keys of other items, such as `${task.needs}`.",
            "9:21: `a` hides something of that name. (choose another name)",
            "9:49: `each` and `index` need two names.",
            "9:49: `a` hides something of that name. (choose another name)",
        ),
    ),
    Broken(
        "files that are not there",
        HEAD
        + """\
inputs: {$ref: schemas/input.json}
agents:
  a: {instructions: file:prompts/a.md}
  b: file:agents/b.md
  c: {output: {$ref: schemas/c.json}}
workspace: {source: repo}
do:
  - x: {workflow: child.yaml}
  - y: {validate: {schema: schemas/plan.json}}
""",
        (
            "4:16: There is no file `schemas/input.json`.",
            "6:7: The file 'prompts/a.md' cannot be read: There is no file `prompts/a.md`.",
            "7:6: There is no file `agents/b.md`.",
            "8:16: The file 'schemas/c.json' cannot be read: There is no file `schemas/c.json`.",
            "9:21: There is no file `repo`.",
            "11:19: There is no file `child.yaml`. (did you mean `w.yaml`?)",
            "12:28: There is no file `schemas/plan.json`.",
        ),
    ),
    Broken(
        "files outside the directory",
        HEAD
        + """\
inputs: {$ref: ../input.json}
agents:
  a: {instructions: "file:/etc/passwd"}
  b: "file:../b.md"
workspace: {source: /tmp}
do:
  - x: {workflow: ../../child.yaml}
  - y: {validate: {schema: "~/x.json"}}
""",
        (
            "4:16: `../input.json` is outside the workflow's directory. (copy it into the directory, and name it by a relative path)",
            "6:7: '/etc/passwd' is not a file beside the definition. (a relative path)",
            "7:6: `../b.md` is outside the workflow's directory. (copy it into the directory, and name it by a relative path)",
            "8:21: `/tmp` is outside the workflow's directory. (copy it into the directory, and name it by a relative path)",
            "10:19: `../../child.yaml` is outside the workflow's directory. (copy it into the directory, and name it by a relative path)",
            "11:28: `~/x.json` is outside the workflow's directory. (copy it into the directory, and name it by a relative path)",
        ),
    ),
    Broken(
        "wrong schemas",
        HEAD
        + """\
inputs:
  type: object
  requried: [goal]
  required: [gaol]
  properties:
    goal: {type: strng, minLenght: 3}
    age: {type: integer, minimum: old, pattern: '['}
    other: {$ref: 'https://example.org/x.json'}
    more: {$ref: '#/$defs/none'}
    old: {type: string, nullable: true}
  $defs: {loop: {$ref: '#/$defs/loop'}}
do:
  - a: {set: 1}
""",
        (
            "6:3: `requried` is not a keyword of JSON Schema. (did you mean `required`?)",
            "7:14: `gaol` is required, but `properties` does not name it. (did you mean `goal`?)",
            "9:18: `strng` is not a type of JSON Schema. (did you mean `string`?)",
            "9:25: `minLenght` is not a keyword of JSON Schema. (did you mean `minLength`?)",
            "10:35: `minimum` is wrong: 'old' is not of type 'number'.",
            "10:49: This pattern is not a regular expression.",
            "11:19: A `$ref` names a local file, not an address. (copy the schema beside the workflow; nothing is fetched)",
            "12:18: The `$ref` `#/$defs/none` leads nowhere.",
            "13:25: `nullable` is not supported in a schema. (use `type: [string, 'null']`)",
        ),
    ),
    Broken(
        "a schema that leads to itself",
        HEAD
        + """\
inputs:
  type: object
  properties: {a: {$ref: '#/$defs/loop'}}
  $defs: {loop: {$ref: '#/$defs/loop'}}
do:
  - a: {set: 1}
""",
        ("5:3: A `$ref` in this schema leads back to itself: checking a value against it would never end.",),
    ),
    Broken(
        "a wrong agent",
        HEAD
        + """\
agents:
  a: {modle: openai:gpt-5, max_turns: 0}
  b: {model: gpt-5, tools: [files.raed], handoffs: [c]}
  c: claude
  d: {acp: claude, model: openai:x}
do:
  - x: {agent: a}
""",
        (
            "5:7: Unknown key 'modle'. (did you mean 'model'?)",
            "5:28: max_turns is a whole number from 1 to 1000.",
            "6:7: 'gpt-5' is not right in model: <provider>:<model>, for example openai:gpt-5.",
            "6:29: There is no tool `files.raed`. (did you mean `files.read`?)",
            "7:6: An agent is a mapping, or `file:agents/c.md`; this is `claude`.",
            "8:7: An agent is either a model (model) or a coding agent (acp), not both.",
        ),
    ),
    Broken(
        "wrong tools",
        HEAD
        + """\
tools:
  deploy: {risk: dangerous}
  a: {mcp: ops, python: x:y}
  b: {tool: "*"}
  c: {mcp: {}}
  d: {mcp: {command: [x], url: "https://x"}}
  e: {mcp: {url: ftp://x, env: {A: "${x}"}}}
  f g: {mcp: x}
  h: {python: x}
do:
  - x: {set: 1}
""",
        (
            "5:11: There is no built-in tool `deploy`. (say where it comes from: `mcp` or `python`)",
            "5:18: `risk` must be `read_only`, `generative`, `external_api`, `destructive` or `financial`, not `dangerous`.",
            "6:25: A tool comes from `mcp` or `python`, not both. (remove one)",
            "7:6: There is no built-in tool `b`. (say where it comes from: `mcp` or `python`)",
            '7:13: `"*"` means every tool of an MCP server. (add `mcp: name`)',
            "8:12: An MCP server needs one of `command`, `url`.",
            "9:32: A server has a `command` or a `url`, not both. (remove one)",
            "10:18: `url` must be an address, not `ftp://x`. (for example `https://tools.example.org/mcp`)",
            "10:32: `env` belongs to a server with a `command`.",
            "10:36: An expression cannot stand here: the server starts before any step.",
            "11:3: `f g` is not a name: letters, digits, `_`, `-` and `.`.",
            "12:15: `python` must be a function: `module:name`, or `file.py:name` beside the workflow, not `x`. (for example `tools/release.py:publish`)",
        ),
    ),
    Broken(
        "a step that widens the tools",
        HEAD
        + """\
agents: {a: {tools: [files.read]}}
do:
  - x: {agent: a, tools: [files.write, files.raed]}
""",
        (
            "6:27: The agent `a` does not have the tool `files.write`; a step can only narrow them. (did you mean `files.read`?)",
            "6:40: There is no tool `files.raed`. (did you mean `files.read`?)",
        ),
    ),
    Broken(
        "a kind of task that the agent has no models for",
        HEAD
        + """\
agents:
  a: {model: {default: ["openai:gpt-5"], review: ["openai:gpt-5-mini"]}}
  b: {model: openai:gpt-5}
do:
  - x: {agent: a, task_kind: revue}
  - y: {agent: b, task_kind: review}
  - z: {agent: a, task_kind: review}
""",
        (
            "8:30: The agent `a` has no models for `revue`. (did you mean `review`?)",
            "9:30: The agent `b` has no models for `review`. (add them to the agent's `model`)",
        ),
    ),
    Broken(
        "a request with a body",
        HEAD
        + """\
do:
  - x: {http: {url: "https://x", body: {a: 1}}}
  - y: {http: {method: POST}}
""",
        (
            "5:40: A GET request has no body. (add `method: POST`)",
            "6:15: The key `url` is missing in an HTTP request. (The address.)",
        ),
    ),
    Broken(
        "a check that checks nothing",
        HEAD
        + """\
do:
  - x: {validate: [{}, {run: a, expect: b}, {expect: "value.x", file: y}]}
""",
        (
            "5:20: A check has one of `run`, `schema` and `expect`; this has none.",
            "5:24: A check has one of `run`, `schema` and `expect`; this has `run` and `expect`.",
            "5:71: `file` belongs to a `schema` check.",
        ),
    ),
    Broken(
        "an expression as a key",
        HEAD
        + """\
do:
  - x: {set: {"${a}": 1}}
""",
        ("5:15: A key is not evaluated. (put the expression into the value)",),
    ),
    Broken(
        "an unknown error code",
        HEAD
        + """\
do:
  - a: {set: 1}
catch:
  - {on: [budget_exceded, cancelled], do: [{a: {set: 1}}], then: continue}
""",
        (
            "7:11: This must be the code of an error, such as `timed_out`, or `any`, not `budget_exceded`. (did you mean `budget_exceeded`?)",
            "7:27: This must be the code of an error, such as `timed_out`, or `any`, not `cancelled`. (known: any, budget_exceeded, conflict, contract_violation, damaged, expression_failed, internal_error, invalid_arguments, invalid_definition, invalid_input, limit_exceeded, locked, model_refused, not_found, outcome_unknown, permission_denied, policy_denied, stale, step_failed, storage_full, tenant_violation, timed_out, tool_failed, unauthenticated, unavailable, unknown_tool, unsupported)",
            "7:66: `then` must be `fail`, `retry` or `end`, not `continue`.",
        ),
    ),
)


@pytest.mark.parametrize("broken", FILES, ids=lambda broken: broken.name.replace(" ", "-"))
def test_every_name_that_means_nothing_is_told_at_its_place(
    broken: Broken, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert refused(broken.text) == broken.problems
