"""Every snippet of the language reference loads, and what it says is what the code says."""

import json
import re
from pathlib import Path
from typing import Any

import pytest
from jsonschema import Draft7Validator
from ruamel.yaml import YAML

from mosaic.expressions import FUNCTIONS
from mosaic.workflows import check, load, render_problems, workflow_schema
from mosaic.workflows.language.step_keys import error_codes
from mosaic.workflows.language.step_shapes import KINDS

REFERENCE = Path(__file__).parents[2] / "docs" / "reference" / "workflows.md"
TEXT = REFERENCE.read_text(encoding="utf-8")
SNIPPETS = [
    (TEXT.count("\n", 0, found.start()) + 1, found[1])
    for found in re.finditer(r"^```yaml\n(.*?)^```", TEXT, re.MULTILINE | re.DOTALL)
    if "<!-- broken -->" not in TEXT[max(0, found.start() - 20) : found.start()]
]
TASKS = {
    "type": "object",
    "properties": {
        "tasks": {
            "type": "array",
            "items": {
                "type": "object",
                "properties": {
                    "id": {"type": "string"},
                    "prompt": {"type": "string"},
                    "needs": {"type": "array", "items": {"type": "string"}},
                },
            },
        }
    },
}
HEAD = "mosaic: v1\nkind: Workflow\nmetadata: {name: snippet}\n"
INPUTS = "inputs: {type: object, properties: {goal: {type: string, default: x}}}\n"
AGENTS = """agents:
  planner: {output: {$ref: schemas/plan.json}}
  architect: {}
  coder: {tools: [files.read, files.edit]}
  reviewer: {output: {type: object, properties: {score: {type: number}}}}
  security: {}
  performance: {}
  a: {}
  b: {}
  c: {}
"""
TOOLS = "tools: {deploy: {mcp: ops}}\n"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for name in ("prompts", "schemas", "agents", "tools", "repo"):
        (tmp_path / name).mkdir()
    (tmp_path / "prompts/planner.md").write_text("Plan.")
    (tmp_path / "tools/release.py").write_text("def publish(): ...\n")
    (tmp_path / "schemas/plan.json").write_text(json.dumps(TASKS))
    (tmp_path / "schemas/report.json").write_text('{"type": "object"}')
    (tmp_path / "agents/coder.md").write_text("---\ndescription: Codes.\n---\nWrite code.\n")
    (tmp_path / "release.yaml").write_text(
        HEAD + "inputs: {type: object, required: [version], properties: {version: {type: string}}}\n"
        "do:\n  - tag: {set: 1}\n"
    )
    return tmp_path


def completed(snippet: str) -> str:
    """Return a whole workflow around a snippet."""
    if "mosaic: v1" in snippet:
        return snippet
    if snippet.startswith("- "):
        steps = "".join(f"  {line}\n" if line else "\n" for line in snippet.splitlines())
        return f"{HEAD}{INPUTS}{AGENTS}{TOOLS}do:\n{steps}"
    return f"{HEAD}{INPUTS}{snippet}do:\n  - one: {{set: 1}}\n"


@pytest.mark.parametrize("snippet", [pytest.param(text, id=f"line-{line}") for line, text in SNIPPETS])
def test_every_snippet_of_the_reference_loads_and_pleases_the_editors_schema(
    folder: Path, snippet: str
) -> None:
    file = folder / "workflow.yaml"
    file.write_text(completed(snippet))
    assert render_problems(check(file)) == ""
    load(file)
    value: Any = YAML(typ="safe", pure=True).load(file)
    assert [error.message for error in Draft7Validator(workflow_schema()).iter_errors(value)] == []


def test_the_mistake_in_the_reference_is_told_as_the_reference_says(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    broken = re.search(r"<!-- broken -->\n```yaml\n(.*?)^```", TEXT, re.MULTILINE | re.DOTALL)
    output = re.search(r"<!-- output -->\n```text\n(.*?)^```", TEXT, re.MULTILINE | re.DOTALL)
    assert broken
    assert output
    monkeypatch.chdir(tmp_path)
    Path("workflow.yaml").write_text(broken[1])
    assert render_problems(check("workflow.yaml")) + "\n" == output[1]


def test_the_reference_names_every_kind_every_key_every_function_and_every_error_code() -> None:
    for kind in KINDS.values():
        assert f"`{kind.word}`" in TEXT
        for key in kind.all_keys:
            assert f"`{key}`" in TEXT or f"`{key}:`" in TEXT, f"{kind.word}.{key}"
    for name in (*FUNCTIONS, *error_codes(), *workflow_schema()["properties"]):
        assert f"`{name}`" in TEXT, name


def test_every_kind_of_step_has_a_snippet() -> None:
    shown = "\n".join(text for _, text in SNIPPETS)
    for word in KINDS:
        assert re.search(rf"(^\s*|{{){word}:", shown, re.MULTILINE), word
