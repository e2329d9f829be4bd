"""Agent files: what they may say, and how well a wrong one is explained."""

from pathlib import Path

import pytest

from mosaic.agents import AgentSpec, check_agent, load_agent, parse_agent
from mosaic.core.errors import InvalidDefinition

FULL = """\
name: planner
id: CORE-PLANNER-ADA
version: 1.2
description: Plans the work.
model:
  default: [anthropic:claude-sonnet, "openai:gpt-5"]
  review: openai:gpt-5-mini
instructions: file:prompts/planner.md
tools:
  required: [files.read]
  preferred: [web.search]
  allowed: ["git.*"]
  refused: [git.commit]
output: {$ref: schemas/plan.json}
handoffs: [coder]
max_turns: 12
repairs: 1
capacity: 3
pool: thinkers
temperature: 0.2
max_output_tokens: 4000
context_tokens: 50000
capabilities: [task.decompose, project.coordinate]
policies: {exec: ask, network: deny}
expertise: [planning]
working_style: Short sentences.
interaction: {reports_to: lead, hands_off_to: [reviewer]}
affinities: {primary: [planning], avoid: [testing], keywords: [plan, break down]}
"""


def write(directory: Path, name: str, text: str) -> Path:
    path = directory / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    return path


def problems_of(directory: Path, text: str, name: str = "agent.yaml") -> list[str]:
    path = write(directory, name, text)
    return [str(problem).replace(str(directory) + "/", "") for problem in check_agent(path)]


def test_every_field_of_a_full_definition_is_read(tmp_path: Path) -> None:
    write(tmp_path, "prompts/planner.md", "Plan well.\n")
    write(tmp_path, "schemas/plan.json", '{"type": "object", "required": ["tasks"]}')
    spec = load_agent(write(tmp_path, "planner.yaml", FULL))
    assert spec == AgentSpec(
        name="planner",
        id="CORE-PLANNER-ADA",
        version="1.2",
        description="Plans the work.",
        model=("anthropic:claude-sonnet", "openai:gpt-5"),
        models_by_task={"review": ("openai:gpt-5-mini",)},
        instructions="Plan well.\n",
        tools=("files.read", "web.search", "git.*"),
        required_tools=("files.read",),
        preferred_tools=("web.search",),
        refused_tools=("git.commit",),
        output_schema={"type": "object", "required": ["tasks"]},
        handoffs=("coder", "reviewer"),
        max_turns=12,
        repairs=1,
        capacity=3,
        pool="thinkers",
        temperature=0.2,
        max_output_tokens=4000,
        context_tokens=50_000,
        capabilities=("task.decompose", "project.coordinate"),
        policies={"exec": "ask", "network": "deny"},
        expertise=("planning",),
        working_style="Short sentences.",
        reports_to="lead",
        primary=("planning",),
        avoid=("testing",),
        keywords=("plan", "break down"),
    )
    assert AgentSpec.from_json(spec.to_json()) == spec
    assert spec.models_for("review") == ("openai:gpt-5-mini",)
    assert spec.models_for("other") == spec.model


def test_a_markdown_file_gives_its_body_as_instructions(tmp_path: Path) -> None:
    path = write(
        tmp_path,
        "coder.md",
        "---\nmodel: openai:gpt-5\ntools: files.*, git.diff\n---\n\nYou code.\n\nWell.\n",
    )
    spec = load_agent(path)
    assert (spec.name, spec.instructions, spec.tools) == (
        "coder",
        "You code.\n\nWell.",
        ("files.*", "git.diff"),
    )


def test_a_coding_agent_says_its_kind(tmp_path: Path) -> None:
    spec = load_agent(
        write(tmp_path, "coder.yaml", "acp: claude\nisolation: {worktree: true, egress: gateway}\n")
    )
    assert (spec.kind, spec.acp, spec.isolation["egress"]) == ("acp", "claude", "gateway")
    assert AgentSpec.from_json(spec.to_json()) == spec


def test_all_problems_of_a_file_are_told_at_once_with_their_places(tmp_path: Path) -> None:
    text = """\
name: x y
modle: openai:gpt
max_turns: 0
temperature: hot
output: {type: foo}
capabilities: [code.write, bad]
tools: [1]
policies: {exce: ask, exec: maybe}
instructions: file:../x
interaction: {reports: lead}
isolation: {worktree: true}
"""
    assert problems_of(tmp_path, text) == [
        "agent.yaml:2:1: Unknown key 'modle'. (did you mean 'model'?)",
        "agent.yaml:7:9: tools is a list of text; this is a number.",
        "agent.yaml:10:15: Unknown key 'reports'. (did you mean 'reports_to'?)",
        "agent.yaml:1:1: 'x y' is no name: letters, digits, _ and -, at most 48.",
        "agent.yaml:9:1: '../x' is not a file beside the definition. (a relative path)",
        "agent.yaml:5:10: Not a JSON Schema: 'foo' is not valid under any of the given schemas.",
        "agent.yaml:3:1: max_turns is a whole number from 1 to 1000.",
        "agent.yaml:4:1: temperature is a number from 0 to 2.",
        "agent.yaml:6:28: 'bad' is not right in capabilities: dotted names such as code.write.",
        "agent.yaml:8:12: unknown policy 'exce' (did you mean exec?)",
        "agent.yaml:8:23: 'maybe' is no decision (one of allow, ask, deny)",
        "agent.yaml:11:1: isolation is for coding agents (acp).",
    ]


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("a: [1\nb: 2\n", "agent.yaml:2:2: This is not YAML: expected ',' or ']', but got ':'."),
        ("a: 1\na: 2\n", "agent.yaml:2:1: This is not YAML: found duplicate key \"a\"."),
        ("- 1\n", "agent.yaml:1:1: An agent is a mapping of fields. (see docs/reference/agents.md)"),
        ("", "agent.yaml:1:1: An agent is a mapping of fields. (see docs/reference/agents.md)"),
        ("model: gpt-5\n", ("agent.yaml:1:1: 'gpt-5' is not right in model: "
         "<provider>:<model>, for example openai:gpt-5.")),
        ("model: {review: openai:x}\n", ("agent.yaml:1:1: A model per kind of task needs a default beside it. "
         "(default: [...])")),
        ("acp: claude\nmodel: openai:x\n", ("agent.yaml:1:1: An agent is either a model (model) or a coding agent "
         "(acp), not both.")),
        ("tools: {allowed: [a], refused: [a]}\n", "agent.yaml:1:23: The tool 'a' is both offered and refused."),
        ("handoffs: [agent]\n", "agent.yaml:1:1: An agent does not hand over to itself."),
        ("description: !secret x\n", "agent.yaml:1:1: A YAML tag (!name) has no meaning here."),
        ("id: ADA\n", "agent.yaml:1:1: 'ADA' is no id: DOMAIN-ROLE-NAME, for example CORE-CODER-ADA."),
        ("output: {$ref: no.json}\n", "agent.yaml:1:10: The file 'no.json' cannot be read: there is no such file."),
        ("output: {$ref: 'https://example.org/s.json'}\n", ("agent.yaml:1:10: 'https://example.org/s.json' is not a file "
         "beside the definition. (a relative path)")),
        ("output: {type: object, properties: {a: {$ref: other.json}}}\n", ("agent.yaml:1:1: A $ref inside a schema "
         "stays inside it ('#/...'), not 'other.json'.")),
        ("1: x\n", "agent.yaml:1:1: A key is text; '1' is not. (quote it)"),
    ],
)  # fmt: skip
def test_a_wrong_file_says_what_and_where(tmp_path: Path, text: str, problem: str) -> None:
    assert problem in problems_of(tmp_path, text)


def test_front_matter_positions_count_from_the_top_of_the_file(tmp_path: Path) -> None:
    assert problems_of(tmp_path, "---\nname: a\nmodle: x\n---\nHello\n", "a.md") == [
        "a.md:3:1: Unknown key 'modle'. (did you mean 'model'?)"
    ]
    assert "A Markdown agent starts with front matter." in problems_of(tmp_path, "# Hi\n", "b.md")[0]
    twice = problems_of(tmp_path, "---\ninstructions: a\n---\nb\n", "c.md")
    assert twice == ["c.md:2:1: The instructions are given twice: in the front matter and below it."]


SECRET = "sk-" + "abcdefghijklmnopqrstuvwxyz0123"


@pytest.mark.parametrize(
    "text",
    [
        f"model: '{SECRET}'\nmodle: 1\n",
        f"name: x\nname: '{SECRET}'\n",
        f"tools: ['{SECRET}']\n",
        f"{SECRET}: 1\n",
        f"policies: {{exec: '{SECRET}'}}\n",
    ],
)
def test_a_secret_in_a_definition_is_refused_and_never_repeated(tmp_path: Path, text: str) -> None:
    found = problems_of(tmp_path, text)
    assert found
    assert SECRET not in "\n".join(found)


def test_a_secret_in_a_file_it_names_is_refused_and_never_repeated(tmp_path: Path) -> None:
    write(tmp_path, "p.md", f"Use {SECRET}.")
    assert problems_of(tmp_path, "instructions: file:p.md\n") == [
        "agent.yaml:1:1: The file 'p.md' holds what looks like a secret."
    ]
    assert SECRET not in "".join(problems_of(tmp_path, f"---\nname: a\n---\nKey: {SECRET}\n", "a.md"))


def test_a_file_outside_the_directory_is_not_read(tmp_path: Path) -> None:
    outside = write(tmp_path, "outside.md", "hidden")
    agents = tmp_path / "agents"
    agents.mkdir()
    (agents / "link.md").symlink_to(outside)
    found = problems_of(agents, "instructions: file:link.md\n")
    assert "it lies outside the definition's directory" in found[0]


@pytest.mark.parametrize("name", ["agent.yaml", "agent.md"])
def test_an_unreadable_file_is_one_problem(tmp_path: Path, name: str) -> None:
    (tmp_path / name).write_bytes(b"\xff\xfe\x00")
    assert len(check_agent(tmp_path / name)) == 1
    assert "there is no such file" in str(check_agent(tmp_path / "gone.yaml")[0])


def test_aliases_cannot_blow_a_file_up(tmp_path: Path) -> None:
    bomb = "a: &a [x, x, x, x, x, x, x, x, x, x]\n" + "".join(
        f"{name}: &{name} [{', '.join(['*' + before] * 10)}]\n"
        for before, name in zip("abcdefgh", "bcdefghi", strict=True)
    )
    assert "values, aliases counted" in "".join(problems_of(tmp_path, bomb))
    assert "nests deeper" in "".join(problems_of(tmp_path, "a: " + "[" * 80 + "]" * 80 + "\n"))


def test_loading_a_wrong_file_raises_with_all_its_problems(tmp_path: Path) -> None:
    with pytest.raises(InvalidDefinition) as caught:
        load_agent(write(tmp_path, "a.yaml", "modle: x\nmax_turns: 0\n"))
    assert len(caught.value.problems) == 2
    assert "(and 1 more)" in caught.value.message


def test_a_mapping_without_a_file_is_read_too() -> None:
    spec, problems = parse_agent({"instructions": "Hi"}, name="greeter")
    assert not problems
    assert spec == AgentSpec("greeter", instructions="Hi")
    _, problems = parse_agent({"instructions": "file:x.md"}, name="greeter")
    assert [problem.path for problem in problems] == ["instructions"]


def test_selecting_tools_honours_patterns_order_refusals_and_names_what_is_missing() -> None:
    spec = AgentSpec(
        "a",
        tools=("files.read", "web.search", "git.*", "nope.*"),
        required_tools=("files.read",),
        preferred_tools=("web.search",),
        refused_tools=("git.c*",),
    )
    existing = ["git.commit", "git.diff", "files.read", "files.write"]
    assert spec.select_tools(existing).chosen == ("files.read", "git.diff")
    assert spec.select_tools(existing).missing == ()
    assert spec.select_tools(["git.diff"]).missing == ("files.read",)
