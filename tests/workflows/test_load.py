"""A right file becomes the definition it says, and its bundle becomes the same definition anywhere."""

import os
from pathlib import Path

import pytest

from mosaic.core.errors import InvalidDefinition
from mosaic.core.money import Money
from mosaic.workflows import Bundle, Definition, check, find_workflow, load, load_bundle
from mosaic.workflows.schemas import (
    AgentStep,
    AskStep,
    Catch,
    ForkStep,
    ForStep,
    HttpStep,
    Join,
    Limits,
    OnFail,
    Retry,
    RunStep,
    SecretRef,
    SetStep,
    Step,
    SwitchStep,
    ToolStep,
    TryStep,
    ValidateStep,
    VoteStep,
    WhileStep,
    WorkflowStep,
)

HEAD = "mosaic: v1\nkind: Workflow\nmetadata: {name: x}\n"


def write(folder: Path, **files: str) -> Path:
    for name, text in files.items():
        path = folder / name.replace("__", "/").replace("_yaml", ".yaml").replace("_json", ".json").replace(
            "_md", ".md"
        )
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return folder / "workflow.yaml"


def steps(folder: Path, text: str, top: str = "") -> tuple[Step, ...]:
    return load(write(folder, workflow_yaml=f"{HEAD}{top}do:\n{text}")).steps


def problems(file: Path) -> list[str]:
    return [str(problem).removeprefix(f"{file.parent}/") for problem in check(file)]


def test_a_definition_holds_what_the_file_says(tmp_path: Path) -> None:
    (tmp_path / "repo").mkdir()
    file = write(
        tmp_path,
        prompts__planner_md="Plan it.",
        schemas__plan_json='{"type": "object", "properties": {"tasks": {"type": "array"}}}',
        workflow_yaml=(
            "mosaic: v1\nkind: Workflow\n"
            "metadata: {name: ship, version: 1.2.0, description: Ships., labels: {team: core}}\n"
            "inputs: {type: object, properties: {goal: {type: string}}}\n"
            "limits: {usd: 0.50, tokens: 1000, duration: 1h30m, concurrency: 2, retries: 0}\n"
            "policies: {exec: ask, files.delete: deny}\nworkspace: {source: repo/}\n"
            "agents:\n  planner: {model: openai:x, instructions: file:prompts/planner.md, "
            "output: {$ref: schemas/plan.json}}\n"
            "do:\n  - plan: {agent: planner, with: '${inputs.goal}'}\n"
            "outputs: {tasks: '${plan.tasks}'}\noutputs_schema: {type: object}\n"
        ),
    )
    found = load(file)
    assert (found.name, found.version, found.description, found.labels) == (
        "ship",
        "1.2.0",
        "Ships.",
        {"team": "core"},
    )
    assert found.limits == Limits(Money.usd("0.5"), 1000, 5400.0, 2, 0)
    assert found.policies == {"exec": "ask", "files.delete": "deny"}
    assert found.workspace
    assert found.workspace.source == "repo/"
    spec = found.agents["planner"].spec
    assert (spec.name, spec.model, spec.instructions) == ("planner", ("openai:x",), "Plan it.")
    assert spec.output_schema == {"type": "object", "properties": {"tasks": {"type": "array"}}}
    assert found.outputs
    assert found.outputs.evaluate({"plan": {"tasks": [1]}}) == {"tasks": [1]}
    assert found.outputs_schema == {"type": "object"}
    assert sorted(found.bundle.files) == ["prompts/planner.md", "schemas/plan.json", "workflow.yaml"]
    assert found.content_hash == found.bundle.content_hash


def test_steps_have_the_defaults_of_their_kind(tmp_path: Path) -> None:
    text = """\
  - a: {tool: files.list}
  - b: {run: "true"}
  - c: {run: [git, status], parse: lines, ok: 1}
  - d: {http: "https://x"}
  - e: {ask: "Go on?"}
  - f: {validate: {expect: value != null}}
  - g: {while: "true", do: [{x: {set: 1}}]}
  - h: {for: {each: t, in: [1]}, do: [{x: {set: 1}}]}
  - i: {fork: {x: {set: 1}, y: {set: 2}}}
  - j: {set: 1, retry_: 1}
"""
    a, b, c, d, e, f, g, h, i = steps(tmp_path, text.replace("  - j: {set: 1, retry_: 1}\n", ""))
    assert isinstance(a, ToolStep)
    assert (a.timeout_s, a.retry, a.with_) == (None, Retry(), None)  # the tool's own time counts
    assert isinstance(b, RunStep)
    assert (b.timeout_s, b.retry, b.ok, b.parse, b.argv) == (300.0, None, (0,), "text", None)
    assert isinstance(c, RunStep)
    assert (c.shell, c.ok, c.parse) == (None, (1,), "lines")
    assert [part.text for part in c.argv or ()] == ["git", "status"]
    assert isinstance(d, HttpStep)
    assert (d.method, d.timeout_s, d.retry, d.ok) == ("GET", 30.0, Retry(), ())
    assert isinstance(e, AskStep)
    assert (e.wait_s, e.on_timeout, e.on_reject, e.timeout_s, e.retry) == (None, "fail", "fail", None, None)
    assert isinstance(f, ValidateStep)
    assert [(one.kind, one.name, one.timeout_s) for one in f.checks] == [("expect", "value != null", 300.0)]
    assert isinstance(g, WhileStep)
    assert (g.max, g.on_max) == (3, "continue")
    assert isinstance(h, ForStep)
    assert (h.each, h.parallel, h.max_items, h.index, h.key, h.needs_) == ("t", 1, 1000, None, None, None)
    assert isinstance(i, ForkStep)
    assert i.join == Join("all", 2)


def test_every_step_has_a_path_of_its_own(tmp_path: Path) -> None:
    text = """\
  - a:
      try:
        - b: {set: 1, compensate: [{b: {set: 2}}]}
      catch: [{on: timed_out, do: [{b: {set: 3}}]}, {do: [{b: {set: 4}}]}]
      finally: [{b: {set: 5}}]
  - c:
      switch:
        - {when: "true", do: [{d: {set: 1}}]}
        - {when: "true", do: [{d: {set: 2}}]}
        - default: [{d: {set: 3}}]
  - e: {for: {each: t, in: [1]}, do: [{f: {fork: {g: {set: 1}, h: {do: [{i: {set: 1}}]}}}}]}
"""
    # The inner `b` of the compensation hides the step that it undoes: allowed nowhere else, so it has its own name.
    a, c, e = steps(tmp_path, text.replace("compensate: [{b:", "compensate: [{u:"))
    assert isinstance(a, TryStep)
    b = a.do[0]
    assert [b.path, b.compensate[0].path] == ["a/b", "a/b/compensate/u"]
    assert [clause.do[0].path for clause in a.catch] == ["a/catch0/b", "a/catch1/b"]
    assert a.finally_[0].path == "a/finally/b"
    assert isinstance(c, SwitchStep)
    assert [case.do[0].path for case in c.cases] == ["c/case0/d", "c/case1/d"]
    assert c.default
    assert c.default[0].path == "c/default/d"
    assert isinstance(e, ForStep)
    fork = e.do[0]
    assert isinstance(fork, ForkStep)
    assert [branch.path for branch in fork.branches] == ["e/f/g", "e/f/h"]


def test_failure_handling_is_read_as_written(tmp_path: Path) -> None:
    text = """\
  - a: {tool: files.list, retry: {attempts: 5, delay: 2s, factor: 1, max_delay: 1m, jitter: 0, on: [timed_out]}}
  - b:
      tool: files.list
      retry: 1
      if: inputs != null
      timeout: 250ms
      on_fail: {goto: a}
      catch: [{on: [any, timed_out], as: problem, if: problem.code == 'x', do: [{x: {set: 1}}], then: retry, extend: {usd: 5}}]
"""
    top = "catch: [{on: budget_exceeded, then: end}]\n"
    a, b = steps(tmp_path, text, top)
    assert a.retry == Retry(5, 2.0, 1.0, 60.0, 0.0, ("timed_out",))
    assert b.retry == Retry(attempts=1)
    assert (b.timeout_s, b.on_fail) == (0.25, OnFail("a", 3))
    assert b.condition
    assert b.condition.evaluate_bool({"inputs": {}})
    clause = b.catch[0]
    assert (clause.on, clause.error, clause.then, clause.max_retries) == ((), "problem", "retry", 1)
    assert (clause.extend_usd_nanos, clause.extend_tokens) == (5_000_000_000, None)
    top_clause = load(tmp_path / "workflow.yaml").catch[0]
    assert isinstance(top_clause, Catch)
    assert (top_clause.on, top_clause.then, top_clause.do) == (("budget_exceeded",), "end", ())


def test_groups_and_requests_are_read_as_written(tmp_path: Path) -> None:
    text = """\
  - a: {vote: {agents: [p, q], rule: weighted, weights: {p: 2, q: 0.5}}}
  - b:
      http: {url: "https://x/${run.id}", method: POST, headers: {Authorization: {secret: T, prefix: "Bearer "}}, body: {n: 1}, ok: 201}
  - c: {fork: {x: {set: 1}, y: {set: 1, needs: x}, z: {set: 1}}, join: {quorum: 2}}
  - d: {ask: {question: "Go?", roles: lead, timeout: 1h, on_timeout: deny, choices: [a, b]}}
"""
    a, b, c, d = steps(tmp_path, text, "agents: {p: {}, q: {}}\n")
    assert isinstance(a, VoteStep)
    assert (a.weights, a.quorum, a.choices) == ({"p": 2.0, "q": 0.5}, 2, ("approve", "reject"))
    assert isinstance(b, HttpStep)
    assert (b.headers, b.ok) == ({"Authorization": SecretRef("T", "Bearer ")}, (201,))
    assert b.url.evaluate({"run": {"id": "run_1"}}) == "https://x/run_1"
    assert isinstance(c, ForkStep)
    assert (c.join, [branch.needs for branch in c.branches]) == (Join("quorum", 2), [(), ("x",), ()])
    assert isinstance(d, AskStep)
    assert (d.roles, d.wait_s, d.on_timeout, d.choices) == (("lead",), 3600.0, "reject", ("a", "b"))


def test_yaml_anchors_comments_and_every_quote_may_be_used(tmp_path: Path) -> None:
    text = """\
  - a: {set: &shared {text: 'it''s', n: 0x10, yes: yes}}   # a comment
  - b: {set: *shared}
  - c:
      set: |
        two
        lines ${a.n}
"""
    a, b, c = steps(tmp_path, text)
    assert isinstance(a, SetStep)
    assert isinstance(b, SetStep)
    assert isinstance(c, SetStep)
    assert a.value.evaluate({}) == b.value.evaluate({}) == {"text": "it's", "n": 16, "yes": "yes"}
    assert c.value.evaluate({"a": {"n": 16}}) == "two\nlines 16\n"


def test_an_agent_may_be_a_markdown_or_yaml_file(tmp_path: Path) -> None:
    file = write(
        tmp_path,
        agents__coder_md="---\nname: Ada\nmodel: openai:x\ntools: [files.read]\n---\nWrite code.\n",
        agents__critic_yaml="description: Reads.\ninstructions: file:../prompts/critic.md\n",
        prompts__critic_md="Be kind.",
        workflow_yaml=HEAD
        + "agents: {coder: 'file:agents/coder.md', critic: 'file:agents/critic.yaml'}\ndo:\n  - a: {agent: coder}\n",
    )
    # `..` is refused inside an agent's file by the agents room; beside it, it is fine.
    (tmp_path / "agents/critic.yaml").write_text("description: Reads.\ninstructions: file:critic.md\n")
    (tmp_path / "agents/critic.md").write_text("Be kind.")
    found = load(file)
    assert found.agents["coder"].spec.instructions == "Write code."
    assert found.agents["coder"].spec.name == "coder"
    assert found.agents["critic"].spec.instructions == "Be kind."
    assert sorted(found.bundle.files) == [
        "agents/coder.md",
        "agents/critic.md",
        "agents/critic.yaml",
        "workflow.yaml",
    ]


def test_a_problem_in_an_agents_file_is_told_in_that_file(tmp_path: Path) -> None:
    file = write(
        tmp_path,
        agents__a_md="---\nmodle: x\n---\nHi.\n",
        agents__b_md="no front matter",
        workflow_yaml=HEAD
        + "agents: {a: 'file:agents/a.md', b: 'file:agents/b.md'}\ndo:\n  - a: {agent: a}\n",
    )
    assert problems(file) == [
        "agents/a.md:2:1: Unknown key 'modle'. (did you mean 'model'?)",
        (
            "agents/b.md:1:1: A Markdown agent starts with front matter. "
            "(put the fields between two lines of ---, then the instructions)"
        ),
    ]


def test_a_bundle_gives_the_same_definition_without_the_disk(tmp_path: Path) -> None:
    file = write(
        tmp_path,
        prompts__p_md="Plan ü.",
        child_yaml=HEAD + "agents: {a: {instructions: 'file:prompts/p.md'}}\ndo:\n  - x: {agent: a}\n",
        workflow_yaml=HEAD + "do:\n  - c: {workflow: child.yaml}\n",
    )
    found = load(file)
    data = found.bundle.to_bytes()
    for path in sorted(tmp_path.rglob("*"), reverse=True):
        path.rmdir() if path.is_dir() else path.unlink()
    assert Definition.from_bundle(Bundle.from_bytes(data)) == found
    child = found.children["child.yaml"]
    assert sorted(child.bundle.files) == ["child.yaml", "prompts/p.md"]
    assert Definition.from_bundle(child.bundle) == child
    assert child.content_hash != found.content_hash


def test_the_content_hash_changes_with_every_byte_and_with_nothing_else(tmp_path: Path) -> None:
    file = write(
        tmp_path,
        p_md="one",
        workflow_yaml=HEAD + "agents: {a: {instructions: 'file:p.md'}}\ndo:\n  - x: {agent: a}\n",
    )
    before = load(file).content_hash
    (tmp_path / "other.md").write_text("not referred to")
    assert load(file).content_hash == before
    moved = tmp_path / "moved"
    moved.mkdir()
    for name in ("p.md", "workflow.yaml"):
        (moved / name).write_bytes((tmp_path / name).read_bytes())
    assert load(moved).content_hash == before
    (tmp_path / "p.md").write_text("two")
    assert load(file).content_hash != before
    assert Bundle("a", {"a": b"\xff\x00", "b": b"x"}) == Bundle.from_bytes(
        Bundle("a", {"b": b"x", "a": b"\xff\x00"}).to_bytes()
    )


@pytest.mark.parametrize("data", [b"", b"{}", b"[]", b"null", b'{"format": "mosaic.bundle/2"}', b"\xff", b"[" * 100_000,
                                  b'{"format": "mosaic.bundle/1", "entry": "a", "files": {"a": {"base64": "!"}}}'])  # fmt: skip
def test_a_damaged_bundle_is_refused(data: bytes) -> None:
    with pytest.raises(InvalidDefinition):
        Bundle.from_bytes(data)


def test_a_stored_bundle_of_a_broken_file_is_refused() -> None:
    with pytest.raises(InvalidDefinition, match="There is no agent `b`"):
        load_bundle(Bundle("w.yaml", {"w.yaml": (HEAD + "do:\n  - a: {agent: b}\n").encode()}))


def test_children_are_checked_with_the_inputs_they_need(tmp_path: Path) -> None:
    file = write(
        tmp_path,
        parts__child_yaml=HEAD
        + "inputs: {type: object, required: [v, w], properties: {v: {type: string}, w: {default: 1}, "
        "n: {type: integer}}}\ndo:\n  - x: {set: 1}\n  - y: {sett: 1}\noutputs: {done: true}\n",
        workflow_yaml=HEAD + "do:\n  - a: {workflow: parts/child.yaml, with: {u: 1, n: many}}\n"
        "  - b: {set: '${a.dome}'}\n  - c: {workflow: parts/child.yaml}\n",
    )
    assert problems(file) == [
        "parts/child.yaml:7:9: `sett` is not a kind of step. (did you mean `set`?)",
        "workflow.yaml:5:43: The workflow `parts/child.yaml` needs the input `v`. (give it in `with`)",
        "workflow.yaml:5:47: The workflow `parts/child.yaml` has no input `u`. (known: n, v, w)",
        "workflow.yaml:5:53: The input `n` of `parts/child.yaml` must be integer, not text.",
        "workflow.yaml:6:19: `a` has no field `dome` (it has: done). (did you mean `done`?)",
        "workflow.yaml:7:8: The workflow `parts/child.yaml` needs the input `v`. (give it in `with`)",
    ]


def test_workflows_that_start_each_other_are_refused(tmp_path: Path) -> None:
    file = write(
        tmp_path,
        workflow_yaml=HEAD + "do:\n  - a: {workflow: b.yaml}\n",
        b_yaml=HEAD + "do:\n  - a: {workflow: workflow.yaml}\n",
    )
    assert problems(file) == [
        "b.yaml:5:19: These workflows start each other without end: workflow.yaml -> b.yaml -> workflow.yaml."
    ]


def test_a_link_a_pipe_and_a_directory_are_no_files_to_refer_to(tmp_path: Path) -> None:
    outside = tmp_path / "outside.md"
    outside.write_text("private")
    folder = tmp_path / "flow"
    folder.mkdir()
    (folder / "link.md").symlink_to(outside)
    (folder / "loop.md").symlink_to(folder / "loop.md")
    os.mkfifo(folder / "pipe.md")
    (folder / "inside.md").write_text("fine")
    (folder / "alias.md").symlink_to(folder / "inside.md")
    (folder / "repo").symlink_to(tmp_path)
    file = write(
        folder,
        workflow_yaml=HEAD
        + "workspace: {source: repo}\nagents:\n"
        + "".join(
            f"  {name}: {{instructions: 'file:{name}.md'}}\n" for name in ("link", "loop", "pipe", "alias")
        )
        + "  dir: {instructions: 'file:repo'}\ndo:\n  - a: {agent: alias}\n",
    )
    found = problems(file)
    assert [line.partition(": ")[2].partition(" (")[0] for line in found] == [
        "`repo` is a link that leads outside the workflow's directory.",
        "The file 'link.md' cannot be read: `link.md` is a link that leads outside the workflow's directory",
        "The file 'loop.md' cannot be read: `loop.md` cannot be read: its links go round in a circle.",
        "The file 'pipe.md' cannot be read: `pipe.md` is not a plain file.",
        "The file 'repo' cannot be read: `repo` is a link that leads outside the workflow's directory",
    ]
    assert "private" not in "".join(found)


def test_size_depth_and_aliases_are_bounded(tmp_path: Path) -> None:
    bombs = "a: &a [x,x,x,x,x,x,x,x,x,x]\n" + "".join(
        f"{chr(98 + n)}: &{chr(98 + n)} [{','.join(['*' + chr(97 + n)] * 10)}]\n" for n in range(9)
    )
    for text, message in (
        ("# " + "x" * 1_000_001, "The file has 1000003 bytes; at most 1000000 are read."),
        ("# " + "x" * 200_000, "This line has 200002 characters; at most 100000 are read."),
        (bombs, "The file holds more than 20000 values, aliases counted."),
        ("a: &a [*a]", "The alias *a stands inside itself."),
        ("[" * 90_000, "The file nests deeper than 50 levels."),
        (
            HEAD + "do:\n" + "".join(f"  - s{n}: {{set: 1}}\n" for n in range(1001)),
            "A workflow has at most 1000 steps.",
        ),
    ):
        file = write(tmp_path, workflow_yaml=text)
        if len(text) > 1_000_000:
            assert message.split(";")[1].strip().split(" ")[2] in problems(file)[0]
        else:
            assert message in problems(file)[0]


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"a: \xff", "workflow.yaml:1:4: The file is not UTF-8 text."),
        (b"a: \x00", "workflow.yaml:1:4: The file holds a character that YAML does not allow."),
        (b'a: "\\ud800"', "workflow.yaml:1:4: This text holds half a character (a lone surrogate)."),
        (b"a: .inf", "workflow.yaml:1:4: Numbers here are finite."),
        (b"a: 1e999", "workflow.yaml:1:4: This number is too large."),
        (b"? [a]\n: b", "workflow.yaml:1:3: A key is text, not a list, a mapping or nothing."),
        (b"1: b", "workflow.yaml:1:1: A key is text. (quote it)"),
        (b"a: *b", "workflow.yaml:1:4: The alias *b names no anchor before it."),
    ],
)
def test_hostile_bytes_are_told_at_their_place(data: bytes, message: str, tmp_path: Path) -> None:
    (tmp_path / "workflow.yaml").write_bytes(data)
    assert message in problems(tmp_path / "workflow.yaml")


def test_a_bom_and_windows_line_ends_are_read(tmp_path: Path) -> None:
    (tmp_path / "workflow.yaml").write_bytes(
        b"\xef\xbb\xbf" + (HEAD + "do:\n  - a: {sett: 1}\n").replace("\n", "\r\n").encode()
    )
    assert problems(tmp_path / "workflow.yaml") == [
        "workflow.yaml:5:9: `sett` is not a kind of step. (did you mean `set`?)"
    ]


def test_a_file_that_is_not_there_is_a_problem_with_a_suggestion(tmp_path: Path) -> None:
    write(tmp_path, workflow_yaml=HEAD)
    missing = tmp_path / "workflw.yaml"
    assert [str(problem) for problem in check(missing)] == [
        f"{missing}:1:1: There is no such file. (did you mean `{tmp_path}/workflow.yaml`?)"
    ]
    assert find_workflow(tmp_path) == tmp_path / "workflow.yaml"
    assert find_workflow(missing) == missing
    (tmp_path / "empty").mkdir()
    assert check(tmp_path / "empty")[0].message == "There is no such file."


def test_tools_of_the_installation_are_known_when_they_are_named(tmp_path: Path) -> None:
    file = write(
        tmp_path,
        workflow_yaml=HEAD + "agents: {a: {tools: [notes.add, 'notes.*']}}\ndo:\n  - x: {agent: a}\n",
    )
    assert len(check(file)) == 2
    found = load(file, tools=["notes.add"])
    assert Definition.from_bundle(found.bundle) == found


def test_the_built_in_tools_are_those_of_the_tools_room() -> None:
    from mosaic.tools import Toolboxes, ToolSettings
    from mosaic.workflows.checks.names import BUILTIN_TOOLS

    assert set(Toolboxes(ToolSettings(), data_dir=Path("/nonexistent")).registered().names) >= BUILTIN_TOOLS


def test_a_step_of_an_agent_narrows_it(tmp_path: Path) -> None:
    (step,) = steps(
        tmp_path,
        "  - a: {agent: a, tools: files.read, policies: {exec: deny}, max_turns: 3, output: {type: object}}\n",
        "agents: {a: {tools: ['files.*']}}\n",
    )
    assert isinstance(step, AgentStep)
    assert (step.tools, step.policies, step.max_turns) == (("files.read",), {"exec": "deny"}, 3)
    assert step.output_schema == {"type": "object"}


def test_a_child_step_names_its_definition(tmp_path: Path) -> None:
    write(
        tmp_path,
        parts__b_yaml=HEAD + "do:\n  - x: {set: 1}\n",
        parts__a_yaml=HEAD + "do:\n  - x: {workflow: ./b.yaml}\n",
    )
    file = write(tmp_path, workflow_yaml=HEAD + "do:\n  - a: {workflow: 'file:parts/a.yaml', with: {}}\n")
    found = load(file)
    step = found.steps[0]
    assert isinstance(step, WorkflowStep)
    assert step.workflow == "parts/a.yaml"
    assert list(found.children["parts/a.yaml"].children) == ["parts/b.yaml"]
