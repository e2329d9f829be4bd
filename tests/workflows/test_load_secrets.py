"""Secrets in a definition are refused at their place, and shown nowhere."""

import json
from pathlib import Path

import pytest

from mosaic.core.errors import InvalidDefinition
from mosaic.workflows import check, load, render_problems

HEAD = "mosaic: v1\nkind: Workflow\nmetadata: {name: x}\n"
KEY = "sk-" + "ant-" + "a1b2c3d4" * 3
TOKEN = "ghp_" + "a1b2c3d4" * 4
WORDS = "hunter2-and-more"


def said(file: Path) -> str:
    """Return everything that anyone could see of a wrong file."""
    problems = check(file)
    with pytest.raises(InvalidDefinition) as raised:
        load(file)
    shown = [str(problem) + repr(problem) for problem in problems]
    return "\n".join(
        [*shown, render_problems(problems), str(raised.value), json.dumps(raised.value.to_json())]
    )


@pytest.mark.parametrize(
    ("text", "places"),
    [
        (f"do:\n  - a: {{set: {KEY}}}\n", ["5:14: This looks like a secret"]),
        (f"do:\n  - a: {{set: 'key {TOKEN} here'}}\n", ["5:14: This looks like a secret"]),
        (f"do:\n  - a: {{set: {{password: {WORDS}}}}}\n", ["5:25: `password` holds a secret"]),
        (f"do:\n  - a: {{set: {{db_password: {WORDS}, apiKey: {WORDS}}}}}\n",
         ["5:28: `db_password` holds a secret", "5:54: `apiKey` holds a secret"]),
        (f"do:\n  - a: {{http: {{url: x, headers: {{authorization: Bearer {WORDS}}}}}}}\n",
         ["5:49: `authorization` holds a secret"]),
        (f"do:\n  - a: {{agent: {KEY}}}\n", ["5:16: This looks like a secret", "5:16: There is no agent `[redacted]`"]),
        (f"do:\n  - a: {{set: 1, {KEY}: 2}}\n",
         ["5:17: This looks like a secret", "5:17: Unknown key `[redacted]` in a `set` step"]),
        (f"{KEY}: 1\ndo:\n  - a: {{set: 1}}\n", ["4:1: This looks like a secret", "4:1: Unknown key `[redacted]`"]),
        (f"agents: {{a: {{instructions: 'use {KEY}'}}}}\ndo:\n  - a: {{agent: a}}\n", ["4:28: This looks like a secret"]),
        (f"tools: {{t: {{mcp: {{command: [x], env: {{API_KEY: {WORDS}}}}}}}}}\ndo:\n  - a: {{set: 1}}\n",
         ["4:48: `API_KEY` holds a secret"]),
        (f"inputs: {{properties: {{api_key: {{default: {WORDS}}}}}}}\ndo:\n  - a: {{set: 1}}\n",
         ["4:42: `default` holds a secret"]),
        (f"do:\n  - a: {{set: &x {TOKEN}}}\n  - b: {{set: *x}}\n", ["5:14: This looks like a secret"]),
        (f"do:\n  - a:\n      set: |\n        {KEY}\n", ["6:12: This looks like a secret"]),
    ],
)  # fmt: skip
def test_a_secret_is_told_at_its_place_and_its_value_is_not(
    text: str, places: list[str], tmp_path: Path
) -> None:
    file = tmp_path / "workflow.yaml"
    file.write_text(HEAD + text)
    found = [f"{problem.line}:{problem.column}: {problem.message}" for problem in check(file)]
    assert [line[: len(place)] for line, place in zip(found, places, strict=True)] == places
    everything = said(file)
    for value in (KEY, TOKEN, WORDS):
        assert value not in everything


def test_a_secret_in_a_file_that_is_referred_to_is_told_in_that_file(tmp_path: Path) -> None:
    (tmp_path / "prompt.md").write_text(f"Use {KEY}.")
    (tmp_path / "agent.md").write_text(f"---\ndescription: x\n---\nline\nUse {TOKEN}.\n")
    (tmp_path / "schema.json").write_text(f'{{\n"description": "{TOKEN}"}}')
    (tmp_path / "child.yaml").write_text(f"{HEAD}do:\n  - a: {{set: {KEY}}}\n")
    file = tmp_path / "workflow.yaml"
    file.write_text(
        HEAD + "inputs: schema.json\nagents: {a: {instructions: 'file:prompt.md'}, b: 'file:agent.md'}\n"
        "do:\n  - a: {agent: a}\n  - b: {workflow: child.yaml}\n"
    )
    found = {
        (Path(problem.file).name, problem.line) for problem in check(file) if "secret" in problem.message
    }
    assert found >= {("schema.json", 2), ("child.yaml", 5)}
    assert {name for name, _ in found} >= {"schema.json", "child.yaml", "workflow.yaml"}
    everything = said(file)
    assert KEY not in everything
    assert TOKEN not in everything


def test_yaml_that_does_not_parse_is_told_without_the_secrets_in_it(tmp_path: Path) -> None:
    file = tmp_path / "workflow.yaml"
    for text in (
        f"a: {KEY}: {KEY}\n",
        f"a: {KEY}\na: {TOKEN}\n",
        f"a: '{KEY}\n",
        f"a: [{KEY}\n",
        f"a: *{KEY}\n",
    ):
        file.write_text(text)
        everything = said(file)
        assert KEY not in everything
        assert TOKEN not in everything


def test_names_of_secrets_and_expressions_are_no_secrets(tmp_path: Path) -> None:
    file = tmp_path / "workflow.yaml"
    file.write_text(
        HEAD + "inputs: {type: object, properties: {api_key: {type: string, description: the key}}}\n"
        "limits: {tokens: 1000}\n"
        "do:\n"
        "  - a: {http: {url: x, headers: {Authorization: {secret: OPS_TOKEN, prefix: 'Bearer '}}}}\n"
        '  - b: {set: {password: "${inputs.api_key}", secret_name: ""}}\n'
    )
    assert check(file) == []
